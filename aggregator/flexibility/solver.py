"""HiGHS as the planner uses it: one thread, seeded, quiet, with a time limit and a word where there is no plan. Nothing about energy."""

import time
from typing import Final

import highspy
import numpy as np

from aggregator.flexibility.problem import Currency
from aggregator.flexibility.sparse_model import Index, SparseModel, Values

_DEVEX: Final = 1  # from a good basis, the cheap choice of pivots: half the time of steepest edge
_PRIMAL: Final = 4


class Unsolved(Exception):
    """No plan within the time, or none at all (which the slacks rule out, but for a fault of the model); the message has the solver's word."""


class Deadline:
    """When a plan must be there."""

    def __init__(self, budget_s: float) -> None:
        self._budget_s, self._begun_s = budget_s, time.perf_counter()

    @property
    def took_s(self) -> float:
        return time.perf_counter() - self._begun_s

    def left_s(self) -> float:
        """Raises Unsolved when there is none left."""
        left = self._budget_s - self.took_s
        if left <= 0:
            raise Unsolved(f"expected a plan within {self._budget_s:g} s, the solver was not done")
        return left


def opened(model: SparseModel, money_gap: Currency = 0.01) -> highspy.Highs:
    """A solver with the model, at the model's own beginning. Raises Unsolved."""
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in (
        ("output_flag", False), ("threads", 1), ("mip_rel_gap", 0.0), ("mip_abs_gap", money_gap), ("random_seed", 1),
        ("simplex_dual_edge_weight_strategy", _DEVEX),
    ):  # fmt: skip
        solver.setOptionValue(name, value)
    if solver.passModel(model.arrays()) == highspy.HighsStatus.kError:
        raise Unsolved("expected a model that the solver takes, it was refused")
    solver.setBasis(model.basis())
    return solver


def run(solver: highspy.Highs, limit_s: float, *, primal: bool = False) -> bool:
    """Solves; true where the time ended with a plan that is not proved the best. `primal`: what is at hand is feasible, only its costs are new. Raises Unsolved."""
    solver.setOptionValue("time_limit", solver.getRunTime() + limit_s)
    if primal:
        solver.setOptionValue("simplex_strategy", _PRIMAL)
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return False
    if status == highspy.HighsModelStatus.kTimeLimit and solver.getInfo().primal_solution_status == 2:
        return True
    raise Unsolved(f"expected a plan, the solver says {solver.modelStatusToString(status)}")


def bound(solver: highspy.Highs, columns: Index, lower: Values, upper: Values) -> None:
    """New bounds of some columns, all at once."""
    if len(columns):
        solver.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)


def bound_rows(solver: highspy.Highs, rows: Index, low: Values, high: Values) -> None:
    """New bounds of some rows, all at once."""
    if len(rows):
        solver.changeRowsBounds(len(rows), rows.astype(np.int32), low, high)  # type: ignore[attr-defined]


def cost(solver: highspy.Highs, costs: Values) -> None:
    """New costs of the first columns."""
    solver.changeColsCost(len(costs), np.arange(len(costs), dtype=np.int32), costs)
