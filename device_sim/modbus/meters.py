"""Three meters as their manuals lay them out: Schneider PM5560, Eastron SDM630, Siemens PAC3200. The map only; no network, no faults.

Written from the manuals alone and never shared with the code that reads them, so that an error on one side shows.
Serial pairs (two addresses, uint32, high word first) number the answers; they lie where the manual lists nothing, except where stated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from device_sim import miswiring
from device_sim.device import Device
from device_sim.electrical import Counters, Measured, View
from device_sim.modbus.answers import listed
from device_sim.modbus.registers import Image
from device_sim.profile import UJ_PER_KWH, UJ_PER_WH

_NOT_SIMULATED: Final = 0xFFFF  # a word of what the map does not define: NaN as a float, never a plausible 0
# Distortion does not follow from the plant's physics here; it is a constant of the ordinary kind.
_VOLTAGE_THD_PERCENT: Final = (1.8, 1.9, 1.7)
_CURRENT_THD_PERCENT: Final = (6.5, 6.3, 6.8)


@dataclass(frozen=True, slots=True)
class MeterKind:
    """One meter model: which functions it answers, how much at once, where the serial pairs lie and how its image is drawn."""

    name: str
    functions: frozenset[int]
    max_registers: int
    serial_addresses: tuple[int, ...]
    modulus_uj: int
    draw: Callable[[Measured, Counters], Image]
    family: str = "modbus"
    options: frozenset[str] = miswiring.OPTIONS

    def listed(self, device: Device) -> dict[str, object]:
        """Unit id and where the serials lie."""
        return listed(self, device)

    def image(self, view: View) -> Image:
        """The registers of this instant, without serials."""
        image = self.draw(view.measured, view.counters)
        return image if view.miswiring is None else view.miswiring.image(image)

    def write(self, view: View, values: dict[int, int]) -> None:
        """These meters have no writable address here: raises LookupError."""
        raise LookupError(f"{view.device}: addresses {sorted(values)}")


def _mean(values: tuple[float, float, float]) -> float:
    return sum(values) / 3


def _unbalance_percent(values: tuple[float, float, float]) -> tuple[float, float, float]:
    mean = _mean(values)
    one, two, three = (abs(value - mean) / mean * 100 if mean else 0.0 for value in values)
    return one, two, three


def _four_quadrants(power_factor: float, reactive_var: float) -> float:
    """Schneider's 4Q_FP_PF coding: quadrants 1 and 3 plain, 2 (export, Q > 0) -2 - PF, 4 (import, Q < 0) 2 - PF.

    PowerLogic PM5000 series user manual EAV15107-EN10, "Power factor register format". So -1.05 says: export at 0.95.
    """
    if power_factor >= 0:
        return power_factor if reactive_var >= 0 else 2 - power_factor
    return -2 - power_factor if reactive_var > 0 else power_factor


def _schneider_pm5560(measured: Measured, counters: Counters) -> Image:
    """Schneider Electric, PowerLogic PM5500 series, public register list ("PM5500_PublicRegisterList"), sheet "Register List".

    The list counts registers from 1, the wire from 0: address = register - 1. FLOAT32 in A, V, kW, kvar, kVA, Hz; INT64 in Wh, varh, VAh.
    """
    image = Image(((2999, 301),), _NOT_SIMULATED)
    m, k = measured, 1000.0
    current = (*m.current_a, m.neutral_current_a, 0.0, _mean(m.current_a))
    image.float32(3000 - 1, *current)  # 3000 A, 3002 B, 3004 C, 3006 N, 3008 G, 3010 average
    unbalance = _unbalance_percent(m.current_a)
    image.float32(3012 - 1, *unbalance, max(unbalance))  # 3012..3018 current unbalance A, B, C, worst
    image.float32(3020 - 1, *m.line_voltage_v, _mean(m.line_voltage_v))  # 3020 A-B, 3022 B-C, 3024 C-A, 3026 average
    image.float32(3028 - 1, *m.voltage_v)  # 3028 A-N, 3030 B-N, 3032 C-N
    image.float32(3036 - 1, _mean(m.voltage_v))
    for register, voltages in ((3038, m.line_voltage_v), (3046, m.voltage_v)):
        unbalance = _unbalance_percent(voltages)
        image.float32(register - 1, *unbalance, max(unbalance))
    image.float32(3054 - 1, *(p / k for p in m.active_w), m.total_active_w / k)  # 3060 active power total
    image.float32(3062 - 1, *(q / k for q in m.reactive_var), m.total_reactive_var / k)  # 3068 total
    image.float32(3070 - 1, *(s / k for s in m.apparent_va), m.total_apparent_va / k)  # 3076 total
    factors = [_four_quadrants(f, q) for f, q in zip(m.power_factor, m.reactive_var, strict=True)]
    factors.append(_four_quadrants(m.total_power_factor, m.total_reactive_var))
    image.float32(3078 - 1, *factors, *factors)  # 3078..3084 power factor, 3086..3092 displacement power factor
    image.float32(3110 - 1, m.frequency_hz)
    delivered, received = counters.import_uj // UJ_PER_WH, counters.export_uj // UJ_PER_WH
    reactive_in, reactive_out = counters.reactive_import_uvars // UJ_PER_WH, counters.reactive_export_uvars // UJ_PER_WH
    for register, into, out_of in (
        (3204, delivered, received),
        (3220, reactive_in, reactive_out),
        (3236, counters.apparent_uvas // UJ_PER_WH, 0),
    ):
        image.int64(register - 1, into)  # 3204 active energy delivered (into load)
        image.int64(register + 4 - 1, out_of)  # 3208 received
        if register < 3236:
            image.int64(register + 8 - 1, into + out_of)
            image.int64(register + 12 - 1, into - out_of)
    return image


def _eastron_sdm630(measured: Measured, counters: Counters) -> Image:
    """Eastron, SDM630-Modbus-MID-V2 manual, Modbus part, section 1.2 "Input registers" (function 04, "Modbus protocol start address hex").

    The table's start addresses are the wire's. Float32 in V, A, W, VA, var, degrees, Hz; energies in kWh, kvarh, kVAh.
    """
    image = Image(((0x0000, 110), (0x00C8, 72), (0x0156, 44)), _NOT_SIMULATED)
    m = measured
    image.float32(0x0000, *m.voltage_v)
    image.float32(0x0006, *m.current_a)
    image.float32(0x000C, *m.active_w)
    image.float32(0x0012, *m.apparent_va)
    image.float32(0x0018, *m.reactive_var)
    image.float32(0x001E, *m.power_factor)
    image.float32(0x002A, _mean(m.voltage_v))
    image.float32(0x002E, _mean(m.current_a), sum(m.current_a))  # 0x2E average, 0x30 sum of line currents
    image.float32(0x0034, m.total_active_w)
    image.float32(0x0038, m.total_apparent_va)
    image.float32(0x003C, m.total_reactive_var, m.total_power_factor)
    image.float32(0x0046, m.frequency_hz)
    kwh_in, kwh_out = counters.import_uj / UJ_PER_KWH, counters.export_uj / UJ_PER_KWH
    kvarh_in, kvarh_out = counters.reactive_import_uvars / UJ_PER_KWH, counters.reactive_export_uvars / UJ_PER_KWH
    kvah = counters.apparent_uvas / UJ_PER_KWH
    image.float32(0x0048, kwh_in, kwh_out, kvarh_in, kvarh_out, kvah)
    image.float32(0x00C8, *m.line_voltage_v, _mean(m.line_voltage_v))
    image.float32(0x00E0, m.neutral_current_a)
    image.float32(0x00EA, *_VOLTAGE_THD_PERCENT, *_CURRENT_THD_PERCENT)
    image.float32(0x00F8, _mean(_VOLTAGE_THD_PERCENT), _mean(_CURRENT_THD_PERCENT))
    image.float32(0x0156, kwh_in + kwh_out, kvarh_in + kvarh_out)
    for address, total in ((0x015A, kwh_in), (0x0160, kwh_out), (0x0166, kwh_in + kwh_out)):
        image.float32(address, 0.34 * total, 0.33 * total, 0.33 * total)
    for address, total in ((0x016C, kvarh_in), (0x0172, kvarh_out), (0x0178, kvarh_in + kvarh_out)):
        image.float32(address, 0.34 * total, 0.33 * total, 0.33 * total)
    return image


def _siemens_pac3200(measured: Measured, counters: Counters) -> Image:
    """Siemens, SENTRON PAC3200 manual A5E01168664B-04 (02/2008), section 3.9.3, table 3-6; energies in double format as in the sister
    manual PAC4200 A5E02316180B-01, table A-9.

    Offsets are the wire's. Float32 in V, A, VA, W, var, Hz; double in Wh, varh, VAh, "overflow 1.0e+12". All energy is counted in tariff 1.
    Table 3-6 leaves no hole from 1 to 204: the first serial pair takes the place of 75, "Maximum voltage a-n", which is not simulated.
    """
    image = Image(((1, 124), (797, 48)), _NOT_SIMULATED)
    m = measured
    image.float32(1, *m.voltage_v)
    image.float32(7, *m.line_voltage_v)
    image.float32(13, *m.current_a)
    image.float32(19, *m.apparent_va)
    image.float32(25, *m.active_w)
    image.float32(31, *m.reactive_var)
    image.float32(37, *(abs(factor) for factor in m.power_factor))
    image.float32(43, *_VOLTAGE_THD_PERCENT, *_CURRENT_THD_PERCENT)
    image.float32(55, m.frequency_hz, _mean(m.voltage_v), _mean(m.line_voltage_v), _mean(m.current_a))  # 55, 57, 59, 61
    image.float32(
        63, m.total_apparent_va, m.total_active_w, m.total_reactive_var, abs(m.total_power_factor)
    )  # 63, 65, 67, 69
    image.float32(71, max(_unbalance_percent(m.voltage_v)), max(_unbalance_percent(m.current_a)))
    active = (counters.import_uj / UJ_PER_WH, 0.0, counters.export_uj / UJ_PER_WH, 0.0)
    reactive = (counters.reactive_import_uvars / UJ_PER_WH, 0.0, counters.reactive_export_uvars / UJ_PER_WH, 0.0)
    image.float64(801, *active)  # import tariff 1, 2, export tariff 1, 2
    image.float64(817, *reactive)
    image.float64(833, counters.apparent_uvas / UJ_PER_WH, 0.0)
    return image


METER_KINDS: Final[dict[str, MeterKind]] = {
    kind.name: kind
    for kind in (
        # 3112 and 3244 (counted from 1) follow frequency and apparent energy received; the list names nothing there.
        MeterKind(
            "schneider_pm5560",
            frozenset({3, 4}),
            125,
            (3112 - 1, 3244 - 1),
            1_000_000_000 * UJ_PER_KWH,
            _schneider_pm5560,
        ),
        # 0x2C, 0xD0 and 0x17E are holes of the table; at most 40 parameters, so 80 registers, a request (section 1.2).
        MeterKind(
            "eastron_sdm630", frozenset({4}), 80, (0x002C, 0x00D0, 0x017E), 10_000_000 * UJ_PER_KWH, _eastron_sdm630
        ),
        MeterKind("siemens_pac3200", frozenset({3, 4}), 125, (75, 841), 1_000_000_000 * UJ_PER_KWH, _siemens_pac3200),
    )
}
