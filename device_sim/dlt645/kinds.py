"""Electricity meters of DL/T 645-2007 and -1997 as their tables lay them out: data identifier -> bytes of this instant. No line, no faults.

Written from annex A of both standards alone and never shared with the code that reads them.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Final

from device_sim.device import Device
from device_sim.dlt645.frames import decimal
from device_sim.electrical import Counters, Measured, View
from device_sim.profile import UJ_PER_KWH

# An identifier of the maker's own range that numbers the answers: eight digits. No meter has it.
SERIAL_2007: Final = 0x04A00101
SERIAL_1997: Final = 0xC0A1
_UJ_PER_COUNT: Final = UJ_PER_KWH // 100  # 0.01 kWh
_MODULUS_UJ: Final = 1_000_000 * UJ_PER_KWH

Image = Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class MeterKind:
    """One meter model. `edition` 1997 has identifiers of two bytes; `serial` is the identifier that numbers the answers."""

    name: str
    edition: int
    serial: int
    draw: Callable[[Measured, Counters], Image]
    family: str = "dlt645"
    modulus_uj: int = _MODULUS_UJ
    # address: 12 digits; blocks: whether data blocks are answered; longest: bytes of data in a frame; utc_offset_minutes: of its clock;
    # transformer_ratio: CT x PT in front of the meter, which shows what is behind them
    options: frozenset[str] = frozenset({"address", "blocks", "longest", "utc_offset_minutes", "transformer_ratio"})
    ratio: int = 1

    def image(self, view: View) -> Image:
        """All identifiers of this instant, without the serial."""
        if self.ratio == 1:
            return self.draw(view.measured, view.counters)
        return self.draw(_behind(view.measured, self.ratio), _counted(view.counters, self.ratio))

    def listed(self, device: Device) -> dict[str, object]:
        """The address and where the serial lies."""
        width = 8 if self.edition == 2007 else 4
        return {"address": address(device), "serial_identifier": f"{self.serial:0{width}X}"}


def _behind(measured: Measured, ratio: int) -> Measured:
    """What is behind current transformers: voltages stay, currents and powers are the ratio's part."""

    def part(values: tuple[float, float, float]) -> tuple[float, float, float]:
        one, two, three = (value / ratio for value in values)
        return one, two, three

    return replace(
        measured,
        active_w=part(measured.active_w),
        reactive_var=part(measured.reactive_var),
        apparent_va=part(measured.apparent_va),
        current_a=part(measured.current_a),
        neutral_current_a=measured.neutral_current_a / ratio,
        total_active_w=measured.total_active_w / ratio,
        total_reactive_var=measured.total_reactive_var / ratio,
        total_apparent_va=measured.total_apparent_va / ratio,
    )


def _counted(counters: Counters, ratio: int) -> Counters:
    return Counters(*(count // ratio for count in astuple(counters)))


def address(device: Device) -> str:
    """The device's printed address; without one it is made of its unit id."""
    return str(device.options.get("address", f"{device.unit:012d}")).zfill(12)


def _energy(energy_uj: int) -> bytes:
    """XXXXXX.XX, rounded down, as a counter does."""
    return decimal(energy_uj // _UJ_PER_COUNT, 4)


def _three_phases(measured: Measured, counters: Counters) -> Image:
    """DL/T 645-2007, tables A.1 (energies) to A.3 (instantaneous values). All energy is counted in tariff 1."""
    m = measured
    image = _energies(counters)
    for phase, volts in enumerate(m.voltage_v, 1):
        image[0x02010000 | phase << 8] = decimal(round(volts * 10), 2)
    for phase, (amps, watts) in enumerate(zip(m.current_a, m.active_w, strict=True), 1):
        image[0x02020000 | phase << 8] = decimal(round(amps * 1000) * (1 if watts >= 0 else -1), 3, signed=True)
    kilo = 10.0  # W in 0.1 W: the format XX.XXXX kW
    for group, total, phases in (
        (0x03, m.total_active_w, m.active_w),
        (0x04, m.total_reactive_var, m.reactive_var),
        (0x05, m.total_apparent_va, m.apparent_va),
    ):
        for phase, power in enumerate((total, *phases)):
            image[0x02000000 | group << 16 | phase << 8] = decimal(round(power * kilo), 3, signed=True)
    for phase, factor in enumerate((m.total_power_factor, *m.power_factor)):
        image[0x02060000 | phase << 8] = decimal(round(factor * 1000), 2, signed=True)
    image[0x02800001] = decimal(round(m.neutral_current_a * 1000), 3)
    image[0x02800002] = decimal(round(m.frequency_hz * 100), 2)
    image[0x02800004] = decimal(round(m.total_active_w * kilo), 3, signed=True)
    image[0x02800007] = decimal(251, 2)  # 25.1 degrees in the case
    return image


def _energies(counters: Counters) -> dict[int, bytes]:
    image = {
        0x00000000: _energy(counters.import_uj + counters.export_uj),  # combined, as the meter is set: the sum of both
        0x00010000: _energy(counters.import_uj),
        0x00020000: _energy(counters.export_uj),
        0x00030000: _energy(counters.reactive_import_uvars),
        0x00040000: _energy(counters.reactive_export_uvars),
        0x00090000: _energy(counters.apparent_uvas),
    }
    for tariff in (1, 2, 3, 4):
        image[0x00010000 | tariff << 8] = _energy(counters.import_uj if tariff == 1 else 0)
        image[0x00020000 | tariff << 8] = _energy(counters.export_uj if tariff == 1 else 0)
    return image


def _one_phase(measured: Measured, counters: Counters) -> Image:
    """The same tables for a meter with one phase, which sees the whole power; no reactive energy."""
    m = measured
    image = _energies(counters)
    for identifier in (0x00030000, 0x00040000, 0x00090000):
        del image[identifier]
    image[0x02010100] = decimal(round(m.voltage_v[0] * 10), 2)
    image[0x02020100] = decimal(
        round(m.total_apparent_va / m.voltage_v[0] * 1000) * (1 if m.total_active_w >= 0 else -1), 3, signed=True
    )
    for identifier in (0x02030000, 0x02030100):
        image[identifier] = decimal(round(m.total_active_w * 10), 3, signed=True)
    for identifier in (0x02060000, 0x02060100):
        image[identifier] = decimal(round(m.total_power_factor * 1000), 2, signed=True)
    image[0x02800002] = decimal(round(m.frequency_hz * 100), 2)
    return image


def _of_1997(measured: Measured, counters: Counters) -> Image:
    """DL/T 645-1997, tables A.1 and A.3: whole volts, hundredths of an ampere, powers without a sign."""
    m = measured
    image = {
        0x9010: _energy(counters.import_uj),
        0x9020: _energy(counters.export_uj),
        0x9110: _energy(counters.reactive_import_uvars),
        0x9120: _energy(counters.reactive_export_uvars),
    }
    for tariff in (1, 2, 3, 4):
        image[0x9010 | tariff] = _energy(counters.import_uj if tariff == 1 else 0)
    for phase in (0, 1, 2):
        image[0xB611 + phase] = decimal(round(m.voltage_v[phase]), 2)
        image[0xB621 + phase] = decimal(round(m.current_a[phase] * 100), 2)
    for phase, watts in enumerate((m.total_active_w, *m.active_w)):
        image[0xB630 + phase] = decimal(round(abs(watts) * 10), 3)
    for phase, var in enumerate((m.total_reactive_var, *m.reactive_var)):
        image[0xB640 + phase] = decimal(round(abs(var) / 10), 2)
    for phase, factor in enumerate((m.total_power_factor, *m.power_factor)):
        image[0xB650 + phase] = decimal(round(abs(factor) * 1000), 2)
    return image


KINDS: Final[dict[str, MeterKind]] = {
    kind.name: kind
    for kind in (
        MeterKind("dlt645_three_phase", 2007, SERIAL_2007, _three_phases),
        MeterKind("dlt645_single_phase", 2007, SERIAL_2007, _one_phase),
        MeterKind("dlt645_1997", 1997, SERIAL_1997, _of_1997),
    )
}
