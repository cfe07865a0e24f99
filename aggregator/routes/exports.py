"""A statement in the form of a regime, and per product, over HTTP. Not the forms (`aggregator.regimes`)."""

import sqlite3
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import Field

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.record_file import RecordsBusy, RecordsUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerBusy
from aggregator.regimes.exporter import FORMATS, Wanted, export, products
from aggregator.regimes.form import CannotExport, Export
from aggregator.regimes.pact import Company
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Instant, Span

router = APIRouter(prefix="/api/v1/facilities/{facility}", tags=["exports"], dependencies=[Reader])


class FormParameters(Span):
    """[from, to) as known at `as_of` (default: now)."""

    as_of: Instant | None = None
    format: Literal["csv", "json"] = "json"


class ProductParameters(FormParameters):
    """`profile`: whose factors count."""

    profile: Annotated[str, Field(max_length=32)] = "GHGP-LB"


class ExportParameters(FormParameters):
    """`profile`: CN-GBT, CBAM, PACT or GHGP. For PACT: `factors` (a profile), the company, and when what was sent earlier was known."""

    profile: Annotated[str, Field(max_length=32)]
    factors: Annotated[str, Field(max_length=32)] = "GHGP-LB"
    company: Annotated[str, Field(max_length=200)] = ""
    company_urn: Annotated[str, Field(max_length=200)] = ""
    sent: Instant | None = None


@router.get("/export")
async def exported(given: Given, facility: Named, asked: Annotated[ExportParameters, Query()]) -> Response:
    """The statement in the form of a regime. 422 where it cannot be exported."""
    span, company = asked.checked(), Company(asked.company, asked.company_urn)
    wanted = Wanted(facility.id, span.from_ms, span.to_ms, asked.as_of, asked.factors, company, asked.sent)
    return await _answer(given.accounts, asked.format, lambda accounts: export(accounts, asked.profile, wanted))


@router.get("/products")
async def per_product(given: Given, facility: Named, asked: Annotated[ProductParameters, Query()]) -> Response:
    """Emissions and electricity per product and per floor area."""
    span = asked.checked()
    wanted = Wanted(facility.id, span.from_ms, span.to_ms, asked.as_of, asked.profile)
    return await _answer(given.accounts, asked.format, lambda accounts: products(accounts, wanted))


async def _answer(accounts: Accounts | None, form: str, work: Callable[[Accounts], Export]) -> Response:
    if accounts is None:
        raise Problem(503, "no accounts", "ledger", "an aggregator that keeps a ledger", "none")
    try:
        made = await run_in_threadpool(work, accounts)
    except (CannotCompile, CannotExport) as error:
        thing, _, said = str(error).partition(": expected ")
        expected, _, seen = said.rpartition(", got ")
        raise Problem(422, "cannot be exported", thing, expected, seen) from error
    except (LedgerBusy, RecordsBusy, RecordsUnusable, RegistryRefused, sqlite3.Error) as error:
        raise Problem(503, "try again", "ledger", "an answer in time", str(error), 5) from error
    media_type, content = FORMATS[form]
    return Response(content(made), media_type=media_type)
