"""Who may read and write over HTTP, and the headers that every answer carries. Not the users themselves (there are none yet: one token).

A program sends `Authorization: Bearer <token>`. The page cannot put a header on its event stream, so it exchanges the token for a session
cookie. Every write also needs the header `X-Wattline-Write`, which no foreign page can send without being asked by us first.
"""

import hmac
import secrets
from collections import OrderedDict
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.routes.problem import Problem, ProblemBody
from aggregator.services import Services

COOKIE: Final = "wattline_session"
WRITE_HEADER: Final = "X-Wattline-Write"
SESSION_S: Final = 12 * 3600
_SESSIONS_MAX: Final = 1000
MAX_BODY_BYTES: Final = 64 << 20  # nine months of quarter-hours in CSV are 1.3 MB
_CSP: Final = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Sessions:
    """Sessions of browsers: random names in memory, gone with the process."""

    def __init__(self) -> None:
        self._until_ms: OrderedDict[str, int] = OrderedDict()

    def start(self, now_ms: int) -> str:
        """The name of a new session; the oldest one ends when there are too many."""
        name = secrets.token_urlsafe(32)
        self._until_ms[name] = now_ms + SESSION_S * 1000
        while len(self._until_ms) > _SESSIONS_MAX:
            self._until_ms.popitem(last=False)
        return name

    def holds(self, name: str | None, now_ms: int) -> bool:
        """Whether this session was started and has not ended."""
        until_ms = self._until_ms.get(name or "")
        return until_ms is not None and now_ms < until_ms


def services(request: Request) -> Services:
    """The services that `create_app` was given."""
    found: Services = request.app.state.services
    return found


Given = Annotated[Services, Depends(services)]


def token_matches(given: Services, token: str) -> bool:
    """Whether this is the server's token, in a time that does not tell how much of it is right."""
    return given.http.token is not None and hmac.compare_digest(token.encode(), given.http.token.encode())


def _known(request: Request, given: Services) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token_matches(given, token.strip()):
        return True
    sessions: Sessions = request.app.state.sessions
    return sessions.holds(request.cookies.get(COOKIE), given.clock())


def _who_are_you() -> Problem:
    return Problem(401, "token needed", "Authorization", "Bearer <WATTLINE_TOKEN>, or a session", "neither of them")


def may_read(request: Request, given: Given) -> None:
    """401 where reads need a token and this request has none."""
    if not given.http.open_reads and not _known(request, given):
        raise _who_are_you()


def from_our_page(request: Request) -> None:
    """403 where a browser sends this for another site's page."""
    if WRITE_HEADER not in request.headers:
        raise Problem(403, "header needed", WRITE_HEADER, "the header, with any value", "nothing")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Problem(403, "request of another site", "Origin", str(request.headers.get("host")), origin)


def may_write(request: Request, given: Given) -> None:
    """403 or 401 where this request may not change anything. Without a token only a server on loopback takes writes."""
    from_our_page(request)
    if given.http.token is None:
        if not given.http.loopback:
            raise Problem(403, "writes are closed", "WATTLINE_TOKEN", "a token in the server's environment", "nothing")
        return
    if not _known(request, given):
        raise _who_are_you()


Reader = Depends(may_read)
Writer = Depends(may_write)


class Guard:
    """Outermost: refuses foreign host names and large bodies, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, allowed_hosts: tuple[str, ...]) -> None:
        self._app = app
        self._hosts = frozenset(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                outgoing = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    outgoing[name] = value
            await send(message)

        host = urlsplit(f"//{headers.get('host', '')}").hostname if _plausible(headers.get("host", "")) else None
        length = headers.get("content-length", "0")
        if self._hosts and host not in self._hosts:
            body = ProblemBody(
                error="unknown host",
                thing="Host",
                expected=", ".join(sorted(self._hosts)),
                seen=headers.get("host", "")[:100],
            )
            await _refuse(400, body, guarded)
        elif not (length.isascii() and length.isdigit()) or int(length) > MAX_BODY_BYTES:
            body = ProblemBody(
                error="body too large",
                thing="Content-Length",
                expected=f"at most {MAX_BODY_BYTES} bytes",
                seen=length[:20],
            )
            await _refuse(413, body, guarded)
        else:
            await self._app(scope, _bounded(receive), guarded)


def _plausible(host: str) -> bool:
    return host.isascii() and host.count("[") == host.count("]") <= 1


def _bounded(receive: Receive) -> Receive:
    """`receive` that ends a chunked body which grows beyond the limit, as if the sender had gone."""
    total = 0

    async def bounded() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        return {"type": "http.disconnect"} if total > MAX_BODY_BYTES else message

    return bounded


async def _refuse(status: int, body: ProblemBody, send: Send) -> None:
    text = body.model_dump_json().encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
