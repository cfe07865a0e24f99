"""The shipped factors against what the ministry said of them, and the registry's own rules."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from aggregator.emissions.factors import AVERAGE, FactorTable, known_on, shipped

D = Decimal
FAR_MS = 4_000_000_000_000
GRIDS = 7
PROVINCES = 30


def value(region: str, year: int, signal: str = AVERAGE) -> Decimal:
    return FactorTable.from_pack(shipped()).of_region(region, signal, FAR_MS)[year].kg_per_kwh


def test_the_pack_is_complete() -> None:
    versions = shipped().versions
    assert len(versions) == 3 * (1 + 1 + 1 + GRIDS + PROVINCES)
    assert {v.data_year for v in versions} == {2021, 2022, 2023}
    regions = {v.region for v in versions}
    assert len([r for r in regions if r.startswith("CN-GRID-")]) == GRIDS
    assert len([r for r in regions if r.startswith("CN-") and len(r) == 5]) == PROVINCES


# Confirmed by a second public source each; written here by hand, not read from the pack.
@pytest.mark.parametrize(
    ("region", "year", "text"),
    [
        ("CN", 2021, "0.5568"),
        ("CN", 2022, "0.5366"),
        ("CN", 2023, "0.5306"),
        ("CN-GRID-NORTH", 2021, "0.7120"),
        ("CN-GRID-SOUTH", 2022, "0.3869"),
        ("CN-GRID-SOUTH", 2023, "0.4042"),
        ("CN-HL", 2022, "0.5368"),
        ("CN-BJ", 2022, "0.5580"),
        ("CN-AH", 2021, "0.7075"),
        ("CN-GD", 2022, "0.4403"),
        ("CN-GD", 2023, "0.4419"),
        ("CN-SC", 2022, "0.1404"),
        ("CN-SC", 2023, "0.1564"),
        ("CN-YN", 2022, "0.1073"),
        ("CN-YN", 2023, "0.1333"),
        ("CN-JS", 2023, "0.5827"),
    ],
)
def test_confirmed_values_stand_as_published(region: str, year: int, text: str) -> None:
    assert str(value(region, year)) == text


@pytest.mark.parametrize(
    ("year", "residual", "fossil"), [(2021, "0.5942", "0.8426"), (2022, "0.5856", "0.8325"), (2023, "0.6096", "0.8273")]
)
def test_residual_and_fossil_are_factors_of_their_own(year: int, residual: str, fossil: str) -> None:
    assert str(value("CN", year, "residual")) == residual
    assert str(value("CN", year, "fossil")) == fossil
    assert {v.factor_id for v in shipped().versions} == {
        "elec.cn.grid.avg",
        "elec.cn.grid.quasi_residual",
        "elec.cn.grid.fossil",
    }


def test_from_2022_to_2023_twenty_provinces_went_down_and_ten_up() -> None:
    provinces = {v.region for v in shipped().versions if len(v.region) == 5}
    down = [p for p in provinces if value(p, 2023) < value(p, 2022)]
    up = [p for p in provinces if value(p, 2023) > value(p, 2022)]
    assert (len(down), len(up)) == (20, 10)


def test_the_nation_lies_between_its_grids_and_each_grid_between_its_provinces() -> None:
    pack = shipped()
    for year in (2021, 2022, 2023):
        grids = [value(grid, year) for grid in set(pack.grid_of.values())]
        assert min(grids) < value("CN", year) < max(grids)
        for grid in set(pack.grid_of.values()):
            members = [value(province, year) for province, of in pack.grid_of.items() if of == grid]
            assert min(members) <= value(grid, year) <= max(members)


def test_years_are_not_swapped_against_their_announcements() -> None:
    by_year = {v.data_year: v.source for v in shipped().versions}
    assert [(year, by_year[year].number, by_year[year].published_on) for year in sorted(by_year)] == [
        (2021, "2024年 第12号", date(2024, 4, 12)),
        (2022, "2024年 第33号", date(2024, 12, 26)),
        (2023, "2025年 第47号", date(2025, 12, 31)),
    ]


def test_a_factor_is_known_from_the_morning_of_its_publication_in_beijing() -> None:
    known = {v.data_year: v.known_from_ms for v in shipped().versions}
    assert known[2021] == 1_712_851_200_000  # 2024-04-11T16:00:00Z
    assert known_on(known[2021]) == "2024-04-12"  # the day that stands on announcement 12 of 2024


def test_the_table_only_grows() -> None:
    table = FactorTable.from_pack(shipped())
    first = shipped().versions[0]
    with pytest.raises(ValueError, match="append a higher version"):
        table.append(replace(first, kg_per_kwh=D("0.6")))
    size = len(table)
    table.append(replace(first, version=2, kg_per_kwh=D("0.6"), known_from_ms=FAR_MS - 1))
    assert len(table) == size + 1
    assert table.of_region("CN", AVERAGE, FAR_MS - 2)[2021].kg_per_kwh == D("0.5568")
    assert table.of_region("CN", AVERAGE, FAR_MS)[2021].kg_per_kwh == D("0.6")
