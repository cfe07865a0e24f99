"""A browser's session: the token is given once and becomes a cookie that scripts cannot read."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import Field

from aggregator.person import person_of
from aggregator.routes.guard import COOKIE, SESSION_S, Given, Sessions, from_our_page, token_matches
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, no_parameters

router = APIRouter(prefix="/api/v1/session", tags=["session"])


class Credentials(Answer):
    """The server's token, or a person's."""

    token: Annotated[str, Field(min_length=1, max_length=1000)]


class SessionAnswer(Answer):
    """How long the session lasts, and whose it is (null: the server token's)."""

    seconds: int
    person: str | None


@router.post("", dependencies=[Depends(from_our_page), Depends(no_parameters)])
async def start(
    request: Request, response: Response, given: Given, credentials: Annotated[Credentials, Body()]
) -> SessionAnswer:
    """Exchange the token for a session cookie; 401 where it is not the token."""
    person = person_of(credentials.token, given.persons)
    if person is None and not token_matches(given, credentials.token):
        raise Problem(401, "wrong token", "token", "the server's WATTLINE_TOKEN or a person's token", "another text")
    sessions: Sessions = request.app.state.sessions
    response.set_cookie(
        COOKIE,
        sessions.start(given.clock(), person),
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return SessionAnswer(seconds=SESSION_S, person=None if person is None else person.name)
