"""Cells follow their battery: cycles from what has passed, voltages from charge and current, temperatures with a lag."""

import pytest

from device_sim.cells import Cells
from device_sim.profile import UJ_PER_KWH
from device_sim.site import load_site

PPM = 1_000_000
HOUR_MS = 3_600_000


def test_the_whole_capacity_in_and_out_is_one_cycle() -> None:
    cells = Cells(10, 100, 20, seed=1)
    cells.follow(100 * UJ_PER_KWH * PPM, HOUR_MS)
    cells.follow(-100 * UJ_PER_KWH * PPM, HOUR_MS)
    assert cells.cycle_count == 1
    cells.follow(-25 * UJ_PER_KWH * PPM, HOUR_MS)
    assert cells.cycle_count == 1.125
    assert cells.state_of_health_percent == pytest.approx(100 - 20 * 1.125 / 6000)


def test_a_cell_rises_while_charging_and_sags_while_discharging() -> None:
    cells = Cells(30, 100, 20, seed=1)
    charging, resting, discharging = (cells.voltages_v(50, power_w) for power_w in (50_000, 0, -50_000))
    for high, middle, low in zip(charging, resting, discharging, strict=True):
        assert high > middle > low
        assert 3.25 < middle < 3.33


def test_voltages_rise_with_the_charge_and_stay_in_the_cells_bounds() -> None:
    cells = Cells(30, 100, 20, seed=4)
    means = [sum(cells.voltages_v(percent, 0)) / 30 for percent in range(0, 101, 5)]
    assert means == sorted(means)
    assert 2.6 <= means[0] < means[-1] <= 3.45


def test_a_load_warms_the_cells_slowly_and_they_cool_again() -> None:
    """By hand: at one capacity an hour they settle 18 K above the room; after 30 min 63.2 % of it is reached."""
    cells = Cells(1, 100, 20, seed=1)
    cells.follow(50 * UJ_PER_KWH * PPM, HOUR_MS // 2)
    assert cells.warmth_k == pytest.approx(18 * 0.632121, rel=1e-5)
    cells.follow(0, 20 * HOUR_MS)
    assert cells.warmth_k == pytest.approx(0, abs=1e-6)


def test_how_often_somebody_asks_does_not_change_the_temperature() -> None:
    often, once = Cells(1, 100, 20, seed=1), Cells(1, 100, 20, seed=1)
    for _ in range(60):
        often.follow(UJ_PER_KWH * PPM, 60_000)
    once.follow(60 * UJ_PER_KWH * PPM, HOUR_MS)
    assert often.warmth_k == pytest.approx(once.warmth_k, rel=1e-9)
    assert often.passed == once.passed


def test_cycles_of_a_plant_are_its_batterys_tallies_at_the_cells() -> None:
    plan = load_site(
        {
            "plant": [
                {
                    "name": "works",
                    "load": {"base_kw": 20},
                    "pv": {"peak_kw": 200},
                    "battery": {
                        "capacity_kwh": 100,
                        "charge_kw": 50,
                        "without_set_point": "self_consumption",
                        "cells": {"count": 12, "start_cycles": 250},
                    },
                    "device": [{"name": "incomer", "kind": "eastron_sdm630", "measures": "grid"}],
                }
            ]
        }
    ).plants[0]
    plant = plan.build(1_750_000_000_000)
    plant.advance(1_750_000_000_000 + 72 * HOUR_MS)
    battery = plant.battery
    assert battery is not None
    assert battery.cells is not None
    before = 250 * 2 * 100 * UJ_PER_KWH * PPM
    tally = plant.tallies[next(node for node in plant.tallies if node == "battery")]
    assert tally.export_uj > 0
    assert (
        battery.cells.passed - before == tally.import_uj * battery.charge_ppm + tally.export_uj * battery.discharge_ppm
    )
    assert len(battery.cells.temperatures_degc()) == 12
