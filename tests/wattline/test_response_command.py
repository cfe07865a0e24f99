"""`wattline response` over a ledger: an event of two hours on a flat load, by hand."""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.ledger import IntervalRow, Ledger
from wattline.command import main
from wire.reading import Quality

HOUR_MS = 3_600_000
QUARTER_MS = 900_000
SETTINGS = """
[aggregator]
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
place = "CN"
[[facility.meter]]
device = "incomer"
edge = "gw"
role = "main"
rated_power_kw = 1000
[[edge]]
facility = "works"
edge = "gw"
accept_unsigned = true
"""


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)


EVENT = (ms("2026-06-17T14:00"), ms("2026-06-17T16:00"))


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Thirty days of 400 kW; on the day 100 kW in the event, 420 kW in the hour after."""
    monkeypatch.delenv("WATTLINE_CLOCK", raising=False)
    (tmp_path / "aggregator.toml").write_text(SETTINGS, encoding="utf-8")
    ledger = Ledger(tmp_path / "data" / "ledger.sqlite")
    rows = []
    for start_ms in range(ms("2026-05-18"), ms("2026-06-18"), QUARTER_MS):
        kw = 100 if EVENT[0] <= start_ms < EVENT[1] else 420 if EVENT[1] <= start_ms < EVENT[1] + HOUR_MS else 400
        grade = Grade(Quality.SUBSTITUTED, "counter-diff") if start_ms == ms("2026-06-16T03:00") else GOOD
        rows.append(IntervalRow("works", "incomer", "energy_import_kwh", start_ms, start_ms + QUARTER_MS, Decimal(kw) / 4, grade, True, "measured"))  # fmt: skip
    ledger.put_intervals(rows, ms("2026-06-18"))
    ledger.close()

    def run(*more: str) -> int:
        words = ["response", "--config", str(tmp_path / "aggregator.toml"), "--from", "2026-06-17T14:00+08:00"]
        return main([*words, "--to", "2026-06-17T16:00+08:00", *more])

    return run


def test_an_event_is_settled_against_like_days_that_were_measured_well(
    settled: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """400 - 100 kW over 2 h are 600 kWh; 0.5306 kg/kWh (2023, the latest known) make 318.36 kg; 1 per kWh up to the target of 250 kW."""
    assert settled("--target-kw", "250", "--pay-per-kwh", "1", "--event-day", "2026-06-12", "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert sum(found["delivered_kwh"]) == pytest.approx(600)
    assert (found["response_ratio"], found["money"]) == (pytest.approx(1.2), pytest.approx(500))
    assert found["rebound_kwh"] == pytest.approx(20)
    assert Decimal(found["saved_kg"]["OPS"]) == Decimal("318.36")
    assert found["saved_kg"]["MARGINAL"] is None  # no marginal series: no figure, not an average
    assert found["factor"] == pytest.approx(1)
    assert not {"2026-06-12", "2026-06-16", "2026-06-13"} & set(found["days"])  # an event, a day with a gap, a Saturday
    assert (len(found["days"]), found["accuracy"]["rrmse_percent"]) == (10, pytest.approx(0))


def test_the_same_is_told_to_people(settled: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert settled("--rules", "last_five") == 0
    shown = capsys.readouterr().out
    assert "delivered   600.000 kWh\n" in shown
    assert "MARGINAL    no factor" in shown


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--rules", "best"), 2, "--rules: preset: expected one of ten_of_ten"),
        (("--device", "press"), 2, "--device: expected one of incomer, got 'press'"),
        (("--to", "2026-06-18T16:00+08:00"), 2, "of one local day"),
        (("--event-day", "yesterday"), 2, "--event-day: expected a day such as"),
        (("--from", "2026-05-20T14:00+08:00", "--to", "2026-05-20T15:00+08:00"), 1, "expected 10 eligible days"),
    ],
)
def test_what_cannot_be_settled_is_refused_with_what_was_expected(
    settled: Callable[..., int], words: tuple[str, ...], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert settled(*words) == status
    assert said in capsys.readouterr().err


def test_a_damaged_file_of_records_is_named(
    settled: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "accounts.sqlite").write_bytes(b"not a file of records " * 100)
    span = ["--from", "2026-06-17", "--to", "2026-06-18"]
    assert settled() == 1
    assert main(["statement", "--config", str(tmp_path / "aggregator.toml"), *span]) == 1
    said = "accounts.sqlite: expected a file of records, SQLite says file is not a database"
    assert capsys.readouterr().err.count(said) == 2
