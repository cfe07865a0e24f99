"""The edges' provisional kg beside the books' over HTTP. Not the comparison (`aggregator.edge_carbon`)."""

from collections import Counter
from decimal import Decimal
from typing import Annotated, Final

from fastapi import APIRouter, Query

from aggregator.edge_carbon import Verdict
from aggregator.ledger import LedgerError
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Span
from aggregator.stores.store import StoreError

router = APIRouter(prefix="/api/v1/facilities/{facility}", tags=["edge carbon"], dependencies=[Reader])
_LONGEST_MS: Final = 31 * 86_400_000


class IntervalAnswer(Answer):
    """One interval of a meter; kWh and kg are exact decimals as text, null where there is no figure."""

    edge: str
    device: str
    start_ms: int
    end_ms: int
    pack: int
    edge_kwh: str | None
    edge_kg: str | None
    book_kwh: str | None
    book_kg: str | None
    verdict: Verdict
    why: str


class EdgeCarbonAnswer(Answer):
    """Every figure that edges have told of intervals that end in [from, to), with how many agree."""

    facility: str
    from_ms: int
    to_ms: int
    verdicts: dict[Verdict, int]
    intervals: list[IntervalAnswer]


@router.get("/edge-carbon")
def edge_carbon(given: Given, named: Named, wanted: Annotated[Span, Query()]) -> EdgeCarbonAnswer:
    """What the gateways worked out by themselves, beside the books. 503 where store or ledger is busy."""
    wanted.checked(_LONGEST_MS)
    if given.edge_carbon is None:
        raise Problem(503, "no comparison", "edges", "an aggregator that takes batches", "none")
    try:
        found = given.edge_carbon.between(named.id, wanted.from_ms, wanted.to_ms)
    except (StoreError, LedgerError) as error:
        raise Problem(503, "try again", "store", "an answer in time", str(error)) from error
    return EdgeCarbonAnswer(
        facility=named.id,
        from_ms=wanted.from_ms,
        to_ms=wanted.to_ms,
        verdicts=Counter(each.verdict for each in found),
        intervals=[
            IntervalAnswer(
                edge=each.edge,
                device=each.device,
                start_ms=each.start_ms,
                end_ms=each.end_ms,
                pack=each.pack,
                edge_kwh=_text(each.edge_kwh),
                edge_kg=_text(each.edge_kg),
                book_kwh=_text(each.book_kwh),
                book_kg=_text(each.book_kg),
                verdict=each.verdict,
                why=each.why,
            )
            for each in found
        ],
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
