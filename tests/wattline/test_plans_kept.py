"""`wattline plan list`, `show`, `replay --config` and `prices` on what an aggregator has on record."""

from pathlib import Path

import pytest
from planned_aggregator import Works

from wattline.command import main


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = Path(tmp_path_factory.mktemp("works"))
    works = Works(directory)
    works.past(days=2)
    works.read("battery", "state_of_charge_percent", 50.0)
    works.look()
    works.aggregator._close()
    return directory / "aggregator.toml"


def test_plans_are_listed_shown_and_solved_again(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "list", "--config", str(config)]) == 0
    assert capsys.readouterr().out.split()[:4] == ["plan-1", "works", "2026-11-20T12:00+08:00", "optimal"]
    assert main(["plan", "show", "plan-1", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "plan-1 of works, 2026-11-20T12:00+08:00: optimal; made for first" in shown
    assert "against uncontrolled" in shown
    assert "12:00-16:00 one more kWh costs CNY" in shown
    assert "schedule    gw-01: sent" in shown
    assert main(["plan", "replay", "plan-1", "--config", str(config)]) == 0
    assert "the same numbers to the last bit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "plan-9"], "plan: expected an id on record such as plan-17 (`wattline plan list`), got 'plan-9'"),
        (["replay", "nothing"], "expected an id on record such as plan-17"),
        (["list", "--facility", "depot"], "facility: expected one that is planned (works), got 'depot'"),
    ],
)
def test_what_is_not_on_record_is_said(
    config: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *words, "--config", str(config)]) == 2
    assert said in capsys.readouterr().err


def test_prices_of_a_file_are_told_under_a_version_and_every_fault_is_named(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(
        "start,end,import_price,export_price\n2026-11-20T13:00:00+08:00,2026-11-20T14:00:00+08:00,0.9,\n"
        "2026-11-20T14:00:00+08:00,2026-11-20T15:00:00+08:00,-0.1,0.2\n"
    )
    words = ["plan", "prices", str(file), "--facility", "works", "--by", "anna", "--config", str(config)]
    assert main([*words, "--version", "day-ahead"]) == 0
    assert "works: 2 prices on record as version day-ahead" in capsys.readouterr().out
    file.write_text("start,end,import_price,export_price\n2026-11-20T13:00:00,2026-11-20T14:00:00+08:00,much,\n")
    assert main(words) == 2
    assert "prices.csv:2: start: expected a time with its offset" in capsys.readouterr().err
    assert main([*words[:4], "depot", *words[5:]]) == 2
