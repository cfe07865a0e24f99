"""Many more kills than `test_nothing_is_lost.py` has time for, InfluxDB's server among the victims; and for days, if asked."""

import os
import random
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from whole_system import assert_whole, eventually, finish, kill_at_random, named_gaps, opened, stored, wanted

from wattline.judge import judge

KILLS = 14


def run_of_kills(make_system: Any, directory: Path, seed: int, kills: int, influxd: Any = None) -> None:
    system = make_system(wanted(directory, influxdb_url="" if influxd is None else influxd.url))
    eventually(lambda: stored(system) > 0, "the first readings")
    others = {} if influxd is None else {"influxd": lambda: (influxd.kill(), influxd.start())[0]}
    kills_ms = kill_at_random(system, random.Random(seed), kills, others)
    time.sleep(1)
    finish(system)
    with opened(system) as store:
        verdict, gaps = judge(system.answer_log, store), named_gaps(store, system)
    system.broker.stop()
    print(
        f"\n{'duckdb' if influxd is None else 'influxdb'} seed={seed} kills={kills} answers={verdict.answers} readings={verdict.readings} "
        f"lost_in_named_gaps={len(verdict.lost)} gaps={len(gaps)} duplicates={verdict.duplicates}",
        flush=True,
    )
    assert_whole(verdict, gaps, kills_ms)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [101, 102, 103])
def test_kills_over_duckdb_lose_nothing_but_the_last_flush(make_system: Any, system_directory: Path, seed: int) -> None:
    run_of_kills(make_system, system_directory, seed, KILLS)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [201, 202, 203])
def test_kills_over_influxdb_and_of_its_server_lose_nothing_but_the_last_flush(
    make_system: Any, system_directory: Path, own_influxd: Any, seed: int
) -> None:
    run_of_kills(make_system, system_directory, seed, KILLS, own_influxd)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_kills_for_days(make_system: Any, tmp_path: Path, own_influxd: Any) -> None:
    """WATTLINE_SOAK_HOURS (24): runs with ever other seeds over both stores in turn; the first failing seed ends it."""
    ends_s = time.monotonic() + 3600 * float(os.environ.get("WATTLINE_SOAK_HOURS", "24"))
    run = 0
    while run == 0 or time.monotonic() < ends_s:
        run += 1
        over_influxdb = own_influxd if run % 2 == 0 else None
        drop = urllib.parse.urlencode({"q": "DROP DATABASE wattline_demo"}).encode()
        urllib.request.urlopen(f"{own_influxd.url}/query", data=drop, timeout=30).close()
        run_of_kills(make_system, tmp_path / str(run), 10_000 + run, 30, over_influxdb)
