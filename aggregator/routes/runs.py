"""Runs, publications and restatements over HTTP: read by all, made and approved in a person's name. Not how any of it is done (`aggregator.accounts`)."""

import sqlite3
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Body, Depends, Path, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import Field

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.compile import Span as Known
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused
from aggregator.accounts.runs.calculation import calculated, differences, proof_of_interval, proof_of_record, rules_now
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.restatement import bridge_of_runs, impact, restated
from aggregator.accounts.runs.told import bridge_json, impact_json, publication_json, run_json, view_json
from aggregator.accounts.runs.views import viewed
from aggregator.emissions.registry import RegistryRefused
from aggregator.facility import Facility
from aggregator.ledger import LedgerBusy
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Instant, Parameters, Span, no_parameters

router = APIRouter(prefix="/api/v1/facilities/{facility}", tags=["runs"])

T = TypeVar("T")
Words = Annotated[str, Field(max_length=2000)]
ProfileName = Annotated[str, Field(max_length=32)]
Number = Annotated[int, Path(ge=1, lt=1 << 62)]


class OfProfile(Parameters):
    """Under one profile, or all."""

    profile: ProfileName | None = None


class ViewParameters(Span):
    """published: what stands; latest: as known now; as_of: as known at `as_of`. `as_of` also says which publication stood then."""

    profile: ProfileName = "GHGP-LB"
    view: Literal["published", "latest", "as_of"] = "published"
    as_of: Instant | None = None


class ImpactParameters(Parameters):
    """`drafts`: as if the drafts of factors and activities were approved."""

    drafts: bool = False


class IntervalParameters(Parameters):
    """An interval that the run has read, by its start."""

    device: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[str, Field(min_length=1, max_length=64)] = "energy_import_kwh"
    at: Instant


class RecordParameters(Parameters):
    """An activity record that the run has read, by its number."""

    no: Annotated[int, Field(ge=1, lt=1 << 62)]


class CompareParameters(Parameters):
    """Two runs of one span."""

    first: Annotated[int, Field(ge=1, lt=1 << 62)]
    second: Annotated[int, Field(ge=1, lt=1 << 62)]


class ByBody(Answer):
    """`by` where the token is not a person's."""

    by: Annotated[str, Field(max_length=100)] = ""


class RunBody(ByBody):
    """A span to be frozen, as known at `as_of_ms` (default: now)."""

    profile: ProfileName = "GHGP-LB"
    from_ms: Instant
    to_ms: Instant
    as_of_ms: Instant | None = None
    reason: Words = ""


class NoteBody(ByBody):
    """What was checked; why an incomplete statement is published."""

    note: Words = ""


_NO_NOTE: Final = NoteBody()  # what no body at all says


class RestatementBody(ByBody):
    """What was found."""

    reason: Words


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes work with."""

    accounts: Accounts
    runs: Runs
    now_ms: int
    threshold_percent: Decimal

    def of(self, facility: Facility, run: int) -> int:
        """The number of a run of this facility. Raises Problem."""
        if not self.runs.has(facility.id, run):
            raise Problem(404, "unknown run", "run", f"a run of {facility.id}", run)
        return run

    def issued(self, facility: Facility, publication: int) -> int:
        """The number of a publication of this facility. Raises Problem."""
        if not any(each.no == publication for each in self.runs.publications(facility.id)):
            raise Problem(404, "unknown publication", "publication", f"a publication of {facility.id}", publication)
        return publication


def desk(given: Given) -> Desk:
    """503 where nothing is accounted."""
    if given.accounts is None or given.runs is None:
        raise Problem(503, "no accounts", "ledger", "an aggregator that keeps a ledger", "none")
    return Desk(given.accounts, given.runs, given.clock(), given.significance_percent)


At = Annotated[Desk, Depends(desk)]


async def done(work: Callable[[], T]) -> T:
    """The outcome of work in a thread, its refusals as problems."""
    try:
        return await run_in_threadpool(work)
    except CannotCompile as error:
        raise _problem(422, "no such statement", str(error)) from error
    except RecordsRefused as error:
        raise _problem(409, "refused", error.faults[0]) from error
    except (LedgerBusy, RecordsBusy, RegistryRefused, sqlite3.Error) as error:
        raise Problem(503, "try again", "ledger", "an answer in time", str(error), 5) from error


def _problem(status: int, error: str, said: str) -> Problem:
    """Of "thing: expected ..., got ..."; of other words the whole is what was expected."""
    thing, _, rest = said.partition(": ")
    expected, apart, seen = rest.removeprefix("expected ").partition(", got ")
    if not apart and rest.startswith("expected "):
        expected, _, seen = rest.removeprefix("expected ").rpartition(", ")
    return Problem(status, error, thing, expected, seen or "otherwise")


@router.get("/runs", dependencies=[Reader])
async def runs(at: At, named: Named, wanted: Annotated[OfProfile, Query()]) -> dict[str, Any]:
    """Every run and every publication of the facility, in the order in which they were made."""

    def work() -> dict[str, Any]:
        return {
            "facility": named.id,
            "runs": [run_json(run) for run in at.runs.runs(named.id, wanted.profile)],
            "publications": [publication_json(each) for each in at.runs.publications(named.id, wanted.profile)],
        }

    return await done(work)


@router.get("/runs/compare", dependencies=[Reader])
async def compare(at: At, named: Named, wanted: Annotated[CompareParameters, Query()]) -> dict[str, Any]:
    """Two runs of one span: both totals, the change and its causes."""
    pair = (at.of(named, wanted.first), at.of(named, wanted.second))
    return bridge_json(await done(lambda: bridge_of_runs(at.accounts, at.runs, *pair))) or {}


@router.get("/runs/{run}", dependencies=[Reader, Depends(no_parameters)])
async def run(at: At, named: Named, run: Number) -> dict[str, Any]:
    """One run, without its lines; with every series that it read."""
    found = await done(lambda: at.runs.run(at.of(named, run)))
    states = await done(lambda: at.runs.states(run))
    told = [{"state": state, "by": by, "note": note, "at_ms": at_ms} for state, by, note, at_ms in states]
    return run_json(found) | {"states": told, "inputs": [asdict(series) for series in found.series]}


@router.get("/runs/{run}/lines", dependencies=[Reader, Depends(no_parameters)])
async def lines(at: At, named: Named, run: Number) -> Response:
    """The frozen statement: canonical JSON lines, UTF-8, as they are hashed."""
    raw = await done(lambda: at.runs.encoded(at.of(named, run)))
    return Response(raw, media_type="application/jsonl")


@router.get("/runs/{run}/verification", dependencies=[Reader, Depends(no_parameters)])
async def verification(at: At, named: Named, run: Number) -> dict[str, Any]:
    """The run calculated again from the ledger and the registry: whether the bytes are the same, and what is not as it was frozen."""
    found = await done(lambda: differences(at.accounts, at.runs, at.of(named, run)))
    return {"run": run, "same": not found, "differences": found}


@router.get("/runs/{run}/interval", dependencies=[Reader])
async def interval(at: At, named: Named, run: Number, wanted: Annotated[IntervalParameters, Query()]) -> dict[str, Any]:
    """That the run has read an interval: its leaf with the path to its series' root, and the series' leaf with the path to the input root."""
    asked = (at.of(named, run), wanted.device, wanted.quantity, wanted.at)
    try:
        proof = await done(lambda: proof_of_interval(at.accounts, at.runs, *asked))
    except LookupError as error:
        raise Problem(404, "not read by the run", "interval", "one that the run has read", str(error)) from error
    return asdict(proof) | {"input_root": proof.root()}


@router.get("/runs/{run}/record", dependencies=[Reader])
async def record(at: At, named: Named, run: Number, wanted: Annotated[RecordParameters, Query()]) -> dict[str, Any]:
    """That the run has read an activity record: its leaf with the path to the list's root, and the list's leaf with the path to the input root."""
    asked = (at.of(named, run), wanted.no)
    try:
        proof = await done(lambda: proof_of_record(at.accounts, at.runs, *asked))
    except LookupError as error:
        raise Problem(404, "not read by the run", "record", "one that the run has read", str(error)) from error
    return {"record": asdict(proof.interval), "series": asdict(proof.series), "input_root": proof.root()}


@router.get("/impact", dependencies=[Reader])
async def impacts(at: At, named: Named, wanted: Annotated[ImpactParameters, Query()]) -> dict[str, Any]:
    """The publications that would change if they were calculated now, each with both totals, the causes, and whether it would be reissued."""

    def work() -> list[dict[str, Any]]:
        asked = (at.accounts, at.runs, at.now_ms, named.id, at.threshold_percent)
        return [dict(impact_json(each)) for each in impact(*asked, drafts=wanted.drafts)]

    return {"facility": named.id, "at_ms": at.now_ms, "impact": await done(work)}


@router.get("/totals", dependencies=[Reader])
async def totals(at: At, named: Named, wanted: Annotated[ViewParameters, Query()]) -> dict[str, Any]:
    """The span's total under the view, with what is published and what is known side by side: old, new, change, causes."""
    span = wanted.checked()
    asked = (named.id, wanted.profile, (span.from_ms, span.to_ms), wanted.view, wanted.as_of)
    return dict(view_json(await done(lambda: viewed(at.accounts, at.runs, *asked))))


@router.post("/runs", status_code=201, dependencies=[Depends(no_parameters)])
async def freeze(at: At, named: Named, author: Writing, body: Annotated[RunBody, Body()]) -> dict[str, Any]:
    """Freeze what the span comes to. 409 where it is published: restate it."""
    author.must("enter")
    by = author.named(body.by)

    def work() -> dict[str, Any]:
        known = Known(body.from_ms, body.to_ms, at.now_ms if body.as_of_ms is None else body.as_of_ms)
        made = calculated(at.accounts, rules_now(at.accounts, named.id, body.profile), known)
        return dict(run_json(at.runs.add(made, by, body.reason, at.now_ms)))

    return await done(work)


@router.post("/runs/{run}/approve", dependencies=[Depends(no_parameters)])
async def approve(
    at: At, named: Named, run: Number, author: Writing, body: Annotated[NoteBody, Body()] = _NO_NOTE
) -> dict[str, Any]:
    """By a second person."""
    author.must("approve")
    by = author.named(body.by)
    return dict(run_json(await done(lambda: at.runs.approve(at.of(named, run), by, at.now_ms, body.note))))


@router.post("/runs/{run}/publish", dependencies=[Depends(no_parameters)])
async def publish(
    at: At, named: Named, run: Number, author: Writing, body: Annotated[NoteBody, Body()] = _NO_NOTE
) -> dict[str, Any]:
    """What was approved. 409 for a restatement below the threshold: it goes with the next issue."""
    author.must("enter")
    by = author.named(body.by)
    return dict(publication_json(await done(lambda: at.runs.publish(at.of(named, run), by, at.now_ms, body.note))))


@router.post("/publications/{publication}/restate", status_code=201, dependencies=[Depends(no_parameters)])
async def restate(
    at: At, named: Named, publication: Number, author: Writing, body: Annotated[RestatementBody, Body()]
) -> dict[str, Any]:
    """A run that is to take the publication's place, with its causes. It stands until that is approved and published."""
    author.must("enter")
    by = author.named(body.by)

    def work() -> dict[str, Any]:
        asked = (at.issued(named, publication), by, body.reason, at.now_ms, at.threshold_percent)
        return dict(run_json(restated(at.accounts, at.runs, *asked)))

    return await done(work)
