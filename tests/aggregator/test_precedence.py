"""Which of several figures stands: each case by hand, and that the order in which they are known makes no difference."""

import itertools
from decimal import Decimal

import pytest

from aggregator.interval_row import IntervalRow
from aggregator.intervals.boundaries import COUNTER_DIFF, GOOD, INTEGRATED, QUANTUM, Grade
from aggregator.precedence import standing_of

MINUTE_MS = 60_000


def figure(source: str, from_min: int, to_min: int, grade: Grade = GOOD) -> IntervalRow:
    ends = (from_min * MINUTE_MS, to_min * MINUTE_MS)
    return IntervalRow("works", "incomer", "energy_import_kwh", *ends, Decimal(1), grade, True, source)


def counted(from_min: int, to_min: int, grade: Grade = GOOD) -> IntervalRow:
    return figure("measured", from_min, to_min, grade)


def imported(from_min: int, to_min: int) -> IntervalRow:
    return figure("import", from_min, to_min)


def by_hand(from_min: int, to_min: int) -> IntervalRow:
    return figure("manual", from_min, to_min)


def guessed(from_min: int, to_min: int) -> IntervalRow:
    return counted(from_min, to_min, COUNTER_DIFF)


HOUR = imported(0, 60)
QUARTERS = [counted(0, 15), counted(15, 30), counted(30, 45), counted(45, 60)]
TWENTIES = [imported(0, 20), imported(20, 40), imported(40, 60)]
FIVES = [imported(n, n + 5) for n in range(0, 15, 5)]
CASES = {
    "the counter, not a file about it": ([counted(0, 15), imported(0, 15)], [0]),
    "the counter, also where its shape is coarse": ([counted(0, 15, QUANTUM), imported(0, 15)], [0]),
    "an import, not what the counter only estimates": ([guessed(0, 15), imported(0, 15)], [1]),
    "an import, not integrated power": ([counted(0, 15, INTEGRATED), imported(0, 15)], [1]),
    "a person's correction of an import": ([imported(0, 15), by_hand(0, 15)], [1]),
    "a person's correction, not an estimate": ([imported(0, 15), by_hand(0, 15), guessed(0, 15)], [1]),
    "the counter, not a person's correction": ([imported(0, 15), by_hand(0, 15), counted(0, 15)], [2]),
    "an estimated shape, not a person alone": ([by_hand(0, 15), guessed(0, 15)], [1]),
    "four quarters, not the hour": ([HOUR, *QUARTERS], [1, 2, 3, 4]),
    "the hour where a quarter is missing": ([HOUR, *QUARTERS[:3]], [0]),
    "the hour where a quarter is estimated, and what is beside it": ([HOUR, *QUARTERS[:3], guessed(45, 60), counted(60, 75)], [0, 5]),
    "a quarter, not three imports below it": ([counted(0, 15), *FIVES], [0]),
    "three imports, not an estimate over them": ([guessed(0, 15), *FIVES], [1, 2, 3]),
    "one import, not an estimate over it": ([guessed(0, 15), FIVES[1]], [1]),
    # 20 to 40 needs the estimated quarter: it stands and shuts out 15 to 30 and 30 to 45, which the other two need.
    "imports that hold each other where lengths do not divide": ([*TWENTIES, *QUARTERS[:2], guessed(30, 45), QUARTERS[3]], [0, 1, 2]),
    "quarters under imports whose lengths do not divide": ([*TWENTIES, *QUARTERS], [3, 4, 5, 6]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_stands_is(name: str) -> None:
    known, expected = CASES[name]
    for order in itertools.islice(itertools.permutations(known), 200):
        assert standing_of(order) == sorted((known[n] for n in expected), key=lambda row: row.start_ms)
