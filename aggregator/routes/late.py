"""What came late, over HTTP: until when each gateway is complete, and what has changed in published periods. Not the restatement (`runs`)."""

from fastapi import APIRouter, Depends

from aggregator.accounts.record_file import RecordsBusy
from aggregator.accounts.runs.late import ClosedSpan, LateChange, closed_spans, late_changes
from aggregator.ledger import LedgerBusy
from aggregator.routes.edges import current
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, no_parameters

router = APIRouter(
    prefix="/api/v1/facilities/{facility}/late", tags=["late data"], dependencies=[Reader, Depends(no_parameters)]
)


class CompleteAnswer(Answer):
    """Everything that the gateway read until `complete_until_ms` has come or is named as gone; null: not known since the start."""

    edge: str
    complete_until_ms: int | None
    backlog: int | None


class ChangeAnswer(Answer):
    """Intervals of one counter that are no longer what was published: kWh then and now, null where there was or is none."""

    device: str
    quantity: str
    intervals: int
    first_ms: int
    last_ms: int
    then_kwh: str | None
    now_kwh: str | None
    recorded_from_ms: int
    recorded_to_ms: int


class ClosedAnswer(Answer):
    """A published span that needs a restatement."""

    publication: int
    profile: str
    from_ms: int
    to_ms: int
    as_of_ms: int
    changes: list[ChangeAnswer]


class LateAnswer(Answer):
    """Of one facility."""

    facility: str
    edges: list[CompleteAnswer]
    closed: list[ClosedAnswer]


@router.get("")
def late(given: Given, named: Named) -> LateAnswer:
    """Until when it is complete, and which published spans no longer say what the ledger says."""
    edges = [
        CompleteAnswer(edge=name, complete_until_ms=figures.complete_until_ms, backlog=figures.backlog)
        for name, figures in sorted(current(given, named.id).items())
    ]
    try:
        spans = [] if given.runs is None else closed_spans(given.runs, named.id)
        found = [(span, late_changes(given.books.ledger, span)) for span in spans]
    except (LedgerBusy, RecordsBusy) as error:
        raise Problem(503, "try again", "ledger", "an answer in time", str(error), 5) from error
    return LateAnswer(
        facility=named.id, edges=edges, closed=[_closed(span, changes) for span, changes in found if changes]
    )


def _closed(span: ClosedSpan, changes: list[LateChange]) -> ClosedAnswer:
    return ClosedAnswer(
        publication=span.publication,
        profile=span.profile,
        from_ms=span.from_ms,
        to_ms=span.to_ms,
        as_of_ms=span.as_of_ms,
        changes=[
            ChangeAnswer(
                device=each.device,
                quantity=each.quantity,
                intervals=each.intervals,
                first_ms=each.first_ms,
                last_ms=each.last_ms,
                then_kwh=None if each.then_kwh is None else format(each.then_kwh, "f"),
                now_kwh=None if each.now_kwh is None else format(each.now_kwh, "f"),
                recorded_from_ms=each.recorded_from_ms,
                recorded_to_ms=each.recorded_to_ms,
            )
            for each in changes
        ],
    )
