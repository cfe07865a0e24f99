"""A meter's interval energies laid on the facility's grid of intervals, and the spans over which they are rolled up. Not their division (see `tree`)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from aggregator.accounts.period import Intervals
from aggregator.facility import Facility
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.intervals.local_time import day_span_ms, local_day, start_of_day_ms
from aggregator.ledger import IntervalRow

RollUp = Literal["total", "month", "day", "interval"]
ROLL_UPS: Final[tuple[RollUp, ...]] = ("total", "month", "day", "interval")

# What flows into a meter, and what flows back out of it ("" where nothing does): its energy is the difference.
FLOWS: Final[dict[str, tuple[str, str]]] = {
    "electricity": ("energy_import_kwh", "energy_export_kwh"),
    "gas": ("gas_volume_m3", ""),
    "water": ("water_volume_m3", ""),
    "heat": ("heat_energy_kwh", ""),
    "steam": ("heat_energy_kwh", ""),
    "cooling": ("cooling_energy_kwh", ""),
    "flue_gas": ("flue_gas_co2_kg", ""),
}
NORMAL_GAS: Final = ("gas_volume_normal_m3", "")  # where meters reckon normal cubic metres themselves
GRAIN: Final = Decimal("0.000000001")  # of energies that are cut to the grid
ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Slot:
    """One meter in one interval: what flowed in and out, and how it was had."""

    incoming: Decimal
    outgoing: Decimal = ZERO
    grade: Grade = GOOD
    final: bool = True

    @property
    def net(self) -> Decimal:
        return self.incoming - self.outgoing


def slots_of(
    intervals: Intervals, device: str, flows: tuple[str, str], interval_ms: int, from_ms: int, to_ms: int
) -> dict[int, Slot]:
    """The meter's intervals of [from_ms, to_ms) by their start (UTC ms). A meter that never counts outwards sends nothing back."""
    there, back = flows
    incoming = _on_grid(intervals(device, there), interval_ms, from_ms, to_ms)
    outgoing = _on_grid(intervals(device, back), interval_ms, from_ms, to_ms) if back else {}
    if not outgoing:
        return incoming
    if not incoming:
        return {at_ms: Slot(ZERO, slot.incoming, slot.grade, slot.final) for at_ms, slot in outgoing.items()}
    return {
        at_ms: Slot(slot.incoming, other.incoming, slot.grade.worse(other.grade), slot.final and other.final)
        for at_ms, slot in incoming.items()
        if (other := outgoing.get(at_ms)) is not None
    }


def summed(parts: Iterable[tuple[Slot, int]]) -> Slot:
    """A signed sum of meters in one interval; below 0 it flows out."""
    net, grade, final = ZERO, GOOD, True
    for slot, sign in parts:
        net += sign * slot.net
        grade, final = grade.worse(slot.grade), final and slot.final
    return Slot(max(net, ZERO), max(-net, ZERO), grade, final)


def _on_grid(rows: Sequence[IntervalRow], interval_ms: int, from_ms: int, to_ms: int) -> dict[int, Slot]:
    """Rows of other lengths are shared out by time, to the last digit; an interval that is not covered wholly has no figure."""
    found: dict[int, Slot] = {}
    partly: dict[int, tuple[Slot, int]] = {}
    for row in rows:
        if row.end_ms - row.start_ms == interval_ms and row.start_ms % interval_ms == 0:
            found[row.start_ms] = Slot(row.energy_kwh, ZERO, row.grade, row.final)
            continue
        left, at_ms = row.energy_kwh, row.start_ms
        while at_ms < row.end_ms:
            start_ms = at_ms - at_ms % interval_ms
            end_ms = min(start_ms + interval_ms, row.end_ms)
            part = left
            if end_ms < row.end_ms:
                part = (row.energy_kwh * (end_ms - at_ms) / (row.end_ms - row.start_ms)).quantize(GRAIN)
            slot, covered_ms = partly.get(start_ms, (Slot(ZERO), 0))
            more = Slot(slot.incoming + part, ZERO, slot.grade.worse(row.grade), slot.final and row.final)
            partly[start_ms] = (more, covered_ms + end_ms - at_ms)
            left, at_ms = left - part, end_ms
    found |= {at_ms: slot for at_ms, (slot, covered_ms) in partly.items() if covered_ms == interval_ms}
    return {at_ms: found[at_ms] for at_ms in sorted(found) if from_ms <= at_ms < to_ms}


def spans(roll_up: RollUp, from_ms: int, to_ms: int, facility: Facility) -> Iterator[tuple[int, int]]:
    """The spans of a kind, as far as they lie in [from_ms, to_ms): local days and months, intervals of the facility's grid."""
    at_ms = from_ms
    while at_ms < to_ms:
        if roll_up == "total":
            end_ms = to_ms
        elif roll_up == "interval":
            end_ms = at_ms - at_ms % facility.interval_ms + facility.interval_ms
        elif roll_up == "day":
            end_ms = day_span_ms(local_day(at_ms, facility.zone), facility.zone)[1]
        else:
            day = local_day(at_ms, facility.zone)
            end_ms = start_of_day_ms(date(day.year + day.month // 12, day.month % 12 + 1, 1), facility.zone)
        yield at_ms, min(end_ms, to_ms)
        at_ms = end_ms
