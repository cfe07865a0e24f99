"""Among plans of the same money the one that charges sooner. Not the plan of least money itself (see `solve`).

Whatever has a dual stays where it is: what is left are the plans of the same money, to the last digit. The plan at hand is one of them, so that the
primal simplex needs few steps.
"""

from typing import Final

import highspy
import numpy as np

from aggregator.flexibility.dispatch import Dispatch
from aggregator.flexibility.solver import Deadline, Unsolved, bound, bound_rows, cost, run
from aggregator.flexibility.sparse_model import Values

FREE: Final = 1e-9  # money per unit: a smaller dual is none
OFF: Final = 1e-6  # kW


def sooner(solver: highspy.Highs, made: Dispatch, deadline: Deadline) -> Values:
    """The plan at hand where no time is left."""
    solution = solver.getSolution()
    values, row_value = np.array(solution.col_value), np.array(solution.row_value)
    held = np.abs(np.array(solution.col_dual)) > FREE
    most = made.model.upper
    for flow in made.flows:
        if flow.least_kw:
            free = flow.charge[~held[flow.charge]]
            on = values[free] > OFF
            bound(
                solver, free, np.where(on, np.minimum(flow.least_kw, values[free]), 0.0), np.where(on, most[free], 0.0)
            )
    kept = np.flatnonzero(held)
    bound(solver, kept, values[kept], values[kept])
    rows = np.flatnonzero(np.abs(np.array(solution.row_dual)) > FREE)
    bound_rows(solver, rows, row_value[rows], row_value[rows])
    cost(solver, _later(made, len(values)))
    try:
        run(solver, deadline.left_s(), primal=True)
    except Unsolved:
        return values
    return np.array(solver.getSolution().col_value)


def _later(made: Dispatch, columns: int) -> Values:
    """What a kWh weighs: the later, the more."""
    later, step_h = np.zeros(columns), made.problem.step_h
    for flow in made.flows:
        later[flow.charge] = (1 + flow.steps) * step_h[flow.steps]
        later[flow.discharge] = step_h[flow.steps]
    for steps, power in made.shifted.values():
        later[power] = (1 + steps) * step_h[steps]
    return later
