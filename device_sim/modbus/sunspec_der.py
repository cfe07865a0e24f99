"""SunSpec devices of the 700 generation: a PV inverter (1, 701, 704) and a battery (1, 701, 704, 713, 714, 803, 804), both at 50000.

Model 701 counts generation positive like the older models, and separates what was injected from what was absorbed. In 704 a limit and a
set-point have an enabling number and a reversion timer each; the set-point is taken in W (WSetMod 1), positive when injecting.
"""

from collections.abc import Sequence
from typing import Final

from device_sim.battery import FULL_RATE, Battery
from device_sim.cells import PPM
from device_sim.device import Device
from device_sim.electrical import View
from device_sim.modbus.answers import listed
from device_sim.modbus.inverters import common, rounded, timer
from device_sim.modbus.registers import Image
from device_sim.modbus.sunspec import Chain, Value, scale_exponent
from device_sim.modbus.sunspec_layouts import VENDOR_MODEL
from device_sim.plant import Node
from device_sim.profile import UJ_PER_WH

_UINT64_UJ: Final = 2**64 * UJ_PER_WH
_DC_NOMINAL_V: Final = 800.0
_WATTS: Final = 1  # WSetMod: WSet counts, in W; 0 would be WSetPct


class Der:
    """What both have: 701 and 704."""

    family = "modbus"
    options: frozenset[str] = frozenset()
    functions = frozenset({3, 16})  # function 6 is not required of a SunSpec device
    max_registers = 125
    modulus_uj = _UINT64_UJ

    def __init__(self, name: str, own_node: Node, chain: Chain) -> None:
        self.name = name
        self.own_node = own_node
        self.chain = chain
        self.serial_addresses = chain.serial_addresses


class DerPv(Der):
    """PV behind 701 and 704: the limit curtails the plant, in per cent of its peak."""

    def __init__(self) -> None:
        super().__init__("sunspec_der_pv", Node.PV, Chain(1, 701, VENDOR_MODEL, 704, base=50_000))

    def listed(self, device: Device) -> dict[str, object]:
        """Unit id and where the serials lie."""
        return listed(self, device)

    def image(self, view: View) -> Image:
        """The registers of this instant, without serials."""
        curtailment = view.plant.curtailment
        rating_w = view.plant.pv_peak_mw / 1000
        return self.chain.image(
            {
                1: common(view, "DER PV"),
                701: measurement(view, rating_w),
                704: {
                    **controls(view),
                    "WMaxLimPctEna": int(curtailment.limited),
                    "WMaxLimPct": curtailment.limit,
                    "WMaxLimPctRvrtTms": view.written.get("WMaxLimPctRvrtTms", 0),
                },
            }
        )

    def write(self, view: View, values: dict[int, int]) -> None:
        """Raises LookupError for an address that is not writable, ValueError for a value out of range."""
        named = self.chain.named(values)
        for name, highest in (("WMaxLimPctEna", 1), ("WMaxLimPct", FULL_RATE)):
            if named.get(name, 0) > highest:
                raise ValueError(f"{name}: expected 0..{highest}, got {named[name]}")
        view.written.update(named)
        if named.keys() & {"WMaxLimPct", "WMaxLimPctEna", "WMaxLimPctRvrtTms"}:
            curtailment = view.plant.curtailment
            curtailment.limit = named.get("WMaxLimPct", curtailment.limit)
            curtailment.limited = bool(named.get("WMaxLimPctEna", curtailment.limited))
            curtailment.limit_reverts_at_ms = timer(view, "WMaxLimPctRvrtTms", curtailment.limited)
        view.plant.disturb()


class DerBattery(Der):
    """A battery behind 701 and 704, with its capacity (713), its DC side (714), and its cells (803, 804) where the plant has them."""

    def __init__(self) -> None:
        chain = Chain(1, 701, VENDOR_MODEL, 704, 713, 714, VENDOR_MODEL, 803, 804, base=50_000)
        super().__init__("sunspec_der_battery", Node.BATTERY, chain)

    def listed(self, device: Device) -> dict[str, object]:
        """Unit id and where the serials lie."""
        return listed(self, device)

    def image(self, view: View) -> Image:
        """The registers of this instant, without serials."""
        battery = view.plant.battery
        assert battery is not None
        rating_w = max(battery.charge_mw, battery.discharge_mw) / 1000
        ac_w = view.measured.total_active_w
        charge_dc_w = ac_w * (battery.charge_ppm if ac_w > 0 else battery.discharge_ppm) / PPM
        voltage_v = _string_v(battery, charge_dc_w)
        return self.chain.image(
            {
                1: common(view, "DER battery"),
                701: {**measurement(view, rating_w), "TmpCab": rounded(battery.temperature_degc, -1)},
                704: {
                    **controls(view),
                    "WSetEna": int(battery.window.charge_limited),
                    "WSetMod": view.written.get("WSetMod", _WATTS),
                    "WSet": view.written.get("WSet", 0),
                    "WSetRvrtTms": view.written.get("WSetRvrtTms", 0),
                },
                713: capacity(battery),
                714: dc_side(charge_dc_w, voltage_v, rating_w),
                803: _strings(battery, charge_dc_w, voltage_v),
                804: _string(battery, charge_dc_w, voltage_v),
            }
        )

    def write(self, view: View, values: dict[int, int]) -> None:
        """Raises LookupError for an address that is not writable, ValueError for a value out of range."""
        battery = view.plant.battery
        assert battery is not None
        named = self.chain.named(values)
        for name in ("WSetEna", "WSetMod"):
            if named.get(name, 0) > 1:
                raise ValueError(f"{name}: expected 0 or 1, got {named[name]}")
        if "WSet" in named and not -battery.charge_mw <= 1000 * int32(named["WSet"]) <= battery.discharge_mw:
            raise ValueError(f"WSet: expected at most the rated power, got {int32(named['WSet'])} W")
        view.written.update(named)
        window = battery.window
        if named.keys() & {"WSet", "WSetEna", "WSetMod", "WSetRvrtTms"}:
            enabled = bool(named.get("WSetEna", window.charge_limited))
            charge_mw = -1000 * int32(view.written.get("WSet", 0))
            in_force = enabled and view.written.get("WSetMod", _WATTS) == _WATTS
            window.charge_max_mw = abs(charge_mw)
            window.in_rate = FULL_RATE if charge_mw >= 0 else -FULL_RATE
            window.out_rate = -window.in_rate
            window.charge_limited = window.discharge_limited = in_force
            window.reverts_at_ms = timer(view, "WSetRvrtTms", in_force)
        view.plant.disturb()


def measurement(view: View, rating_w: float) -> dict[str, Value]:
    """Model 701: generation positive."""
    measured, power = view.measured, scale_exponent(rating_w)
    output_w = -measured.total_active_w
    values: dict[str, Value] = {
        "ACType": 2,  # three phases
        "St": 1,  # on
        "InvSt": 3 if output_w else 7,  # running, standby
        "ConnSt": 1,
        "Alrm": 0,
        "W": rounded(output_w, power),
        "VA": rounded(measured.total_apparent_va, power),
        "Var": rounded(-measured.total_reactive_var, power),
        "PF": rounded(abs(measured.total_power_factor), -3),
        "A": rounded(sum(measured.current_a), -1),
        "LLV": rounded(sum(measured.line_voltage_v) / 3, -1),
        "LNV": rounded(sum(measured.voltage_v) / 3, -1),
        "Hz": rounded(measured.frequency_hz, -3),
        "TotWhInj": view.counters.export_uj // UJ_PER_WH,
        "TotWhAbs": view.counters.import_uj // UJ_PER_WH,
        "TmpCab": 350,
        "A_SF": -1,
        "V_SF": -1,
        "Hz_SF": -3,
        "W_SF": power,
        "PF_SF": -3,
        "VA_SF": power,
        "Var_SF": power,
        "TotWh_SF": 0,
        "Tmp_SF": -1,
    }
    for index, line in enumerate(("VL1L2", "VL2L3", "VL3L1")):
        values |= {
            f"WL{index + 1}": rounded(-measured.active_w[index], power),
            f"AL{index + 1}": rounded(measured.current_a[index], -1),
            f"VL{index + 1}": rounded(measured.voltage_v[index], -1),
            line: rounded(measured.line_voltage_v[index], -1),
        }
    return values


def controls(view: View) -> dict[str, Value]:
    """Model 704: what is not simulated, off."""
    off = ("PFWInjEna", "PFWAbsEna", "WMaxLimPctEna", "WSetEna", "VarSetEna")
    values: dict[str, Value] = dict.fromkeys(off, 0)
    values |= dict.fromkeys(("WMaxLimPctEnaRvrt", "WSetEnaRvrt"), 0)  # after a reversion nothing is in force
    values |= {name: value for name, value in view.written.items() if name in {"WMaxLimPctRvrt", "WSetRvrt"}}
    return values | {
        "PF_SF": -3,
        "WMaxLimPct_SF": -2,
        "WSet_SF": 0,
        "WSetPct_SF": -2,
        "VarSet_SF": 0,
        "VarSetPct_SF": -2,
    }


def capacity(battery: Battery) -> dict[str, Value]:
    capacity_wh = battery.capacity_kwh * 1000
    scale = scale_exponent(capacity_wh, 65_535)
    health_percent = 100.0 if battery.cells is None else battery.cells.state_of_health_percent
    return {
        "WHRtg": rounded(capacity_wh, scale),
        "WHAvail": rounded(capacity_wh * battery.state_of_charge_percent / 100, scale),
        "SoC": rounded(battery.state_of_charge_percent, -2),
        "SoH": rounded(health_percent, -2),
        "Sta": 0,
        "WH_SF": scale,
        "Pct_SF": -2,
    }


def dc_side(charge_dc_w: float, voltage_v: float, rating_w: float) -> dict[str, Value]:
    """Model 714 with one port: positive when the battery gives."""
    power = scale_exponent(1.1 * rating_w)
    port: dict[str, Value] = {
        "DCA": rounded(-charge_dc_w / voltage_v, -1),
        "DCW": rounded(-charge_dc_w, power),
    }
    return {
        "PrtAlrms": 0,
        "NPrt": 1,
        **port,
        "DCA_SF": -1,
        "DCV_SF": -1,
        "DCW_SF": power,
        "DCWH_SF": 0,
        "Tmp_SF": -1,
        "Prt1.PrtTyp": 1,  # energy storage
        "Prt1.ID": 1,
        "Prt1.IDStr": "BAT",
        "Prt1.DCV": rounded(voltage_v, -1),
        "Prt1.DCSta": 1,
        "Prt1.DCAlrm": 0,
        **{f"Prt1.{name}": value for name, value in port.items()},
    }


def _string_v(battery: Battery, charge_dc_w: float) -> float:
    """The voltage of all cells one behind the other; without cells a constant."""
    if battery.cells is None:
        return _DC_NOMINAL_V
    return sum(battery.cells.voltages_v(battery.state_of_charge_percent, charge_dc_w))


def _extremes(values: Sequence[float]) -> tuple[float, float, float]:
    return max(values), min(values), sum(values) / len(values)


def _cell_values(battery: Battery, charge_dc_w: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Highest, lowest and mean of the cells' voltages (V) and temperatures (degC)."""
    assert battery.cells is not None
    return (
        _extremes(battery.cells.voltages_v(battery.state_of_charge_percent, charge_dc_w)),
        _extremes(battery.cells.temperatures_degc()),
    )


def _strings(battery: Battery, charge_dc_w: float, voltage_v: float) -> dict[str, Value]:
    """Model 803, one string; nothing of it where the plant's battery has no cells."""
    if battery.cells is None:
        return {}
    (high_v, low_v, mean_v), (hot, cold, warm) = _cell_values(battery, charge_dc_w)
    current = rounded(-charge_dc_w / voltage_v, -1)
    return {
        "NStr": 1,
        "NStrCon": 1,
        "ModTmpMax": rounded(hot, -1),
        "ModTmpMin": rounded(cold, -1),
        "ModTmpAvg": rounded(warm, -1),
        "StrVMax": rounded(voltage_v, -1),
        "StrVMin": rounded(voltage_v, -1),
        "StrVAvg": rounded(voltage_v, -1),
        "StrAMax": current,
        "StrAMin": current,
        "StrAAvg": current,
        "CellV_SF": -3,
        "ModTmp_SF": -1,
        "A_SF": -1,
        "SoH_SF": -2,
        "SoC_SF": -2,
        "V_SF": -1,
        "string1.StrNMod": 1,
        "string1.StrSt": 0,
        "string1.StrSoC": rounded(battery.state_of_charge_percent, -2),
        "string1.StrSoH": rounded(battery.cells.state_of_health_percent, -2),
        "string1.StrA": current,
        "string1.StrCellVMax": rounded(high_v, -3),
        "string1.StrCellVMin": rounded(low_v, -3),
        "string1.StrCellVAvg": rounded(mean_v, -3),
        "string1.StrModTmpMax": rounded(hot, -1),
        "string1.StrModTmpMin": rounded(cold, -1),
        "string1.StrModTmpAvg": rounded(warm, -1),
        "string1.StrConSt": 0,
        "string1.StrEvt1": 0,
    }


def _string(battery: Battery, charge_dc_w: float, voltage_v: float) -> dict[str, Value]:
    """Model 804, one module that holds all cells."""
    if battery.cells is None:
        return {}
    (high_v, low_v, mean_v), (hot, cold, warm) = _cell_values(battery, charge_dc_w)
    return {
        "Idx": 1,
        "NMod": 1,
        "St": 0,
        "SoC": rounded(battery.state_of_charge_percent, -2),
        "NCyc": int(battery.cells.cycle_count),
        "SoH": rounded(battery.cells.state_of_health_percent, -2),
        "A": rounded(-charge_dc_w / voltage_v, -1),
        "V": rounded(voltage_v, -1),
        "CellVMax": rounded(high_v, -3),
        "CellVMin": rounded(low_v, -3),
        "CellVAvg": rounded(mean_v, -3),
        "ModTmpMax": rounded(hot, -1),
        "ModTmpMin": rounded(cold, -1),
        "ModTmpAvg": rounded(warm, -1),
        "ConSt": 0,
        "Evt1": 0,
        "SoC_SF": -2,
        "SoH_SF": -2,
        "A_SF": -1,
        "V_SF": -1,
        "CellV_SF": -3,
        "ModTmp_SF": -1,
        "lithium_ion_string_module1.ModNCell": battery.cells.count,
        "lithium_ion_string_module1.ModCellVMax": rounded(high_v, -3),
        "lithium_ion_string_module1.ModCellVMin": rounded(low_v, -3),
        "lithium_ion_string_module1.ModCellVAvg": rounded(mean_v, -3),
        "lithium_ion_string_module1.ModCellTmpMax": rounded(hot, -1),
        "lithium_ion_string_module1.ModCellTmpMin": rounded(cold, -1),
        "lithium_ion_string_module1.ModCellTmpAvg": rounded(warm, -1),
    }


def int32(number: int) -> int:
    return number - (1 << 32) if number & 0x8000_0000 else number
