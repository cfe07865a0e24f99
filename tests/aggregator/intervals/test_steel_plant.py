"""The steel plant's week through counter and boundaries, with polls that do not meet the quarter hour."""

import csv
from decimal import Decimal
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from aggregator.intervals.counter import CounterReading
from aggregator.intervals.meter import MeterSpec
from aggregator.intervals.power import energy_between
from aggregator.intervals.series import CounterIntervals, displayed

QUARTER_S = 900
WEEK = Path(__file__).parents[3] / "device_sim" / "profiles" / "steel_plant_week.csv"
METER = MeterSpec("incomer", "gw", Decimal(1000), quantum_kwh=Decimal("0.001"))


def profile(days: int) -> list[float]:
    with WEEK.open(encoding="utf-8") as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))[1:]
    return [float(row[1]) for row in rows[: days * 96]]


@pytest.mark.parametrize(("every_s", "days"), [(7, 1), (60, 7)])
@pytest.mark.parametrize("boundary_polls", [False, True])
def test_each_interval_is_within_two_percent_or_a_third_of_a_kwh(every_s: int, days: int, boundary_polls: bool) -> None:
    kwh = profile(days)
    before = [0.0, *accumulate(kwh)]
    polls = {at * 1000 + 3300 for at in range(0, days * 86_400 - every_s, every_s)}
    if boundary_polls:
        polls |= {n * QUARTER_S * 1000 + 400 for n in range(len(kwh))}
    at_ms = np.array(sorted(polls), dtype=np.int64)
    quarter = at_ms // 900_000
    counter = [
        round(before[n] + kwh[n] * (at % 900_000) / 900_000, 3)
        for n, at in zip(quarter.tolist(), at_ms.tolist(), strict=True)
    ]
    power_kw = np.array(kwh)[quarter] * 4

    def power(from_ms: int, to_ms: int) -> Decimal | None:
        first, last = np.searchsorted(at_ms, [from_ms - 180_000, to_ms + 180_000])
        return energy_between(at_ms[first:last], power_kw[first:last], from_ms, to_ms)

    readings = [CounterReading(at, displayed(value)) for at, value in zip(at_ms.tolist(), counter, strict=True)]
    settled = CounterIntervals(METER, 900_000, power).offer(readings)
    assert len(settled.intervals) >= days * 96 - 2
    for interval in settled.intervals:
        truth = kwh[interval.start_ms // 900_000]
        assert abs(float(interval.energy_kwh) - truth) <= max(0.02 * truth, 0.3)
    total = sum(interval.energy_kwh for interval in settled.intervals)
    assert total == settled.boundaries[-1].value - settled.boundaries[0].value
    assert settled.events == []
