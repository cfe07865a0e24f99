"""The sampling queue over HTTP: draw, look, say what was found. Not how it is drawn (`aggregator.accounts.checks.samples`)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, TypeVar

from fastapi import APIRouter, Body, Depends
from pydantic import Field

from aggregator.accounts.checks.samples import Draw, Result, Sample, Samples
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused
from aggregator.ledger import LedgerBusy
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Instant, no_parameters

router = APIRouter(
    prefix="/api/v1/facilities/{facility}/samples", tags=["samples"], dependencies=[Depends(no_parameters)]
)
T = TypeVar("T")

DecimalText = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?$", description="decimal text")]
Words = Annotated[str, Field(max_length=2000)]
Name = Annotated[str, Field(max_length=100)]


class DrawBody(Answer):
    """`percent` of the final intervals that start in [from_ms, to_ms), of one device or of all. Without `seed` one is made up and kept."""

    from_ms: Instant
    to_ms: Instant
    percent: DecimalText
    device: Annotated[str, Field(max_length=64)] = ""
    seed: Annotated[str, Field(max_length=64)] = ""
    by: Name = ""


class CheckBody(Answer):
    """What was found of a sample; `found_kwh`: what it should be."""

    sample: int
    result: Result
    found_kwh: DecimalText | None = None
    note: Words = ""
    evidence: Words
    by: Name = ""


class CheckAnswer(Answer):
    """The last word on a sample."""

    result: str
    found_kwh: str | None
    note: str
    evidence: str
    by: str
    checked_at_ms: int


class SampleAnswer(Answer):
    """An interval as it stood when it was drawn; `check` null: it waits."""

    sample: int
    device: str
    quantity: str
    start_ms: int
    end_ms: int
    version: int
    energy_kwh: str
    quality: str
    reason: str
    check: CheckAnswer | None


class DrawAnswer(Answer):
    """A draw with what was found so far. `differing_percent`: of those that could be told, null where none was."""

    draw: int
    device: str
    from_ms: int
    to_ms: int
    percent: str
    seed: str
    population: int
    population_sha256: str
    by: str
    drawn_at_ms: int
    waiting: int
    agreeing: int
    differing: int
    not_told: int
    differing_percent: str | None
    samples: list[SampleAnswer]


class DrawsAnswer(Answer):
    """All draws of a facility."""

    facility: str
    draws: list[DrawAnswer]


def _kept(given: Given) -> Samples:
    if given.samples is None:
        raise Problem(503, "no samples", "records", "an aggregator that keeps records", "none")
    return given.samples


Kept = Annotated[Samples, Depends(_kept)]


def _refusing(work: Callable[[], T]) -> T:
    try:
        return work()
    except RecordsRefused as error:
        thing, _, said = error.faults[0].partition(": expected ")
        expected, _, seen = said.rpartition(", got ")
        raise Problem(422, "not taken", thing, expected or said, seen or "nothing") from error
    except (LedgerBusy, RecordsBusy) as error:
        raise Problem(503, "try again", "records", "records that can be written", str(error), 5) from error


@router.get("", dependencies=[Reader])
def draws(kept: Kept, named: Named) -> DrawsAnswer:
    """Every draw with its samples and what was found."""
    found = _refusing(lambda: kept.draws(named.id))
    return DrawsAnswer(facility=named.id, draws=[_draw(each) for each in found])


@router.post("", status_code=201)
def draw(given: Given, kept: Kept, named: Named, author: Writing, body: Annotated[DrawBody, Body()]) -> DrawAnswer:
    """Draw intervals for people to check."""
    author.must("enter")
    by, span = author.named(body.by), (body.from_ms, body.to_ms)
    now_ms, ledger = given.clock(), given.books.ledger
    percent = Decimal(body.percent)
    return _draw(_refusing(lambda: kept.draw(ledger, named.id, span, percent, by, now_ms, body.device, body.seed)))


@router.post("/checks", status_code=201)
def check(given: Given, kept: Kept, named: Named, author: Writing, body: Annotated[CheckBody, Body()]) -> SampleAnswer:
    """Say what was found of a sample."""
    author.must("enter")
    by, now_ms = author.named(body.by), given.clock()
    found_kwh = None if body.found_kwh is None else Decimal(body.found_kwh)
    said = (named.id, body.sample, body.result, found_kwh, body.note, body.evidence, by, now_ms)
    return _sample(_refusing(lambda: kept.check(*said)))


def _draw(found: Draw) -> DrawAnswer:
    return DrawAnswer(
        draw=found.no,
        device=found.device,
        from_ms=found.from_ms,
        to_ms=found.to_ms,
        percent=str(found.percent),
        seed=found.seed,
        population=found.population,
        population_sha256=found.population_sha256,
        by=found.by,
        drawn_at_ms=found.drawn_at_ms,
        waiting=found.number(None),
        agreeing=found.number("agrees"),
        differing=found.number("differs"),
        not_told=found.number("cannot_tell"),
        differing_percent=None if found.differing_percent is None else str(found.differing_percent),
        samples=[_sample(each) for each in found.samples],
    )


def _sample(found: Sample) -> SampleAnswer:
    last = found.check
    return SampleAnswer(
        sample=found.no,
        device=found.device,
        quantity=found.quantity,
        start_ms=found.start_ms,
        end_ms=found.end_ms,
        version=found.version,
        energy_kwh=format(found.energy_kwh, "f"),
        quality=found.quality,
        reason=found.reason,
        check=None
        if last is None
        else CheckAnswer(
            result=last.result,
            found_kwh=None if last.found_kwh is None else format(last.found_kwh, "f"),
            note=last.note,
            evidence=last.evidence,
            by=last.by,
            checked_at_ms=last.checked_at_ms,
        ),
    )
