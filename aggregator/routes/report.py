"""A facility's report over HTTP: page, PDF, tables, workbook, JSON, or the bundle for `wattline verify`. Not what is in it (`aggregator.reports`)."""

import sqlite3
import threading
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import Field

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.audit.leaves import NotInLog
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerError
from aggregator.reports.bundling import bundle
from aggregator.reports.exports import FORMS, export
from aggregator.reports.pdf import NoBrowser
from aggregator.reports.reporter import Reporter, Wanted
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Instant, Span
from aggregator.routes.statement import price_asked
from aggregator.services import Services
from aggregator.stores.store import StoreError

router = APIRouter(prefix="/api/v1/facilities/{facility}/report", tags=["statement"], dependencies=[Reader])

BUNDLE: Final = "zip"
_SUFFIX: Final = {"tables": "tables.zip"}
_PRINTING_S: Final = 30
_printing = threading.Lock()  # a browser takes some 300 MiB: one at a time


class ReportParameters(Span):
    """[from, to) under profiles, separated by commas, as known at `as_of` (default: now). `rounding`: also what rounding each interval would have done. `view` published: what stands published of exactly this span. `since`: of zip, the size of a noted checkpoint."""

    profile: Annotated[str, Field(max_length=200)] = "GHGP-LB"
    format: Literal["html", "pdf", "csv", "tables", "json", "xlsx", "zip"] = "html"
    language: Literal["en", "zh"] = "en"
    as_of: Instant | None = None
    rounding: bool = False
    view: Literal["latest", "published"] = "latest"
    since: Annotated[int | None, Field(ge=0, lt=1 << 62)] = None
    price_per_t: Annotated[str | None, Field(max_length=40)] = None
    price_currency: Annotated[str | None, Field(max_length=3)] = None
    price_source: Annotated[str | None, Field(max_length=500)] = None


@router.get("", response_class=Response)
async def report(given: Given, named: Named, asked: Annotated[ReportParameters, Query()]) -> Response:
    """The report as a file. 422 where the question is none; 503 where the ledger is busy, or nothing prints a PDF here."""
    asked.checked()
    if given.accounts is None:
        raise Problem(503, "no accounts", "ledger", "an aggregator that keeps a ledger", "none")
    try:
        made = await run_in_threadpool(_made, given, given.accounts, named.id, asked)
    except CannotCompile as error:
        thing, _, said = str(error).partition(": expected ")
        expected, _, seen = said.rpartition(", got ")
        raise Problem(422, "no such report", thing, expected, seen) from error
    except NoBrowser as error:
        raise Problem(503, "cannot print", "format", "a Chromium on the server", str(error)) from error
    except NotInLog as error:
        if asked.since is not None:
            raise Problem(422, "no such report", "since", "the size of a checkpoint of this log", str(error)) from error
        raise Problem(503, "try again", "log", "a checkpoint over the runs", str(error)) from error
    except (
        LedgerError,
        RegistryRefused,
        RecordsBusy,
        RecordsRefused,
        RecordsUnusable,
        StoreError,
        sqlite3.Error,
        OSError,
    ) as error:
        raise Problem(503, "try again", "ledger", "an answer in time", str(error)) from error
    media = "application/zip" if asked.format == BUNDLE else FORMS[asked.format][0]
    name = f"{named.id}-{asked.from_ms}-{asked.to_ms}.{_SUFFIX.get(asked.format, asked.format)}"
    return Response(made, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})


def _made(given: Services, accounts: Accounts, facility: str, asked: ReportParameters) -> bytes:
    profiles = tuple(name.strip() for name in asked.profile.split(","))
    reporter = Reporter(accounts)
    report = reporter.report(
        Wanted(
            facility,
            profiles,
            asked.from_ms,
            asked.to_ms,
            asked.as_of,
            asked.rounding,
            view=asked.view,
            price=price_asked(asked.price_per_t, asked.price_currency, asked.price_source),
        )
    )
    if asked.format == BUNDLE:
        if given.audit is None:
            raise CannotCompile("format: expected an aggregator that keeps a log, got one without")
        return bundle(
            reporter,
            report,
            asked.language,
            given.audit,
            None if given.evidence is None else given.evidence.of_boundaries,
            asked.since,
        )
    if asked.format != "pdf":
        return export(report, asked.format, asked.language)
    if not _printing.acquire(timeout=_PRINTING_S):
        raise Problem(503, "try again", "format", f"a free printer within {_PRINTING_S} s", "other reports are printed")
    try:
        return export(report, asked.format, asked.language)
    finally:
        _printing.release()
