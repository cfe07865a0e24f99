"""The log of batches over a real store: what survives a crash, what is signed, what is proven."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.audit import tree
from aggregator.audit.log import AuditLog, LogUnusable, NotInLog, Sealed
from aggregator.audit.note import Checkpoint, opened
from aggregator.gather import no_rows
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.store import CommittedBatch, Spool

NOW = 1_760_000_000_000
SPOOL = Spool("works", "gw-01", "e1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """A store with the first 700 batches of SPOOL, the last under two hashes."""
    made = DuckDBStore(tmp_path / "store.duckdb", memory_limit="256MB")
    twice = [CommittedBatch(*SPOOL, 700, digest(701), NOW, NOW + 1, 0)]
    made.commit(no_rows(), [CommittedBatch(*SPOOL, seq, digest(seq), NOW, NOW, 0) for seq in range(1, 701)] + twice)
    yield made
    made.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[DuckDBStore]:
    made = DuckDBStore(tmp_path / "empty.duckdb", memory_limit="256MB")
    yield made
    made.close()


def digest(seq: int) -> bytes:
    return seq.to_bytes(32, "big")


def sealed(*seqs: int) -> list[Sealed]:
    return [Sealed(SPOOL, seq, digest(seq), NOW + seq, b"frame %d" % seq) for seq in seqs]


def open_log(directory: Path, store: DuckDBStore, **options: int) -> AuditLog:
    return AuditLog(directory, store, "store-1", lambda: NOW, **options)


def gone(log: AuditLog) -> None:
    """The process is gone: nothing of `close` runs."""
    log._db.close()
    if log._archive is not None and log._archive._file is not None:
        log._archive._file.close()


def checkpoint(log: AuditLog) -> Checkpoint:
    note = log.checkpoint()
    assert note is not None
    return Checkpoint.from_text(opened(note.encode(), log.verifier))


def test_leaves_stand_in_the_order_of_their_commits_and_each_once(tmp_path: Path, empty: DuckDBStore) -> None:
    log = open_log(tmp_path, empty)
    log.append(sealed(2, 1, 2))
    log.append([*sealed(1), Sealed(SPOOL, 1, digest(77)), *sealed(3)])
    log.keep_up()
    leaves = [digest(seq) for seq in (2, 1, 77, 3)]
    assert [log.entry(index).leaf for index in range(4)] == leaves
    assert checkpoint(log).size == 4
    left, right = (tree.node_hash(*map(tree.leaf_hash, leaves[at : at + 2])) for at in (0, 2))
    assert checkpoint(log).root == tree.node_hash(left, right)
    assert (log.entry_of(SPOOL, 1).index, log.entry_of(SPOOL, 3).index) == (1, 3)
    with pytest.raises(NotInLog):
        log.entry_of(SPOOL, 4)
    log.close()


def test_a_crash_between_store_and_log_is_repaired_and_what_was_signed_stays(
    tmp_path: Path, store: DuckDBStore
) -> None:
    log = open_log(tmp_path, store)
    log.append(sealed(*range(1, 301)))
    log.sign_if_changed()
    before = checkpoint(log)
    log.append(sealed(*range(301, 311)))  # in the file, under no checkpoint
    gone(log)

    log = open_log(tmp_path, store)
    log.keep_up()
    after = checkpoint(log)
    assert (before.size, after.size) == (300, 701)
    assert {log.entry(index).leaf for index in range(701)} == {digest(seq) for seq in range(1, 702)}
    tree.check_consistency(300, 701, before.root, after.root, log.consistency(300, 701))
    log.close()


def test_every_leaf_is_proven_under_the_checkpoint_also_after_a_restart(tmp_path: Path, store: DuckDBStore) -> None:
    log = open_log(tmp_path, store)
    log.keep_up()
    log.close()
    log = open_log(tmp_path, store)
    root, size = checkpoint(log).root, checkpoint(log).size
    for index in (0, 1, 255, 256, 300, 511, 512, 699, 700):
        leaf = tree.leaf_hash(log.entry(index).leaf)
        tree.check_inclusion(index, size, leaf, log.inclusion(index, size), root)
    for first in (1, 255, 256, 257, 512, 700):
        tree.check_consistency(first, size, log.root(first), root, log.consistency(first, size))
    log.close()


def test_the_tree_that_grew_by_commits_is_the_tree_of_all_its_leaves(tmp_path: Path, empty: DuckDBStore) -> None:
    """131,072 leaves: the second kept level has a row."""
    log = open_log(tmp_path, empty)
    count = 2 * 65_536 + 259
    for first in range(0, count, 9_000):
        log.append([Sealed(SPOOL, seq, digest(seq)) for seq in range(first, min(first + 9_000, count))])
    log.sign_if_changed()
    hashes = [tree.leaf_hash(digest(seq)) for seq in range(count)]
    level = {0: hashes}
    for at in range(1, 18):
        below = level[at - 1]
        level[at] = [tree.node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
    assert checkpoint(log).root == tree.root(count, lambda at, index: level[at][index])
    gone(log)

    again = open_log(tmp_path, empty)
    again.append([Sealed(SPOOL, count, digest(count))])
    again.sign_if_changed()
    proof = again.consistency(count, count + 1)
    tree.check_consistency(count, count + 1, again.root(count), checkpoint(again).root, proof)
    again.close()


def test_nothing_new_is_not_signed_again(tmp_path: Path, empty: DuckDBStore) -> None:
    log = open_log(tmp_path, empty)
    assert log.sign_if_changed()
    assert checkpoint(log) == Checkpoint("wattline/store-1", 0, tree.EMPTY_ROOT)
    assert not log.sign_if_changed()
    log.append(sealed(1))
    assert log.sign_if_changed()
    log.close()


def test_what_is_not_under_a_checkpoint_is_not_proven(tmp_path: Path, empty: DuckDBStore) -> None:
    log = open_log(tmp_path, empty)
    log.append(sealed(1, 2))
    log.sign_if_changed()
    log.append(sealed(3))
    for index, size in ((2, 3), (0, 3), (2, 2), (-1, 2)):
        with pytest.raises(NotInLog):
            log.inclusion(index, size)
    with pytest.raises(NotInLog):
        log.consistency(1, 3)
    log.close()


def test_a_disk_that_refuses_costs_no_leaf(tmp_path: Path, store: DuckDBStore) -> None:
    """The archive's folder is gone while the log runs: the append fails as a whole and is made good from the ledger."""
    log = open_log(tmp_path, store)
    log.keep_up()
    assert checkpoint(log).size == 701
    (tmp_path / "audit-frames").rmdir()
    store.commit(no_rows(), [CommittedBatch("works", "gw-02", "e1", 1, digest(1), NOW, NOW, 0)])
    fresh = Spool("works", "gw-02", "e1")
    log.append([Sealed(fresh, 1, digest(1), NOW, b"frame")])
    with pytest.raises(NotInLog):
        log.entry_of(fresh, 1)
    log.keep_up()
    assert log.entry_of(fresh, 1).index == 701
    log.close()


def test_frames_are_found_by_their_time_and_the_oldest_go_first(tmp_path: Path, empty: DuckDBStore) -> None:
    log = open_log(tmp_path, empty, frame_bytes_max=1 << 20)
    log.append([Sealed(SPOOL, seq, digest(seq), NOW + seq, bytes([seq]) * 100_000) for seq in range(1, 6)])
    log.append([Sealed(SPOOL, 6, digest(6), NOW + 6)])
    log.sign_if_changed()
    found = log.frames("works", NOW + 2, NOW + 5, 10)
    assert [(entry.seq, log.frame(place)) for entry, place in found] == [(s, bytes([s]) * 100_000) for s in (2, 3, 4)]
    assert log.frames("other", NOW, NOW + 9, 10) == []
    for seq in range(7, 30):
        log.append([Sealed(SPOOL, seq, digest(seq), NOW + seq, bytes([seq]) * 100_000)])
    log.sign_if_changed()
    kept = [entry.seq for entry, place in log.frames("works", NOW, NOW + 99, 99) if log.frame(place)]
    assert kept == list(range(kept[0], 30))
    assert 7 < kept[0] < 25
    assert sum(file.stat().st_size for file in (tmp_path / "audit-frames").iterdir()) <= 1 << 20
    log.close()


def test_the_log_of_another_aggregator_and_of_a_later_version_are_refused(tmp_path: Path, empty: DuckDBStore) -> None:
    log = open_log(tmp_path, empty)
    log.sign_if_changed()
    log.close()
    with pytest.raises(LogUnusable, match="expected the log of wattline/store-2, it is that of wattline/store-1"):
        AuditLog(tmp_path, empty, "store-2", lambda: NOW)
    with sqlite3.connect(tmp_path / "audit.sqlite") as later:
        later.execute("pragma user_version = 2")
    later.close()
    with pytest.raises(LogUnusable, match="version 1, found 2"):
        open_log(tmp_path, empty)
