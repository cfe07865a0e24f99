"""Runs and publications are leaves beside the batches: taken up once, proven from the log and from its file, checked with its key alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.audit.leaves import BATCH, LogUnusable, NotInLog
from aggregator.audit.log import AuditLog, Sealed
from aggregator.audit.note import NoteUnproven
from aggregator.audit.record_proof import LogReader, record_proof
from aggregator.audit.tree import ProofBroken
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.store import Spool

BATCHES = [Sealed(Spool("works", "gw-01", "e1"), seq, seq.to_bytes(32, "big")) for seq in range(1, 6)]
RECORDS = [(no, b'{"kind":"run","no":%d,"of":"a statement of works"}' % no) for no in range(1, 4)]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    store = DuckDBStore(tmp_path / "store.duckdb", memory_limit="256MB")
    made = AuditLog(tmp_path, store, "store-1", lambda: 1_760_000_000_000)
    made.append(BATCHES[:3])
    made.append_records("run", RECORDS)
    made.append(BATCHES[3:])
    yield made
    made.close()
    store.close()


def test_each_record_is_a_leaf_once_and_what_lacks_is_told(log: AuditLog) -> None:
    log.append_records("run", RECORDS[1:])
    log.append_records("run", [(6, b'{"kind":"run","no":6,"of":"a statement of works"}')])
    assert log.figures().size == 9
    assert log.lacking_records("run", 7) == [4, 5, 7]
    assert log.lacking_records("publication", 2) == [1, 2]
    assert [log.entry(index).kind for index in (2, 3, 6)] == [BATCH, "run", BATCH]
    assert (log.record("run", 2).index, log.record("run", 2).leaf) == (4, RECORDS[1][1])


def test_what_was_taken_up_is_known_after_a_restart(log: AuditLog, tmp_path: Path) -> None:
    log.close()
    store = DuckDBStore(tmp_path / "other.duckdb", memory_limit="256MB")
    again = AuditLog(tmp_path, store, "store-1", lambda: 1_760_000_000_000)
    assert again.lacking_records("run", 4) == [4]
    again.close()
    store.close()


def test_a_record_is_proven_once_it_is_signed_from_the_log_and_from_its_file(log: AuditLog, tmp_path: Path) -> None:
    with pytest.raises(NotInLog, match="run 2: expected it under a checkpoint"):
        record_proof(log, "run", 2)
    log.sign_if_changed()
    made = record_proof(log, "run", 2)
    assert made.check(log.verifier).size == made.size == 8
    with LogReader(tmp_path) as reader:
        assert record_proof(reader, "run", 2) == made
        assert reader.verifier == log.verifier
        with pytest.raises(NotInLog, match="expected run 9 in the log"):
            record_proof(reader, "run", 9)


def test_a_record_that_was_changed_is_not_proven(log: AuditLog) -> None:
    log.sign_if_changed()
    made = record_proof(log, "run", 2)
    with pytest.raises(ProofBroken):
        replace(made, leaf=made.leaf.replace("works", "other")).check(log.verifier)
    with pytest.raises(ProofBroken):
        replace(made, size=7).check(log.verifier)
    with pytest.raises(NoteUnproven):
        replace(made, checkpoint=made.checkpoint.replace("\n8\n", "\n9\n")).check(log.verifier)


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogUnusable, match="expected the log of an aggregator"):
        LogReader(tmp_path)
