"""Each benchmark at a tiny size, so that none rots: its lines are figures. No test here judges how fast anything is."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    extras,
    footprint,
    ingest,
    meters_served,
    own_footprint,
    planning,
    report_by_exception,
    serial_line,
)
from benchmarks.__main__ import TABLE, measure
from benchmarks.figure import Bound, Effort, Figure, percentile, rounded, yardstick_ns
from benchmarks.live_shape import READINGS, SIZES, Meters, content, sealed
from wattline.broker import found_mosquitto
from wire.batch import unseal
from wire.content import batch_class, blocks
from wire.keys import SigningKey
from wire.topics import edge_topic

ROOT = Path(__file__).parents[1]
TINY = Effort(seconds=0.3, repeats=1)
NEEDS = {
    "mosquitto": {"stages", "ingest.duckdb", "ingest.influxdb", "footprint", "own_footprint"},
    "influxd": {"ingest.influxdb"},
}
FIGURES = {
    "codec": {"codec.encode.204", "codec.decode.204", "codec.columns.204", "codec.bytes.204", "codec.encode.backfill"},
    "signature": {"signature.sign", "signature.verify", "signature.verify_per_reading"},
    "polling": {"polling.requests_per_s", "polling.registers_per_s", "polling.cpu_us_per_request"},
    "serial_line": {"serial_line.19200.poll", "serial_line.19200.requests"},
    "report_by_exception": {
        f"report_by_exception.steel.{level}.{what}"
        for level in ("narrow", "medium", "wide")
        for what in ("kept", "wire", "energy_saved_estimate", "error_max", "integral_error_max", "as_measured.kept")
    },
    "extras": {f"extras.edge.{what}" for what in ("import", "rss", "open", "size")},
    "spool": {"spool.append_1_a_sync.cpu", "spool.append_20_a_sync.bytes", "spool.open"},
    "store": {"store.duckdb.rows", "store.duckdb.cpu_per_row"},
    "stages": {
        f"stages.{stage}" for stage in ("receive", "verify", "decode", "gather", "dedupe", "commit", "ack", "sum")
    },
    "ingest.duckdb": {
        "ingest.duckdb.readings",
        "ingest.duckdb.cpu_per_reading",
        "ingest.duckdb.rss_peak",
        "ingest.duckdb.at_300k.answer_p99",
    },
    "planning": {
        "planning.build.2_vehicles",
        "planning.build_and_solve.2_vehicles",
        "planning.offers.2_vehicles",
        "planning.portfolio.3_facilities",
        "planning.memory",
    },
    "settling": {
        "settling.rows",
        "settling.site.rows",
        "settling.sums",
        "settling.cpu_per_row",
        "settling.rss_peak",
        "settling.seal",
    },
    "own_footprint": {
        f"own_footprint.{pace}.{what}"
        for pace in ("flat_out", "once_a_second")
        for what in ("per_million", "cpu_per_million", "received_per_reading", "stored_per_reading")
    },
    "ingest.influxdb": {"ingest.influxdb.readings", "ingest.influxdb.cpu_per_reading"},
    "end_to_end": {"end_to_end.stored_p50", "end_to_end.stored_p95", "end_to_end.live_p50", "end_to_end.live_p95"},
    "footprint": {
        "footprint.rss",
        "footprint.rss_peak",
        "footprint.cpu",
        "footprint.flash_per_reading",
        "footprint.import",
    },
}


def there(program: str) -> bool:
    return bool(found_mosquitto() if program == "mosquitto" else shutil.which(program))


def measured(name: str) -> list[Figure]:
    if name == "end_to_end":
        return list(measure(name)(Effort(seconds=3.0, repeats=1)))  # agents flush once a second
    if name == "footprint":
        return list(footprint.figures(Effort(seconds=1.5, repeats=1), meters=2))
    if name == "ingest.duckdb":
        return list(ingest.duckdb_figures(TINY, edges=2))
    if name == "ingest.influxdb":
        return list(ingest.influxdb_figures(TINY, edges=2))
    if name == "own_footprint":
        return list(own_footprint.figures(TINY, edges=2))
    if name == "serial_line":
        return list(serial_line.figures(TINY, bauds=(19200,)))
    if name == "planning":
        return list(planning.figures(TINY, {2: None}, 3))
    if name == "extras":
        return list(extras.figures(TINY, ("edge",)))
    if name in {"codec", "signature"}:
        return list(measure(name)(Effort(seconds=0.01, repeats=1)))
    return list(measure(name)(TINY))


def is_figure(line: dict[str, Any]) -> bool:
    keys = {"figure", "median", "low", "high", "unit", "runs"}
    numbers = [line[key] for key in ("median", "low", "high")]
    return (
        keys <= set(line) <= keys | {"limit", "beside"}
        and all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
        and line["low"] <= line["median"] <= line["high"]
        and line["runs"] >= 1
    )


@pytest.mark.parametrize("name", TABLE)
def test_a_benchmark_prints_its_figures(name: str) -> None:
    for program, needing in NEEDS.items():
        if name in needing and not there(program):
            pytest.skip(f"{program} is not installed")
    lines = [json.loads(figure.line()) for figure in measured(name)]
    assert [line for line in lines if not is_figure(line)] == []
    assert FIGURES[name] <= {line["figure"] for line in lines}


def test_what_is_told_whole_has_no_error_and_what_is_not_is_off_by_no_more_than_the_band(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(report_by_exception.DATA, raising=False)
    (load,) = report_by_exception.loads()
    whole = report_by_exception.run(load, None, 0, 60, 2)
    assert whole.told == whole.read == 6 * 60 * 2 * len(("active_power_kw", "current_a", "energy_import_kwh"))
    assert whole.error_max_kw == 0
    assert whole.held_percent == [0, 0]
    level = report_by_exception.LEVELS[-1]
    part = report_by_exception.run(load, level, 0, 60, 2)
    assert part.read == whole.read
    assert part.told < whole.told
    assert 0 < part.error_max_kw <= report_by_exception.bands(load, level)["active_power_kw"]
    assert part.seldom_wire_bytes < part.wire_bytes < whole.wire_bytes


def test_the_distributions_of_an_extra_are_those_that_its_requirements_bring() -> None:
    assert extras._closure(["pymodbus", "pyserial>=3"]) == {"pymodbus", "pyserial"}
    assert extras._closure(["wattline[edge]"]) == {"pymodbus", "pyserial", "tzdata"}
    assert extras._closure(["cryptography"]) >= {"cryptography", "cffi"}  # followed
    assert extras._closure(["cryptography; python_version < '3'"]) == set()
    assert extras._bytes({"pyserial"}) > 100_000


def test_a_batch_on_the_wire_is_counted_with_what_is_around_it() -> None:
    # PUBLISH 1 + 2 + (2 + topic) + 2 + 1; one TLS record 22; one segment 52; PUBACK 4 + 22 + 52
    topic = len("wattline/v1/works/gw-01/batch")
    assert report_by_exception.wire_bytes(1000) == 1000 + 1 + 2 + 2 + topic + 2 + 1 + 22 + 52 + 78
    assert report_by_exception.wire_bytes(2000) == 2000 + 1 + 2 + 2 + topic + 2 + 1 + 22 + 2 * 52 + 78


def run(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_prints_one_line_of_json_per_figure_and_nothing_else() -> None:
    said = run("--only", "signature", "--seconds", "0.01", "--repeats", "2")
    assert said.returncode == 0, said.stderr
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert [line["figure"] for line in lines] == ["signature.sign", "signature.verify", "signature.verify_per_reading"]
    assert {line["runs"] for line in lines} == {2}


@pytest.mark.parametrize("words", [["--only", "weather"], ["--seconds", "0"], ["--repeats", "0"]])
def test_a_wish_that_cannot_be_met_is_refused(words: list[str]) -> None:
    assert run(*words).returncode == 2


def test_a_figure_states_median_spread_bound_and_what_stands_beside_it() -> None:
    figure = Figure("x", "ns", [4.0, 2.0, 9.0], Bound(at_most=5, goal=3), {"other": [2.0, 4.0, 3.0]}, [1.0, 1.0, 2.0])
    assert json.loads(figure.line()) == {
        "figure": "x",
        "median": 4,
        "low": 2,
        "high": 9,
        "unit": "ns",
        "runs": 3,
        "limit": {"at_most": 5, "kept": True, "goal": 3},
        # ratios are taken repeat by repeat: 2, 0.5, 3 and 4, 2, 4.5
        "beside": {"other": {"median": 3, "ratio": 2}, "yardstick": {"median": 1, "unit": "ns", "ratio": 4}},
    }


def test_a_bound_from_below_is_kept_from_above() -> None:
    assert Bound(at_least=300).as_json(301) == {"at_least": 300, "kept": True}
    assert Bound(at_least=300).as_json(299) == {"at_least": 300, "kept": False}


def test_digits_that_are_noise_are_not_printed() -> None:
    assert [rounded(value) for value in (123456.7, 12.345, 0.0012345, 0.0)] == [123457, 12.3, 0.00123, 0]


def test_percentiles_and_the_yardstick() -> None:
    assert percentile([5.0, 1.0, 3.0], 0.5) == 3.0
    assert percentile([float(n) for n in range(100)], 0.99) == 99.0
    assert yardstick_ns() > 0


def test_the_live_shape_is_six_devices_of_34_quantities_at_one_instant() -> None:
    made = Meters(*SIZES["204"][:2]).blocks(1_000)
    assert len(made) == 6
    assert [len(block.columns) for block in made] == [34] * 6
    assert {len(block.at_ms) for block in made} == {1}
    assert sum(1 for _ in made[0].readings()) * 6 == READINGS
    assert batch_class(made[0].shape) == "gauge"


def test_sealed_batches_are_numbered_chained_and_signed() -> None:
    key, topic = SigningKey.generate(), edge_topic("works", "gw-01", "batch")
    found = [unseal(frame, topic, lambda _: key.public) for frame in sealed("works", "gw-01", key, 3, 0)]
    assert [batch.content.seq for batch in found] == [1, 2, 3]
    assert [batch.content.prev for batch in found] == ["", found[0].sha256, found[1].sha256]
    assert all(batch.signed for batch in found)


def test_backfill_carries_the_same_readings_as_single_instants() -> None:
    many = content(Meters(2, 20).blocks(0, instants=3))
    assert [block.at_ms for block in blocks(many)] == [(0, 1000, 2000), (1, 1001, 2001)]


def test_the_served_meter_has_34_different_quantities() -> None:
    quantities = [quantity for quantity, _, _ in meters_served._rows()]
    assert len(quantities) == len(set(quantities)) == 34
