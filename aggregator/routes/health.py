"""Whether the process lives and whether it can work now, for supervisors and load balancers."""

from fastapi import APIRouter, Response

from aggregator.metrics import exposition
from aggregator.routes.guard import Given, Reader
from aggregator.routes.query import Answer

router = APIRouter(tags=["health"])


class Healthy(Answer):
    """The process answers."""

    status: str = "ok"


class Ready(Answer):
    """Each part that must work, with None where it does and the reason where it does not."""

    ready: bool
    parts: dict[str, str | None]


@router.get("/healthz")
async def healthz() -> Healthy:
    """200 as long as the process answers."""
    return Healthy()


@router.get("/readyz", responses={503: {"model": Ready}})
def readyz(given: Given, response: Response) -> Ready:
    """200 where the store takes readings and the broker is connected, else 503 with what does not."""
    parts = dict(given.ready())
    ready = all(reason is None for reason in parts.values())
    if not ready:
        response.status_code = 503
    return Ready(ready=ready, parts=parts)


@router.get("/metrics", dependencies=[Reader], response_class=Response)
def metrics(given: Given) -> Response:
    """Everything that is counted, in Prometheus' text format."""
    return Response(exposition(given), media_type="text/plain; version=0.0.4; charset=utf-8")
