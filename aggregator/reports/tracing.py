"""From interval energies down to counters: kept boundary values, and the readings in sealed batches behind them. Judges no signature (see `checking`).

interval energy = sum over its boundary values of (next - this) x multiplier      kept values, exactly
boundary value made of a reading = the sealed reading within a second of it       up to a constant, which changes where a counter falls
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from aggregator.audit.counters import CounterName, counter_runs
from aggregator.audit.evidence import BundleUnreadable, unzipped
from aggregator.emissions.amounts import EXACT
from aggregator.intervals.meter import MeterSpec
from aggregator.reports.backing import Interval, by_start
from aggregator.reports.bundle import BOUNDARIES, EVIDENCE, INTERVALS, KeptBoundary
from wire.batch import BatchUnreadable, peek
from wire.reading import Quality

NEAR_MS: Final = 1000  # as in aggregator/audit/export.py, which a verifier does not have to have
READING: Final = "reading"
Difference = tuple[str, str, str, str]  # file, expected, seen, of what


@dataclass(slots=True)
class Traced:
    """How far down intervals were followed. `differences`: what does not agree."""

    intervals: int = 0
    from_counters: int = 0
    boundaries: int = 0  # that intervals were computed from
    sealed: int = 0  # of them found in sealed readings
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
    """Boundaries that are said to be a reading, against that reading: between two of them the counter has moved as the line has."""
    instants = sorted(readings)
    falls = {after for before, after in itertools.pairwise(instants) if readings[after] < readings[before]}
    before: tuple[KeptBoundary, Decimal, int] | None = None
    at = 0
    for boundary in line:
        if boundary.how != READING:
            continue
        while at < len(instants) and instants[at] < boundary.at_ms - NEAR_MS:
            at += 1
        near = list(itertools.takewhile(lambda instant, end=boundary.at_ms + NEAR_MS: instant <= end, instants[at:]))  # type: ignore[misc]
        if not near:
            continue
        matched = min(near, key=lambda instant: (abs(instant - boundary.at_ms), instant))
        shown = readings[matched]
        if before is not None and not any(before[2] < fall <= matched for fall in falls):
            moved, said = shown - before[1], boundary.value - before[0].value
            if moved != said:
                expected = f"a difference of {moved} since {before[0].at_ms}, as in the sealed readings of {EVIDENCE}"
                found.differences.append((BOUNDARIES, expected, str(said), f"{'/'.join(name)} at {boundary.at_ms}"))
        found.sealed += 1
        before = boundary, shown, matched
