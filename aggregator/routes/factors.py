"""Factor packs and decisions over HTTP: put on record by one person, approved or withdrawn by another. Not the registry's rules (`emissions.registry`)."""

import sqlite3
import tomllib
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from aggregator.emissions.entry import as_json
from aggregator.emissions.packfile import PackFaults, parse
from aggregator.emissions.registry import Aim, Registry, RegistryRefused
from aggregator.open_books import REGISTRY_NAME
from aggregator.routes.guard import Given, Writing
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Parameters, no_parameters

router = APIRouter(prefix="/api/v1/factors", tags=["factors"])

PACK_MOST_BYTES: Final = 4 << 20

T = TypeVar("T")


class ImportParameters(Parameters):
    """`name` of the pack, and `by` where the server's token is used."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    by: Annotated[str, Field(max_length=100)] = ""


class ImportedAnswer(Answer):
    """How many values are new, corrected, and on record already; the first two are drafts."""

    new: int
    corrected: int
    unchanged: int


class DecisionBody(Answer):
    """`id` of the factor; a * at the end stands for the rest. A withdrawal needs its reason, and without * it is of one factor."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    region: Annotated[str | None, Field(max_length=64)] = None
    data_year: Annotated[int | None, Field(ge=1900, le=2100)] = None
    gas: Annotated[str | None, Field(max_length=64)] = None
    variant: Annotated[str | None, Field(max_length=200)] = None
    decision: Literal["approved", "withdrawn"]
    reason: Annotated[str, Field(max_length=2000)] = ""
    by: Annotated[str, Field(max_length=100)] = ""


class DecidedAnswer(Answer):
    """The versions that were decided on."""

    decided: list[dict[str, Any]]


@router.post("/packs", status_code=201)
async def bring(
    request: Request, given: Given, author: Writing, asked: Annotated[ImportParameters, Query()]
) -> ImportedAnswer:
    """A factor pack (TOML, UTF-8) in the body, put on record as drafts. 422 with every fault."""
    author.must("enter")
    by, raw = author.named(asked.by), await request.body()
    if len(raw) > PACK_MOST_BYTES:
        raise Problem(413, "pack too large", "body", f"at most {PACK_MOST_BYTES} bytes", len(raw))
    try:
        pack = parse(asked.name, tomllib.loads(raw.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise Problem(422, "no factor pack", asked.name, "TOML in UTF-8", str(error)) from error
    except PackFaults as error:
        raise _refused(asked.name, error.faults) from error

    def put() -> ImportedAnswer:
        with _registry(given) as registry:
            done = registry.add(pack, by, given.clock())
        return ImportedAnswer(new=done.new, corrected=done.corrected, unchanged=done.unchanged)

    return await _done(put, asked.name)


@router.post("/decisions", status_code=201, dependencies=[Depends(no_parameters)])
async def decide(given: Given, author: Writing, body: Annotated[DecisionBody, Body()]) -> DecidedAnswer:
    """Approve drafts that another person entered, or withdraw. The books go by it within seconds; what is booked stays."""
    author.must("approve")
    by = author.named(body.by)

    def put() -> DecidedAnswer:
        with _registry(given) as registry:
            aim = Aim(body.region, body.data_year, body.gas, body.variant)
            decided = registry.decide(body.id, body.decision, by, body.reason, given.clock(), aim)
        return DecidedAnswer(decided=[as_json(entry) for entry in decided])

    return await _done(put, body.id)


def _registry(given: Given) -> Registry:
    if given.accounts is None:
        raise Problem(503, "no registry", "registry", "an aggregator that keeps a ledger", "none")
    return Registry(given.accounts.data_directory / REGISTRY_NAME)


async def _done(put: Callable[[], T], thing: str) -> T:
    try:
        return await run_in_threadpool(put)
    except RegistryRefused as error:
        raise _refused(thing, error.faults) from error
    except sqlite3.Error as error:
        raise Problem(503, "try again", "registry", "an answer in time", str(error)) from error


def _refused(thing: str, faults: list[str]) -> Problem:
    return Problem(422, "refused", thing, "a pack or decision without faults", "; ".join(faults)[:4000])
