"""Alarms over HTTP: listed, and acknowledged by a person. Not when they are raised (`aggregator.watch`)."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Path, Query
from pydantic import Field

from aggregator.alarms import Alarm, AlreadyAcknowledged, UnknownAlarm
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Instant, Parameters, no_parameters

router = APIRouter(prefix="/api/v1", tags=["alarms"])


class AlarmAnswer(Answer):
    """One alarm; its text is `code` with `arguments`. State by ISA-18.2: unack, ack, rtn, normal."""

    id: str
    facility: str
    source: str
    code: str
    arguments: list[str]
    priority: int
    state: Literal["unack", "ack", "rtn", "normal"]
    raised_at_ms: int
    cleared_at_ms: int | None
    acknowledged_at_ms: int | None
    acknowledged_by: str
    note: str


class AlarmsAnswer(Answer):
    """Alarms of a facility: open ones, or those raised since an instant."""

    facility: str
    alarms: list[AlarmAnswer]


class AlarmParameters(Parameters):
    """Without `since` the open alarms, most urgent first; with it all raised since then, newest first."""

    since: Instant | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 200


class Acknowledgement(Answer):
    """Who took the alarm and what they said of it."""

    by: Annotated[str, Field(max_length=100)] = ""
    note: Annotated[str, Field(max_length=1000)] = ""


def _answer(alarm: Alarm) -> AlarmAnswer:
    return AlarmAnswer(
        id=alarm.id,
        facility=alarm.facility,
        source=alarm.source,
        code=alarm.code,
        arguments=list(alarm.arguments),
        priority=alarm.priority,
        state=alarm.state.value,
        raised_at_ms=alarm.raised_at_ms,
        cleared_at_ms=alarm.cleared_at_ms,
        acknowledged_at_ms=alarm.acknowledged_at_ms,
        acknowledged_by=alarm.acknowledged_by,
        note=alarm.note,
    )


@router.get("/facilities/{facility}/alarms", dependencies=[Reader])
def alarms(given: Given, named: Named, wanted: Annotated[AlarmParameters, Query()]) -> AlarmsAnswer:
    """Open alarms, or the history since an instant."""
    if wanted.since is None:
        found = given.alarms.open(named.id)[: wanted.limit]
    else:
        found = list(given.alarms.history(named.id, wanted.since, wanted.limit))
    return AlarmsAnswer(facility=named.id, alarms=[_answer(alarm) for alarm in found])


@router.post("/alarms/{alarm}/acknowledge", dependencies=[Depends(no_parameters)])
def acknowledge(
    given: Given,
    author: Writing,
    alarm_id: Annotated[str, Path(alias="alarm", max_length=64)],
    said: Annotated[Acknowledgement, Body()],
) -> AlarmAnswer:
    """Take an alarm. It appears in the feed of all viewers; 409 where somebody was first."""
    author.must("operate")
    try:
        return _answer(given.alarms.acknowledge(alarm_id, author.named(said.by, "operator"), said.note))
    except UnknownAlarm as error:
        raise Problem(404, "unknown alarm", "alarm", "the id of an open alarm", alarm_id) from error
    except AlreadyAcknowledged as error:
        raise Problem(409, "already acknowledged", "alarm", "an alarm that nobody has taken", str(error)) from error
