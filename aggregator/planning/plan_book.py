"""Every plan on record, with the schedules that went out for it and what became of them, and the offers made beside it. Plans nothing and sends nothing.

Bounded by age: what is older than KEEP_DAYS is forgotten; the hash of each plan stays in the audit log.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from aggregator.accounts.record_file import RecordFile
from aggregator.flexibility.operation.rolling import Planned
from aggregator.flexibility.problem import Currency
from aggregator.flexibility.record import digest, encode_plan, encode_problem, encode_record
from wire.schedule import Schedule

PLANS_NAME: Final = "plans.sqlite"  # in the data directory
KEEP_DAYS: Final = 35
_DAY_MS: Final = 86_400_000

Word: TypeAlias = Literal["sent", "not_sent", "taken", "refused", "unanswered", "superseded"]
OPEN: Final[tuple[Word, ...]] = ("sent", "not_sent", "unanswered")


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan as a list shows it."""

    no: int
    facility: str
    made_ms: int
    status: str
    trigger: tuple[str, ...]
    problem_sha256: str
    plan_sha256: str
    circuit_sha256: str
    money: Currency

    @property
    def id(self) -> str:
        return f"plan-{self.no}"

    def leaf(self) -> bytes:
        """What goes into the audit log."""
        said = {
            "kind": "plan", "no": self.no, "facility": self.facility, "made_ms": self.made_ms, "status": self.status,
            "trigger": list(self.trigger), "problem_sha256": self.problem_sha256, "plan_sha256": self.plan_sha256,
            "circuit_sha256": self.circuit_sha256,
        }  # fmt: skip
        return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule that was made for a plan, and what became of it. `reason`: why it was refused or never left."""

    id: str
    plan: int
    facility: str
    edge: str
    number: int
    issued_at_ms: int
    valid_until_ms: int
    state: Word
    reason: str
    at_ms: int
    sha256: str


_PLAN: Final = "no, facility, made_ms, status, triggers, problem_sha256, plan_sha256, circuit_sha256, money"
_SCHEDULE: Final = "id, plan, facility, edge, number, issued_at_ms, valid_until_ms, state, reason, at_ms, sha256"


def number_of(plan_id: str) -> int | None:
    """The number in an id such as plan-17; None where it is none."""
    text = plan_id.removeprefix("plan-")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


class PlanBook(RecordFile):
    """One file; any thread may call. Raises RecordsBusy."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        super().__init__(path, "plans.sql", "aggregator.planning")

    def add(self, planned: Planned, summary: dict[str, Any], circuit_sha256: str, budget_s: float) -> int:
        """The plan's number. Raises ProblemFault."""
        problem, plan = planned.posed.problem, planned.plan
        record = zlib.compress(encode_record(problem, plan, budget_s), 6)
        hashes = digest(encode_problem(problem)), digest(encode_plan(plan, budget_s))
        with self.transaction() as db:
            cursor = db.execute(
                "INSERT INTO plan (facility, made_ms, status, triggers, problem_sha256, plan_sha256, circuit_sha256, money, summary, record)"
                " VALUES (?,?,?,?,?,?,?,?,?,?)",
                (
                    planned.facility, planned.made_ms, planned.status, json.dumps(planned.trigger), *hashes, circuit_sha256,
                    plan.money.paid, zlib.compress(json.dumps(summary).encode(), 6), record,
                ),
            )  # fmt: skip
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def last(self) -> int:
        """The highest number; 0 where there is none."""
        return int(self.rows("SELECT COALESCE(MAX(no), 0) FROM plan")[0][0])

    def one(self, no: int) -> PlanRow | None:
        """A plan."""
        found = self.rows(f"SELECT {_PLAN} FROM plan WHERE no = ?", (no,))  # noqa: S608 (constant text)
        return _plan(found[0]) if found else None

    def recent(self, facility: str, limit: int, before: int | None = None) -> list[PlanRow]:
        """The newest plans of a facility, newest first; `before`: those with a lower number."""
        found = self.rows(
            f"SELECT {_PLAN} FROM plan WHERE facility = ? AND no < ? ORDER BY no DESC LIMIT ?",  # noqa: S608
            (facility, before or 1 << 62, limit),
        )
        return [_plan(row) for row in found]

    def summary(self, no: int) -> dict[str, Any]:
        """What was said of it. Raises KeyError."""
        return dict(json.loads(zlib.decompress(self._blob("summary", no))))

    def record(self, no: int) -> bytes:
        """Problem and plan, for `flexibility.record.replay`. Raises KeyError."""
        return zlib.decompress(self._blob("record", no))

    def _blob(self, column: str, no: int) -> bytes:
        found = self.rows(f"SELECT {column} FROM plan WHERE no = ?", (no,))  # noqa: S608 (one of two names)
        if not found:
            raise KeyError(no)
        return bytes(found[0][0])

    def forget(self, now_ms: int) -> None:
        """What is older than KEEP_DAYS."""
        before_ms = now_ms - KEEP_DAYS * _DAY_MS
        with self.transaction() as db:
            for table, column in (("plan", "made_ms"), ("schedule", "issued_at_ms"), ("offered", "made_ms")):
                db.execute(f"DELETE FROM {table} WHERE {column} < ?", (before_ms,))  # noqa: S608

    # --- schedules

    def next_number(self, now_ms: int) -> int:
        """Above all numbers so far, and at least the time in ms: it rises also where this file was restored from a backup."""
        return max(int(self.rows("SELECT COALESCE(MAX(number), 0) FROM schedule")[0][0]) + 1, now_ms)

    def keep_schedule(self, plan: int, facility: str, edge: str, schedule: Schedule) -> None:
        """Before it is sent; what the edge was told before is superseded where it has not answered."""
        content = msgspec.json.encode(schedule)
        with self.transaction() as db:
            db.execute(
                "UPDATE schedule SET state = 'superseded' WHERE facility = ? AND edge = ? AND state IN ('sent','not_sent','unanswered')",
                (facility, edge),
            )
            db.execute(
                "INSERT INTO schedule VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    schedule.id, plan, facility, edge, schedule.number, schedule.issued_at_ms, schedule.valid_until_ms, "sent", "",
                    schedule.issued_at_ms, digest(content), zlib.compress(content, 6),
                ),
            )  # fmt: skip

    def schedule_is(self, schedule_id: str, state: Word, reason: str, at_ms: int) -> None:
        """What became of it; an answer that has come stands."""
        with self.transaction() as db:
            db.execute(
                "UPDATE schedule SET state = ?, reason = ?, at_ms = ? WHERE id = ? AND state NOT IN ('taken','refused')",
                (state, reason, at_ms, schedule_id),
            )

    def answered(self, facility: str, edge: str, schedule_id: str, number: int, reason: str, at_ms: int) -> bool:
        """Whether this was an answer to a schedule of ours. A refusal may follow what was taken (an edge that was restarted), and the other way round."""
        with self.transaction() as db:
            changed = db.execute(
                "UPDATE schedule SET state = ?, reason = ?, at_ms = ? WHERE id = ? AND facility = ? AND edge = ? AND number = ?",
                ("refused" if reason else "taken", reason, at_ms, schedule_id, facility, edge, number),
            )
        return changed.rowcount == 1

    def schedules(self, plan: int) -> list[ScheduleRow]:
        """Of a plan, by edge."""
        found = self.rows(f"SELECT {_SCHEDULE} FROM schedule WHERE plan = ? ORDER BY edge, number", (plan,))  # noqa: S608
        return [ScheduleRow(*row) for row in found]

    def newest_schedule(self, facility: str, edge: str) -> tuple[ScheduleRow, Schedule] | None:
        """What an edge should have by now."""
        found = self.rows(
            f"SELECT {_SCHEDULE}, content FROM schedule WHERE facility = ? AND edge = ? ORDER BY number DESC LIMIT 1",  # noqa: S608
            (facility, edge),
        )
        if not found:
            return None
        *row, content = found[0]
        return ScheduleRow(*row), msgspec.json.decode(zlib.decompress(content), type=Schedule)

    # --- offers

    def offer(self, facility: str, plan: int, made_ms: int, body: dict[str, Any]) -> str:
        """Puts the offers of a plan on record; their hash."""
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        sha256 = digest(text.encode())
        with self.transaction() as db:
            db.execute(
                "INSERT INTO offered (facility, plan, made_ms, sha256, body) VALUES (?,?,?,?,?)",
                (facility, plan, made_ms, sha256, text),
            )
        return sha256

    def offered(self, facility: str) -> dict[str, Any] | None:
        """The newest offers, with their hash and plan."""
        found = self.rows(
            "SELECT no, plan, made_ms, sha256, body FROM offered WHERE facility = ? ORDER BY no DESC LIMIT 1",
            (facility,),
        )
        if not found:
            return None
        _, plan, made_ms, sha256, body = found[0]
        return {"plan": f"plan-{plan}", "made_ms": made_ms, "sha256": sha256, **json.loads(body)}


def _plan(row: Sequence[Any]) -> PlanRow:
    no, facility, made_ms, status, triggers, problem, plan, circuit, money = row
    return PlanRow(no, facility, made_ms, status, tuple(json.loads(triggers)), problem, plan, circuit, money)
