"""What happened to counters over HTTP: found by the algebra, decided by people. Not how a decision is applied (`aggregator.overruling`)."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Body, Depends, Query
from pydantic import Field, model_validator

from aggregator.decision_book import Decided
from aggregator.intervals.counter import CounterEvent
from aggregator.intervals.decision import Decision, Said, Unfit
from aggregator.ledger import LedgerBusy
from aggregator.overruling import Change, Overlapping, Overruling, Ruling, TooMany
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem, unknown
from aggregator.routes.query import Answer, Instant, Span, no_parameters
from aggregator.services import Services
from aggregator.stores.store import SeriesKey

router = APIRouter(prefix="/api/v1/facilities/{facility}/counter-changes", tags=["counter changes"])

LONGEST_MS: Final = 10 * 366 * 86_400_000

Text = Annotated[str, Field(min_length=1, max_length=64)]
Kwh = Annotated[str, Field(pattern=r"^[0-9]{1,15}(\.[0-9]{1,9})?$", description="displayed kWh, decimal text")]


class ChangeParameters(Span):
    """Changes of [from, to), of one device or of all."""

    device: Annotated[str | None, Field(max_length=64)] = None


class DecisionBody(Answer):
    """What a change is said to be. `at_ms`: its first reading, or any instant after the last reading before it."""

    device: Text
    quantity: Text = "energy_import_kwh"
    edge: Text | None = None  # the meter's own where it is missing; "import" for imported counter readings
    at_ms: Instant
    change: Literal["no_change", "rollover", "reset", "exchange", "glitch", "automatic"]
    modulus_kwh: Kwh | None = None
    old_last_kwh: Kwh | None = None
    new_first_kwh: Kwh | None = None
    until_ms: Instant | None = None
    reason: Annotated[str, Field(min_length=1, max_length=2000)]
    evidence: Annotated[str, Field(max_length=2000)] = ""  # what shows it: a photo, a work order
    by: Annotated[str, Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _said(self) -> "DecisionBody":
        for name in ("reason", "by"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} in words, not blanks alone")
        return self


class SeenAnswer(Answer):
    """The readings on both sides, in displayed kWh, and the kWh that were booked from one to the other; null: none, or as counted."""

    before_ms: int
    before_kwh: str
    after_kwh: str
    booked_kwh: str | None


class ChangeAnswer(SeenAnswer):
    """What the counter algebra found. `overruled`: a decision stands in its place; `withdrawn`: other readings have changed its mind."""

    edge: str
    device: str
    quantity: str
    at_ms: int
    change: str
    state: Literal["stands", "overruled", "withdrawn"]


class DecisionAnswer(Answer):
    """What a person has said. `waiting`: not settled yet, or it does not fit readings that came later; `seen` once it is in force."""

    id: int
    edge: str
    device: str
    quantity: str
    at_ms: int
    change: str
    modulus_kwh: str | None
    old_last_kwh: str | None
    new_first_kwh: str | None
    until_ms: int | None
    reason: str
    evidence: str
    by: str
    decided_at_ms: int
    state: Literal["in_force", "waiting", "superseded"]
    superseded_by: int | None
    seen: SeenAnswer | None


class ChangesAnswer(Answer):
    """What was found, and what was decided; each ordered by instant."""

    facility: str
    changes: list[ChangeAnswer]
    decisions: list[DecisionAnswer]


def _overruling(given: Services) -> Overruling:
    if given.overruling is None:
        raise Problem(503, "nothing is settled", "settlement", "an aggregator that settles", "one that does not", 60)
    return given.overruling


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _seen(event: CounterEvent) -> SeenAnswer:
    return SeenAnswer(
        before_ms=event.before_ms,
        before_kwh=format(event.before, "f"),
        after_kwh=format(event.after, "f"),
        booked_kwh=_text(event.substituted_kwh),
    )


def _change(change: Change) -> ChangeAnswer:
    series, event = change.series, change.event
    return ChangeAnswer(
        edge=series.edge,
        device=series.device,
        quantity=series.quantity,
        at_ms=event.at_ms,
        change=event.change.value,
        state=change.state,
        **_seen(event).model_dump(),
    )


def _decision(ruling: Ruling) -> DecisionAnswer:
    entry: Decided = ruling.decided
    said = entry.decision
    return DecisionAnswer(
        id=entry.id,
        edge=entry.series.edge,
        device=entry.series.device,
        quantity=entry.series.quantity,
        at_ms=said.at_ms,
        change=said.said.value,
        modulus_kwh=_text(said.modulus),
        old_last_kwh=_text(said.old_last),
        new_first_kwh=_text(said.new_first),
        until_ms=said.until_ms,
        reason=entry.reason,
        evidence=entry.evidence,
        by=entry.by,
        decided_at_ms=entry.decided_at_ms,
        state=ruling.state,
        superseded_by=entry.superseded_by,
        seen=None if ruling.applied is None else _seen(ruling.applied),
    )


@router.get("", dependencies=[Reader])
def changes(given: Given, named: Named, wanted: Annotated[ChangeParameters, Query()]) -> ChangesAnswer:
    """Every rollover, reset, glitch, jump and exchange of a facility's counters with the readings on both sides, and every decision."""
    span = wanted.checked(LONGEST_MS)
    if wanted.device is not None and named.meter(wanted.device) is None:
        raise unknown("device", wanted.device, [meter.device for meter in named.meters])
    try:
        found = _overruling(given).forensics(named.id, span.from_ms, span.to_ms, wanted.device)
    except TooMany as error:
        raise Problem(422, "too many changes", "to", "a shorter span, or one device", span.to_ms) from error
    return ChangesAnswer(
        facility=named.id,
        changes=[_change(change) for change in found.changes],
        decisions=[_decision(ruling) for ruling in found.rulings],
    )


@router.post("", status_code=201, dependencies=[Depends(no_parameters)])
def decide(given: Given, named: Named, author: Writing, body: Annotated[DecisionBody, Body()]) -> DecisionAnswer:
    """Say what a change was (right `enter`). Intervals and emissions from there on are settled again within seconds; final ones get a new version."""
    author.must("enter")
    by = author.named(body.by)
    meter = named.meter(body.device)
    if meter is None:
        raise unknown("device", body.device, [other.device for other in named.meters])
    series = SeriesKey(named.id, body.edge or meter.edge, body.device, body.quantity)
    try:
        decision = Decision(
            body.at_ms,
            Said(body.change),
            _decimal(body.modulus_kwh),
            _decimal(body.old_last_kwh),
            _decimal(body.new_first_kwh),
            body.until_ms,
        )
        ruling = _overruling(given).decide(series, decision, body.reason, by, body.evidence)
    except Unfit as error:
        seen = "nothing" if error.seen is None else error.seen
        raise Problem(422, "decision does not fit", error.thing, error.expected, str(seen)) from error
    except Overlapping as error:
        other = f"{error.other.said.value} at {error.other.at_ms}"
        expected = "an instant, or a span, without another decision: say automatic there first"
        raise Problem(409, "another decision stands there", error.thing, expected, other) from error
    except LedgerBusy as error:
        raise Problem(503, "not decided", "ledger", "a ledger that can be written", str(error), 5) from error
    return _decision(ruling)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
