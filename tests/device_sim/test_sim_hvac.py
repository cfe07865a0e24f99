"""A building's temperature against heat balances by hand, and its comfort against a limit."""

from random import Random
from typing import Any

import pytest

from device_sim.hvac import Hvac, Task
from device_sim.plant import Node, Plant
from device_sim.profile import UJ_PER_KWH, NoPower
from device_sim.site import load_site
from device_sim.site_table import SiteFaults

HOUR_MS = 3_600_000


def building(gains_kw: float = 0.0, outdoor_degc: float = 30.0, task: Task = Task.COOLING) -> Hvac:
    """40 kW at COP 3, 10 kWh/K, 2 kW/K, comfortable from 22 to 26 °C."""
    return Hvac.build(40, 3, 10, 2, gains_kw, 22, 26, outdoor_degc, 0, task)


def plant(hvac: Hvac) -> Plant:
    return Plant("p", 0, NoPower(), NoPower(), NoPower(), hvac=hvac)


def test_without_power_it_drifts_to_where_gains_and_losses_meet() -> None:
    """20 kW of gains over 2 kW/K are 10 K above 30 °C; after C / G = 5 h 63.2 % of the 16 K from 24 °C (steps of a minute: 63.3)."""
    hvac = building(gains_kw=20)
    hvac.command(0, None)
    built = plant(hvac)
    built.advance(5 * HOUR_MS)
    assert hvac.temperature_udegc / 1e6 == pytest.approx(24 + 16 * 0.6321, abs=0.03)
    built.advance(100 * HOUR_MS)
    assert hvac.temperature_udegc / 1e6 == pytest.approx(40, abs=0.01)
    assert built.tallies[Node.HVAC].import_uj == 0


@pytest.mark.parametrize(("task", "outdoor_degc"), [(Task.COOLING, 34.0), (Task.HEATING, 14.0)])
def test_over_a_long_time_it_uses_what_the_losses_ask_for(task: Task, outdoor_degc: float) -> None:
    """10 K over 2 kW/K are 20 kW of heat, at COP 3 6.667 kW: 640 kWh in four days; the zone stays within 0.3 K and a minute's worth of 24 °C."""
    hvac = building(outdoor_degc=outdoor_degc, task=task)
    built = plant(hvac)
    built.advance(96 * HOUR_MS)
    assert built.tallies[Node.HVAC].import_uj / UJ_PER_KWH == pytest.approx(96 * 20 / 3, rel=0.01)
    assert hvac.temperature_udegc / 1e6 == pytest.approx(24, abs=0.3 + 100 / 600)
    assert hvac.discomfort_ms == 0
    assert built.flow(Node.GRID).active_mw == built.flow(Node.HVAC).active_mw


def test_a_limit_below_the_losses_costs_comfort_and_is_counted() -> None:
    """0.15 h until it switches on at 24.3 °C; then 10 % are 4 kW, 12 kW of cold, and 28 °C ahead: at 26 °C after 5 h x ln(3.7 / 2) more, 3.22 h in all."""
    hvac = building(outdoor_degc=34)
    hvac.command(1000, None)
    built = plant(hvac)
    built.advance(round(3.15 * HOUR_MS))
    assert hvac.discomfort_ms == 0
    built.advance(round(4.22 * HOUR_MS))
    assert hvac.discomfort_ms == pytest.approx(HOUR_MS, abs=0.05 * HOUR_MS)
    assert hvac.discomfort_kelvin_ms > 0


def test_who_asks_and_when_changes_nothing() -> None:
    once, often = plant(building(outdoor_degc=35)), plant(building(outdoor_degc=35))
    chance, now = Random(4), 0
    while now < 12 * HOUR_MS:
        now += chance.randrange(1, 100_000)
        often.advance(min(now, 12 * HOUR_MS))
    once.advance(12 * HOUR_MS)
    assert once.hvac is not None
    assert often.hvac is not None
    assert once.hvac.temperature_udegc == often.hvac.temperature_udegc
    assert once.tallies == often.tallies


def test_a_building_that_cannot_be_is_refused() -> None:
    table: dict[str, Any] = {"name": "p", "load": {}, "device": [{"name": "h", "kind": "bacnet_hvac"}]}
    with pytest.raises(SiteFaults, match=r"kind: expected a table \[plant.hvac\] beside a bacnet_hvac"):
        load_site({"plant": [table]})
    table["hvac"] = {"power_kw": 1, "capacity_kwh_per_k": 1, "loss_kw_per_k": 1, "low_degc": 22, "high_degc": 22}
    with pytest.raises(SiteFaults, match=r"high_degc: expected at least 1 above low_degc \(22\), got 22"):
        load_site({"plant": [table]})
