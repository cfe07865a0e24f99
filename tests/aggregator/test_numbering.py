"""How far an edge's numbers reach, and what a gap excuses."""

from typing import Any

from aggregator.numbering import EdgeNumbers
from aggregator.stores.store import Range
from wire.content import ClockJson


def edge(committed: list[int], gap: dict[str, Any] | None = None) -> EdgeNumbers:
    numbers = EdgeNumbers("works", "gw-01")
    for seq in committed:
        numbers.committed("e1", seq, "", f"{seq:064x}", 1_000 * seq)
    if gap is not None:
        numbers.gap("e1", {"kind": "dropped", "epoch": "e1", **gap})
    numbers.says("e1", 11, 12_000, online=True)
    return numbers


def test_the_watermark_stops_before_the_first_number_that_is_neither_stored_nor_named() -> None:
    figures = edge([1, 2, 3, 5]).figures()
    assert (figures.watermark, figures.backlog) == (3, 7)


def test_a_gap_of_all_numbers_between_two_excuses_all_of_them() -> None:
    assert edge([1, 2, 3, 8], {"first_seq": 4, "last_seq": 7}).figures().watermark == 8


def test_a_gap_that_names_every_second_number_does_not_excuse_those_between() -> None:
    gap = {"first_seq": 4, "last_seq": 8, "seqs": [4, 2, 2]}
    assert edge([1, 2, 3, 5], gap).figures().watermark == 6
    assert edge([1, 2, 3, 5, 7, 9, 10], gap).figures().watermark == 10


def test_it_is_complete_until_the_last_batch_that_lacks_none_before_it_was_sealed() -> None:
    """Batch n is sealed at n s; 4 is on its way."""
    assert edge([]).figures().complete_until_ms is None
    late = edge([1, 2, 3, 5, 6])
    assert late.figures().complete_until_ms == 3_000
    late.committed("e1", 4, "", f"{4:064x}", 4_000)
    assert late.figures().complete_until_ms == 6_000
    assert edge([1, 2, 3, 6], {"first_seq": 4, "last_seq": 5}).figures().complete_until_ms == 6_000


def test_a_spool_that_still_lacks_something_holds_back_the_one_after_it() -> None:
    numbers = edge([1, 2, 4])
    numbers.committed("e2", 1, "", f"{1:064x}", 20_000)
    assert numbers.figures().complete_until_ms == 2_000
    numbers.committed("e1", 3, "", f"{3:064x}", 3_000)
    assert numbers.figures().complete_until_ms == 20_000


def test_after_a_restart_it_is_known_with_the_next_batch() -> None:
    numbers = EdgeNumbers("works", "gw-01")
    numbers.restore("e1", [Range(1, 9, bytes(32))])
    assert numbers.figures().complete_until_ms is None
    numbers.committed("e1", 10, "", f"{10:064x}", 10_000)
    assert numbers.figures().complete_until_ms == 10_000


def hear(
    numbers: EdgeNumbers, seq: int, sealed_at_ms: int, now_ms: int, synced: bool | None, epoch: str = "e1"
) -> None:
    numbers.heard(epoch, seq, ClockJson(synced, "boot", seq, 10 * seq), sealed_at_ms, now_ms)
    numbers.committed(epoch, seq, "", f"{seq:064x}", sealed_at_ms)


def clock_of(numbers: EdgeNumbers) -> tuple[bool | None, int | None, int | None, int | None]:
    figures = numbers.figures()
    return figures.clock_synced, figures.clock_offset_ms, figures.clock_error_ms, figures.clock_skew_ms


def test_the_clock_is_that_of_the_newest_batch_and_a_backlog_says_nothing_of_it() -> None:
    numbers = EdgeNumbers("works", "gw-01")
    assert clock_of(numbers) == (None, None, None, None)
    hear(numbers, 9, 9_000, 9_300, synced=True)
    hear(numbers, 3, 3_000, 9_400, synced=False)  # sealed while there was no link
    assert clock_of(numbers) == (True, 9, 90, 300)
    hear(numbers, 2, 2_000, 9_400, synced=False, epoch="e0")  # of the spool before
    assert clock_of(numbers) == (True, 9, 90, 300)


def test_what_waited_somewhere_is_no_skew_and_a_clock_that_was_set_shows_within_16_batches() -> None:
    numbers = EdgeNumbers("works", "gw-01")
    for seq, late_ms in enumerate((250, 40_000, 900), start=1):
        hear(numbers, seq, 1_000 * seq, 1_000 * seq + late_ms, synced=True)
    assert numbers.figures().clock_skew_ms == 250
    for seq in range(4, 20):
        hear(numbers, seq, 1_000 * seq, 1_000 * seq + 60_000, synced=True)
    assert numbers.figures().clock_skew_ms == 60_000, "set back by a minute"
    hear(numbers, 20, 20_000, 19_000, synced=True)
    assert numbers.figures().clock_skew_ms == -1_000, "a clock that runs ahead shows at once"


def test_a_new_spool_brings_its_own_clock() -> None:
    numbers = EdgeNumbers("works", "gw-01")
    hear(numbers, 9, 9_000, 9_300, synced=True)
    hear(numbers, 1, 9_500, 9_600, synced=False, epoch="e2")
    assert clock_of(numbers)[:3] == (False, 1, 10)
