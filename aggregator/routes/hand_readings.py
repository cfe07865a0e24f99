"""Readings, interval energies and meter exchanges that people enter, over HTTP. Not what is accepted (`aggregator.accounts.by_hand.entering`)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, TypeVar

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from aggregator.accounts.by_hand.entering import Entering, Told, ToldAmount
from aggregator.accounts.by_hand.entering_csv import enter_csv
from aggregator.accounts.by_hand.readings import Entry, HandAmount
from aggregator.accounts.record_file import RecordsBusy
from aggregator.emissions.csv_table import TableRefused
from aggregator.intervals.decision import Unfit
from aggregator.ledger import LedgerBusy
from aggregator.overruling import Overlapping
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem, unknown
from aggregator.routes.query import Answer, Instant, Parameters, Span, no_parameters

router = APIRouter(prefix="/api/v1/facilities/{facility}/hand-readings", tags=["readings by hand"])

T = TypeVar("T")

Name = Annotated[str, Field(min_length=1, max_length=64)]
Kwh = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?$", description="kWh, decimal text")]
Words = Annotated[str, Field(max_length=2000)]


class HandParameters(Span):
    """What was read in [from, to), of one device or of all."""

    device: Annotated[str | None, Field(max_length=64)] = None


class EntryBody(Answer):
    """`evidence`: a photo, a sheet; `reason` where a version is corrected; `by` where the token is not a person's."""

    device: Name
    quantity: Name = "energy_import_kwh"
    evidence: Words
    reason: Words = ""
    by: Annotated[str, Field(max_length=100)] = ""


class ReadingBody(EntryBody):
    """What the display showed at an instant."""

    at_ms: Instant
    display_kwh: Kwh


class AmountBody(EntryBody):
    """The energy of one interval of the facility's length."""

    start_ms: Instant
    energy_kwh: Kwh


class WithdrawalBody(EntryBody):
    """The reading of an instant that no longer stands."""

    at_ms: Instant


class ExchangeBody(EntryBody):
    """Another meter at an instant: the old one's last display and the new one's first."""

    at_ms: Instant
    old_last_kwh: Kwh
    new_first_kwh: Kwh


class _Versioned(Answer):
    device: str
    quantity: str
    version: int
    evidence: str
    reason: str
    by: str
    entered_at_ms: int


class ReadingAnswer(_Versioned):
    """One version. `place`: `joins` the counter; `beside` measured readings, `off_kwh` above them, and only compared; `contradicted` by
    those around it and left out; `withdrawn`; `superseded` by a later version. `display_kwh` null: withdrawn. `restatement`: what was just entered
    changes a published span, which keeps its figure until it is restated."""

    at_ms: int
    display_kwh: str | None
    place: str
    off_kwh: str | None
    new: bool
    restatement: bool


class AmountAnswer(_Versioned):
    """One version of an interval's energy."""

    start_ms: int
    end_ms: int
    energy_kwh: str


class HandAnswer(Answer):
    """Every version, ordered by instant."""

    facility: str
    readings: list[ReadingAnswer]
    amounts: list[AmountAnswer]


class ExchangeAnswer(Answer):
    """The decision on the counter; see `counter-changes`."""

    id: int
    device: str
    quantity: str
    at_ms: int


class FileParameters(Parameters):
    """`file`: its name, for messages."""

    file: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]{1,200}$")] = "upload.csv"
    by: Annotated[str, Field(max_length=100)] = ""


class RowFaultAnswer(Answer):
    """A row that was not taken; lines are counted from 1."""

    line: int
    said: str


class FileAnswer(Answer):
    """Good `rows`, of which `new` were not known, and `bad` ones."""

    rows: int
    new: int
    bad: int
    faults: list[RowFaultAnswer]


def _entering(given: Given) -> Entering:
    if given.entering is None:
        raise Problem(503, "nothing is settled", "settlement", "an aggregator that settles", "one that does not", 60)
    return given.entering


Enter = Annotated[Entering, Depends(_entering)]


def _refusing(work: Callable[[], T]) -> T:
    """What `work` gives; its refusals as problems."""
    try:
        return work()
    except Unfit as error:
        seen = "nothing" if error.seen is None else str(error.seen)
        raise Problem(422, "not taken", error.thing, error.expected, seen) from error
    except Overlapping as error:
        other = f"{error.other.said.value} at {error.other.at_ms}"
        raise Problem(409, "a decision stands there", error.thing, "an instant without one", other) from error
    except (LedgerBusy, RecordsBusy) as error:
        raise Problem(503, "not entered", "records", "records that can be written", str(error), 5) from error


def _entry(author: Writing, body: EntryBody) -> Entry:
    author.must("enter")
    return Entry(body.evidence, author.named(body.by), body.reason)


@router.get("", dependencies=[Reader])
def listed(enter: Enter, named: Named, wanted: Annotated[HandParameters, Query()]) -> HandAnswer:
    """Every version of every reading and amount of a span, and what became of it."""
    span = wanted.checked()
    if wanted.device is not None and named.meter(wanted.device) is None:
        raise unknown("device", wanted.device, [meter.device for meter in named.meters])
    within = (named.id, wanted.device, span.from_ms, span.to_ms)
    readings, amounts = _refusing(lambda: (enter.listed(*within), enter.amounts(*within)))
    return HandAnswer(
        facility=named.id,
        readings=[_reading(told) for told in readings],
        amounts=[_amount(amount) for amount in amounts],
    )


@router.post("", status_code=201, dependencies=[Depends(no_parameters)])
def reading(enter: Enter, named: Named, author: Writing, body: Annotated[ReadingBody, Body()]) -> ReadingAnswer:
    """Enter what a display showed. What the meter cannot have counted is refused; figures follow at the next settlement."""
    entry = _entry(author, body)
    shown = (named.id, body.device, body.quantity, body.at_ms, Decimal(body.display_kwh))
    return _reading(_refusing(lambda: enter.reading(*shown, entry)))


@router.post("/withdraw", status_code=201, dependencies=[Depends(no_parameters)])
def withdraw(enter: Enter, named: Named, author: Writing, body: Annotated[WithdrawalBody, Body()]) -> ReadingAnswer:
    """A reading no longer stands; it stays on record."""
    entry = _entry(author, body)
    return _reading(_refusing(lambda: enter.withdraw(named.id, body.device, body.quantity, body.at_ms, entry)))


@router.post("/amounts", status_code=201, dependencies=[Depends(no_parameters)])
def amount(enter: Enter, named: Named, author: Writing, body: Annotated[AmountBody, Body()]) -> AmountAnswer:
    """Enter the energy of an interval that nobody measured."""
    entry = _entry(author, body)
    said = (named.id, body.device, body.quantity, body.start_ms, Decimal(body.energy_kwh))
    told: ToldAmount = _refusing(lambda: enter.amount(*said, entry))
    return _amount(told.amount)


@router.post("/exchange", status_code=201, dependencies=[Depends(no_parameters)])
def exchange(enter: Enter, named: Named, author: Writing, body: Annotated[ExchangeBody, Body()]) -> ExchangeAnswer:
    """Another meter took the place: its energy goes on from the old one's last display and the new one's first."""
    entry = _entry(author, body)
    said = (named.id, body.device, body.quantity, body.at_ms, Decimal(body.old_last_kwh), Decimal(body.new_first_kwh))
    decided = _refusing(lambda: enter.exchange(*said, entry)).decided
    return ExchangeAnswer(
        id=decided.id, device=decided.series.device, quantity=decided.series.quantity, at_ms=decided.decision.at_ms
    )


@router.post("/import", openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {}}}})
async def import_rows(
    request: Request, enter: Enter, named: Named, author: Writing, wanted: Annotated[FileParameters, Query()]
) -> FileAnswer:
    """Enter the rows of a CSV file; a faulty row stops no other, and the same file again changes nothing."""
    author.must("enter")
    by = author.named(wanted.by)
    try:
        text = (await request.body()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(422, "file unusable", "body", "CSV in UTF-8", f"byte {error.object[error.start]:#04x}") from error

    def work() -> FileAnswer:
        done = _refusing(lambda: enter_csv(enter, named.id, named.zone, text.splitlines(), wanted.file, by))
        faults = [RowFaultAnswer(line=line, said=said) for line, said in done.faults]
        return FileAnswer(rows=done.rows, new=done.new, bad=done.bad, faults=faults)

    try:
        return await run_in_threadpool(work)
    except TableRefused as error:
        raise Problem(
            422, "file unusable", "body", "rows of readings or of amounts", "; ".join(error.faults)
        ) from error


def _reading(told: Told) -> ReadingAnswer:
    kept = told.reading
    return ReadingAnswer(
        device=kept.series.device,
        quantity=kept.series.quantity,
        at_ms=kept.at_ms,
        version=kept.version,
        display_kwh=None if kept.display_kwh is None else format(kept.display_kwh, "f"),
        place=told.place,
        off_kwh=None if told.off_kwh is None else format(told.off_kwh, "f"),
        new=told.new,
        restatement=told.restatement,
        evidence=kept.entry.evidence,
        reason=kept.entry.reason,
        by=kept.entry.by,
        entered_at_ms=kept.entered_at_ms,
    )


def _amount(kept: HandAmount) -> AmountAnswer:
    return AmountAnswer(
        device=kept.device,
        quantity=kept.quantity,
        start_ms=kept.start_ms,
        end_ms=kept.end_ms,
        energy_kwh=format(kept.energy_kwh, "f"),
        version=kept.version,
        evidence=kept.entry.evidence,
        reason=kept.entry.reason,
        by=kept.entry.by,
        entered_at_ms=kept.entered_at_ms,
    )
