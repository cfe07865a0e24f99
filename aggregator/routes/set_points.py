"""Set-points over HTTP: asked for, and what became of them. Not how they travel (`aggregator.commands`)."""

from typing import Annotated, Final, Literal, cast

from fastapi import APIRouter, Body, Depends, Path, Query
from pydantic import Field, JsonValue

from aggregator.command_book import Commanded
from aggregator.commands import Commands, NotSent, UnknownEdge
from aggregator.ledger import LedgerBusy
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader, Writing
from aggregator.routes.problem import Problem
from aggregator.routes.query import Answer, Parameters, no_parameters
from aggregator.services import Services
from wire.command import MAX_SET_POINTS, CommandUnreadable, SetPoint

router = APIRouter(prefix="/api/v1/facilities/{facility}/edges/{edge}/set-points", tags=["set-points"])

AUDIT_KIND: Final = "set_point"
_AUDIT_AFTER_MS: Final = 3_600_000  # so long after the last set-point's end its audit is still looked for
_AUDIT_MOST: Final = 1000

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
AtMs = Annotated[int, Field(ge=0, lt=2**53)]
EdgeName = Annotated[str, Path(alias="edge", max_length=64)]


class Wanted(Answer):
    """One set-point: `value` in the unit of the point, null lets go of it; from now on where `from_ms` is missing."""

    device: Name
    point: Name
    value: Annotated[float, Field(ge=-1e12, le=1e12)] | None
    from_ms: AtMs | None = None
    expires_at_ms: AtMs


class SetPointsBody(Answer):
    """Set-points for one edge. `firm`: only points count that fall back without the agent. The edge takes the command within `valid_s` or never."""

    set_points: Annotated[list[Wanted], Field(min_length=1, max_length=MAX_SET_POINTS)]
    firm: bool = False
    by: Annotated[str, Field(max_length=100)] = ""
    valid_s: Annotated[int, Field(ge=1, le=3600)] = 30


class SetPointAnswer(Answer):
    """One set-point and what became of it: `state` is null until the edge has answered."""

    device: str
    point: str
    value: float | None
    from_ms: int
    expires_at_ms: int
    state: str | None
    at_ms: int | None
    reason: str
    before: float | None
    after: float | None


class CommandAnswer(Answer):
    """One command. `unanswered`: the edge has said nothing until it expired; `not_sent`: it never left, for `reason`."""

    id: str
    facility: str
    edge: str
    by: str
    state: Literal["sent", "answered", "unanswered", "not_sent"]
    reason: str
    firm: bool
    counter: int
    issued_at_ms: int
    expires_at_ms: int
    answered_at_ms: int | None
    set_points: list[SetPointAnswer]


class AuditEntry(Answer):
    """What the edge wrote down of it in its signed batches."""

    id: str
    at_ms: int
    device: str
    body: dict[str, JsonValue]


class CommandWithAudit(CommandAnswer):
    """One command with its audit trail, oldest first."""

    audit: list[AuditEntry]


class CommandsAnswer(Answer):
    """The newest commands of an edge, newest first. `command_key` is what its edge file must name."""

    facility: str
    edge: str
    command_key: str
    commands: list[CommandAnswer]


class RecentParameters(Parameters):
    """How many."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50


def _commands(given: Services) -> Commands:
    if given.commands is None:
        raise Problem(503, "no set-points", "commands", "an aggregator with a broker", "one without", 60)
    return given.commands


def _unknown(edge: str, facility: str) -> Problem:
    return Problem(404, "unknown edge", "edge", f"an edge of {facility}", edge)


def _outcomes(commanded: Commanded) -> list[SetPointAnswer]:
    result = commanded.result
    refused = "" if result is None else result.reason
    answers = []
    for index, wanted in enumerate(commanded.command.set_points):
        outcome = None if result is None or index >= len(result.outcomes) else result.outcomes[index]
        answers.append(
            SetPointAnswer(
                device=wanted.device,
                point=wanted.point,
                value=wanted.value,
                from_ms=wanted.from_ms,
                expires_at_ms=wanted.expires_at_ms,
                state=("refused" if refused else None) if outcome is None else outcome.state.value,
                at_ms=None if outcome is None else outcome.at_ms,
                reason=refused if outcome is None else outcome.reason,
                before=None if outcome is None else outcome.before,
                after=None if outcome is None else outcome.after,
            )
        )
    return answers


def _answer(commands: Commands, commanded: Commanded) -> CommandAnswer:
    command = commanded.command
    return CommandAnswer(
        id=command.id,
        facility=commanded.facility,
        edge=commanded.edge,
        by=commanded.asked_by,
        state=commands.word(commanded),
        reason=commanded.not_sent or ("" if commanded.result is None else commanded.result.reason),
        firm=command.firm,
        counter=command.counter,
        issued_at_ms=command.issued_at_ms,
        expires_at_ms=command.expires_at_ms,
        answered_at_ms=commanded.answered_at_ms,
        set_points=_outcomes(commanded),
    )


@router.post("", status_code=202, dependencies=[Depends(no_parameters)])
async def ask(
    given: Given, author: Writing, named: Named, edge: EdgeName, body: Annotated[SetPointsBody, Body()]
) -> CommandAnswer:
    """Send set-points to an edge. 202: they are signed and on their way; the edge's answer is read under the id."""
    author.must("operate")
    by = author.named(body.by, "operator")
    commands, now_ms = _commands(given), given.clock()
    wanted = [
        SetPoint(
            entry.device,
            entry.point,
            entry.value,
            now_ms if entry.from_ms is None else entry.from_ms,
            entry.expires_at_ms,
        )
        for entry in body.set_points
    ]
    try:
        sent = await commands.send(named.id, edge, wanted, firm=body.firm, valid_ms=body.valid_s * 1000, asked_by=by)
    except UnknownEdge as error:
        raise _unknown(edge, named.id) from error
    except CommandUnreadable as error:
        thing, _, rest = str(error).partition(": ")
        expected, _, seen = rest.removeprefix("expected ").rpartition(", got ")
        raise Problem(422, "bad set-point", thing, expected, seen) from error
    except NotSent as error:
        raise Problem(503, "not sent", "broker", "a connection to the broker", str(error), 5) from error
    except LedgerBusy as error:
        raise Problem(503, "not sent", "ledger", "a ledger that can be written", str(error), 5) from error
    return _answer(commands, sent)


@router.get("", dependencies=[Reader])
def recent(given: Given, named: Named, edge: EdgeName, wanted: Annotated[RecentParameters, Query()]) -> CommandsAnswer:
    """The newest commands of an edge."""
    commands = _commands(given)
    try:
        found = commands.recent(named.id, edge, wanted.limit)
    except UnknownEdge as error:
        raise _unknown(edge, named.id) from error
    return CommandsAnswer(
        facility=named.id,
        edge=edge,
        command_key=commands.public_key,
        commands=[_answer(commands, commanded) for commanded in found],
    )


@router.get("/{command}", dependencies=[Reader, Depends(no_parameters)])
def one(given: Given, named: Named, edge: EdgeName, command: Annotated[str, Path(max_length=64)]) -> CommandWithAudit:
    """One command with what became of each set-point, and the edge's audit trail of it."""
    commands = _commands(given)
    try:
        found = commands.find(named.id, edge, command)
    except UnknownEdge as error:
        raise _unknown(edge, named.id) from error
    if found is None:
        raise Problem(404, "unknown command", "command", f"the id of a command to {edge}", command)
    answer = _answer(commands, found)
    return CommandWithAudit(**answer.model_dump(), audit=_audit(given, found))


def _audit(given: Services, commanded: Commanded) -> list[AuditEntry]:
    command = commanded.command
    from_ms = command.issued_at_ms - 60_000  # the edge's clock may be a little behind
    to_ms = max(wanted.expires_at_ms for wanted in command.set_points) + _AUDIT_AFTER_MS
    entries = []
    for stored in given.store.events(commanded.facility, from_ms, to_ms, AUDIT_KIND):
        event = stored.event
        if stored.edge == commanded.edge and event.body.get("command") == command.id:
            entries.append(
                AuditEntry(
                    id=event.id,
                    at_ms=event.at_ms,
                    device=event.device,
                    body=cast("dict[str, JsonValue]", dict(event.body)),
                )
            )
    return entries[:_AUDIT_MOST]
