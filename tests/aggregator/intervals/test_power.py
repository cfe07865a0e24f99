"""Integrated power against areas that can be drawn by hand."""

import json
from decimal import Decimal

import numpy as np
import pytest

from aggregator.intervals.power import IntegratedLine, energy_between
from wire.reading import Quality

MINUTE_MS = 60_000
QUARTER_MS = 900_000


def between(pairs: list[tuple[int, float]], from_min: float, to_min: float, sign: int = 1) -> Decimal | None:
    """(minute, kW) and a span in minutes."""
    at = np.array([minute * MINUTE_MS for minute, _ in pairs], dtype=np.int64)
    power = np.array([kw for _, kw in pairs], dtype=np.float64)
    return energy_between(at, power, int(from_min * MINUTE_MS), int(to_min * MINUTE_MS), sign=sign)


@pytest.mark.parametrize(
    ("from_min", "to_min", "kwh"),
    [
        (0, 2, "2"),  # 60 kW for two minutes
        (0.5, 1.5, "1"),
        (2, 3, "2"),  # a ramp from 60 to 180 kW: 120 kW for a minute
        (2, 2.5, "0.75"),  # its first half: 90 kW for half a minute
    ],
)
def test_the_area_under_power_is_energy(from_min: float, to_min: float, kwh: str) -> None:
    energy = between([(0, 60), (1, 60), (2, 60), (3, 180)], from_min, to_min)
    assert energy is not None
    assert abs(energy - Decimal(kwh)) < Decimal("1e-9")


def test_import_and_export_are_the_areas_above_and_below_zero() -> None:
    # From +60 kW to -60 kW in two minutes: a triangle of 60 kW by one minute on each side, 0.5 kWh each.
    for sign in (1, -1):
        energy = between([(0, 60), (2, -60)], 0, 2, sign)
        assert energy is not None
        assert abs(energy - Decimal("0.5")) < Decimal("1e-9")


def test_beyond_the_ends_nothing_is_known() -> None:
    assert between([(1, 60), (2, 60)], 0, 2) is None
    assert between([(1, 60), (2, 60)], 1, 3) is None
    assert between([(1, 60)], 1, 1) is None


def test_a_hole_of_more_than_three_periods_is_not_bridged() -> None:
    assert between([(0, 60), (1, 60), (2, 60), (5, 60)], 0, 5) == 5
    assert between([(0, 60), (1, 60), (2, 60), (6, 60)], 0, 6) is None
    assert between([(0, 60), (1, 60), (2, 60), (6, 60)], 0, 2) == 2


def test_a_null_is_a_hole() -> None:
    assert between([(0, 60), (1, float("nan")), (2, 60), (3, 60)], 0, 3) == 3
    nulls = [(n, float("nan")) for n in range(2, 7)]
    assert between([(0, 60), (1, 60), *nulls, (7, 60), (8, 60)], 0, 8) is None


def test_a_meter_without_a_counter_gets_uncertain_integrated_intervals() -> None:
    line = IntegratedLine(QUARTER_MS)
    found = [interval for minute in range(46) for interval in line.feed(minute * MINUTE_MS, 60.0)]
    assert [(i.start_ms, i.energy_kwh, i.grade.quality, i.grade.reason) for i in found] == [
        (n * QUARTER_MS, Decimal(15), Quality.UNCERTAIN, "integrated") for n in range(3)
    ]


def test_an_integrated_interval_with_a_hole_has_no_energy_and_its_neighbours_have() -> None:
    line = IntegratedLine(QUARTER_MS)
    silent = range(20, 25)
    found = [i for minute in range(61) if minute not in silent for i in line.feed(minute * MINUTE_MS, 60.0)]
    assert [i.start_ms // QUARTER_MS for i in found] == [0, 2, 3]


def test_a_week_of_silence_is_skipped_at_once() -> None:
    line = IntegratedLine(QUARTER_MS)
    minutes = [*range(31), *range(10_080, 10_111)]
    found = [i for minute in minutes for i in line.feed(minute * MINUTE_MS, 60.0)]
    assert [i.start_ms // QUARTER_MS for i in found] == [0, 1, 672, 673]


def test_the_begun_interval_is_provisional_and_survives_a_restart() -> None:
    line = IntegratedLine(QUARTER_MS)
    for minute in range(21):
        line.feed(minute * MINUTE_MS, 60.0)
    again = IntegratedLine.from_json(QUARTER_MS, 1, json.loads(json.dumps(line.to_json())))
    for kept in (line, again):
        assert [(i.start_ms, i.energy_kwh, i.final) for i in kept.provisional()] == [(QUARTER_MS, Decimal(5), False)]
