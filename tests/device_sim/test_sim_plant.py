"""The physics: balances and limits, never a snapshot."""

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from device_sim.battery import Battery, Unasked
from device_sim.cells import PPM
from device_sim.plant import Flow, Node, Plant, Tally
from device_sim.profile import UJ_PER_KWH, NoPower
from device_sim.site import SITES, load_site

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MONDAY_MS = 1_520_175_600_000  # 2018-03-05T00:00+09:00


class Constant:
    """A power that never changes."""

    def __init__(self, power_kw: float) -> None:
        self.power_mw = round(power_kw * 1e6)

    def power(self, at_ms: int) -> tuple[int, int]:
        return self.power_mw, at_ms + DAY_MS


def battery(unasked: Unasked = Unasked.REST, percent: float = 50) -> Battery:
    return Battery.build(100, 50, 40, 0.9, 0.8, percent, 10, unasked)


def plant(load_kw: float = 100, sun_kw: float = 0, store: Battery | None = None) -> Plant:
    return Plant("p", 0, Constant(load_kw), Constant(sun_kw), NoPower(), round(sun_kw * 1e6), store)


def net_uj(tally: Tally) -> int:
    return tally.import_uj - tally.export_uj


@pytest.mark.parametrize("index", [0, 1])
def test_energies_balance_to_the_microjoule_over_a_day(index: int) -> None:
    built = load_site(SITES / "demo.toml").plants[index].build(MONDAY_MS)
    chance = Random(5)
    now = MONDAY_MS
    while now < MONDAY_MS + DAY_MS:
        now += chance.randrange(1, 600_000)
        built.advance(now)
        flows = {node: built.flow(node).active_mw for node in Node}
        assert flows[Node.GRID] == sum(power for node, power in flows.items() if node is not Node.GRID)
    parts = [net_uj(built.tallies[node]) for node in Node if node is not Node.GRID]
    assert net_uj(built.tallies[Node.GRID]) == sum(parts)
    assert built.tallies[Node.PV].import_uj == 0
    assert built.tallies[Node.PV].export_uj > 0
    assert built.tallies[Node.EV].import_uj > 0


def test_the_way_to_an_instant_does_not_change_the_energies() -> None:
    plan = load_site(SITES / "demo.toml").plants[0]
    at_once, in_steps = plan.build(MONDAY_MS), plan.build(MONDAY_MS)
    at_once.advance(MONDAY_MS + DAY_MS)
    for instant in range(MONDAY_MS, MONDAY_MS + DAY_MS + 1, 77_000):
        in_steps.advance(instant)
    in_steps.advance(MONDAY_MS + DAY_MS)
    assert at_once.tallies == in_steps.tallies
    assert at_once.battery is not None
    assert in_steps.battery is not None
    assert at_once.battery.stored == in_steps.battery.stored


def test_the_incomer_counts_each_row_of_the_week_exactly() -> None:
    plan = load_site(SITES / "steel.toml").plants[0]
    built = plan.build(MONDAY_MS)
    counted = [0]
    for quarter in range(1, 673):
        built.advance(MONDAY_MS + quarter * 900_000)
        counted.append(built.tallies[Node.GRID].import_uj)
    rows: Any = plan.load
    assert tuple(after - before for before, after in pairwise(counted)) == rows.intervals.energies_uj
    assert built.tallies[Node.GRID].export_uj == 0


def test_a_clock_that_steps_back_finds_a_waiting_plant() -> None:
    built = plant()
    built.advance(HOUR_MS)
    built.advance(HOUR_MS - 5000)
    assert built.now_ms == HOUR_MS
    assert built.tallies[Node.LOAD].import_uj == 100 * UJ_PER_KWH


def test_export_counts_apart_from_import() -> None:
    built = plant(load_kw=20, sun_kw=50)
    built.advance(HOUR_MS)
    assert built.tallies[Node.GRID].export_uj == 30 * UJ_PER_KWH
    assert built.tallies[Node.GRID].import_uj == 0
    assert built.tallies[Node.PV].export_uj == 50 * UJ_PER_KWH


def test_reactive_and_apparent_energy_follow_the_power_factor() -> None:
    tally = Tally()
    tally.count(Flow(3_000_000, 4_000_000), HOUR_MS)  # 3 kW and 4 kvar are 5 kVA
    tally.count(Flow(-3_000_000, -4_000_000), HOUR_MS)
    assert (tally.import_uj, tally.export_uj) == (3 * UJ_PER_KWH, 3 * UJ_PER_KWH)
    assert (tally.reactive_import_uvars, tally.reactive_export_uvars) == (4 * UJ_PER_KWH, 4 * UJ_PER_KWH)
    assert tally.apparent_uvas == 10 * UJ_PER_KWH


def test_a_battery_stores_what_its_efficiencies_leave() -> None:
    store = battery()
    store.window.charge_limited = store.window.discharge_limited = True
    store.window.in_rate, store.window.out_rate = 4000, -4000  # charge with 40 % of 50 kW
    built = plant(store=store)
    built.advance(HOUR_MS)
    # 20 kWh AC x 0.9 = 18 kWh: 50 -> 68 kWh of 100.
    assert store.stored == 68 * UJ_PER_KWH * PPM
    assert built.flow(Node.GRID).active_mw == 120_000_000
    store.window.in_rate, store.window.out_rate = -4000, 4000  # discharge with 20 kW
    built.disturb()
    built.advance(2 * HOUR_MS)
    # 20 kWh AC / 0.8 = 25 kWh: 68 -> 43.
    assert store.stored == 43 * UJ_PER_KWH * PPM
    assert built.tallies[Node.BATTERY].export_uj == built.tallies[Node.BATTERY].import_uj == 20 * UJ_PER_KWH


def test_a_battery_stops_when_full_and_at_its_floor() -> None:
    store = battery(percent=90)
    store.window.charge_limited = store.window.discharge_limited = True
    store.window.in_rate, store.window.out_rate = 10_000, -10_000
    built = plant(store=store)
    built.advance(HOUR_MS)
    # 10 kWh of room at 50 kW x 0.9: full after 10 / 45 h = 800 s.
    assert built.tallies[Node.BATTERY].import_uj == 50_000_000 * 800_000
    assert built.flow(Node.BATTERY).active_mw == 0
    store.window.in_rate, store.window.out_rate = -10_000, 10_000
    built.disturb()
    built.advance(10 * HOUR_MS)
    # 90 kWh above the floor x 0.8 = 72 kWh AC at 40 kW (its own limit, not the 50 kW asked for).
    assert built.tallies[Node.BATTERY].export_uj == 72 * UJ_PER_KWH
    assert store.state_of_charge_percent == pytest.approx(10, abs=1e-6)


def test_a_full_battery_leaves_less_than_a_millisecond_of_room() -> None:
    store = battery(percent=33)
    store.window.discharge_limited = True
    store.window.out_rate = -3333
    built = plant(store=store)
    built.advance(DAY_MS)
    assert 0 <= store.full - store.stored < 17_000_000 * store.charge_ppm


def test_self_consumption_brings_the_grid_to_zero_within_its_limits() -> None:
    built = plant(load_kw=20, sun_kw=50, store=battery(Unasked.SELF_CONSUMPTION))
    assert built.flow(Node.BATTERY).active_mw == 30_000_000
    assert built.flow(Node.GRID).active_mw == 0
    built = plant(load_kw=200, sun_kw=50, store=battery(Unasked.SELF_CONSUMPTION))
    assert built.flow(Node.BATTERY).active_mw == -40_000_000
    assert built.flow(Node.GRID).active_mw == 110_000_000


@pytest.mark.parametrize(
    ("charge_limited", "discharge_limited", "in_rate", "out_rate", "expected_kw"),
    [
        (True, False, 2000, 10_000, 10),  # bounded charging: 30 kW of surplus, 20 % of 50 kW
        (True, True, 0, 0, 0),  # hold
        (False, True, 10_000, -8000, 40),  # forced charging, more than the surplus
        (True, False, -2000, 10_000, -10),  # forced discharging, surplus or not
        (True, True, -5000, 2000, 0),  # at least 25 kW and at most 10 kW of discharging: contradictory
        (False, False, 0, 0, 30),  # no bit set: rates mean nothing
    ],
)
def test_the_window_bounds_what_the_battery_would_do_unasked(
    charge_limited: bool, discharge_limited: bool, in_rate: int, out_rate: int, expected_kw: float
) -> None:
    store = battery(Unasked.SELF_CONSUMPTION)
    window = store.window
    window.charge_limited, window.discharge_limited, window.in_rate, window.out_rate = (
        charge_limited,
        discharge_limited,
        in_rate,
        out_rate,
    )
    assert plant(load_kw=20, sun_kw=50, store=store).flow(Node.BATTERY).active_mw == round(expected_kw * 1e6)


def test_timers_end_set_points_to_the_millisecond() -> None:
    built = plant(load_kw=0, sun_kw=100, store=battery())
    built.curtailment.limited, built.curtailment.limit = True, 3000
    built.curtailment.limit_reverts_at_ms = HOUR_MS // 2
    assert built.battery is not None
    window = built.battery.window
    window.discharge_limited, window.out_rate, window.reverts_at_ms = True, -2000, HOUR_MS // 4
    built.advance(HOUR_MS)
    assert built.tallies[Node.PV].export_uj == 65 * UJ_PER_KWH  # half an hour at 30 kW, half at 100 kW
    assert built.tallies[Node.BATTERY].import_uj * 2 == 5 * UJ_PER_KWH  # a quarter of an hour at 10 kW


def test_a_disconnected_inverter_comes_back_by_its_timer() -> None:
    built = plant(load_kw=0, sun_kw=100)
    built.curtailment.connected, built.curtailment.connection_reverts_at_ms = False, HOUR_MS // 4
    built.advance(HOUR_MS)
    assert built.tallies[Node.PV].export_uj == 75 * UJ_PER_KWH


def test_an_overridden_load_returns_to_its_profile() -> None:
    built = plant(load_kw=100)
    built.override_load(300, HOUR_MS)
    built.advance(2 * HOUR_MS)
    assert built.tallies[Node.LOAD].import_uj == 400 * UJ_PER_KWH
    built.override_load(50, None)
    built.advance(4 * HOUR_MS)
    built.override_load(None, None)
    built.advance(5 * HOUR_MS)
    assert built.tallies[Node.LOAD].import_uj == 600 * UJ_PER_KWH
