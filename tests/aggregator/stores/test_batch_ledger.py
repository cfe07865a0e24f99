"""Ranges of numbers against a plain set, and the index over a ledger whose table is asked for what is long past."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from aggregator.stores.batch_ledger import HASHES_KEPT, BatchLedger
from aggregator.stores.number_ranges import NumberRanges
from aggregator.stores.store import CommittedBatch, Range, Spool

SPOOL = Spool("works", "gw-01", "e1")


def batch(seq: int, sha256: bytes) -> CommittedBatch:
    return CommittedBatch(*SPOOL, seq, sha256, 0, 0, 1)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8))))
def test_ranges_hold_what_a_set_holds(spans: list[tuple[int, int]]) -> None:
    ranges, plain = NumberRanges(), set[int]()
    for first, more in spans:
        ranges.add(first, first + more)
        plain |= set(range(first, first + more + 1))
    assert {n for n in range(80) if n in ranges} == plain
    pairs = ranges.pairs()
    assert [n for first, last in pairs for n in range(first, last + 1)] == sorted(plain)
    assert all(later[0] > earlier[1] + 1 for earlier, later in itertools.pairwise(pairs))
    assert ranges.reach(1) == next(n for n in range(1, 100) if n not in plain) - 1


def test_hashes_of_the_long_past_are_asked_of_the_table() -> None:
    asked: list[int] = []

    def look_up(spool: Spool, seq: int) -> tuple[bytes, ...]:
        asked.append(seq)
        return (b"from the table",)

    ledger = BatchLedger(look_up)
    ledger.add([batch(seq, b"%d" % seq) for seq in range(1, HASHES_KEPT + 2)])
    assert (ledger.sha256_of(SPOOL, 2), asked) == ((b"2",), [])
    assert (ledger.sha256_of(SPOOL, 1), asked) == ((b"from the table",), [1])
    assert ledger.sha256_of(SPOOL, HASHES_KEPT + 2) == ()
    assert ledger.ranges(SPOOL) == [Range(1, HASHES_KEPT + 1, b"%d" % (HASHES_KEPT + 1))]


def test_a_conflict_with_the_long_past_keeps_both_hashes() -> None:
    ledger = BatchLedger(lambda _spool, _seq: (b"old",))
    ledger.restore(SPOOL, [(1, 100)])
    assert ledger.unknown([batch(5, b"old")]) == []
    ledger.add([batch(5, b"new")])
    assert ledger.sha256_of(SPOOL, 5) == (b"old", b"new")
