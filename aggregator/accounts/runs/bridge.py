"""What each cause has of the change between two totals: Shapley's split, exact, with one residual line. Not how a cause is found (see `causes`).

total of the old inputs --- factor --- activity --- ... ---> total of the new inputs
                            each cause: its effect averaged over every order in which the causes can come
                        code and method come last, together: what is left of the change
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from math import factorial
from typing import Final

from aggregator.emissions.formulas.bridge import MAX_CAUSES
from aggregator.emissions.formulas.worked import shown

RESIDUAL: Final = "code and method"
# The total in kg when the inputs of these causes are the new ones and all others the old ones.
TotalKg = Callable[[frozenset[str]], Fraction]


@dataclass(frozen=True, slots=True)
class Share:
    """What one cause has of a change; exact."""

    cause: str
    kg: Fraction


@dataclass(frozen=True, slots=True)
class Bridge:
    """A change of a total and its causes, whose shares sum to it. A total that is None has no change and no causes: null is not 0."""

    before_kg: Decimal | None
    after_kg: Decimal | None
    shares: tuple[Share, ...]

    @property
    def delta_kg(self) -> Fraction | None:
        if self.before_kg is None or self.after_kg is None:
            return None
        return Fraction(self.after_kg) - Fraction(self.before_kg)

    @property
    def delta_percent(self) -> Fraction | None:
        """Of the total before; None where there is none, or it is 0."""
        delta = self.delta_kg
        return None if delta is None or not self.before_kg else delta / abs(Fraction(self.before_kg)) * 100

    def reaches(self, threshold_percent: Decimal) -> bool:
        """Whether the total changes by at least so much of itself; where a share cannot be told, whether it changes at all."""
        percent = self.delta_percent
        if percent is None:
            return self.before_kg != self.after_kg
        return percent != 0 and abs(percent) >= Fraction(threshold_percent)

    def text(self) -> str:
        """In one line, in t, as a report or a status comment prints it."""
        delta, percent = self.delta_kg, self.delta_percent
        if delta is None or self.before_kg is None or self.after_kg is None:
            return "no total before" if self.before_kg is None else "no total after"
        total = f"{_tonnes(Fraction(self.before_kg))} -> {_tonnes(Fraction(self.after_kg))} t CO2e"
        change = "" if percent is None else f" ({_signed(shown(percent, 9))} %)"
        causes = ", ".join(f"{share.cause} {_signed(_tonnes(share.kg))}" for share in self.shares)
        return f"{total}: {_signed(_tonnes(delta))} t{change}" + (f" = {causes}" if causes else "")

    def encoded(self) -> str:
        """As it is kept: fractions as text, so that nothing is rounded."""
        return json.dumps([[share.cause, str(share.kg)] for share in self.shares], separators=(",", ":"))


def shares_of(encoded: str) -> tuple[Share, ...]:
    """What `Bridge.encoded` has kept."""
    return tuple(Share(cause, Fraction(kg)) for cause, kg in json.loads(encoded))


def bridge(before_kg: Decimal | None, after_kg: Decimal | None, causes: Sequence[str], total_kg: TotalKg) -> Bridge:
    """The change and its causes; a cause without effect has no line. `total_kg` is asked once per set of causes, at most 128 times.

    What is left when every cause is new is `RESIDUAL`. Raises ValueError for more than 7 causes.
    """
    if len(causes) > MAX_CAUSES or len(set(causes)) != len(causes):
        raise ValueError(f"causes: expected at most {MAX_CAUSES}, each once, got {', '.join(causes)}")
    if before_kg is None or after_kg is None:
        return Bridge(before_kg, after_kg, ())
    known = {
        frozenset(some): total_kg(frozenset(some)) for n in range(len(causes) + 1) for some in combinations(causes, n)
    }
    shares = [Share(cause, _share(cause, causes, known)) for cause in causes]
    left = Fraction(after_kg) - Fraction(before_kg) - sum((share.kg for share in shares), Fraction(0))
    return Bridge(before_kg, after_kg, tuple(share for share in (*shares, Share(RESIDUAL, left)) if share.kg))


def _share(cause: str, causes: Sequence[str], known: dict[frozenset[str], Fraction]) -> Fraction:
    """A cause's effect, averaged over every order of all causes (L. S. Shapley, 1953)."""
    others = [other for other in causes if other != cause]
    share = Fraction(0)
    for size in range(len(causes)):
        weight = Fraction(factorial(size) * factorial(len(others) - size), factorial(len(causes)))
        for changed in map(frozenset, combinations(others, size)):
            share += weight * (known[changed | {cause}] - known[changed])
    return share


def _tonnes(kg: Fraction) -> str:
    return shown(kg / 1000, 9)


def _signed(text: str) -> str:
    return text if text.startswith("-") else f"+{text}"
