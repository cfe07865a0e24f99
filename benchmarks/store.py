"""How rows reach DuckDB: numpy columns of a commit, as the store takes them, beside a statement per row.

`numpy`: `DuckDBStore.commit` of 20,400 rows (100 live batches), ledger rows and the sync to disk included. Beside: `executemany` of the same
rows into the same table of a file of its own, in one transaction, and fewer rows, because it is that slow.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.store import Rows, SeriesKey
from benchmarks.figure import Effort, Figure
from benchmarks.live_shape import READINGS, T0

STRETCH_S: Final = 1.5
GROUP: Final = 100
STATEMENT_ROWS: Final = 1_000


def _rows(series: Any, number: int) -> Rows:
    """One instant of each series, one second after the last."""
    codes = np.zeros(len(series), np.uint8)
    at_ms = np.full(len(series), T0 + 1000 * number, np.int64)
    return Rows(series, at_ms, np.round(np.sin(series + number) * 1000, 3), codes, codes)


def _by_columns(directory: Path, seconds: float) -> tuple[float, float]:
    """(rows a second, processor ns per row)."""
    store = DuckDBStore(directory / "columns.duckdb")
    keys = [SeriesKey("works", f"gw-{n // READINGS}", "meter", f"q{n % READINGS}") for n in range(GROUP * READINGS)]
    series = store.ids(keys)
    store.commit(_rows(series, 0), [])  # names the series
    begun, cpu_ns, number = time.perf_counter(), time.process_time_ns(), 0
    while time.perf_counter() - begun < seconds:
        number += 1
        store.commit(_rows(series, number), [])
    rows = number * len(series)
    found = rows / (time.perf_counter() - begun), (time.process_time_ns() - cpu_ns) / rows
    store.close()
    return found


def _by_statements(directory: Path, seconds: float) -> tuple[float, float]:
    """(rows a second, processor ns per row)."""
    connection = duckdb.connect(str(directory / "statements.duckdb"))
    connection.execute(
        "create table readings(series integer, at_ms bigint, value double, quality utinyint, reason utinyint)"
    )
    begun, cpu_ns, rows = time.perf_counter(), time.process_time_ns(), 0
    while time.perf_counter() - begun < seconds:
        values = [(n, T0 + rows, n / 8, 0, 0) for n in range(STATEMENT_ROWS)]
        connection.execute("begin")
        connection.executemany("insert into readings values (?, ?, ?, ?, ?)", values)
        connection.execute("commit")
        rows += STATEMENT_ROWS
    found = rows / (time.perf_counter() - begun), (time.process_time_ns() - cpu_ns) / rows
    connection.close()
    return found


def figures(effort: Effort) -> Iterator[Figure]:
    """`store.duckdb.*`."""
    ours, theirs = [], []
    for _ in range(effort.repeats_or(3)):
        with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
            ours.append(_by_columns(Path(name), effort.seconds_or(STRETCH_S)))
            theirs.append(_by_statements(Path(name), effort.seconds_or(STRETCH_S)))
    for place, (name, unit) in enumerate((("rows", "1/s"), ("cpu_per_row", "ns"))):
        beside = {"executemany": [each[place] for each in theirs]}
        yield Figure(f"store.duckdb.{name}", unit, [each[place] for each in ours], beside=beside)
