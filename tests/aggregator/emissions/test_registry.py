"""The registry on disk: versions are only added, by two people, and an earlier knowledge time gives what was known then."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aggregator.emissions.entry import Entry
from aggregator.emissions.factors import FactorTable, annual_versions
from aggregator.emissions.lint import lint
from aggregator.emissions.packfile import FactorPack, parse, shipped_pack, shipped_packs
from aggregator.emissions.registry import Aim, Registry, RegistryRefused
from aggregator.emissions.second_person import same_person

D = Decimal
NOW = 1_780_272_000_000  # 2026-06-01
DAY = 86_400_000


def diesel(value: str, reason: str = "", mark: str = "A", **columns: str) -> FactorPack:
    content: dict[str, Any] = {
        "region": "CN",
        "reason": reason,
        "source": {"lab": {"title": "Yearbook", "issuer": "Office", "number": "7", "published": "2020"}},
        "table": [
            {
                "kind": "ncv",
                "source": "lab",
                "table": "9",
                "columns": ["id", "value", "unit", "mark", *columns],
                "rows": [["fuel.diesel.ncv", value, "GJ/t", mark, *columns.values()]],
            }
        ],
    }
    content["reviewed"] = dict(parse("mine", content).tables)
    return parse("mine", content)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "factors.sqlite") as opened:
        yield opened


def of_diesel(registry: Registry, as_of_ms: int | None = None, facility: str = "") -> list[Entry]:
    return [e for e in registry.entries(as_of_ms) if e.id == "fuel.diesel.ncv" and e.facility == facility]


def test_it_begins_with_what_the_program_ships_and_stays_so(tmp_path: Path) -> None:
    for _ in range(2):
        with Registry(tmp_path / "factors.sqlite") as registry:
            entries = registry.entries()
            assert {e.version for e in entries} == {1}
            assert [str(e.value) for e in of_diesel(registry)] == ["42.652"]
            assert all(len(e.table_sha256) == 64 and e.source.title and e.table_ref for e in entries)
    assert [str(e.key) for e in entries if e.status == "draft"] == ["gwp.ar6 SF6 INT"]


def test_marks_are_the_specifications_stars_and_an_older_record_keeps_its_own(tmp_path: Path) -> None:
    # Table 2.4 of the specification stars 18 values: the nation's but for two of fossil power, and single ones of grids and provinces.
    pack = shipped_pack("cn_electricity")
    starred = {(e.region, e.data_year) for e in pack.entries if e.mark == "A" and e.id == "elec.cn.grid.avg"}
    assert starred == {
        ("CN", 2021), ("CN", 2022), ("CN", 2023), ("CN-GRID-NORTH", 2021), ("CN-GRID-SOUTH", 2022), ("CN-GRID-SOUTH", 2023), ("CN-BJ", 2022),
        ("CN-HL", 2022), ("CN-AH", 2021), ("CN-GD", 2022), ("CN-GD", 2023), ("CN-SC", 2022), ("CN-SC", 2023), ("CN-YN", 2022),
    }  # fmt: skip
    assert sorted(e.data_year for e in pack.entries if e.mark == "A" and e.id != "elec.cn.grid.avg") == [
        2021,
        2022,
        2023,
        2023,
    ]
    before = replace(pack, entries=tuple(replace(entry, mark="B") for entry in pack.entries))
    with Registry(tmp_path / "factors.sqlite", [before]) as registry:
        was = registry.entries()
    with Registry(tmp_path / "factors.sqlite", [pack]) as registry:
        assert registry.entries() == was


def test_the_program_corrects_what_it_shipped_by_a_later_document_only(tmp_path: Path) -> None:
    first, same_document = diesel("42.652"), diesel("42.7", "misread")
    erratum = diesel("42.7", "erratum")
    later = replace(erratum.entries[0], source=replace(erratum.entries[0].source, id="erratum"), known_from_ms=NOW)
    path = tmp_path / "factors.sqlite"
    for packs in ([first], [first, replace(erratum, entries=(later,))], [first, replace(erratum, entries=(later,))]):
        with Registry(path, packs) as registry:
            kept = of_diesel(registry)
            assert [str(e.value) for e in of_diesel(registry, NOW - 1)] == ["42.652"]
    assert [(e.version, str(e.value), e.status, e.reason) for e in kept] == [
        (1, "42.652", "approved", ""),
        (2, "42.7", "approved", "erratum"),
    ]
    for packs in ([first, same_document], [first, diesel("42.7")]):
        with pytest.raises(RegistryRefused, match=r"the program ships 42\.7, on record is 42\.652"):
            Registry(":memory:", packs)
    with pytest.raises(RegistryRefused, match="expected mark A"):
        Registry(":memory:", [diesel("42.652", mark="Z")])


def test_a_correction_needs_a_reason_and_says_when_digits_were_swapped(registry: Registry) -> None:
    with pytest.raises(
        RegistryRefused,
        match=r"on record 42\.652 \(version 1\), the file says 42\.625 \(the same digits in another order\)",
    ):
        registry.add(diesel("42.625"), "ann", NOW)
    assert len(of_diesel(registry)) == 1


def test_a_correction_is_a_new_version_that_a_second_person_approves(registry: Registry) -> None:
    done = registry.add(diesel("43.1", "supplier's yearbook"), "ann", NOW)
    assert (done.new, done.corrected, done.unchanged) == (0, 1, 0)
    with pytest.raises(RegistryRefused, match="expected a second person, ann entered it"):
        registry.decide("fuel.diesel.ncv", "approved", "ann", "", NOW)
    registry.decide("fuel.diesel.ncv", "approved", "bo", "read it", NOW + DAY)
    first, second = of_diesel(registry)
    assert (first.version, str(first.value), first.status) == (1, "42.652", "approved")
    assert (second.version, str(second.value), second.status) == (2, "43.1", "approved")
    assert (second.entered_by, second.approved_by, second.reason) == ("ann", "bo", "supplier's yearbook")
    assert second.known_from_ms == NOW + DAY  # usable from the approval on, not from its document's day


@pytest.mark.parametrize(
    "name",
    ["Li\u200bWei", "Li\u200b Wei", "L\u200bi Wei", "Li\u3164Wei", "Li\u034f Wei", "Li Wei\ufe0f", "\u115fLi Wei", "li\xa0\u2060wei"],
)  # fmt: skip
def test_a_letter_that_does_not_show_makes_no_second_person(name: str) -> None:
    # Default_Ignorable_Code_Point of the Unicode Character Database: format characters, fillers, joiners, variation selectors.
    assert same_person("Li Wei", name)
    assert same_person(name, "Li Wei")
    assert not same_person("Li Na", name)
    assert not same_person("An Na", "Anna")  # both show what they are


@pytest.mark.parametrize("name", ["ann", "Ann", " ann ", "ａｎｎ", "ＡNN", "a\u200bnn"])
def test_another_spelling_is_no_second_person(registry: Registry, name: str) -> None:
    registry.add(diesel("43.1", "yearbook"), "ann", NOW)
    with pytest.raises(RegistryRefused, match="ann entered it"):
        registry.decide("fuel.diesel.ncv", "approved", name, "", NOW)
    assert registry.decide("fuel.diesel.ncv", "approved", "anna", "", NOW)


def test_what_was_known_earlier_is_still_told(registry: Registry) -> None:
    registry.add(diesel("43.1", "yearbook"), "ann", NOW)
    registry.decide("fuel.diesel.ncv", "approved", "bo", "", NOW + DAY)
    registry.decide("fuel.diesel.ncv", "withdrawn", "cy", "misread", NOW + 2 * DAY)
    assert [e.version for e in of_diesel(registry, NOW - 1)] == [1]
    assert [e.status for e in of_diesel(registry, NOW)] == ["approved", "draft"]
    assert [e.status for e in of_diesel(registry, NOW + DAY)] == ["approved", "approved"]
    assert [(e.status, e.note) for e in of_diesel(registry)] == [
        ("approved", "comes with the program"),
        ("withdrawn", "misread"),
    ]
    registry.decide("fuel.diesel.ncv", "withdrawn", "cy", "misread too", NOW + 3 * DAY)
    assert [(e.status, e.note) for e in of_diesel(registry)] == [("withdrawn", "misread too"), ("withdrawn", "misread")]
    with pytest.raises(RegistryRefused, match="there is none"):
        registry.decide("fuel.diesel.ncv", "withdrawn", "cy", "again", NOW + 4 * DAY)


def test_a_withdrawal_is_of_one_factor_unless_many_are_named(registry: Registry) -> None:
    with pytest.raises(RegistryRefused, match=r"got 3 \(data_year 2021, 2022, 2023\): say which, or end the id in \*"):
        registry.decide("elec.cn.grid.avg", "withdrawn", "cy", "misprint", NOW, Aim("CN-JS"))
    assert not [entry for entry in registry.entries() if entry.status == "withdrawn"]
    decided = registry.decide("elec.cn.grid.avg", "withdrawn", "cy", "misprint", NOW, Aim("CN-JS", 2023, "CO2"))
    assert [(e.region, e.data_year) for e in decided] == [("CN-JS", 2023)]
    decided = registry.decide("elec.cn.grid.avg*", "withdrawn", "cy", "misprint", NOW, Aim("CN-JS"))
    assert [(e.region, e.data_year) for e in decided] == [("CN-JS", 2021), ("CN-JS", 2022)]


def test_the_same_file_again_changes_nothing(registry: Registry) -> None:
    registry.add(diesel("43.1", "yearbook"), "ann", NOW)
    done = registry.add(diesel("43.1", "yearbook"), "ann", NOW + DAY)
    assert (done.new, done.corrected, done.unchanged) == (0, 0, 1)


def test_a_value_of_a_facilitys_own_needs_evidence(registry: Registry) -> None:
    with pytest.raises(RegistryRefused, match="expected evidence"):
        registry.add(diesel("43.1", facility="works"), "ann", NOW)
    registry.add(diesel("43.1", mark="", facility="works", evidence="laboratory report 12"), "ann", NOW)
    assert [e.evidence for e in of_diesel(registry, facility="works")] == ["laboratory report 12"]
    assert len(of_diesel(registry)) == 1


def test_an_import_is_all_or_nothing(registry: Registry) -> None:
    before = len(registry.entries())
    pack = diesel("43.1", facility="works", evidence="")
    with pytest.raises(RegistryRefused):
        registry.add(
            FactorPack(pack.name, (*diesel("43.2", "x").entries, *pack.entries), "x", pack.reviewed, pack.tables),
            "ann",
            NOW,
        )
    assert len(registry.entries()) == before


def test_swapped_years_are_refused(registry: Registry) -> None:
    content: dict[str, Any] = {
        "unit": "kg/kWh",
        "years": [2021, 2022],
        "source": [
            {"data_year": 2021, "id": "a", "title": "Notice", "issuer": "M", "number": "1", "published": "2024"},
            {"data_year": 2022, "id": "b", "title": "Notice", "issuer": "M", "number": "2", "published": "2024"},
        ],
        "factor": [
            {"id": "elec.cn.grid.avg", "signal": "average", "table": "national", "values": {"CN": ["0.5366", "0.5568"]}}
        ],
    }
    content["reviewed"] = dict(parse("swapped", content).tables)
    with pytest.raises(RegistryRefused) as refused:
        registry.add(parse("swapped", content), "ann", NOW)
    assert "elec.cn.grid.avg CO2 CN 2021: 0.5366 is on record for 2022: are the years swapped?" in refused.value.faults
    assert "elec.cn.grid.avg CO2 CN 2022: 0.5568 is on record for 2021: are the years swapped?" in refused.value.faults


def test_a_document_on_record_is_not_given_another_title(registry: Registry) -> None:
    registry.add(diesel("43.1", "yearbook"), "ann", NOW)
    other = diesel("43.2", "yearbook")
    renamed = tuple(
        Entry(**{name: getattr(e, name) for name in e.__slots__} | {"source": type(e.source)("lab", "Other", "Office", "7", e.source.published_on)})
        for e in other.entries
    )  # fmt: skip
    with pytest.raises(RegistryRefused, match="source lab: on record it is Yearbook / Office / 7 / 2020-12-31"):
        registry.add(FactorPack("mine", renamed, "yearbook", other.reviewed, other.tables), "ann", NOW)


@pytest.mark.parametrize("statement", ["UPDATE factor SET value = '1'", "DELETE FROM factor", "UPDATE standing SET by = 'x'",
                                       "DELETE FROM standing", "DELETE FROM source_doc"])  # fmt: skip
def test_the_file_refuses_to_be_edited(tmp_path: Path, statement: str) -> None:
    Registry(tmp_path / "factors.sqlite").close()
    db = sqlite3.connect(tmp_path / "factors.sqlite")
    try:
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            db.execute(statement)
    finally:
        db.close()


@pytest.mark.parametrize(
    ("pattern", "status", "by", "reason", "said"),
    [
        ("fuel.unobtainium", "approved", "bo", "", "there is none"),
        ("gwp.ar6", "approved", " ", "", "expected the name"),
        ("gwp.ar5", "withdrawn", "bo", "", "expected the reason"),
    ],
)
def test_a_decision_that_says_too_little_is_refused(
    registry: Registry, pattern: str, status: Any, by: str, reason: str, said: str
) -> None:
    with pytest.raises(RegistryRefused, match=said):
        registry.decide(pattern, status, by, reason, NOW)


def test_a_registry_of_a_later_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "factors.sqlite"
    Registry(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(RegistryRefused, match="expected a registry of layout 1 or before, it is of 9"):
        Registry(path)


def test_a_document_keeps_its_address_its_hash_and_who_transcribed_it(registry: Registry) -> None:
    pack = diesel("43.1", "yearbook")
    told = {"url": "https://example.org/7.pdf", "sha256": "ab" * 32, "transcribed_by": "ann", "checked_by": "bo"}
    entries = tuple(replace(entry, source=replace(entry.source, **told)) for entry in pack.entries)
    registry.add(replace(pack, entries=entries), "ann", NOW)
    assert of_diesel(registry)[-1].source == entries[0].source


def test_a_grid_factor_without_its_gas_is_a_version_of_the_one_on_record(registry: Registry) -> None:
    columns = ["id", "region", "data_year", "value", "unit", "mark"]
    row = ["elec.cn.grid.avg", "CN-JS", "2023", "0.5900", "kg/kWh", "B"]
    content: dict[str, Any] = {
        "region": "CN",
        "reason": "erratum",
        "source": {
            "erratum": {"title": "Erratum", "issuer": "Office", "number": "8", "published_on": date(2026, 1, 5)}
        },
        "table": [{"kind": "electricity", "source": "erratum", "table": "1", "columns": columns, "rows": [row]}],
    }
    content["reviewed"] = dict(parse("mine", content).tables)
    pack = parse("mine", content)
    assert lint(pack) == []
    assert registry.add(pack, "ann", NOW).corrected == 1


def test_two_entries_that_mean_the_same_factor_stop_no_statement() -> None:
    # Registries may hold an approved row without the gas beside the one with it: the later known is the later version.
    one = next(e for e in shipped_packs()[0].entries if (e.region, e.data_year) == ("CN-JS", 2023))
    other = replace(one, gas="", value=D("0.59"), known_from_ms=NOW)
    table = FactorTable(annual_versions([other, one]))
    assert table.of_region("CN-JS", one.signal, NOW)[2023].kg_per_kwh == D("0.59")
    assert table.of_region("CN-JS", one.signal, NOW - 1)[2023].kg_per_kwh == one.value
