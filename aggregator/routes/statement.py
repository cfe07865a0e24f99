"""A facility's statement over HTTP: sums by where they count, their coverage, and the lines. Not how it is compiled (`aggregator.accounts`)."""

import sqlite3
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import Field

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.cost import Costs, costs_of
from aggregator.accounts.line import Counts
from aggregator.accounts.price import CarbonPrice, price_given
from aggregator.accounts.statement import Statement, plain
from aggregator.accounts.uncertainty import uncertainty_of
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerBusy
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Instant, Span

router = APIRouter(prefix="/api/v1/facilities/{facility}/statement", tags=["statement"], dependencies=[Reader])


class StatementParameters(Span):
    """[from, to) under one profile, as known at `as_of` (default: now)."""

    profile: Annotated[str, Field(max_length=32)] = "GHGP-LB"
    as_of: Instant | None = None


class PricedStatementParameters(StatementParameters):
    """The same, at a carbon price in the place of the facility's: a decimal per t, a currency (ISO 4217) and the source of the price.
    `lines` false: the sums alone."""

    lines: bool = True
    price_per_t: Annotated[str | None, Field(max_length=40)] = None
    price_currency: Annotated[str | None, Field(max_length=3)] = None
    price_source: Annotated[str | None, Field(max_length=500)] = None


class CoverageAnswer(Answer):
    """Of `expected` intervals: how many have a figure, were not measured well, are not final."""

    expected: int
    covered: int
    substituted: int
    provisional: int


class UncertaintyAnswer(Answer):
    """Half width of `scopes_kg` at 95 %, and what it is made of. `unstated`: what states no uncertainty; then it is at least that much."""

    kg: str
    percent: str | None
    independent_kg: str
    meter_kg: str
    factor_kg: str
    unstated: list[str]


class CostAnswer(Answer):
    """What lines that count as `counts` cost: exact decimal text, null where nothing has a price. `complete`: all of it has a figure and a price."""

    counts: str
    kg: str | None
    priced_kg: str | None
    cost: str | None
    complete: bool
    provisional: int


class PriceAnswer(Answer):
    """A carbon price that holds at some time of the span, and what it was put on."""

    price_per_t: str
    source: str
    valid_from_ms: int | None
    valid_to_ms: int | None
    priced_kg: str | None
    cost: str | None


class CostsAnswer(Answer):
    """Beside the kg, never within them: all scopes, then each, in one currency."""

    currency: str
    prices: list[PriceAnswer]
    rows: list[CostAnswer]


class StatementAnswer(Answer):
    """`kg`: exact decimal text by where lines count, null where nothing has a figure; `lines` null where they were not asked for; `scopes_kg` is the sum of scopes. `sha256` is of the canonical lines."""

    facility: str
    profile: str
    from_ms: int
    to_ms: int
    as_of_ms: int
    scopes_kg: str | None
    kg: dict[str, str | None]
    complete: bool
    coverage: CoverageAnswer
    uncertainty: UncertaintyAnswer | None
    costs: list[CostsAnswer]
    notes: list[str]
    sha256: str
    lines: list[dict[str, Any]] | None


@router.get("", response_model=StatementAnswer)
async def statement(
    given: Given, facility: Named, asked: Annotated[PricedStatementParameters, Query()]
) -> StatementAnswer:
    """What the span comes to, and costs. 422 where the question is none; 503 where the ledger is busy."""
    price = price_asked(asked.price_per_t, asked.price_currency, asked.price_source)
    made = await compiled(given.accounts, facility.id, asked)
    costs = costs_of(made, facility.carbon_prices if price is None else (price,))
    return _answer(made, costs, with_lines=asked.lines)


@router.get("/lines")
async def lines(given: Given, facility: Named, asked: Annotated[StatementParameters, Query()]) -> Response:
    """The canonical lines, as they are hashed: JSON lines, UTF-8."""
    made = await compiled(given.accounts, facility.id, asked)
    return Response(made.encoded(), media_type="application/jsonl")


async def compiled(accounts: Accounts | None, facility: str, asked: StatementParameters) -> Statement:
    """The statement that was asked for. Raises Problem."""
    if accounts is None:
        raise Problem(503, "no accounts", "ledger", "an aggregator that keeps a ledger", "none")
    span = asked.checked()
    try:
        return await run_in_threadpool(
            accounts.statement, facility, asked.profile, span.from_ms, span.to_ms, asked.as_of
        )
    except CannotCompile as error:
        thing, _, said = str(error).partition(": expected ")
        expected, _, seen = said.rpartition(", got ")
        raise Problem(422, "no such statement", thing, expected, seen) from error
    except (LedgerBusy, RegistryRefused, sqlite3.Error) as error:
        raise Problem(503, "try again", "ledger", "an answer in time", str(error)) from error


def price_asked(price_per_t: str | None, currency: str | None, source: str | None) -> CarbonPrice | None:
    """The carbon price that a question gives; None where it gives none. Raises Problem."""
    try:
        return price_given(price_per_t, currency, source)
    except ValueError as error:
        _, _, said = str(error).partition(": expected ")
        expected, _, seen = said.rpartition(", got ")
        thing = "price_per_t, price_currency, price_source"
        raise Problem(422, "no such price", thing, expected, seen) from error


def _answer(made: Statement, costs: Iterable[Costs], *, with_lines: bool) -> StatementAnswer:
    coverage = made.coverage
    return StatementAnswer(
        facility=made.facility,
        profile=made.profile,
        from_ms=made.from_ms,
        to_ms=made.to_ms,
        as_of_ms=made.as_of_ms,
        scopes_kg=_text(made.kg()),
        kg={counts.value: _text(made.kg(counts)) for counts in Counts if any(made.of(counts))},
        complete=made.complete,
        coverage=CoverageAnswer(
            expected=coverage.expected,
            covered=coverage.covered,
            substituted=coverage.substituted,
            provisional=coverage.provisional,
        ),
        uncertainty=_uncertainty(made),
        costs=[_costs(of) for of in costs],
        notes=list(made.notes),
        sha256=made.sha256,
        lines=[plain(line) for line in made.lines] if with_lines else None,
    )


def _costs(of: Costs) -> CostsAnswer:
    prices = [
        PriceAnswer(
            price_per_t=f"{used.price.price_per_t:f}",
            source=used.price.source,
            valid_from_ms=used.price.valid_from_ms,
            valid_to_ms=used.price.valid_to_ms,
            priced_kg=_text(used.priced_kg),
            cost=_text(used.cost),
        )
        for used in of.prices
    ]
    rows = [
        CostAnswer(
            counts=row.counts,
            kg=_text(row.kg),
            priced_kg=_text(row.priced_kg),
            cost=_text(row.cost),
            complete=row.complete,
            provisional=row.provisional,
        )
        for row in of.rows
    ]
    return CostsAnswer(currency=of.currency, prices=prices, rows=rows)


def _uncertainty(made: Statement) -> UncertaintyAnswer | None:
    found = uncertainty_of(made)
    if found is None:
        return None
    return UncertaintyAnswer(
        kg=f"{found.kg:.9f}",
        percent=None if found.percent is None else f"{found.percent:.9f}",
        independent_kg=f"{found.independent_kg:.9f}",
        meter_kg=f"{found.meter_kg:.9f}",
        factor_kg=f"{found.factor_kg:.9f}",
        unstated=list(found.unstated),
    )


def _text(kg: Decimal | None) -> str | None:
    return None if kg is None else format(kg, "f")
