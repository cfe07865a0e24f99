"""Edges over HTTP: whether they are there, and what of their batches arrived. Not the batches (`aggregator.ingest`)."""

from fastapi import APIRouter, Depends

from aggregator.live import state_word
from aggregator.numbering import EdgeFigures
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.query import Answer, no_parameters

router = APIRouter(
    prefix="/api/v1/facilities/{facility}/edges", tags=["edges"], dependencies=[Reader, Depends(no_parameters)]
)


class EdgeAnswer(Answer):
    """One edge. `watermark`: every batch up to this number of its newest spool is committed or named in a gap; `backlog`: batches
    that it has numbered beyond. Counts are since the aggregator's start, but for watermark and gaps. The clock is what the edge said with
    its newest batch: synchronised (null: it cannot tell), what its system was still correcting, the most that it could be off; and
    `clock_skew_ms`, from sealing to arrival by both clocks for the quickest of its last 16 live batches: far from 0, one of the clocks is wrong.
    `complete_until_ms`: everything that the edge read until then, by its clock, has come or is named as gone; null: not known since the start."""

    edge: str
    state: str
    epoch: str
    watermark: int
    backlog: int | None
    last_batch_at_ms: int | None
    batches: int
    repeated: int
    readings: int
    gaps: int
    gap_readings: int
    held: int
    refused: int
    conflicts: int
    chain_breaks: int
    forged: int
    left_out: int
    proven: bool
    unknown_key: str
    clock_synced: bool | None
    clock_offset_ms: int | None
    clock_error_ms: int | None
    clock_skew_ms: int | None
    complete_until_ms: int | None


class EdgesAnswer(Answer):
    """All edges of a facility at `at_ms` (UTC ms)."""

    facility: str
    at_ms: int
    edges: list[EdgeAnswer]


def current(given: Given, facility: str) -> dict[str, EdgeFigures]:
    """The edges of a facility, with what ingest says of them this moment."""
    figures = given.figures()
    fresh = {} if figures is None else {edge.edge: edge for edge in figures.edges if edge.facility == facility}
    return {**given.live.edges(facility), **fresh}


@router.get("")
def edges(given: Given, named: Named) -> EdgesAnswer:
    """The delivery of every edge of a facility."""
    shown = set(EdgeAnswer.model_fields) - {"state"}
    found = [
        EdgeAnswer(state=state_word(figures), **{name: getattr(figures, name) for name in shown})
        for figures in current(given, named.id).values()
    ]
    return EdgesAnswer(facility=named.id, at_ms=given.clock(), edges=found)
