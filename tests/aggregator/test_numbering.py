"""How far an edge's numbers reach, and what a gap excuses."""

from typing import Any

from aggregator.numbering import EdgeNumbers


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
