"""What would have been: days whose powers are known by hand, balances of energy, and the order of the modes on random sites and on the shipped week."""

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from random_site import random_site

from aggregator.flexibility.measures import cycles_allowed, measures
from aggregator.flexibility.modes import MODES, as_mode, judged, outcome
from aggregator.flexibility.plan import Asset, Plan, plan
from aggregator.flexibility.problem import Branch, Carbon, Contract, DemandCharge, Problem, Session, Shiftable, Storage
from aggregator.flexibility.simple_rules import Course, rule_based, uncontrolled
from benchmarks.planning import site as workday

PROFILES = Path(__file__).parents[3] / "device_sim" / "profiles"


def day(steps: int = 4, **changes: object) -> Problem:
    made = Problem(
        step_h=np.ones(steps), load_kw=np.full(steps, 10.0), pv_kw=np.zeros(steps), import_price=np.full(steps, 0.5),
        export_price=np.zeros(steps), import_limit_kw=100.0, export_limit_kw=0.0,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def car(name: str = "ev", **changes: object) -> Session:
    made = Session(name, 0, 4, 0.0, 10.0, 50.0, 8.0, charge_ratio=1.0, discharge_ratio=1.0)
    return replace(made, **changes)  # type: ignore[arg-type]


def course_of(found: Plan) -> Course:
    return Course(
        {name: one.charge_kw for name, one in found.assets.items()},
        {name: one.discharge_kw for name, one in found.assets.items()},
        found.shifted_kw,
        found.curtailed_kw,
    )


def test_uncontrolled_is_full_power_from_plug_in_until_the_need_is_held() -> None:
    found = uncontrolled(day(sessions=[car(arrival=1)]))
    # 10 kWh at 8 kW: a whole hour and a quarter of one, as mean powers of the steps
    assert found.charge_kw["ev"].tolist() == [0.0, 8.0, 2.0, 0.0]


def test_uncontrolled_looks_at_no_limit_and_what_it_breaks_is_named_and_paid() -> None:
    problem = day(sessions=[car(), car("ev2")], import_limit_kw=20.0, carbon=Carbon(np.full(4, 0.4), 0.0))
    found = outcome(problem, "uncontrolled").plan
    assert found.import_kw.tolist() == pytest.approx([26.0, 14.0, 10.0, 10.0])
    (lack,) = found.broken
    assert (lack.kind, lack.step, lack.amount) == ("connection", 0, pytest.approx(6.0))
    # 60 kWh are bought and emitted, also the 6 that the connection forbids; those cost the emergency's 1000 each as well
    assert found.money.energy == pytest.approx(30.0)
    assert found.kg == pytest.approx(24.0)
    assert found.money.promises == pytest.approx(6000.0)


def test_the_rule_charges_who_has_least_time_left_first_and_within_the_connection() -> None:
    late, soon = car("late"), car("soon", departure=2)
    found = outcome(day(sessions=[late, soon], import_limit_kw=18.0), "rule_based").plan
    # 8 kW of room: soon has 2 h for 1.25 h of charging, late 4 h
    assert found.assets["soon"].charge_kw.tolist() == pytest.approx([8.0, 2.0, 0.0, 0.0])
    assert found.assets["late"].charge_kw.tolist() == pytest.approx([0.0, 6.0, 4.0, 0.0])
    assert found.broken == ()


def test_the_rule_keeps_contracts_and_branches_and_chargers_their_least_power() -> None:
    # 6 A of three phases are 4.14 kW; what a contract leaves is less than that in the first step
    problem = day(
        sessions=[car(least_kw=4.14)], contracts=[Contract("grid", np.array([14.0, 16.0, 100.0, 100.0]))],
        branches=[Branch("feeder", 5.0 / np.cos(np.pi / 12), {"ev": 1 + 0j})],
    )  # fmt: skip
    assert rule_based(problem).charge_kw["ev"].tolist() == pytest.approx([0.0, 5.0, 5.0, 0.0])


def test_the_rule_s_battery_takes_the_sun_that_is_left_and_gives_it_to_the_load() -> None:
    battery = Storage("battery", 20.0, 5.0, 8.0, 8.0, 0.8, 0.5, end_kwh=5.0)
    problem = day(pv_kw=np.array([16.0, 30.0, 0.0, 0.0]), storage=[battery], export_limit_kw=100.0)
    found = outcome(problem, "rule_based").plan
    # surplus of 6 and 20 kW: 6 and 8 taken, 0.8 x 14 = 11.2 kWh more held; 8 kW given take 16 kWh of it at 0.5, but 5 stay for the end: 5.6 kW
    assert found.assets["battery"].charge_kw.tolist() == pytest.approx([6.0, 8.0, 0.0, 0.0])
    assert found.assets["battery"].discharge_kw.tolist() == pytest.approx([0.0, 0.0, 5.6, 0.0])
    assert found.export_kw.tolist() == pytest.approx([0.0, 12.0, 0.0, 0.0])
    assert found.assets["battery"].energy_kwh[-1] == pytest.approx(5.0)


def test_loads_that_could_wait_run_at_once_and_sun_beyond_the_connection_is_curtailed() -> None:
    problem = day(pv_kw=np.array([0.0, 40.0, 0.0, 0.0]), shiftable=[Shiftable("oven", 1, 4, 9.0, 6.0)])
    for made in (uncontrolled(problem), rule_based(problem)):
        assert made.shifted_kw["oven"].tolist() == pytest.approx([0.0, 6.0, 3.0, 0.0])
        assert made.curtailed_kw.tolist() == pytest.approx([0.0, 24.0, 0.0, 0.0])


def test_a_thermostat_keeps_what_a_cold_store_holds_and_no_rule_makes_it_wait() -> None:
    # 4 kWh at the begin lose a quarter each hour (1 kWh), and 2 kW are drawn: 3 kW hold it, whatever the hour costs.
    cold = Storage("cold", 10.0, 4.0, 5.0, 0.0, 1.0, 1.0, loss_per_h_ratio=0.25, drain_kw=np.full(4, 2.0))
    for mode in ("uncontrolled", "rule_based"):
        made = outcome(day(storage=[cold]), mode).plan  # type: ignore[arg-type]
        assert made.assets["cold"].charge_kw.tolist() == pytest.approx([3.0] * 4)
        assert not made.broken


def test_one_way_charging_gives_nothing_back_where_two_way_charging_earns() -> None:
    # 10 kWh at 0.1, back at 1.0: 9 earned by whoever may discharge
    problem = day(
        2, load_kw=np.full(2, 10.0), import_price=np.array([0.1, 1.0]),
        sessions=[car(departure=2, start_kwh=10.0, charge_kw=10.0, discharge_kw=10.0)],
    )  # fmt: skip
    assert plan(as_mode(problem, "one_way")).money.total == pytest.approx(11.0)
    assert plan(as_mode(problem, "two_way")).money.total == pytest.approx(2.0)


@pytest.mark.parametrize("seed", range(12))
def test_a_plan_costs_no_more_than_any_rule_and_any_mode_s_energy_is_conserved(seed: int) -> None:
    problem = random_site(seed)
    found = {mode: outcome(problem, mode) for mode in MODES}
    least = found["two_way"].plan.money.total
    for mode, one in found.items():
        assert one.plan.money.total >= least - 1e-6, mode
        _conserved(problem, one.plan)
    assert found["one_way"].plan.money.total >= least - 1e-6


def odd_site(seed: int) -> Problem:
    """A random site with what makes rules stumble: a battery that loses much or cannot charge, chargers with a least power, a connection of next to nothing."""
    draw = np.random.default_rng(1000 + seed)
    site = random_site(seed, steps=int(draw.integers(4, 20)), cars=int(draw.integers(0, 5)))
    (battery,) = site.storage
    odd = replace(
        battery, start_kwh=float(draw.choice([0.0, battery.capacity_kwh, battery.least_kwh])), charge_kw=float(draw.choice([0.0, battery.charge_kw])),
        end_kwh=float(draw.choice([0.0, battery.end_kwh or 0.0])), loss_per_h_ratio=float(draw.choice([0.0, 0.05])),
    )  # fmt: skip
    odd = replace(odd, least_kw=min(float(draw.choice([0.0, 4.0])), odd.charge_kw))
    sessions = [
        replace(one, least_kw=float(min(draw.choice([0.0, 1.38, 4.14]), one.charge_kw))) for one in site.sessions
    ]
    return replace(
        site, storage=[odd], sessions=sessions, import_limit_kw=float(draw.choice([0.0, 20.0, site.import_limit_kw]))
    )


@pytest.mark.parametrize("seed", [*range(6), 78, 81, 96, 125])  # the last four did
def test_no_plan_charges_and_discharges_at_once_also_where_chargers_have_a_least_power(seed: int) -> None:
    for one in plan(odd_site(seed)).assets.values():
        assert np.minimum(one.charge_kw, one.discharge_kw).max() < 1e-5


@pytest.mark.parametrize(("vehicles", "seed"), [(10, 3), (30, 5), (60, 4)])  # in which some were
def test_no_charger_is_between_off_and_its_least_power(vehicles: int, seed: int) -> None:
    site = workday(vehicles, seed)
    problem = replace(site, sessions=[replace(one, least_kw=4.14) for one in site.sessions])
    found = plan(problem, 30.0)
    for one in problem.sessions:
        power = found.assets[one.name].charge_kw
        assert power[(power > 1e-5) & (power < 4.14 - 1e-5)].tolist() == []
    # what it costs against chargers that may take any power: at most a quarter of a percent, as measured in flexibility.md 2.3
    assert found.money.total <= plan(site, 30.0).money.total * 1.0026


@pytest.mark.parametrize("seed", [*range(4), 12])  # the last one did
def test_no_limit_is_broken_for_a_charger_s_least_power(seed: int) -> None:
    problem = odd_site(seed)
    free = replace(
        problem,
        storage=[replace(one, least_kw=0.0) for one in problem.storage],
        sessions=[replace(one, least_kw=0.0) for one in problem.sessions],
    )
    assert _beyond(plan(problem)) <= _beyond(plan(free)) + 1e-4
    assert plan(problem).money.total <= outcome(problem, "rule_based").plan.money.total + 1e-6


def _beyond(found: Plan) -> float:
    return sum(one.amount for one in found.broken if one.kind in ("connection", "branch"))


@pytest.mark.parametrize("seed", range(25))
def test_what_the_rules_do_is_possible_on_any_site(seed: int) -> None:
    problem = odd_site(seed)
    for mode in ("uncontrolled", "rule_based"):
        _conserved(problem, outcome(problem, mode).plan)


def _conserved(problem: Problem, found: Plan) -> None:
    """By hand from the powers: site = sum of parts, and each battery holds what it held, plus what came in, less what went out and was lost."""
    net_kw = problem.load_kw - problem.pv_kw + found.curtailed_kw + sum(found.shifted_kw.values())
    assets: dict[str, Asset] = dict(found.assets)
    for one in assets.values():
        net_kw = net_kw + one.charge_kw - one.discharge_kw
    beyond = np.zeros(problem.steps)
    for lack in found.broken:
        if lack.kind == "connection" and found.import_kw[lack.step] <= problem.import_limit_kw + 1e-6:
            beyond[lack.step] += lack.amount if lack.name == "import" else -lack.amount
    assert found.import_kw - found.export_kw + beyond == pytest.approx(net_kw, abs=1e-5)
    for storage in (*problem.storage, *problem.sessions):
        held, powers = storage.start_kwh, assets[storage.name]
        first, last = getattr(storage, "arrival", 0), getattr(storage, "departure", problem.steps)
        for step in range(first, last):
            step_h = problem.step_h[step]
            held *= 1 - getattr(storage, "loss_per_h_ratio", 0.0) * step_h
            held += powers.charge_kw[step] * storage.charge_ratio * step_h
            held -= powers.discharge_kw[step] / storage.discharge_ratio * step_h
            assert powers.energy_kwh[step] == pytest.approx(held, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_judged_by_its_own_powers_costs_what_it_says(seed: int) -> None:
    problem = random_site(seed)
    found = plan(problem)
    again = judged(problem, course_of(found))
    beyond = any(lack.kind == "connection" for lack in found.broken)
    assert beyond or again.money.total == pytest.approx(found.money.total, abs=1e-5)


@pytest.mark.parametrize("weekday", range(3))
def test_on_the_shipped_week_foresight_costs_no_more_than_rolling_and_that_no_more_than_uncontrolled(
    weekday: int,
) -> None:
    problem = shipped_day(weekday)
    assert len(problem.sessions) >= 8
    total = {mode: outcome(problem, mode).plan.money.total for mode in MODES}
    assert total["two_way"] <= total["rolling"] + 1e-6
    assert total["rolling"] < total["rule_based"] <= total["uncontrolled"] + 1e-6
    assert total["two_way"] <= total["one_way"] + 1e-6


def shipped_day(weekday: int) -> Problem:
    """A day of the shipped measurements: sessions of a garage (their arrivals, stays and energies) beside a steel plant's load."""
    hours = [
        list(csv.DictReader(_rows(PROFILES / name))) for name in ("steel_plant_week.csv", "charging_sessions_week.csv")
    ]
    load = np.array([float(row["energy_kwh"]) * 4 for row in hours[0]])[weekday * 96 : weekday * 96 + 96]
    begin_s = datetime(2021, 6, 14 + weekday, 7, tzinfo=UTC).timestamp()  # midnight of the garage
    sessions = []
    for number, row in enumerate(hours[1]):
        come, gone = ((_instant_s(row[key]) - begin_s) / 900 for key in ("connected_utc", "disconnected_utc"))
        arrival, departure = int(np.ceil(come)), int(gone)
        if 0 <= arrival < departure <= 96:
            need = min(float(row["energy_kwh"]) * 0.93, 7.0 * 0.93 * (departure - arrival) / 4)
            sessions.append(Session(f"ev{number}", arrival, departure, 10.0, 10.0 + need, 80.0, 7.0, 7.0, reserve_kwh=8.0, wear_per_kwh=0.2))  # fmt: skip
    hour = np.arange(96) / 4
    price = np.where(((hour >= 10) & (hour < 15)) | ((hour >= 18) & (hour < 21)), 1.2, np.where(hour < 8, 0.33, 0.75))
    battery = Storage("battery", 200.0, 100.0, 100.0, 100.0, wear_per_kwh=0.1, end_kwh=100.0)
    return Problem(
        step_h=np.full(96, 0.25), load_kw=load, pv_kw=150 * np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None), import_price=price,
        export_price=np.full(96, 0.3), import_limit_kw=1000.0, export_limit_kw=200.0, storage=[battery], sessions=sessions,
        demand=[DemandCharge("month", 1.4, np.ones(96, dtype=bool), 50.0)], carbon=Carbon(0.5 + 0.2 * np.cos(hour / 24 * 2 * np.pi), 0.07),
    )  # fmt: skip


def _rows(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def _instant_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_where_there_is_not_enough_for_all_a_few_leave_short_rather_than_most() -> None:
    # 12 kWh for needs of 16, 6 and 6: without a preference any split lacks 16; with it the two small ones are served whole
    cars = [car("large", need_kwh=16.0), car("small", need_kwh=6.0), car("other", need_kwh=6.0)]
    found = plan(day(sessions=cars, import_limit_kw=13.0, few_short_ratio=0.2))
    (lack,) = found.broken
    assert (lack.name, lack.amount) == ("large", pytest.approx(16.0))
    # 5 per kWh, and 0.2 x 5 kWh / 16 kWh dearer
    assert lack.cost == pytest.approx(16 * 5 * (1 + 0.2 * 5 / 16))


def test_a_battery_whose_wear_is_priced_by_its_cycles_lasts_its_twenty_years() -> None:
    """1,200 money per kWh over 12,000 cycles are 0.10 per kWh; prices that swing every two hours ask for more cycles than it has."""
    battery = Storage("battery", 100.0, 50.0, 100.0, 100.0, 0.97, 0.97, end_kwh=50.0)
    swing = np.where(np.arange(24) % 4 < 2, 0.40, 0.50)
    site = day(24, import_price=swing, load_kw=np.full(24, 200.0), import_limit_kw=500.0, storage=[battery])
    greedy = measures(site, plan(site))
    assert greedy.cycles_per_day is not None
    assert greedy.cycles_per_day > 5
    assert greedy.life_years is not None
    assert greedy.life_years < 7
    priced = replace(site, storage=[replace(battery, wear_per_kwh=1200 / 12_000)])
    spared = measures(priced, plan(priced))
    assert spared.cycles_per_day is not None
    assert spared.cycles_per_day <= cycles_allowed()
