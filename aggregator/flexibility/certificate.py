"""What the duals of a plan prove: no plan of the problem costs less than this. Not how the duals were found (see `solve`).

Weak duality: any duals of the rows give a bound by arithmetic alone, so that a plan's optimality is checked without a solver and without trust in it.
"""

from typing import Final

import numpy as np

from aggregator.flexibility.dispatch import Dispatch
from aggregator.flexibility.problem import Currency
from aggregator.flexibility.sparse_model import Values

NONE: Final = 1e-7  # money per unit: a smaller reduced cost of an unbounded column is a rounding, not a ray


def proven(made: Dispatch, row_dual: Values) -> Currency:
    """The greatest money below which these duals show no plan to be; -inf where they show nothing. Without binaries, as the LP has none."""
    lp = made.model.arrays()
    cost, lower, upper = (np.array(each) for each in (lp.col_cost_, lp.col_lower_, lp.col_upper_))
    low, high = np.array(lp.row_lower_), np.array(lp.row_upper_)
    starts, column, value = (np.array(each) for each in (lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_))
    row = np.repeat(np.arange(lp.num_row_), np.diff(starts))
    reduced: Values = cost - np.bincount(column, row_dual[row] * value, minlength=lp.num_col_).astype(np.float64)
    return _worth(row_dual, low, high) + _worth(reduced, lower, upper) + made.constant


def _worth(dual: Values, lower: Values, upper: Values) -> Currency:
    """The least of dual x over lower <= x <= upper."""
    bound = np.where(dual > 0, lower, upper)
    counts = (dual != 0) & ~(np.isinf(bound) & (np.abs(dual) < NONE))
    return float((dual[counts] * bound[counts]).sum())
