"""Sharing out over columns of sealed intervals, digit for digit what the intervals one by one give. Not what is shared and why (see `shares`).

Taken at once are the intervals in which every meter of the tree has a figure, nothing but the mains supplied the site and no meter inside measures more
than the one around it: there kg is energy x factor, own parts add up to the mains, and sums are sums of whole numbers. All others are left to be
divided one by one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np

from aggregator.accounts.sealing.columns import Spans
from aggregator.accounts.sealing.file import Chunk
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.resolution import Resolution
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.intervals.meter import Role
from aggregator.meter_tree import MeterTree

IMPORT: Final = "energy_import_kwh"
EXPORT: Final = "energy_export_kwh"
_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SharedPiece:
    """What a source took in `intervals` intervals of one local day, factor and grade."""

    source: str
    start_ms: int
    end_ms: int
    kwh: Decimal
    factor: Resolution
    grade: Grade
    intervals: int
    provisional: int


@dataclass(slots=True)
class _Grid:
    """The meters' energies on the grid of intervals: one row per meter, one column per interval, in units of 10^-scale kWh."""

    value: Any
    has: Any
    digits: Any
    graded: Any
    scale: int
    grades: list[tuple[Grade, bool]]


def shared_columns(
    tree: MeterTree, spans: Spans, chunk_of: Callable[[str, str], Chunk | None], interval_ms: int, unmetered: str
) -> tuple[list[SharedPiece], list[int]] | None:
    """The pieces, and the starts of the intervals that are left; None where all are, as a meter sends energy back or counts in other intervals.

    `unmetered` is the source of what no meter inside a main has measured.
    """
    grid = _laid_out(tree, spans, chunk_of, interval_ms)
    if grid is None:
        return None
    place = {device: number for number, device in enumerate(tree.nodes)}
    own: dict[str, Any] = {}
    names: dict[str, list[int]] = {}
    for device, node in tree.nodes.items():
        if node.role is not Role.MAIN:
            inside = [place[child] for child in node.children]
            own[f"part:{device}"] = grid.value[place[device]] - grid.value[inside].sum(axis=0)
            names[f"part:{device}"] = [place[device], *inside]
    mains = [place[main] for main in tree.mains]
    top = [
        place[each] for each in (*tree.loose, *(child for main in tree.mains for child in tree.nodes[main].children))
    ]
    own[unmetered] = grid.value[mains].sum(axis=0) - grid.value[top].sum(axis=0)
    names[unmetered] = [*mains, *top]
    starts = spans.bounds[0] + np.arange(grid.value.shape[1], dtype=np.int64) * interval_ms
    span = np.searchsorted(spans.bounds, starts, "right") - 1
    usable = np.array([_plain(factor) for factor in spans.factors])[span] & (
        starts + interval_ms <= spans.bounds[span + 1]
    )
    plain = usable & grid.has.all(axis=0)
    for part in own.values():
        plain &= part >= 0
    left: list[int] = starts[grid.has.any(axis=0) & ~plain].tolist()
    found = [
        piece
        for source, part in own.items()
        for piece in _pieces(source, grid, part, names[source], np.flatnonzero(plain & (part > 0)), span, spans, starts, interval_ms)
    ]  # fmt: skip
    return found, left


def _plain(factor: Resolution) -> bool:
    """Whether a sum times the factor has the digits of the sum of products: not for a factor of 0, nor for one in tens."""
    value = factor.kg_per_kwh
    return value is None or (value != 0 and int(value.as_tuple().exponent) <= 0)


def _laid_out(
    tree: MeterTree, spans: Spans, chunk_of: Callable[[str, str], Chunk | None], interval_ms: int
) -> _Grid | None:
    first_ms, last_ms = int(spans.bounds[0]), int(spans.bounds[-1])
    columns = (last_ms - first_ms) // interval_ms
    if (
        any(node.role is Role.VIRTUAL for node in tree.nodes.values())
        or first_ms % interval_ms
        or last_ms % interval_ms
    ):
        return None
    shape = (len(tree.nodes), columns)
    grid = _Grid(
        np.zeros(shape, np.int64), np.zeros(shape, bool), np.zeros(shape, np.int8), np.zeros(shape, np.uint8), 0, []
    )
    known: dict[tuple[Grade, bool], int] = {}
    for row, device in sorted(enumerate(tree.nodes), key=lambda each: each[1]):  # the order of sealed files
        sent = chunk_of(device, EXPORT)
        if sent is not None and len(np.unique(np.searchsorted(sent.start_ms, (first_ms, last_ms)))) > 1:
            return None
        chunk = chunk_of(device, IMPORT)
        if chunk is None:
            continue
        first, last = np.searchsorted(chunk.start_ms, (first_ms, last_ms)).tolist()
        start, end = chunk.start_ms[first:last], chunk.end_ms[first:last]
        if (
            (start % interval_ms).any()
            or (end - start != interval_ms).any()
            or any(first <= odd < last for odd in chunk.odd)
        ):
            return None
        at = (start - first_ms) // interval_ms
        grid.value[row, at], grid.has[row, at] = chunk.mantissa[first:last], True
        grid.digits[row, at] = chunk.digits[first:last]
        codes = np.array([known.setdefault(each, len(known)) for each in chunk.grades], np.int64)
        if len(known) > 255:
            return None
        grid.graded[row, at] = codes[chunk.graded[first:last]]
    grid.grades = list(known)
    return _scaled(grid)


def _scaled(grid: _Grid) -> _Grid | None:
    """All values in one unit; None where a sum might take more than 63 bits."""
    if not grid.has.any():
        return grid
    lowest, grid.scale = int(grid.digits[grid.has].min()), int(grid.digits.max())
    largest = max(int(grid.value.max()), -int(grid.value.min()))
    if largest * 10 ** (grid.scale - lowest) * grid.value.size > _MAX:
        return None
    if lowest < grid.scale:
        grid.value *= np.where(grid.has, 10 ** (grid.scale - grid.digits.astype(np.int64)), 1)
    return grid


def _pieces(
    source: str,
    grid: _Grid,
    part: Any,
    names: Sequence[int],
    at: Any,
    span: Any,
    spans: Spans,
    starts: Any,
    interval_ms: int,
) -> Iterator[SharedPiece]:
    """The intervals `at`, added up by span and by the worst grade of the meters that make the part."""
    if not len(at):
        return
    graded = grid.graded[np.ix_(names, at)]
    severity = np.array([grade.severity for grade, _ in grid.grades], np.int8)[graded]
    worst = np.take_along_axis(graded, severity.argmax(axis=0)[None], axis=0)[0]
    worst = np.where(severity.max(axis=0) > 0, worst, len(grid.grades))
    final = np.array([final for _, final in grid.grades])[graded].all(axis=0)
    digits = grid.digits[np.ix_(names, at)].max(axis=0)
    key = span[at] * (len(grid.grades) + 1) + _same(grid.grades)[worst]
    order = np.argsort(key, kind="stable")
    key, at, digits, final = key[order], at[order], digits[order], final[order]
    begin = np.concatenate(([0], np.flatnonzero(key[1:] != key[:-1]) + 1))
    counts = np.diff(begin, append=len(key)).tolist()
    sums, shown = np.add.reduceat(part[at], begin).tolist(), np.maximum.reduceat(digits, begin).tolist()
    first, last = np.minimum.reduceat(starts[at], begin).tolist(), np.maximum.reduceat(starts[at], begin).tolist()
    done = np.add.reduceat(final.astype(np.int64), begin).tolist()
    for number, code in enumerate(key[begin].tolist()):
        of, graded_as = divmod(code, len(grid.grades) + 1)
        kwh = Decimal(sums[number] // 10 ** (grid.scale - shown[number])).scaleb(-shown[number], EXACT)
        grade = GOOD if graded_as == len(grid.grades) else grid.grades[graded_as][0]
        count = counts[number]
        yield SharedPiece(
            source,
            first[number],
            last[number] + interval_ms,
            kwh,
            spans.factors[of],
            grade,
            count,
            count - done[number],
        )


def _same(grades: Sequence[tuple[Grade, bool]]) -> Any:
    """The first number of each grade, final or not; the last one stands for good without a reason."""
    first: dict[Grade, int] = {}
    return np.array([*(first.setdefault(grade, number) for number, (grade, _) in enumerate(grades)), len(grades)])
