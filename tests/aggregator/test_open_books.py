"""The live books use what the registry has approved: nothing changes without it, and an approval is taken up while they are open."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.books import Books
from aggregator.emissions.packfile import FactorPack, parse
from aggregator.emissions.registry import Registry
from aggregator.intervals.boundaries import GOOD
from aggregator.ledger import IntervalRow, Ledger, LedgerUnusable
from aggregator.open_books import REGISTRY_NAME, RegistryWatch, open_books
from aggregator.settings import Settings, load

D = Decimal
NOW = 1_780_272_000_000  # 2026-06-01
HOUR = 3_600_000
FILE = """
[aggregator]
store_id = "plant-1"
data_directory = "data"
[[facility]]
id = "works"
time_zone = "Asia/Shanghai"
place = "CN-JS"
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


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "aggregator.toml").write_text(FILE, encoding="utf-8")
    return load(tmp_path / "aggregator.toml", {})


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    opened = Ledger(settings.data_directory / "ledger.sqlite")
    yield opened
    opened.close()


def pack(row: list[str], reason: str = "") -> FactorPack:
    content = {
        "reason": reason,
        "source": {"mine": {"title": "Notice", "issuer": "M", "number": "9", "published": "2026"}},
        "table": [
            {
                "kind": "electricity",
                "source": "mine",
                "table": "1",
                "columns": ["id", "gas", "region", "facility", "data_year", "value", "unit", "mark", "evidence"],
                "rows": [row],
            }
        ],
    }
    return parse("mine", content | {"reviewed": dict(parse("mine", content).tables)})


def approve(settings: Settings, row: list[str], reason: str = "") -> None:
    with Registry(settings.data_directory / REGISTRY_NAME) as registry:
        registry.add(pack(row, reason), "ann", NOW)
        registry.decide(row[0], "approved", "bo", "read", NOW + HOUR)


def jiangsu(books: Books) -> tuple[str, str, int]:
    found = books.factor_now("works")
    return found.tier, str(found.kg_per_kwh), found.version


def test_without_a_registry_the_books_use_what_is_shipped_and_make_no_file(settings: Settings, ledger: Ledger) -> None:
    books = open_books(settings, ledger, lambda: NOW)
    assert jiangsu(books) == ("province", "0.5827", 1)
    assert len(books.registered) > len(books.factors()) == 120
    assert not (settings.data_directory / REGISTRY_NAME).exists()


def test_a_corrected_factor_is_used_from_its_approval_on(settings: Settings, ledger: Ledger) -> None:
    approve(settings, ["elec.cn.grid.avg", "CO2", "CN-JS", "", "2023", "0.5828", "kg/kWh", "B", ""], "erratum")
    now = [NOW]
    books = open_books(settings, ledger, lambda: now[0])
    assert jiangsu(books) == ("province", "0.5827", 1)  # what was known then
    now[0] = NOW + 2 * HOUR
    assert jiangsu(books) == ("province", "0.5828", 2)
    kept = [row["value"] for row in books.factors() if (row["region"], row["data_year"]) == ("CN-JS", 2023)]
    assert kept == ["0.5827", "0.5828"]


def test_a_facilitys_own_factor_needs_no_settings(settings: Settings, ledger: Ledger) -> None:
    approve(settings, ["elec.own", "CO2", "CN", "works", "", "0.41", "kg/kWh", "", "contract 12"])
    found = open_books(settings, ledger, lambda: NOW + 2 * HOUR).factor_now("works")
    assert (found.tier, found.kg_per_kwh, found.source) == ("override", D("0.41"), "contract 12 (elec.own version 1)")


def test_a_draft_is_not_used(settings: Settings, ledger: Ledger) -> None:
    with Registry(settings.data_directory / REGISTRY_NAME) as registry:
        registry.add(pack(["elec.own", "CO2", "CN", "works", "", "0.41", "kg/kWh", "", "contract 12"]), "ann", NOW)
    assert jiangsu(open_books(settings, ledger, lambda: NOW + HOUR)) == ("province", "0.5827", 1)


def test_an_approval_is_taken_up_by_books_that_are_open_and_moves_nothing_that_is_booked(
    settings: Settings, ledger: Ledger
) -> None:
    now = [NOW]
    books = open_books(settings, ledger, lambda: now[0])
    watch = RegistryWatch(settings, books)
    start = 1_577_808_000_000 + 900_000  # 2020 has no factor of its own, nor an earlier one
    early = IntervalRow("works", "incomer", "energy_import_kwh", start, start + 900_000, D(10), GOOD, True, "measured")
    booked = replace(early, start_ms=NOW - 1_800_000, end_ms=NOW - 900_000)
    books.enter([early])
    (before,) = books.enter([booked]).emissions
    assert watch.look() is False
    approve(settings, ["elec.own", "CO2", "CN", "works", "", "0.41", "kg/kWh", "", "contract 12"])
    now[0] = NOW + 2 * HOUR
    assert watch.look() is True
    assert books.factor_now("works").kg_per_kwh == D("0.41")
    stands = {row.emission.start_ms: row.emission.kg for row in books.emissions("works", 0, 2**53)}
    assert stands == {start: D("4.1"), booked.start_ms: before.kg}
    assert before.kg == D("5.827")
    assert watch.look() is False


def test_a_registry_that_is_none_stops_the_start_with_its_name(settings: Settings, ledger: Ledger) -> None:
    (settings.data_directory / REGISTRY_NAME).write_bytes(b"not a database, but long enough to be read as one" * 40)
    with pytest.raises(LedgerUnusable, match=r"factors\.sqlite: file is not a database"):
        open_books(settings, ledger, lambda: NOW)
