"""Chargers' least power without branching: as many as a step's power feeds go up to it, the others to 0, and the rest is solved again.

Costs some hundredths of a percent against the proved optimum and takes a hundredth of its time. The proof, for few chargers, is in `solve`.
"""

from typing import Final

import highspy
import numpy as np

from aggregator.flexibility.dispatch import Dispatch, Flow
from aggregator.flexibility.solver import Deadline, bound, run
from aggregator.flexibility.sparse_model import Index, Values

TOLERANCE: Final = 1e-6  # kW
DIVES: Final = 6


def dive(solver: highspy.Highs, made: Dispatch, deadline: Deadline) -> None:
    """Leaves the solver at a plan in which no charger is between 0 and its least power. Raises Unsolved."""
    flows = [flow for flow in made.flows if flow.least_kw > 0]
    if not flows:
        return
    most = made.model.upper
    opposite, step_of = np.zeros((2, made.model.columns), dtype=np.int64)
    for flow in flows:
        opposite[flow.charge], step_of[flow.charge] = flow.discharge, flow.steps
    values = np.array(solver.getSolution().col_value)
    beyond, raised = _beyond(made, values), np.zeros(0, dtype=np.int64)
    for _ in range(DIVES):
        up, least_kw, down = _ends(made, flows, values)
        if not len(up) and not len(down):
            return
        nothing = np.zeros(len(up))
        bound(solver, up, least_kw, np.maximum(least_kw, most[up]))
        bound(solver, opposite[up], nothing, nothing)  # what it is made to take it does not give back at once
        bound(solver, down, np.zeros(len(down)), np.zeros(len(down)))
        run(solver, deadline.left_s())
        values, raised = np.array(solver.getSolution().col_value), np.concatenate([raised, up])
        over = raised[(_beyond(made, values) > beyond + TOLERANCE)[step_of[raised]]]
        if len(over):  # no limit is broken for a least power: then it is off
            bound(solver, over, np.zeros(len(over)), np.zeros(len(over)))
            run(solver, deadline.left_s())
            values, raised = np.array(solver.getSolution().col_value), np.setdiff1d(raised, over)
    values = np.array(solver.getSolution().col_value)
    between = np.concatenate([flow.charge[is_between(flow, values)] for flow in flows])
    bound(solver, between, np.zeros(len(between)), np.zeros(len(between)))  # the last word is the charger's
    run(solver, deadline.left_s())


def _beyond(made: Dispatch, values: Values) -> Values:
    """How much is beyond the connection or a branch, by step."""
    found = np.zeros(made.problem.steps)
    for promise in made.promises:
        if promise.kind in ("connection", "branch"):
            np.add.at(found, promise.steps, values[promise.slack])
    return found


def is_between(flow: Flow, values: Values) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """At which of its steps a charger is neither off nor at its least power."""
    power = values[flow.charge]
    excused = 0.0 if flow.full is None else values[flow.full] * flow.least_kw
    return (power > TOLERANCE) & (power < flow.least_kw - excused - TOLERANCE)


def _ends(made: Dispatch, flows: list[Flow], values: Values) -> tuple[Index, Values, Index]:
    """Columns that go up, to which power, and columns that go to 0. Within a step the largest go up, while the step's own power lasts; one more where
    the connection has room."""
    at_step: dict[int, list[tuple[float, int, float, str]]] = {}
    takes_kwh: dict[
        str, float
    ] = {}  # what a charger's vehicle may still take in these steps: going up must not overfill it
    ratios = {one.name: one.charge_ratio for one in made.problem.storage}
    ratios |= {one.name: one.charge_ratio for one in made.problem.sessions}
    step_h = made.problem.step_h
    for flow in flows:
        chosen = np.flatnonzero(is_between(flow, values))
        spare_kwh = float((made.model.upper[flow.energy] - values[flow.energy]).min())
        held_kwh = float((values[flow.charge[chosen]] * step_h[flow.steps[chosen]]).sum()) * ratios[flow.name]
        takes_kwh[flow.name] = spare_kwh + held_kwh
        for step, column in zip(flow.steps[chosen].tolist(), flow.charge[chosen].tolist(), strict=True):
            at_step.setdefault(step, []).append((float(values[column]), column, flow.least_kw, flow.name))
    up: list[int] = []
    to_kw: list[float] = []
    down: list[int] = []
    for step, candidates in at_step.items():
        left_kw = sum(power for power, _, _, _ in candidates)
        room_kw = made.problem.import_limit_kw - float(values[made.imported[step]])
        for _, column, least_kw, name in sorted(candidates, reverse=True):
            fed = left_kw >= least_kw - TOLERANCE
            kwh = least_kw * float(step_h[step]) * ratios[name]
            fits = takes_kwh[name] >= kwh - TOLERANCE
            if fits and (fed or (left_kw * 2 >= least_kw and room_kw >= least_kw - left_kw)):
                takes_kwh[name] -= kwh
                room_kw -= max(least_kw - left_kw, 0.0)
                left_kw = max(left_kw - least_kw, 0.0)
                up.append(column)
                to_kw.append(least_kw)
            else:
                down.append(column)
    return np.array(up, dtype=np.int64), np.array(to_kw), np.array(down, dtype=np.int64)
