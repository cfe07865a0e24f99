"""Solves a dispatch model: the LP, binaries only where it overlaps, the chargers' least power, and a second solve that breaks ties. Not the model itself.

Charging and discharging at once, or importing and exporting, can pay where prices are below zero. The LP is solved first; only the steps in which it
does so get a binary, until none is left: the optimum of the full integer model, with few binaries or none. Without overlap the LP's optimum is the
integer model's too, which `Solved.certain` says. Chargers' least powers get theirs in the same way where the problem asks for the proof.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import highspy
import numpy as np

from aggregator.flexibility.dispatch import Dispatch
from aggregator.flexibility.dive import dive, is_between
from aggregator.flexibility.problem import Currency
from aggregator.flexibility.solver import Deadline, bound, opened, run
from aggregator.flexibility.solver import Unsolved as Unsolved
from aggregator.flexibility.sparse_model import Index, Values
from aggregator.flexibility.ties import sooner

TOLERANCE: Final = 1e-6  # kW
MONEY_GAP: Final = 0.01
ROUNDS: Final = 12

Status = Literal["optimal", "feasible", "stale"]


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


class _Rules:
    """What an LP does not know: which columns exclude one another, and which are 0 or at least so much. Each has a number."""

    def __init__(self, made: Dispatch, *, least: bool) -> None:
        self._made = made
        self.one = np.concatenate([one for one, _ in made.pairs])
        self.other = np.concatenate([other for _, other in made.pairs])
        self._chargers = [flow for flow in made.flows if flow.least_kw > 0] if least else []
        self.charge = (
            np.concatenate([flow.charge for flow in self._chargers]) if self._chargers else np.zeros(0, dtype=np.int64)
        )
        self.least_kw = np.repeat(
            [flow.least_kw for flow in self._chargers], [len(flow.charge) for flow in self._chargers]
        )
        none = [np.full(len(flow.charge), -1) if flow.full is None else flow.full for flow in self._chargers]
        self.full = np.concatenate(none) if none else self.charge
        self.whole = np.concatenate(
            [flow.full for flow in made.flows if flow.full is not None] or [np.zeros(0, dtype=np.int64)]
        )

    def broken(self, values: Values) -> set[int]:
        overlap = np.minimum(values[self.one], values[self.other]) > TOLERANCE
        between = [is_between(flow, values) for flow in self._chargers]
        return set(np.flatnonzero(np.concatenate([overlap, *between])).tolist())

    def fractions(self, values: Values) -> bool:
        """Whether a column that must be whole is not."""
        return bool((np.abs(values[self.whole] - np.round(values[self.whole])) > TOLERANCE).any())

    def bind(self, solver: highspy.Highs, numbers: set[int]) -> Index:
        """A binary for each: one <= M z and other <= M (1 - z), or least z <= charge <= M z (less where it becomes full)."""
        upper, first = self._made.model.upper, self._made.model.columns
        for column, number in enumerate(sorted(numbers), first):
            solver.addVar(0.0, 1.0)
            solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)
            if number < len(self.one):
                one, other = int(self.one[number]), int(self.other[number])
                _row(solver, -math.inf, 0.0, (one, 1.0), (column, -upper[one]))
                _row(solver, -math.inf, upper[other], (other, 1.0), (column, upper[other]))
            else:
                at = number - len(self.one)
                charge, least_kw, full = int(self.charge[at]), float(self.least_kw[at]), int(self.full[at])
                _row(solver, -math.inf, 0.0, (charge, 1.0), (column, -upper[charge]))
                _row(
                    solver,
                    0.0,
                    math.inf,
                    (charge, 1.0),
                    (column, -least_kw),
                    *([(full, least_kw)] if full >= 0 else []),
                )
        return np.arange(first, first + len(numbers))


def _row(solver: highspy.Highs, low: float, high: float, *terms: tuple[int, float]) -> None:
    columns, values = zip(*terms, strict=True)
    solver.addRow(low, high, len(terms), np.array(columns, dtype=np.int32), np.array(values))


def solve(
    made: Dispatch,
    budget_s: float = 5.0,
    *,
    break_ties: bool = True,
    money_gap: Currency = MONEY_GAP,
    fixed: tuple[Index, Values] | None = None,
) -> Solved:
    """The plan of least money within the time, to within `money_gap` where it has binaries. Raises Unsolved.

    `fixed`: columns that are given, with their values: the chargers' powers of a plan that is only looked at.
    """
    deadline = Deadline(budget_s)
    rules = _Rules(made, least=made.problem.exact_least and fixed is None)
    chosen: set[int] = set(_direction_pays(made))
    whole, rounds = False, 0
    while True:
        rounds += 1
        deadline.left_s()
        solver = opened(made.model, money_gap)
        if fixed is not None:
            bound(solver, fixed[0], fixed[1], fixed[1])
        binaries = rules.bind(solver, chosen)
        if whole:
            for column in rules.whole.tolist():
                solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)
            binaries = np.concatenate([binaries, rules.whole])
        timed_out = run(solver, deadline.left_s())
        values = _netted(made, np.array(solver.getSolution().col_value))
        broken = rules.broken(values) - chosen
        whole, fraction = whole or rules.fractions(values), not whole and rules.fractions(values)
        if not (broken or fraction) or rounds == ROUNDS:
            break
        chosen |= broken
    info = solver.getInfo()
    gap = abs(info.objective_function_value - info.mip_dual_bound) if len(binaries) else 0.0
    if len(binaries):
        _fixed(solver, binaries, values)
        run(solver, deadline.left_s())
    if not made.problem.exact_least and fixed is None:
        dive(solver, made, deadline)
    money = solver.getInfo().objective_function_value
    solution = solver.getSolution()
    values, row_dual = np.array(solution.col_value), np.array(solution.row_dual)
    if break_ties and made.flows and fixed is None:
        values = sooner(solver, made, deadline)
    values = _netted(made, values)
    return Solved(
        "feasible" if timed_out or broken or fraction or gap > money_gap else "optimal", values[: made.model.columns], money + made.constant, gap,
        row_dual[: made.model.rows], len(binaries), rounds, not len(binaries), deadline.took_s,
    )  # fmt: skip


def _direction_pays(made: Dispatch) -> list[int]:
    """Steps at which exporting what is imported would earn money: their direction, the first pairs of the model, is decided from the start."""
    problem = made.problem
    carbon = 0.0 if problem.carbon is None else problem.carbon.kg_per_kwh * problem.carbon.price_per_kg
    credit = 0.0 if problem.carbon is None else problem.carbon.export_credit_ratio
    pays = problem.export_price + credit * carbon > problem.import_price + carbon
    both = (problem.import_limit_kw > 0) and (problem.export_limit_kw > 0)
    return np.flatnonzero(pays).tolist() if both else []


def _netted(made: Dispatch, values: Values) -> Values:
    """Without what is imported and exported at once where that costs nothing: a tie of the LP, which needs no binary."""
    problem = made.problem
    free = problem.import_price == problem.export_price
    if problem.carbon is not None and problem.carbon.export_credit_ratio != 1:
        free &= problem.carbon.kg_per_kwh * problem.carbon.price_per_kg == 0
    both = np.where(free, np.minimum(values[made.imported], values[made.exported]), 0.0)
    if both.any():
        values = values.copy()
        values[made.imported] -= both
        values[made.exported] -= both
    return values


def _fixed(solver: highspy.Highs, binaries: Index, values: Values) -> None:
    at = np.round(values[binaries])
    for column in binaries.tolist():
        solver.changeColIntegrality(column, highspy.HighsVarType.kContinuous)
    bound(solver, binaries, at, at)
