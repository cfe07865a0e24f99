"""Lines of recorded activities: amount times what one unit emits, within the span, cut where a parameter changes. Not the rates (see `activity_rates`).

A record that nobody else has approved yet gives a line without a figure. What only counts (production, area, laboratory) gives none.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from aggregator.accounts.activities.activity import Activity
from aggregator.accounts.activities.place import counted_as, metered
from aggregator.accounts.activities.rates import Ask, Rate, rates
from aggregator.accounts.activities.record import InForce
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.market_lines import applied_part
from aggregator.accounts.metered import applied
from aggregator.accounts.period import Period
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.factors import AVERAGE, FactorTable
from aggregator.emissions.instruments import Retired
from aggregator.emissions.market import Left, Use, market_based
from aggregator.intervals.local_time import local_year, year_span_ms

_PREFIX: Final = {"heat": "heat.", "material": "process.", "gas": "gwp."}


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a record lies in [start_ms, end_ms); `cut`: it is not the whole of it, but its share by time."""

    start_ms: int
    end_ms: int
    amount: Decimal
    unit: str
    cut: bool


def activity_maker(
    found: Sequence[InForce], table: FactorTable, retired: Iterable[Retired]
) -> Callable[[Period], Iterator[Line]]:
    """A maker over the records as they stood when the period was known; none where the profile is marginal."""
    instruments = list(retired)

    def lines(period: Period) -> Iterator[Line]:
        if period.profile.signal != AVERAGE:
            return
        of_all = Left("annual")  # a certificate covers one bill's kWh or another's
        for one in found:
            inside = metered(one.activity, period.facility.main_meters())
            left = Left("annual") if inside else of_all
            for line in _of_record(one, period, table, instruments, left) if one.activity.of_kind.emits else ():
                yield replace(line, counts=Counts.ALLOCATED, marks=(*line.marks, "metered")) if inside else line

    return lines


def _of_record(one: InForce, period: Period, table: FactorTable, retired: list[Retired], left: Left) -> Iterator[Line]:
    for part in _parts(one.activity, period):
        if not one.approved:
            why = f"record {one.activity.no} waits for a second person's approval"
            yield _line(one, part, Rate(counted_as(one.activity), "CO2", None, why=why))
        elif one.activity.kind == "electricity":
            yield from _electricity(one, part, period, table, retired, left)
        else:
            ask = Ask(period.entries, period.facility.id, period.facility.place, part.start_ms)
            yield from (_line(one, part, rate) for rate in rates(one.activity, part.unit, ask, period.profile))


def _parts(record: Activity, period: Period) -> Iterator[_Part]:
    """The record within the period, cut at local years and where a parameter of its own begins or ends. Nothing where it lies outside."""
    zone = period.facility.zone
    from_ms, to_ms = record.span_ms(zone)
    start_ms, end_ms = max(from_ms, period.from_ms), min(to_ms, period.to_ms)
    if start_ms >= end_ms:
        return
    _, unit = record.counted()
    inside = sorted(
        {start_ms, end_ms, *(edge for edge in _edges(record, period, start_ms, end_ms) if start_ms < edge < end_ms)}
    )
    for begin_ms, until_ms in itertools.pairwise(inside):
        part = EXACT.subtract(record.until(until_ms, from_ms, to_ms), record.until(begin_ms, from_ms, to_ms))
        yield _Part(begin_ms, until_ms, part, unit, (begin_ms, until_ms) != (from_ms, to_ms))


def _edges(record: Activity, period: Period, start_ms: int, end_ms: int) -> Iterator[int]:
    """Where another factor may begin."""
    zone, at_ms = period.facility.zone, start_ms
    while at_ms < end_ms:
        by_year = record.kind != "electricity" or period.profile.method == "market"
        at_ms = year_span_ms(local_year(at_ms, zone), zone)[1] if by_year else period.resolve(at_ms).to_ms
        yield at_ms
    prefix = _PREFIX.get(record.kind) or f"{'upstream' if record.kind == 'bought' else 'fuel'}.{record.subject}"
    for entry in period.entries:
        if entry.id.startswith(prefix) and entry.facility in ("", period.facility.id):
            yield from (edge for edge in (entry.valid_from_ms, entry.valid_to_ms) if edge is not None)


def _electricity(
    one: InForce, part: _Part, period: Period, table: FactorTable, retired: list[Retired], left: Left
) -> Iterator[Line]:
    """A bill under the location or market method."""
    counts = Counts.SCOPE_2
    if period.profile.method == "location":
        found = period.resolve(part.start_ms)
        yield _line(one, part, Rate(counts, "CO2", applied(found), marks=found.marks, why=found.reason))
        return
    if period.profile.matching == "hourly":
        yield _line(one, part, Rate(counts, "CO2", None, why="hourly matching needs hours, a bill has none"))
        return
    use = Use(part.start_ms, part.end_ms, part.amount)
    figure = market_based(table, period.facility.factor_place(), [use], retired, period.as_of_ms, "annual", left=left)
    for piece in figure.parts:
        why = "; ".join(f"{skipped.candidate}: {skipped.reason}" for skipped in piece.skipped)
        rate = Rate(counts, "CO2", applied_part(piece), marks=piece.marks, why=why)
        yield _line(one, _Part(part.start_ms, part.end_ms, piece.kwh, part.unit, part.cut), rate)


def _line(one: InForce, part: _Part, rate: Rate) -> Line:
    record, factor = one.activity, rate.factor
    kg = None if factor is None else EXACT.multiply(part.amount, factor.kg_per_unit)
    waiting = ("correction_waits",) if one.waiting else ()
    return Line(
        source=f"activity:{record.source}", counts=rate.counts, activity=record.activity_class, carrier=carrier_of(record), start_ms=part.start_ms,
        end_ms=part.end_ms, quantity=part.amount, unit=part.unit, factor=factor, kg=kg, gas=rate.gas, quality="manual",
        reason=f"record {record.no} version {record.version}: {record.evidence}",
        marks=(*rate.marks, *(("pro_rata",) if part.cut else ()), *waiting), why="" if factor is not None else rate.why, figures=rate.figures,
    )  # fmt: skip


def carrier_of(record: Activity) -> str:
    """As its lines name it."""
    return "electricity" if record.kind == "electricity" else record.subject
