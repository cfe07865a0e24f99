"""Sets of numbers as ranges, against Python's own sets."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.spans import Spans, joined

number = st.integers(1, 30)
steps = st.lists(st.tuples(st.sampled_from(["add", "discard"]), number, number), max_size=30)


def played(changes: list[tuple[str, int, int]]) -> tuple[Spans, set[int]]:
    spans, model = Spans(), set[int]()
    for word, one, other in changes:
        first, last = min(one, other), max(one, other)
        if word == "add":
            spans.add(first, last)
            model |= set(range(first, last + 1))
        else:
            spans.discard(first, last)
            model -= set(range(first, last + 1))
    return spans, model


@given(steps)
def test_a_set_of_ranges_holds_what_a_set_of_numbers_holds(changes: list[tuple[str, int, int]]) -> None:
    spans, model = played(changes)
    assert [n for n in range(32) if n in spans] == sorted(model)
    assert spans.count == len(model)
    assert spans.last == max(model, default=0)
    assert spans.first_missing == min(set(range(1, 40)) - model)


@given(steps)
def test_ranges_never_touch_and_are_sorted(changes: list[tuple[str, int, int]]) -> None:
    ranges = list(played(changes)[0])
    assert len(ranges) == len(played(changes)[0])
    assert all(first <= last for first, last in ranges)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(ranges))


@given(steps, number, number)
def test_missing_ranges_are_the_complement(changes: list[tuple[str, int, int]], one: int, other: int) -> None:
    spans, model = played(changes)
    first, last = min(one, other), max(one, other)
    found = [n for low, high in spans.missing(first, last) for n in range(low, high + 1)]
    assert found == [n for n in range(first, last + 1) if n not in model]


@given(steps, st.integers(0, 35))
def test_missing_numbers_come_from_the_top(changes: list[tuple[str, int, int]], last: int) -> None:
    spans, model = played(changes)
    assert list(spans.missing_downwards(last)) == [n for n in range(last, 0, -1) if n not in model]


@given(st.lists(number))
def test_any_numbers_join_to_ranges(numbers: list[int]) -> None:
    assert list(joined(numbers)) == list(Spans((n, n) for n in numbers))


@pytest.mark.parametrize(("first", "last"), [(0, 3), (5, 4), (1, 2**64)])
def test_what_is_no_range_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="expected 1 <= first"):
        Spans().add(first, last)
