"""`wattline factors` as a person uses it, on a registry file of its own."""

import json
from pathlib import Path

import pytest

from wattline.command import main

PACK = """
region = "CN"
reason = "{reason}"
[source.yearbook]
title = "Yearbook"
issuer = "Office"
number = "7"
published = "2020"
[[table]]
kind = "ncv"
source = "yearbook"
table = "9"
columns = ["id", "value", "unit", "mark"]
rows = [["fuel.diesel.ncv", "{value}", "GJ/t", "A"]]
[reviewed]
"yearbook: 9" = "{digest}"
"""


def test_without_a_file_what_is_shipped_is_linted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["factors", "lint"]) == 0
    assert "cn_fuels: 55 values, 0 faults" in capsys.readouterr().out


def test_from_a_file_to_a_factor_in_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack, where = tmp_path / "mine.toml", ["--registry", str(tmp_path / "factors.sqlite")]
    pack.write_text(PACK.format(value="43.1", reason="", digest="?"), encoding="utf-8")
    assert main(["factors", "lint", str(pack)]) == 1
    digest = capsys.readouterr().out.split("expected ")[1].split()[0]  # the hash that it would have
    pack.write_text(PACK.format(value="43.1", reason="", digest=digest), encoding="utf-8")
    assert main(["factors", "lint", "--json", str(pack)]) == 0
    assert json.loads(capsys.readouterr().out) == {"mine": {"entries": 1, "faults": []}}

    assert main(["factors", "import", str(pack), *where, "--by", "ann"]) == 1
    assert "a correction needs `reason` at the head of the file" in capsys.readouterr().err
    pack.write_text(PACK.format(value="43.1", reason="yearbook of the year", digest=digest), encoding="utf-8")
    assert main(["factors", "import", str(pack), *where, "--by", "ann"]) == 0
    assert "mine: 0 new, 1 corrected, 0 on record already" in capsys.readouterr().out

    assert main(["factors", "approve", "fuel.diesel.ncv", *where, "--by", "ann"]) == 1
    assert "expected a second person" in capsys.readouterr().err
    assert main(["factors", "approve", "fuel.diesel.ncv", *where, "--by", "bo"]) == 0
    assert "fuel.diesel.ncv CN version 2: 43.1 GJ/t, approved by bo" in capsys.readouterr().out

    assert main(["factors", "show", "fuel.diesel.ncv", *where, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(row["version"], row["value"], row["status"]) for row in shown] == [
        (1, "42.652", "approved"),
        (2, "43.1", "approved"),
    ]
    assert shown[1]["table_sha256"] == digest
    assert main(["factors", "withdraw", "fuel.diesel.*", *where, "--by", "cy", "--reason", "misread"]) == 0
    assert main(["factors", "show", "fuel.diesel.ncv", *where]) == 0
    assert "withdrawn: misread" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["show", "fuel.unobtainium"], 1, "no such factor on record"),
        (["show", "--as-of", "yesterday"], 2, "--as-of: expected a day or a time"),
        (["lint", "/nowhere.toml"], 1, "No such file"),
    ],
)
def test_bad_use_gives_one_clear_error(
    words: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["factors", *words]) == status
    assert said in capsys.readouterr().err


def test_the_registry_can_be_asked_what_was_known_earlier(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["factors", "show", "elec.cn.grid.avg", "--region", "CN", "--as-of", "2025-01-01"]) == 0
    assert capsys.readouterr().out.count("elec.cn.grid.avg CO2 CN 202") == 2  # 2023's appeared on 2025-12-31
