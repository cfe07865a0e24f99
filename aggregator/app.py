"""The HTTP application and its server. Not what it serves (`aggregator.routes`) nor the objects behind it (`aggregator.services`)."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware

from aggregator.routes import (
    activities,
    alarms,
    audit_log,
    catalogue,
    challenges,
    counter_changes,
    demand_response,
    edge_carbon,
    edges,
    event_reports,
    events,
    evidence,
    exports,
    facilities,
    factors,
    figures,
    flexibility,
    footprint,
    forecasts,
    gaps,
    hand_readings,
    health,
    imports,
    late,
    lineage,
    live,
    measures,
    meter_tree,
    overrides,
    plans,
    portfolio,
    problem,
    readings,
    report,
    runs,
    samples,
    session,
    sessions,
    set_points,
    statement,
)
from aggregator.routes.guard import Guard, Sessions
from aggregator.services import Services

WEB: Final = Path(__file__).parent / "web"
_STOP_S: Final = 2  # open streams are told to end; whoever does not is cut off after this


def create_app(services: Services) -> FastAPI:
    """The application over these services. Its live feed runs while the application does."""

    @contextlib.asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        ticking = asyncio.create_task(services.feed.run(), name="feed")
        try:
            yield
        finally:
            services.feed.close()
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking

    app = FastAPI(
        title="Wattline",
        summary="Readings, interval energies and emissions of facilities",
        version="1",
        lifespan=running,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its scripts come from another origin
        redoc_url=None,
        responses={"4XX": {"model": problem.ProblemBody}, "5XX": {"model": problem.ProblemBody}},
    )
    app.state.services = services
    app.state.sessions = Sessions()
    app.state.importing = asyncio.Lock()
    problem.install(app)
    for routes in (
        facilities,
        readings,
        figures,
        factors,
        imports,
        live,
        alarms,
        edge_carbon,
        edges,
        events,
        counter_changes,
        gaps,
        hand_readings,
        late,
        set_points,
        meter_tree,
        sessions,
        runs,
        statement,
        activities,
        exports,
        lineage,
        samples,
        catalogue,
        challenges,
        report,
        audit_log,
        evidence,
        forecasts,
        demand_response,
        event_reports,
        overrides,
        plans,
        portfolio,
        flexibility,
        footprint,
        measures,
        session,
        health,
    ):
        app.include_router(routes.router)
    app.mount("/static", StaticFiles(directory=WEB), name="static")

    @app.get("/", include_in_schema=False)
    async def overview() -> FileResponse:
        return FileResponse(WEB / "index.html", headers={"cache-control": "no-cache"})

    @app.get("/outlook", include_in_schema=False)
    async def outlook_page() -> FileResponse:
        return FileResponse(WEB / "outlook.html", headers={"cache-control": "no-cache"})

    @app.get("/accounts", include_in_schema=False)
    async def accounts_page() -> FileResponse:
        return FileResponse(WEB / "accounts.html", headers={"cache-control": "no-cache"})

    @app.get("/flexibility", include_in_schema=False)
    async def flexibility_page() -> FileResponse:
        return FileResponse(WEB / "flexibility.html", headers={"cache-control": "no-cache"})

    @app.get("/readings", include_in_schema=False)
    async def hand_readings_page() -> FileResponse:
        return FileResponse(WEB / "readings.html", headers={"cache-control": "no-cache"})

    app.add_middleware(GZipMiddleware, minimum_size=2000)
    app.add_middleware(Guard, allowed_hosts=services.http.allowed_hosts)
    return app


class _Server(uvicorn.Server):
    """Leaves signals to the program that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(services: Services, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve until `stop` is set; `ready` is told the address. Open streams end with `bye`, then the server within 2 s.

    Raises OSError naming host and port where the address cannot be taken.
    """
    http = services.http
    try:
        listener = socket.create_server(
            (http.host, http.port), family=socket.AF_INET6 if ":" in http.host else socket.AF_INET, backlog=512
        )
    except OSError as error:
        raise OSError(f"http: cannot listen on {http.host} port {http.port}: {error.strerror or error}") from error
    with listener:
        config = uvicorn.Config(
            create_app(services),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP_S,
            timeout_keep_alive=30,
            ws="none",
        )
        server = _Server(config)
        host = f"[{http.host}]" if ":" in http.host else http.host
        ready(f"http://{host}:{listener.getsockname()[1]}")
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        stopping = asyncio.create_task(stop.wait(), name="http-stop")
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            # uvicorn waits for open responses before it ends the application, so the streams must be told first.
            services.feed.close()
            server.should_exit = True
            await serving
