"""`wattline runs`, as an accountant and an auditor would: every word on a data directory of its own. Figures: worked example 27, by hand."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pool_plant import new_registry

from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.runs.logged import take_up
from aggregator.accounts.runs.record import Runs
from aggregator.audit.log import AuditLog
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow, Ledger
from aggregator.stores.duckdb_store import DuckDBStore
from wattline.command import main

SETTINGS = """
[aggregator]
data_directory = "data"

[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
place = "CN"
[[facility.meter]]
device = "incomer"
edge = "gw-01"
role = "main"
rated_power_kw = "100000000"

[[edge]]
facility = "works"
edge = "gw-01"
accept_unsigned = true

[accounts]
significance_percent = 3
"""
START = 1_653_926_400_000  # 2022-05-31T00:00+08:00
SPAN = ["--from", "2022-05-31", "--to", "2022-06-01"]
QUARTER = 900_000
SUMMER_2024, SUMMER_2026 = "2024-07-01T00:00:00+08:00", "2026-07-01T00:00:00+08:00"
Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs one word; its exit status and what it printed on both outputs."""
    (tmp_path / "aggregator.toml").write_text(SETTINGS)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "factors.sqlite").write_bytes(new_registry())

    def word(*arguments: str, at: str = SUMMER_2024) -> tuple[int, str]:
        now_ms = round(datetime.fromisoformat(at).timestamp() * 1000)
        monkeypatch.setenv("WATTLINE_CLOCK", f"{time.monotonic_ns()}:{now_ms}:1")
        capsys.readouterr()
        status = main(["runs", *arguments, "--config", str(tmp_path / "aggregator.toml")])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return word


def measured(directory: Path, kwh: str, at: str = SUMMER_2024) -> None:
    """One interval of the day, recorded an hour before `at`."""
    ledger = Ledger(directory / "data" / "ledger.sqlite")
    row = IntervalRow(
        "works", "incomer", "energy_import_kwh", START, START + QUARTER, Decimal(kwh), GOOD, True, "measured"
    )
    ledger.put_intervals([row], round(datetime.fromisoformat(at).timestamp() * 1000) - 3_600_000)
    ledger.close()


def published(said: Said, directory: Path) -> None:
    measured(directory, "10000000")
    assert said("new", *SPAN, "--by", "ann")[0] == 0
    assert said("approve", "1", "--by", "bo")[0] == 0
    status, text = said("publish", "1", "--by", "ann", "--note", "one quarter-hour was metered")
    span = "2022-05-31T00:00+08:00 to 2022-06-01T00:00+08:00"
    assert text == (
        f"publication 1: run 1, works, GHGP-LB, {span}: 5568000.000 kg, published 2024-07-01T00:00+08:00 by ann, approved by bo\n"
    )
    assert status == 0


def test_from_a_run_to_a_restatement(said: Said, tmp_path: Path) -> None:
    published(said, tmp_path)
    assert said("impact") == (0, "no publication would change\n")
    measured(tmp_path, "10050000", SUMMER_2026)
    bridge = "5568 -> 5392.83 t CO2e: -175.17 t (-3.146012931 %) = factor -202.505, activity +27.335"
    status, text = said("impact", at=SUMMER_2026)
    assert (status, text.splitlines()[1:]) == (0, [f"  {bridge}", "  2 lines differ; to be reissued"])
    status, text = said("new", *SPAN, "--by", "ann", at=SUMMER_2026)
    assert (status, text) == (
        1, "wattline runs: works GHGP-LB: the span is published (publication 1): restate it, with its reason\n"
    )  # fmt: skip
    status, text = said("restate", "1", "--by", "ann", "--reason", "factor of 2022; meter", at=SUMMER_2026)
    assert status == 0
    assert bridge in text
    for name in ("ann", "Ａnn"):  # the second is written with a wide letter
        status, text = said("approve", "2", "--by", name, at=SUMMER_2026)
        assert (status, text) == (1, "wattline runs: run 2: expected a second person, ann made it\n")
    assert said("approve", "2", "--by", "bo", at=SUMMER_2026)[0] == 0
    assert said("publish", "2", "--by", "bo", "--note", "as before", at=SUMMER_2026)[0] == 0
    assert said("list")[1].count("\n") == 4
    listed = json.loads(said("list", "--json")[1])
    assert [(run["run"], run["state"], run["kg"]) for run in listed["runs"]] == [
        (1, "restated", "5568000.0000"), (2, "published", "5392830.0000"),
    ]  # fmt: skip
    assert [each["state"] for each in listed["publications"]] == ["restated", "published"]
    compared = json.loads(said("compare", "1", "2", "--json")[1])
    assert [(each["cause"], each["kg"]) for each in compared["causes"]] == [
        ("factor", "-202505"),
        ("activity", "27335"),
    ]
    for no in ("1", "2"):
        status, text = said("verify", no, at=SUMMER_2026)
        assert status == 0
        assert "calculated again, the same bytes: sha256 " in text


def test_a_record_that_is_not_the_one_in_the_log_is_not_proven(said: Said, tmp_path: Path) -> None:
    """Such as after the accounts file was lost and its numbers began again."""
    published(said, tmp_path)
    store = DuckDBStore(tmp_path / "data" / "store.duckdb", memory_limit="256MB")
    log = AuditLog(tmp_path / "data", store, "store-1", lambda: START)
    log.append_records("run", [(1, b'{"kind":"run","no":1,"of":"another statement"}')])
    log.close()
    store.close()
    status, text = said("prove", "--run", "1")
    assert (status, text) == (
        1, "wattline runs: run 1: expected the record that is in the log, got another under its number\n"
    )  # fmt: skip


def test_the_key_of_the_log_is_told_beside_it_and_after_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the running log itself says it; nothing is made where there is no log."""
    file = tmp_path / "aggregator.toml"
    file.write_text(SETTINGS)
    assert main(["aggregator", "log-key", str(file)]) == 1
    assert "audit.sqlite: expected the log of an aggregator, there is none" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
    store = DuckDBStore(tmp_path / "store.duckdb", memory_limit="256MB")
    log = AuditLog(tmp_path / "data", store, "store-1", lambda: START)
    assert main(["aggregator", "log-key", str(file)]) == 1
    assert capsys.readouterr().err == "wattline aggregator log-key: expected a checkpoint, none is signed yet\n"
    log.append_records("run", [(1, b'{"kind":"run","no":1,"of":"another statement"}')])
    assert log.sign_if_changed()
    for _ in ("beside it", "after it"):
        assert main(["aggregator", "log-key", str(file)]) == 0
        assert capsys.readouterr().out == f"{log.verifier.to_text()}\n"
        log.close()
    store.close()


def test_both_series_are_visible(said: Said, tmp_path: Path) -> None:
    published(said, tmp_path)
    measured(tmp_path, "10050000", SUMMER_2026)
    for view, as_of, kg in (
        ("published", None, "5568000.0000"), ("latest", None, "5392830.0000"), ("as_of", SUMMER_2024, "5568000.0000"),
    ):  # fmt: skip
        asked = [*SPAN, "--view", view, *(["--as-of", as_of] if as_of else []), "--json"]
        found = json.loads(said("view", *asked, at=SUMMER_2026)[1])
        assert found["kg"] == kg
    found = json.loads(said("view", *SPAN, "--json", at=SUMMER_2026)[1])
    (series,) = found["series"]
    assert (series["published_kg"], series["latest_kg"]) == ("5568000.0000", "5392830.0000")
    assert (series["bridge"]["delta_kg"], len(series["bridge"]["causes"])) == ("-175170", 2)
    early = said("view", *SPAN, "--view", "as_of", "--as-of", "2024-06-30", "--json", at=SUMMER_2026)
    assert (json.loads(early[1])["kg"], json.loads(early[1])["published"]) == (None, None)


def test_a_run_and_an_interval_are_proven_beside_a_running_aggregator(said: Said, tmp_path: Path) -> None:
    published(said, tmp_path)
    data = tmp_path / "data"
    status, text = said("prove", "--run", "1")
    assert (status, "expected the log of an aggregator" in text) == (1, True)
    store = DuckDBStore(data / "store.duckdb", memory_limit="256MB")
    log = AuditLog(data, store, "store-1", lambda: START)
    with Runs(data / ACCOUNTS_NAME) as runs:
        take_up(runs, log)
        take_up(runs, log)
        log.keep_up()
        assert log.figures().size == 2
        proof: dict[str, Any] = json.loads(said("prove", "--run", "1")[1])
        assert proof["leaf"].encode() == runs.run(1).leaf()
        issued = json.loads(said("prove", "--publication", "1")[1])
        assert issued["leaf"].encode() == runs.publication(1).leaf()
    interval = json.loads(said("prove", "--run", "1", "--device", "incomer", "--at", "2022-05-31T00:00+08:00")[1])
    assert interval["input_root"] == json.loads(proof["leaf"])["input_root"]
    log.close()
    store.close()


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["show", "7"], 1, "run 7: expected a run on record, there is none"),
        (["verify", "7"], 1, "run 7: expected a run on record, there is none"),
        (["restate", "7", "--by", "ann", "--reason", "x"], 1, "publication 7: expected one on record"),
        (["compare", "1", "2"], 1, "run 1: expected a run on record"),
        (["prove", "--publication", "1", "--device", "incomer"], 2, "expected --run, --device and --at together"),
        (["view", *SPAN, "--view", "as_of"], 2, "as_of: expected a time, because the view is as_of"),
        (["new", *SPAN, "--by", "ann", "--facility", "mill"], 2, "--facility: expected one of works, got 'mill'"),
        (["new", *SPAN, "--by", "ann", "--profile", "BEST"], 2, "profile: expected one of OPS"),
        (["new", *SPAN, "--by", " "], 1, "operator: expected words, got none"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(said: Said, words: list[str], status: int, text: str) -> None:
    got, printed = said(*words)
    assert (got, printed.count("\n")) == (status, 1)
    assert text in printed
