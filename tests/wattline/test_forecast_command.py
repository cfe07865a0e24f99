"""`wattline forecast backtest` as people and programs use it."""

import csv
import importlib.util
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aggregator.intervals.boundaries import Grade
from aggregator.intervals.local_time import day_span_ms
from aggregator.ledger import IntervalRow, Ledger
from wattline.command import main
from wire.clock import VARIABLE
from wire.reading import Quality

EXCERPT = Path(__file__).parent.parent / "aggregator" / "forecasts" / "steel_plant_144_days_hourly.csv"
READ = ["--time-column", "interval_start_local", "--time-zone", "Asia/Seoul", "--interval-s", "3600"]


def test_a_backtest_shows_the_naive_beside_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", "backtest", str(EXCERPT), *READ]) == 0
    shown = capsys.readouterr().out
    assert "60 days from 2018-03-26 to 2018-05-24" in shown
    for name in ("seasonal_naive", "seasonal_median", "chosen"):
        assert name in shown


def test_a_program_gets_the_same_scores(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", "backtest", str(EXCERPT), *READ, "--days", "30", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["from"], found["days"]) == ("2018-04-25", 30)
    naive = next(score for score in found["scores"] if score["method"] == "seasonal_naive")
    assert naive["better_percent"] == 0
    assert naive["hours"] == 720


def test_what_cannot_be_scored_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = tmp_path / "short.csv"
    short.write_text("time,energy_kwh\n2026-01-01T00:00:00,1\n", encoding="utf-8")
    assert main(["forecast", "backtest", str(short)]) == 2
    assert "expected at least 42 days before the 60 that are scored" in capsys.readouterr().err
    bad = tmp_path / "bad.csv"
    bad.write_text("time,energy_kwh\n2026-01-01T00:00:00,much\n", encoding="utf-8")
    assert main(["forecast", "backtest", str(bad)]) == 2
    assert "bad.csv:2: energy_kwh: expected an energy" in capsys.readouterr().err
    assert main(["forecast", "backtest", str(tmp_path / "none.csv")]) == 2
    assert "none.csv: expected a readable CSV file" in capsys.readouterr().err


FILE = """
[aggregator]
store_id = "plant-1"
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Seoul"
[[facility.meter]]
device = "incomer"
edge = "gw-01"
role = "main"
rated_power_kw = 1000
[[edge]]
facility = "works"
edge = "gw-01"
accept_unsigned = true
"""


def at(day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands shortly after the day's midnight."""
    monkeypatch.setenv(VARIABLE, f"0:{day_span_ms(day, ZoneInfo('Asia/Seoul'))[0] + 900_000}:0.000000001")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The excerpt's 144 days as the intervals of a main meter."""
    lines = [line for line in EXCERPT.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    begin_ms = day_span_ms(date(2018, 1, 1), ZoneInfo("Asia/Seoul"))[0]
    ledger = Ledger(tmp_path / "data" / "ledger.sqlite")
    ledger.put_intervals(
        [
            IntervalRow(
                "works", "incomer", "energy_import_kwh", begin_ms + hour * 3_600_000, begin_ms + (hour + 1) * 3_600_000,
                Decimal(row["energy_kwh"]), Grade(Quality.GOOD), True, "measured",
            )
            for hour, row in enumerate(csv.DictReader(lines))
        ],
        0,
    )  # fmt: skip
    ledger.close()
    (tmp_path / "aggregator.toml").write_text(FILE, encoding="utf-8")
    return tmp_path / "aggregator.toml"


def test_a_meter_s_own_intervals_are_forecast_and_measured(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = ["--config", str(config), "--facility", "works", "--device", "incomer"]
    at(date(2018, 5, 24), monkeypatch)
    assert main(["forecast", *meter]) == 0
    shown = capsys.readouterr().out
    assert "works incomer, 2018-05-24, by median_with_yesterday, issued 2018-05-24T00:15+09:00" in shown
    assert "works incomer, 2018-05-25, by seasonal_median" in shown
    assert "intensity: none is known, so there are no emissions" in shown
    at(date(2018, 5, 25), monkeypatch)
    assert main(["forecast", "skill", *meter, "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["lead_days"], one["issued"]["hours"], one["naive"]["hours"]) == (1, 24, 24)
    assert main(["forecast", "backtest", *meter, "--days", "60", "--json"]) == 0
    of_meter = json.loads(capsys.readouterr().out)
    assert main(["forecast", "backtest", str(EXCERPT), *READ, "--json"]) == 0
    assert of_meter == json.loads(capsys.readouterr().out)


def test_a_forecast_without_a_meter_names_what_is_expected(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast"]) == 2
    assert "expected --config FILE, or a CSV file to backtest, got neither" in capsys.readouterr().err
    assert main(["forecast", "--config", str(config), "--facility", "mill"]) == 2
    assert "--facility: expected one of works, got 'mill'" in capsys.readouterr().err


def test_trees_that_are_not_installed_are_named_with_the_extra_that_brings_them(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec("sklearn") is not None:
        pytest.skip("scikit-learn is installed")
    assert main(["forecast", "backtest", str(EXCERPT), *READ, "--boosting"]) == 2
    assert "pip install 'wattline[forecast]'" in capsys.readouterr().err
    config.write_text(FILE + "[forecast]\ngradient_boosting = true\n", encoding="utf-8")
    assert main(["forecast", "--config", str(config)]) == 2
    assert "pip install 'wattline[forecast]'" in capsys.readouterr().err
