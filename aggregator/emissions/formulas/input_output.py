"""Input-output linkage of sectors (white paper, annex 1): Leontief's inverse, embodied intensities, linkages. Not where the table comes from.

B = (I - A)^-1      T = S x B, entry t_ij = s_i b_ij      IF_i = sum over j of t_ij
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import Impossible, not_negative
from aggregator.emissions.formulas.worked import Figure, Worked, listed, shown

MAX_SECTORS: Final = 50  # national tables have 42; the elimination is in exact fractions


def leontief_inverse(technical: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    """(I - A)^-1, (sector, sector). Raises Impossible where an economy with these coefficients eats more than it makes."""
    n = len(technical)
    rows = [
        [Fraction(i == j) - technical[i][j] for j in range(n)] + [Fraction(i == j) for j in range(n)] for i in range(n)
    ]
    for i in range(n):
        # The pivots without exchange of rows are quotients of leading minors: all above 0 is Hawkins and Simon's condition.
        if rows[i][i] <= 0:
            raise Impossible(
                f"technical: expected coefficients that leave a net product (Hawkins-Simon), sector {i + 1} uses more than it makes"
            )
        pivot = rows[i][i]
        rows[i] = [value / pivot for value in rows[i]]
        for other in range(n):
            if other != i and rows[other][i]:
                share = rows[other][i]
                rows[other] = [a - share * b for a, b in zip(rows[other], rows[i], strict=True)]
    return [row[n:] for row in rows]


def input_output(technical: Sequence[Sequence[Fraction]], intensity: Sequence[Fraction]) -> Worked:
    """T = S x B with B = (I - A)^-1; S x B is what a unit of each sector's final demand emits anywhere, IF what each sector emits for a
    unit of every sector's final demand (white paper, annex 1). Raises Impossible.

    `technical` (sector, sector): what sector j buys from i per unit of its output. `intensity` (sector,): S, direct emissions per output.
    """
    n = len(technical)
    if not 0 < n <= MAX_SECTORS or any(len(row) != n for row in technical):
        seen = " and ".join(str(len(row)) for row in technical[:5]) or "none"
        raise Impossible(
            f"technical: expected a square table of 1 to {MAX_SECTORS} sectors, saw {n} rows with {seen} values"
        )
    if len(intensity) != n:
        raise Impossible(f"intensity: expected {n} values, one a sector, saw {len(intensity)}")
    for value in [*intensity, *(value for row in technical for value in row)]:
        not_negative("technical and intensity", value)
    inverse = leontief_inverse(technical)
    figures = [
        Figure(f"b_{i}_{j}", value, "", f"row {i} and column {j} of (I - A)^-1")
        for i, row in enumerate(inverse, start=1)
        for j, value in enumerate(row, start=1)
    ]
    results = []
    for j in range(n):
        parts = [intensity[i] * inverse[i][j] for i in range(n)]
        figures.append(Figure(f"embodied_{j + 1}", sum(parts, Fraction(0)), "", listed(parts).replace(", ", " + ")))
        results.append(f"embodied_{j + 1}")
    for i in range(n):
        parts = [intensity[i] * inverse[i][j] for j in range(n)]
        made_of = f"{shown(intensity[i])} x ({listed(inverse[i])})"
        figures.append(Figure(f"linkage_{i + 1}", sum(parts, Fraction(0)), "", made_of))
        results.append(f"linkage_{i + 1}")
    return Worked(tuple(figures), tuple(results), ("unit: that of the intensities, per unit of output",))
