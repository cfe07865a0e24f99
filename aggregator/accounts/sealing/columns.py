"""Energy times factor over columns of sealed intervals, digit for digit what the rows one by one give. Not which lines come of it (see `metered`).

Energies are whole numbers of a power of ten, and so are their sums: 63 bits where they are sure to hold them, Python's integers where not. What
a boundary of day or factor cuts goes the way of single rows.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.accounts.sealing.file import Chunk
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.booking import Energy, parts
from aggregator.emissions.resolution import Resolution
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.ledger import IntervalRow

_MAX: Final = 2**63 - 1
Resolve = Callable[[int], Resolution]
# Stands for a factor where energies alone are wanted: it never changes, and there is none.
NO_FACTOR: Final = Resolution("", "none", None, "", 0, "", None, "", (), (), -(2**62), 2**62)


def without_factor(_at_ms: int) -> Resolution:
    """A resolution that cuts nothing."""
    return NO_FACTOR


@dataclass(frozen=True, slots=True)
class Piece:
    """Energy under one factor and of one grade within one local day: of a row, a part of a row, or `intervals` rows at once.

    `intervals` is 0 for what is left of a row whose beginning is another piece. `time_ms` is what the rows and parts come to, without what lies between.
    """

    start_ms: int
    end_ms: int
    kwh: Decimal
    factor: Resolution
    grade: Grade
    intervals: int
    provisional: int
    time_ms: int

    def time_until(self, to_ms: int) -> int:
        """`time_ms` as far as it lies before `to_ms`; only a piece of a single row may reach over it."""
        return self.time_ms if self.end_ms <= to_ms else max(0, to_ms - self.start_ms)


class Spans:
    """Where neither the local day nor the factor changes, throughout [from_ms, to_ms)."""

    def __init__(self, from_ms: int, to_ms: int, zone: ZoneInfo, resolve: Resolve) -> None:
        self.factors: list[Resolution] = []
        bounds: list[int] = []
        at_ms, day_ends_ms, factor_ends_ms = from_ms, from_ms, from_ms
        while at_ms < to_ms:
            if at_ms >= day_ends_ms:
                day_ends_ms = day_span_ms(local_day(at_ms, zone), zone)[1]
            if at_ms >= factor_ends_ms:
                factor = resolve(at_ms)
                factor_ends_ms = factor.to_ms
            bounds.append(at_ms)
            self.factors.append(factor)
            at_ms = min(day_ends_ms, factor_ends_ms, to_ms)
        self.bounds = np.array([*bounds, to_ms], np.int64)


def pieces_of_rows(rows: Iterable[IntervalRow], resolve: Resolve) -> Iterator[Piece]:
    """One piece per row, more where another factor begins within it."""
    for row in rows:
        yield from _cut(Energy(row.device, row.start_ms, row.end_ms, row.energy_kwh, row.final), row.grade, resolve)


def pieces_of_columns(chunk: Chunk, spans: Spans, resolve: Resolve) -> Iterator[Piece]:
    """One piece per span and grade of the rows that begin within the spans; those that reach over a bound one by one."""
    first, last = np.searchsorted(chunk.start_ms, (spans.bounds[0], spans.bounds[-1])).tolist()
    if first == last:
        return
    graded = chunk.graded[first:last]
    start: Any = chunk.start_ms[first:last]
    end: Any = chunk.end_ms[first:last]
    span = np.searchsorted(spans.bounds, start, "right") - 1
    single = end > spans.bounds[span + 1]
    for row in chunk.odd:
        if first <= row < last:
            single[row - first] = True
    for place in np.flatnonzero(single).tolist():
        grade, final = chunk.grades[graded[place]]
        energy = Energy(chunk.device, int(start[place]), int(end[place]), chunk.energy_kwh(first + place), final)
        yield from _cut(energy, grade, resolve)
    key: Any = span * len(chunk.grades) + graded
    mantissa: Any = chunk.mantissa[first:last]
    digits: Any = chunk.digits[first:last]
    if single.any():
        start, end, key, mantissa, digits = (each[~single] for each in (start, end, key, mantissa, digits))
        if not len(key):
            return
    if (key[1:] < key[:-1]).any():
        order = np.argsort(key, kind="stable")
        start, end, key, mantissa, digits = (each[order] for each in (start, end, key, mantissa, digits))
    begin = np.concatenate(([0], np.flatnonzero(key[1:] != key[:-1]) + 1))
    counts = np.diff(begin, append=len(key)).tolist()
    times = np.add.reduceat(end - start, begin).tolist()
    scale = int(digits.max())
    sums = _sums(mantissa, digits, scale, begin)
    shown = np.maximum.reduceat(digits, begin).tolist()
    starts, ends = np.minimum.reduceat(start, begin).tolist(), np.maximum.reduceat(end, begin).tolist()
    for place, code in enumerate(key[begin].tolist()):
        grade, final = chunk.grades[code % len(chunk.grades)]
        kwh = Decimal(sums[place] // 10 ** (scale - shown[place])).scaleb(-shown[place], EXACT)
        count = counts[place]
        factor = spans.factors[code // len(chunk.grades)]
        yield Piece(starts[place], ends[place], kwh, factor, grade, count, 0 if final else count, times[place])


def _cut(energy: Energy, grade: Grade, resolve: Resolve) -> Iterator[Piece]:
    """An energy as `booking.parts` cuts it."""
    for at_ms, to_ms, kwh, factor in parts(energy, resolve):
        begins = at_ms == energy.start_ms
        yield Piece(at_ms, to_ms, kwh, factor, grade, int(begins), int(begins and not energy.final), to_ms - at_ms)


def _sums(mantissa: Any, digits: Any, scale: int, begin: Any) -> list[int]:
    """The sum of each run of rows, in units of 10^-scale kWh."""
    lowest = int(digits.min())
    largest = max(int(mantissa.max()), -int(mantissa.min()))
    if largest * 10 ** (scale - lowest) * len(mantissa) > _MAX:
        mantissa, digits = mantissa.astype(object), digits.astype(object)
        return [int(each) for each in np.add.reduceat(mantissa * 10 ** (scale - digits), begin)]
    if lowest < scale:
        mantissa = mantissa * 10 ** (scale - digits.astype(np.int64))
    found: list[int] = np.add.reduceat(mantissa, begin).tolist()
    return found
