"""Solves a dispatch model: the LP, binaries only where it overlaps, the chargers' least power, and a second solve that breaks ties. Not the model itself.

Charging and discharging at once, or importing and exporting, can pay where prices are below zero. The LP is solved first; only the steps in which it
does so get a binary, until none is left: the optimum of the full integer model, with few binaries or none. Without overlap the LP's optimum is the
integer model's too, which `Solved.certain` says.
"""

import math
import time
from dataclasses import dataclass
from typing import Final, Literal

import highspy
import numpy as np
import numpy.typing as npt

from aggregator.flexibility.dispatch import Dispatch, Flow
from aggregator.flexibility.problem import Currency
from aggregator.flexibility.sparse_model import Index, SparseModel, Values

TOLERANCE: Final = 1e-6  # kW
FREE: Final = 1e-9  # money per unit: a smaller dual is none
MONEY_GAP: Final = 0.01
ROUNDS: Final = 8
DIVES: Final = 6

Status = Literal["optimal", "feasible"]


class Unsolved(Exception):
    """No plan within the time, or none at all (which the slacks rule out, but for a fault of the model); the message has the solver's word."""


@dataclass(frozen=True, slots=True)
class Solved:
    """`money`: the objective with its constant, before ties were broken. `gap`: money between it and the best bound; 0 where optimal.

    `certain`: no step needed a binary. `row_dual`: money per unit of each row, of the LP with the binaries fixed.
    """

    status: Status
    values: Values
    money: Currency
    gap: Currency
    row_dual: Values
    binaries: int
    rounds: int
    certain: bool
    took_s: float


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two columns of which one is zero, with their greatest values."""

    one: int
    other: int


def solve(made: Dispatch, budget_s: float = 5.0, *, break_ties: bool = True) -> Solved:
    """The plan of least money within the time. Raises Unsolved."""
    begun_s = time.perf_counter()

    def left_s() -> float:
        left = budget_s - (time.perf_counter() - begun_s)
        if left <= 0:
            raise Unsolved(f"expected a plan within {budget_s:g} s, the solver was not done")
        return left

    pairs = _pairs(made)
    chosen: set[int] = set(_direction_pays(made))
    rounds = 0
    while True:
        rounds += 1
        solver, binaries = _passed(made.model, [pairs[number] for number in sorted(chosen)], left_s())
        _run(solver)
        values = np.array(solver.getSolution().col_value)
        overlapping = {
            number
            for number, pair in enumerate(pairs)
            if min(values[pair.one], values[pair.other]) > TOLERANCE and number not in chosen
        }
        if not overlapping or rounds == ROUNDS:
            break
        chosen |= overlapping
    info = solver.getInfo()
    timed_out = solver.getModelStatus() == highspy.HighsModelStatus.kTimeLimit or bool(overlapping)
    gap = abs(info.objective_function_value - info.mip_dual_bound) if len(binaries) else 0.0
    if len(binaries):
        _fixed(solver, binaries, values)
        _run(solver)
    _dive(solver, made, left_s())
    money = solver.getInfo().objective_function_value
    row_dual = np.array(solver.getSolution().row_dual)
    values = np.array(solver.getSolution().col_value)
    if break_ties and made.flows:
        values = _sooner(solver, made, values)
    return Solved(
        "feasible" if timed_out or gap > MONEY_GAP else "optimal", values[: made.model.columns], money + made.constant, gap,
        row_dual[: made.model.rows], len(binaries), rounds, not len(binaries), time.perf_counter() - begun_s,
    )  # fmt: skip


def _pairs(made: Dispatch) -> list[_Pair]:
    found = [_Pair(int(one), int(other)) for one, other in zip(made.imported, made.exported, strict=True)]
    for flow in made.flows:
        found += [_Pair(int(one), int(other)) for one, other in zip(flow.charge, flow.discharge, strict=True)]
    return found


def _direction_pays(made: Dispatch) -> list[int]:
    """Steps at which exporting what is imported would earn money: their direction is decided from the start."""
    problem = made.problem
    carbon = 0.0 if problem.carbon is None else problem.carbon.kg_per_kwh * problem.carbon.price_per_kg
    credit = 0.0 if problem.carbon is None else problem.carbon.export_credit_ratio
    pays = problem.export_price + credit * carbon > problem.import_price + carbon
    both = (problem.import_limit_kw > 0) and (problem.export_limit_kw > 0)
    return np.flatnonzero(pays).tolist() if both else []


def _passed(model: SparseModel, pairs: list[_Pair], limit_s: float) -> tuple[highspy.Highs, Index]:
    """A solver with the model, and a binary for each pair: one <= M z, other <= M (1 - z)."""
    lp = model.arrays()
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in (
        ("output_flag", False), ("threads", 1), ("time_limit", limit_s), ("mip_rel_gap", 0.0), ("mip_abs_gap", MONEY_GAP),
        ("random_seed", 1),
    ):  # fmt: skip
        solver.setOptionValue(name, value)
    if solver.passModel(lp) == highspy.HighsStatus.kError:
        raise Unsolved("expected a model that the solver takes, it was refused")
    upper = np.asarray(lp.col_upper_)
    first = model.columns
    for number, pair in enumerate(pairs):
        column = first + number
        solver.addVar(0.0, 1.0)
        solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)
        for which, bound, low, high in (
            (pair.one, upper[pair.one], -math.inf, 0.0),
            (pair.other, upper[pair.other], -math.inf, upper[pair.other]),
        ):
            share = -bound if which == pair.one else bound
            solver.addRow(low, high, 2, np.array([which, column], dtype=np.int32), np.array([1.0, share]))
    return solver, np.arange(first, first + len(pairs))


def _run(solver: highspy.Highs) -> None:
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return
    if status == highspy.HighsModelStatus.kTimeLimit and solver.getInfo().primal_solution_status == 2:
        return  # a plan, if not proved the best
    raise Unsolved(f"expected a plan, the solver says {solver.modelStatusToString(status)}")


def _fixed(solver: highspy.Highs, binaries: Index, values: Values) -> None:
    for column in binaries.tolist():
        at = round(values[column])
        solver.changeColIntegrality(column, highspy.HighsVarType.kContinuous)
        solver.changeColBounds(column, at, at)


def _dive(solver: highspy.Highs, made: Dispatch, limit_s: float) -> None:
    """No charger between 0 and its least power: as many as the step's power feeds go up to it, the others to 0, and the rest is solved again."""
    flows = [flow for flow in made.flows if flow.least_kw > 0]
    solver.setOptionValue("time_limit", solver.getRunTime() + limit_s)
    for _ in range(DIVES if flows else 0):
        values = np.array(solver.getSolution().col_value)
        up, down = _ends(made, flows, values)
        if not up and not down:
            return
        for column, least_kw in up:
            solver.changeColBounds(column, least_kw, max(least_kw, _upper(solver, column)))
        for column in down:
            solver.changeColBounds(column, 0.0, 0.0)
        _run(solver)
    values = np.array(solver.getSolution().col_value)
    for flow in flows:  # what is still between is switched off: the last word is the charger's
        for column in flow.charge[_between(flow, values)].tolist():
            solver.changeColBounds(column, 0.0, 0.0)
    if flows:
        _run(solver)


def _between(flow: Flow, values: Values) -> npt.NDArray[np.bool_]:
    power = values[flow.charge]
    return (power > TOLERANCE) & (power < flow.least_kw - TOLERANCE)


def _ends(made: Dispatch, flows: list[Flow], values: Values) -> tuple[list[tuple[int, float]], list[int]]:
    """Columns that go up to their least power, and columns that go to 0. Within a step the largest go up, while the step's own power lasts; one more
    where the connection has room."""
    at_step: dict[int, list[tuple[float, int, float]]] = {}
    for flow in flows:
        chosen = np.flatnonzero(_between(flow, values))
        for step, column in zip(flow.steps[chosen].tolist(), flow.charge[chosen].tolist(), strict=True):
            at_step.setdefault(step, []).append((float(values[column]), column, flow.least_kw))
    up: list[tuple[int, float]] = []
    down: list[int] = []
    for step, candidates in at_step.items():
        left_kw = sum(power for power, _, _ in candidates)
        room_kw = made.problem.import_limit_kw - float(values[made.imported[step]])
        for _, column, least_kw in sorted(candidates, reverse=True):
            fed = left_kw >= least_kw - TOLERANCE
            if fed or (left_kw * 2 >= least_kw and room_kw >= least_kw - left_kw):
                room_kw -= max(least_kw - left_kw, 0.0)
                left_kw = max(left_kw - least_kw, 0.0)
                up.append((column, least_kw))
            else:
                down.append(column)
    return up, down


def _upper(solver: highspy.Highs, column: int) -> float:
    return float(solver.getLp().col_upper_[column])


def _sooner(solver: highspy.Highs, made: Dispatch, values: Values) -> Values:
    """Among the plans of least money the one that charges sooner. Falls back to the plan at hand.

    Whatever has a dual stays where it is: what is left are the plans of the same money, to the last digit.
    """
    solution = solver.getSolution()
    column_dual, row_dual = np.array(solution.col_dual), np.array(solution.row_dual)
    row_value = np.array(solution.row_value)
    held = np.flatnonzero(np.abs(column_dual) > FREE)
    solver.changeColsBounds(len(held), held.astype(np.int32), values[held], values[held])
    for row in np.flatnonzero(np.abs(row_dual) > FREE).tolist():
        solver.changeRowBounds(row, row_value[row], row_value[row])
    for flow in made.flows:
        if flow.least_kw:
            for column in flow.charge.tolist():
                on = values[column] > TOLERANCE
                solver.changeColBounds(column, flow.least_kw if on else 0.0, _upper(solver, column) if on else 0.0)
    later = np.zeros(len(column_dual))
    for flow in made.flows:
        later[flow.charge] = (1 + flow.steps) * made.problem.step_h[flow.steps]
        later[flow.discharge] = made.problem.step_h[flow.steps]
    for steps, power in made.shifted.values():
        later[power] = (1 + steps) * made.problem.step_h[steps]
    solver.changeColsCost(len(later), np.arange(len(later), dtype=np.int32), later)
    try:
        _run(solver)
    except Unsolved:
        return values
    return np.array(solver.getSolution().col_value)
