"""Errors that stand in published factor tables are found in a pack. Each case is one that was seen in public."""

import copy
import random
import time as clock
import tomllib
from collections.abc import Iterator
from datetime import date, datetime, time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from aggregator.emissions.lint import lint
from aggregator.emissions.packfile import PackFaults, parse, read, shipped_packs

SOURCE = {"a": {"title": "Guide", "issuer": "Office", "number": "12", "published": "2021"}}


def faults(kind: str, *rows: tuple[str, ...], **changes: Any) -> list[str]:
    content: dict[str, Any] = {
        "region": "CN",
        "source": SOURCE,
        "table": [{"kind": kind, "source": "a", "table": "1", "columns": ["id", "gas", "value", "unit", "mark"], "rows": [list(r) for r in rows]}],
    } | changes  # fmt: skip
    pack = parse("p", content)
    return lint(parse("p", content | {"reviewed": dict(pack.tables)}))


def test_what_the_program_ships_has_no_fault() -> None:
    found = {pack.name: lint(pack) for pack in shipped_packs()}
    assert found == {name: [] for name in ("cn_electricity", "cn_fuels", "process_heat", "gwp")}


@pytest.mark.parametrize(
    ("kind", "row", "said"),
    [
        # coal rows that carry diesel's heat and carbon
        ("ncv", ("fuel.anthracite.ncv", "", "43.0", "GJ/t", "B"), "expected 17 to 33 GJ/t, got 43.0"),
        ("carbon_content", ("fuel.lignite.carbon_content", "", "0.0202", "tC/GJ", "B"), "expected 0.0245 to 0.0315 tC/GJ"),
        # kJ/kg written where GJ/t stands
        ("ncv", ("fuel.diesel.ncv", "", "42652", "GJ/t", "B"), "looks 1,000 times too large"),
        ("electricity", ("elec.cn.grid.avg", "CO2", "556.8", "kg/kWh", "B"), "looks 1,000 times too large"),
        ("electricity", ("elec.cn.grid.avg", "CO2", "0.5568", "t/MWh", "B"), "expected the unit kg/kWh, got t/MWh"),
        ("electricity", ("elec.cn.grid.avg", "CO2e", "0.5568", "kg/kWh", "B"), "expected gas CO2 and no variant for a year's electricity factor, got gas 'CO2e'"),
        ("process", ("process.limestone", "CO2", "0.00043971", "t/t", "B"), "looks 1,000 times too small"),
        # CO2 factors times 12/44
        ("process", ("process.limestone", "CO2", "0.11992", "t/t", "B"), "looks like carbon in place of CO2"),
        ("carbon_content", ("fuel.diesel.carbon_content", "", "0.0741", "tC/GJ", "B"), "looks like CO2 in place of carbon"),
        # 0.6 kg N2O/TJ is diesel's, natural gas has 0.1
        ("combustion", ("fuel.natural_gas.combustion", "N2O", "0.6", "kg/TJ", "B"), "expected 0.03 to 0.3 kg/TJ"),
        # R-410A is no gas of its own; an AR4 figure
        ("gwp", ("gwp.ar5", "R-410A", "2088", "kg/kg", "B"), "expected a plausible range"),
        ("gwp", ("gwp.ar6", "CH4", "30.5", "kg/kg", "B"), "expected 27 to 29.8"),
        ("ncv", ("fuel.natural_gas.ncv", "", "38.931", "MJ/m3", "B"), "expected the unit GJ/10^4 Nm3, got MJ/m3"),
        ("ncv", ("fuel.diesel.ncv", "", "42.652", "GJ/t", "M"), "expected mark A"),
    ],
)  # fmt: skip
def test_a_slip_is_named_with_what_was_expected(kind: str, row: tuple[str, ...], said: str) -> None:
    found = faults(kind, row)
    assert len(found) == 1
    assert said in found[0]
    assert found[0].startswith(row[0])


def test_two_fuels_with_the_same_heat_and_carbon_are_a_copied_block() -> None:
    table: dict[str, Any] = {"source": "a", "columns": ["id", "value", "unit", "mark"]}
    tables = [
        table | {"kind": "ncv", "table": "1", "rows": [[f"fuel.{f}.ncv", "41.816", "GJ/t", "B"] for f in ("fuel_oil", "crude_oil")]},
        table | {"kind": "carbon_content", "table": "2", "rows": [[f"fuel.{f}.carbon_content", "0.0205", "tC/GJ", "B"] for f in ("fuel_oil", "crude_oil")]},
    ]  # fmt: skip
    assert faults("ncv", table=tables) == [
        "fuel.crude_oil: expected values of its own, heat 41.816 and carbon 0.0205 are those of fuel.fuel_oil"
    ]


def annual(
    values: list[str], others: list[str], years: tuple[int, ...] = (2022, 2023), published: str = "2025"
) -> list[str]:
    content: dict[str, Any] = {
        "unit": "kg/kWh",
        "years": list(years),
        "source": [
            {"data_year": year, "id": f"n{year}", "title": "Notice", "issuer": "M", "number": str(year), "published": published} for year in years
        ],
        "factor": [{"id": "elec.cn.grid.avg", "signal": "average", "table": "t", "values": {"CN-AH": values, "CN-BJ": others, "CN-TJ": ["0.7041", "0.6796"]}}],
    }  # fmt: skip
    return lint(parse("e", content | {"reviewed": dict(parse("e", content).tables)}))


def test_a_page_number_that_was_glued_to_a_value_is_found() -> None:
    assert annual(["0.678217", "0.6553"], ["0.5580", "0.5554"]) == [
        "elec.cn.grid.avg CO2 CN-AH 2022: expected 4 decimals like the rest of its table, got 0.678217"
    ]


def test_a_year_that_was_copied_is_found() -> None:
    assert annual(["0.6782", "0.6782"], ["0.5580", "0.5554"]) == [
        "elec.cn.grid.avg CN-AH: expected each year its own value, 0.6782 stands for 2 years, which looks copied"
    ]


def test_a_document_from_before_its_data_year_was_over_is_found() -> None:
    assert len(annual(["0.6782", "0.6553"], ["0.5580", "0.5554"], published="2023")) == 3


def test_rows_that_have_changed_since_they_were_read_are_found() -> None:
    content: dict[str, Any] = {
        "source": SOURCE,
        "reviewed": {"a: 1": "0" * 64},
        "table": [{"kind": "ncv", "source": "a", "table": "1", "columns": ["id", "value", "unit", "mark"], "rows": [["fuel.diesel.ncv", "42.652", "GJ/t", "A"]]}],
    }  # fmt: skip
    assert "its rows have changed since they were read" in lint(parse("p", content))[0]
    assert "expected its hash under [reviewed]" in lint(parse("p", content | {"reviewed": {}}))[0]


def test_a_row_that_stands_twice_and_a_source_without_a_number_are_found() -> None:
    row = ("fuel.diesel.ncv", "", "42.652", "GJ/t", "A")
    assert faults("ncv", row, row) == ["fuel.diesel.ncv CN: expected once, stands 2 times"]
    assert (
        "expected a source with title and number"
        in faults("ncv", row, source={"a": {"title": "Guide", "published": "2021"}})[0]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not toml", "expected TOML"),
        ("x = 1", "expected 'table'"),
        ('[[table]]\nkind = "ncv"\ntable = "1"\ncolumns = []\nrows = []', "expected source to name one of []"),
        ('table = []\n[source.a]\npublished = "2020"\nsha256 = "abc"', "expected sha256 to be 64 hexadecimal digits"),
        ('table = []\n[source.a]\npublished = "2020"\ntitle = 7', "expected title to be text, got 7"),
        ('[source.a]\ntitle = "x"', "expected published_on as a day or published as a year"),
        ('[source.a]\npublished = "2020"\n[[table]]\nkind = "ncv"\nsource = "a"\ntable = "1"\ncolumns = ["id", "value"]\nrows = [["x", 1.5]]',
         'expected text such as "0.5306"'),
        ('[source.a]\npublished = "2020"\n[[table]]\nkind = "ncv"\nsource = "a"\ntable = "1"\ncolumns = ["id", "value"]\nrows = [["x", "4,2"]]',
         "value: expected a decimal number such as 42.652, got '4,2'"),
        ('[source.a]\npublished = "2020"\n[[table]]\nkind = "ncv"\nsource = "a"\ntable = "1"\ncolumns = ["id", "prize"]\nrows = []',
         "got 'prize'"),
        ('[source.a]\npublished = "2020"\n[[table]]\nkind = "ncv"\nsource = "a"\ntable = "1"\ncolumns = ["id", "value"]\nrows = [["x"]]',
         "row 1: expected 2 values, got 1"),
        ('[source.a]\npublished = "2020"\n[[table]]\nkind = "ncv"\nsource = "a"\ntable = "1"\ncolumns = ["id", "value"]\nrows = [["x", "1"]]',
         "expected 'unit', which the row lacks"),
    ],
)  # fmt: skip
def test_a_file_of_another_shape_gives_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PackFaults) as refused:
        read(path)
    assert len(refused.value.faults) == 1
    assert said in refused.value.faults[0]


def test_an_annual_row_that_is_too_short_and_a_year_without_a_document_are_found() -> None:
    with pytest.raises(PackFaults, match="CN-AH: expected 2 values, one per year, got 1"):
        annual(["0.6782"], ["0.5580", "0.5554"])
    content = {
        "unit": "kg/kWh",
        "years": [2022],
        "source": [],
        "factor": [{"id": "e", "signal": "average", "table": "t", "values": {"CN": ["1"]}}],
    }
    with pytest.raises(PackFaults, match=r"e CN 2022: expected a \[\[source\]\] for 2022, there is none"):
        parse("e", content)


ODD: list[Any] = [None, 0, -1, 10**30, 1.5, float("nan"), "", "x", "NaN", "1e999999", "٣", "9" * 5000, [], [[]], {}, {"a": 1}, True,
                  date(2020, 1, 1), time(1), datetime(2020, 1, 1), "2020-01-01", "9999-12-31", [1], ["a", "a"]]  # fmt: skip  # noqa: DTZ001


def places(given: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner = given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def test_whatever_a_file_holds_is_read_or_named() -> None:
    """Seeded, 1.5 s: keys of two good packs taken away or given odd values."""
    chance, until = random.Random(7), clock.monotonic() + 1.5
    folder = resources.files("aggregator.emissions").joinpath("packs")
    good = [
        tomllib.loads(folder.joinpath(f"{name}.toml").read_text(encoding="utf-8")) for name in ("gwp", "cn_electricity")
    ]
    good[1]["factor"] = good[1]["factor"][:2]
    refused = 0
    while clock.monotonic() < until:
        content = copy.deepcopy(chance.choice(good))
        for _ in range(chance.randint(1, 3)):
            *way, last = chance.choice(list(places(content)))
            holder = content
            for key in way:
                holder = holder[key]
            if isinstance(holder, dict) and chance.random() < 0.3:
                del holder[last]
            else:
                holder[last] = copy.deepcopy(chance.choice(ODD))
        try:
            lint(parse("p", content))
        except PackFaults:
            refused += 1
    assert refused > 20
