"""What emissions cost at a price. Not the price: it is given with its currency and source."""

import re
from fractions import Fraction

from aggregator.emissions.formulas.guards import Impossible, not_negative
from aggregator.emissions.formulas.worked import Figure, Worked, shown


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
    """A calculation carried on to its cost. Raises Impossible where it did not end in emissions."""
    for name in ("emissions_t", "emissions_kg", "forecast_t"):
        if name in worked.results:
            value = worked[name]
            cost = carbon_cost(value / 1000 if name.endswith("_kg") else value, price_per_t, currency, price_source)
            return worked.with_more(cost.figures, cost.results, cost.notes)
    raise Impossible(f"price: expected a formula that gives emissions, saw {', '.join(worked.results)}")
