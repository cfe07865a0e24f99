"""How well the ladder estimates, on 500 gaps of each length cut out of nine months of the public steel plant. The specification measured
33.5 % (1 h, linear), 36.9, 30.1 and 23.9 % (8, 24 and 72 h, profile) on the whole year, and +199 to +210 % for the 90th percentile.
"""

import csv
import random
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aggregator.accounts.gaps.rules import HOUR_MS, LOOK_BACK_H, Series, estimates, nearest_rank

NINE_MONTHS = Path(__file__).parents[5] / "shared" / "data" / "steel_plant_15min_2018_jan_sep.csv"
SEOUL = ZoneInfo("Asia/Seoul")
QUARTER_MS = 900_000
DAY_MS = 24 * HOUR_MS

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not NINE_MONTHS.exists(), reason=f"{NINE_MONTHS.name} (nine months of the steel plant) is not here"
    ),
]


@pytest.fixture(scope="module")
def plant() -> dict[int, Decimal]:
    with NINE_MONTHS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        round(datetime.fromisoformat(row["interval_start_local"]).replace(tzinfo=SEOUL).timestamp() * 1000): Decimal(
            row["energy_kwh"]
        )
        for row in rows
    }


def starts(plant: dict[int, Decimal]) -> list[int]:
    """500 instants with a month before and three days after them."""
    known = sorted(plant)[31 * 96 : -73 * 4]
    return random.Random(2018).choices(known, k=500)


@pytest.mark.parametrize(("hours", "low", "high"), [(1, 15, 36), (8, 30, 40), (24, 25, 33), (72, 19, 27)])
def test_the_mean_error_of_a_gap_s_energy_in_percent(
    plant: dict[int, Decimal], hours: int, low: int, high: int
) -> None:
    error = truth = Decimal(0)
    for from_ms in starts(plant):
        to_ms = from_ms + hours * HOUR_MS
        known = {at_ms: plant[at_ms] for at_ms in range(from_ms - 28 * DAY_MS, from_ms, QUARTER_MS)} | {
            to_ms: plant[to_ms]
        }
        found = [one.energy for one in estimates(Series(known, QUARTER_MS, SEOUL, Decimal(1000)), from_ms, to_ms)]
        energy = sum((plant[at_ms] for at_ms in range(from_ms, to_ms, QUARTER_MS)), Decimal(0))
        assert None not in found
        error += abs(sum((kwh for kwh in found if kwh is not None), Decimal(0)) - energy)
        truth += energy
    assert low < error * 100 / truth < high


def test_the_90th_percentile_of_a_regime_triples_the_energy(plant: dict[int, Decimal]) -> None:
    estimated = truth = Decimal(0)
    for from_ms in starts(plant)[:100]:
        hours = [
            sum((plant[hour_ms + n * QUARTER_MS] for n in range(4)), Decimal(0))
            for hour_ms in range(from_ms - LOOK_BACK_H * HOUR_MS, from_ms, HOUR_MS)
        ]
        estimated += 30 * nearest_rank(hours, 90)
        truth += sum((plant[at_ms] for at_ms in range(from_ms, from_ms + 30 * HOUR_MS, QUARTER_MS)), Decimal(0))
    assert 150 < (estimated - truth) * 100 / truth < 260
