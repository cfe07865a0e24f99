"""Activity records and notices of reporting years over HTTP: put on record by one person, approved by another. Not the records' rules (`aggregator.accounts`)."""

import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from aggregator.accounts.activities import recording
from aggregator.accounts.activities.record import activities_in_force, read_activities
from aggregator.accounts.notices import Notice, Notices, YearRule
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Instant, Parameters, no_parameters

router = APIRouter(prefix="/api/v1", tags=["activities"])

FILE_MOST_BYTES: Final = 16 << 20
T = TypeVar("T")

By = Annotated[str, Field(max_length=100)]


class AsOfParameters(Parameters):
    """`versions`: every version with what has become of it, not only what counts."""

    as_of: Instant | None = None
    versions: bool = False


class FileParameters(Parameters):
    """`file`: its name, for messages; `by` where the server's token is used."""

    file: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]{1,200}$")] = "upload.csv"
    by: By = ""


class RecordedAnswer(Answer):
    """How many records are new, corrected, and on record already; the first two are drafts."""

    new: int
    corrected: int
    unchanged: int


class DecisionBody(Answer):
    """`numbers` of versions; a withdrawal needs its reason."""

    numbers: Annotated[list[int], Field(min_length=1, max_length=100_000)]
    decision: Literal["approved", "withdrawn"]
    reason: Annotated[str, Field(max_length=2000)] = ""
    by: By = ""


class ActivitiesAnswer(Answer):
    """The records, as `wattline activities list --json` or `show --json` gives them."""

    facility: str
    activities: list[dict[str, Any]]


class NoticeBody(Answer):
    """What a reporting year's notice fixes. `submitted_by`: a day, ISO 8601."""

    regime: Annotated[str, Field(max_length=32)] = "CN-GBT"
    year: int
    place_level: Literal["province", "grid", "national"]
    factor_year_rule: YearRule = "latest_at_submission"
    submitted_by: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    document: Annotated[str, Field(min_length=1, max_length=2000)]
    restate_on_new_factor: bool = False
    deducts_exports: bool = False
    facility: Annotated[str, Field(max_length=64)] = ""
    reason: Annotated[str, Field(max_length=2000)] = ""
    by: By = ""


class ApprovalBody(Answer):
    """Who approves it, where the server's token is used."""

    by: By = ""


class NoticeAnswer(Answer):
    """A notice on record; `approved_by` "" while it is a draft."""

    no: int
    version: int
    regime: str
    year: int
    facility: str
    place_level: str
    factor_year_rule: str
    submitted_by: str
    restate_on_new_factor: bool
    deducts_exports: bool
    document: str
    reason: str
    by: str
    approved_by: str
    approved_at_ms: int | None


@router.get("/facilities/{facility}/activities", dependencies=[Reader])
async def listed(given: Given, facility: Named, asked: Annotated[AsOfParameters, Query()]) -> ActivitiesAnswer:
    """What counts of each record, or counted at `as_of`."""
    directory = _directory(given)

    def read() -> list[dict[str, Any]]:
        if asked.versions:
            return [recording.standing_json(one) for one in recording.standings(directory, facility.id, asked.as_of)]
        return [recording.in_force_json(one) for one in activities_in_force(directory, facility.id, asked.as_of)]

    return ActivitiesAnswer(facility=facility.id, activities=await _done(read, "activities"))


@router.post(
    "/facilities/{facility}/activities",
    status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {}}}},
)
async def bring(
    request: Request, given: Given, facility: Named, author: Writing, asked: Annotated[FileParameters, Query()]
) -> RecordedAnswer:
    """The rows of a CSV file or a workbook (.xlsx), put on record as drafts: all, or none. 422 with every fault."""
    author.must("enter")
    by, raw, directory = author.named(asked.by), await request.body(), _directory(given)
    if len(raw) > FILE_MOST_BYTES:
        raise Problem(413, "file too large", "body", f"at most {FILE_MOST_BYTES} bytes", len(raw))

    def put() -> RecordedAnswer:
        records = read_activities(raw, asked.file, facility.id)
        done = recording.record(directory, facility, records, by, given.clock())
        return RecordedAnswer(new=done.new, corrected=done.corrected, unchanged=done.unchanged)

    return await _done(put, asked.file)


@router.post("/facilities/{facility}/activities/decisions", status_code=201, dependencies=[Depends(no_parameters)])
async def decide(
    given: Given, facility: Named, author: Writing, body: Annotated[DecisionBody, Body()]
) -> ActivitiesAnswer:
    """Approve what another person recorded, or withdraw."""
    author.must("approve")
    by, directory = author.named(body.by), _directory(given)

    def put() -> list[dict[str, Any]]:
        decided = recording.decide(directory, facility, body.numbers, body.decision, by, body.reason, given.clock())
        return [recording.as_json(one) for one in decided]

    return ActivitiesAnswer(facility=facility.id, activities=await _done(put, "numbers"))


@router.get("/notices", dependencies=[Reader, Depends(no_parameters)])
async def notices(given: Given) -> list[NoticeAnswer]:
    """Every notice of a reporting year, drafts included."""
    directory = _directory(given)

    def read() -> list[NoticeAnswer]:
        with Notices(directory / ACCOUNTS_NAME) as kept:
            return [_notice(one) for one in kept.all()]

    return await _done(read, "notices")


@router.post("/notices", status_code=201, dependencies=[Depends(no_parameters)])
async def enter_notice(given: Given, author: Writing, body: Annotated[NoticeBody, Body()]) -> NoticeAnswer:
    """Enter what a notice fixes; it counts once another person has approved it."""
    author.must("enter")
    by, directory = author.named(body.by), _directory(given)
    try:
        submitted_by = date.fromisoformat(body.submitted_by)
    except ValueError as error:
        raise Problem(422, "bad body", "submitted_by", "a day such as 2026-03-31", body.submitted_by) from error
    notice = Notice(**body.model_dump(exclude={"by", "submitted_by"}), submitted_by=submitted_by)

    def put() -> NoticeAnswer:
        with Notices(directory / ACCOUNTS_NAME) as kept:
            return _notice(kept.add(notice, by, given.clock()))

    return await _done(put, "notice")


@router.post("/notices/{number}/approve", status_code=201, dependencies=[Depends(no_parameters)])
async def approve_notice(
    given: Given, author: Writing, number: int, body: Annotated[ApprovalBody, Body()]
) -> NoticeAnswer:
    """Let a notice count from now on."""
    author.must("approve")
    by, directory = author.named(body.by), _directory(given)

    def put() -> NoticeAnswer:
        with Notices(directory / ACCOUNTS_NAME) as kept:
            return _notice(kept.approve(number, by, given.clock()))

    return await _done(put, "notice")


def _notice(one: Notice) -> NoticeAnswer:
    names = set(NoticeAnswer.model_fields) - {"submitted_by"}
    return NoticeAnswer(**{name: getattr(one, name) for name in names}, submitted_by=one.submitted_by.isoformat())


def _directory(given: Given) -> Path:
    if given.accounts is None:
        raise Problem(503, "no accounts", "ledger", "an aggregator that keeps a ledger", "none")
    return given.accounts.data_directory


async def _done(work: Callable[[], T], thing: str) -> T:
    try:
        return await run_in_threadpool(work)
    except RecordsRefused as error:
        raise Problem(
            422, "refused", thing, "records or decisions without faults", "; ".join(error.faults)[:4000]
        ) from error
    except (RecordsBusy, RecordsUnusable, sqlite3.Error) as error:
        raise Problem(503, "try again", "records", "an answer in time", str(error), 5) from error
