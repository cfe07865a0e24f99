"""The dispatch model: the columns and rows that a problem becomes. Not the solving (see `solve`).

An LP. Physics is hard; each promise has a slack with its price, so that a plan always comes back and names what it could not keep.
Branch limits take the norm of a phasor sum: its twelve-sided polygon, drawn inside the circle (facets at cos(pi/12) of the limit).
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from aggregator.flexibility.problem import Branch, Currency, Problem, Session, Shiftable, Storage, Wanted
from aggregator.flexibility.sparse_model import INFINITY, Index, SparseModel, Values

FACETS: Final = 12
LITTLE_KWH: Final = 5.0  # lacking in a vehicle; below it a kWh is not dearer still


@dataclass(frozen=True, slots=True)
class Flow:
    """The columns of one storage, vehicle or load that can wait over its steps: `steps` of the horizon, charge and discharge (AC, kW), energy at the end of each step (kWh).

    `full`: 1 at the steps at whose end it is full, for what is only asked of it until then.
    """

    name: str
    steps: Index
    charge: Index
    discharge: Index
    energy: Index
    least_kw: float = 0.0
    full: Index | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """A soft target: its slack columns with the price of one unit of each, and what the unit is."""

    kind: str  # departure, end, goal, wanted, reserve, comfort, shift, response, contract, held, connection, branch
    name: str
    steps: Index
    slack: Index
    price: Currency | Values  # of each, where they differ
    unit: str  # kWh, kW, A or kVA


@dataclass(slots=True)
class Dispatch:
    """A problem's model, and where to find what in its solution. `constant`: money that is spent whatever is planned.

    `pairs`: columns of which one must be 0 where the other is not; import and export are the first.
    """

    problem: Problem
    model: SparseModel
    imported: Index
    exported: Index
    curtailed: Index
    balance: Index
    flows: list[Flow] = field(default_factory=list)
    shifted: dict[str, tuple[Index, Index]] = field(default_factory=dict)  # name -> steps, power
    peaks: dict[str, Index] = field(default_factory=dict)
    responses: dict[str, tuple[Index, Index]] = field(default_factory=dict)  # name -> steps, delivered kW
    behind: dict[str, Index] = field(default_factory=dict)  # name -> the most that it is behind, kWh
    promises: list[Promise] = field(default_factory=list)
    limits: list[tuple[str, Index, Index]] = field(default_factory=list)  # name, steps, rows: what may bind
    pairs: list[tuple[Index, Index]] = field(default_factory=list)
    constant: Currency = 0.0


def dispatch(problem: Problem) -> Dispatch:
    """The model of a problem. Raises ProblemFault."""
    problem.checked()
    model, steps = SparseModel(), problem.steps
    at = np.arange(steps)
    carbon = np.zeros(steps) if problem.carbon is None else problem.carbon.kg_per_kwh * problem.carbon.price_per_kg
    credit = 0.0 if problem.carbon is None else problem.carbon.export_credit_ratio
    imported = model.block(steps, 0.0, problem.import_limit_kw, problem.step_h * (problem.import_price + carbon))
    exported = model.block(
        steps, 0.0, problem.export_limit_kw, -problem.step_h * (problem.export_price + credit * carbon)
    )
    lost = 0.0 if problem.curtailment_price is None else problem.step_h * problem.curtailment_price
    curtailed = model.block(steps, 0.0, problem.pv_kw if problem.curtailable else 0.0, lost)
    beyond = model.block(2 * steps, 0.0, INFINITY, np.tile(problem.step_h * problem.emergency_price_per_kwh, 2))
    residual = problem.load_kw - problem.pv_kw
    balance = model.row_block(steps, residual, residual)
    for columns, sign in (
        (imported, 1.0),
        (exported, -1.0),
        (curtailed, -1.0),
        (beyond[:steps], 1.0),
        (beyond[steps:], -1.0),
    ):
        model.terms(balance, columns, sign)
    model.begin(imported, balance)
    made = Dispatch(problem, model, imported, exported, curtailed, balance)
    made.pairs.append((imported, exported))
    if problem.curtailed_at_limit:
        spare = model.block(steps, 0.0, problem.export_limit_kw)
        filled = model.row_block(steps, problem.export_limit_kw, problem.export_limit_kw)
        model.terms(filled, exported, 1.0)
        model.terms(filled, spare, 1.0)
        model.begin(spare, filled)
        made.pairs.append((curtailed, spare))
    made.promises += [
        Promise("connection", "import", at, beyond[:steps], problem.emergency_price_per_kwh, "kW"),
        Promise("connection", "export", at, beyond[steps:], problem.emergency_price_per_kwh, "kW"),
    ]
    for storage in problem.storage:
        _storage(made, storage)
    for session in problem.sessions:
        _session(made, session)
    for load in problem.shiftable:
        _shiftable(made, load)
    _demand(made)
    _responses(made)
    _contracts(made)
    _held(made)
    for branch in problem.branches:
        _branch(made, branch)
    if problem.ramp_price_per_kw:
        _ramps(made)
    return made


def _storage(made: Dispatch, one: Storage) -> None:
    problem, model, steps = made.problem, made.model, made.problem.steps
    left = np.cumprod(1 - one.loss_per_h_ratio * problem.step_h)
    lower = np.minimum(one.least_kwh, one.start_kwh * left)  # a start below the least is a fact, not a fault
    use = np.zeros(steps) if one.use_price is None else problem.step_h * one.use_price
    worth = np.zeros(steps)
    worth[-1] = -one.end_value_per_kwh
    flow = Flow(
        one.name, np.arange(steps), model.block(steps, 0.0, one.charge_kw, use),
        model.block(steps, 0.0, one.discharge_kw, use + problem.step_h * one.wear_per_kwh),
        model.block(steps, lower, max(one.capacity_kwh, one.start_kwh), worth), one.least_kw,
        None if one.wanted is None else model.block(steps, 0.0, 1.0),
    )  # fmt: skip
    rows = _energies(made, flow, one.start_kwh, one.charge_ratio, one.discharge_ratio, one.loss_per_h_ratio)
    if one.drain_kw is not None:
        _drained(made, one, one.drain_kw, rows)
    _one_way(made, flow, one)
    if one.start_kwh < one.least_kwh:
        slack = model.block(steps, 0.0, INFINITY, problem.step_h * one.shortfall_price_per_kwh)
        rows = model.row_block(steps, one.least_kwh)
        model.terms(rows, flow.energy, 1.0)
        model.terms(rows, slack, 1.0)
        model.begin(slack, rows)
        made.promises.append(Promise("reserve", one.name, flow.steps, slack, one.shortfall_price_per_kwh, "kWh"))
    if one.end_kwh is not None:
        _at_least(made, "end", one.name, flow.energy[-1:], one.end_kwh, one.shortfall_price_per_kwh, steps - 1)
    for goal in one.goals:
        _at_least(
            made, "goal", one.name, flow.energy[goal.step : goal.step + 1], goal.kwh, goal.price_per_kwh, goal.step
        )
    if one.wanted is not None and flow.full is not None:
        _wanted(made, one, one.wanted, flow, flow.full)
    for (from_kwh, from_kw), (to_kwh, to_kw) in zip(one.taper, one.taper[1:], strict=False):
        slope = (to_kw - from_kw) / (to_kwh - from_kwh)
        rows = model.row_block(steps - 1, -INFINITY, from_kw - slope * from_kwh)
        model.terms(rows, flow.charge[1:], 1.0)
        model.terms(rows, flow.energy[:-1], -slope)
        first = model.row_block(1, -INFINITY, from_kw + slope * (one.start_kwh - from_kwh))
        model.terms(first, flow.charge[:1], 1.0)


def _drained(made: Dispatch, one: Storage, drain_kw: Values, rows: Index) -> None:
    """What is drawn from it in each step, less what lacks."""
    problem, model = made.problem, made.model
    price = one.shortfall_price_per_kwh
    drawn = model.block(problem.steps, drain_kw, drain_kw)
    slack = model.block(problem.steps, 0.0, drain_kw, problem.step_h * price)
    model.terms(rows, drawn, problem.step_h)
    model.terms(rows, slack, -problem.step_h)
    made.promises.append(Promise("comfort", one.name, np.arange(problem.steps), slack, price, "kW"))


def _one_way(made: Dispatch, flow: Flow, one: Storage | Session) -> None:
    if not one.from_grid:
        made.pairs.append((flow.charge, made.imported[flow.steps]))
    if not one.to_grid:
        made.pairs.append((flow.discharge, made.exported[flow.steps]))


def _wanted(made: Dispatch, one: Storage, wanted: Wanted, flow: Flow, full: Index) -> None:
    """charge + lack >= wanted (1 - full), and energy >= capacity full."""
    problem, model = made.problem, made.model
    held = model.row_block(problem.steps, 0.0)
    model.terms(held, flow.energy, 1.0)
    model.terms(held, full, -one.capacity_kwh)
    steps = np.flatnonzero(wanted.charge_kw > 0)
    kw = np.minimum(wanted.charge_kw[steps], one.charge_kw)
    slack = model.block(len(steps), 0.0, INFINITY, problem.step_h[steps] * wanted.price[steps])
    rows = model.row_block(len(steps), kw)
    model.terms(rows, flow.charge[steps], 1.0)
    model.terms(rows, full[steps], kw)
    model.terms(rows, slack, 1.0)
    model.begin(slack, rows)
    made.promises.append(Promise("wanted", one.name, steps, slack, wanted.price[steps], "kW"))


def _session(made: Dispatch, one: Session) -> None:
    problem, model = made.problem, made.model
    steps = np.arange(one.arrival, one.departure)
    count = len(steps)
    flow = Flow(
        one.name, steps, model.block(count, 0.0, one.charge_kw),
        model.block(count, 0.0, one.discharge_kw, problem.step_h[steps] * one.wear_per_kwh),
        model.block(count, min(one.reserve_kwh, one.start_kwh), one.capacity_kwh), one.least_kw,
    )  # fmt: skip
    _energies(made, flow, one.start_kwh, one.charge_ratio, one.discharge_ratio, 0.0)
    _one_way(made, flow, one)
    lacks_kwh = max(one.need_kwh - one.start_kwh, LITTLE_KWH)
    if one.ahead_kwh is not None:
        behind = model.block(1, 0.0, INFINITY, one.ahead_price_per_kwh)
        rows = model.row_block(count, np.minimum(one.ahead_kwh[steps], one.capacity_kwh))
        model.terms(rows, flow.energy, 1.0)
        model.terms(rows, np.repeat(behind, count), 1.0)
        made.behind[one.name] = behind
    price = one.shortfall_price_per_kwh * (1 + problem.few_short_ratio * LITTLE_KWH / lacks_kwh)
    _at_least(made, "departure", one.name, flow.energy[-1:], one.need_kwh, price, one.departure - 1)


def _energies(
    made: Dispatch, flow: Flow, start_kwh: float, charge_ratio: float, discharge_ratio: float, loss_per_h_ratio: float
) -> Index:
    """The rows e_t = e_(t-1) (1 - loss dt) + eta_c c dt - d dt / eta_d."""
    model, step_h = made.model, made.problem.step_h[flow.steps]
    kept = 1 - loss_per_h_ratio * step_h
    start = np.zeros(len(step_h))
    start[0] = start_kwh * kept[0]
    rows = model.row_block(len(step_h), start, start)
    model.begin(flow.energy, rows)
    model.terms(rows, flow.energy, 1.0)
    model.terms(rows[1:], flow.energy[:-1], -kept[1:])
    model.terms(rows, flow.charge, -charge_ratio * step_h)
    model.terms(rows, flow.discharge, step_h / discharge_ratio)
    model.terms(made.balance[flow.steps], flow.charge, -1.0)
    model.terms(made.balance[flow.steps], flow.discharge, 1.0)
    made.pairs.append((flow.charge, flow.discharge))
    made.flows.append(flow)
    return rows


def _at_least(
    made: Dispatch, kind: str, name: str, column: Index, least_kwh: float, price: Currency, step: int
) -> None:
    model = made.model
    slack = model.block(1, 0.0, INFINITY, price)
    row = model.row_block(1, least_kwh)
    model.terms(row, column, 1.0)
    model.terms(row, slack, 1.0)
    model.begin(slack, row)
    made.promises.append(Promise(kind, name, np.array([step]), slack, price, "kWh"))


def _shiftable(made: Dispatch, one: Shiftable) -> None:
    """Energy is what it has taken; a step at its least power may take more than is left."""
    model, steps = made.model, np.arange(one.first, one.last)
    count, more_kwh = len(steps), one.least_kw * float(made.problem.step_h[steps].max())
    flow = Flow(
        one.name, steps, model.block(count, 0.0, one.power_kw), model.block(count, 0.0, 0.0),
        model.block(count, 0.0, one.energy_kwh + more_kwh), one.least_kw,
    )  # fmt: skip
    _energies(made, flow, 0.0, 1.0, 1.0, 0.0)
    _at_least(made, "shift", one.name, flow.energy[-1:], one.energy_kwh, one.shortfall_price_per_kwh, one.last - 1)
    made.shifted[one.name] = steps, flow.charge


def _net_import(made: Dispatch, rows: Index, steps: Index) -> None:
    """Terms of import - export, with what is beyond the connection."""
    over, under = (promise.slack for promise in made.promises[:2])
    for columns, sign in ((made.imported, 1.0), (made.exported, -1.0), (over, 1.0), (under, -1.0)):
        made.model.terms(rows, columns[steps], sign)


def _demand(made: Dispatch) -> None:
    model = made.model
    over, under = (promise.slack for promise in made.promises[:2])
    for charge in made.problem.demand:
        peak = model.block(1, charge.so_far_kw, INFINITY, charge.price_per_kw)
        made.constant -= charge.price_per_kw * charge.so_far_kw
        steps = np.flatnonzero(charge.steps)
        rows = model.row_block(len(steps), -INFINITY, 0.0)
        for column in (made.imported, over) if charge.of == "import" else (made.exported, under):
            model.terms(rows, column[steps], 1.0)
        model.terms(rows, peak, -1.0)
        made.peaks[charge.name] = peak
        made.limits.append((f"demand {charge.name}", steps, rows))


def _responses(made: Dispatch) -> None:
    problem, model = made.problem, made.model
    for event in problem.responses:
        steps = np.flatnonzero(event.steps)
        step_h = problem.step_h[steps]
        delivered = model.block(len(steps), -INFINITY, event.target_kw[steps], -event.pay_per_kwh * step_h)
        slack = model.block(len(steps), 0.0, INFINITY, event.shortfall_price_per_kwh * step_h)
        baseline = event.baseline_kw[steps]
        reached = model.row_block(len(steps), baseline if event.up else -INFINITY, INFINITY if event.up else baseline)
        _net_import(made, reached, steps)
        model.terms(reached, delivered, -1.0 if event.up else 1.0)
        target = model.row_block(len(steps), event.target_kw[steps])
        model.terms(target, delivered, 1.0)
        model.terms(target, slack, 1.0)
        made.responses[event.name] = steps, delivered
        made.promises.append(Promise("response", event.name, steps, slack, event.shortfall_price_per_kwh, "kW"))
        made.limits.append((f"response {event.name}", steps, target))


def _contracts(made: Dispatch) -> None:
    problem, model = made.problem, made.model
    steps = np.arange(problem.steps)
    for contract in problem.contracts:
        slack = model.block(problem.steps, 0.0, INFINITY, contract.price_per_kwh * problem.step_h)
        rows = model.row_block(problem.steps, -INFINITY, contract.limit_kw)
        _net_import(made, rows, steps)
        model.terms(rows, slack, -1.0)
        made.promises.append(Promise("contract", contract.name, steps, slack, contract.price_per_kwh, "kW"))
        made.limits.append((f"contract {contract.name}", steps, rows))


def _held(made: Dispatch) -> None:
    """charge - discharge + under - over = kw, with a price on both."""
    problem, model = made.problem, made.model
    flows = {flow.name: flow for flow in made.flows}
    for one in problem.held:
        flow = flows[one.name]
        there = np.flatnonzero((flow.steps >= one.first) & (flow.steps < one.last))
        steps, count = flow.steps[there], len(there)
        price = np.tile(problem.step_h[steps] * one.price_per_kwh, 2)
        slack = model.block(2 * count, 0.0, INFINITY, price)
        rows = model.row_block(count, one.kw, one.kw)
        for columns, sign in ((flow.charge[there], 1.0), (flow.discharge[there], -1.0)):
            model.terms(rows, columns, sign)
        model.terms(rows, slack[:count], 1.0)
        model.terms(rows, slack[count:], -1.0)
        made.promises.append(Promise("held", one.name, np.tile(steps, 2), slack, one.price_per_kwh, "kW"))


def _branch(made: Dispatch, branch: Branch) -> None:
    """limit cos(pi/12) >= Re(e^(-i theta) (background + sum of member x kW)) on twelve facets; one slack per step, for the case that nothing helps."""
    problem, model, steps = made.problem, made.model, made.problem.steps
    background = np.zeros(steps, dtype=np.complex128) if branch.background is None else branch.background
    limit = branch.limit - (np.zeros(steps) if branch.scalar is None else branch.scalar)
    slack = model.block(steps, 0.0, INFINITY, problem.emergency_price_per_kwh * problem.step_h)
    names = {flow.name: flow for flow in made.flows}
    kept: list[Index] = []
    for facet in range(FACETS):
        turn = np.exp(-2j * math.pi * facet / FACETS)
        rows = model.row_block(steps, -INFINITY, limit * math.cos(math.pi / FACETS) - (turn * background).real)
        model.terms(rows, slack, -1.0)
        for name, member in branch.members.items():
            share = (turn * member).real
            if abs(share) < 1e-12:
                continue
            flow = names[name]
            model.terms(rows[flow.steps], flow.charge, share)
            model.terms(rows[flow.steps], flow.discharge, -share)
        kept.append(rows)
    made.promises.append(
        Promise("branch", branch.name, np.arange(steps), slack, problem.emergency_price_per_kwh, "of its limit")
    )
    made.limits.append((f"branch {branch.name}", np.tile(np.arange(steps), FACETS), np.concatenate(kept)))


def _ramps(made: Dispatch) -> None:
    """p_t - p_(t-1) = up - down of each asset's net power, and what is changed has its price."""
    model, price = made.model, made.problem.ramp_price_per_kw
    for flow in made.flows:
        count = len(flow.steps) - 1
        if count < 1:
            continue
        up, down = model.block(count, 0.0, INFINITY, price), model.block(count, 0.0, INFINITY, price)
        rows = model.row_block(count, 0.0, 0.0)
        model.terms(rows, flow.charge[1:], 1.0)
        model.terms(rows, flow.discharge[1:], -1.0)
        model.terms(rows, flow.charge[:-1], -1.0)
        model.terms(rows, flow.discharge[:-1], 1.0)
        model.terms(rows, up, -1.0)
        model.terms(rows, down, 1.0)
