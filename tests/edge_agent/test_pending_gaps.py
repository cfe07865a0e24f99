"""Gap records that wait: joined, they still name exactly what was lost."""

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.pending_gaps import MAX_NUMBERS, PendingGaps
from wire.content import Gap, missing_numbers


def dropped(seq: int, cls: str = "gauge", last: int | None = None) -> Gap:
    return Gap("dropped", "the spool was full", "e1", cls, seq, last or seq, readings=10)  # type: ignore[arg-type]


def numbers(gaps: list[Gap]) -> list[int]:
    found = []
    for gap in gaps:
        assert gap.first_seq is not None
        assert gap.last_seq is not None
        for first, last in missing_numbers(gap.first_seq, gap.last_seq, gap.seqs):
            found += range(first, last + 1)
    return found


def test_every_second_number_dropped_is_one_gap_that_names_every_second_number() -> None:
    pending = PendingGaps()
    for seq in range(3, 20, 2):
        pending.add(dropped(seq))
    (gap,) = pending.waiting
    assert (gap.first_seq, gap.last_seq, gap.readings) == (3, 19, 90)
    assert numbers([gap]) == [3, 5, 7, 9, 11, 13, 15, 17, 19]


def test_numbers_in_a_row_are_named_by_their_ends() -> None:
    pending = PendingGaps()
    for seq in range(1, 5_000):
        pending.add(dropped(seq, "event"))
    (gap,) = pending.waiting
    assert (gap.first_seq, gap.last_seq, gap.seqs) == (1, 4_999, [])


def test_classes_are_not_joined() -> None:
    pending = PendingGaps()
    pending.add(dropped(1, "gauge"))
    pending.add(dropped(2, "counter"))
    assert len(pending.waiting) == 2


def test_a_gap_names_a_bounded_count_of_numbers_one_by_one() -> None:
    pending = PendingGaps()
    for seq in range(1, 4 * MAX_NUMBERS, 2):
        pending.add(dropped(seq))
    assert numbers(pending.waiting) == list(range(1, 4 * MAX_NUMBERS, 2))
    assert max(len(gap.seqs) for gap in pending.waiting) <= MAX_NUMBERS


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), max_size=60))
def test_joined_gaps_name_exactly_what_was_dropped(steps: list[tuple[int, int]]) -> None:
    pending, wanted, seq = PendingGaps(), [], 0
    for step, more in steps:
        first = seq + step
        seq = first + more
        wanted += range(first, seq + 1)
        pending.add(dropped(first, last=seq))
    assert numbers(pending.waiting) == wanted
