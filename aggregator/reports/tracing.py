"""From interval energies down to counters: kept boundary values, and the readings in sealed batches behind them. Judges no signature (see `checking`).

interval energy = sum over its boundary values of (next - this) x multiplier      kept values, exactly
boundary value made of a reading = the sealed reading within a second of it       up to a constant, which changes where a counter falls
any other boundary value           lies between the sealed readings on both sides
"""

import itertools
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from aggregator.audit.brackets import nearest
from aggregator.audit.counters import CounterName, counter_runs
from aggregator.audit.evidence import BundleUnreadable, unzipped
from aggregator.emissions.amounts import EXACT
from aggregator.intervals.meter import MeterSpec
from aggregator.reports.backing import Interval, by_start
from aggregator.reports.bundle import BOUNDARIES, EVIDENCE, INTERVALS, KeptBoundary
from wire.batch import BatchUnreadable, peek
from wire.reading import Quality

READING: Final = "reading"
Difference = tuple[str, str, str, str]  # file, expected, seen, of what


@dataclass(slots=True)
class Traced:
    """How far down intervals were followed. `differences`: what does not agree."""

    intervals: int = 0
    from_counters: int = 0
    boundaries: int = 0  # that intervals were computed from
    sealed: int = 0  # of them found in sealed readings
    between: int = 0  # of them that lie between the sealed readings around them
    differences: list[Difference] = field(default_factory=list)


def traced(
    rows: Sequence[Interval],
    boundaries: Sequence[KeptBoundary],
    meters: Sequence[MeterSpec],
    readings: Mapping[CounterName, Mapping[int, Decimal]],
) -> Traced:
    """Every measured interval from kept boundaries, and those from sealed readings (by counter and instant) where there are any."""
    found = Traced(len(rows))
    lines: dict[CounterName, list[KeptBoundary]] = defaultdict(list)
    for boundary in boundaries:
        lines[boundary.edge, boundary.device, boundary.quantity].append(boundary)
    by_name = by_start(rows)
    specs = {meter.device: meter for meter in meters}
    used: dict[CounterName, set[int]] = defaultdict(set)
    for name, line in lines.items():
        line.sort(key=lambda boundary: boundary.at_ms)
        if name[1] in specs:
            _from_counters(found, by_name.get(name[1:], ()), name, line, specs[name[1]], used[name])
    found.boundaries = sum(map(len, used.values()))
    for name, line in lines.items():
        _in_batches(
            found, name, [boundary for boundary in line if boundary.at_ms in used[name]], readings.get(name, {})
        )
    return found


def _from_counters(
    found: Traced,
    rows: Sequence[Interval],
    name: CounterName,
    line: Sequence[KeptBoundary],
    meter: MeterSpec,
    used: set[int],
) -> None:
    place = {boundary.at_ms: at for at, boundary in enumerate(line)}
    for row in rows:
        first, last = place.get(row.start_ms), place.get(row.end_ms)
        if row.source != "measured" or not row.final or first is None or last is None:
            continue
        energy = Decimal(0)
        for before, after in itertools.pairwise(line[first : last + 1]):
            energy = EXACT.add(energy, max(after.value - before.value, Decimal(0)) * meter.multiplier_at(before.at_ms))
        if energy == row.energy_kwh:
            found.from_counters += 1
            used.update(boundary.at_ms for boundary in line[first : last + 1])
        elif row.quality != Quality.SUBSTITUTED:  # an interval that was estimated does not have to be the difference
            of = f"{'/'.join(name)} from {row.start_ms}"
            found.differences.append(
                (
                    INTERVALS,
                    f"{energy} kWh, the difference of the kept values {line[first].value} and {line[last].value}",
                    f"{row.energy_kwh} kWh",
                    of,
                )
            )


def sealed_readings(evidence: bytes) -> dict[CounterName, dict[int, Decimal]]:
    """Counter readings in the sealed batches of an evidence bundle, by instant; nothing where it cannot be read."""
    try:
        files = unzipped(evidence)
    except BundleUnreadable:
        return {}
    contents = []
    for name, frame in sorted(files.items()):
        if name.startswith("frames/"):
            try:
                contents.append(peek(frame))
            except BatchUnreadable:
                continue
    return {
        name: {at_ms: Decimal(repr(value)) for at_ms, value in run.values.items()}
        for name, run in counter_runs(contents).items()
    }


def _in_batches(
    found: Traced, name: CounterName, line: Sequence[KeptBoundary], readings: Mapping[int, Decimal]
) -> None:
    """Boundaries that are said to be a reading, against that reading; the others against the readings on both sides of them.

    Kept values are counted on over rollovers, so what must agree is how far both have moved since a reading with no fall in between.
    """
    instants = sorted(readings)
    falls = [after for before, after in itertools.pairwise(instants) if readings[after] < readings[before]]
    anchor: tuple[Decimal, int] | None = None  # kept value less reading, and when
    for boundary in line:
        at = nearest(instants, boundary.at_ms)
        if boundary.how == READING and at is not None:
            matched = instants[at]
            ahead = boundary.value - readings[matched]
            if anchor is not None and ahead != anchor[0] and not _falls(falls, anchor[1], matched):
                expected = f"{readings[matched] + anchor[0]}, as the sealed readings of {EVIDENCE} have moved"
                found.differences.append(
                    (BOUNDARIES, expected, str(boundary.value), f"{'/'.join(name)} at {boundary.at_ms}")
                )
            anchor = (ahead, matched)
            found.sealed += 1
        elif boundary.how != READING:
            _between(found, name, boundary, anchor, instants, readings, falls)


def _between(
    found: Traced, name: CounterName, boundary: KeptBoundary, anchor: tuple[Decimal, int] | None, instants: Sequence[int],
    readings: Mapping[int, Decimal], falls: Sequence[int],
) -> None:  # fmt: skip
    after = bisect_left(instants, boundary.at_ms)
    if not 0 < after < len(instants) or _falls(
        falls, instants[after - 1] if anchor is None else anchor[1], instants[after]
    ):
        return
    ahead = Decimal(0) if anchor is None else anchor[0]  # no rollover before the span, or nothing can be said
    low, high = (readings[instants[each]] + ahead for each in (after - 1, after))
    if low <= boundary.value <= high:
        found.between += 1
    elif anchor is not None:
        expected = f"a value from {low} to {high}, as the sealed readings of {EVIDENCE} around it"
        found.differences.append((BOUNDARIES, expected, str(boundary.value), f"{'/'.join(name)} at {boundary.at_ms}"))


def _falls(falls: Sequence[int], after_ms: int, until_ms: int) -> bool:
    return bisect_right(falls, until_ms) > bisect_right(falls, after_ms)
