"""What a full spool costs: a flush, an answer, a look at the depth, memory, opening."""

import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.publish import Publisher
from edge_agent.segment import Record
from edge_agent.spool import Spool
from wire.content import BatchClass
from wire.messages import Ack

BATCHES = 200_000
DIGEST = bytes(range(32))


def append(spool: Spool, count: int) -> None:
    frame = bytes(100)
    for _ in range(count):
        seq = spool.current.last_seq + 1
        batch_class: BatchClass = "counter" if seq % 2 else "gauge"
        spool.append(batch_class, Record(seq, seq, seq, 1, DIGEST), frame)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("filled") / "spool"
    spool = Spool(directory, "works", "gw-01", machine="m1")
    append(spool, BATCHES)
    spool.close()
    return directory


@pytest.fixture
def opened(filled: Path, tmp_path: Path) -> Spool:
    shutil.copytree(filled, tmp_path / "spool")
    return Spool(tmp_path / "spool", "works", "gw-01", machine="m1")


def seconds(work: Callable[[], object], times: int) -> float:
    """Of one call; the best of three rounds, so that a busy machine does not count."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(times):
            work()
        best = min(best, time.perf_counter() - start)
    return best / times


def test_opening_takes_seconds_and_memory_of_20_bytes_a_batch(filled: Path) -> None:
    start = time.perf_counter()
    assert Spool(filled, "works", "gw-01", machine="m1").depth().batches >= BATCHES
    assert time.perf_counter() - start < 6  # 1.1 s on two cores at rest
    tracemalloc.start()
    try:
        spool = Spool(filled, "works", "gw-01", machine="m1")
        publisher = Publisher(spool)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not publisher.idle
    assert held < 20 * spool.depth().batches


def test_looks_at_the_depth_and_whether_all_is_delivered_count_nothing(opened: Spool) -> None:
    publisher = Publisher(opened)
    assert seconds(opened.depth, 100) < 0.000_5
    assert seconds(lambda: publisher.idle, 100) < 0.000_5


def test_a_flush_and_an_answer_cost_the_same_however_much_waits(opened: Spool) -> None:
    assert seconds(lambda: append(opened, 1), 100) < 0.002
    epoch = opened.current.identity.epoch
    numbers = iter(range(opened.current.last_seq, 0, -1))

    def answer() -> None:
        seq = next(numbers)
        opened.acknowledge(Ack("store-1", epoch, [(seq, seq, DIGEST.hex())]))

    assert seconds(answer, 200) < 0.002
    assert seconds(lambda: opened.tidy(0), 5) < 0.05
    publisher = Publisher(opened)
    assert seconds(lambda: publisher._next(opened.current, True, 1e9), 20) < 0.005


def test_one_answer_for_everything_is_quick(opened: Spool) -> None:
    epoch, last = opened.current.identity.epoch, opened.current.last_seq
    start = time.perf_counter()
    opened.acknowledge(Ack("store-1", epoch, [(1, last, DIGEST.hex())]))
    assert time.perf_counter() - start < 0.2
    assert opened.depth().batches == 0
    append(opened, 10)
    assert opened.depth().oldest_seq == last + 1
