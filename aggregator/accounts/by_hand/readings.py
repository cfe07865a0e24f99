"""Counter displays and interval energies that people have entered, every version for good. Not whether they fit (see `entering`)."""

# ruff: noqa: S608 (statements are put together from constant text only)
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from aggregator.accounts.record_file import RecordFile
from aggregator.stores.store import SeriesKey


@dataclass(frozen=True, slots=True)
class Entry:
    """Who entered it, from what evidence, and why there is a further version."""

    evidence: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HandReading:
    """One version of what a display showed at an instant, in displayed kWh; None: the version before is withdrawn."""

    no: int
    series: SeriesKey
    at_ms: int
    version: int
    display_kwh: Decimal | None
    entry: Entry
    entered_at_ms: int


@dataclass(frozen=True, slots=True)
class HandAmount:
    """One version of the energy of [start_ms, end_ms) that a person has entered, in kWh of the line."""

    no: int
    facility: str
    device: str
    quantity: str
    start_ms: int
    end_ms: int
    version: int
    energy_kwh: Decimal
    entry: Entry
    entered_at_ms: int


class HandReadings:
    """The record of one aggregator, alone in writing it. Any thread may call. Raises RecordsBusy."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        self._file = RecordFile(path, "by_hand/hand_readings.sql")
        self._standing: dict[SeriesKey, list[HandReading]] = {}  # the newest version of each instant, ordered
        self._newest_no: dict[SeriesKey, int] = {}
        self._placing = threading.Lock()
        for row in self._file.rows(f"SELECT {_READING} FROM hand_reading ORDER BY at_ms, version"):
            reading = _reading(row)
            kept = self._standing.setdefault(reading.series, [])
            if kept and kept[-1].at_ms == reading.at_ms:
                kept.pop()
            kept.append(reading)
            self._newest_no[reading.series] = max(reading.no, self._newest_no.get(reading.series, 0))

    def close(self) -> None:
        """Idempotent."""
        self._file.close()

    def _stands(self, reading: HandReading) -> None:
        """Takes the place of an earlier version of the same instant."""
        with self._placing:
            kept = self._standing.get(reading.series, [])
            at = bisect_left(kept, reading.at_ms, key=_at_ms)
            same = at < len(kept) and kept[at].at_ms == reading.at_ms
            if same and kept[at].version > reading.version:
                return
            # A new list, because another thread may be reading the old one.
            self._standing[reading.series] = [*kept[:at], reading, *kept[at + same :]]
            self._newest_no[reading.series] = max(reading.no, self._newest_no.get(reading.series, 0))

    # -- counters -------------------------------------------------------------------------------------------------

    def enter(
        self, series: SeriesKey, at_ms: int, display_kwh: Decimal | None, entry: Entry, now_ms: int
    ) -> HandReading:
        """Appends a version."""
        with self._file.transaction() as db:
            (last,) = db.execute(
                "SELECT coalesce(max(version), 0) FROM hand_reading WHERE facility = ? AND edge = ? AND device = ? AND quantity = ?"
                " AND at_ms = ?",
                (*series, at_ms),
            ).fetchone()
            row = db.execute(
                "INSERT INTO hand_reading (facility, edge, device, quantity, at_ms, version, display_kwh, evidence, reason, by,"
                f" entered_at_ms) VALUES (?,?,?,?,?,?,?,?,?,?,?) RETURNING {_READING}",
                (*series, at_ms, last + 1, _text(display_kwh), entry.evidence, entry.reason, entry.by, now_ms),
            ).fetchone()
        entered = _reading(row)
        self._stands(entered)
        return entered

    def standing(self, series: SeriesKey, from_ms: int = -(2**62), to_ms: int = 2**62) -> list[HandReading]:
        """The displays that stand with from_ms <= at_ms < to_ms, ordered; withdrawn ones are left out."""
        kept = self._standing.get(series, [])
        first, end = bisect_left(kept, from_ms, key=_at_ms), bisect_left(kept, to_ms, key=_at_ms)
        return [reading for reading in kept[first:end] if reading.display_kwh is not None]

    def beside(self, series: SeriesKey, at_ms: int, direction: Literal[1, -1]) -> Iterator[HandReading]:
        """The displays that stand before an instant (-1), or after it (1), the nearest first."""
        kept = self._standing.get(series, [])
        if direction == 1:
            numbers = range(bisect_right(kept, at_ms, key=_at_ms), len(kept))
        else:
            numbers = range(bisect_left(kept, at_ms, key=_at_ms) - 1, -1, -1)
        return (kept[number] for number in numbers if kept[number].display_kwh is not None)

    def at(self, series: SeriesKey, at_ms: int) -> HandReading | None:
        """The newest version of an instant, a withdrawal too."""
        kept = self._standing.get(series, [])
        at = bisect_left(kept, at_ms, key=_at_ms)
        return kept[at] if at < len(kept) and kept[at].at_ms == at_ms else None

    def series(self) -> list[SeriesKey]:
        """Every series that has an entry."""
        return list(self._standing)

    def entered_after(self, series: SeriesKey, no: int) -> list[HandReading]:
        """What stands of a series and was entered after the entry `no`, withdrawals included."""
        return [kept for kept in self._standing.get(series, ()) if kept.no > no]

    def newest_no(self, series: SeriesKey) -> int:
        """The number of the last entry of a series, 0 where there is none."""
        return self._newest_no.get(series, 0)

    def versions(self, facility: str, device: str | None, from_ms: int, to_ms: int, limit: int) -> list[HandReading]:
        """Every version of a span, ordered by instant and version."""
        found = self._file.rows(
            f"SELECT {_READING} FROM hand_reading WHERE facility = ? AND (? IS NULL OR device = ?) AND at_ms >= ? AND at_ms < ?"
            " ORDER BY at_ms, device, quantity, version LIMIT ?",
            (facility, device, device, from_ms, to_ms, limit),
        )
        return [_reading(row) for row in found]

    # -- interval energies ----------------------------------------------------------------------------------------

    def enter_amount(
        self, facility: str, device: str, quantity: str, span: tuple[int, int], energy_kwh: Decimal, entry: Entry, now_ms: int
    ) -> HandAmount:  # fmt: skip
        """Appends a version."""
        key = (facility, device, quantity, *span)
        with self._file.transaction() as db:
            (last,) = db.execute(
                "SELECT coalesce(max(version), 0) FROM hand_amount WHERE facility = ? AND device = ? AND quantity = ? AND start_ms = ?"
                " AND end_ms = ?",
                key,
            ).fetchone()
            row = db.execute(
                "INSERT INTO hand_amount (facility, device, quantity, start_ms, end_ms, version, energy_kwh, evidence, reason, by,"
                f" entered_at_ms) VALUES (?,?,?,?,?,?,?,?,?,?,?) RETURNING {_AMOUNT}",
                (*key, last + 1, _text(energy_kwh), entry.evidence, entry.reason, entry.by, now_ms),
            ).fetchone()
        return _amount(row)

    def amounts(self, facility: str, device: str | None, from_ms: int, to_ms: int, limit: int) -> list[HandAmount]:
        """Every version of every amount that starts in a span, ordered by start and version."""
        found = self._file.rows(
            f"SELECT {_AMOUNT} FROM hand_amount WHERE facility = ? AND (? IS NULL OR device = ?) AND start_ms >= ? AND start_ms < ?"
            " ORDER BY start_ms, device, quantity, version LIMIT ?",
            (facility, device, device, from_ms, to_ms, limit),
        )
        return [_amount(row) for row in found]


def _at_ms(reading: HandReading) -> int:
    return reading.at_ms


_READING = "no, facility, edge, device, quantity, at_ms, version, display_kwh, evidence, by, reason, entered_at_ms"
_AMOUNT = "no, facility, device, quantity, start_ms, end_ms, version, energy_kwh, evidence, by, reason, entered_at_ms"


def _reading(row: Sequence[Any]) -> HandReading:
    shown = None if row[7] is None else Decimal(row[7])
    return HandReading(row[0], SeriesKey(*row[1:5]), row[5], row[6], shown, Entry(*row[8:11]), row[11])


def _amount(row: Sequence[Any]) -> HandAmount:
    no, facility, device, quantity, start_ms, end_ms, version = row[:7]
    entry = Entry(*row[8:11])
    return HandAmount(no, facility, device, quantity, start_ms, end_ms, version, Decimal(row[7]), entry, row[11])


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
