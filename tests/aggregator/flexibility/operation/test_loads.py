"""Loads that a plan may move: windows of the day, comfort bands, what edges are told of them, and who decides. Expected numbers by hand."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from planned_works import CHEAP, CIRCUIT, HOUR_MS, NOON_MS, QUARTER_MS, TARIFF, ZONE, state, vehicle

from aggregator.flexibility.asked import Overridden
from aggregator.flexibility.operation.loads import Comfort, Waiting, shiftable, windows
from aggregator.flexibility.operation.moved import loads
from aggregator.flexibility.operation.posed import problem_of
from aggregator.flexibility.operation.rolling import Planned, Rolling
from aggregator.flexibility.operation.schedules import Draft
from aggregator.flexibility.operation.state import Window, edges_from
from aggregator.flexibility.operation.summary import summary
from aggregator.flexibility.operation.tariff import When
from aggregator.planning.offering import beside, firm_kw
from device_sim.hvac import Hvac, Task
from wire import circuit as network
from wire.schedule import Wish

ASSET = {"branch": "transformer", "edge": "gw-01", "point": "active_power_limit_percent", "kind": "load"}
LOADED = network.of_tree(
    {
        "facility": "works",
        "branch": [{"name": "transformer", "limit_kva": 400, "export_limit_kw": 0, "edge": "gw-01"}],
        "asset": [
            {"name": "pump", "device": "pump", "charge_kw": 10, **ASSET},
            {"name": "chiller", "device": "chiller", "charge_kw": 20, **ASSET},
        ],
    }
)
PUMP = Waiting("pump", 20.0, 14 * 60, 22 * 60, 10.0, When())
# 5 kWh move the building by a kelvin, so that its band of 4 K holds 20 kWh; 0.5 kW flow for each kelvin: a tenth of what is held is lost in an hour.
CHILLER = Comfort("chiller", "cooling", 22.0, 26.0, 5.0, 0.5, 20.0, "chiller", "chiller", gains_kw=2.0)


def pump_window(done_kwh: float = 0.0, **said: Any) -> Window:
    given: dict[str, Any] = {
        "name": "pump 11-20 14:00", "from_ms": NOON_MS + 2 * HOUR_MS, "until_ms": NOON_MS + 10 * HOUR_MS, "kwh": 20.0, "most_kw": 10.0,
    } | said  # fmt: skip
    return Window("pump", done_kwh=done_kwh, **given)


def planned(**said: Any) -> tuple[Planned, dict[str, Draft]]:
    given: dict[str, Any] = {"held": (), "waiting": ("pump",), "windows": (pump_window(),)} | said
    return Rolling(LOADED, TARIFF, ZONE).replan(state(**given))


def wishes(told: dict[str, Draft], asset: str) -> list[Wish]:
    return [wish for wish in told["gw-01"].wishes if wish.asset == asset]


def local_ms(text: str, zone: ZoneInfo = ZONE) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def test_windows_follow_the_local_day_pass_midnight_and_know_workdays() -> None:
    night = Waiting("pump", 5.0, 22 * 60, 6 * 60, 10.0, When())
    friday_ms = local_ms("2026-11-20T01:00")  # within Thursday's window
    assert windows(night, friday_ms, friday_ms + 30 * HOUR_MS, ZONE, frozenset()) == [
        (local_ms("2026-11-19T22:00"), local_ms("2026-11-20T06:00")),
        (local_ms("2026-11-20T22:00"), local_ms("2026-11-21T06:00")),
    ]
    assert night.hours == 8.0
    daily = Waiting("pump", 5.0, 0, 24 * 60, 10.0, When(days="workday"))
    whole = windows(daily, NOON_MS, NOON_MS + 50 * HOUR_MS, ZONE, frozenset())  # Friday, then a weekend
    assert whole == [(local_ms("2026-11-20T00:00"), local_ms("2026-11-21T00:00"))]
    assert daily.hours == 24.0
    berlin = ZoneInfo("Europe/Berlin")  # the night of 25 October 2026 has an hour more
    ((begin_ms, end_ms),) = windows(
        night, local_ms("2026-10-24T23:00", berlin), local_ms("2026-10-25T05:00", berlin), berlin, frozenset()
    )
    assert (end_ms - begin_ms) / HOUR_MS == 9.0


def test_a_window_is_planned_for_what_it_lacks_and_as_far_as_the_horizon_must() -> None:
    edges = edges_from(NOON_MS)
    one = shiftable(pump_window(done_kwh=5.0), edges, 7.0)
    assert one is not None
    assert (one.first, one.last, one.energy_kwh, one.power_kw, one.shortfall_price_per_kwh) == (8, 40, 15.0, 10.0, 7.0)
    assert shiftable(pump_window(done_kwh=20.0), edges, 7.0) is None
    end_ms = edges[-1]  # 20 kWh until an hour behind the horizon: 10 of them can wait until then
    late = shiftable(pump_window(from_ms=end_ms - 3 * HOUR_MS, until_ms=end_ms + HOUR_MS), edges, 7.0)
    assert late is not None
    assert late.energy_kwh == 10.0
    assert shiftable(pump_window(from_ms=end_ms - 3 * HOUR_MS, until_ms=end_ms + 2 * HOUR_MS), edges, 7.0) is None


def test_a_load_runs_in_the_cheap_hours_of_its_window_and_nowhere_else() -> None:
    # Dear from 16 to 20 h: of the window from 14 to 22 h, four hours are cheap. Sooner goes first: 20 kWh are 10 kW from 14 to 16 h.
    found, told = planned()
    first, on, after = wishes(told, "pump")
    assert (first.kw, first.cap, first.until_ms) == (0.0, True, NOON_MS + 2 * HOUR_MS)
    assert (on.kw, on.cap, on.until_ms) == (10.0, True, NOON_MS + 4 * HOUR_MS)
    assert (after.kw, after.until_ms) == (0.0, found.made_of.edges_ms[-1])
    said = summary(found, TARIFF)
    (row,) = said["loads"]
    assert row["words"] == "pump 11-20 14:00 (20 kWh): 0.0 kWh had, 20.0 kWh planned at 0.300 a kWh; what is left of its window costs 0.750 in the mean"  # fmt: skip
    assert row["runs"] == [(NOON_MS + 2 * HOUR_MS, NOON_MS + 4 * HOUR_MS, 10.0)]
    assert said["assets"]["pump"]["kw"][7:17] == [0.0, *([10.0] * 8), 0.0]
    # At once it would cost the same two hours; the works pays for 100 kW in 36 h, 28 of them cheap, and 20 kWh.
    assert found.plan.money.energy == pytest.approx(100 * (28 * 0.3 + 8 * 1.2) + 20 * CHEAP)


def test_a_load_that_cannot_get_its_energy_any_more_says_what_lacks() -> None:
    found, _ = planned(windows=(pump_window(until_ms=NOON_MS + 3 * HOUR_MS),))
    (row,) = loads(found)
    assert row["lacking_kwh"] == pytest.approx(10.0)
    assert row["words"].endswith("; 10.0 kWh will lack")


def test_what_an_operator_makes_a_load_draw_counts_for_its_window_and_goes_beyond_it() -> None:
    word = Overridden("o1", "works", "pump", 4.0, NOON_MS + HOUR_MS, NOON_MS + 3 * HOUR_MS, "anna", "test of the pump")
    found, told = planned(overridden=(word,))
    held = [wish for wish in wishes(told, "pump") if wish.authority == "override"]
    assert [(wish.kw, wish.from_ms, wish.until_ms) for wish in held] == [
        (4.0, NOON_MS + HOUR_MS, NOON_MS + 3 * HOUR_MS)
    ]
    (load,) = found.posed.problem.shiftable
    assert load.energy_kwh == 16.0  # 4 kW from 14 to 15 h are part of its window, those from 13 to 14 h are not
    assert found.plan.shifted_kw[load.name][8:12].tolist() == pytest.approx([0.0] * 4)
    assert found.plan.import_kw[:12].tolist() == pytest.approx([100.0] * 4 + [104.0] * 8)
    out = Overridden("o2", "works", "pump", None, NOON_MS, NOON_MS + 3 * HOUR_MS, "anna", "maintenance")
    found, told = planned(overridden=(out,))
    assert wishes(told, "pump") == []
    assert found.posed.problem.shiftable == ()


def test_a_load_that_had_other_than_planned_is_news_and_goes_on_in_a_stale_plan() -> None:
    rolling = Rolling(LOADED, TARIFF, ZONE)
    given: dict[str, Any] = {"held": (), "waiting": ("pump",)}
    until: dict[str, Any] = {"until_ms": NOON_MS + 4 * HOUR_MS}  # it has to run throughout
    rolling.replan(state(windows=(pump_window(**until),), **given))
    now_ms = NOON_MS + 2 * HOUR_MS + 600_000  # ten minutes at 10 kW: 1.67 kWh
    rolling.replan(state(now_ms, windows=(pump_window(1.67, **until),), **given))
    soon_ms = now_ms + 60_000
    assert rolling.due(state(soon_ms, windows=(pump_window(1.83, **until),), **given)) == ()
    assert rolling.due(state(soon_ms, windows=(pump_window(0.2, **until),), **given)) == ("energy",)
    rolling.budget_s = 0.0
    later_ms = now_ms + QUARTER_MS
    stale, told = rolling.replan(state(later_ms, windows=(pump_window(4.17, **until),), **given))
    assert stale.status == "stale"
    assert wishes(told, "pump")[0].kw == pytest.approx(10.0, abs=0.05)


def test_a_building_is_cooled_ahead_of_the_dear_hours_and_kept_in_its_band() -> None:
    # At 30 degC outdoors 2 + 0.5 x 4 = 4 kW flow in at the warm end, and a tenth of what is held in an hour.
    steps = len(edges_from(NOON_MS)) - 1
    building = CHILLER.tempered(26.0, NOON_MS, np.full(steps, 30.0))
    assert (building.kwh, building.band_kwh, building.loss_per_h_ratio, building.drain_kw[0]) == (0.0, 20.0, 0.1, 4.0)
    found, told = planned(waiting=(), windows=(), tempered=(building,))
    course = found.plan.assets["chiller"]
    assert not found.plan.broken
    # At 16 h it is as cold as it may be; from there 4 kW and the loss draw on 20 kWh: after 15 min 20 x 0.975 - 1 = 18.5, until the sixteenth quarter has too little.
    assert course.energy_kwh[15] == pytest.approx(20.0, abs=0.05)
    assert course.charge_kw[16:28] == pytest.approx(np.zeros(12))
    held = float(course.energy_kwh[15])
    for step in range(16, 28):
        held = held * 0.975 - 1.0
        assert course.energy_kwh[step] == pytest.approx(held)
    assert all(wish.cap for wish in wishes(told, "chiller"))
    (row,) = loads(found)
    assert row["words"].startswith("chiller: 26.0 degC, 0.0 of 20.0 kWh held;")
    warm = CHILLER.tempered(27.0, NOON_MS, np.full(steps, 30.0))
    assert warm.kwh == -5.0
    found, _ = planned(waiting=(), windows=(), tempered=(warm,))
    assert found.plan.assets["chiller"].charge_kw[0] == 20.0  # 5 kWh and 1 kWh in a quarter would take 24 kW
    assert [(one.kind, one.step) for one in found.plan.broken] == [("comfort", 0)]
    heater = Comfort("chiller", "heating", 19.0, 23.0, 5.0, 0.5, 20.0, "chiller", "chiller", gains_kw=2.0)
    assert heater.tempered(20.0, NOON_MS, np.full(steps, 5.0)).drain_kw[0] == 0.5 * 14 - 2.0
    assert heater.held_kwh(20.0) == 5.0


def test_the_simulated_building_stays_in_its_band_when_it_follows_the_plan() -> None:
    """device_sim's physics, written apart: COP 4, 20 kWh/K, 2 kW/K, 8 kW of gains are a quarter of that in electric terms. Its thermostat is set to the cold end."""
    start_ms = NOON_MS
    hvac = Hvac.build(20.0, 4.0, 20.0, 2.0, 8.0, 22.0, 26.0, 30.0, 0.0, Task.COOLING)
    hvac.power(start_ms)
    rolling = Rolling(LOADED, TARIFF, ZONE)
    coldest = warmest = hvac.temperature_udegc / 1e6
    used_uj = dear_uj = 0
    for quarter in range(40):
        now_ms = start_ms + quarter * QUARTER_MS
        outdoors = np.full(len(edges_from(now_ms)) - 1, 30.0)
        building = CHILLER.tempered(hvac.temperature_udegc / 1e6, now_ms, outdoors)
        found, _ = rolling.replan(state(now_ms, held=(), tempered=(building,)))
        hvac.command(round(float(found.plan.assets["chiller"].charge_kw[0]) / 20 * 10_000), 22_000_000)
        for minute in range(15):
            power_mw, _ = hvac.power(now_ms + minute * 60_000)
            hvac.use(power_mw * 60_000)
            used_uj += power_mw * 60_000
            dear_uj += power_mw * 60_000 * (16 <= quarter < 32)
            coldest, warmest = min(coldest, hvac.temperature_udegc / 1e6), max(warmest, hvac.temperature_udegc / 1e6)
    assert coldest > 21.5
    assert warmest < 26.2
    # A thermostat at 24 degC draws 4 + 1 kW throughout, 20 of 50 kWh of them in the dear hours.
    assert dear_uj / 3.6e12 < 5.0
    assert 35 < used_uj / 3.6e12 < 60


def test_a_load_can_wait_for_an_offer_where_its_drill_has_passed() -> None:
    # From 14 h it draws 10 kW for two hours, and its window goes on until 22 h.
    found, _ = planned()
    begin_ms = NOON_MS + 2 * HOUR_MS
    firm = firm_kw(beside(found), "down", begin_ms, begin_ms + HOUR_MS, {"pump"})
    none = firm_kw(beside(found), "down", begin_ms, begin_ms + HOUR_MS, set())
    assert firm is not None
    assert firm[0] == pytest.approx(10.0)
    assert none == (0.0, 0.0)


def test_vehicles_are_planned_as_the_charging_mode_lets_them() -> None:
    agreed = vehicle(hours=8.0, need_kwh=22.0, held_kwh=20.0, capacity_kwh=60.0, gives_back=True)
    both, told = Rolling(CIRCUIT, TARIFF, ZONE).replan(state(stays=(agreed,)))
    assert both.plan.assets["pile-1-7"].discharge_kw.max() > 5.0  # it sells at 1.2 what it had at 0.3
    assert told["gw-02"].stays[0].gives_back
    one, told = Rolling(CIRCUIT, TARIFF, ZONE).replan(state(stays=(agreed,), charging="one_way"))
    assert one.plan.assets["pile-1-7"].discharge_kw.max() == 0.0
    assert not told["gw-02"].stays[0].gives_back
    assert summary(one, TARIFF, compared=False)["charging_mode"] == "one_way"


def test_vehicles_that_nobody_plans_are_foreseen_at_full_power_and_get_no_wish_but_an_operators() -> None:
    # 22 kWh at 11 kW: from noon until 14 h, in the problem's load and on the garage's branch, whatever is planned.
    found, told = Rolling(CIRCUIT, TARIFF, ZONE).replan(state(stays=(vehicle(),), charging="uncontrolled"))
    assert found.posed.problem.sessions == ()
    assert found.posed.problem.load_kw[:10].tolist() == pytest.approx([111.0] * 8 + [100.0] * 2)
    garage = next(one for one in found.posed.problem.branches if one.name == "garage L1")
    assert garage.background is not None
    # 11 kW in three phases of 400 V are 15.88 A, at 0.95 for what is not measured 16.71 A
    assert abs(garage.background[0]) == pytest.approx(11_000 / np.sqrt(3) / 400 / 0.95)
    assert not [wish for wish in told["gw-02"].wishes if wish.asset.startswith("pile")]
    (stay,) = told["gw-02"].stays
    assert (stay.need_kwh, stay.gives_back) == (22.0, False)
    stop = Overridden("o1", "works", "pile-1", 0.0, NOON_MS, NOON_MS + HOUR_MS, "anna", "test of the pile")
    _, told = Rolling(CIRCUIT, TARIFF, ZONE).replan(
        state(stays=(vehicle(),), charging="uncontrolled", overridden=(stop,))
    )
    (wish,) = [wish for wish in told["gw-02"].wishes if wish.asset == "pile-1"]
    assert (wish.kw, wish.cap, wish.authority, wish.until_ms) == (0.0, True, "override", NOON_MS + HOUR_MS)


def test_a_problem_without_moved_loads_is_what_it_was() -> None:
    posed = problem_of(CIRCUIT, TARIFF, state(), ZONE)
    assert (posed.problem.shiftable, posed.forced_kw) == ((), {})
