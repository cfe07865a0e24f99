"""What a statement's emissions cost at carbon prices, beside its kg and never within them: its bytes and its hash know no price. Not the prices (see `price`)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from aggregator.accounts.line import SCOPES, Counts, Line
from aggregator.accounts.price import CarbonPrice
from aggregator.accounts.statement import Statement, total_kg
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.formulas.carbon_price import carbon_cost

ALL_SCOPES: Final = "all_scopes"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of the lines that count as `counts`: `kg` in all, `priced_kg` of it at a price, and what these cost; exact, None where there is no figure.

    `complete`: every line has a figure and a price. `provisional`: how many of the interval rows behind it are not final.
    """

    counts: str
    kg: Decimal | None
    priced_kg: Decimal | None
    cost: Decimal | None
    complete: bool
    provisional: int


@dataclass(frozen=True, slots=True)
class PriceUsed:
    """A price that holds at some time of the span, with the kg of all scopes that it was put on."""

    price: CarbonPrice
    priced_kg: Decimal | None
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one statement in one currency: all scopes, then each that has lines."""

    profile: str
    currency: str
    prices: tuple[PriceUsed, ...]
    rows: tuple[Cost, ...]


def costs_of(statement: Statement, prices: Iterable[CarbonPrice]) -> tuple[Costs, ...]:
    """The costs of a statement in each currency, in the order of their names; none without prices.

    A line is priced where one price holds over all of its time: nobody knows which part of it was emitted before a price changed.
    """
    given = tuple(prices)
    return tuple(
        costs_in(statement, currency, [price for price in given if price.currency == currency])
        for currency in sorted({price.currency for price in given})
    )


def costs_in(statement: Statement, currency: str, given: Sequence[CarbonPrice]) -> Costs:
    """The costs in one currency, at prices in it. Those that hold at no time of the span are left out."""
    prices = [price for price in given if price.touches(statement.from_ms, statement.to_ms)]
    scopes = [counts for counts in SCOPES if any(statement.of(counts))]
    whole = _cost(ALL_SCOPES, list(statement.of(*SCOPES)), prices, whole=statement.complete)
    each = (
        _cost(counts.value, list(statement.of(counts)), prices, whole=_whole(statement, counts)) for counts in scopes
    )
    used = tuple(
        PriceUsed(price, kg, _at(kg, price))
        for price in sorted(prices, key=lambda price: (price.valid_from_ms or 0, price.source))
        for kg in [total_kg(_at_price(statement.of(*SCOPES), price))]
    )
    return Costs(statement.profile, currency, used, (whole, *each))


def _whole(statement: Statement, counts: Counts) -> bool:
    """Whether no line of a scope lacks a figure; of metered energy also whether no interval does."""
    lines = list(statement.of(counts))
    return all(line.kg is not None for line in lines) and (
        statement.complete or not any(line.covered_intervals for line in lines)
    )


def _cost(counts: str, lines: Sequence[Line], prices: Sequence[CarbonPrice], *, whole: bool) -> Cost:
    cost: Decimal | None = None
    priced: Decimal | None = None
    number = 0
    for price in prices:
        at_price = list(_at_price(lines, price))
        number += len(at_price)
        kg = total_kg(at_price)
        amount = _at(kg, price)
        if kg is not None and amount is not None:
            priced = kg if priced is None else EXACT.add(priced, kg)
            cost = amount if cost is None else EXACT.add(cost, amount)
    complete = whole and cost is not None and number == len(lines)
    return Cost(counts, total_kg(lines), priced, cost, complete, sum(line.provisional for line in lines))


def _at_price(lines: Iterable[Line], price: CarbonPrice) -> Iterable[Line]:
    return (line for line in lines if line.kg is not None and price.holds(line.start_ms, line.end_ms))


def _at(kg: Decimal | None, price: CarbonPrice) -> Decimal | None:
    """Emissions x price (`formulas.carbon_price`), exact: a product of decimals has an end."""
    if kg is None:
        return None
    worked = carbon_cost(Fraction(kg) / 1000, Fraction(price.price_per_t), price.currency, price.source)["cost"]
    return EXACT.divide(Decimal(worked.numerator), Decimal(worked.denominator))
