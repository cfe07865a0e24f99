"""Events over HTTP: what edges and their devices have told, as they told it. Not the alarms of the aggregator (`aggregator.routes.alarms`)."""

from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Query
from pydantic import Field, JsonValue

from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.query import Answer, Span
from aggregator.sessions import masked

router = APIRouter(prefix="/api/v1/facilities/{facility}/events", tags=["events"], dependencies=[Reader])

EVENTS_MAX: Final = 1_000
_HIDDEN: Final = "id_tag"  # names a person or a card


class EventParameters(Span):
    """Events of [from, to), of one kind and device or of all; the newest `limit` of them."""

    kind: Annotated[str | None, Field(max_length=64)] = None
    device: Annotated[str | None, Field(max_length=64)] = None
    limit: Annotated[int, Field(ge=1, le=EVENTS_MAX)] = 200


class EventEntry(Answer):
    """One event: `device` is empty where it is the edge's own; `body` by its kind (docs/events.md)."""

    id: str
    at_ms: int
    edge: str
    device: str
    kind: str
    body: dict[str, JsonValue]


class EventsAnswer(Answer):
    """Newest first. `complete` is false where the span has more than `limit`: ask again with `to` at the last one's `at_ms` + 1."""

    facility: str
    events: list[EventEntry]
    complete: bool


@router.get("")
def events(given: Given, named: Named, wanted: Annotated[EventParameters, Query()]) -> EventsAnswer:
    """What has happened at a facility. An id tag that its edge has not hashed is masked."""
    span = wanted.checked()
    found = given.store.events(named.id, span.from_ms, span.to_ms, wanted.kind, wanted.device, newest=wanted.limit + 1)
    entries = [
        EventEntry(
            id=stored.event.id,
            at_ms=stored.event.at_ms,
            edge=stored.edge,
            device=stored.event.device,
            kind=stored.event.kind,
            body=cast("dict[str, JsonValue]", _without_names(dict(stored.event.body))),
        )
        for stored in reversed(found)
    ]
    return EventsAnswer(facility=named.id, events=entries[: wanted.limit], complete=len(entries) <= wanted.limit)


def _without_names(body: dict[str, Any]) -> dict[str, Any]:
    tag = body.get(_HIDDEN)
    return body if tag is None else {**body, _HIDDEN: masked(str(tag))}
