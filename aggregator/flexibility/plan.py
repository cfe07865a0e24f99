"""A plan: what each asset does when, what it costs in money and kg, and which promises it could not keep. Not how it was found (see `solve`)."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from aggregator.flexibility.dispatch import Dispatch, dispatch
from aggregator.flexibility.problem import Currency, Problem, Series
from aggregator.flexibility.solve import Solved, Status, solve
from aggregator.flexibility.sparse_model import Index

SMALL: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Asset:
    """Of one storage or vehicle, per step of the horizon (0 where a vehicle is not there): kW at the AC side, kWh at the end of the step."""

    charge_kw: Series
    discharge_kw: Series
    energy_kwh: Series


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that the plan does not keep: how much it lacks at which step, and what that costs."""

    kind: str
    name: str
    step: int
    amount: float
    unit: str
    cost: Currency


@dataclass(frozen=True, slots=True)
class Binding:
    """A limit that binds at a step, and what one more unit of it would save."""

    limit: str
    step: int
    money_per_unit: Currency


@dataclass(frozen=True, slots=True)
class Money:
    """Where the money goes; the sum is the plan's. Pay and end value are negative where they are earned. `caution`: the weight of vehicles that are behind
    what they would hold if all came out badly, which nobody pays."""

    energy: Currency
    demand: Currency
    carbon: Currency
    wear: Currency
    responses: Currency
    end_value: Currency
    promises: Currency
    ramps: Currency
    curtailment: Currency
    use: Currency
    caution: Currency

    @property
    def total(self) -> Currency:
        parts: list[Currency] = [getattr(self, part.name) for part in fields(self)]
        return sum(parts)

    @property
    def paid(self) -> Currency:
        """Without the weight of caution."""
        return self.total - self.caution


@dataclass(frozen=True, slots=True)
class Plan:
    """`objective`: the least money that the solver proved or found, before ties were broken.

    `marginal_price`: money per kWh that one more kWh of load would cost in each step. `kg`: of import, at the problem's intensity; None without one.
    `duals`: money per unit of each row of the model, which prove the objective (see `certificate`).
    """

    status: Status
    objective: Currency
    gap: Currency
    money: Money
    kg: float | None
    import_kw: Series
    export_kw: Series
    curtailed_kw: Series
    assets: Mapping[str, Asset]
    shifted_kw: Mapping[str, Series]
    responses_kw: Mapping[str, Series]
    broken: tuple[Broken, ...]
    binding: tuple[Binding, ...]
    marginal_price: Series
    certain: bool
    binaries: int
    solve_s: float
    duals: Series


def plan(problem: Problem, budget_s: float = 5.0) -> Plan:
    """The best plan within the time. Raises ProblemFault, Unsolved."""
    made = dispatch(problem)
    return told(made, solve(made, budget_s))


def told(made: Dispatch, solved: Solved) -> Plan:
    """What a solution means."""
    problem, values = made.problem, solved.values
    imported, exported = values[made.imported], values[made.exported]
    assets = {}
    for flow in made.flows:
        if flow.name in made.shifted:
            continue
        series = [np.zeros(problem.steps) for _ in range(3)]
        for kept, columns in zip(series, (flow.charge, flow.discharge, flow.energy), strict=True):
            kept[flow.steps] = values[columns]
        assets[flow.name] = Asset(*series)
    broken = tuple(
        Broken(promise.kind, promise.name, int(step), float(lack), promise.unit, float(lack) * _unit_cost(float(price), promise.unit, problem, int(step)))
        for promise in made.promises
        for step, lack, price in zip(promise.steps, values[promise.slack], np.broadcast_to(promise.price, len(promise.steps)), strict=True)
        if lack > 1e-5
    )  # fmt: skip
    money = _money(made, values, broken)
    kg = None if problem.carbon is None else float((imported * problem.carbon.kg_per_kwh * problem.step_h).sum())
    return Plan(
        solved.status, solved.money, solved.gap, money, kg, imported, exported, values[made.curtailed], assets,
        {name: _spread(problem, steps, values[power]) for name, (steps, power) in made.shifted.items()},
        {name: _spread(problem, steps, values[delivered]) for name, (steps, delivered) in made.responses.items()},
        broken, _binding(made, solved), solved.row_dual[made.balance] / problem.step_h, solved.certain, solved.binaries, solved.took_s, solved.row_dual,
    )  # fmt: skip


def _unit_cost(price: Currency, unit: str, problem: Problem, step: int) -> Currency:
    """kWh cost their price; kW and parts of a limit cost it per hour."""
    return price if unit == "kWh" else price * float(problem.step_h[step])


def _spread(problem: Problem, steps: Index, power: Series) -> Series:
    series = np.zeros(problem.steps)
    series[steps] = power
    return series


def _money(made: Dispatch, values: Series, broken: tuple[Broken, ...]) -> Money:
    problem, step_h = made.problem, made.problem.step_h
    imported, exported = values[made.imported], values[made.exported]
    carbon = 0.0
    if problem.carbon is not None:
        net = imported - problem.carbon.export_credit_ratio * exported
        carbon = float((net * problem.carbon.kg_per_kwh * step_h).sum()) * problem.carbon.price_per_kg
    wears = {one.name: one.wear_per_kwh for one in problem.storage} | {
        one.name: one.wear_per_kwh for one in problem.sessions
    }
    ends = {one.name: one.end_value_per_kwh for one in problem.storage}
    pays = {event.name: event.pay_per_kwh for event in problem.responses}
    demand = sum(
        charge.price_per_kw * (max(float(values[made.peaks[charge.name]][0]), charge.so_far_kw) - charge.so_far_kw)
        for charge in problem.demand
    )
    ramps = 0.0
    if problem.ramp_price_per_kw:
        ramps = problem.ramp_price_per_kw * sum(
            float(np.abs(np.diff(values[flow.charge] - values[flow.discharge])).sum()) for flow in made.flows
        )
    use = 0.0
    flows = {flow.name: flow for flow in made.flows}
    for storage in problem.storage:
        if storage.use_price is not None:
            flow = flows[storage.name]
            use += float(((values[flow.charge] + values[flow.discharge]) * storage.use_price * step_h).sum())
    lost = np.zeros(problem.steps) if problem.curtailment_price is None else problem.curtailment_price
    return Money(
        energy=float(((imported * problem.import_price - exported * problem.export_price) * step_h).sum()),
        demand=demand,
        carbon=carbon,
        wear=sum(
            float((values[flow.discharge] * step_h[flow.steps]).sum()) * wears.get(flow.name, 0.0)
            for flow in made.flows
        ),
        responses=-sum(
            float((values[delivered] * step_h[steps]).sum()) * pays[name]
            for name, (steps, delivered) in made.responses.items()
        ),
        end_value=-sum(float(values[flow.energy][-1]) * ends.get(flow.name, 0.0) for flow in made.flows),
        promises=sum(one.cost for one in broken),
        ramps=ramps,
        curtailment=float((values[made.curtailed] * lost * step_h).sum()),
        use=use,
        caution=sum(
            float(values[made.behind[one.name]][0]) * one.ahead_price_per_kwh
            for one in problem.sessions
            if one.name in made.behind
        ),
    )


def _binding(made: Dispatch, solved: Solved) -> tuple[Binding, ...]:
    found: list[Binding] = []
    for name, steps, rows in made.limits:
        dual = solved.row_dual[rows]
        bound = np.flatnonzero(np.abs(dual) > SMALL).tolist()
        found += [Binding(name, int(steps[at]), float(dual[at])) for at in bound]
    return tuple(found)
