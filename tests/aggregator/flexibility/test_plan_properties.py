"""What holds for every plan: an independent statement agrees, the dual proves it, and wider limits never cost more."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from random_site import fuller_site, random_site

from aggregator.flexibility.dispatch import dispatch
from aggregator.flexibility.plan import Plan, plan
from aggregator.flexibility.problem import Problem
from aggregator.flexibility.solve import solve


def stated(problem: Problem) -> float:
    """The least money, from the page on flexibility alone (section 3) in cvxpy; no row of the product's model is used."""
    steps, dt = problem.steps, problem.step_h
    imported, exported, curtailed, over, under = (cp.Variable(steps, nonneg=True) for _ in range(5))
    rules: list[Any] = [imported <= problem.import_limit_kw, exported <= problem.export_limit_kw]
    rules.append(curtailed <= (problem.pv_kw if problem.curtailable else 0))
    assert problem.carbon is not None
    price = problem.import_price + problem.carbon.kg_per_kwh * problem.carbon.price_per_kg
    money: Any = cp.sum(cp.multiply(dt, cp.multiply(price, imported) - cp.multiply(problem.export_price, exported)))
    money += problem.emergency_price_per_kwh * cp.sum(cp.multiply(dt, over + under))
    if problem.curtailment_price is not None:
        money += cp.sum(cp.multiply(dt * problem.curtailment_price, curtailed))
    net = imported - exported + over - under
    supply = net + problem.pv_kw - curtailed - problem.load_kw
    powers: dict[str, Any] = {}
    for one in (*problem.storage, *problem.sessions):
        first, last = (getattr(one, "arrival", 0), getattr(one, "departure", steps))
        charge, discharge = cp.Variable(steps, nonneg=True), cp.Variable(steps, nonneg=True)
        inside = (np.arange(steps) >= first) & (np.arange(steps) < last)
        rules += [charge <= one.charge_kw * inside, discharge <= one.discharge_kw * inside]
        energy: Any = one.start_kwh
        held: list[Any] = []
        for t in range(first, last):
            before = energy
            energy = (
                before * (1 - getattr(one, "loss_per_h_ratio", 0.0) * dt[t])
                + one.charge_ratio * charge[t] * dt[t]
                - discharge[t] * dt[t] / one.discharge_ratio
            )
            if (drain := getattr(one, "drain_kw", None)) is not None:
                lacks = cp.Variable(nonneg=True)
                rules.append(lacks <= drain[t])
                energy = energy - (drain[t] - lacks) * dt[t]
                money += one.shortfall_price_per_kwh * dt[t] * lacks
            held.append(energy)
            for (x0, y0), (x1, y1) in zip(getattr(one, "taper", ()), getattr(one, "taper", ())[1:], strict=False):
                rules.append(charge[t] <= y0 + (y1 - y0) / (x1 - x0) * (before - x0))
        rules += [each <= max(one.capacity_kwh, one.start_kwh) for each in held]
        money += one.wear_per_kwh * cp.sum(cp.multiply(dt, discharge))
        lack = cp.Variable(nonneg=True)
        if hasattr(one, "need_kwh"):
            rules += [each >= min(one.reserve_kwh, one.start_kwh) for each in held]
            rules.append(held[-1] + lack >= one.need_kwh)
            if one.ahead_kwh is not None:
                behind = cp.Variable(nonneg=True)
                rules += [
                    each + behind >= min(one.ahead_kwh[first + t], one.capacity_kwh) for t, each in enumerate(held)
                ]
                money += one.ahead_price_per_kwh * behind
        else:
            kept = one.start_kwh * np.cumprod(1 - one.loss_per_h_ratio * dt)
            rules += [each >= min(one.least_kwh, float(kept[t])) for t, each in enumerate(held)]
            if one.start_kwh < one.least_kwh:
                money += one.shortfall_price_per_kwh * sum(
                    dt[t] * cp.pos(one.least_kwh - each) for t, each in enumerate(held)
                )
            rules.append(held[-1] + lack >= one.end_kwh)
            money += -one.end_value_per_kwh * held[-1]
            money += sum(goal.price_per_kwh * cp.pos(goal.kwh - held[goal.step]) for goal in one.goals)
            if one.use_price is not None:
                money += cp.sum(cp.multiply(dt * one.use_price, charge + discharge))
        money += one.shortfall_price_per_kwh * lack
        supply = supply - charge + discharge
        powers[one.name] = charge - discharge
        if problem.ramp_price_per_kw and last - first > 1:
            money += problem.ramp_price_per_kw * cp.sum(cp.abs(cp.diff((charge - discharge)[first:last])))
    for load in problem.shiftable:
        power, lack = cp.Variable(steps, nonneg=True), cp.Variable(nonneg=True)
        inside = (np.arange(steps) >= load.first) & (np.arange(steps) < load.last)
        rules += [power <= load.power_kw * inside, cp.sum(cp.multiply(dt, power)) + lack == load.energy_kwh]
        money += load.shortfall_price_per_kwh * lack
        if problem.ramp_price_per_kw and load.last - load.first > 1:
            money += problem.ramp_price_per_kw * cp.sum(cp.abs(cp.diff(power[load.first : load.last])))
        supply = supply - power
    rules.append(supply == 0)
    for charge in problem.demand:
        highest = (
            cp.max((imported + over if charge.of == "import" else exported + under)[np.flatnonzero(charge.steps)])
            if charge.steps.any()
            else 0
        )
        money += charge.price_per_kw * (cp.maximum(highest, charge.so_far_kw) - charge.so_far_kw)
    for event in problem.responses:
        at = np.flatnonzero(event.steps)
        delivered = cp.minimum(event.baseline_kw[at] - net[at], event.target_kw[at])
        paid = cp.Variable(len(at))
        rules.append(paid <= delivered)
        money += cp.sum(
            cp.multiply(
                dt[at], -event.pay_per_kwh * paid + event.shortfall_price_per_kwh * (event.target_kw[at] - paid)
            )
        )
    for contract in problem.contracts:
        money += contract.price_per_kwh * cp.sum(cp.multiply(dt, cp.pos(net - contract.limit_kw)))
    for branch in problem.branches:
        assert branch.background is not None
        excess = cp.Variable(steps, nonneg=True)
        for facet in range(12):
            turn = np.exp(-1j * math.pi / 6 * facet)
            sum_of = (turn * branch.background).real + sum(
                (turn * member).real * powers[name] for name, member in branch.members.items()
            )
            rules.append(
                sum_of
                <= (branch.limit - (0 if branch.scalar is None else branch.scalar)) * math.cos(math.pi / 12) + excess
            )
        money += problem.emergency_price_per_kwh * cp.sum(cp.multiply(dt, excess))
    asked = cp.Problem(cp.Minimize(money), rules)
    asked.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-11, tol_feas=1e-10)
    return float(asked.value)


def agree(problem: Problem, seed: int) -> None:
    ours, theirs = solve(dispatch(problem)), stated(problem)
    if (
        not ours.certain
    ):  # a response's pay may make it worth to burn energy: then the integer model costs more than its relaxation
        assert ours.money >= theirs - 1e-6
        return
    assert ours.money == pytest.approx(theirs, rel=1e-6, abs=1e-6), seed


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("drawn", [random_site, fuller_site])
def test_an_independent_statement_of_the_model_finds_the_same_money(drawn: Callable[[int], Problem], seed: int) -> None:
    agree(drawn(seed), seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 320))
def test_an_independent_statement_finds_the_same_money_on_many_sites(seed: int) -> None:
    agree((random_site, fuller_site)[seed % 2](seed), seed)


@pytest.mark.parametrize("seed", range(20))
def test_the_parts_of_the_money_add_up_and_the_dual_proves_the_optimum(seed: int) -> None:
    """Weak duality: the bound from the rows' duals meets the objective. Every column and row is at a bound where its dual says so."""
    made = dispatch(fuller_site(seed))
    solved = solve(made)
    found: Plan = plan(made.problem)
    assert found.money.total == pytest.approx(solved.money, rel=1e-7, abs=1e-6)
    lp = made.model.arrays()
    cost, lower, upper = (np.array(each) for each in (lp.col_cost_, lp.col_lower_, lp.col_upper_))
    starts, index, value = (np.array(each) for each in (lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_))
    row_of = np.repeat(np.arange(lp.num_row_), np.diff(starts))
    reduced = cost - np.bincount(index, solved.row_dual[row_of] * value, minlength=lp.num_col_)
    reduced[np.abs(reduced) < 1e-7] = 0
    dual = np.where(np.abs(solved.row_dual) < 1e-7, 0, solved.row_dual)
    low, high = np.array(lp.row_lower_), np.array(lp.row_upper_)
    bound = sum(d * (low[r] if d > 0 else high[r]) for r, d in enumerate(dual) if d)
    bound += sum(d * (lower[c] if d > 0 else upper[c]) for c, d in enumerate(reduced) if d)
    assert bound + made.constant == pytest.approx(solved.money, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_wider_limits_never_cost_more_and_another_needy_vehicle_never_costs_less(seed: int) -> None:
    problem = random_site(seed)
    money = solve(dispatch(problem)).money
    wider = replace(problem, import_limit_kw=problem.import_limit_kw * 1.2, branches=[replace(one, limit=one.limit * 1.3) for one in problem.branches])  # fmt: skip
    assert solve(dispatch(wider)).money <= money + 1e-6
    needy = replace(problem.sessions[0], name="another", discharge_kw=0.0, start_kwh=0.0)
    assert solve(dispatch(replace(problem, sessions=[*problem.sessions, needy]))).money >= money - 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_all_prices_twice_as_high_cost_twice_as_much(seed: int) -> None:
    problem = fuller_site(seed)
    assert problem.carbon is not None
    assert problem.curtailment_price is not None

    def twice(one: Any, *names: str) -> Any:
        return replace(one, **{name: getattr(one, name) * 2 for name in names})

    doubled = replace(
        twice(problem, "import_price", "export_price", "ramp_price_per_kw", "emergency_price_per_kwh"),
        storage=[
            replace(
                twice(one, "wear_per_kwh", "end_value_per_kwh", "shortfall_price_per_kwh", "use_price"),
                goals=tuple(twice(goal, "price_per_kwh") for goal in one.goals),
            )
            for one in problem.storage
        ],
        curtailment_price=problem.curtailment_price * 2,
        sessions=[
            twice(one, "wear_per_kwh", "shortfall_price_per_kwh", "ahead_price_per_kwh") for one in problem.sessions
        ],
        shiftable=[twice(one, "shortfall_price_per_kwh") for one in problem.shiftable],
        demand=[twice(one, "price_per_kw") for one in problem.demand],
        responses=[twice(one, "pay_per_kwh", "shortfall_price_per_kwh") for one in problem.responses],
        contracts=[twice(one, "price_per_kwh") for one in problem.contracts],
        carbon=twice(problem.carbon, "price_per_kg"),
    )
    assert solve(dispatch(doubled)).money == pytest.approx(2 * solve(dispatch(problem)).money, rel=1e-7, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_replayed_step_by_step_stays_inside_every_limit(seed: int) -> None:
    problem = random_site(seed)
    found = plan(problem)
    lacking = {(one.kind, one.name, one.step) for one in found.broken}
    net = found.import_kw - found.export_kw
    assert ((found.import_kw >= -1e-6) & (found.import_kw <= problem.import_limit_kw + 1e-6)).all()
    for one in (*problem.storage, *problem.sessions):
        asset, energy = found.assets[one.name], one.start_kwh
        for t in range(getattr(one, "arrival", 0), getattr(one, "departure", problem.steps)):
            dt = problem.step_h[t]
            energy = (
                energy * (1 - getattr(one, "loss_per_h_ratio", 0.0) * dt)
                + (asset.charge_kw[t] * one.charge_ratio - asset.discharge_kw[t] / one.discharge_ratio) * dt
            )
            assert energy == pytest.approx(asset.energy_kwh[t], abs=1e-6)
            assert -1e-6 <= energy <= max(one.capacity_kwh, one.start_kwh) + 1e-6
    for branch in problem.branches:
        assert branch.background is not None
        flow = branch.background + sum(member * (found.assets[name].charge_kw - found.assets[name].discharge_kw) for name, member in branch.members.items())  # fmt: skip
        kept = [t for t in range(problem.steps) if ("branch", branch.name, t) not in lacking]
        assert (np.abs(flow[kept]) <= branch.limit + 1e-6).all()
    for contract in problem.contracts:
        kept = [t for t in range(problem.steps) if not {("contract", contract.name, t), ("connection", "import", t), ("connection", "export", t)} & lacking]  # fmt: skip
        assert (net[kept] <= contract.limit_kw[kept] + 1e-5).all()
