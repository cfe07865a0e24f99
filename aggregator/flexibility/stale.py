"""The plan of some steps ago held against the problem of now, for when no new one comes in time. It plans nothing: it only says what the old one comes to.

Its powers are cut to what physics allows now: a vehicle that left does nothing, a battery that holds less than planned gives less. What the grid then
carries, and which promises break, follows from the powers; the status is `stale`, and the gap is what the best plan could save at most.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np

from aggregator.flexibility.certificate import proven
from aggregator.flexibility.dispatch import Dispatch, Flow, dispatch
from aggregator.flexibility.plan import Plan, plan, told
from aggregator.flexibility.problem import Problem, Series, Session, Shiftable, Storage
from aggregator.flexibility.solve import Unsolved, solve
from aggregator.flexibility.sparse_model import Index

Powers: TypeAlias = Mapping[str, tuple[Series, Series]]  # name -> charge and discharge, kW of each step
CHECK_S: Final = 5.0  # for the grid's flows alone, which takes milliseconds


def plan_or_shifted(problem: Problem, previous: Plan | None, steps: int, budget_s: float = 5.0) -> Plan:
    """The best plan within the time, else `previous`, made `steps` steps ago. Raises ProblemFault; Unsolved without a previous one."""
    try:
        return plan(problem, budget_s)
    except Unsolved:
        if previous is None:
            raise
        return shifted(previous, problem, steps)


def shifted(previous: Plan, problem: Problem, steps: int) -> Plan:
    """A plan made `steps` steps ago, of the same step lengths, from now on; behind its end nothing is charged or discharged. Raises ProblemFault."""
    moved = {
        name: (_moved(one.charge_kw, steps, problem), _moved(one.discharge_kw, steps, problem))
        for name, one in previous.assets.items()
    }
    loads = {name: _moved(power, steps, problem) for name, power in previous.shifted_kw.items()}
    return followed(problem, moved, loads)


def followed(problem: Problem, powers: Powers, loads: Mapping[str, Series]) -> Plan:
    """What these powers come to, as far as physics allows them. An asset that has none does nothing. Raises ProblemFault."""
    made = dispatch(problem)
    fixed: dict[str, tuple[Series, Series]] = {}
    load = {one.name: _load(one, problem, loads.get(one.name)) for one in problem.shiftable}
    net_kw = problem.load_kw - problem.pv_kw + sum(load.values(), np.zeros(problem.steps))
    owners: dict[str, Storage | Session] = {one.name: one for one in problem.storage}
    owners |= {one.name: one for one in problem.sessions}
    flows = [flow for flow in made.flows if flow.name not in made.shifted]
    for flow in sorted(flows, key=lambda flow: not (owners[flow.name].from_grid and owners[flow.name].to_grid)):
        nothing = np.zeros(problem.steps)
        charge, discharge = powers.get(flow.name, (nothing, nothing))
        fixed[flow.name] = _possible(flow, owners[flow.name], problem, charge, discharge, net_kw)
        net_kw = net_kw + fixed[flow.name][0] - fixed[flow.name][1]
    columns = (
        [flow.charge for flow in flows]
        + [flow.discharge for flow in flows]
        + [power for _, power in made.shifted.values()]
    )
    values = [fixed[flow.name][side][flow.steps] for side in (0, 1) for flow in flows] + [
        load[name][steps] for name, (steps, _) in made.shifted.items()
    ]
    return _told(
        made,
        np.concatenate(columns) if columns else np.zeros(0, dtype=np.int64),
        np.concatenate(values) if values else np.zeros(0),
    )


def _told(made: Dispatch, columns: Index, values: Series) -> Plan:
    solved = solve(made, CHECK_S, fixed=(columns, values))
    best = proven(made, solved.row_dual)
    return told(made, replace(solved, status="stale", gap=max(solved.money - best, 0.0)))


def _moved(series: Series, steps: int, problem: Problem) -> Series:
    left = series[steps : steps + problem.steps]
    return np.concatenate([left, np.zeros(problem.steps - len(left))])


def _load(one: Shiftable, problem: Problem, power: Series | None) -> Series:
    """Within its window, its power and the energy that it still takes."""
    allowed = np.zeros(problem.steps)
    if power is not None:
        allowed[one.first : one.last] = np.clip(power[one.first : one.last], 0.0, one.power_kw)
    allowed[allowed < one.least_kw - 1e-9] = 0.0
    more_kwh = one.least_kw * float(problem.step_h[one.first : one.last].max())
    taken = np.minimum(np.cumsum(allowed * problem.step_h), one.energy_kwh + more_kwh)
    return np.diff(taken, prepend=0.0) / problem.step_h


def _possible(
    flow: Flow, one: Storage | Session, problem: Problem, charge: Series, discharge: Series, net_kw: Series
) -> tuple[Series, Series]:
    """Charge and discharge as far as the asset's own energy and power allow them, step by step."""
    in_kw, out_kw = np.zeros(problem.steps), np.zeros(problem.steps)
    floors, most_kwh, loss, taper = _room(flow, one, problem)
    drain_kw = getattr(one, "drain_kw", None)
    held = one.start_kwh
    for at, step in enumerate(flow.steps.tolist()):
        dt = float(problem.step_h[step])
        kept = held * (1 - loss * dt)
        drained = 0.0 if drain_kw is None else float(drain_kw[step]) * dt
        most = min(float(charge[step]), one.charge_kw, max(most_kwh - kept + drained, 0.0) / (one.charge_ratio * dt))
        for slope, kw in taper:
            most = min(most, kw + slope * held)
        if not one.from_grid:
            most = min(most, max(-float(net_kw[step]), 0.0))
        into = max(most, 0.0)
        if into < one.least_kw - 1e-9:
            into = 0.0
        out = 0.0
        if into <= 0:
            out = min(
                float(discharge[step]), one.discharge_kw, max(kept - float(floors[at]), 0.0) * one.discharge_ratio / dt
            )
            if not one.to_grid:
                out = min(out, max(float(net_kw[step]), 0.0))
            out = max(out, 0.0)
        held = kept + (into * one.charge_ratio - out / one.discharge_ratio) * dt
        held = max(held - drained, min(held, float(floors[at])))
        in_kw[step], out_kw[step] = into, out
    return in_kw, out_kw


def _room(
    flow: Flow, one: Storage | Session, problem: Problem
) -> tuple[Series, float, float, list[tuple[float, float]]]:
    """Least energy per step, most energy, standing loss, and lines (slope, kW) of a taper."""
    if isinstance(one, Session):
        return np.full(len(flow.steps), min(one.reserve_kwh, one.start_kwh)), one.capacity_kwh, 0.0, []
    left = one.start_kwh * np.cumprod(1 - one.loss_per_h_ratio * problem.step_h)
    taper = []
    for (from_kwh, from_kw), (to_kwh, to_kw) in zip(one.taper, one.taper[1:], strict=False):
        slope = (to_kw - from_kw) / (to_kwh - from_kwh)
        taper.append((slope, from_kw - slope * from_kwh))
    return np.minimum(one.least_kwh, left), max(one.capacity_kwh, one.start_kwh), one.loss_per_h_ratio, taper
