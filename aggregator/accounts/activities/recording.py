"""Putting activities on record and deciding on them, with laboratory values in the factor registry alongside. Not the records' own rules (see `activities`).

Records and registry are two files: the registry goes first, and a call that is repeated after a crash between the two finds what stands already.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from aggregator.accounts.activities import laboratory
from aggregator.accounts.activities.activity import STOCK, Activity
from aggregator.accounts.activities.kinds import HOLDING
from aggregator.accounts.activities.record import Activities, InForce, Recorded, Standing
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsRefused
from aggregator.emissions.registry import Registry
from aggregator.facility import Facility
from aggregator.intervals.written_time import written
from aggregator.open_books import REGISTRY_NAME


def record(directory: Path, facility: Facility, records: Sequence[Activity], by: str, now_ms: int) -> Recorded:
    """Drafts of what is over. Raises RecordsRefused, RecordsBusy, RecordsUnusable, sqlite3.Error."""
    if early := _not_over(records, facility, now_ms):
        raise RecordsRefused(early)
    with Activities(directory / ACCOUNTS_NAME) as activities, Registry(directory / REGISTRY_NAME) as registry:
        return activities.add(
            records, by, now_ms, lambda fresh: laboratory.draft(registry, fresh, now_ms, facility.zone)
        )


def _not_over(records: Sequence[Activity], facility: Facility, now_ms: int) -> list[str]:
    """Faults: nobody can have counted what has not happened. Values that hold for a time are known before it ends."""
    return [
        f"{one.key}: expected a period that has ended by now ({written(now_ms, facility.zone)}), got one until {one.to_day}"
        for one in records
        if one.kind not in HOLDING and one.span_ms(facility.zone)[1] > now_ms
    ]


def decide(
    directory: Path,
    facility: Facility,
    numbers: Sequence[int],
    state: Literal["approved", "withdrawn"],
    by: str,
    reason: str,
    now_ms: int,
) -> list[Activity]:
    """Approves or withdraws. Raises RecordsRefused, RecordsBusy, RecordsUnusable, sqlite3.Error."""
    with Activities(directory / ACCOUNTS_NAME) as activities, Registry(directory / REGISTRY_NAME) as registry:

        def alongside(found: Sequence[Activity]) -> None:
            if state == "approved":
                laboratory.approve(registry, found, by, now_ms, facility.zone)
            else:
                laboratory.withdraw(registry, found, by, reason, now_ms, facility.zone)

        return activities.decide(facility.id, numbers, state, by, now_ms, reason, alongside)


def drafts(directory: Path, facility: str) -> list[int]:
    """The numbers of every draft of a facility."""
    return [standing.activity.no for standing in standings(directory, facility) if standing.state == "draft"]


def standings(directory: Path, facility: str, as_of_ms: int | None = None) -> list[Standing]:
    """Every version with what has become of it. Raises RecordsBusy, RecordsUnusable."""
    with Activities(directory / ACCOUNTS_NAME) as activities:
        return activities.standings(facility, as_of_ms)


def as_json(record: Activity) -> dict[str, Any]:
    """A record as programs want it: decimals as text."""
    said: dict[str, Any] = {
        name: getattr(record, name)
        for name in ("no", "facility", "source", "kind", "subject", "variant", "version", "unit", "sub_class", "process", "evidence", "reason", "by")
    }  # fmt: skip
    stock = None if record.stock is None else dict(zip(STOCK, (f"{value:f}" for value in record.stock), strict=True))
    return said | {
        "class": record.activity_class, "from": record.from_day.isoformat(), "to": record.to_day.isoformat(), "amount": f"{record.amount:f}",
        "stock": stock, "parameters": dict(record.parameters),
    }  # fmt: skip


def standing_json(standing: Standing) -> dict[str, Any]:
    return as_json(standing.activity) | {
        "recorded_at_ms": standing.recorded_at_ms, "state": standing.state, "decided_by": standing.decided_by,
        "decided_at_ms": standing.decided_at_ms, "note": standing.note,
    }  # fmt: skip


def in_force_json(one: InForce) -> dict[str, Any]:
    return as_json(one.activity) | {"approved": one.approved, "waiting": one.waiting}
