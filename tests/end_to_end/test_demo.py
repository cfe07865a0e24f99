"""`wattline demo` as a user runs it: the minute at real speed, the city block on all protocols, and the steel plant's measured load at several poll periods.

All runs go side by side, since most of their time is waiting.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from device_sim.site import PROFILES

WEEK = PROFILES / "steel_plant_week.csv"
# An hour and a half of Monday 5 March 2018 from 08:00: six intervals of 42 to 91 kWh.
STEEL = ["--profile", str(WEEK), "--from", "2018-03-05T08:00", "--days", "0.0625", "--speed", "60"]
RUNS = {
    "minute": ["--seconds", "60"],
    "city block": ["--seconds", "75", "--facility", "city-block"],
    "steel, polled every 6 s": [*STEEL],
    "steel, polled every 7 s": [*STEEL, "--poll-s", "7"],
    "steel, polled every 60 s": [*STEEL, "--poll-s", "60"],
}
POLLS = [name for name in RUNS if name.startswith("steel")]
# The CSV's own rows 33 to 38 of that day, added by hand with a desk calculator.
STEEL_TOTAL_KWH = Decimal("374.76")

pytestmark = pytest.mark.timeout(420)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The report of each run, with what it printed and its exit status."""
    directory = tmp_path_factory.mktemp("demo")
    processes = {}
    for number, (name, words) in enumerate(RUNS.items()):
        report = directory / f"{number}.json"
        command = [
            sys.executable,
            "-m",
            "wattline.command",
            "demo",
            "--no-browser",
            "--port",
            "0",
            "--report",
            str(report),
        ]
        command += ["--directory", str(directory / str(number)), *words]
        with (directory / f"{number}.out").open("wb") as out:
            processes[name] = (subprocess.Popen(command, stdout=out, stderr=out), report, directory / f"{number}.out")
    try:
        found = {}
        for name, (process, report, out) in processes.items():
            status = process.wait(360)
            assert report.is_file(), f"{name}: status {status}: {out.read_text()[-2000:]}"
            found[name] = {"status": status, "printed": out.read_text(), **json.loads(report.read_text())}
            found[name]["directory"] = directory / str(list(RUNS).index(name))
        yield found
    finally:
        for process, _, _ in processes.values():
            if process.poll() is None:
                process.kill()
                process.wait(10)


@pytest.mark.parametrize("name", RUNS)
def test_every_answer_of_the_simulators_is_stored_once(reports: dict[str, Any], name: str) -> None:
    report = reports[name]
    assert report["status"] == 0, report["printed"]
    assert report["readings"]["answers"] > 100
    assert report["readings"]["stored"] == report["readings"]["produced"]
    assert (report["readings"]["missing"], report["readings"]["duplicates"], report["gaps"]) == (0, 0, 0)
    assert set(report["agents"].values()) == {0}


def test_the_minute_tells_emissions_balance_latency_and_memory(reports: dict[str, Any]) -> None:
    report = reports["minute"]
    assert report["power_balance_error_percent"] <= 1
    works = next(facility for facility in report["facilities"] if facility["facility"] == "works")
    # Jiangsu, 0.5827 kg/kWh of 2023: Announcement No. 47 of 2025; 2023 is the last published year.
    assert works["factor_now"]["kg_per_kwh"] == "0.5827"
    assert "fallback_latest" in works["factor_now"]["marks"]
    assert works["emissions_now_kg_per_h"] >= 0  # 0 while the sun gives more than the works takes: a Sunday morning
    for place in ("answer_to_stored", "answer_to_live_feed"):
        latency = report["latency_ms"][place]
        assert 0 < latency["p50_ms"] <= latency["p95_ms"]
    assert set(report["peak_memory_mib"]) == {"simulator", "aggregator", "gw-works", "gw-depot"}
    assert all(mib > 5 for mib in report["peak_memory_mib"].values())


def test_the_city_block_has_every_protocol_and_every_carrier_in_the_store(reports: dict[str, Any]) -> None:
    (block,) = reports["city block"]["facilities"]
    held = block["holdings"]
    assert held["series"] >= 8000
    devices = {name: size["devices"] for name, size in held["protocols"].items()}
    assert devices.pop("gateway", 1) == 1
    assert devices == {
        "bacnet_ip": 13,
        "cjt188": 5,
        "dlt645": 144,
        "mbus": 26,
        "modbus_rtu": 83,
        "modbus_tcp": 2,
        "mqtt": 13,
        "ocpp": 50,
        "opcua": 20,
    }
    assert set(held["carriers"]) == {"electricity", "heat", "cooling", "water", "gas", "oil"}
    for carrier, found in held["carriers"].items():
        assert found["counted"], carrier
    for carrier in ("electricity", "heat"):  # flow at any hour
        assert any(Decimal(row["counted"]) > 0 for row in held["carriers"][carrier]["counted"]), carrier


def test_each_pile_of_the_city_block_has_its_session_with_its_energy(reports: dict[str, Any]) -> None:
    """Held against what the simulated piles' own meters said when a session began and ended."""
    (block,) = reports["city block"]["facilities"]
    sessions = block["holdings"]["sessions"]
    assert len({session["device"] for session in sessions if session["energy_wh"] is not None}) == 50
    begun: dict[str, int] = {}
    counted: dict[str, list[int]] = {}
    for line in (reports["city block"]["directory"] / "answers.jsonl").read_text().splitlines():
        said = json.loads(line)
        if said.get("context") == "Transaction.Begin":
            begun[said["device"]] = said["import_wh"]
        elif said.get("context") == "Transaction.End" and said["device"] in begun:
            counted.setdefault(said["device"], []).append(said["import_wh"] - begun.pop(said["device"]))
    assert len(counted) >= 20
    for device, energies_wh in counted.items():
        ended = [s for s in sessions if s["device"] == device and s["state"] == "ended"]
        assert [Decimal(s["energy_wh"]) for s in ended][-len(energies_wh) :] == energies_wh, device


@pytest.mark.parametrize("name", POLLS)
def test_each_interval_of_the_steel_plant_is_within_2_percent_or_0_3_kwh(reports: dict[str, Any], name: str) -> None:
    profile = reports[name]["profile"]
    assert (profile["intervals"], profile["intervals_expected"]) == (6, 6)
    assert profile["contiguous"]
    assert profile["interval_errors_kwh"]["beyond_2_percent_or_0.3_kwh"] == 0, profile["interval_errors_kwh"]
    assert Decimal(profile["csv_total_kwh"]) == STEEL_TOTAL_KWH
    assert abs(Decimal(profile["total_kwh"]) - STEEL_TOTAL_KWH) < Decimal("0.6")


@pytest.mark.parametrize("name", POLLS)
def test_the_sum_of_intervals_is_the_counters_difference_and_emissions_the_sum_of_products(
    reports: dict[str, Any], name: str
) -> None:
    report = reports[name]
    profile = report["profile"]
    assert profile["sum_is_counter_difference"], profile
    assert Decimal(profile["total_kwh"]) == Decimal(profile["counter_difference_kwh"])
    assert profile["emissions_are_sum_of_products"]
    (steel,) = report["facilities"]
    assert Decimal(steel["emissions_kg"]) == Decimal(profile["total_kwh"]) * Decimal("0.45848")
    (factor,) = steel["factors"]
    assert factor["marks"] == ["test data"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_days_of_the_steel_plant_at_speed_600(tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    command = [sys.executable, "-m", "wattline.command", "demo", "--no-browser", "--port", "0", "--report", str(report)]
    command += ["--profile", str(WEEK), "--from", "2018-03-05", "--days", "2", "--speed", "600"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    profile = found["profile"]
    print(json.dumps(profile, indent=1))
    assert (found["readings"]["missing"], found["readings"]["duplicates"], found["gaps"]) == (0, 0, 0)
    assert (profile["intervals"], profile["contiguous"]) == (192, True)
    assert abs(profile["total_error_percent"]) <= 0.1
    assert profile["sum_is_counter_difference"]
    assert profile["emissions_are_sum_of_products"]
