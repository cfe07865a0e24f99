"""`wattline factors` as a person uses it, on a registry file of its own."""

import json
from decimal import Decimal
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


def test_a_withdrawal_is_aimed_and_says_what_takes_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Jiangsu has 0.6451, 0.5978 and 0.5827 for 2021 to 2023, the east grid 0.5500 for 2023 (table 2.4 of the specification).
    config, file = tmp_path / "aggregator.toml", tmp_path / "day.csv"
    config.write_text(
        '[aggregator]\ndata_directory = "data"\n[[facility]]\nid = "works"\ntime_zone = "Asia/Shanghai"\nplace = "CN-JS"\n'
        '[[facility.meter]]\ndevice = "incomer"\nedge = "gw"\nrated_power_kw = 1000\nrole = "main"\n'
        '[[edge]]\nfacility = "works"\nedge = "gw"\naccept_unsigned = true\n'
    )
    file.write_text("time,energy_kwh\n2023-10-01T00:00,20\n")
    assert main(["import", str(file), "--config", str(config), "--facility", "works", "--device", "incomer"]) == 0

    def withdrawn(*aim: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["factors", "withdraw", *aim, "--config", str(config), "--by", "bo", "--reason", "misprint"])
        told = capsys.readouterr()
        return status, told.out + told.err

    def stated() -> str:
        capsys.readouterr()
        assert main(["statement", "--config", str(config), "--from", "2023-10-01", "--to", "2023-10-02"]) == 0
        return capsys.readouterr().out

    status, told = withdrawn("elec.cn.grid.avg", "--region", "CN-JS")
    assert (status, "expected one factor to withdraw, got 3 (data_year 2021, 2022, 2023)" in told) == (1, True)
    assert "11.654 kg" in stated()
    status, told = withdrawn("elec.cn.grid.avg", "--region", "CN-JS", "--data-year", "2023", "--gas", "CO2")
    assert (status, told.count("withdrawn by bo")) == (0, 1)
    assert (
        "in its place: elec.cn.grid.avg CN-JS 2022 version 1, 0.5978 kg/kWh, marked provisional, fallback_latest"
        in told
    )
    assert "11.956 kg" in (said := stated())
    assert "place" not in said
    status, told = withdrawn("elec.cn.grid.avg*", "--region", "CN-JS")
    assert (status, told.count("withdrawn by bo"), "CN-GRID-EAST 2022" in told) == (0, 2, True)
    assert "11.000 kg" in (said := stated())
    assert "CN-GRID-EAST stands in for CN-JS, which has no factor in force (fallback_place)" in said


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


def test_which_factor_applies_is_told_with_what_was_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--region", "CN-YN", "--at", "2023-06-01"]
    assert main(["factors", "which", "electricity", *where, "--kwh", "1000000", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["value"], said["tier"], said["amount"]) == (
        "0.1333",
        "province",
        "133300.0000 kg (average)",
    )  # worked example 38
    assert main(["factors", "which", "electricity", *where, "--profile", "CN-GBT"]) == 1
    assert "electricity: no value: CN-GBT: the reporting year's notice" in capsys.readouterr().out
    notice = ["--place-level", "national", "--notice", "notice of the year"]
    assert main(["factors", "which", "electricity", *where, "--profile", "CN-GBT", *notice]) == 0
    said_text = capsys.readouterr().out
    assert "elec.cn.grid.avg version 1: 0.5306 kg/kWh" in said_text
    assert "passed over: province CN-YN: CN-GBT takes national" in said_text
    assert main(["factors", "which", "fuel.anthracite.oxidation", "--variant", "kiln"]) == 0
    assert "is for industrial boiler, kiln is asked" in capsys.readouterr().out
    assert main(["factors", "which", "gwp.ar6", "--gas", "SF6"]) == 1
    assert "is a draft that nobody has approved" in capsys.readouterr().out


def test_a_certificate_is_imported_retired_once_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--registry", str(tmp_path / "factors.sqlite")]
    bought = tmp_path / "bought.csv"
    bought.write_text(
        "id,type,mwh,from,to,zone,kg_per_kwh,owner,registry_ref,evidence\nr1,rec,0.4,2023-06-01,2023-07-01,CN,0,works,R-1,statement 7\n",
        encoding="utf-8",
    )
    assert main(["factors", "instruments", "import", str(bought), *where, "--by", "ann"]) == 0
    asked = [
        "factors",
        "market",
        *where,
        "--facility",
        "works",
        "--from",
        "2023-06-01",
        "--to",
        "2023-07-01",
        "--kwh",
        "1000",
        "--json",
    ]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["kg"] == "609.6000"
    retire = ["factors", "instruments", "retire", "r1", *where, "--facility", "works", "--by", "ann"]
    assert main(retire) == 0
    assert main(retire) == 1
    assert "r1: was retired for works by ann; an instrument is retired once" in capsys.readouterr().err
    assert main(asked) == 0
    said = json.loads(capsys.readouterr().out)
    assert (Decimal(said["kg"]), said["coverage_percent"]) == (Decimal("365.76"), "100")  # worked example 9
    assert main(["factors", "instruments", "show", *where]) == 0
    assert "r1: rec 0.4 MWh, 2023-06-01 to 2023-07-01, CN, R-1: retired for works by ann" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["which", "electricity", "--profile", "GHGP-MB"], "takes certificates: wattline factors market"),
        (["which", "electricity", "--profile", "XX"], "profile: expected one of OPS"),
        (["which", "electricity", "--facility", "works", "--config", "/nowhere.toml"], "/nowhere.toml"),
        (["which", "electricity", "--at", "9999-12-31"], "--at: expected a year from 1970 to 2100"),
        (["which", "electricity", "--kwh", "many"], "--kwh: expected a decimal number"),
        (["which", "electricity", "--time-zone", "Mars/Olympus"], "Mars/Olympus"),
    ],
)
def test_a_question_that_cannot_be_answered_gives_one_clear_error(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["factors", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_aggregator_file_says_where_a_facility_is_and_what_its_own_factor_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "aggregator.toml"
    (tmp_path / "data").mkdir()
    file.write_text(
        '[aggregator]\nstore_id = "x"\ndata_directory = "data"\n'
        '[[facility]]\nid = "works"\ntime_zone = "Asia/Shanghai"\nplace = "CN-JS"\n'
        '[[facility.factor]]\nkg_per_kwh = "0.4"\nsource = "contract"\nvalid_from = 2024-01-01\n',
        encoding="utf-8",
    )
    for at, tier, value in (("2023-06-01", "province", "0.5827"), ("2024-06-01", "override", "0.4")):
        asked = ["factors", "which", "electricity", "--config", str(file), "--facility", "works", "--at", at, "--json"]
        assert main(asked) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["tier"], said["value"]) == (tier, value)
    assert main(["factors", "which", "electricity", "--config", str(file), "--facility", "mill"]) == 2
    assert "expected one of the aggregator file, got 'mill'" in capsys.readouterr().err


def test_an_hourly_series_is_imported_and_used_where_a_zone_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--registry", str(tmp_path / "factors.sqlite")]
    file = tmp_path / "hours.csv"
    file.write_text(
        "zone,signal,start,end,g_per_kwh,provider,published,estimated\n"
        "CN-EAST,average,2023-06-01T00:00Z,2023-06-01T01:00Z,400,operator,2023-06-01T02:00Z,yes\n",
        encoding="utf-8",
    )
    assert main(["factors", "intensity", str(file), *where, "--by", "ann"]) == 0
    assert capsys.readouterr().out == "1 new hours\n"
    asked = ["factors", "which", "electricity", *where, "--zone", "CN-EAST", "--json"]
    for at, tier, value in (("2023-06-01T00:30Z", "zone", "0.400"), ("2023-06-01T01:30Z", "national", "0.5306")):
        assert main([*asked, "--at", at]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["tier"], said["value"]) == (tier, value)


def test_sinks_are_imported_and_what_is_left_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--registry", str(tmp_path / "factors.sqlite")]
    file = tmp_path / "sinks.csv"
    file.write_text(
        "project,methodology,from,to,project_t,baseline_t,leakage_t,vintage,evidence,reason\n"
        "A,forest-management,2025-01-01,2026-01-01,12000,3000,600,2025,report 1,\n"
        "B,ocean,2025-01-01,2026-01-01,5000,1200,0,2025,report 2,\n",
        encoding="utf-8",
    )
    assert main(["factors", "sinks", "show", *where]) == 1
    assert "no sinks on record" in capsys.readouterr().err
    assert main(["factors", "sinks", "import", str(file), *where, "--by", "ann"]) == 0
    assert main(["factors", "sinks", "show", *where]) == 0
    said = capsys.readouterr().out
    assert "A 2025 version 1: 8400 t CO2 = 12000 - 3000 - 600 (forest-management); report 1" in said
    assert "all: 12200 t CO2" in said  # worked example 17
