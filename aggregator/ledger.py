"""The ledger: figures that are kept for good, in one SQLite file beside the store. Not where readings are (see `stores`).

Decimals are text, instants UTC ms. Final figures are never edited: a new version supersedes the old one, and both stay,
so that `as_of_ms` shows what was said then. Any thread may call; one statement runs at a time, each with a time limit.
"""

# ruff: noqa: S608 (statements are put together from constant text only)
import json
import sqlite3
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Final

from aggregator.alarms import Alarm, AlarmState
from aggregator.interval_keeping import Keeping, Kept, asides, figures_aside, figures_stood
from aggregator.interval_row import ESTIMATE, IMPORT, MANUAL, FigureAside, IntervalRow, IntervalVersion
from aggregator.intervals.boundaries import Boundary, Grade
from aggregator.intervals.counter import CounterChange, CounterEvent
from aggregator.stores.store import SeriesKey
from wire.reading import Quality

__all__ = [
    "ESTIMATE",
    "MANUAL",
    "STANDING",
    "BoundaryRow",
    "FigureAside",
    "IntervalRow",
    "IntervalVersion",
    "Kept",
    "Ledger",
    "LedgerBusy",
    "LedgerError",
    "LedgerUnusable",
    "migrate",
]

LOCK_TIMEOUT_S: Final = 20.0
STATEMENT_TIMEOUT_S: Final = 30.0
_INSTRUCTIONS_BETWEEN_LOOKS: Final = 50_000
LONGEST_ESTIMATE_MS: Final = 900_000  # estimates are made on the facility's grid of intervals
CHECKPOINTS_KEPT: Final = 8  # per series, besides the first of each day for a week and of each 30 days for good
_DAY_MS: Final = 86_400_000
_WEEK_MS: Final = 7 * _DAY_MS
_MONTH_MS: Final = 30 * _DAY_MS


class LedgerError(Exception):
    """Root of what the ledger raises.

    LedgerError
    ├── LedgerBusy       held too long, or the disk is full: the same call may be tried again
    └── LedgerUnusable   the file is of a later version, or no ledger
    """


class LedgerBusy(LedgerError):
    """Lock or statement took too long, or the disk refused; nothing of the call was kept."""


class LedgerUnusable(LedgerError):
    """The file cannot be used by this version."""


@dataclass(frozen=True, slots=True)
class BoundaryRow:
    """A kept boundary of one series."""

    series: SeriesKey
    boundary: Boundary
    version: int


class Ledger:
    """One ledger file. `open` makes it or brings it up to date."""

    def __init__(self, path: Path) -> None:
        """Raises LedgerUnusable."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._deadline_s = 0.0
        self._depth = 0
        self._db = sqlite3.connect(
            path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.create_aggregate("decimal_sum", 1, _DecimalSum)  # type: ignore[arg-type]
            self._db.set_progress_handler(self._overdue, _INSTRUCTIONS_BETWEEN_LOOKS)
            migrate(self._db)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise LedgerUnusable(f"{path}: expected a ledger, SQLite says {error}") from error
        except LedgerUnusable as error:
            self._db.close()
            raise LedgerUnusable(f"{path}: {error}") from error

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            self._db.close()

    def _overdue(self) -> int:
        return int(self._deadline_s > 0 and time.monotonic() > self._deadline_s)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything within is kept, or nothing; may be nested. Raises LedgerBusy."""
        if not self._lock.acquire(timeout=LOCK_TIMEOUT_S):
            raise LedgerBusy(f"ledger: expected the lock within {LOCK_TIMEOUT_S:g} s, another thread still holds it")
        try:
            outermost = self._depth == 0
            self._depth += 1
            try:
                if outermost:
                    self._deadline_s = time.monotonic() + STATEMENT_TIMEOUT_S
                    self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                if outermost:
                    self._db.execute("COMMIT")
            except BaseException:
                if outermost and self._db.in_transaction:
                    self._deadline_s = 0.0
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1
        except sqlite3.OperationalError as error:  # locked, interrupted at the time limit, disk full, I/O error
            raise LedgerBusy(
                f"ledger: expected an answer within {STATEMENT_TIMEOUT_S:g} s, SQLite says {error}"
            ) from error
        finally:
            self._lock.release()

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query. Raises LedgerBusy."""
        with self.transaction() as db:
            return db.execute(statement, parameters).fetchall()

    # -- boundaries, events, checkpoints --------------------------------------------------------------------------

    def put_boundaries(self, series: SeriesKey, boundaries: Sequence[Boundary], now_ms: int) -> int:
        """Keeps boundaries; one that stands with another value is superseded. Gives how many are new or changed."""
        if not boundaries:
            return 0
        standing = {
            row.boundary.at_ms: row for row in self.boundaries(series, boundaries[0].at_ms, boundaries[-1].at_ms + 1)
        }
        fresh: list[tuple[Any, ...]] = []
        old: list[tuple[Any, ...]] = []
        for b in boundaries:
            kept = standing.get(b.at_ms)
            if kept is not None and (kept.boundary.value, kept.boundary.grade) == (b.value, b.grade):
                continue
            if kept is not None:
                old.append((now_ms, *series, b.at_ms, kept.version))
            fresh.append(
                (*series, b.at_ms, *series, b.at_ms, str(b.value), int(b.grade.quality), b.grade.reason, b.how, now_ms)
            )
        with self.transaction() as db:
            db.executemany(
                "UPDATE boundary_value SET superseded_at_ms = ? WHERE facility = ? AND edge = ? AND device = ? AND quantity = ?"
                " AND at_ms = ? AND version = ?",
                old,
            )
            db.executemany(
                "INSERT INTO boundary_value VALUES (?,?,?,?,?, (SELECT coalesce(max(version), 0) + 1 FROM boundary_value WHERE facility = ?"
                " AND edge = ? AND device = ? AND quantity = ? AND at_ms = ?),?,?,?,?,?,NULL)",
                fresh,
            )
        return len(fresh)

    def withdraw_boundaries(self, series: SeriesKey, at_ms: Iterable[int], now_ms: int) -> None:
        """What was found of the counter at these instants does not stand until it is found again."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE boundary_value SET superseded_at_ms = ? WHERE facility = ? AND edge = ? AND device = ? AND quantity = ?"
                " AND at_ms = ? AND superseded_at_ms IS NULL",
                [(now_ms, *series, each_ms) for each_ms in at_ms],
            )

    def first_boundary_ms(self, series: SeriesKey) -> int | None:
        """The first boundary of a series that stands."""
        found = self.rows(
            "SELECT min(at_ms) FROM boundary_value WHERE facility = ? AND edge = ? AND device = ? AND quantity = ?"
            " AND superseded_at_ms IS NULL",
            series,
        )
        return None if found[0][0] is None else int(found[0][0])

    def boundaries(self, series: SeriesKey, from_ms: int, to_ms: int, as_of_ms: int | None = None) -> list[BoundaryRow]:
        """Boundaries of one series, from_ms <= at_ms < to_ms, as they stand or stood at `as_of_ms`; ordered."""
        found = self.rows(
            "SELECT at_ms, value, quality, reason, how, version FROM boundary_value WHERE facility = ? AND edge = ? AND device = ?"
            f" AND quantity = ? AND at_ms >= ? AND at_ms < ? AND {STANDING} ORDER BY at_ms",
            (*series, from_ms, to_ms, *(as_of_ms,) * 3),
        )
        return [
            BoundaryRow(series, Boundary(at_ms, Decimal(value), Grade(Quality(quality), reason), how), version)
            for at_ms, value, quality, reason, how, version in found
        ]

    def put_events(self, series: SeriesKey, events: Iterable[CounterEvent], now_ms: int) -> list[CounterEvent]:
        """Keeps what happened to a counter, once; what is found again stands again. Gives those that were not known."""
        fresh: list[CounterEvent] = []
        with self.transaction() as db:
            for e in events:
                key, seen = (*series, e.at_ms, e.change.value), (e.before_ms, str(e.before), str(e.after))
                known = db.execute(
                    "SELECT 1 FROM counter_event WHERE facility = ? AND edge = ? AND device = ? AND quantity = ? AND at_ms = ? AND change = ?",
                    key,
                ).fetchone()
                if known is None:
                    fresh.append(e)
                booked = None if e.substituted_kwh is None else str(e.substituted_kwh)
                db.execute(
                    "INSERT INTO counter_event VALUES (?,?,?,?,?,?,?,?,?,?,?,NULL) ON CONFLICT DO UPDATE SET before_ms = excluded.before_ms,"
                    " before = excluded.before, after = excluded.after, substituted_kwh = excluded.substituted_kwh, superseded_at_ms = NULL",
                    (*key, *seen, booked, now_ms),
                )
        return fresh

    def withdraw_events(self, series: SeriesKey, after_ms: int, held_since_ms: int | None, now_ms: int) -> None:
        """What was found in readings after `after_ms`, or of those held since then, does not stand until it is found again."""
        since_ms = after_ms + 1 if held_since_ms is None else held_since_ms
        with self.transaction() as db:
            db.execute(
                "UPDATE counter_event SET superseded_at_ms = ? WHERE facility = ? AND edge = ? AND device = ? AND quantity = ?"
                " AND superseded_at_ms IS NULL AND (at_ms > ? OR (at_ms >= ? AND change <> 'held'))",
                (now_ms, *series, after_ms, since_ms),
            )

    def events(self, facility: str, from_ms: int, to_ms: int) -> list[tuple[SeriesKey, CounterEvent]]:
        """What happened to the facility's counters and still stands, ordered by time."""
        found = self.rows(
            "SELECT facility, edge, device, quantity, change, at_ms, before_ms, before, after, substituted_kwh FROM counter_event"
            " WHERE facility = ? AND at_ms >= ? AND at_ms < ? AND superseded_at_ms IS NULL ORDER BY at_ms",
            (facility, from_ms, to_ms),
        )
        return [
            (
                SeriesKey(*row[:4]),
                CounterEvent(CounterChange(row[4]), row[5], row[6], Decimal(row[7]), Decimal(row[8]), _decimal(row[9])),
            )
            for row in found
        ]

    def put_checkpoint(self, series: SeriesKey, at_ms: int, state: str) -> None:
        """Keeps the state after the reading at `at_ms`; of older ones the last few, one a day for a week and one a month."""
        where = "facility = ? AND edge = ? AND device = ? AND quantity = ?"
        first_of = f"(SELECT min(at_ms) FROM checkpoint WHERE {where} AND at_ms >= ? GROUP BY at_ms / ?)"
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO checkpoint VALUES (?,?,?,?,?,?)", (*series, at_ms, state))
            db.execute(
                f"DELETE FROM checkpoint WHERE {where} AND at_ms NOT IN"
                f" (SELECT at_ms FROM checkpoint WHERE {where} ORDER BY at_ms DESC LIMIT ?)"
                f" AND at_ms NOT IN {first_of} AND at_ms NOT IN {first_of}",
                (*series, *series, CHECKPOINTS_KEPT, *series, at_ms - _WEEK_MS, _DAY_MS, *series, -(2**62), _MONTH_MS),
            )

    def checkpoint(self, series: SeriesKey, before_ms: int | None = None) -> tuple[int, str] | None:
        """The latest state, or the latest one of a reading before `before_ms`."""
        found = self.rows(
            "SELECT at_ms, state FROM checkpoint WHERE facility = ? AND edge = ? AND device = ? AND quantity = ? AND at_ms < ?"
            " ORDER BY at_ms DESC LIMIT 1",
            (*series, 2**62 if before_ms is None else before_ms),
        )
        return (found[0][0], found[0][1]) if found else None

    def forget_checkpoints(self, series: SeriesKey, from_ms: int) -> None:
        """States at or after `from_ms` are no longer true: late readings lie before them."""
        with self.transaction() as db:
            db.execute(
                "DELETE FROM checkpoint WHERE facility = ? AND edge = ? AND device = ? AND quantity = ? AND at_ms >= ?",
                (*series, from_ms),
            )

    # -- interval energies ----------------------------------------------------------------------------------------

    def put_intervals(self, rows: Sequence[IntervalRow], now_ms: int) -> Kept:
        """Keeps intervals of one device and quantity, and gives what stands or stood otherwise before.

        A provisional one is replaced, a final one superseded by another final one. Which of several final figures stands is said by
        `precedence`, in whatever order they come; the others stay known (`filed`, `asides`).
        """
        if not rows:
            return Kept([], [])
        first = rows[0]
        with self.transaction() as db:
            kept = Keeping(db, (first.facility, first.device, first.quantity), now_ms).take(rows)
            _touch(db, [*kept.written, *kept.gone], now_ms)
        return kept

    def filed(self, facility: str, device: str, quantity: str, from_ms: int, to_ms: int) -> list[IntervalRow]:
        """Imports and energies by hand of intervals that overlap a span, whether they stand or are aside; ordered by time."""
        series = (facility, device, quantity)
        with self.transaction() as db:
            known = [*figures_stood(db, series, from_ms, to_ms), *figures_aside(db, series, from_ms, to_ms)]
        return sorted((row for row in known if row.source in (IMPORT, MANUAL)), key=lambda row: row.start_ms)

    def asides(self, row: IntervalRow) -> list[FigureAside]:
        """What was ever known of an interval, or of one that overlaps it, and did not stand; ordered."""
        with self.transaction() as db:
            return asides(db, row)

    def withdraw_estimates(self, rows: Sequence[IntervalRow], now_ms: int) -> list[IntervalRow]:
        """Estimates that lie across these figures of one device and quantity, with other ends than theirs, do not stand any longer; gives them."""
        figures = sorted((row.start_ms, row.end_ms) for row in rows if row.final and row.source != ESTIMATE)
        if not figures:
            return []
        series = (rows[0].facility, rows[0].device, rows[0].quantity)
        standing = self.intervals(*series, figures[0][0] - LONGEST_ESTIMATE_MS, max(end_ms for _, end_ms in figures))
        gone: list[IntervalRow] = []
        for row in standing:
            at = bisect_left(figures, (row.end_ms,)) - 1  # the last figure that starts before its end
            if row.source == ESTIMATE and at >= 0 and figures[at][1] > row.start_ms:
                gone.append(row)
        with self.transaction() as db:
            db.executemany(
                "UPDATE interval_energy SET superseded_at_ms = ? WHERE facility = ? AND device = ? AND quantity = ?"
                " AND start_ms = ? AND end_ms = ? AND version = ?",
                [(now_ms, *series, row.start_ms, row.end_ms, row.version) for row in gone],
            )
            _touch(db, gone, now_ms)
        return gone

    def intervals_changed_ms(self, facility: str, from_ms: int, to_ms: int) -> int:
        """No interval of the facility that starts within was changed after this instant; days are those of UTC, so it may be later than need be."""
        found = self.rows(
            "SELECT max(changed_at_ms) FROM interval_touched WHERE facility = ? AND day BETWEEN ? AND ?",
            (facility, from_ms // _DAY_MS, (to_ms - 1) // _DAY_MS),
        )
        return found[0][0] or 0

    def changes(self, facility: str, from_ms: int, to_ms: int, since_ms: int) -> tuple[int | None, int]:
        """When the first change of an interval that starts within was recorded, at or after `since_ms`, and how many stand now. It reads the whole period."""
        found = self.rows(
            "SELECT min(CASE WHEN recorded_at_ms >= ?1 THEN recorded_at_ms END), min(CASE WHEN superseded_at_ms >= ?1 THEN superseded_at_ms END),"
            " count(*) - count(superseded_at_ms) FROM interval_energy WHERE facility = ?2 AND start_ms >= ?3 AND start_ms < ?4",
            (since_ms, facility, from_ms, to_ms),
        )
        *changed, standing = found[0]
        return min((at_ms for at_ms in changed if at_ms is not None), default=None), int(standing)

    def intervals(
        self, facility: str, device: str | None, quantity: str, from_ms: int, to_ms: int, as_of_ms: int | None = None
    ) -> list[IntervalRow]:
        """Intervals with from_ms <= start < to_ms of one device, or of all, as they stand or stood at `as_of_ms`; ordered."""
        of_device = "" if device is None else "AND device = ? "
        found = self.rows(
            "SELECT device, start_ms, end_ms, energy_kwh, quality, reason, state, source, version FROM interval_energy"
            f" WHERE facility = ? AND quantity = ? {of_device}AND start_ms >= ? AND start_ms < ? AND {STANDING} ORDER BY device, start_ms",
            (facility, quantity, *(() if device is None else (device,)), from_ms, to_ms, *(as_of_ms,) * 3),
        )
        return [
            IntervalRow(
                facility, name, quantity, start_ms, end_ms, Decimal(energy), Grade(Quality(quality), reason), state == "final",
                source, version,
            )
            for name, start_ms, end_ms, energy, quality, reason, state, source, version in found
        ]  # fmt: skip

    def interval_versions(self, row: IntervalRow) -> list[IntervalVersion]:
        """Every version of an interval's energy, ordered."""
        key = (row.facility, row.device, row.quantity, row.start_ms, row.end_ms)
        found = self.rows(
            "SELECT energy_kwh, quality, reason, state, source, version, recorded_at_ms, superseded_at_ms FROM interval_energy"
            " WHERE facility = ? AND device = ? AND quantity = ? AND start_ms = ? AND end_ms = ? ORDER BY version",
            key,
        )
        return [
            IntervalVersion(
                IntervalRow(*key, Decimal(kwh), Grade(Quality(quality), reason), state == "final", source, version),
                recorded_ms,
                superseded_ms,
            )
            for kwh, quality, reason, state, source, version, recorded_ms, superseded_ms in found
        ]

    def withdraw_intervals(
        self,
        facility: str,
        device: str,
        quantity: str,
        from_ms: int,
        now_ms: int,
        stays: Callable[[IntervalRow], bool] = lambda _row: False,
    ) -> Kept:
        """Measured intervals that start at or after `from_ms`, but for those that stay, are not known until they are found again; gives them as `gone`.

        What they had put aside stands again.
        """
        with self.transaction() as db:
            kept = Keeping(db, (facility, device, quantity), now_ms).withdraw(from_ms, stays)
            _touch(db, [*kept.written, *kept.gone], now_ms)
        return kept

    def first_interval_ms(self, facility: str, quantity: str) -> int | None:
        """When the facility's first interval of a quantity starts, whatever has become of it; None where there is none."""
        found = self.rows(
            "SELECT min(start_ms) FROM interval_energy WHERE facility = ? AND quantity = ?", (facility, quantity)
        )
        return None if found[0][0] is None else int(found[0][0])

    # -- alarms (aggregator.alarms.AlarmBook) ---------------------------------------------------------------------

    def save_alarm(self, alarm: Alarm) -> None:
        """Keep this alarm in place of an earlier state of it."""
        row = (
            alarm.id, alarm.facility, alarm.code, alarm.source, alarm.priority, alarm.state.value, alarm.raised_at_ms,
            alarm.cleared_at_ms, alarm.acknowledged_at_ms, alarm.acknowledged_by, alarm.note, json.dumps(alarm.arguments),
        )  # fmt: skip
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO alarm VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", row)

    def alarms(self, facility: str | None, from_ms: int, open_only: bool, limit: int) -> list[Alarm]:
        """Alarms raised since `from_ms`, newest first."""
        found = self.rows(
            "SELECT * FROM alarm WHERE raised_at_ms >= ? AND (? IS NULL OR facility = ?) AND (NOT ? OR state <> 'normal')"
            " ORDER BY raised_at_ms DESC LIMIT ?",
            (from_ms, facility, facility, open_only, limit),
        )
        return [_alarm(row) for row in found]


# What stands now, or stood at an instant; takes the instant three times.
STANDING: Final = "((? IS NULL AND superseded_at_ms IS NULL) OR (recorded_at_ms <= ? AND (superseded_at_ms IS NULL OR superseded_at_ms > ?)))"


def migrate(db: sqlite3.Connection) -> None:
    """Runs the numbered SQL files that the database has not seen; each is kept as a whole or not at all."""
    steps = sorted(
        (int(entry.name.split("_")[0]), entry.read_text(encoding="utf-8"))
        for entry in resources.files("aggregator").joinpath("migrations").iterdir()
        if entry.name.endswith(".sql")
    )
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > steps[-1][0]:
        raise LedgerUnusable(
            f"ledger version {version} is newer than this program, which knows {steps[-1][0]}: upgrade the program"
        )
    for number, script in steps:
        if number > version:
            db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


class _DecimalSum:
    """`decimal_sum(column)` in SQL: exact, null where there is nothing to add."""

    def __init__(self) -> None:
        self.total: Decimal | None = None

    def step(self, text: str | None) -> None:
        if text is not None:
            self.total = (self.total or Decimal(0)) + Decimal(text)

    def finalize(self) -> str | None:
        return None if self.total is None else str(self.total)


def _touch(db: sqlite3.Connection, rows: Sequence[IntervalRow], now_ms: int) -> None:
    """Notes that interval energies of these days have changed: whoever changes one calls it."""
    db.executemany(
        "INSERT INTO interval_touched VALUES (?,?,?) ON CONFLICT (facility, day)"
        " DO UPDATE SET changed_at_ms = max(changed_at_ms, excluded.changed_at_ms)",
        [(facility, day, now_ms) for facility, day in {(row.facility, row.start_ms // _DAY_MS) for row in rows}],
    )


def _alarm(row: Sequence[Any]) -> Alarm:
    alarm_id, facility, code, source, priority, state, raised, cleared, acknowledged, by, note, arguments = row
    return Alarm(
        alarm_id, facility, code, source, priority, AlarmState(state), raised, cleared, acknowledged, by, note, tuple(json.loads(arguments))
    )  # fmt: skip


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
