"""A facility's statement over HTTP: sums by where they count, their coverage, and the lines. Not how it is compiled (`aggregator.accounts`)."""

import sqlite3
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import Field

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.line import Counts
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


class StatementAnswer(Answer):
    """`kg`: exact decimal text by where lines count, null where nothing has a figure; `scopes_kg` is the sum of scopes. `sha256` is of the canonical lines."""

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
    notes: list[str]
    sha256: str
    lines: list[dict[str, Any]]


@router.get("", response_model=StatementAnswer)
async def statement(given: Given, facility: Named, asked: Annotated[StatementParameters, Query()]) -> StatementAnswer:
    """What the span comes to. 422 where the question is none; 503 where the ledger is busy."""
    return _answer(await compiled(given.accounts, facility.id, asked))


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


def _answer(made: Statement) -> StatementAnswer:
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
        notes=list(made.notes),
        sha256=made.sha256,
        lines=[plain(line) for line in made.lines],
    )


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
