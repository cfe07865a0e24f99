"""What only DuckDB does: one file, killed at any moment, one process, late rows against rows on disk."""

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest

from aggregator.stores.duckdb_store import RECENT_MS, DuckDBStore
from aggregator.stores.store import CommittedBatch, Rows, SeriesKey, Spool, StoreRefused, StoreUnavailable

T0 = 1_760_000_000_000
SPOOL = Spool("works", "gw-01", "e1")
SERIES = 200

# Commits batch after batch until it is killed; says each number once it is durable.
WRITER = """
import sys
from pathlib import Path
import numpy as np
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.store import CommittedBatch, Rows, SeriesKey

path, seq = Path(sys.argv[1]), int(sys.argv[2])
store = DuckDBStore(path, memory_limit="256MB")
ids = store.ids([SeriesKey("works", "gw-01", f"meter-{n}", "active_power_kw") for n in range(200)])
codes = np.zeros(200, np.uint8)
while True:
    seq += 1
    rows = Rows(ids, np.full(200, 1_760_000_000_000 + seq * 1000, np.int64), ids * 1000.0 + seq, codes, codes)
    store.commit(rows, [CommittedBatch("works", "gw-01", "e1", seq, seq.to_bytes(32, "big"), seq, seq, 200)])
    print(seq, flush=True)
"""


def key(number: int) -> SeriesKey:
    return SeriesKey("works", "gw-01", f"meter-{number}", "active_power_kw")


def rows(store: DuckDBStore, numbers: list[int], at_ms: list[int], value: float = 1.0) -> Rows:
    codes = np.zeros(len(numbers), np.uint8)
    ids = store.ids([key(number) for number in numbers])
    return Rows(ids, np.array(at_ms, np.int64), np.full(len(numbers), value), codes, codes)


@pytest.mark.parametrize("seed", range(4))
def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = tmp_path / "readings.duckdb"
    acknowledged = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(acknowledged)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(dice.randrange(1, 60)):
            acknowledged = int(process.stdout.readline())
        time.sleep(dice.random() * 0.02)
        process.kill()
        rest = process.stdout.read().split("\n")  # what it said before it died, the last perhaps cut off
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
        process.stdout.close()
        process.wait(10)
        store = DuckDBStore(path, memory_limit="256MB")
        ((first, last, sha256),) = store.committed(SPOOL)
        assert (first, sha256) == (1, last.to_bytes(32, "big"))
        assert acknowledged <= last <= acknowledged + 1  # at most the commit that was not yet told
        for number in (0, 77, SERIES - 1):
            columns = store.history(key(number), 0, 2 * T0)
            assert columns.at_ms.tolist() == [T0 + seq * 1000 for seq in range(1, last + 1)]
            assert columns.value.tolist() == [number * 1000.0 + seq for seq in range(1, last + 1)]
        store.close()


def test_a_second_process_is_told_who_is_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "readings.duckdb"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        with pytest.raises(
            StoreUnavailable,
            match=r"readings\.duckdb: open: expected the file without the lock .* asked over HTTP \(--url\)",
        ):
            DuckDBStore(path)
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "readings.duckdb"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreUnavailable, match=r"readings\.duckdb"):
        DuckDBStore(path)


def test_a_later_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "readings.duckdb"
    DuckDBStore(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("update layout set version = 99")
    with pytest.raises(StoreRefused, match="version 1, found 99"):
        DuckDBStore(path)


def test_a_series_that_was_silent_before_the_restart_still_knows_its_newest(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "readings.duckdb")
    store.commit(rows(store, [1], [T0 - 10 * RECENT_MS]), [])
    store.commit(rows(store, [2], [T0]), [])
    store.close()
    again = DuckDBStore(tmp_path / "readings.duckdb")
    assert {found.device: point.at_ms for found, point in again.latest().items()} == {
        "meter-1": T0 - 10 * RECENT_MS,
        "meter-2": T0,
    }
    assert again.commit(rows(again, [1, 2], [T0 - 10 * RECENT_MS, T0]), []) == 0
    again.close()


def test_of_two_rows_with_one_key_the_first_stays(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "readings.duckdb")
    store.commit(rows(store, [1], [T0], 1.0), [])
    store.commit(rows(store, [1, 1], [T0, T0 + 1], 2.0), [])
    assert store.history(key(1), 0, 2 * T0).value.tolist() == [1.0, 2.0]
    store.close()


def test_rows_spread_over_a_year_are_ordered_and_kept_once(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "readings.duckdb")
    at_ms = [T0 + day * 86_400_000 for day in range(365)]
    shuffled = random.Random(3).sample(at_ms * 2, 730)
    assert store.commit(rows(store, [1] * 730, shuffled), []) == 365
    assert store.history(key(1), 0, 2 * T0).at_ms.tolist() == at_ms
    store.close()


def test_readers_in_other_threads_see_whole_commits_only(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "readings.duckdb")
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            columns = store.history(key(1), 0, 2 * T0)
            seen.append(len(columns))
            assert len(columns) % 50 == 0

    reader = threading.Thread(target=read)
    reader.start()
    for step in range(40):
        store.commit(rows(store, [1] * 50, [T0 + step * 50 + i for i in range(50)]), [])
    stop.set()
    reader.join(10)
    assert seen == sorted(seen)
    assert store.history(key(1), 0, 2 * T0).at_ms.tolist() == [T0 + i for i in range(2_000)]
    store.close()


def test_a_failed_commit_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "readings.duckdb")
    store.commit(rows(store, [1], [T0]), [])
    broken = CommittedBatch("works", "gw-01", "e1", 1, b"x" * 32, 2**70, T0, 1)
    with pytest.raises(StoreRefused):  # it strikes in the middle of the transaction
        store.commit(rows(store, [1, 2], [T0 + 1, T0 + 1]), [broken])
    assert store.history(key(2), 0, 2 * T0).at_ms.tolist() == []
    assert store.commit(rows(store, [1, 2], [T0 + 1, T0 + 1]), []) == 2
    assert store.history(key(1), 0, 2 * T0).at_ms.tolist() == [T0, T0 + 1]
    assert store.committed(SPOOL) == []
    store.close()


def test_a_dropped_connection_is_opened_anew_and_ids_stay_good(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "readings.duckdb")
    first = rows(store, [1, 2], [T0, T0])
    store.commit(first, [])
    later = rows(store, [3, 2], [T0, T0 + 1])
    store._drop_connection()  # as after a commit that did not say whether it came through
    assert store.history(key(2), 0, 2 * T0).at_ms.tolist() == [T0]
    store._drop_connection()
    assert store.commit(later, []) == 2
    assert store.commit(first, []) == 0
    assert store.history(key(3), 0, 2 * T0).at_ms.tolist() == [T0]
    store.close()


def test_nothing_is_downloaded(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "readings.duckdb")
    with store._cursor() as cursor, pytest.raises(duckdb.Error):
        cursor.execute("select * from sqlite_scan('x.db', 't')")
    store.close()
