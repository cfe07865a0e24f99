"""Lines of the market method: retired instruments, then what stands for the rest. Not the matching itself (see `emissions.market`).

Matching is over the whole span, cut at local years (GHGP-MB), or within each interval (GHGP-MB-HOURLY). Good energy is matched first, so that a line
has one grade.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.accounts.line import Applied, Counts, Line
from aggregator.accounts.metered import IMPORT, mains
from aggregator.accounts.period import Period
from aggregator.accounts.sealing.columns import Piece, pieces_of_rows, without_factor
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.instruments import Retired
from aggregator.emissions.market import MarketPart, Use, market_based
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.local_time import local_year, year_span_ms
from wire.reading import Quality

ZERO: Final = Decimal(0)
_ORDER: Final = (Quality.GOOD, Quality.UNCERTAIN, Quality.SUBSTITUTED, Quality.BAD)


@dataclass(slots=True)
class _Sum:
    """What one line adds up."""

    part: MarketPart
    grade: Grade
    kwh: Decimal = ZERO
    intervals: int = 0
    provisional: int = 0
    time_ms: int = 0


def market_maker(table: FactorTable, retired: Iterable[Retired]) -> Callable[[Period], Iterator[Line]]:
    """A maker for the profiles of the market method; nothing for the others."""
    instruments = list(retired)

    def lines(period: Period) -> Iterator[Line]:
        if period.profile.method != "market":
            return
        hourly = period.profile.matching == "hourly"
        for span, windows in sorted(_windows(period, hourly).items()):
            yield from _year(period, table, instruments, windows, span)

    return lines


# (kWh, intervals, provisional, time in ms), by window and grade
_Figures = tuple[Decimal, int, int, int]
_Windows = dict[tuple[int, int], dict[Grade, _Figures]]


def _windows(period: Period, hourly: bool) -> dict[tuple[int, int], _Windows]:
    """Per local year, as far as it lies in the span, what the mains drew: in each interval, or in the year as a whole."""
    zone = period.facility.zone
    found: dict[tuple[int, int], _Windows] = {}
    for energy in _drawn(period, hourly):
        first_ms, last_ms = year_span_ms(local_year(energy.start_ms, zone), zone)
        span = max(first_ms, period.from_ms), min(last_ms, period.to_ms)
        window = (energy.start_ms, energy.end_ms) if hourly else span
        grades = found.setdefault(span, {}).setdefault(window, {})
        kwh, intervals, provisional, time_ms = grades.get(energy.grade, (ZERO, 0, 0, 0))
        grades[energy.grade] = (
            EXACT.add(kwh, energy.kwh), intervals + energy.intervals, provisional + energy.provisional,
            time_ms + energy.time_until(period.to_ms),
        )  # fmt: skip
    return found


def _drawn(period: Period, hourly: bool) -> Iterator[Piece]:
    """The mains' intervals, one by one or added up by day and grade."""
    devices = [meter.device for meter in mains(period)]
    if not hourly:
        for _, pieces in period.energies(devices, IMPORT):
            yield from pieces
        return
    read = period.reading(period.from_ms, period.to_ms)
    for device in devices:
        yield from pieces_of_rows(read(device, IMPORT), without_factor)


def _year(
    period: Period, table: FactorTable, instruments: list[Retired], windows: _Windows, span: tuple[int, int]
) -> Iterator[Line]:
    hourly = period.profile.matching == "hourly"
    uses = [Use(*window, _total(kwh for kwh, *_ in of.values())) for window, of in sorted(windows.items())]
    figure = market_based(
        table,
        period.facility.factor_place(),
        uses,
        instruments,
        period.as_of_ms,
        "hourly" if hourly else "annual",
        span,
    )
    parts = iter(figure.parts)
    sums: dict[tuple[object, ...], _Sum] = {}
    for use in uses:
        grades = _grades(windows[use.start_ms, use.end_ms])
        for part, grade, kwh, intervals, provisional, time_ms in _spread(parts, use.kwh, grades):
            key = (part.tier, part.id, part.source, part.kg_per_kwh, part.marks, grade)
            summed = sums.setdefault(key, _Sum(part, grade))
            summed.kwh = EXACT.add(summed.kwh, kwh)
            summed.intervals += intervals
            summed.provisional += provisional
            summed.time_ms += time_ms
    for summed in sums.values():
        part, grade = summed.part, summed.grade
        kg = None if part.kg_per_kwh is None else EXACT.multiply(summed.kwh, part.kg_per_kwh)
        yield Line(
            source="meters:main", counts=Counts.SCOPE_2, activity="indirect", carrier="electricity", start_ms=span[0], end_ms=span[1],
            quantity=summed.kwh, unit="kWh", factor=applied_part(part), kg=kg, quality=grade.quality.name.lower(), reason=grade.reason,
            intervals=summed.intervals, provisional=summed.provisional, marks=part.marks,
            covered=period.covered(summed.intervals, summed.time_ms),
            why="; ".join(f"{skipped.candidate}: {skipped.reason}" for skipped in part.skipped) if kg is None else "",
        )  # fmt: skip
    if figure.surplus_kwh:
        yield Line(
            source="instruments:surplus", counts=Counts.EXPORTED, activity="indirect", carrier="electricity", start_ms=span[0], end_ms=span[1],
            quantity=figure.surplus_kwh, unit="kWh", factor=None, kg=None, why="retired beyond the consumption; it is not carried over",
        )  # fmt: skip
    for unused in figure.unused:
        yield Line(
            source=f"instruments:not_used:{unused.instrument.id}", counts=Counts.EXPORTED, activity="indirect", carrier="electricity",
            start_ms=span[0], end_ms=span[1], quantity=unused.instrument.kwh, unit="kWh", factor=None, kg=None,
            why=f"{unused.instrument.type} {unused.instrument.id} {unused.why}: not used",
        )  # fmt: skip


def _total(parts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for part in parts:
        total = EXACT.add(total, part)
    return total


def _grades(of: dict[Grade, _Figures]) -> list[tuple[Grade, Decimal, int, int, int]]:
    """(grade, kWh, intervals, provisional, time in ms), the best first."""
    ordered = sorted(of.items(), key=lambda item: (_ORDER.index(item[0].quality), item[0].reason))
    return [(grade, *figures) for grade, figures in ordered]


def _spread(
    parts: Iterator[MarketPart], kwh: Decimal, grades: list[tuple[Grade, Decimal, int, int, int]]
) -> Iterator[tuple[MarketPart, Grade, Decimal, int, int, int]]:
    """A window's parts over its grades, in order. A grade's intervals and their time are counted where it ends."""
    left = kwh
    part = next(parts)
    of_part = part.kwh
    for grade, of_grade, intervals, provisional, time_ms in grades:
        while True:
            taken = min(of_grade, of_part)
            of_grade, of_part, left = of_grade - taken, of_part - taken, left - taken
            last = of_grade <= 0
            yield part, grade, taken, *((intervals, provisional, time_ms) if last else (0, 0, 0))
            if of_part <= 0 and left > 0:
                part = next(parts)
                of_part = part.kwh
            if last:
                break


def applied_part(part: MarketPart) -> Applied | None:
    if part.kg_per_kwh is None:
        return None
    grid = part.resolution
    if grid is None:
        return Applied(part.id, 1, part.kg_per_kwh, tier=part.tier, source=part.source)
    return Applied(grid.factor_id, grid.version, part.kg_per_kwh, grid.region, grid.data_year, part.tier, part.source)
