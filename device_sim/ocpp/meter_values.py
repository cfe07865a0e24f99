"""What a pile's meter shows at an instant, and the sampled values made of it. Not when they are sent, not the message around them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from device_sim.charging_points import PHASE_MV
from device_sim.ocpp.settings import ENERGY, EXPORT


class Context(StrEnum):
    """Why a value was read (ReadingContext of both versions)."""

    BEGIN = "Transaction.Begin"
    END = "Transaction.End"
    PERIODIC = "Sample.Periodic"
    CLOCK = "Sample.Clock"
    TRIGGER = "Trigger"


class Quirk(StrEnum):
    """How real piles differ from the book."""

    SESSION_RELATIVE = (
        "session_relative"  # samples within a transaction count from its begin; begin and end are the meter's own
    )
    KWH = "kwh"  # energies in kWh
    MULTIPLIER = "multiplier"  # 2.x: energies in Wh with multiplier 3
    NO_UNIT = "no_unit"  # energies without a unit: Wh by default
    NO_BEGIN = "no_begin"  # 1.6: meterStart 0; 2.x: Started without a meter value


@dataclass(frozen=True, slots=True)
class Reading:
    """The meter and the point at one instant. `*_wh` is what the meter shows; the present power in mW, charging positive; the clock is the pile's."""

    at_ms: int
    import_wh: int
    export_wh: int
    power_mw: int
    offered_mw: int
    phases: int
    state_of_charge_percent: float | None


@dataclass(frozen=True, slots=True)
class Sampled:
    """One value. `energy`: an energy register in Wh."""

    measurand: str
    value: Decimal
    unit: str
    phase: str | None = None
    location: str | None = None
    energy: bool = False


_DECI: Final = Decimal("0.1")
_CENTI: Final = Decimal("0.01")


def sampled_values(
    reading: Reading, wanted: Sequence[str], relative_to: Reading | None = None, last_wh: int | None = None
) -> Iterator[Sampled]:
    """The wanted measurands in order; one that there is nothing to say about (SoC without a vehicle) is left out.

    `relative_to`: the quirk of session-relative registers. `last_wh`: begin of the interval, for Energy.Active.Import.Interval.
    """
    before_import, before_export = (relative_to.import_wh, relative_to.export_wh) if relative_to else (0, 0)
    watts = Decimal(reading.power_mw) / 1000
    for name in wanted:
        if name == ENERGY:
            yield Sampled(name, Decimal(reading.import_wh - before_import), "Wh", location="Outlet", energy=True)
        elif name == EXPORT:
            yield Sampled(name, Decimal(reading.export_wh - before_export), "Wh", location="Outlet", energy=True)
        elif name == "Energy.Active.Import.Interval" and last_wh is not None:
            yield Sampled(name, Decimal(max(0, reading.import_wh - last_wh)), "Wh", location="Outlet", energy=True)
        elif name == "Power.Active.Import":
            yield Sampled(name, max(Decimal(0), watts).quantize(_DECI), "W", location="Outlet")
        elif name == "Power.Active.Export":
            yield Sampled(name, max(Decimal(0), -watts).quantize(_DECI), "W", location="Outlet")
        elif name == "Power.Offered":
            yield Sampled(name, (Decimal(reading.offered_mw) / 1000).quantize(_DECI), "W")
        elif name in ("Current.Import", "Current.Offered"):
            power_mw = reading.power_mw if name == "Current.Import" else reading.offered_mw
            amperes = max(Decimal(0), Decimal(power_mw) / (PHASE_MV * reading.phases)).quantize(_CENTI)
            phases = ("L1", "L2", "L3")[: reading.phases] if name == "Current.Import" else (None,)
            yield from (Sampled(name, amperes, "A", phase) for phase in phases)
        elif name == "Voltage":
            yield from (
                Sampled(name, (Decimal(PHASE_MV) / 1000).quantize(_DECI), "V", f"{phase}-N")
                for phase in ("L1", "L2", "L3")[: reading.phases]
            )
        elif name == "Frequency":
            yield Sampled(name, Decimal("50.0"), "Hz")
        elif name == "SoC" and reading.state_of_charge_percent is not None:
            yield Sampled(
                name, Decimal(repr(reading.state_of_charge_percent)).quantize(_DECI), "Percent", location="EV"
            )


def as_sent(sampled: Sampled, quirks: frozenset[Quirk]) -> tuple[Decimal, str | None, int | None]:
    """Value, unit (None: not sent) and multiplier (None: not sent) after the pile's quirks."""
    if not sampled.energy:
        return sampled.value, sampled.unit, None
    if Quirk.KWH in quirks:
        return sampled.value / 1000, "kWh", None
    if Quirk.MULTIPLIER in quirks:
        return sampled.value / 1000, "Wh", 3
    return sampled.value, None if Quirk.NO_UNIT in quirks else sampled.unit, None
