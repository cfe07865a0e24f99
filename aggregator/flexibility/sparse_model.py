"""A linear model as it is being put together: blocks of columns, rows of terms, arrays for the solver. Nothing about energy.

Columns and rows are added in blocks, with numpy; no object per variable. The solver gets row-wise sparse arrays, and a basis to begin from: whoever
adds rows may name the columns that stand for them at first. From there the dual simplex needs a fifth of the steps that it needs from nothing.
"""

import math
from dataclasses import dataclass, field

import highspy
import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
INFINITY = math.inf
_STATUS = np.array(
    [highspy.HighsBasisStatus.kLower, highspy.HighsBasisStatus.kBasic, highspy.HighsBasisStatus.kUpper], dtype=object
)


@dataclass(slots=True)
class SparseModel:
    """Minimise cost x over lower <= x <= upper, low <= A x <= high."""

    columns: int = 0
    rows: int = 0
    _cost: list[Values] = field(default_factory=list)
    _lower: list[Values] = field(default_factory=list)
    _upper: list[Values] = field(default_factory=list)
    _low: list[Values] = field(default_factory=list)
    _high: list[Values] = field(default_factory=list)
    _at_row: list[Index] = field(default_factory=list)
    _at_column: list[Index] = field(default_factory=list)
    _value: list[Values] = field(default_factory=list)
    _basic: list[Index] = field(default_factory=list)
    _stood_for: list[Index] = field(default_factory=list)

    def block(self, count: int, lower: object = 0.0, upper: object = INFINITY, cost: object = 0.0) -> Index:
        """`count` new columns; bounds and cost are numbers or arrays."""
        for kept, given in ((self._lower, lower), (self._upper, upper), (self._cost, cost)):
            kept.append(_spread(given, count))
        made = np.arange(self.columns, self.columns + count)
        self.columns += count
        return made

    def row_block(self, count: int, low: object = -INFINITY, high: object = INFINITY) -> Index:
        """`count` new rows, empty."""
        for kept, given in ((self._low, low), (self._high, high)):
            kept.append(_spread(given, count))
        made = np.arange(self.rows, self.rows + count)
        self.rows += count
        return made

    def terms(self, rows: Index, columns: Index, values: object) -> None:
        """Adds `values` at (rows, columns), element by element; one row, column or number holds for all."""
        count = max(len(rows), len(columns)) if len(rows) and len(columns) else 0
        if not count:
            return
        self._at_row.append(rows if len(rows) == count else np.repeat(rows, count))
        self._at_column.append(columns if len(columns) == count else np.repeat(columns, count))
        self._value.append(_spread(values, count))

    def begin(self, columns: Index, rows: Index) -> None:
        """The solver begins with each of `columns` basic in the place of its row."""
        self._basic.append(columns)
        self._stood_for.append(rows)

    @property
    def lower(self) -> Values:
        """Of each column."""
        return np.concatenate(self._lower)

    @property
    def upper(self) -> Values:
        """Of each column."""
        return np.concatenate(self._upper)

    def basis(self) -> highspy.HighsBasis:
        """Where the solver begins: what `begin` said, everything else at a bound."""
        basis = highspy.HighsBasis()
        column = np.where(np.isfinite(self.lower), 0, 2)
        row = np.full(self.rows, 1)
        if self._basic:
            column[np.concatenate(self._basic)] = 1
            stood_for = np.concatenate(self._stood_for)
            row[stood_for] = np.where(np.isfinite(np.concatenate(self._low)[stood_for]), 0, 2)
        basis.col_status, basis.row_status = _STATUS[column].tolist(), _STATUS[row].tolist()
        basis.valid, basis.alien = True, False
        return basis

    def arrays(self) -> highspy.HighsLp:
        """As the solver takes it."""
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.columns, self.rows
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = (
            np.concatenate(each) for each in (self._cost, self._lower, self._upper)
        )
        lp.row_lower_ = np.concatenate(self._low) if self._low else np.zeros(0)
        lp.row_upper_ = np.concatenate(self._high) if self._high else np.zeros(0)
        rows = np.concatenate(self._at_row)
        order = np.argsort(rows, kind="stable")
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = self.columns, self.rows
        lp.a_matrix_.start_ = np.searchsorted(rows[order], np.arange(self.rows + 1)).astype(np.int32)
        lp.a_matrix_.index_ = np.concatenate(self._at_column)[order].astype(np.int32)
        lp.a_matrix_.value_ = np.concatenate(self._value)[order]
        return lp


def _spread(given: object, count: int) -> Values:
    """A number or an array as an array; several times faster than numpy's broadcasting, of which a model has thousands."""
    if isinstance(given, np.ndarray) and len(given) == count:
        return given
    return np.full(count, given, dtype=np.float64)
