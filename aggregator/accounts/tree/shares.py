"""What the meters inside a main took of its kg: allocated lines, one for each own part, the unmetered remainder and what is undivided. Not the scope 2 itself.

In each interval the kg of the mains' import are shared among what consumed, in proportion to energy. Where nothing else supplied the site that is
energy x factor; where PV or storage did, everybody gets less than that, and the kg still add up to the mains'.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from aggregator.accounts.line import Counts, Line
from aggregator.accounts.metered import applied, identity
from aggregator.accounts.period import Period
from aggregator.accounts.pools.site_days import site_of
from aggregator.accounts.sealing.pieces import SealedPieces
from aggregator.accounts.tree.share_columns import SharedPiece, shared_columns
from aggregator.accounts.tree.slots import ZERO
from aggregator.accounts.tree.tree import Division, Metered
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.booking import Energy, parts
from aggregator.emissions.factors import AVERAGE
from aggregator.emissions.resolution import Resolution
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.intervals.local_time import local_day as day_of
from aggregator.meter_tree import meter_tree

UNMETERED: Final = "unmetered"
UNDIVIDED: Final = "undivided"
SITE_MIX: Final = "site_mix"  # the grid was not the only supply: kg is not energy x the grid's factor
HELD: Final = 200_000  # intervals of all meters together
KG_GRAIN: Final = Decimal("0.000000001")


class _Group(NamedTuple):
    source: str
    day: date
    factor: tuple[object, ...]
    grade: Grade
    mixed: bool


@dataclass(slots=True)
class _Sum:
    start_ms: int
    end_ms: int
    found: Resolution
    kwh: Decimal = ZERO
    kg: Decimal | None = None
    intervals: int = 0
    provisional: int = 0


def allocated_lines(period: Period) -> Iterator[Line]:
    """Of electricity, under a location-based profile; nothing where no meter inside a main has a figure, nor where PV, storage or charging is
    metered: there the same is done with what reaches the loads (see `pool_lines`).
    """
    if site_of(period.facility) is not None:
        return
    sums: dict[_Group, _Sum] = {}
    days, left = _by_columns(period, sums)
    for shared_out in intervals_shared(period, days, left):
        _add(period, shared_out, sums)
    for group, summed in sums.items():
        yield _line(group, summed)


def _by_columns(period: Period, sums: dict[_Group, _Sum]) -> tuple[list[tuple[int, int]], Callable[[int], bool]]:
    """Adds up what sealed columns give at once; gives the days that are left, and which of their intervals are."""
    days = [(from_ms, to_ms) for _, from_ms, to_ms in period.days()]
    if not isinstance(period.columns, SealedPieces) or not _shares(period):
        return days, lambda _: True
    tree = meter_tree(period.facility, "electricity")
    begins = {from_ms for from_ms, _ in days}
    done: list[tuple[int, int]] = []
    left: set[int] = set()
    for spans, chunk_of in period.columns.sealed():
        from_ms, to_ms = int(spans.bounds[0]), int(spans.bounds[-1])
        if from_ms not in begins or (to_ms not in begins and to_ms != period.to_ms):
            continue
        found = shared_columns(tree, spans, chunk_of, period.facility.interval_ms, UNMETERED)
        if found is not None:
            for piece in found[0]:
                _add_piece(period, piece, sums)
            left.update(found[1])
            done.append((from_ms, to_ms))
    ordered = sorted(left)
    kept = [
        (from_ms, to_ms)
        for from_ms, to_ms in days
        if not _within(from_ms, done) or bisect_left(ordered, from_ms) < bisect_left(ordered, to_ms)
    ]
    return kept, lambda at_ms: at_ms in left or not _within(at_ms, done)


def _within(at_ms: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(from_ms <= at_ms < to_ms for from_ms, to_ms in spans)


@dataclass(frozen=True, slots=True)
class SharedOut:
    """One interval: what took energy, by source, and its kg (None: no factor). `mixed`: kg is not energy x `found`."""

    metered: Metered
    start_ms: int
    taken: Mapping[str, Decimal]
    kg: Mapping[str, Decimal] | None
    found: Resolution
    mixed: bool


def intervals_shared(
    period: Period, days: Sequence[tuple[int, int]] | None = None, wanted: Callable[[int], bool] = lambda _: True
) -> Iterator[SharedOut]:
    """Each interval of electricity that the mains have a figure of, shared out; not those of local days on which no meter inside has any.

    `days` and `wanted` (by start) say which, where not all are.
    """
    if not _shares(period):
        return
    tree = meter_tree(period.facility, "electricity")
    inside = [device for device in tree.nodes if device not in tree.mains]
    days = [(from_ms, to_ms) for _, from_ms, to_ms in period.days()] if days is None else days
    for from_ms, to_ms in _pieces(period, days, len(tree.nodes)):
        metered = Metered(period.facility, "electricity", period.reading(from_ms, to_ms), from_ms, to_ms)
        zone = period.facility.zone
        told = {day_of(at_ms, zone) for device in inside for at_ms in metered.slots[device]}
        for at_ms in filter(wanted, metered.starts()):
            division = metered.division(at_ms)
            if division.total is not None and day_of(at_ms, zone) in told:
                yield _shared_out(period, metered, at_ms, division)


def _shares(period: Period) -> bool:
    """Whether there is anything to share out: a location-based inventory, and a meter inside a main."""
    if period.profile.method != "location" or period.profile.signal != AVERAGE:
        return False
    tree = meter_tree(period.facility, "electricity")
    return any(device not in tree.mains for device in tree.nodes)


def _pieces(period: Period, days: Sequence[tuple[int, int]], meters: int) -> Iterator[tuple[int, int]]:
    """Local days in stretches, so many that not too much of them is held at once."""
    day_intervals = 86_400_000 // period.facility.interval_ms
    at_once = max(1, HELD // (meters * day_intervals))
    piece: list[tuple[int, int]] = []
    for day in days:
        if piece and (len(piece) == at_once or piece[-1][1] != day[0]):
            yield piece[0][0], piece[-1][1]
            piece = []
        piece.append(day)
    if piece:
        yield piece[0][0], piece[-1][1]


def _shared_out(period: Period, metered: Metered, at_ms: int, division: Division) -> SharedOut:
    mains = [metered.slots[main][at_ms] for main in metered.tree.mains if at_ms in metered.slots[main]]
    imported = sum((slot.incoming for slot in mains), ZERO)
    cut = list(parts(Energy("", at_ms, at_ms + period.facility.interval_ms, imported, True), period.resolve))
    kg: Decimal | None = ZERO
    for _, _, kwh, found in cut:
        kg = None if kg is None or found.kg_per_kwh is None else EXACT.add(kg, EXACT.multiply(kwh, found.kg_per_kwh))
    taken, factor = consumed(division), cut[0][3]
    mixed = sum(taken.values(), ZERO) != imported or len(cut) > 1
    shares: Mapping[str, Decimal] | None = None
    if kg is not None and mixed:
        shares = shared(kg, taken)
    elif kg is not None and factor.kg_per_kwh is not None:
        shares = {source: EXACT.multiply(kwh, factor.kg_per_kwh) for source, kwh in taken.items()}
    return SharedOut(metered, at_ms, taken, shares, factor, mixed)


def _add(period: Period, one: SharedOut, sums: dict[_Group, _Sum]) -> None:
    day, factor = day_of(one.start_ms, period.facility.zone), identity(one.found)
    end_ms = one.start_ms + period.facility.interval_ms
    for source, kwh in one.taken.items():
        grade, final = _graded(one.metered, source, one.start_ms)
        summed = sums.setdefault(_Group(source, day, factor, grade, one.mixed), _Sum(one.start_ms, end_ms, one.found))
        summed.start_ms, summed.end_ms = min(summed.start_ms, one.start_ms), max(summed.end_ms, end_ms)
        summed.kwh = EXACT.add(summed.kwh, kwh)
        summed.intervals += 1
        summed.provisional += not final
        if one.kg is not None:
            summed.kg = EXACT.add(summed.kg or ZERO, one.kg[source])


def _add_piece(period: Period, piece: SharedPiece, sums: dict[_Group, _Sum]) -> None:
    """As `_add`, of many intervals at once."""
    found = piece.factor
    group = _Group(
        piece.source, day_of(piece.start_ms, period.facility.zone), identity(found), piece.grade, mixed=False
    )
    summed = sums.setdefault(group, _Sum(piece.start_ms, piece.end_ms, found))
    summed.start_ms, summed.end_ms = min(summed.start_ms, piece.start_ms), max(summed.end_ms, piece.end_ms)
    summed.kwh = EXACT.add(summed.kwh, piece.kwh)
    summed.intervals += piece.intervals
    summed.provisional += piece.provisional
    if found.kg_per_kwh is not None:
        summed.kg = EXACT.add(summed.kg or ZERO, EXACT.multiply(piece.kwh, found.kg_per_kwh))


def consumed(division: Division) -> dict[str, Decimal]:
    """What took energy in an interval, by source; what gave some, or measured too little, took none."""
    taken = {f"part:{device}": own for device, own in division.own.items()}
    taken[UNMETERED] = division.unmetered or ZERO
    taken[UNDIVIDED] = division.undivided
    return {source: kwh for source, kwh in taken.items() if kwh > 0}


def shared(kg: Decimal, taken: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """kg in proportion to energy, to 0.000000001 kg; the largest takes the exact rest."""
    if not taken:
        return {}
    whole = sum(taken.values(), ZERO)
    found = {source: (kg * kwh / whole).quantize(KG_GRAIN) for source, kwh in taken.items()}
    largest = max(taken, key=lambda source: (taken[source], source))
    others = sum((part for source, part in found.items() if source != largest), ZERO)
    return found | {largest: EXACT.subtract(kg, others)}


def _graded(metered: Metered, source: str, at_ms: int) -> tuple[Grade, bool]:
    """The worst of the meters that make a part."""
    tree = metered.tree
    device = source.removeprefix("part:")
    if source in (UNMETERED, UNDIVIDED):
        inside = [*tree.loose, *(child for main in tree.mains for child in tree.nodes[main].children)]
        names = [*tree.mains, *inside]
    else:
        names = [device, *tree.nodes[device].children]
    grade, final = GOOD, True
    for name in names:
        slot = metered.slots[name].get(at_ms)
        if slot is not None:
            grade, final = grade.worse(slot.grade), final and slot.final
    return grade, final


def _line(group: _Group, summed: _Sum) -> Line:
    found = summed.found
    return Line(
        source=group.source, counts=Counts.ALLOCATED, activity="indirect", carrier="electricity", start_ms=summed.start_ms,
        end_ms=summed.end_ms, quantity=summed.kwh, unit="kWh", factor=None if group.mixed else applied(found), kg=summed.kg,
        quality=group.grade.quality.name.lower(), reason=group.grade.reason, intervals=summed.intervals, provisional=summed.provisional,
        marks=(*found.marks, SITE_MIX) if group.mixed else found.marks, why=found.reason,
    )  # fmt: skip
