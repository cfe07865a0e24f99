"""What each cause has of a change in a product: logarithmic means, or Shapley's average over all orders. Both sum to the change.

before = a1 x b1 x c1 ...                a            b            c
after  = a2 x b2 x c2 ...   change = share of a + share of b + share of c
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import factorial, prod
from typing import Final

from aggregator.emissions.formulas.guards import Impossible, positive, same_length
from aggregator.emissions.formulas.irrational import logarithm
from aggregator.emissions.formulas.worked import Figure, Worked, listed, shown

MAX_CAUSES: Final = 7  # Shapley asks 2^n products


def logarithmic_mean(one: Fraction, other: Fraction) -> Fraction:
    """(a - b) / (ln a - ln b) of two values above 0; a where they are equal."""
    return one if one == other else (one - other) / logarithm(one / other)


def logarithmic_shares(before: Fraction, after: Fraction, log_ratios: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """LMDI-I: each cause's share L(after, before) x ln ratio, where the log ratios sum to ln(after / before)."""
    mean = logarithmic_mean(after, before)
    return {cause: mean * log_ratio for cause, log_ratio in log_ratios.items()}


def lmdi(cause: Sequence[str], before: Sequence[Fraction], after: Sequence[Fraction]) -> Worked:
    """Additive LMDI-I (Ang 2005): share of cause k = L(G2, G1) x ln(x2 / x1), L the logarithmic mean. Raises Impossible."""
    _check(cause, before, after)
    for name, one, other in zip(cause, before, after, strict=True):
        positive(f"{name} before", one)
        positive(f"{name} after", other)
    first, last = prod(before, start=Fraction(1)), prod(after, start=Fraction(1))
    log_ratios = {n: logarithm(b / a) for n, a, b in zip(cause, before, after, strict=True)}
    shares = logarithmic_shares(first, last, log_ratios)
    mean = shown(logarithmic_mean(last, first))
    made_of = {n: f"{mean} x ln({shown(b)} / {shown(a)})" for n, a, b in zip(cause, before, after, strict=True)}
    return _bridge(before, after, first, last, shares, made_of)


def shapley(cause: Sequence[str], before: Sequence[Fraction], after: Sequence[Fraction]) -> Worked:
    """Shapley split: share of cause k = its effect averaged over every order of the changes. Exact; zeros are allowed. Raises Impossible.

    For two causes it is the symmetric split: the change of one times the mean of the other.
    """
    n = _check(cause, before, after)
    if n > MAX_CAUSES:
        raise Impossible(f"cause: expected at most {MAX_CAUSES}, saw {n}")
    shares, made_of = {}, {}
    for k, name in enumerate(cause):
        others = [i for i in range(n) if i != k]
        mean = Fraction(0)
        for size in range(n):
            weight = Fraction(factorial(size) * factorial(n - size - 1), factorial(n))
            for changed in combinations(others, size):
                mean += weight * prod((after[i] if i in changed else before[i] for i in others), start=Fraction(1))
        shares[name] = (after[k] - before[k]) * mean
        made_of[name] = f"({shown(after[k])} - {shown(before[k])}) x {shown(mean)}"
    first, last = prod(before, start=Fraction(1)), prod(after, start=Fraction(1))
    return _bridge(before, after, first, last, shares, made_of)


def _check(cause: Sequence[str], before: Sequence[Fraction], after: Sequence[Fraction]) -> int:
    n = same_length(cause=cause, before=before, after=after)
    if len(set(cause)) != n:
        raise Impossible(f"cause: expected each name once, saw {', '.join(cause)}")
    return n


def _bridge(
    before: Sequence[Fraction],
    after: Sequence[Fraction],
    first: Fraction,
    last: Fraction,
    shares: Mapping[str, Fraction],
    made_of: Mapping[str, str],
) -> Worked:
    figures = [
        Figure("total_before", first, "", listed(before).replace(", ", " x ")),
        Figure("total_after", last, "", listed(after).replace(", ", " x ")),
        *(Figure(f"share_of_{name}", share, "", made_of[name]) for name, share in shares.items()),
        Figure("change", last - first, "", f"{shown(last)} - {shown(first)}, the sum of the shares"),
    ]
    if first:
        made = f"{shown(last - first)} / {shown(first)}"
        figures.append(Figure("change_percent", (last - first) / first * 100, "%", made))
    return Worked(tuple(figures), (*(f"share_of_{name}" for name in shares), "change"))
