"""What rounding each interval does to a total. Figures: by hand, and those of the specification for the steel plant (emissions.md 5.2 and example 35)."""

import csv
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aggregator.reports.rounding import explained, rounding

D = Decimal
QUARTER = 900_000
NINE_MONTHS = Path(__file__).parents[4] / "shared" / "data" / "steel_plant_15min_2018_jan_sep.csv"
WEEK = Path(__file__).parents[3] / "device_sim" / "profiles" / "steel_plant_week.csv"


def plant(file: Path) -> list[tuple[int, Decimal, Decimal | None]]:
    """Start (UTC ms), kWh and, where the file has it, the data set's own t CO2."""
    with file.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    start, kwh = list(rows[0])[:2]
    zone = ZoneInfo("Asia/Seoul")
    return [
        (
            round(datetime.fromisoformat(row[start]).replace(tzinfo=zone).timestamp() * 1000),
            D(row[kwh]),
            D(row["co2_t"]) if "co2_t" in row else None,
        )
        for row in rows
    ]


def test_half_even_rounding_of_three_intervals_by_hand() -> None:
    """4, 5 and 16 kg: 0.004 and 0.005 t become 0.00 (5 is a tie, and 0 is even), 0.016 t becomes 0.02; together 0.025 t."""
    parts = [(n * QUARTER, (n + 1) * QUARTER, D(kg), D(kg)) for n, kg in enumerate(("4", "5", "16"))]
    found = rounding("GHGP-LB", parts)
    coarse = found.rounded[0]
    assert (found.total_t, coarse.grain_t, coarse.total_t) == (D("0.025"), D("0.01"), D("0.02"))
    assert (coarse.zeroed, coarse.zeroed_t, coarse.error_percent) == (2, D("0.009"), -20)


def test_a_column_that_rounds_well_has_lost_nothing_but_roundings() -> None:
    """0.5 kg/kWh on 10, 30 and 50 kWh: 0.005, 0.015 and 0.025 t, written with three digits."""
    energies = [(n * QUARTER, (n + 1) * QUARTER, D(kwh)) for n, kwh in enumerate((10, 30, 50))]
    found = explained("co2_t", {0: D("0.005"), QUARTER: D("0.015"), 2 * QUARTER: D("0.025")}, energies)
    assert (found.low, found.high) == (D("0.49"), D("0.51"))  # 24.5 and 25.5 kg over 50 kWh
    assert (found.implied, found.implied_total_t, found.total_t) == (D("0.5"), D("0.045"), D("0.045"))
    assert (found.rounded_to_zero, found.missing, found.others_t) == (0, (), 0)


def test_rows_stored_as_0_are_told_from_rows_rounded_to_0() -> None:
    """At 1 kg/kWh and 0.01 t: 4 kWh may be 0, 400 kWh may not. The run bridges the small row between two large ones."""
    kwh = [100, 400, 4, 400, 100, 4]
    said = ["0.10", "0", "0", "0", "0.10", "0"]
    energies = [(n * QUARTER, (n + 1) * QUARTER, D(each)) for n, each in enumerate(kwh)]
    found = explained("co2_t", {n * QUARTER: D(each) for n, each in enumerate(said)}, energies)
    assert found.implied == 1
    assert [(run.start_ms, run.end_ms, run.intervals, run.energy_kwh) for run in found.missing] == [
        (QUARTER, 4 * QUARTER, 2, 800)
    ]
    assert (found.rounded_to_zero, found.rounded_to_zero_t, found.missing_t, found.others_t) == (
        2,
        D("0.008"),
        D("0.8"),
        0,
    )


def test_a_column_of_another_quantity_implies_no_factor() -> None:
    energies = [(0, QUARTER, D(100)), (QUARTER, 2 * QUARTER, D(1))]
    assert explained("load", {0: D("0.01"), QUARTER: D("0.09")}, energies).implied is None


def test_a_column_that_lacks_an_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="column co2_t: expected a figure for each of 2 intervals, 1 have none"):
        explained("co2_t", {0: D("0.01")}, [(0, QUARTER, D(20)), (QUARTER, 2 * QUARTER, D(20))])


def test_the_week_of_the_steel_plant_that_comes_with_the_program() -> None:
    """The exact sum is the sum of kWh times the factor; what the coarse sum lacks is what its rows have lost, row by row."""
    rows = plant(WEEK)
    found = rounding("GHGP-LB", [(at, at + QUARTER, kwh, kwh * D("0.5306")) for at, kwh, _ in rows])
    assert (found.intervals, found.total_t) == (672, sum(kwh for _, kwh, _ in rows) * D("0.5306") / 1000)
    assert found.rounded[0].total_t == sum(round(kwh * D("0.5306") / 1000, 2) for _, kwh, _ in rows)


@pytest.mark.skipif(not NINE_MONTHS.exists(), reason="the nine months are not shipped")
def test_the_nine_months_of_the_steel_plant() -> None:
    """386.975425102 t, 359.40 t and 388.012 t (example 35); the column's 308.21 t is 7.8 % below its factor's 334.377 t, 47 rows of 3,725.55 kWh are stored as 0."""
    rows = plant(NINE_MONTHS)
    column = {at: tons for at, _, tons in rows if tons is not None}
    found = rounding("GHGP-LB", [(at, at + QUARTER, kwh, kwh * D("0.5306")) for at, kwh, _ in rows], ("co2_t", column))
    assert (found.intervals, found.energy_kwh, found.total_t) == (26_208, D("729316.67"), D("386.975425102"))
    assert [each.total_t for each in found.rounded[:2]] == [D("359.40"), D("388.012")]
    said = found.column
    assert said is not None
    assert said.implied_total_t is not None
    assert said.error_percent is not None
    assert (said.total_t, said.implied, round(said.implied_total_t, 3)) == (D("308.21"), D("0.45848"), D("334.377"))
    assert round(said.error_percent, 1) == D("-7.8")
    assert [(run.intervals, run.energy_kwh) for run in said.missing] == [(47, D("3725.55"))]
    morning = datetime(2018, 1, 2, 8, tzinfo=ZoneInfo("Asia/Seoul")).timestamp() * 1000
    assert said.missing[0].start_ms == morning
    assert said.total_t + said.rounded_to_zero_t + said.missing_t + said.others_t == said.implied_total_t
