"""What emissions cost at a price. Not the price: it is given with its currency and source."""

import re
from fractions import Fraction
from typing import Final

from aggregator.emissions.formulas.guards import Impossible, not_negative
from aggregator.emissions.formulas.worked import Figure, Worked, shown

_PER_T: Final = {"t CO2": 1, "t CO2e": 1, "kg CO2": 1000, "kg CO2e": 1000}


def carbon_cost(emissions_t: Fraction, price_per_t: Fraction, currency: str, price_source: str) -> Worked:
    """Cost = emissions x price, in the price's currency (white paper: carbon price on any report). Raises Impossible.

    `price_source` says which market and day. Emissions below 0 cost less than nothing: that is shown, not cut off.
    """
    not_negative("price_per_t", price_per_t)
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise Impossible(f"currency: expected three capital letters (ISO 4217) such as CNY, saw {currency!r}")
    if not price_source.strip():
        raise Impossible("price_source: expected the market and the day of the price, is empty")
    made_of = f"{shown(emissions_t)} t x {shown(price_per_t)} {currency}/t"
    return Worked(
        (Figure("cost", emissions_t * price_per_t, currency, made_of),), ("cost",), (f"price: {price_source}",)
    )


def priced(worked: Worked, price_per_t: Fraction, currency: str, price_source: str) -> Worked:
    """A calculation carried on to the cost of each of its emissions (and sinks, savings). Raises Impossible where it has none."""
    costs = []
    for name in worked.results:
        figure = worked.figure(name)
        if figure.value is not None and figure.unit in _PER_T:
            cost = carbon_cost(figure.value / _PER_T[figure.unit], price_per_t, currency, price_source)["cost"]
            made_of = f"{shown(figure.value / _PER_T[figure.unit])} t x {shown(price_per_t)} {currency}/t"
            costs.append(Figure(f"cost_of_{name}", cost, currency, made_of))
    if not costs:
        raise Impossible(f"price: expected a formula that gives emissions, saw {', '.join(worked.results)}")
    return worked.with_more(costs, [cost.name for cost in costs], [f"price: {price_source}"])
