"""The PV inverter (SunSpec 1, 103, 123) and the battery inverter (1, 103, 124, 802): what they show and what a write does to the plant.

Inverters count as generators: W in model 103 is positive when power flows out, so it is the negative of the plant's load sign; model 802's
W and A (DC) follow the same sense, positive when discharging. Rates and limits have scale factor -2 (hundredths of a percent).
"""

from typing import Final

from device_sim.battery import FULL_RATE, Battery
from device_sim.cells import PPM
from device_sim.device import Device
from device_sim.electrical import Measured, View
from device_sim.modbus.answers import listed
from device_sim.modbus.registers import Image
from device_sim.modbus.sunspec import Chain, Value, scale_exponent
from device_sim.modbus.sunspec_layouts import VENDOR_MODEL
from device_sim.plant import Curtailment, Node
from device_sim.profile import UJ_PER_WH

_ACC32_UJ: Final = 2**32 * UJ_PER_WH
_DC_NOMINAL_V: Final = 800.0
_PV_EFFICIENCY: Final = 0.98


def signed(register: int) -> int:
    return register - 0x10000 if register & 0x8000 else register


def rounded(value: float, exponent: int) -> int:
    return round(value * 10.0**-exponent)


def common(view: View, model: str) -> dict[str, Value]:
    return {"Mn": "Wattline", "Md": model, "Vr": "1", "SN": f"{view.plant.name}-{view.device}", "DA": view.unit}


def _inverter(
    measured: Measured, energy_uj: int, rating_w: float, dc_w: float, dc_v: float, state: int
) -> dict[str, Value]:
    power = scale_exponent(rating_w)
    current_1, current_2, current_3 = (rounded(a, -1) for a in measured.current_a)
    lines = [rounded(v, -1) for v in measured.line_voltage_v]
    phases = [rounded(v, -1) for v in measured.voltage_v]
    return {
        "A": current_1 + current_2 + current_3,
        "AphA": current_1,
        "AphB": current_2,
        "AphC": current_3,
        "A_SF": -1,
        "PPVphAB": lines[0],
        "PPVphBC": lines[1],
        "PPVphCA": lines[2],
        "PhVphA": phases[0],
        "PhVphB": phases[1],
        "PhVphC": phases[2],
        "V_SF": -1,
        "W": rounded(-measured.total_active_w, power),
        "W_SF": power,
        "Hz": rounded(measured.frequency_hz, -2),
        "Hz_SF": -2,
        "VA": rounded(measured.total_apparent_va, power),
        "VA_SF": power,
        "VAr": rounded(-measured.total_reactive_var, power),
        "VAr_SF": power,
        "PF": rounded(100 * abs(measured.total_power_factor), -1),
        "PF_SF": -1,
        "WH": energy_uj // UJ_PER_WH,
        "WH_SF": 0,
        "DCA": rounded(abs(dc_w) / dc_v, -1),
        "DCA_SF": -1,
        "DCV": rounded(dc_v, -1),
        "DCV_SF": -1,
        "DCW": rounded(dc_w, power),
        "DCW_SF": power,
        "TmpCab": 350,
        "Tmp_SF": -1,
        "St": state,
        "Evt1": 0,
        "Evt2": 0,
    }


def _connected(model: int, three: dict[str, Value]) -> dict[str, Value]:
    """What an inverter of another kind than 103 makes of the same power and voltages."""
    if model in {101, 102}:
        phases = ("AphA",) if model == 101 else ("AphA", "AphB")
        current = three["A"]
        assert isinstance(current, int)
        absent = {"AphA", "AphB", "AphC", "PhVphC", "PPVphBC", "PPVphCA"}
        absent |= {"PhVphB", "PPVphAB"} if model == 101 else set()
        share = {phase: current // len(phases) for phase in phases}
        return {name: value for name, value in three.items() if name not in absent} | share
    if model != 113:
        return three
    scales = {name: "V_SF" if "V" in name and name not in {"VA", "VAr", "DCV"} else f"{name}_SF" for name in three}
    scales |= {"AphA": "A_SF", "AphB": "A_SF", "AphC": "A_SF", "TmpCab": "Tmp_SF"}
    floats: dict[str, Value] = {}
    for name, value in three.items():
        if name.endswith("_SF"):
            continue
        scale = three.get(scales[name], 0)
        assert isinstance(value, int)
        assert isinstance(scale, int)
        floats[name] = value if name in {"St", "Evt1", "Evt2"} else value * 10.0**scale
    return floats


class PvInverter:
    """SunSpec chain 1, an inverter model, 123, vendor block. WMaxLimPct is % of the PV plant's peak.

    101 is connected to one phase, 102 to two (120/240 V), 103 to three, 113 tells in floating point what 103 tells in integers.
    """

    family = "modbus"
    own_node = Node.PV
    options: frozenset[str] = frozenset()
    functions = frozenset({3, 6, 16})
    max_registers = 125
    modulus_uj = _ACC32_UJ

    def __init__(self, name: str = "sunspec_pv", model: int = 103) -> None:
        self.name = name
        self._model = model
        self._chain = Chain(1, model, 123, VENDOR_MODEL)
        self.serial_addresses = self._chain.serial_addresses

    def listed(self, device: Device) -> dict[str, object]:
        """Unit id and where the serials lie."""
        return listed(self, device)

    def image(self, view: View) -> Image:
        """The registers of this instant, without serials."""
        plant, curtailment = view.plant, view.plant.curtailment
        output_w = -view.measured.total_active_w
        throttled = curtailment.limited and output_w * 1000 >= curtailment.bound_mw(plant.pv_peak_mw) > 0
        state = 2 if output_w == 0 else 5 if throttled else 4  # SLEEPING, THROTTLED, MPPT
        return self._chain.image(
            {
                1: common(view, "PV inverter"),
                self._model: _connected(
                    self._model,
                    _inverter(
                        view.measured,
                        view.counters.export_uj,
                        plant.pv_peak_mw / 1000,
                        output_w / _PV_EFFICIENCY,
                        650.0,
                        state,
                    ),
                ),
                123: {
                    "Conn_RvrtTms": view.written.get("Conn_RvrtTms", 0),
                    "Conn": int(curtailment.connected),
                    "WMaxLimPct": curtailment.limit,
                    "WMaxLimPct_RvrtTms": view.written.get("WMaxLimPct_RvrtTms", 0),
                    "WMaxLim_Ena": int(curtailment.limited),
                    "WMaxLimPct_SF": -2,
                    "OutPFSet_SF": -2,
                    "OutPFSet_Ena": 0,
                    "VArPct_Ena": 0,
                },
            }
        )

    def write(self, view: View, values: dict[int, int]) -> None:
        """Curtails the plant. Raises LookupError for an address that is not writable, ValueError for a value out of range."""
        named = self._chain.named(values)
        for name, highest in (("Conn", 1), ("WMaxLim_Ena", 1), ("WMaxLimPct", FULL_RATE)):
            if named.get(name, 0) > highest:
                raise ValueError(f"{name}: expected 0..{highest}, got {named[name]}")
        curtailment: Curtailment = view.plant.curtailment
        view.written.update(named)
        if named.keys() & {"Conn", "Conn_RvrtTms"}:
            curtailment.connected = bool(named.get("Conn", curtailment.connected))
            curtailment.connection_reverts_at_ms = timer(view, "Conn_RvrtTms", not curtailment.connected)
        if named.keys() & {"WMaxLimPct", "WMaxLim_Ena", "WMaxLimPct_RvrtTms"}:
            curtailment.limit = named.get("WMaxLimPct", curtailment.limit)
            curtailment.limited = bool(named.get("WMaxLim_Ena", curtailment.limited))
            curtailment.limit_reverts_at_ms = timer(view, "WMaxLimPct_RvrtTms", curtailment.limited)
        view.plant.disturb()


class BatteryInverter:
    """SunSpec chain 1, 103, vendor block, 124, 802, vendor block.

    Two vendor blocks, since the chain is longer than one request: whoever reads inverter and bank apart finds a serial beside each. WH of model 103
    counts what was discharged.
    """

    name = "sunspec_battery"
    own_node = Node.BATTERY
    family = "modbus"
    options: frozenset[str] = frozenset()
    functions = frozenset({3, 6, 16})
    max_registers = 125
    modulus_uj = _ACC32_UJ

    def __init__(self) -> None:
        self._chain = Chain(1, 103, VENDOR_MODEL, 124, 802, VENDOR_MODEL)
        self.serial_addresses = self._chain.serial_addresses

    def listed(self, device: Device) -> dict[str, object]:
        """Unit id and where the serials lie."""
        return listed(self, device)

    def image(self, view: View) -> Image:
        """The registers of this instant, without serials."""
        battery = view.plant.battery
        assert battery is not None
        ac_w = view.measured.total_active_w
        discharge_dc_w = -ac_w * (battery.charge_ppm if ac_w > 0 else battery.discharge_ppm) / PPM
        rating_w = max(battery.charge_mw, battery.discharge_mw) / 1000
        voltage_v = _DC_NOMINAL_V * (0.95 + 0.1 * battery.stored / battery.full)
        charge_state = charge_state_of(battery, ac_w)
        return self._chain.image(
            {
                1: common(view, "Battery inverter"),
                103: {
                    **_inverter(
                        view.measured, view.counters.export_uj, rating_w, discharge_dc_w, voltage_v, 4 if ac_w else 8
                    ),
                    "TmpCab": rounded(battery.temperature_degc, -1),
                },
                124: self._storage(view, battery, rating_w, voltage_v, charge_state),
                802: _bank(battery, rating_w, voltage_v, discharge_dc_w, charge_state),
            }
        )

    def _storage(
        self, view: View, battery: Battery, rating_w: float, voltage_v: float, charge_state: int
    ) -> dict[str, Value]:
        window, power = battery.window, scale_exponent(rating_w)
        return {
            "WChaMax": rounded(window.charge_max_mw / 1000, power),
            "WChaGra": 100,
            "WDisChaGra": 100,
            "StorCtl_Mod": int(window.charge_limited) | int(window.discharge_limited) << 1,
            "ChaState": rounded(battery.state_of_charge_percent, -2),
            "InBatV": rounded(voltage_v, -1),
            "ChaSt": charge_state,
            "OutWRte": window.out_rate,
            "InWRte": window.in_rate,
            "InOutWRte_RvrtTms": view.written.get("InOutWRte_RvrtTms", 0),
            "ChaGriSet": 1,
            "WChaMax_SF": power,
            "WChaDisChaGra_SF": 0,
            "ChaState_SF": -2,
            "InBatV_SF": -1,
            "InOutWRte_SF": -2,
        }

    def write(self, view: View, values: dict[int, int]) -> None:
        """Sets the power window. Raises LookupError for an address that is not writable, ValueError for a value out of range."""
        battery = view.plant.battery
        assert battery is not None
        named = self._chain.named(values)
        window = battery.window
        rates = {name: signed(named[name]) for name in ("InWRte", "OutWRte") if name in named}
        for name, rate in rates.items():
            if not -FULL_RATE <= rate <= FULL_RATE:
                raise ValueError(f"{name}: expected -{FULL_RATE}..{FULL_RATE}, got {rate}")
        if named.get("StorCtl_Mod", 0) > 3:
            raise ValueError(f"StorCtl_Mod: expected 0..3, got {named['StorCtl_Mod']}")
        if "WChaMax" in named:
            power = scale_exponent(max(battery.charge_mw, battery.discharge_mw) / 1000)
            charge_max_mw = named["WChaMax"] * 10**power * 1000
            if charge_max_mw > battery.charge_mw:
                raise ValueError(
                    f"WChaMax: expected at most {battery.charge_mw // 1000} W, got {charge_max_mw // 1000} W"
                )
            window.charge_max_mw = charge_max_mw
        view.written.update(named)
        window.in_rate = rates.get("InWRte", window.in_rate)
        window.out_rate = rates.get("OutWRte", window.out_rate)
        if "StorCtl_Mod" in named:
            window.charge_limited, window.discharge_limited = (
                bool(named["StorCtl_Mod"] & 1),
                bool(named["StorCtl_Mod"] & 2),
            )
        if named.keys() & {"StorCtl_Mod", "InWRte", "OutWRte", "InOutWRte_RvrtTms"}:
            window.reverts_at_ms = timer(view, "InOutWRte_RvrtTms", window.charge_limited or window.discharge_limited)
        view.plant.disturb()


def _bank(
    battery: Battery, rating_w: float, voltage_v: float, discharge_dc_w: float, charge_state: int
) -> dict[str, Value]:
    capacity_wh = battery.capacity_kwh * 1000
    amp_hours, watt_hours = scale_exponent(capacity_wh / _DC_NOMINAL_V, 65_535), scale_exponent(capacity_wh, 65_535)
    power = scale_exponent(rating_w)
    charge_mw, discharge_mw = battery.able_mw()
    return {
        "AHRtg": rounded(capacity_wh / _DC_NOMINAL_V, amp_hours),
        "AHRtg_SF": amp_hours,
        "WHRtg": rounded(capacity_wh, watt_hours),
        "WHRtg_SF": watt_hours,
        "WChaRteMax": rounded(battery.charge_mw / 1000, power),
        "WDisChaRteMax": rounded(battery.discharge_mw / 1000, power),
        "WChaDisChaMax_SF": power,
        "SoCMax": FULL_RATE,
        "SoCMin": rounded(battery.floor_percent, -2),
        "SoC": rounded(battery.state_of_charge_percent, -2),
        "SoC_SF": -2,
        "SoH": FULL_RATE,
        "SoH_SF": -2,
        "ChaSt": charge_state,
        "LocRemCtl": 0,
        "AlmRst": 0,
        "Typ": 4,  # LITHIUM_ION
        "State": 3,  # CONNECTED
        "Evt1": 0,
        "Evt2": 0,
        "EvtVnd1": 0,
        "EvtVnd2": 0,
        "V": rounded(voltage_v, -1),
        "V_SF": -1,
        "A": rounded(discharge_dc_w / voltage_v, -1),
        "A_SF": -1,
        "AChaMax": rounded(charge_mw * battery.charge_ppm / PPM / 1000 / voltage_v, -1),
        "ADisChaMax": rounded(discharge_mw * battery.discharge_ppm / PPM / 1000 / voltage_v, -1),
        "W": rounded(discharge_dc_w, power),
        "W_SF": power,
        "SetOp": 1,
        "SetInvState": 3,
    }


def charge_state_of(battery: Battery, ac_w: float) -> int:
    """ChaSt of models 124 and 802: EMPTY 2, DISCHARGING 3, CHARGING 4, FULL 5, HOLDING 6."""
    if ac_w:
        return 4 if ac_w > 0 else 3
    if battery.lasts_ms(battery.charge_mw) == 0:
        return 5
    return 2 if battery.lasts_ms(-battery.discharge_mw) == 0 else 6


def timer(view: View, name: str, armed: bool) -> int | None:
    """When a revert timer that is (re)started now ends; None when nothing is in force or its time is 0 (no timer)."""
    seconds = view.written.get(name, 0)
    return view.at_ms + seconds * 1000 if armed and seconds else None
