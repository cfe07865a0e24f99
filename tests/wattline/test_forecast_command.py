"""`wattline forecast backtest` as people and programs use it."""

import json
from pathlib import Path

import pytest

from wattline.command import main

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
