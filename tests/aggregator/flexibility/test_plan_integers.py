"""Lazy binaries against the whole integer model: another statement, with every binary from the start, finds the same money."""

from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

from aggregator.flexibility.dispatch import dispatch
from aggregator.flexibility.plan import Plan, plan, told
from aggregator.flexibility.problem import Problem, Session, Storage, Wanted
from aggregator.flexibility.solve import solve

STEPS = 6


def drawn(seed: int) -> Problem:
    """Prices below zero too; a battery that may be bound to one way, a vehicle with a least power, and one that wants to be filled."""
    draw = np.random.default_rng(seed)
    ways = {"from_grid": bool(draw.integers(0, 2)), "to_grid": bool(draw.integers(0, 2))}
    battery = Storage(
        "battery", 12.0, draw.uniform(0, 12), 6.0, 5.0, 0.9, 0.92, end_value_per_kwh=draw.uniform(0, 0.3), **ways
    )
    need = draw.uniform(4, 14)
    ev = Session(
        "ev",
        1,
        5,
        1.0,
        need,
        30.0,
        7.0,
        3.0 * float(draw.integers(0, 2)),
        0.93,
        0.9,
        least_kw=4.0,
        shortfall_price_per_kwh=draw.uniform(0.5, 4),
    )
    wanted = Wanted(draw.choice([0.0, 3.0, 5.0], STEPS), draw.uniform(0.2, 3, STEPS))
    van = Storage(
        "van",
        10.0,
        draw.uniform(0, 8),
        5.0,
        0.0,
        0.95,
        0.95,
        least_kw=2.5,
        wanted=wanted,
        from_grid=bool(draw.integers(0, 2)),
    )
    price = draw.uniform(-0.6, 1.0, STEPS)
    return Problem(
        step_h=draw.choice([0.5, 1.0], STEPS), load_kw=draw.uniform(0, 6, STEPS), pv_kw=draw.uniform(0, 12, STEPS), import_price=price,
        export_price=draw.uniform(-0.3, 0.7, STEPS), import_limit_kw=25.0, export_limit_kw=8.0, storage=[battery, van], sessions=[ev], exact_least=True,
        curtailment_price=draw.uniform(0, 0.2, STEPS), curtailed_at_limit=bool(draw.integers(0, 2)),
    )  # fmt: skip


def whole(problem: Problem) -> float:
    """The least money with a binary for each rule of each step, by cvxpy and SciPy's solver of integer models."""
    dt = problem.step_h
    bought, sold, lost, over, under = (cp.Variable(STEPS, nonneg=True) for _ in range(5))
    buys = cp.Variable(STEPS, boolean=True)
    assert problem.curtailment_price is not None
    rules: list[Any] = [
        bought <= problem.import_limit_kw * buys,
        sold <= problem.export_limit_kw * (1 - buys),
        lost <= problem.pv_kw,
    ]
    if problem.curtailed_at_limit:
        full = cp.Variable(STEPS, boolean=True)
        rules += [cp.multiply(1 / problem.pv_kw, lost) <= full, sold >= problem.export_limit_kw * full]
    money: Any = cp.sum(
        cp.multiply(dt, cp.multiply(problem.import_price, bought) - cp.multiply(problem.export_price, sold))
    )
    money += cp.sum(cp.multiply(dt * problem.curtailment_price, lost)) + 1000 * cp.sum(cp.multiply(dt, over + under))
    net: Any = problem.load_kw - problem.pv_kw
    for one in (*problem.storage, *problem.sessions):
        here = np.array([getattr(one, "arrival", 0) <= t < getattr(one, "departure", STEPS) for t in range(STEPS)])
        charge, discharge, held = (cp.Variable(STEPS, nonneg=True) for _ in range(3))
        into, runs = cp.Variable(STEPS, boolean=True), cp.Variable(STEPS, boolean=True)
        rules += [
            charge <= one.charge_kw * into,
            discharge <= one.discharge_kw * (1 - into),
            charge <= 100 * here,
            discharge <= 100 * here,
        ]
        rules += [held <= one.capacity_kwh, charge <= one.charge_kw * runs]
        change = one.charge_ratio * cp.multiply(dt, charge) - cp.multiply(dt, discharge) / one.discharge_ratio
        rules += [held == one.start_kwh + cp.cumsum(change)]
        excused: Any = 0
        if isinstance(one, Storage) and one.wanted is not None:
            excused, lack = cp.Variable(STEPS, boolean=True), cp.Variable(STEPS, nonneg=True)
            asked = np.minimum(one.wanted.charge_kw, one.charge_kw)
            rules += [held >= one.capacity_kwh * excused, charge + lack >= cp.multiply(asked, 1 - excused)]
            money += cp.sum(cp.multiply(dt * one.wanted.price, lack))
        rules.append(charge >= one.least_kw * (runs - excused))
        if not one.from_grid:
            alone = cp.Variable(STEPS, boolean=True)
            rules += [charge <= one.charge_kw * alone, bought <= problem.import_limit_kw * (1 - alone)]
        if not one.to_grid:
            inside = cp.Variable(STEPS, boolean=True)
            rules += [discharge <= one.discharge_kw * inside, sold <= problem.export_limit_kw * (1 - inside)]
        if isinstance(one, Session):
            lacking = cp.Variable(nonneg=True)
            rules.append(held[one.departure - 1] + lacking >= one.need_kwh)
            money += one.shortfall_price_per_kwh * lacking
        else:
            money -= one.end_value_per_kwh * held[STEPS - 1]
        net = net + charge - discharge
    rules.append(bought - sold + over - under == net + lost)
    asked_of = cp.Problem(cp.Minimize(money), rules)
    asked_of.solve(solver=cp.SCIPY, scipy_options={"mip_rel_gap": 0.0})
    return float(asked_of.value)


def agree(seed: int) -> int:
    problem = drawn(seed)
    made = dispatch(problem)
    ours = solve(made, 60.0, money_gap=1e-9)
    found = told(made, ours)
    assert found.money.total == pytest.approx(ours.money, rel=1e-7, abs=1e-5), seed
    held(problem, found)
    assert ours.money == pytest.approx(whole(problem), rel=1e-5, abs=1e-5), seed
    return ours.binaries


@pytest.mark.parametrize("seed", range(6))
def test_binaries_where_they_matter_find_what_binaries_everywhere_find(seed: int) -> None:
    assert agree(seed) < 12 * STEPS  # of thirteen or more rules a step


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 220))
def test_binaries_where_they_matter_find_the_same_on_many_sites(seed: int) -> None:
    agree(seed)


def held(problem: Problem, found: Plan) -> None:
    """That a plan breaks no rule."""

    def never_both(one: Any, other: Any) -> None:
        assert np.minimum(one, other).max() < 1e-5

    never_both(found.import_kw, found.export_kw)
    if problem.curtailed_at_limit:
        never_both(found.curtailed_kw, problem.export_limit_kw - found.export_kw)
    for one in (*problem.storage, *problem.sessions):
        asset = found.assets[one.name]
        never_both(asset.charge_kw, asset.discharge_kw)
        if not one.from_grid:
            never_both(asset.charge_kw, found.import_kw)
        if not one.to_grid:
            never_both(asset.discharge_kw, found.export_kw)
        topping = asset.energy_kwh > one.capacity_kwh - 1e-5 if one.name == "van" else np.zeros(STEPS, dtype=bool)
        assert not ((asset.charge_kw > 1e-5) & (asset.charge_kw < one.least_kw - 1e-5) & ~topping).any()


@pytest.mark.parametrize("first", [1000, pytest.param(2000, marks=pytest.mark.long)])
def test_whatever_contradicts_what_there_is_a_plan_and_it_breaks_no_rule(first: int) -> None:
    """Least powers by the dive, prices below zero, ways that are closed, demands until full: forty sites, four hundred where there is time."""
    for seed in range(first, first + (40 if first == 1000 else 400)):
        problem = replace(drawn(seed), exact_least=False)
        held(problem, plan(problem))


def test_where_sides_contradict_each_other_what_can_wait_waits() -> None:
    """Site 2336: the sides that are chosen one after the other leave no solution."""
    problem = replace(drawn(2336), exact_least=False)
    held(problem, plan(problem))


@pytest.mark.parametrize("vehicles", [10, 60])
def test_half_a_day_below_zero_gives_a_plan_in_time_with_what_is_not_proved(vehicles: int) -> None:
    """Half the day burning energy would pay, and nothing wears: hundreds of rules are broken by the LP. The plan breaks none; its gap is stated."""
    draw, steps = np.random.default_rng(vehicles), 48
    price = np.where(np.arange(steps) % 48 < 24, -0.8, 0.6)
    stays = [
        Session(f"ev{n}", int(draw.integers(0, 12)), int(draw.integers(30, 48)), 20.0, 30.0, 60.0, 7.0, 7.0)
        for n in range(vehicles)
    ]
    problem = Problem(
        step_h=np.full(steps, 0.5), load_kw=np.full(steps, 2.0 * vehicles), pv_kw=np.zeros(steps), import_price=price, export_price=price - 0.1,
        import_limit_kw=20.0 * vehicles, export_limit_kw=5.0 * vehicles, sessions=stays,
    )  # fmt: skip
    made = dispatch(problem)
    found = told(made, solve(made, 2.0))
    assert not found.broken
    assert (found.status == "optimal") == (found.gap <= 0.01)
    for asset in found.assets.values():
        assert np.minimum(asset.charge_kw, asset.discharge_kw).max() < 1e-6
    assert np.minimum(found.import_kw, found.export_kw).max() < 1e-6
