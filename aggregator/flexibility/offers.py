"""Firm flexibility: the constant kW that a site can give for a quarter, one, two or four hours from any step on, every promise kept. Not its price.

Down: net import at least so much below the plan throughout the window; up: above it. All physics holds over the whole horizon, and no promise is
kept less than the plan keeps it. One model, solved again from where it stood for each window. Energy is not burnt for an offer: up, an asset charges
only, in the window and where the plan charges, and elsewhere only makes room.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import highspy
import numpy as np

from aggregator.flexibility.dispatch import Dispatch, dispatch
from aggregator.flexibility.problem import Problem
from aggregator.flexibility.solve import solve
from aggregator.flexibility.solver import bound, cost, opened
from aggregator.flexibility.sparse_model import Values

HOURS: Final = (0.25, 1.0, 2.0, 4.0)
SLACK: Final = 1e-7
STEEPEST: Final = (
    2  # edge weights: from window to window what holds for the whole model differs little, and its price is paid once
)

Direction = Literal["down", "up"]


@dataclass(frozen=True, slots=True)
class Offer:
    """`kw` of less (down) or more (up) net import than planned, throughout [first, last)."""

    direction: Direction
    first: int
    last: int
    hours: float
    kw: float


def offers(
    problem: Problem,
    hours: Sequence[float] = HOURS,
    every_h: float = 1.0,
    directions: Sequence[Direction] = ("down", "up"),
) -> list[Offer]:
    """Offers that begin every `every_h` hours, as far as they end within the horizon. Raises ProblemFault, Unsolved."""
    return offers_in(problem, list(_windows(problem, hours, every_h)), directions)


def offers_in(
    problem: Problem, windows: Sequence[tuple[int, int, float]], directions: Sequence[Direction] = ("down", "up")
) -> list[Offer]:
    """Offers of windows that are named: first and last step, and hours. Raises ProblemFault, Unsolved."""
    made = dispatch(problem)
    planned = solve(made)
    net_kw = planned.values[made.imported] - planned.values[made.exported]
    over, under = (planned.values[promise.slack] for promise in made.promises[:2])
    found: list[Offer] = []
    for direction in directions:
        firm = _Firm(made, planned.values, net_kw + over - under, direction)
        kw = {(first, last): firm.kw(first, last) for first, last in sorted({window[:2] for window in windows})}
        found += [Offer(direction, first, last, length, kw[first, last]) for first, last, length in windows]
    return found


def _windows(problem: Problem, hours: Sequence[float], every_h: float) -> Iterator[tuple[int, int, float]]:
    ends_h = np.concatenate([[0.0], np.cumsum(problem.step_h)])
    for length in hours:
        begin_h = 0.0
        while begin_h + length <= ends_h[-1] + SLACK:
            first, last = (
                int(np.searchsorted(ends_h, begin_h - SLACK)),
                int(np.searchsorted(ends_h, begin_h + length - SLACK)),
            )
            if abs(ends_h[first] - begin_h) < SLACK and abs(ends_h[last] - begin_h - length) < SLACK:
                yield first, last, length
            begin_h += every_h


class _Firm:
    """The plan's model with one more column, the firm kW, which it maximises."""

    def __init__(
        self,
        made: Dispatch,
        values: Values,
        net_kw: Values,
        direction: Direction,
    ) -> None:
        model, self._net_kw = made.model, net_kw
        self._solver = opened(model)
        slack = np.concatenate([promise.slack for promise in made.promises])
        lacking = np.where(values[slack] > SLACK, values[slack] + SLACK, 0.0)
        bound(self._solver, slack, np.zeros(len(slack)), lacking)
        cost(self._solver, np.zeros(model.columns))
        self._solver.setOptionValue("simplex_dual_edge_weight_strategy", STEEPEST)
        self._column = model.columns
        self._solver.addCol(-1.0, 0.0, 1e6, 0, np.zeros(0, dtype=np.int32), np.zeros(0))
        self._first_row = model.rows
        self._sign = 1.0 if direction == "down" else -1.0
        over, under = (promise.slack for promise in made.promises[:2])
        for step in range(made.problem.steps):
            columns = np.array(
                [made.imported[step], made.exported[step], over[step], under[step], self._column], dtype=np.int32
            )
            self._solver.addRow(-math.inf, math.inf, 5, columns, np.array([1.0, -1.0, 1.0, -1.0, self._sign]))
        self._flows = made.flows if direction == "up" else []
        upper = model.upper
        self._most = {
            int(column): float(upper[column]) for flow in self._flows for column in (*flow.charge, *flow.discharge)
        }
        self._charges = {int(column) for flow in self._flows for column in flow.charge if values[column] > SLACK}
        self._one_way(0, made.problem.steps, window=False)

    def _one_way(self, first: int, last: int, *, window: bool) -> None:
        """Each asset charges only, or discharges only, in steps [first, last)."""
        for flow in self._flows:
            for at in np.flatnonzero((flow.steps >= first) & (flow.steps < last)).tolist():
                charge, discharge = int(flow.charge[at]), int(flow.discharge[at])
                charging = window or charge in self._charges
                self._solver.changeColBounds(charge, 0.0, self._most[charge] if charging else 0.0)
                self._solver.changeColBounds(discharge, 0.0, 0.0 if charging else self._most[discharge])

    def kw(self, first: int, last: int) -> float:
        """The greatest constant kW throughout [first, last); 0 where there is none."""
        for step in range(first, last):
            base_kw = float(self._net_kw[step])
            low, high = (-math.inf, base_kw) if self._sign > 0 else (base_kw, math.inf)
            self._solver.changeRowBounds(self._first_row + step, low, high)
        self._one_way(first, last, window=True)
        self._solver.run()
        firm = 0.0
        if self._solver.getModelStatus() == highspy.HighsModelStatus.kOptimal:
            firm = max(float(self._solver.getSolution().col_value[self._column]), 0.0)
        for step in range(first, last):
            self._solver.changeRowBounds(self._first_row + step, -math.inf, math.inf)
        self._one_way(first, last, window=False)
        return firm if firm > 1e-5 else 0.0
