"""Reports of events over HTTP: what is expected to lack, as it was told at once. Makes none (`aggregator.flexibility.events.reporting`)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from aggregator.flexibility.events.reporting import Report
from aggregator.routes.demand_response import Asked, Conducted, kept
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.query import Answer, Parameters, no_parameters

router = APIRouter(prefix="/api/v1/facilities/{facility}", tags=["demand response"], dependencies=[Reader])


class ReportAnswer(Answer):
    """A report; `kind` shortfall: more than a tenth is expected to lack at the end; recovered: no more than a twentieth any more. `content`: the figures of then."""

    number: int
    event: str
    version: int
    kind: str
    at_ms: int
    content: dict[str, Any]


class ReportsAnswer(Answer):
    """In the order in which they were made; `source` and `external_id` of an event stand with the event."""

    facility: str
    at_ms: int
    reports: list[ReportAnswer]


class AfterParameters(Parameters):
    """`after`: the highest number that is known already."""

    after: Annotated[int, Field(ge=0, lt=2**53)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


@router.get("/demand-response/{event}/reports", dependencies=[Depends(no_parameters)])
def of_event(given: Given, conduct: Conducted, named: Named, asked: Asked) -> ReportsAnswer:
    """What was reported of an event while it ran."""
    found = kept(lambda: conduct.reports.of(asked))
    return ReportsAnswer(facility=named.id, at_ms=given.clock(), reports=[_told(one) for one in found])


@router.get("/response-reports")
def after(given: Given, conduct: Conducted, named: Named, wanted: Annotated[AfterParameters, Query()]) -> ReportsAnswer:
    """Reports of all events of a facility that a program has not read yet."""
    found = kept(lambda: conduct.reports.after(named.id, wanted.after, wanted.limit))
    return ReportsAnswer(facility=named.id, at_ms=given.clock(), reports=[_told(one) for one in found])


def _told(one: Report) -> ReportAnswer:
    return ReportAnswer(
        number=one.no, event=one.event, version=one.version, kind=one.kind, at_ms=one.at_ms, content=one.content
    )
