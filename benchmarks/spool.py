"""What keeping a batch until it is acknowledged costs: processor time, bytes to the disk, and opening with a long backlog.

Frames of 204 readings. `append_*`: append and `sync` after each batch, or after 20; bytes are those that the system wrote for this process
(`write_bytes` of /proc/self/io, whole pages and the file system's own included). Beside: SQLite in WAL mode with `synchronous = full`, a row
and a commit per batch, or per 20; both keep what they say they kept over a power cut. `open`: a spool whose backlog is a day's of one edge
(86,400 batches), or as many as `--seconds` allows to write.
"""

import itertools
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.figure import Effort, Figure
from benchmarks.live_shape import READINGS, sealed
from edge_agent.segment import Record
from edge_agent.spool import Spool

STRETCH_S: Final = 1.0
OPEN_STRETCH_S: Final = 4.0
BACKLOG: Final = 86_400
FRAMES: Final = 64


def _written_bytes() -> int:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


def _kept(keep: Callable[[int], None], sync: Callable[[], object], per_sync: int, seconds: float) -> dict[str, float]:
    """Keep batches for `seconds`."""
    begun, cpu_ns, written = time.perf_counter(), time.process_time_ns(), _written_bytes()
    for number in itertools.count(1):
        keep(number)
        if number % per_sync == 0:
            sync()
            if time.perf_counter() - begun >= seconds:
                break
    cpu_us = (time.process_time_ns() - cpu_ns) / 1000 / number
    wall_us = (time.perf_counter() - begun) * 1e6 / number
    return {"cpu_us": cpu_us, "wall_us": wall_us, "bytes": (_written_bytes() - written) / number}


def _record(number: int) -> Record:
    return Record(number, number * 1000, number * 1000 + 5, READINGS, bytes(32))


def _in_spool(frames: Sequence[bytes], per_sync: int, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
        spool = Spool(Path(name), "works", "gw-01")
        found = _kept(
            lambda number: spool.append("gauge", _record(number), frames[number % FRAMES]),
            spool.sync,
            per_sync,
            seconds,
        )
        spool.close()
    return found


def _in_sqlite(frames: Sequence[bytes], per_sync: int, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
        connection = sqlite3.connect(Path(name) / "spool.sqlite", isolation_level=None)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("create table batches(seq integer primary key, frame blob)")

        def keep(number: int) -> None:
            if number % per_sync == 1 or per_sync == 1:
                connection.execute("begin")
            connection.execute("insert into batches values (?, ?)", (number, frames[number % FRAMES]))

        found = _kept(keep, lambda: connection.execute("commit"), per_sync, seconds)
        connection.close()
    return found


def _opened(frames: Sequence[bytes], seconds: float) -> tuple[float, int]:
    """ms to open, and with how many batches."""
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
        spool = Spool(Path(name), "works", "gw-01")
        deadline = time.perf_counter() + seconds
        count = 0
        while count < BACKLOG and time.perf_counter() < deadline:
            count += 1
            spool.append("gauge", _record(count), frames[count % FRAMES])
        spool.close()
        begun = time.perf_counter()
        again = Spool(Path(name), "works", "gw-01")
        took_ms = (time.perf_counter() - begun) * 1000
        waiting = again.depth().batches
        again.close()
        if waiting != count:
            raise AssertionError(f"expected {count} batches in the spool, found {waiting}")
    return took_ms, count


def figures(effort: Effort) -> Iterator[Figure]:
    """`spool.*`, per batch of 204 readings."""
    frames = list(sealed("works", "gw-01", None, FRAMES, 0))
    seconds, repeats = effort.seconds_or(STRETCH_S), effort.repeats_or(3)
    for per_sync in (1, 20):
        ours, theirs = [], []
        for _ in range(repeats):
            ours.append(_in_spool(frames, per_sync, seconds))
            theirs.append(_in_sqlite(frames, per_sync, seconds))
        for key, unit in (("cpu_us", "us"), ("wall_us", "us"), ("bytes", "B")):
            beside = {"sqlite_full": [each[key] for each in theirs]}
            if key == "bytes":
                beside["frame"] = [sum(map(len, frames)) / FRAMES]
            name = f"spool.append_{per_sync}_a_sync.{key.removesuffix('_us')}"
            yield Figure(name, unit, [each[key] for each in ours], beside=beside)
    opened = [_opened(frames, effort.seconds_or(OPEN_STRETCH_S)) for _ in range(repeats)]
    yield Figure(
        "spool.open", "ms", [took_ms for took_ms, _ in opened], beside={"batches": [count for _, count in opened]}
    )
