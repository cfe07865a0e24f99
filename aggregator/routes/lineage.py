"""Where a number comes from, over HTTP: a statement's line or an interval, down to readings, factor document and batches. Not how it is found (`aggregator.accounts.checks.lineage`)."""

import sqlite3
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from pydantic import Field

from aggregator.accounts.checks.lineage import Lineage, NotTraced
from aggregator.accounts.checks.lineage_told import interval_json, line_json
from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.record_file import RecordsUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerBusy
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem, unknown
from aggregator.routes.query import Instant, Parameters, Span

router = APIRouter(prefix="/api/v1/lineage", tags=["lineage"], dependencies=[Reader])
T = TypeVar("T")

Name = Annotated[str, Field(min_length=1, max_length=64)]


class IntervalParameters(Parameters):
    """The interval of a meter that holds the instant `at`."""

    facility: Name
    device: Name
    quantity: Name = "energy_import_kwh"
    at: Instant
    as_of: Instant | None = None


class LineParameters(Span):
    """The line of that number (from 0) of a statement."""

    facility: Name
    profile: Name = "GHGP-LB"
    line: Annotated[int, Field(ge=0)]
    as_of: Instant | None = None


def _traced(given: Given, facility: str, work: Callable[[Lineage], T]) -> T:
    if given.lineage is None:
        raise Problem(503, "no accounts", "ledger", "an aggregator that keeps a ledger", "none")
    if facility not in given.facilities:
        raise unknown("facility", facility, list(given.facilities))
    try:
        return work(given.lineage)
    except (NotTraced, CannotCompile) as error:
        thing, _, said = str(error).partition(": expected ")
        expected, _, seen = said.rpartition(", got ")
        raise Problem(422, "no such value", thing, expected, seen) from error
    except (LedgerBusy, RegistryRefused, RecordsUnusable, sqlite3.Error) as error:
        raise Problem(503, "try again", "ledger", "an answer in time", str(error), 5) from error


@router.get("/interval")
def interval(given: Given, asked: Annotated[IntervalParameters, Query()]) -> dict[str, Any]:
    """An interval's energy: its versions, the counter at both ends, the readings around them and their batches, the multiplier."""
    where = (asked.facility, asked.device, asked.quantity, asked.at, asked.as_of)
    return _traced(given, asked.facility, lambda lineage: interval_json(lineage.interval(*where)))


@router.get("/line")
def line(given: Given, asked: Annotated[LineParameters, Query()]) -> dict[str, Any]:
    """A statement's line: its factor with the document, its intervals, and the counter where they begin and end."""
    span = asked.checked()
    where = (asked.facility, asked.profile, (span.from_ms, span.to_ms), asked.as_of, asked.line)
    return _traced(given, asked.facility, lambda lineage: line_json(lineage.line(*where)))
