"""Overrides over HTTP: made with scope, reason and expiry, listed, ended. Not what the plan makes of them (`aggregator.flexibility`)."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Path
from pydantic import Field

from aggregator.flexibility.events.overrides import Override
from aggregator.routes.demand_response import Conducted, Name, Words, kept
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem
from aggregator.routes.query import LATEST_MS, Answer, Instant, no_parameters

router = APIRouter(prefix="/api/v1/facilities/{facility}/overrides", tags=["demand response"], dependencies=[Depends(no_parameters)])  # fmt: skip
OverrideId = Annotated[str, Path(alias="override", pattern=r"^OV-[1-9][0-9]{0,17}$")]


class OverrideBody(Answer):
    """leave_out: nobody steers it; hold: exactly `kw` (charging positive), an asset's; stop: 0 kW. `name`: of the asset or branch."""

    scope: Literal["asset", "branch", "facility"]
    name: Annotated[str, Field(max_length=64)] = ""
    what: Literal["leave_out", "hold", "stop"]
    kw: Annotated[float, Field(ge=-1e6, le=1e6)] | None = None
    from_ms: Instant | None = None
    until_ms: Instant
    reason: Words
    by: Name = ""


class EndBody(Answer):
    """Why it ends before its time."""

    reason: Words = ""
    by: Name = ""


class OverrideAnswer(Answer):
    """An override; `ended_by`: who ended it before its time, "" where nobody did."""

    id: str
    scope: str
    name: str
    what: str
    kw: float | None
    from_ms: int
    until_ms: int
    reason: str
    by: str
    at_ms: int
    ended_by: str


class OverridesAnswer(Answer):
    """Those that stand, now or later."""

    facility: str
    at_ms: int
    overrides: list[OverrideAnswer]


@router.get("", dependencies=[Reader])
def standing(given: Given, conduct: Conducted, named: Named) -> OverridesAnswer:
    """Overrides that stand or are still to come."""
    now_ms = given.clock()
    found = kept(lambda: conduct.overrides.of(named.id, now_ms, LATEST_MS))
    return OverridesAnswer(facility=named.id, at_ms=now_ms, overrides=[_told(one) for one in found])


@router.post("", status_code=201)
def override(
    conduct: Conducted, author: Writing, named: Named, body: Annotated[OverrideBody, Body()]
) -> OverrideAnswer:
    """Decide against the plan, for a time."""
    author.must("operate")
    by = author.named(body.by, "operator")
    return _told(kept(lambda: conduct.override(named.id, body.model_dump(), by)))


@router.post("/{override}/end")
def end(
    conduct: Conducted, author: Writing, named: Named, override: OverrideId, body: Annotated[EndBody, Body()]
) -> OverrideAnswer:
    """End one before its time."""
    author.must("operate")
    by = author.named(body.by, "operator")
    number = int(override.removeprefix("OV-"))
    if kept(lambda: conduct.overrides.facility_of(number)) != named.id:
        raise Problem(404, "unknown override", "override", f"an override of {named.id}", override)
    return _told(kept(lambda: conduct.end_override(number, by, body.reason)))


def _told(one: Override) -> OverrideAnswer:
    return OverrideAnswer(
        id=one.id, scope=one.scope, name=one.name, what=one.what, kw=one.kw, from_ms=one.from_ms, until_ms=one.until_ms, reason=one.reason, by=one.by,
        at_ms=one.at_ms, ended_by=one.ended_by,
    )  # fmt: skip
