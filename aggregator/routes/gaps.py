"""Intervals that nobody has measured, over HTTP: which, what they are estimated at, and POST to enter that. Not the rules (`aggregator.accounts.gaps`)."""

from collections.abc import Iterator
from typing import Annotated, Final

from fastapi import APIRouter, Body, Depends, Query
from pydantic import Field

from aggregator.accounts.gaps.doubtful import Doubtful, doubtful
from aggregator.accounts.gaps.gaps import Gap, fill, gaps
from aggregator.facility import Facility
from aggregator.ledger import Ledger, LedgerBusy
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem, unknown
from aggregator.routes.query import Answer, Instant, Span, no_parameters

router = APIRouter(prefix="/api/v1/facilities/{facility}/gaps", tags=["gaps"])

LONGEST_MS: Final = 100 * 86_400_000
MOST_INTERVALS: Final = 100_000  # of one answer


class GapParameters(Span):
    """Gaps of [from, to), of one device or of all."""

    device: Annotated[str | None, Field(max_length=64)] = None


class FillBody(Answer):
    """What to enter the estimates of: a span, and one device or all."""

    from_ms: Instant
    to_ms: Instant
    device: Annotated[str | None, Field(max_length=64)] = None


class EstimateAnswer(Answer):
    """One interval: its estimate in the quantity's unit, null where no rule gives any; then `rule` says why."""

    start_ms: int
    energy: str | None
    rule: str


class GapAnswer(Answer):
    """[from_ms, to_ms) without a figure. `open`: nothing has come since. `energy`: of the intervals that have an estimate."""

    device: str
    quantity: str
    from_ms: int
    to_ms: int
    open: bool
    energy: str | None
    rules: list[str]
    estimates: list[EstimateAnswer]


class DoubtfulAnswer(Answer):
    """An energy that cannot be: beyond what the line can carry, or (`counted`) other than its counter's readings of the same time say."""

    device: str
    quantity: str
    start_ms: int
    end_ms: int
    source: str
    energy: str
    least: str
    most: str
    counted: bool


class GapsAnswer(Answer):
    """What was found. `entered`: how many estimates are new or changed; 0 where none were asked for."""

    facility: str
    gaps: list[GapAnswer]
    doubtful: list[DoubtfulAnswer]
    intervals: int
    without_estimate: int
    entered: int


@router.get("", dependencies=[Reader])
def list_gaps(given: Given, named: Named, wanted: Annotated[GapParameters, Query()]) -> GapsAnswer:
    """What ended a day ago and has no figure, and energies that cannot be. Nothing is entered."""
    return _answered(given, named, wanted, enter=False)


@router.post("", status_code=201, dependencies=[Depends(no_parameters)])
def fill_gaps(given: Given, named: Named, author: Writing, body: Annotated[FillBody, Body()]) -> GapsAnswer:
    """Enter the estimates of a span (right `enter`). Measured figures take their place when they come; a published span keeps its figure."""
    author.must("enter")
    wanted = GapParameters.model_validate({"from": body.from_ms, "to": body.to_ms, "device": body.device})
    return _answered(given, named, wanted, enter=True)


def _answered(given: Given, named: Facility, wanted: GapParameters, *, enter: bool) -> GapsAnswer:
    wanted.checked(LONGEST_MS)
    if wanted.device is not None and named.meter(wanted.device) is None:
        raise unknown("device", wanted.device, [meter.device for meter in named.meters])
    ledger = given.books.ledger
    try:
        found = list(_bounded(gaps(ledger, named, wanted.from_ms, wanted.to_ms, given.clock()), wanted))
        wrong = list(_of_device(ledger, named, wanted))
        entered = sum(len(one.intervals) for one in fill(given.books, named, found)) if enter else 0
    except LedgerBusy as error:
        raise Problem(503, "try again", "ledger", "an answer in time", str(error), 5) from error
    return GapsAnswer(
        facility=named.id,
        gaps=[_gap(gap) for gap in found],
        doubtful=wrong,
        intervals=sum(len(gap.estimates) for gap in found),
        without_estimate=sum(one.energy is None for gap in found for one in gap.estimates),
        entered=entered,
    )


def _bounded(found: Iterator[Gap], wanted: GapParameters) -> Iterator[Gap]:
    """Those of the device that was asked for. Raises Problem where they are too many."""
    intervals = 0
    for gap in found:
        if wanted.device in {None, gap.device}:
            intervals += len(gap.estimates)
            if intervals > MOST_INTERVALS:
                expected = f"at most {MOST_INTERVALS} intervals without a figure: a shorter span, or one device"
                raise Problem(422, "too many intervals", "to", expected, wanted.to_ms)
            yield gap


def _of_device(ledger: Ledger, named: Facility, wanted: GapParameters) -> Iterator[DoubtfulAnswer]:
    for one in doubtful(ledger, named, wanted.from_ms, wanted.to_ms):
        if wanted.device in {None, one.row.device}:
            yield _doubtful(one)


def _gap(gap: Gap) -> GapAnswer:
    return GapAnswer(
        device=gap.device,
        quantity=gap.quantity,
        from_ms=gap.from_ms,
        to_ms=gap.to_ms,
        open=gap.open,
        energy=None if gap.energy is None else f"{gap.energy:f}",
        rules=list(gap.rules),
        estimates=[
            EstimateAnswer(
                start_ms=one.start_ms, energy=None if one.energy is None else f"{one.energy:f}", rule=one.rule
            )
            for one in gap.estimates
        ],
    )


def _doubtful(one: Doubtful) -> DoubtfulAnswer:
    row = one.row
    return DoubtfulAnswer(
        device=row.device,
        quantity=row.quantity,
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        source=row.source,
        energy=f"{row.energy_kwh:f}",
        least=f"{one.least.normalize():f}",
        most=f"{one.most.normalize():f}",
        counted=one.counted,
    )
