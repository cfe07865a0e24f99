"""The one shape of every error that the HTTP API gives, and how errors become it. Not which errors there are."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from aggregator.stores.store import StoreRefused, StoreUnavailable

log = logging.getLogger(__name__)
_SEEN_MAX: Final = 200


class ProblemBody(BaseModel):
    """What was wrong, with which thing, what was expected and what was seen."""

    model_config = ConfigDict(extra="forbid")
    error: str
    thing: str
    expected: str
    seen: str


class Problem(Exception):
    """An answer other than 200. `retry_after_s` tells the caller when to come back."""

    def __init__(
        self, status: int, error: str, thing: str, expected: str, seen: object, retry_after_s: int | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.body = ProblemBody(error=error, thing=thing, expected=expected, seen=_short(seen))
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


def unknown(thing: str, seen: str, known: Sequence[str]) -> Problem:
    """404: `seen` is not among `known`."""
    listed = ", ".join(list(known)[:20]) + (", ..." if len(known) > 20 else "")
    return Problem(404, f"unknown {thing}", thing, f"one of {listed}" if known else "there is none", seen)


def _short(seen: object) -> str:
    text = seen if isinstance(seen, str) else repr(seen)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _SEEN_MAX else f"{text[: _SEEN_MAX - 3]}..."


def _answer(status: int, body: ProblemBody, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body.model_dump(), status, dict(headers or {}))


def _first_fault(error: RequestValidationError) -> ProblemBody:
    """The first fault of a request; how many there are stands in `error`."""
    faults: Sequence[Mapping[str, Any]] = error.errors()
    fault = faults[0]
    place, *path = [str(part) for part in fault["loc"]]
    thing = _short(".".join(path) if path else place)
    more = "" if len(faults) == 1 else f" (and {len(faults) - 1} more)"
    if fault["type"] == "json_invalid":
        return ProblemBody(
            error=f"bad {place}", thing=place, expected="JSON", seen=_short(fault.get("ctx", {}).get("error", ""))
        )
    if fault["type"] == "missing":
        return ProblemBody(error=f"bad {place}{more}", thing=thing, expected="a value, it is required", seen="nothing")
    if fault["type"] == "extra_forbidden":
        return ProblemBody(
            error=f"bad {place}{more}",
            thing=thing,
            expected="no such key (is it misspelt?)",
            seen=_short(fault.get("input")),
        )
    expected = str(fault["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return ProblemBody(error=f"bad {place}{more}", thing=thing, expected=expected, seen=_short(fault.get("input")))


def install(app: FastAPI) -> None:
    """Let every error of `app` leave in this one shape."""

    async def on_problem(_: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, Problem)
        return _answer(problem.status, problem.body, problem.headers)

    async def on_validation(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _answer(422, _first_fault(error))

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        expected = {404: "a path of /api/v1/openapi.json", 405: "another method"}.get(
            error.status_code, "a valid request"
        )
        body = ProblemBody(
            error=str(error.detail).lower(),
            thing="request",
            expected=expected,
            seen=_short(f"{request.method} {request.url.path}"),
        )
        return _answer(error.status_code, body, error.headers)

    async def on_store(_: Request, error: Exception) -> JSONResponse:
        body = ProblemBody(
            error="the store does not answer",
            thing="store",
            expected="a store that can be read",
            seen=_short(str(error)),
        )
        return _answer(503, body, {"Retry-After": "5"})

    async def on_fault(request: Request, error: Exception) -> JSONResponse:
        log.error("request failed path=%s", request.url.path, exc_info=error)
        body = ProblemBody(error="internal error", thing="server", expected="an answer", seen=type(error).__name__)
        return _answer(500, body)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(StoreUnavailable, on_store)
    app.add_exception_handler(StoreRefused, on_store)
    app.add_exception_handler(Exception, on_fault)
