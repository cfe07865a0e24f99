"""What an LP does not know: columns of which one must be 0, powers that are 0 or at least so much, shares that are 0 or 1. Not when they are needed.

Each rule can be told of a solution whether it breaks it, be kept by a binary, or be kept by choosing a side: the dive that always gives a plan.
"""

import math
from typing import Final

import highspy
import numpy as np

from aggregator.flexibility.dispatch import Dispatch
from aggregator.flexibility.dive import dive, is_between
from aggregator.flexibility.solver import Deadline, bound, run
from aggregator.flexibility.sparse_model import Index, Values

TOLERANCE: Final = 1e-6  # kW
SIDES: Final = 6  # rounds of choosing sides; in the last one every pair gets its side


class Rules:
    """A model's rules, numbered. `least`: chargers' least powers are proved, with the other rules; else they are left to the dive."""

    def __init__(self, made: Dispatch, *, least: bool) -> None:
        self._made = made
        self.one = np.concatenate([one for one, _ in made.pairs])
        self.other = np.concatenate([other for _, other in made.pairs])
        nothing = np.zeros(0, dtype=np.int64)
        self._chargers = [flow for flow in made.flows if flow.least_kw > 0] if least else []
        self._charge = np.concatenate([nothing, *(flow.charge for flow in self._chargers)])
        self._least_kw = np.repeat(
            [flow.least_kw for flow in self._chargers], [len(one.charge) for one in self._chargers]
        )
        full = [np.full(len(flow.charge), -1) if flow.full is None else flow.full for flow in self._chargers]
        self._full = np.concatenate([nothing, *full])
        self.seen: set[int] = set()  # pairs of which sides were chosen
        self.whole = np.concatenate([nothing, *(flow.full for flow in made.flows if flow.full is not None)])

    def broken(self, values: Values) -> set[int]:
        """Which rules a solution breaks."""
        overlap = np.minimum(values[self.one], values[self.other]) > TOLERANCE
        between = [is_between(flow, values) for flow in self._chargers]
        return set(np.flatnonzero(np.concatenate([overlap, *between])).tolist())

    def fractions(self, values: Values) -> bool:
        """Whether a share that must be 0 or 1 is neither."""
        return bool((np.abs(values[self.whole] - np.round(values[self.whole])) > TOLERANCE).any())

    def bind(self, solver: highspy.Highs, numbers: set[int]) -> Index:
        """A binary for each rule: one <= M z and other <= M (1 - z), or least z <= charge <= M z (less where it becomes full)."""
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
                charge, least_kw, full = int(self._charge[at]), float(self._least_kw[at]), int(self._full[at])
                excused = [(full, least_kw)] if full >= 0 else []
                _row(solver, -math.inf, 0.0, (charge, 1.0), (column, -upper[charge]))
                _row(solver, 0.0, math.inf, (charge, 1.0), (column, -least_kw), *excused)
        return np.arange(first, first + len(numbers))

    def choose(self, solver: highspy.Highs, deadline: Deadline) -> None:
        """Leaves the solver, which has no binaries, at a solution that breaks no rule: of each pair the larger side stays. Raises Unsolved."""
        if len(self.whole):
            values = np.array(solver.getSolution().col_value)
            share = np.floor(values[self.whole] + TOLERANCE)
            bound(solver, self.whole, share, share)
            run(solver, deadline.left_s())
        self._sides(solver, deadline)
        if any(flow.least_kw > 0 for flow in self._made.flows):
            dive(solver, self._made, deadline)
            self._sides(solver, deadline)

    def switch_off(self, solver: highspy.Highs, deadline: Deadline) -> None:
        """Like `choose`, where going up to a least power contradicts something else: who is below it is off, which nothing forbids. Raises Unsolved."""
        flows = [flow for flow in self._made.flows if flow.least_kw > 0]
        for number in range(SIDES):
            self._sides(solver, deadline)
            values = np.array(solver.getSolution().col_value)
            below = [flow.charge[is_between(flow, values)] for flow in flows]
            if not sum(map(len, below)):
                return
            if number >= SIDES - 2:  # whoever is off stays off, and whoever is on keeps its power
                below = [flow.charge[is_between(flow, values) | (values[flow.charge] <= TOLERANCE)] for flow in flows]
                on = np.setdiff1d(np.concatenate([flow.charge for flow in flows]), np.concatenate(below))
                bound(solver, on, values[on], values[on])
            off = np.concatenate(below)
            bound(solver, off, *np.zeros((2, len(off))))
            run(solver, deadline.left_s())

    def rest(self, solver: highspy.Highs, deadline: Deadline) -> None:
        """What is a plan always, where sides that were chosen contradict each other: nothing that can wait moves, and the sun that the load leaves goes out,
        beyond the limit nowhere. Raises Unsolved.
        """
        made, problem = self._made, self._made.problem
        still = np.concatenate(
            [self.one[:0], *(columns for flow in made.flows for columns in (flow.charge, flow.discharge))]
        )
        spare_kw = problem.pv_kw - problem.load_kw
        off = [still, np.where(spare_kw > 0, *made.pairs[0])]
        if problem.curtailed_at_limit:
            curtailed, room = made.pairs[1]
            off.append(np.where(spare_kw > problem.export_limit_kw, room, curtailed))
        idle = np.unique(np.concatenate(off))
        bound(solver, idle, *np.zeros((2, len(idle))))
        run(solver, deadline.left_s())

    def _sides(self, solver: highspy.Highs, deadline: Deadline) -> None:
        steps = self._made.problem.steps
        closed, at_limit = np.zeros((2, steps), dtype=bool)
        for number in range(SIDES):
            values = np.array(solver.getSolution().col_value)
            overlap = np.minimum(values[self.one], values[self.other]) > TOLERANCE
            if not overlap.any():
                return
            self.seen |= set(np.flatnonzero(overlap).tolist())
            grid = overlap[:steps]
            if number >= SIDES - 2:
                overlap[:] = True
            elif grid.any():  # import or export first: what else is to be 0 depends on it
                overlap[len(grid) :] = False
            keeps_one = values[self.one] > values[self.other]
            if (
                self._made.problem.curtailed_at_limit
            ):  # its pairs are the second: who exports nothing is not at the limit
                keeps_one[:steps] &= ~at_limit
                keeps_one[steps : 2 * steps] &= ~closed
                closed |= overlap[:steps] & keeps_one[:steps]
                at_limit |= (overlap & keeps_one)[steps : 2 * steps]
            smaller = np.unique(np.where(keeps_one, self.other, self.one)[overlap])
            bound(solver, smaller, *np.zeros((2, len(smaller))))
            run(solver, deadline.left_s())


def _row(solver: highspy.Highs, low: float, high: float, *terms: tuple[int, float]) -> None:
    columns, values = zip(*terms, strict=True)
    solver.addRow(low, high, len(terms), np.array(columns, dtype=np.int32), np.array(values))
