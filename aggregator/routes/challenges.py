"""Doubts about a figure over HTTP: anybody who may read may raise one, people of the facility answer. Not where they are kept (`aggregator.accounts.checks.challenges`)."""

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Body, Depends, Path
from pydantic import Field

from aggregator.accounts.checks.challenges import A_DAY, Challenge, Challenges, TooMany
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing, from_our_page
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, no_parameters

router = APIRouter(
    prefix="/api/v1/facilities/{facility}/challenges", tags=["challenges"], dependencies=[Depends(no_parameters)]
)
T = TypeVar("T")

Words = Annotated[str, Field(max_length=2000)]


class ChallengeBody(Answer):
    """`about`: which figure, of when; `contact`: how to reach you, if you want to be asked; it is not shown."""

    about: Words
    text: Words
    contact: Annotated[str, Field(max_length=200)] = ""


class AnswerBody(Answer):
    """`looked_into`: not decided yet; `upheld`: the figure was wrong; `rejected`: it stands."""

    state: Literal["looked_into", "upheld", "rejected"]
    text: Words
    by: Annotated[str, Field(max_length=100)] = ""


class ChallengeAnswer(Answer):
    """A doubt and the last answer; `state` open while there is none."""

    challenge: int
    about: str
    text: str
    received_at_ms: int
    state: str
    answer: str
    by: str
    answered_at_ms: int | None


class ChallengesAnswer(Answer):
    """Of a facility, the newest first."""

    facility: str
    challenges: list[ChallengeAnswer]


def _kept(given: Given) -> Challenges:
    if given.challenges is None:
        raise Problem(503, "no records", "records", "an aggregator that keeps records", "none")
    return given.challenges


Kept = Annotated[Challenges, Depends(_kept)]


def _refusing(work: Callable[[], T]) -> T:
    try:
        return work()
    except RecordsRefused as error:
        thing, _, said = error.faults[0].partition(": expected ")
        expected, _, seen = said.rpartition(", got ")
        status = 404 if thing == "challenge" else 422
        raise Problem(status, "not taken", thing, expected, seen) from error
    except TooMany as error:
        raise Problem(429, "too many", "challenges", f"at most {A_DAY} a day", "more", 3600) from error
    except RecordsBusy as error:
        raise Problem(503, "try again", "records", "records that can be written", str(error), 5) from error


@router.get("", dependencies=[Reader])
def challenges(kept: Kept, named: Named) -> ChallengesAnswer:
    """Every doubt and what was answered; who raised it is not shown."""
    found = _refusing(lambda: kept.all(named.id))
    return ChallengesAnswer(facility=named.id, challenges=[_answer(each) for each in found])


@router.post("", status_code=201, dependencies=[Reader, Depends(from_our_page)])
def challenge(given: Given, kept: Kept, named: Named, body: Annotated[ChallengeBody, Body()]) -> ChallengeAnswer:
    """Raise a doubt. It needs no right but that to read."""
    now_ms = given.clock()
    return _answer(_refusing(lambda: kept.add(named.id, body.about, body.text, body.contact, now_ms)))


@router.post("/{number}/answers", status_code=201)
def answer(
    given: Given,
    kept: Kept,
    named: Named,
    author: Writing,
    number: Annotated[int, Path(ge=1, lt=1 << 62)],
    body: Annotated[AnswerBody, Body()],
) -> ChallengeAnswer:
    """Answer a doubt."""
    author.must("enter")
    by, now_ms = author.named(body.by), given.clock()
    return _answer(_refusing(lambda: kept.answer(named.id, number, body.state, body.text, by, now_ms)))


def _answer(found: Challenge) -> ChallengeAnswer:
    return ChallengeAnswer(
        challenge=found.no,
        about=found.about,
        text=found.text,
        received_at_ms=found.received_at_ms,
        state=found.state,
        answer=found.answer,
        by=found.by,
        answered_at_ms=found.answered_at_ms,
    )
