"""Evidence over HTTP: a facility's sealed batches as a bundle for `wattline verify`. Makes nothing of it itself."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from aggregator.audit.export import NothingKept, TooMuch
from aggregator.audit.log import NotInLog
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Span

router = APIRouter(prefix="/api/v1/facilities/{facility}/evidence", tags=["log"], dependencies=[Reader])


class EvidenceParameters(Span):
    """Batches sealed in [from, to): all, or of each edge the first of every `every_s` seconds; `since`: the size of a noted checkpoint."""

    every_s: Annotated[int, Field(ge=0, le=86_400)] = 0
    since: Annotated[int | None, Field(ge=0, lt=1 << 62)] = None


@router.get("", response_class=Response)
def evidence(given: Given, named: Named, wanted: Annotated[EvidenceParameters, Query()]) -> Response:
    """A zip file with the sealed batches, their proofs and the checkpoint. 404 where none of the span is kept."""
    span = wanted.checked()
    if given.evidence is None:
        raise Problem(404, "no log", "log", "an aggregator that ingests", "one that keeps no log")
    try:
        bundle = given.evidence.bundle(named.id, span.from_ms, span.to_ms, 1000 * wanted.every_s, wanted.since)
    except NothingKept as error:
        raise Problem(404, "no evidence", "from", "a span with batches in the archive", str(error)) from error
    except NotInLog as error:
        raise Problem(422, "bad query", "since", "the size of a checkpoint of this log", str(error)) from error
    except TooMuch as error:
        raise Problem(422, "too many batches", "every_s", "a shorter span, or every_s", str(error)) from error
    name = f"{named.id}-{span.from_ms}-{span.to_ms}.zip"
    return Response(
        bundle, media_type="application/zip", headers={"content-disposition": f'attachment; filename="{name}"'}
    )
