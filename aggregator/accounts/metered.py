"""Lines of the electricity that main meters import: energy times factor, interval by interval, summed by day, factor and grade.

Location profiles take each interval under the factor that held; a marginal profile the same, counted apart. The market method is `market_lines`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from aggregator.accounts.line import Applied, Counts, Line
from aggregator.accounts.period import Period
from aggregator.accounts.sealing.columns import Piece
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.factors import AVERAGE
from aggregator.emissions.resolution import Resolution
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.local_time import local_day
from aggregator.intervals.meter import MeterSpec

IMPORT: Final = "energy_import_kwh"


class _Group(NamedTuple):
    """What the intervals of one line share."""

    day: date
    factor: tuple[object, ...]
    grade: Grade


@dataclass(slots=True)
class _Sum:
    """What one line adds up."""

    start_ms: int
    end_ms: int
    found: Resolution
    kwh: Decimal = Decimal(0)
    intervals: int = 0
    provisional: int = 0
    time_ms: int = 0


def location_lines(period: Period) -> Iterator[Line]:
    """Scope 2 of main meters, or what they cause where the profile is marginal."""
    if period.profile.method != "location":
        return
    counts = Counts.SCOPE_2 if period.profile.signal == AVERAGE else Counts.CAUSED
    meters = {meter.device: meter for meter in mains(period)}
    for device, pieces in period.pieces(meters, IMPORT):
        yield from lines_of(period, meters[device], pieces, counts)


def mains(period: Period) -> tuple[MeterSpec, ...]:
    """The facility's grid connections for electricity."""
    return tuple(meter for meter in period.facility.main_meters() if meter.carrier == "electricity")


def lines_of(period: Period, meter: MeterSpec, pieces: Iterable[Piece], counts: Counts) -> Iterator[Line]:
    """A line for each local day, factor and grade of the pieces, kWh x factor being the sum of products."""
    sums: dict[_Group, _Sum] = {}
    zone, to_ms, interval_ms = period.facility.zone, period.to_ms, period.facility.interval_ms
    for piece in pieces:
        found = piece.factor
        group = _Group(local_day(piece.start_ms, zone), identity(found), piece.grade)
        summed = sums.get(group)
        if summed is None:
            summed = sums[group] = _Sum(piece.start_ms, piece.end_ms, found)
        if piece.start_ms < summed.start_ms:  # pieces of columns come in no order; the earliest names the factor
            summed.start_ms, summed.found = piece.start_ms, found
        summed.end_ms = max(summed.end_ms, piece.end_ms)
        summed.kwh = EXACT.add(summed.kwh, piece.kwh)
        summed.intervals += piece.intervals
        summed.provisional += piece.provisional
        summed.time_ms += piece.time_ms if piece.end_ms <= to_ms else piece.time_until(to_ms)
    for group, summed in sums.items():
        found = summed.found
        kg = None if found.kg_per_kwh is None else EXACT.multiply(summed.kwh, found.kg_per_kwh)
        yield Line(
            source=f"meter:{meter.device}", counts=counts, activity="indirect", carrier=meter.carrier, start_ms=summed.start_ms,
            end_ms=summed.end_ms, quantity=summed.kwh, unit="kWh", factor=applied(found), kg=kg, quality=group.grade.quality.name.lower(),
            reason=group.grade.reason, intervals=summed.intervals, provisional=summed.provisional, marks=found.marks, why=found.reason,
            covered=None if summed.time_ms == summed.intervals * interval_ms else period.covered(summed.intervals, summed.time_ms),
        )  # fmt: skip


def identity(found: Resolution) -> tuple[object, ...]:
    """What tells one factor from another, whenever it was resolved."""
    return (
        found.tier,
        found.factor_id,
        found.version,
        found.region,
        found.data_year,
        found.kg_per_kwh,
        found.source,
        found.marks,
        found.reason,
    )


def applied(found: Resolution) -> Applied | None:
    """The resolved factor as a line has it; None where there is none."""
    if found.kg_per_kwh is None:
        return None
    return Applied(
        found.factor_id, found.version, found.kg_per_kwh, found.region, found.data_year, found.tier, found.source
    )
