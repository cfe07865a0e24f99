"""Edges over HTTP: whether they are there, and what of their batches arrived. Not the batches (`aggregator.ingest`)."""

from fastapi import APIRouter, Depends

from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.query import Answer, no_parameters

router = APIRouter(
    prefix="/api/v1/facilities/{facility}/edges", tags=["edges"], dependencies=[Reader, Depends(no_parameters)]
)


class EdgeAnswer(Answer):
    """One edge; counts are of batches. `watermark`: everything up to this number arrived or is a named gap."""

    edge: str
    state: str
    last_contact_ms: int | None
    watermark: int | None
    backlog: int | None
    gaps: int
    held: int
    refused: int
    conflicts: int


class EdgesAnswer(Answer):
    """All edges of a facility at `at_ms` (UTC ms)."""

    facility: str
    at_ms: int
    edges: list[EdgeAnswer]


@router.get("")
async def edges(given: Given, named: Named) -> EdgesAnswer:
    """The delivery of every edge of a facility."""
    found = [
        EdgeAnswer(
            edge=name,
            state="unknown" if state.online is None else "online" if state.online else "offline",
            last_contact_ms=state.contact_at_ms,
            watermark=state.watermark,
            backlog=state.backlog,
            gaps=state.gaps,
            held=state.held,
            refused=state.refused,
            conflicts=state.conflicts,
        )
        for name, state in {**given.live.edges(named.id), **given.edges(named.id)}.items()
    ]
    return EdgesAnswer(facility=named.id, at_ms=given.clock(), edges=found)
