"""Activities on record: versions that are only ever added, what a second person approved of them, and which are in force. Not what they emit (see `activity_lines`)."""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from aggregator.accounts.activities.activity import (
    COLUMNS,
    OPTIONAL,
    STOCK,
    Activity,
    Key,
    activity_of,
    faults,
)
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordFile, RecordsRefused
from aggregator.emissions.csv_table import TableRefused, table
from aggregator.emissions.second_person import same_person
from aggregator.emissions.sheet import lines_of

ROWS_MAX: Final = 100_000
DRAFT: Final = "(draft)"
State = Literal["draft", "approved", "withdrawn"]
_COLUMNS: Final = (
    "no", "facility", "source", "kind", "subject", "variant", "from_day", "version", "to_day", "class", "sub_class", "process", "unit",
    "quantity", *STOCK, "parameters", "evidence", "reason", "by", "recorded_at_ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """One version and what has become of it: who approved or withdrew it, and when."""

    activity: Activity
    recorded_at_ms: int
    state: State = "draft"
    decided_by: str = ""
    note: str = ""
    decided_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class InForce:
    """What counts of one record. `approved` False: nobody has approved any version yet. `waiting`: a newer one waits for a second person.

    `approved_by`: who approved it; "(draft)" where drafts count as if somebody had.
    """

    activity: Activity
    approved: bool
    waiting: bool = False
    approved_by: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an import did."""

    unchanged: int
    new: int
    corrected: int


class _Strands:
    """What stands of each source, in order of time, so that a day is not recorded twice."""

    def __init__(self, records: Iterable[Activity]) -> None:
        self._by_strand: dict[tuple[str, ...], list[Activity]] = {}
        for record in sorted(records, key=_from_day):
            self._by_strand.setdefault(record.strand, []).append(record)

    def overlaps(self, record: Activity) -> list[str]:
        """Faults, one for each neighbour that it overlaps; what it corrects is none."""
        others = self._by_strand.get(record.strand, [])
        place = bisect_left(others, record.from_day, key=_from_day)
        return [
            f"{record.key}: overlaps {other.from_day} to {other.to_day} of {other.source}, it would count twice"
            for other in others[max(place - 1, 0) : place + 2]
            if other.key != record.key and other.from_day < record.to_day and record.from_day < other.to_day
        ]

    def put(self, record: Activity) -> None:
        """In place of the version that it corrects."""
        others = self._by_strand.setdefault(record.strand, [])
        place = bisect_left(others, record.from_day, key=_from_day)
        if place < len(others) and others[place].key == record.key:
            others[place] = record
        else:
            others.insert(place, record)


def _from_day(record: Activity) -> date:
    return record.from_day


class Activities:
    """The activities of one file."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        self._file = RecordFile(path, "activities/activities.sql")

    def close(self) -> None:
        """Idempotent."""
        self._file.close()

    def __enter__(self) -> "Activities":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- adding ---------------------------------------------------------------------------------------------------

    def add(
        self,
        records: Iterable[Activity],
        by: str,
        now_ms: int,
        also: Callable[[Sequence[Activity]], None] = lambda _: None,
    ) -> Recorded:
        """Puts records on record, as drafts: all, or none. What is on record with the same content is passed over; other content is a
        version, and needs a reason. `also` is called with what is new before it is kept; what it raises leaves everything as it was.
        Raises RecordsRefused, RecordsBusy.
        """
        records = [replace(record, by=by) for record in records]
        wrong = [fault for record in records for fault in faults(record)]
        if not by.strip():
            wrong.append("expected the name of who records them, got none")
        if wrong:
            raise RecordsRefused(wrong)
        unchanged = new = corrected = 0
        fresh: list[Activity] = []
        with self._file.transaction() as db:
            kept_already = self._all(facilities={record.facility for record in records})
            latest = {
                standing.activity.key: standing.activity for standing in kept_already if standing.state != "withdrawn"
            }
            versions = {standing.activity.key: standing.activity.version for standing in kept_already}
            strands = _Strands(latest.values())
            for record in records:
                kept = latest.get(record.key)
                if kept is not None and kept.content == record.content:
                    unchanged += 1
                    continue
                if kept is not None and not record.reason.strip():
                    wrong.append(f"{record.key}: on record with other content: a correction needs a reason")
                wrong += strands.overlaps(record)
                version = versions[record.key] = versions.get(record.key, 0) + 1
                record = replace(record, version=version)
                latest[record.key] = record
                strands.put(record)
                self._insert(db, record, now_ms)
                fresh.append(record)
                new, corrected = new + (version == 1), corrected + (version > 1)
            if wrong:
                raise RecordsRefused(wrong)
            also(fresh)
        return Recorded(unchanged, new, corrected)

    @staticmethod
    def _insert(db: Any, record: Activity, now_ms: int) -> None:
        stock = record.stock or (None, None, None, None)
        row = (
            record.facility, record.source, record.kind, record.subject, record.variant, record.from_day.isoformat(), record.version,
            record.to_day.isoformat(), record.activity_class, record.sub_class, record.process, record.unit, _text(record.quantity),
            *map(_text, stock), json.dumps(dict(record.parameters), sort_keys=True), record.evidence, record.reason, record.by, now_ms,
        )  # fmt: skip
        marks = ",".join("?" * len(row))
        db.execute(f"INSERT INTO activity ({', '.join(_COLUMNS[1:])}) VALUES ({marks})", row)  # noqa: S608 our own column names

    def decide(
        self,
        facility: str,
        numbers: Sequence[int],
        state: Literal["approved", "withdrawn"],
        by: str,
        now_ms: int,
        reason: str = "",
        also: Callable[[Sequence[Activity]], None] = lambda _: None,
    ) -> list[Activity]:
        """Approves drafts or withdraws versions by their numbers: all of them, or none. Not by the one who recorded them; a withdrawal says why.

        `also` is called with them before they are kept; what it raises leaves everything as it was. Raises RecordsRefused, RecordsBusy.
        """
        with self._file.transaction() as db:
            standings = {standing.activity.no: standing for standing in self._all(facilities=[facility])}
            wrong = [
                f"{number}: expected a record of {facility}, there is none"
                for number in numbers
                if number not in standings
            ]
            if not by.strip():
                wrong.append("expected the name of who decides, got none")
            if state == "withdrawn" and not reason.strip():
                wrong.append("expected the reason of the withdrawal, got none")
            found = [standings[number] for number in dict.fromkeys(numbers) if number in standings]
            for standing in found:
                one = standing.activity
                if state == "approved" and same_person(by, one.by):
                    wrong.append(f"{one.key} version {one.version}: expected a second person, {one.by} recorded it")
                if standing.state == state or standing.state == "withdrawn":
                    wrong.append(
                        f"{one.key} version {one.version}: was {standing.state} by {standing.decided_by} already"
                    )
            if wrong:
                raise RecordsRefused(wrong)
            also([standing.activity for standing in found])
            for standing in found:
                db.execute(
                    "INSERT INTO activity_standing SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ?, ? FROM activity_standing WHERE activity = ?",
                    (standing.activity.no, state, by, reason, now_ms, standing.activity.no),
                )
        return [standing.activity for standing in found]

    # -- reading --------------------------------------------------------------------------------------------------

    def _all(self, as_of_ms: int | None = None, facilities: Iterable[str] = ()) -> list[Standing]:
        """Every version of these facilities as it stood at `as_of_ms` (None: now), ordered by key and version."""
        found: list[Standing] = []
        for facility in sorted(facilities):
            told = self._file.rows(
                "SELECT s.activity, s.status, s.by, s.reason, s.at_ms FROM activity_standing s JOIN activity a ON a.no = s.activity"
                " WHERE a.facility = ?1 AND (?2 IS NULL OR s.at_ms <= ?2) ORDER BY s.activity, s.seq",
                (facility, as_of_ms),
            )
            last = {row[0]: row[1:] for row in told}
            rows = self._file.rows(
                f"SELECT {', '.join(_COLUMNS)} FROM activity WHERE facility = ?1 AND (?2 IS NULL OR recorded_at_ms <= ?2)"  # noqa: S608 our own column names
                " ORDER BY source, kind, subject, variant, from_day, version",
                (facility, as_of_ms),
            )
            found += [_standing(dict(zip(_COLUMNS, row, strict=True)), last.get(row[0])) for row in rows]
        return found

    def standings(self, facility: str, as_of_ms: int | None = None) -> list[Standing]:
        """Every version of a facility's records, with what has become of it."""
        return self._all(as_of_ms, [facility])

    def in_force(self, facility: str, as_of_ms: int | None = None, *, drafts: bool = False) -> list[InForce]:
        """Of each record the newest approved version, else the newest draft; ordered by source, kind, subject and day.

        `drafts`: as if every draft were approved, to see what that would do."""
        by_key: dict[Key, list[Standing]] = {}
        for standing in self.standings(facility, as_of_ms):
            if standing.state != "withdrawn":
                by_key.setdefault(standing.activity.key, []).append(standing)
        found: list[InForce] = []
        for versions in by_key.values():
            approved = [standing for standing in versions if drafts or standing.state == "approved"]
            newest = versions[-1].activity
            if approved:
                one = approved[-1].activity
                by = approved[-1].decided_by or DRAFT
                found.append(InForce(one, True, waiting=newest.version > one.version, approved_by=by))
            else:
                found.append(InForce(newest, False))
        return found


def activities_in_force(
    directory: Path, facility: str, as_of_ms: int | None = None, *, drafts: bool = False
) -> list[InForce]:
    """`Activities.in_force` of a data directory; none where nothing was ever recorded. Raises RecordsUnusable, RecordsBusy."""
    path = directory / ACCOUNTS_NAME
    if not path.exists():
        return []
    with Activities(path) as activities:
        return activities.in_force(facility, as_of_ms, drafts=drafts)


def read_activities(raw: bytes, name: str, facility: str) -> list[Activity]:
    """The rows of a CSV file or a workbook's first sheet, with COLUMNS and as many of OPTIONAL as it has. Raises RecordsRefused."""

    def read(row: Mapping[str, str]) -> Activity:
        record = activity_of(row, facility)
        if wrong := "; ".join(faults(record)):
            raise ValueError(wrong)
        return record

    try:
        return table(lines_of(raw, name), name, COLUMNS, read, OPTIONAL, ROWS_MAX)
    except TableRefused as error:
        raise RecordsRefused(error.faults) from error


def _standing(row: Mapping[str, Any], last: Sequence[Any] | None) -> Standing:
    stock = [row[name] for name in STOCK]
    activity = Activity(
        facility=row["facility"], source=row["source"], kind=row["kind"], subject=row["subject"], activity_class=row["class"],
        from_day=date.fromisoformat(row["from_day"]), to_day=date.fromisoformat(row["to_day"]), unit=row["unit"], evidence=row["evidence"],
        quantity=None if row["quantity"] is None else Decimal(row["quantity"]),
        stock=None if stock[0] is None else (Decimal(stock[0]), Decimal(stock[1]), Decimal(stock[2]), Decimal(stock[3])),
        variant=row["variant"], sub_class=row["sub_class"], process=row["process"], parameters=tuple(sorted(json.loads(row["parameters"]).items())),
        reason=row["reason"], by=row["by"], no=row["no"], version=row["version"],
    )  # fmt: skip
    if last is None:
        return Standing(activity, row["recorded_at_ms"])
    state, by, note, at_ms = last
    return Standing(activity, row["recorded_at_ms"], state, by, note, at_ms)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
