"""The live feed over HTTP: server-sent events and the same state once. Not the feed itself (`aggregator.feed`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from aggregator.feed import FeedFull
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.problem import Problem
from aggregator.routes.query import Parameters

router = APIRouter(prefix="/api/v1/facilities/{facility}/live", tags=["live"], dependencies=[Reader])
_WRITE_TIMEOUT_S: Final = 30  # a viewer that takes nothing for so long is let go
_RETRY_AFTER_S: Final = 10


class LiveParameters(Parameters):
    """`rate`: seconds between frames; 5 and 10 are for metered links."""

    rate: Literal["1", "5", "10"] = "1"


class EventStream(Response):
    """Writes events as they come; each write waits for the socket, so nothing piles up here."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (the signature of ASGI)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        writer = asyncio.create_task(self._write(send), name="live-writer")
        gone = asyncio.create_task(_gone(receive), name="live-gone")
        try:
            await asyncio.wait({writer, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writer, gone):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await writer
            with contextlib.suppress(asyncio.CancelledError):
                await gone

    async def _write(self, send: Send) -> None:
        try:
            async for chunk in self._events:
                async with asyncio.timeout(_WRITE_TIMEOUT_S):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            if hasattr(self._events, "aclose"):
                await self._events.aclose()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@router.get(
    "",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}, 503: {"description": "too many viewers"}},
)
async def live(
    given: Given,
    named: Named,
    wanted: Annotated[LiveParameters, Query()],
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> Response:
    """Events `snapshot` (everything; first unless resumed), `delta` (merge; null deletes), `alarm`, `bye`, and pings as comments."""
    try:
        events = given.feed.enter(named.id, int(wanted.rate), last_event_id)
    except FeedFull as error:
        raise Problem(503, str(error), "live feed", "a free place", given.feed.viewers, _RETRY_AFTER_S) from error
    return EventStream(events)


@router.get("/snapshot", response_class=Response)
async def snapshot(given: Given, named: Named) -> Response:
    """The state that the feed would start with, once."""
    return Response(given.feed.snapshot(named.id), media_type="application/json", headers={"cache-control": "no-store"})
