"""Reports of an expected shortfall while an event still runs, on record at once for whoever asked. Not the alarm, nor how a report is fetched.

The first as soon as more than a tenth is expected to lack; another whenever that changes by a tenth of the target; one that takes it back once no more than
a twentieth lacks. Each says what was delivered interval by interval, what is expected at the end, and which overrides stand in its time.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from aggregator.flexibility.events.delivery import SHORT_PERCENT, Delivery
from aggregator.flexibility.events.event import DemandResponse
from aggregator.flexibility.events.overrides import Override
from aggregator.flexibility.events.record import EventRecord, canonical

CHANGE_PERCENT: Final = 10.0
RIGHT_PERCENT: Final = 5.0
MOST: Final = 50  # of one version of an event

Kind = Literal["shortfall", "recovered"]


@dataclass(frozen=True, slots=True)
class Report:
    """One report. `content`: the figures as they were known at `at_ms`."""

    no: int
    event: str
    version: int
    kind: Kind
    content: dict[str, Any]
    at_ms: int


def due(before: Sequence[Report], short_percent: float | None) -> Kind | None:
    """Which report is to be made, after those of this version; None: none."""
    if short_percent is None or len(before) >= MOST:
        return None
    last = before[-1] if before and before[-1].kind == "shortfall" else None
    if short_percent > SHORT_PERCENT:
        changed = last is None or abs(short_percent - last.content["short_percent"]) >= CHANGE_PERCENT
        return "shortfall" if changed else None
    return "recovered" if last is not None and short_percent <= RIGHT_PERCENT else None


def content(found: Delivery, overrides: Sequence[Override]) -> dict[str, Any]:
    """What a report says."""
    return {
        "target_kwh": found.target_kwh, "due_kwh": round(found.due_kwh, 4), "delivered_kwh": round(found.delivered_kwh, 4),
        "expected_kwh": None if found.expected_kwh is None else round(found.expected_kwh, 4),
        "short_percent": None if found.short_percent is None else round(found.short_percent, 2),
        "intervals": [asdict(each) for each in found.slices],
        "overrides": [{"id": one.id, "reason": one.reason, "by": one.by} for one in overrides], "note": found.note,
    }  # fmt: skip


class Reports:
    """In the file of the events; any thread may call. Raises RecordsBusy."""

    def __init__(self, record: EventRecord) -> None:
        self._file = record.file

    def of(self, event: DemandResponse) -> list[Report]:
        """Of its last version, in order."""
        return self._reports("event = ? AND version = ?", (event.no, event.version), MOST)

    def after(self, facility: str, no: int, limit: int) -> list[Report]:
        """Those of a facility with a higher number, in order: a program asks for what it has not read yet."""
        where = "no > ? AND event IN (SELECT e.no FROM response_event e WHERE e.facility = ?)"
        return self._reports(where, (no, facility), limit)

    def add(self, event: DemandResponse, kind: Kind, said: dict[str, Any], now_ms: int) -> Report:
        """Puts a report on record."""
        with self._file.transaction() as db:
            no = int(db.execute("SELECT coalesce(max(no), 0) + 1 FROM response_report").fetchone()[0])
            db.execute(
                "INSERT INTO response_report VALUES (?,?,?,?,?,?)", (no, event.no, event.version, kind, canonical(said), now_ms)
            )  # fmt: skip
        return Report(no, event.id, event.version, kind, said, now_ms)

    def _reports(self, where: str, parameters: tuple[Any, ...], limit: int) -> list[Report]:
        found = self._file.rows(
            f"SELECT no, event, version, kind, content, at_ms FROM response_report WHERE {where} ORDER BY no LIMIT ?",  # noqa: S608 (constant text)
            (*parameters, limit),
        )
        return [
            Report(no, f"DR-{event}", version, kind, json.loads(said), at_ms)
            for no, event, version, kind, said, at_ms in found
        ]
