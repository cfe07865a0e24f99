"""`wattline activities` as a person uses it, from a file to an approved record."""

import json
from pathlib import Path

import pytest

from wattline.command import main

CONFIG = """
[aggregator]
data_directory = "{directory}"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
place = "CN-JS"
"""
HEAD = "source,kind,subject,class,from,to,unit,quantity,evidence,reason\n"


def test_from_a_file_to_an_approved_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, file = tmp_path / "aggregator.toml", tmp_path / "may.csv"
    config.write_text(CONFIG.format(directory=tmp_path / "data"), encoding="utf-8")
    file.write_text(
        HEAD
        + "truck,fuel,diesel,mobile,2026-05-01,2026-06-01,t,10,bills,\nLAB-1,laboratory,diesel.ncv,mobile,2026-05-01,2026-06-01,GJ/t,42.5,certificate,\n",
        encoding="utf-8",
    )
    where = ["--config", str(config), "--facility", "works"]
    assert main(["activities", "import", str(file), *where, "--by", "ann"]) == 0
    assert "may.csv: 2 new, 0 corrected, 0 on record already" in capsys.readouterr().out
    assert main(["activities", "list", *where]) == 0
    assert (
        "truck fuel diesel 2026-05-01 to 2026-06-01: 10 t, mobile, DRAFT, does not count yet" in capsys.readouterr().out
    )
    assert main(["activities", "approve", "--all", *where, "--by", "ann"]) == 1
    assert "expected a second person, ann recorded it" in capsys.readouterr().err
    assert main(["activities", "approve", "--all", *where, "--by", "bo"]) == 0
    assert "truck fuel diesel 2026-05-01 version 1, 10 t, approved by bo" in capsys.readouterr().out
    assert main(["factors", "show", "fuel.diesel.ncv", "--config", str(config)]) == 0
    assert "fuel.diesel.ncv works: 42.5 GJ/t  [-] version 1, approved by bo" in capsys.readouterr().out

    file.write_text(
        HEAD + "truck,fuel,diesel,mobile,2026-05-01,2026-06-01,t,11,bills,one bill was missing\n", encoding="utf-8"
    )
    assert main(["activities", "import", str(file), *where, "--by", "ann"]) == 0
    capsys.readouterr()
    assert main(["activities", "list", *where, "--json"]) == 0
    listed = {
        row["source"]: (row["amount"], row["approved"], row["waiting"]) for row in json.loads(capsys.readouterr().out)
    }
    assert listed == {"LAB-1": ("42.5", True, False), "truck": ("10", True, True)}
    assert main(["activities", "show", "3", *where]) == 0
    assert "reason: one bill was missing" in capsys.readouterr().out
    assert main(["activities", "withdraw", "3", *where, "--by", "bo", "--reason", "counted in April"]) == 0
    assert main(["activities", "list", "--config", str(config), "--facility", "mill"]) == 2
    assert "--facility: expected one of works, got 'mill'" in capsys.readouterr().err


def test_what_has_not_happened_is_not_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, file = tmp_path / "aggregator.toml", tmp_path / "next.csv"
    config.write_text(CONFIG.format(directory=tmp_path / "data"), encoding="utf-8")
    where = ["--config", str(config), "--facility", "works", "--by", "ann"]
    # A value may hold for a time to come; what is burnt until 2090 nobody has counted.
    lab = "LAB-1,laboratory,diesel.ncv,mobile,2088-05-01,2089-01-01,GJ/t,42.5,certificate,\n"
    file.write_text(HEAD + lab, encoding="utf-8")
    assert main(["activities", "import", str(file), *where]) == 0
    file.write_text(HEAD + "truck,fuel,diesel,mobile,2089-12-01,2090-01-01,t,10,bills,\n", encoding="utf-8")
    assert main(["activities", "import", str(file), *where]) == 1
    said = capsys.readouterr().err
    assert "expected a period that has ended by now (20" in said
    assert said.endswith("got one until 2090-01-01\n")


def test_a_notice_is_entered_by_one_person_and_approved_by_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "aggregator.toml"
    config.write_text(CONFIG.format(directory=tmp_path / "data"), encoding="utf-8")
    notice = ["factors", "notice"]
    where = ["--config", str(config)]
    entered = [
        *notice,
        "add",
        "--year",
        "2025",
        "--place-level",
        "national",
        "--submitted-by",
        "2026-03-31",
        "--document",
        "No. 1 of 2026",
        "--by",
        "ann",
        *where,
    ]
    assert main(entered) == 0
    assert "DRAFT by ann" in capsys.readouterr().out
    assert main([*notice, "approve", "1", "--by", "ann", *where]) == 1
    assert "wattline factors: notice 1: expected a second person, ann entered it" in capsys.readouterr().err
    assert main([*notice, "approve", "1", "--by", "bo", *where]) == 0
    assert main([*notice, "show", *where]) == 0
    assert (
        "1: CN-GBT 2025 version 1: national factor, latest_at_submission (submitted by 2026-03-31), not restated"
        in capsys.readouterr().out
    )
    assert main([*(word.replace("2026-03-31", "spring") for word in entered)]) == 2
    assert "--submitted-by: expected a day such as 2026-03-31, got 'spring'" in capsys.readouterr().err


def test_a_fault_of_a_value_is_told_with_its_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, file = tmp_path / "aggregator.toml", tmp_path / "may.csv"
    config.write_text(CONFIG.format(directory=tmp_path / "data"), encoding="utf-8")
    rows = "truck,fuel,diesel,mobile,2026-05-01,2026-06-01,t,10,bills,\nvan,fuel,diesel,mobile,2026-06-01,2026-06-01,t,10,,\n"
    file.write_text(HEAD + rows, encoding="utf-8")
    assert main(["activities", "import", str(file), "--config", str(config), "--facility", "works", "--by", "ann"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("wattline activities: may.csv:3: van fuel diesel 2026-06-01: expected evidence, got none; ")
    assert "expected `to` after `from`" in said
