"""The judge of readings lost: it finds what lacks, and asks for nothing that nobody could have heard."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.store import Rows, SeriesKey
from wattline.judge import Lost, judge

T0 = 1_795_262_400_000


class Bench:
    """A log written by hand and a store filled by hand."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "answers.jsonl"
        self.log.touch()
        self.store = DuckDBStore(directory / "readings.duckdb", memory_limit="128MB")

    def answered(self, device: str, serial: int, **said: Any) -> None:
        line = {
            "plant": "works",
            "device": device,
            "serial": serial,
            "at_ms": T0 + serial,
            "carried": True,
            "fault": None,
        }
        with self.log.open("a") as log:
            log.write(json.dumps(line | said) + "\n")

    def stored(self, device: str, quantity: str, *rows: tuple[int, float]) -> None:
        ids = self.store.ids([SeriesKey("works", "gw", device, quantity)] * len(rows))
        at_ms, values = np.array([at for at, _ in rows], dtype=np.int64), np.array([value for _, value in rows])
        good = np.zeros(len(rows), dtype=np.uint8)
        self.store.commit(Rows(ids, at_ms, values, good, good), [])

    def lost(self) -> list[Lost]:
        return judge(self.log, self.store).lost


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_an_answer_whose_serial_is_not_in_the_store_is_lost(bench: Bench) -> None:
    for serial in (1, 2, 3):
        bench.answered("meter", serial)
    bench.stored("meter", "answer_serial_1", (T0 + 1, 1.0), (T0 + 3, 3.0))
    assert bench.lost() == [Lost("works", "meter", 2, T0 + 2)]


def test_of_a_publisher_only_what_it_said_before_it_was_first_heard_is_not_lost(bench: Bench) -> None:
    for serial in (1, 2, 3, 4):
        bench.answered("plug", serial, published=True)
    bench.stored("plug", "answer_serial_1", (T0 + 2, 2.0), (T0 + 4, 4.0))
    assert bench.lost() == [Lost("works", "plug", 3, T0 + 3)]


def test_a_publisher_that_was_never_heard_is_lost_as_a_whole(bench: Bench) -> None:
    for serial in (1, 2):
        bench.answered("plug", serial, published=True)
    assert [lost.serial for lost in bench.lost()] == [1, 2]


def test_of_a_pile_the_register_must_be_there_with_its_instant_and_its_wh(bench: Bench) -> None:
    for serial, wh in ((1, 0), (2, 31), (3, 62), (4, 93)):
        bench.answered("pile", serial, import_wh=wh, export_wh=0)
    bench.stored("pile", "energy_import_kwh", (T0 + 1, 0.0), (T0 + 2, 0.032), (T0 + 30, 0.062), (T0 + 4, 0.093))
    assert [lost.serial for lost in bench.lost()] == [2, 3]


def test_of_two_answers_at_one_instant_the_gauges_that_one_leaves_elsewhere_must_be_there_too(bench: Bench) -> None:
    whole, counters = {"address": 0, "count": 40}, {"address": 30, "count": 10}
    bench.answered("meter", 1, **whole)
    bench.answered("meter", 2, **whole)
    bench.answered("meter", 3, **counters)
    bench.stored("meter", "answer_serial_1", (T0 + 1, 1.0), (T0 + 2, 2.0))
    bench.stored("meter", "answer_serial_2", (T0 + 2, 3.0))  # no other instant has both requests
    bench.stored("meter", "energy_import_kwh", (T0 + 1, 5.0), (T0 + 2, 5.0))
    for gauge in ("active_power_kw", "current_l1_a"):
        bench.stored("meter", gauge, (T0 + 1, 5.0))
    verdict = judge(bench.log, bench.store)
    assert (verdict.lost, verdict.readings_short) == ([], 2)
