"""Overrides: what an operator decides against the plan, over what, why and until when. Not what the plan makes of it (see `asked`)."""

# ruff: noqa: S608 (statements are put together from constant text only)
from dataclasses import dataclass
from typing import Final, Literal

from aggregator.accounts.record_file import RecordsRefused
from aggregator.flexibility.events.record import EventRecord

LONGEST_MS: Final = 7 * 86_400_000  # nothing is overridden for ever
TEXT_MAX: Final = 300
Scope = Literal["asset", "branch", "facility"]
What = Literal["leave_out", "hold", "stop"]
_COLUMNS: Final = "no, facility, scope, name, what, kw, from_ms, until_ms, reason, by, at_ms"


@dataclass(frozen=True, slots=True)
class Override:
    """One override. `name`: of the asset or branch, "" for the whole facility. `kw`: what is held (load sign), for `hold` only.

    leave_out: nobody steers it; hold: exactly so much; stop: 0 kW. `until_ms`: its end as it stands, earlier where somebody has ended it.
    """

    no: int
    facility: str
    scope: Scope
    name: str
    what: What
    kw: float | None
    from_ms: int
    until_ms: int
    reason: str
    by: str
    at_ms: int
    ended_by: str = ""

    @property
    def id(self) -> str:
        return f"OV-{self.no}"

    @property
    def held_kw(self) -> float | None:
        """What is held; None: it is left out."""
        return 0.0 if self.what == "stop" else self.kw


class Overrides:
    """Of one record. Any thread may call. Raises RecordsBusy."""

    def __init__(self, record: EventRecord) -> None:
        self._file = record.file

    def add(
        self, facility: str, scope: Scope, name: str, what: What, kw: float | None, from_ms: int, until_ms: int, reason: str, by: str, now_ms: int
    ) -> Override:  # fmt: skip
        """From `from_ms` or now on. Raises RecordsRefused."""
        begin_ms = max(from_ms, now_ms)
        faults = []
        if not begin_ms < until_ms <= begin_ms + LONGEST_MS:
            faults.append(
                f"until_ms: expected after {begin_ms}, within {LONGEST_MS // 86_400_000} days, got {until_ms}"
            )
        if not reason.strip() or len(reason) > TEXT_MAX:
            faults.append(f"reason: expected words, at most {TEXT_MAX} characters, got {len(reason.strip())}")
        if not by.strip():
            faults.append("by: expected the name of who overrides, got nothing")
        if (what == "hold") != (kw is not None):
            faults.append(f"kw: expected {'a power to hold' if what == 'hold' else 'none'}, got {kw}")
        if (scope == "facility") != (name == ""):
            faults.append(
                f"name: expected {'nothing for the whole facility' if name else 'the name of the ' + scope}, got {name!r}"
            )
        if what == "hold" and scope != "asset":
            faults.append(f"scope: expected an asset that holds a power, got {scope}")
        if faults:
            raise RecordsRefused(faults)
        with self._file.transaction() as db:
            cursor = db.execute(
                "INSERT INTO plan_override (facility, scope, name, what, kw, from_ms, until_ms, reason, by, at_ms) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (facility, scope, name, what, kw, begin_ms, until_ms, reason.strip(), by.strip(), now_ms),
            )
            assert cursor.lastrowid is not None
        return self.one(cursor.lastrowid)

    def end(self, no: int, by: str, reason: str, now_ms: int) -> Override:
        """Before its time. Raises RecordsRefused."""
        with self._file.transaction() as db:
            found = self.one(no)
            if found.until_ms <= now_ms:
                raise RecordsRefused([f"{found.id}: expected one that stands, it ended at {found.until_ms}"])
            if not by.strip():
                raise RecordsRefused(["by: expected the name of who ends it, got nothing"])
            db.execute("INSERT INTO plan_override_end VALUES (?,?,?,?)", (no, by.strip(), reason, now_ms))
        return self.one(no)

    def facility_of(self, no: int) -> str:
        """Whose it is, "" where there is none."""
        found = self._found("no = ?", (no,))
        return found[0].facility if found else ""

    def one(self, no: int) -> Override:
        """Raises RecordsRefused."""
        for found in self._found("no = ?", (no,)):
            return found
        raise RecordsRefused([f"override: expected one on record, got OV-{no}"])

    def of(self, facility: str, from_ms: int, until_ms: int) -> list[Override]:
        """Those of a facility that stand in some part of [from_ms, until_ms), in the order in which they were made."""
        found = self._found("facility = ? AND until_ms > ? AND from_ms < ?", (facility, from_ms, until_ms))
        return [each for each in found if each.until_ms > max(from_ms, each.from_ms)]

    def _found(self, where: str, parameters: tuple[str | int, ...]) -> list[Override]:
        rows = self._file.rows(
            f"SELECT {_COLUMNS}, (SELECT at_ms FROM plan_override_end WHERE override = no), coalesce((SELECT by FROM plan_override_end WHERE override = no), '')"
            f" FROM plan_override WHERE {where} ORDER BY no",
            parameters,
        )
        return [
            Override(no, facility, scope, name, what, kw, from_ms, until_ms if ended_ms is None else min(until_ms, ended_ms), reason, by, at_ms, ended_by)
            for no, facility, scope, name, what, kw, from_ms, until_ms, reason, by, at_ms, ended_ms, ended_by in rows
        ]  # fmt: skip
