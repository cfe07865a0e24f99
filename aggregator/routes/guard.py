"""Who may read and write over HTTP, and the headers that every answer carries. Not the persons themselves (see `person`).

The server's token opens everything; a person's own token opens reads and, by their rights, writes in their name. A program sends `Authorization: Bearer <token>`. The page cannot put a header on its event stream, so it exchanges the token for a session
cookie. Every write also needs the header `X-Wattline-Write`, which no foreign page can send without being asked by us first.
"""

import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.emissions.second_person import same_person
from aggregator.person import Person, Right, person_of
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
    """Sessions of browsers: random names in memory, gone with the process. Each is the server token's (None) or a person's."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[int, Person | None]] = OrderedDict()

    def start(self, now_ms: int, person: Person | None = None) -> str:
        """The name of a new session; the oldest one ends when there are too many."""
        name = secrets.token_urlsafe(32)
        self._open[name] = now_ms + SESSION_S * 1000, person
        while len(self._open) > _SESSIONS_MAX:
            self._open.popitem(last=False)
        return name

    def holds(self, name: str | None, now_ms: int) -> bool:
        """Whether this session was started and has not ended."""
        until_ms, _ = self._open.get(name or "", (None, None))
        return until_ms is not None and now_ms < until_ms

    def person(self, name: str | None) -> Person | None:
        """Whose session it is."""
        return self._open.get(name or "", (0, None))[1]


def services(request: Request) -> Services:
    """The services that `create_app` was given."""
    found: Services = request.app.state.services
    return found


Given = Annotated[Services, Depends(services)]


def token_matches(given: Services, token: str) -> bool:
    """Whether this is the server's token, in a time that does not tell how much of it is right."""
    return given.http.token is not None and hmac.compare_digest(token.encode(), given.http.token.encode())


def person_asking(request: Request, given: Services) -> Person | None:
    """The person whose token or session this request carries."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return person_of(token.strip(), given.persons)
    sessions: Sessions = request.app.state.sessions
    cookie = request.cookies.get(COOKIE)
    return sessions.person(cookie) if sessions.holds(cookie, given.clock()) else None


def _known(request: Request, given: Services) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token_matches(given, token.strip()):
        return True
    sessions: Sessions = request.app.state.sessions
    return sessions.holds(request.cookies.get(COOKIE), given.clock()) or person_asking(request, given) is not None


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
    if given.http.token is None and person_asking(request, given) is None:
        if not given.http.loopback:
            raise Problem(403, "writes are closed", "WATTLINE_TOKEN", "a token in the server's environment", "nothing")
        return
    if not _known(request, given):
        raise _who_are_you()


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes: a person of the settings, or whoever holds the server's token (None) and then says who they are."""

    person: Person | None
    persons: tuple[Person, ...] = ()  # that the settings name
    by_server_token: bool = False

    def named(self, by: str = "", otherwise: str = "") -> str:
        """The name that goes on record; `by` is what the request says, `otherwise` stands where nobody says anything. Raises Problem."""
        said = by.strip() or (otherwise if self.person is None else "")
        if self.person is None:
            if not said:
                raise Problem(422, "author needed", "by", "the name of who does this", "nothing")
            if any(same_person(said, each.name) for each in self.persons):
                raise Problem(
                    403, "a person needed", "by", f"{said}'s own token, or another name", f"{said} without it"
                )
            return said
        if said not in {"", self.person.name}:
            raise Problem(403, "another name", "by", f"{self.person.name}, whose token this is", said)
        return self.person.name

    def must(self, right: Right) -> None:
        """403 where the person has not this right. Once the settings name persons, only they approve, and to enter takes their token or the server's.

        Raises Problem.
        """
        if self.person is not None and right not in self.person.may:
            raise Problem(403, "not allowed", "may", right, ", ".join(self.person.may) or "nothing")
        if self.person is not None or not self.persons:
            return
        if right == "approve" or (right == "enter" and not self.by_server_token):
            seen = "the server's" if self.by_server_token else "none"
            raise Problem(403, "a person needed", "Authorization", f"the token of a person who may {right}", seen)


def author(request: Request, given: Given) -> Author:
    """Who writes, once `may_write` has let the request through. Raises Problem."""
    may_write(request, given)  # with a server's token, who is no person has shown that one
    return Author(person_asking(request, given), tuple(given.persons), given.http.token is not None)


Reader = Depends(may_read)
Writer = Depends(may_write)
Writing = Annotated[Author, Depends(author)]


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
