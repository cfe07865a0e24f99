"""Turns the contents of many batches into the columns of one commit, without an object per reading. Checks neither signature nor ledger.

A column of an unknown quantity, a row at an impossible time and a value that is not finite are left out and counted; their
neighbours stay.
"""

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aggregator.stores.store import Floats, Int32s, Int64s, Rows, SeriesKey
from wire.content import BlockJson, Content, QualityRun, ShapeJson, columns, instants, quality_columns
from wire.quantities import QUANTITIES

_log = logging.getLogger(__name__)

EARLIEST_MS: Final = 946_684_800_000  # 2000-01-01: before it a device's clock was never set
FUTURE_MS: Final = 3_600_000  # an edge's clock may run ahead by an hour
PLANS_MAX: Final = 200_000  # devices x shapes whose columns are remembered
_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a device's row of one shape becomes: series id and scale per column. `factor` None where no exponent is positive."""

    ids: Int32s
    divisor: Floats
    factor: Floats | None


@dataclass(slots=True)
class Gathered:
    """One commit's rows, what was left out of them (`unknown_quantity`, `impossible_time`, `not_finite`), and readings per batch.

    `first` names for each cause the first batch that had one.
    """

    rows: Rows
    left_out: Counter[str]
    readings: list[int]
    first: dict[str, Content] = field(default_factory=dict)


@dataclass(slots=True)
class _Parts:
    """Columns in the making. `instants` and `counts` say at which instant how many values in a row stand."""

    values: list[Any] = field(default_factory=list)
    ids: list[Int32s] = field(default_factory=list)
    divisors: list[Floats] = field(default_factory=list)
    instants: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    factors: list[tuple[int, Floats]] = field(default_factory=list)  # first row, factor per row
    qualities: list[tuple[int, list[list[QualityRun]]]] = field(default_factory=list)  # first row, runs per column


class Gatherer:
    """`ids` is the store's. Remembers the plan of each device and shape; used by one thread."""

    def __init__(self, ids: Callable[[Sequence[SeriesKey]], Int32s]) -> None:
        self._ids = ids
        self._plans: dict[tuple[object, ...], dict[str, _Plan]] = {}
        self._planned = 0

    def gather(self, contents: Sequence[Content], now_ms: int) -> Gathered:
        """The rows of all `contents`, in their order; `now_ms` (UTC) bounds what is a possible time."""
        parts, readings = _Parts(), []
        for content in contents:
            before = len(parts.values)
            plans = [self._plans_of(content, shape) for shape in content.shapes]
            for block in content.blocks:
                known = plans[block.shape]
                shape = content.shapes[block.shape]
                plan = known.get(block.device) or self._plan(content, block.device, shape, known)
                if block.row is not None and not block.quality and not block.exceptions:
                    _add_row(parts, plan, block.at_ms[0], block.row)
                else:
                    _add_block(parts, plan, shape, block)
            readings.append(len(parts.values) - before)
        rows, left_out, first_rows = _assembled(parts, now_ms)
        ends = list(accumulate(readings)) if first_rows else []
        first = {why: contents[bisect_right(ends, row)] for why, row in first_rows.items()}
        return Gathered(rows, left_out, readings, first)

    def _plans_of(self, content: Content, shape: ShapeJson) -> dict[str, _Plan]:
        key = (content.facility, content.edge, *shape.quantities, *shape.exp)
        known = self._plans.get(key)
        if known is None:
            known = self._plans[key] = {}
        return known

    def _plan(self, content: Content, device: str, shape: ShapeJson, known: dict[str, _Plan]) -> _Plan:
        if self._planned >= PLANS_MAX:
            self._plans.clear()  # a plan is only a shortcut; those in use come back at once
            self._planned = 0
        ids = np.full(len(shape.quantities), _UNKNOWN, dtype=np.int32)
        for quantity in shape.quantities:
            if quantity not in QUANTITIES:
                where = f"{content.facility}/{content.edge}/{device}"
                _log.warning("unknown quantity, its readings are left out device=%s quantity=%.64s", where, quantity)
        named = [n for n, quantity in enumerate(shape.quantities) if quantity in QUANTITIES]
        ids[named] = self._ids([SeriesKey(content.facility, content.edge, device, shape.quantities[n]) for n in named])
        exponents = [exponent or 0 for exponent in shape.exp]
        divisor = np.array([10.0 ** max(0, -exponent) for exponent in exponents])
        factor = np.array([10.0 ** max(0, exponent) for exponent in exponents]) if max(exponents) > 0 else None
        known[device] = plan = _Plan(ids, divisor, factor)
        self._planned += 1
        return plan


def _add_row(parts: _Parts, plan: _Plan, at_ms: int, row: list[int | float | None]) -> None:
    if plan.factor is not None:
        parts.factors.append((len(parts.values), plan.factor))
    parts.values += row
    parts.ids.append(plan.ids)
    parts.divisors.append(plan.divisor)
    parts.instants.append(at_ms)
    parts.counts.append(len(row))


def _add_block(parts: _Parts, plan: _Plan, shape: ShapeJson, block: BlockJson) -> None:
    at_ms = instants(block)
    quality = quality_columns(shape, block)
    if quality is not None:
        parts.qualities.append((len(parts.values), quality))
    if plan.factor is not None:
        parts.factors.append((len(parts.values), np.repeat(plan.factor, len(at_ms))))
    for column in columns(shape, block):
        parts.values += column
    parts.ids.append(np.repeat(plan.ids, len(at_ms)))
    parts.divisors.append(np.repeat(plan.divisor, len(at_ms)))
    parts.instants += at_ms * len(shape.quantities)
    parts.counts += [1] * (len(at_ms) * len(shape.quantities))


def no_rows() -> Rows:
    """A commit's rows where there are none."""
    codes = np.empty(0, np.uint8)
    return Rows(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64), codes, codes)


def _assembled(parts: _Parts, now_ms: int) -> tuple[Rows, Counter[str], dict[str, int]]:
    """The rows that are kept, how many were not by cause, and the first row of each cause."""
    if not parts.values:
        return no_rows(), Counter(), {}
    series = np.concatenate(parts.ids)
    at_ms = np.repeat(_instants(parts.instants), np.array(parts.counts, dtype=np.int64))
    raw = _floats(parts.values)
    with np.errstate(over="ignore"):
        value = raw / np.concatenate(parts.divisors)
        for first, factor in parts.factors:
            value[first : first + len(factor)] *= factor
    quality, reason = _codes(parts, len(series))
    left_out: Counter[str] = Counter()
    first_rows: dict[str, int] = {}
    keep = np.ones(len(series), dtype=np.bool_)
    wrong: NDArray[np.bool_]
    for why, wrong in (
        ("unknown_quantity", series < 0),
        ("impossible_time", (at_ms < EARLIEST_MS) | (at_ms > now_ms + FUTURE_MS)),
        ("not_finite", np.isinf(value)),
    ):
        wrong &= keep
        if wrong.any():
            left_out[why] = int(np.count_nonzero(wrong))
            first_rows[why] = int(np.argmax(wrong))
            keep &= ~wrong
    if left_out:
        series, at_ms, value, quality, reason = series[keep], at_ms[keep], value[keep], quality[keep], reason[keep]
    return Rows(series, at_ms, value, quality, reason), left_out, first_rows


def _instants(at_ms: list[int]) -> Int64s:
    try:
        return np.array(at_ms, dtype=np.int64)
    except OverflowError:
        return np.array([instant if abs(instant) < 2**62 else 0 for instant in at_ms], dtype=np.int64)


def _floats(values: list[int | float | None]) -> Floats:
    """None becomes nan; an integer beyond any float becomes infinite."""
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return np.array(
            [value if value is None or abs(value) < 1e300 else np.inf for value in values], dtype=np.float64
        )


def _codes(parts: _Parts, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    quality, reason = np.zeros(count, dtype=np.uint8), np.zeros(count, dtype=np.uint8)
    for first, runs_of_columns in parts.qualities:
        at = first
        for runs in runs_of_columns:
            for quality_code, reason_code, instants_count in runs:
                quality[at : at + instants_count] = quality_code
                reason[at : at + instants_count] = reason_code
                at += instants_count
    return quality, reason
