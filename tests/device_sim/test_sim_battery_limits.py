"""What a battery may do near full, near its floor and when it is warm: against sums and balances by hand."""

from random import Random

import pytest

from device_sim.battery import FULL_RATE, Battery, Unasked, Window
from device_sim.modbus.sunspec import Chain
from device_sim.modbus.sunspec_layouts import VENDOR_MODEL
from device_sim.plant import Node, Plant
from device_sim.profile import NoPower
from device_sim.site import load_site
from device_sim.site_table import SiteFaults
from device_sim.warmth import Warmth

HOUR_MS = 3_600_000


def battery(percent: float, efficiency_ratio: float = 1.0, charging: bool = True) -> Battery:
    """100 kWh, 50 kW both ways, floor at 10 %, told to go on with all of it."""
    store = Battery.build(100, 50, 50, efficiency_ratio, efficiency_ratio, percent, 10, Unasked.REST)
    rate = FULL_RATE if charging else -FULL_RATE
    store.window = Window(True, True, rate, -rate, store.charge_mw)
    return store


def plant(store: Battery) -> Plant:
    return Plant("p", 0, NoPower(), NoPower(), NoPower(), battery=store)


def test_the_last_fifth_takes_as_long_as_its_steps_sum_up_to() -> None:
    """40 steps of 0.5 kWh from 80 % on, the k-th from the end at 50 kW x k / 40: 0.4 h x (1 + 1/2 + ... + 1/40) = 1.71142 h."""
    store = battery(80)
    store.taper_from_percent = 80
    built = plant(store)
    built.advance(round(1.7110 * HOUR_MS))
    assert 99.9 < store.state_of_charge_percent < 100
    assert built.flow(Node.BATTERY).active_mw == 50_000_000 // 40
    built.advance(round(1.7116 * HOUR_MS))
    assert built.flow(Node.BATTERY).active_mw == 0
    assert store.state_of_charge_percent == pytest.approx(100, abs=1e-6)


def test_above_its_floor_it_gives_less_and_less_down_to_the_last_step() -> None:
    """20 steps of 0.5 kWh below 20 %: 0.5 x 20 / 50 h x (1 + 1/2 + ... + 1/20) = 0.71955 h."""
    store = battery(20, charging=False)
    store.taper_below_percent = 20
    built = plant(store)
    built.advance(round(0.7193 * HOUR_MS))
    assert built.flow(Node.BATTERY).active_mw == -50_000_000 // 20
    built.advance(round(0.7198 * HOUR_MS))
    assert built.flow(Node.BATTERY).active_mw == 0
    assert store.state_of_charge_percent == pytest.approx(10, abs=1e-6)


def test_losses_warm_it_until_they_leave_through_its_case() -> None:
    """50 kW at 0.9 lose 5 kW; at 200 W/K that is 25 K above the room. After C / G = 5,000 s 63.2 % of it (steps of a minute: 63.4)."""
    store = battery(0, 0.9)
    store.capacity_kwh = 1e6  # never full
    store.warmth = Warmth.build(25, 1000, 200, 70, 80)
    built = plant(store)
    built.advance(5_000_000)
    assert store.temperature_degc == pytest.approx(25 + 25 * 0.632, abs=0.2)
    built.advance(24 * HOUR_MS)
    assert store.temperature_degc == pytest.approx(50, abs=1e-3)


def test_a_warm_battery_settles_where_what_it_may_do_keeps_it_as_warm_as_that() -> None:
    """Share s = 1 - (T - 45) / 15 and T = 25 + 25 s meet at T = 46.875 and s = 0.875."""
    store = battery(0, 0.9)
    store.capacity_kwh = 1e6
    store.warmth = Warmth.build(25, 1000, 200, 45, 60)
    built = plant(store)
    built.advance(24 * HOUR_MS)
    assert store.temperature_degc == pytest.approx(46.875, abs=0.01)
    assert built.flow(Node.BATTERY).active_mw == pytest.approx(0.875 * 50_000_000, rel=1e-3)


def test_who_asks_and_when_changes_neither_charge_nor_temperature() -> None:
    plants = []
    for chance in (None, Random(3)):
        store = battery(30, 0.93)
        store.taper_from_percent = 85
        store.warmth = Warmth.build(25, 200, 40, 30, 60)
        built = plant(store)
        now = 0
        while chance is not None and now < 4 * HOUR_MS:
            now += chance.randrange(1, 90_000)
            built.advance(min(now, 4 * HOUR_MS))
        built.advance(4 * HOUR_MS)
        plants.append(built)
    once, often = (built.battery for built in plants)
    assert once is not None
    assert often is not None
    assert once.stored == often.stored
    assert once.temperature_degc == often.temperature_degc > 30


def test_registers_show_the_temperature_and_what_may_flow() -> None:
    table = {
        "name": "p",
        "load": {"base_kw": 0, "peak_kw": 0, "noise_ratio": 0},
        "battery": {
            "capacity_kwh": 100,
            "charge_kw": 50,
            "state_of_charge_percent": 90,
            "taper_from_percent": 80,
            "warmth": {"room_degc": 21, "capacity_kj_per_k": 500, "loss_w_per_k": 100},
        },
        "device": [{"name": "old", "kind": "sunspec_battery"}, {"name": "new", "kind": "sunspec_der_battery"}],
    }
    plan = load_site({"plant": [table]}).plants[0]
    built = plan.build(0)
    shown = {device.name: device.image(0) for _, device in plan.build_devices(built)}
    old, new = Chain(1, 103, VENDOR_MODEL, 124, 802), Chain(1, 701, base=50_000)
    (cabinet, _), (charge, _) = old.models[1].points["TmpCab"], old.models[4].points["AChaMax"]
    assert int.from_bytes(shown["old"].read(cabinet, 1), "big") == 210
    # Half of the tapering fifth is left, so 25 kW x 0.95 at 800 V x (0.95 + 0.1 x 0.9) of the cells: 28.5 A.
    assert int.from_bytes(shown["old"].read(charge, 1), "big") == round(10 * 25_000 * 0.95 / (800 * 1.04))
    assert int.from_bytes(shown["new"].read(new.models[1].points["TmpCab"][0], 1), "big") == 210


def test_a_derating_that_ends_where_it_begins_is_refused() -> None:
    warmth = {"capacity_kj_per_k": 500, "loss_w_per_k": 100, "derate_from_degc": 50, "derate_to_degc": 50}
    table = {
        "name": "p",
        "load": {},
        "battery": {"capacity_kwh": 1, "charge_kw": 1, "warmth": warmth},
        "device": [{"name": "b", "kind": "sunspec_battery"}],
    }
    with pytest.raises(SiteFaults, match=r"derate_to_degc: expected at least 1 above derate_from_degc \(50\), got 50"):
        load_site({"plant": [table]})
