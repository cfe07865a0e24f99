"""What less carbon costs: the plan at a series of carbon prices, and the prices at which hours change places. Not which price is right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from aggregator.flexibility.plan import plan
from aggregator.flexibility.problem import Currency, Problem, ProblemFault, Series

SAME: Final = 1e-6  # money, or kg
HOURS: Final = 2000  # different hours that are compared pair by pair


def break_evens(problem: Problem) -> tuple[Currency, Currency] | None:
    """The carbon prices from which the first dearer hour takes over from a dirtier one, and by which half of such pairs have changed places.

    Of a pair it is (p2 - p1) / (I1 - I2), money per kg CO2e.

    None where no dearer hour is cleaner.
    """
    if problem.carbon is None:
        return None
    price, kg = problem.import_price, problem.carbon.kg_per_kwh
    found: list[Series] = []
    for price_1, kg_1 in np.unique(np.stack([price, kg]), axis=1).T[:HOURS]:
        pays = (price > price_1) & (kg < kg_1)  # hour 2 is dearer and cleaner
        found.append((price[pays] - price_1) / (kg_1 - kg[pays]))
    each = np.concatenate(found)
    return (float(each.min()), float(np.median(each))) if len(each) else None


@dataclass(frozen=True, slots=True)
class Choice:
    """A point between cost and kg: the plan at one carbon price. `money`: what is paid, the carbon price itself left out. `best`: no other is below it in both."""

    price_per_kg: Currency
    money: Currency
    kg: float
    shortfall_kwh: float
    best: bool = True


def choices(problem: Problem, prices_per_kg: Sequence[Currency], budget_s: float = 5.0) -> list[Choice]:
    """The plan at each carbon price, cheapest carbon first. Raises ProblemFault (also where the grid's intensity is not given), Unsolved."""
    if problem.carbon is None:
        raise ProblemFault(
            "carbon: expected the grid's intensity (carbon.kg_per_kwh) to weigh cost against kg, got none"
        )
    found: list[Choice] = []
    for price in sorted(prices_per_kg):
        made = plan(replace(problem, carbon=replace(problem.carbon, price_per_kg=price)), budget_s)
        assert made.kg is not None
        short = sum((one.amount for one in made.broken if one.kind == "departure"), 0.0)
        found.append(Choice(price, made.money.total - made.money.carbon, made.kg, short))
    return [replace(one, best=not any(_below(other, one) for other in found)) for one in found]


def _below(other: Choice, one: Choice) -> bool:
    money, kg = one.money - other.money, one.kg - other.kg
    return (money > SAME and kg > -SAME) or (kg > SAME and money > -SAME)
