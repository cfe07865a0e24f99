"""Demand-response events over HTTP: asked for, answered, watched, settled. Not what becomes of them (`aggregator.flexibility.events`)."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from pydantic import Field

from aggregator.accounts.record_file import RecordsBusy, RecordsRefused
from aggregator.flexibility.events.bundle import NotProvenYet, bundle
from aggregator.flexibility.events.conduct import Conduct
from aggregator.flexibility.events.delivery import Delivery, Slice
from aggregator.flexibility.events.event import DemandResponse
from aggregator.flexibility.events.logged import take_up_events
from aggregator.flexibility.problem import Currency
from aggregator.ledger import LedgerBusy
from aggregator.routes.audit_log import log_of
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem
from aggregator.routes.query import LATEST_MS, Answer, Instant, Parameters, no_parameters
from aggregator.services import Services

router = APIRouter(prefix="/api/v1/facilities/{facility}/demand-response", tags=["demand response"])
T = TypeVar("T")

Words = Annotated[str, Field(max_length=300)]
Name = Annotated[str, Field(max_length=100)]
Price = Annotated[float, Field(ge=0, le=1e6)]
Percent = Annotated[float, Field(ge=0, le=1000)]
EventId = Annotated[str, Path(alias="event", pattern=r"^DR-[1-9][0-9]{0,17}$")]
_OURS: Final = ("operator", "http", "command")


class EventBody(Answer):
    """Net import `target_kw` below (down) or above (up) the baseline over [from_ms, to_ms). What is left out is the facility's policy.

    The same `source` and `external_id` again, before the begin: a modification, which is answered anew. `priority` 0 is the highest.
    """

    from_ms: Instant
    to_ms: Instant
    target_kw: Annotated[float, Field(gt=0, lt=1e6)]
    direction: Literal["down", "up"] = "down"
    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")] = "http"
    external_id: Annotated[str, Field(max_length=128)] = ""
    priority: Annotated[int, Field(ge=0, le=1000)] = 0
    deadline_ms: Instant | None = None
    meters: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=50)] = []
    rules: Annotated[str, Field(max_length=64)] | None = None
    pay_per_kwh: Price | None = None
    penalty_per_kwh: Price | None = None
    dead_band_percent: Percent | None = None
    cap_percent: Percent | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    note: Words = ""
    by: Name = ""


class SayBody(Answer):
    """An answer to an event, and why; `from_ms`: of an opt-out that begins later than now."""

    reason: Words = ""
    from_ms: Instant | None = None
    by: Name = ""


class StepAnswer(Answer):
    """A state that it came to, by whom and why."""

    state: str
    version: int
    by: str
    reason: str
    at_ms: int
    detail: dict[str, Any]


class SliceAnswer(Answer):
    """One interval: mean kW so far, `whole` once it is over and measured; null where nobody knows."""

    start_ms: int
    baseline_kw: float | None
    metered_kw: float | None
    delivered_kwh: float | None
    target_kwh: float
    whole: bool


class DeliveryAnswer(Answer):
    """As it stands. `expected_kwh`: at the end, if what is delivered now goes on; `after`: the hours after it, for the rebound."""

    slices: list[SliceAnswer]
    after: list[SliceAnswer]
    delivered_kwh: float
    due_kwh: float
    target_kwh: float
    expected_kwh: float | None
    short_percent: float | None
    note: str


class EventAnswer(Answer):
    """An event and where it stands."""

    id: str
    facility: str
    version: int
    state: str
    source: str
    external_id: str
    priority: int
    direction: str
    from_ms: int
    to_ms: int
    until_ms: int
    target_kw: float
    deadline_ms: int
    meters: list[str]
    rules: str
    rules_source: str
    terms: dict[str, float]
    currency: str
    note: str
    by: str
    received_at_ms: int
    firm_kw: float | None
    opt_out: str
    steps: list[StepAnswer]
    delivered_kwh: float | None
    money: Currency | None


class EventsAnswer(Answer):
    """Events of a facility, the latest begin last."""

    facility: str
    at_ms: int
    events: list[EventAnswer]


class CommitmentAnswer(Answer):
    """What was fixed at the notice; `index`: of its leaf in the audit log, null until it is there."""

    number: int
    index: int | None
    at_ms: int
    leaf: dict[str, Any]


class SettlementAnswer(Answer):
    """One settlement; a later one takes its place when intervals were restated or the rebound is known."""

    number: int
    index: int | None
    at_ms: int
    result: dict[str, Any]


class TracedAnswer(Answer):
    """A plan, a schedule, an edge's answer, a set-point or an asset's power that moved; `after_s` since acceptance, of the last two since the begin."""

    kind: str
    at_ms: int
    id: str
    text: str
    after_s: float | None


class OneEventAnswer(EventAnswer):
    """An event from notice to settlement, with everything that happened for it."""

    commitment: CommitmentAnswer | None
    trace: list[TracedAnswer]
    delivery: DeliveryAnswer
    settlements: list[SettlementAnswer]


class EventsParameters(Parameters):
    """Events that touch [from, to); default: all."""

    from_ms: Annotated[Instant, Field(alias="from")] = 0
    to_ms: Annotated[Instant, Field(alias="to")] = LATEST_MS
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


def conduct_of(given: Given) -> Conduct:
    """Who looks after events. 503 where nobody does."""
    if given.conduct is None:
        raise Problem(503, "no demand response", "records", "an aggregator that keeps records", "none")
    return given.conduct


Conducted = Annotated[Conduct, Depends(conduct_of)]


def kept(work: Callable[[], T]) -> T:
    """What `work` gives; refusals of the record and busy files as problems."""
    try:
        return work()
    except RecordsRefused as error:
        thing, _, rest = error.faults[0].partition(": expected ")
        expected, _, seen = rest.rpartition(", ")
        raise Problem(
            422, "refused", thing, expected or rest, seen.removeprefix("got ") if expected else "something else"
        ) from error
    except (RecordsBusy, LedgerBusy) as error:
        raise Problem(503, "not kept", "records", "files that can be read and written", str(error), 5) from error


def event_of(conduct: Conducted, named: Named, event: EventId) -> DemandResponse:
    """The event of the path. 404 where the facility has none of that id."""
    try:
        found = conduct.record.event(int(event.removeprefix("DR-")))
    except RecordsRefused as error:
        raise Problem(404, "unknown event", "event", f"an event of {named.id}", event) from error
    if found.said.facility != named.id:
        raise Problem(404, "unknown event", "event", f"an event of {named.id}", event)
    return found


Asked = Annotated[DemandResponse, Depends(event_of)]


@router.post("", status_code=201, dependencies=[Depends(no_parameters)])
def ask(
    given: Given, conduct: Conducted, author: Writing, named: Named, body: Annotated[EventBody, Body()]
) -> EventAnswer:
    """An event is received: what it is settled by is fixed in the log at once, and the policy answers where it can."""
    author.must("operate")
    by = author.named(body.by, "operator")
    wanted = body.model_dump(exclude_none=True, exclude={"by", "source"})
    made = kept(lambda: conduct.ask(conduct.said(named, body.source, by, wanted)))
    if given.audit is not None:
        take_up_events(conduct.record, given.audit)
    return told(conduct, made)


@router.get("", dependencies=[Reader])
def events(
    given: Given, conduct: Conducted, named: Named, wanted: Annotated[EventsParameters, Query()]
) -> EventsAnswer:
    """Events of a facility."""
    found = kept(lambda: conduct.record.events(named.id, wanted.from_ms, wanted.to_ms, wanted.limit))
    return EventsAnswer(facility=named.id, at_ms=given.clock(), events=[told(conduct, event) for event in found])


@router.get("/{event}", dependencies=[Reader, Depends(no_parameters)])
def one(given: Given, conduct: Conducted, asked: Asked) -> OneEventAnswer:
    """An event from notice to settlement."""
    delivery = kept(lambda: conduct.measuring.delivery(asked))
    commitment = kept(lambda: conduct.record.commitment(asked.no, asked.version))
    settlements = kept(lambda: conduct.record.settlements(asked.no))
    return OneEventAnswer(
        **told(conduct, asked).model_dump(),
        commitment=None
        if commitment is None
        else CommitmentAnswer(
            number=commitment.no, index=_index(given, "commitment", commitment.no), at_ms=commitment.at_ms, leaf=json.loads(commitment.leaf)
        ),
        trace=[
            TracedAnswer(kind=each.kind, at_ms=each.at_ms, id=each.id, text=each.text, after_s=each.after_s)
            for each in kept(lambda: conduct.measuring.trace(asked))
        ],
        delivery=_delivery(delivery),
        settlements=[
            SettlementAnswer(number=each.no, index=_index(given, "settlement", each.no), at_ms=each.at_ms, result=json.loads(each.result))
            for each in settlements
        ],
    )  # fmt: skip


@router.get("/{event}/bundle", dependencies=[Reader, Depends(no_parameters)], response_class=Response)
def proof(given: Given, conduct: Conducted, asked: Asked) -> Response:
    """The event as a zip file for `wattline verify`: what was fixed at its notice, and what it was settled to."""
    log = log_of(given)
    take_up_events(conduct.record, log)
    try:
        raw = kept(lambda: bundle(conduct.record, log, asked))
    except NotProvenYet as error:
        raise Problem(
            409, "not signed yet", "event", "a commitment under a checkpoint, one comes each minute", str(error), 60
        ) from error
    name = f'attachment; filename="{asked.said.facility}-{asked.id}.zip"'
    return Response(raw, media_type="application/zip", headers={"content-disposition": name})


@router.post("/{event}/{answer}", dependencies=[Depends(no_parameters)])
def say(
    conduct: Conducted, author: Writing, asked: Asked, answer: Literal["accept", "decline", "opt-out", "cancel"], body: Annotated[SayBody, Body()]
) -> EventAnswer:  # fmt: skip
    """Accept it, decline it, opt out of it with a reason (whole, or from an instant on), or take it back."""
    author.must("operate")
    by = author.named(body.by, "operator")
    if answer == "accept":
        made = kept(lambda: conduct.accept(asked.no, by, body.reason))
    elif answer == "decline":
        made = kept(lambda: conduct.decline(asked.no, by, body.reason))
    elif answer == "opt-out":
        made = kept(lambda: conduct.opt_out(asked.no, body.from_ms, by, body.reason))
    else:
        made = kept(lambda: conduct.cancel(asked.no, by, body.reason))
    return told(conduct, made)


def told(conduct: Conduct, event: DemandResponse) -> EventAnswer:
    """An event as the API gives it."""
    said = event.said
    settled = event.last("settled")
    commitment = conduct.record.commitment(event.no, event.version)
    firm = None if commitment is None else json.loads(commitment.leaf)["firm"]
    return EventAnswer(
        id=event.id, facility=said.facility, version=event.version, state=event.state, source=said.source, external_id=said.external_id,
        priority=said.priority, direction=said.direction, from_ms=said.from_ms, to_ms=said.to_ms, until_ms=event.until_ms, target_kw=said.target_kw,
        deadline_ms=said.deadline_ms, meters=said.meters, rules=said.rules.name, rules_source=said.rules.source,
        terms={name: getattr(said.terms, name) for name in ("pay_per_kwh", "penalty_per_kwh", "dead_band_percent", "cap_percent")},
        currency=said.currency, note=said.note, by=said.by, received_at_ms=event.received_at_ms, firm_kw=None if firm is None else firm["kw"],
        opt_out=event.opt_out,
        steps=[
            StepAnswer(state=step.state, version=step.version, by=step.by, reason=step.reason, at_ms=step.at_ms, detail=step.detail)
            for step in event.steps
        ],
        delivered_kwh=None if settled is None else settled.detail["delivered_kwh"], money=None if settled is None else settled.detail["money"],
    )  # fmt: skip


def _delivery(found: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer(
        slices=[_slice(each) for each in found.slices], after=[_slice(each) for each in found.after], delivered_kwh=found.delivered_kwh,
        due_kwh=found.due_kwh, target_kwh=found.target_kwh, expected_kwh=found.expected_kwh, short_percent=found.short_percent, note=found.note,
    )  # fmt: skip


def _slice(each: Slice) -> SliceAnswer:
    return SliceAnswer(
        start_ms=each.start_ms, baseline_kw=each.baseline_kw, metered_kw=each.metered_kw, delivered_kwh=each.delivered_kwh,
        target_kwh=each.target_kwh, whole=each.whole,
    )  # fmt: skip


def _index(given: Services, kind: str, number: int) -> int | None:
    if given.audit is None:
        return None
    try:
        return given.audit.record(kind, number).index
    except LookupError:
        return None
