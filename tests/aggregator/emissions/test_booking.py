"""Booked emissions against sums worked out by hand."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.emissions.booking import Booker, Energy, total_kg
from aggregator.emissions.factors import FactorTable, shipped
from aggregator.emissions.place import FactorOverride, Place

D = Decimal
ROOT = Path(__file__).parents[3]
NINE_MONTHS = ROOT.parent / "shared" / "data" / "steel_plant_15min_2018_jan_sep.csv"
QUARTER_MS = 900_000
NATION = Place("works", "CN", "Asia/Shanghai")
STEEL = Place("works", "", "Asia/Seoul", (FactorOverride(D("0.5306"), "national average 2023", marks=("test data",)),))


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-06-01T00:00")


def booker() -> Booker:
    return Booker(FactorTable.from_pack(shipped()))


def energy(start: str, end: str, kwh: str) -> Energy:
    return Energy("incomer", ms(start), ms(end), D(kwh), final=True)


@pytest.mark.parametrize(
    ("region", "year", "kg"),
    [("CN", 2021, "139200"), ("CN", 2022, "134150"), ("CN", 2023, "132650"), ("CN-GD", 2023, "110475")],
)
def test_250_mwh_under_each_factor(region: str, year: int, kg: str) -> None:
    place = Place("works", region, "Asia/Shanghai")
    (emission,) = booker().book(place, [energy(f"{year}-06-01T00:00", f"{year}-06-01T00:15", "250000")], NOW)
    assert emission.kg == D(kg)


def test_energy_of_two_years_is_booked_with_two_factors() -> None:
    # 100 MWh on 31 December 2022 and 150 MWh on 1 January 2023, local time: 53.66 + 79.59 = 133.25 t
    booked = booker().book(
        NATION,
        [
            energy("2022-12-30T16:00", "2022-12-31T16:00", "100000"),
            energy("2022-12-31T16:00", "2023-01-01T16:00", "150000"),
        ],
        NOW,
    )
    assert total_kg(e.kg for e in booked if e.kg is not None) == 133_250


def test_an_interval_across_the_years_is_split_by_time() -> None:
    # An hour around local midnight in a zone 30 minutes off the hour: half of 10 kWh each.
    place = Place("works", "CN", "Asia/Kolkata")
    booked = booker().book(place, [energy("2022-12-31T18:00", "2022-12-31T19:00", "10")], NOW)
    assert [(e.energy_kwh, e.resolution.data_year) for e in booked] == [(D(5), 2022), (D(5), 2023)]
    assert [e.kg for e in booked] == [D("2.683"), D("2.653")]


@given(st.decimals(min_value=0, max_value=10**6, places=3), st.integers(1, 3_599_999))
def test_a_split_interval_keeps_its_energy_to_the_last_digit(kwh: Decimal, cut_ms: int) -> None:
    start = ms("2022-12-31T16:00") - cut_ms
    booked = booker().book(NATION, [Energy("incomer", start, start + 3_600_000, kwh, final=True)], NOW)
    assert len(booked) == 2
    assert sum(e.energy_kwh for e in booked) == kwh


def test_without_a_factor_the_energy_stands_and_the_figure_is_missing() -> None:
    (emission,) = booker().book(NATION, [energy("2018-03-05T00:00", "2018-03-05T00:15", "4.5")], NOW)
    assert (emission.energy_kwh, emission.kg) == (D("4.5"), None)
    assert "2018" in emission.resolution.reason


def test_products_are_exact() -> None:
    (emission,) = booker().book(NATION, [energy("2023-06-01T00:00", "2023-06-01T00:15", "0.000001")], NOW)
    assert emission.kg == D("0.0000005306")


def steel(path: Path) -> list[Energy]:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))[1:]
    return [
        Energy("incomer", n * QUARTER_MS, (n + 1) * QUARTER_MS, D(row[1]), final=True) for n, row in enumerate(rows)
    ]


@pytest.mark.skipif(not NINE_MONTHS.exists(), reason=f"{NINE_MONTHS.name} (nine months of the steel plant) is not here")
def test_nine_months_of_the_steel_plant_to_the_last_digit() -> None:
    energies = steel(NINE_MONTHS)
    booked = booker().book(STEEL, energies, NOW)
    kg = [e.kg for e in booked if e.kg is not None]
    assert len(energies) == len(kg) == 26_208
    assert sum(e.energy_kwh for e in energies) == D("729316.67")
    assert total_kg(kg) == D("386975.425102")  # 729,316.67 x 0.5306
    # What rounding each interval would have given: 359.40 and 388.012 t.
    assert sum((x / 1000).quantize(D("0.01")) for x in kg) == D("359.40")
    assert sum((x / 1000).quantize(D("0.001")) for x in kg) == D("388.012")


def test_the_shipped_week_is_the_sum_times_the_factor() -> None:
    energies = steel(ROOT / "device_sim" / "profiles" / "steel_plant_week.csv")
    assert len(energies) == 7 * 96
    booked = booker().book(STEEL, energies, NOW)
    assert total_kg(e.kg for e in booked if e.kg is not None) == sum(e.energy_kwh for e in energies) * D("0.5306")
    assert {e.resolution.marks for e in booked} == {("test data",)}


def test_the_rate_of_this_moment_is_import_times_factor() -> None:
    rate = booker().rate(NATION, {"incomer": 412.5}, ms("2023-06-01T00:00"), NOW)
    assert rate.kg_per_h == D("218.87250")  # 412.5 x 0.5306
    assert rate.import_kw == D("412.5")


def test_export_of_one_connection_is_not_taken_from_the_import_of_another() -> None:
    rate = booker().rate(NATION, {"north": 100.0, "south": -40.0}, ms("2023-06-01T00:00"), NOW)
    assert rate.kg_per_h == D("53.06")


@pytest.mark.parametrize("power", [{}, {"incomer": None}, {"incomer": 100.0, "second": None}])
def test_without_every_main_meter_there_is_no_rate(power: dict[str, float | None]) -> None:
    rate = booker().rate(NATION, power, ms("2023-06-01T00:00"), NOW)
    assert rate.kg_per_h is None
    assert rate.missing == tuple(sorted(device for device, kw in power.items() if kw is None))


def test_without_a_factor_there_is_no_rate_and_no_zero() -> None:
    rate = booker().rate(NATION, {"incomer": 100.0}, ms("2018-06-01T00:00"), NOW)
    assert (rate.kg_per_h, rate.import_kw) == (None, D(100))


def test_a_factor_that_becomes_known_is_used_from_the_next_hour_on() -> None:
    book = booker()
    when = ms("2023-06-01T00:00")
    assert book.resolve(NATION, when, ms("2025-12-30T15:00")).data_year == 2022
    assert book.resolve(NATION, when, ms("2025-12-30T16:00")).data_year == 2023
