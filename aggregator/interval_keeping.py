"""How figures of intervals are kept: what comes joins what is known, and what stands by `precedence` is written. Not the rule itself.

known = what stands + what is aside + what comes  --precedence-->  stands: a version of `interval_energy`
                                                                   the rest: `interval_aside`, until it stands or is replaced
"""

# ruff: noqa: S608 (statements are put together from constant text only)
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from aggregator.interval_row import ESTIMATE, IMPORT, MANUAL, MEASURED, FigureAside, IntervalRow
from aggregator.intervals.boundaries import Grade
from aggregator.precedence import Ends, ends_of, standing_of
from wire.reading import Quality

LONGEST_MS: Final = 86_400_000  # an interval is a day at most
_OF: Final = "facility = ? AND device = ? AND quantity = ?"
_ENDS: Final = f"{_OF} AND start_ms = ? AND end_ms = ?"
_WITHIN: Final = f"{_OF} AND start_ms >= ? AND start_ms < ? AND end_ms > ?"

Known = tuple[Ends, str]  # what is known of an interval from one source


class Kept(NamedTuple):
    """`written`: what stands now and is new or changed, with its version. `gone`: ends at which something stood and nothing does any longer."""

    written: list[IntervalRow]
    gone: list[IntervalRow]


class Keeping:
    """The intervals of one device and quantity, within a transaction. `now_ms`: when what comes is recorded."""

    def __init__(self, db: sqlite3.Connection, series: tuple[str, str, str], now_ms: int) -> None:
        self._db = db
        self._series = series
        self._now_ms = now_ms
        self._span: Ends = (0, 0)
        self._versions: dict[Ends, int] | None = None  # the last of each interval of the span
        self._standing: dict[Ends, IntervalRow] = {}
        self._aside: dict[Known, IntervalRow] = {}
        self._written: list[IntervalRow] = []
        self._gone: list[IntervalRow] = []

    def take(self, rows: Sequence[IntervalRow]) -> Kept:
        """Final figures join what is known; provisional ones and estimates stand only where nothing else does."""
        known = self._read(min(row.start_ms for row in rows), max(row.end_ms for row in rows))
        lesser: list[IntervalRow] = []
        for row in rows:
            key = (ends_of(row), row.source)
            if not row.final or row.source == ESTIMATE:
                lesser.append(row)
            elif key not in known or known[key].says() != row.says():
                known[key] = row
        self._settle(known)
        if lesser:
            self._fill(lesser)
        return Kept(self._written, self._gone)

    def withdraw(self, from_ms: int, stays: Callable[[IntervalRow], bool]) -> Kept:
        """Measured figures that start at or after `from_ms`, but for those that stay, are not known any longer."""
        known = self._read(from_ms, 2**62)
        measured = [row for row in (*self._standing.values(), *self._aside.values()) if row.source == MEASURED]
        leaving = [row for row in measured if row.start_ms >= from_ms and not stays(row)]
        for row in leaving:
            if row.final:
                del known[ends_of(row), MEASURED]
            else:
                self._remove_provisional(row)
        if leaving:
            self._settle(known)
        return Kept(self._written, self._gone)

    # -- what is known --------------------------------------------------------------------------------------------

    def _read(self, from_ms: int, to_ms: int) -> dict[Known, IntervalRow]:
        """Everything that stands or is aside in a span, and whatever overlaps that; gives the final figures of it."""
        while True:
            standing, aside = (
                figures_stood(self._db, self._series, from_ms, to_ms),
                figures_aside(self._db, self._series, from_ms, to_ms),
            )
            found = [ends_of(row) for row in (*standing, *aside)]
            span = (
                min([from_ms, *(start_ms for start_ms, _ in found)]),
                max([to_ms, *(end_ms for _, end_ms in found)]),
            )
            if span == (from_ms, to_ms):
                break
            from_ms, to_ms = span
        self._span = span
        self._standing = {ends_of(row): row for row in standing}
        self._aside = {(ends_of(row), row.source): row for row in aside}
        known = {(ends_of(row), row.source): row for row in standing if row.final and row.source != ESTIMATE}
        return known | self._aside

    # -- what stands ----------------------------------------------------------------------------------------------

    def _settle(self, known: dict[Known, IntervalRow]) -> None:
        chosen = {ends_of(row): row for row in standing_of(known.values())}
        for ends, row in chosen.items():
            kept = self._standing.get(ends)
            if kept is not row:
                self._supersede(kept, known)
                self._write(row, kept)
        final = sorted(chosen)
        for ends, kept in list(self._standing.items()):
            if ends in chosen or kept.source == ESTIMATE:
                continue
            if kept.final:
                self._supersede(kept, known)
                del self._standing[ends]
                self._gone.append(kept)
            elif _touches(ends, final):  # of an import, or of another interval length
                self._remove_provisional(kept)
        self._put_aside(known, chosen)

    def _fill(self, rows: Iterable[IntervalRow]) -> None:
        imports = sorted(ends for ends, row in self._standing.items() if row.final and row.source in (IMPORT, MANUAL))
        for row in rows:
            kept = self._standing.get(ends_of(row))
            gives_way = kept is None or (kept.source == ESTIMATE if row.source == ESTIMATE else not kept.final)
            if gives_way and (kept is None or kept.says() != row.says()) and not _touches(ends_of(row), imports):
                self._supersede(kept, {})
                self._write(row, kept)
                self._remove_others_begun(row)

    def _remove_others_begun(self, row: IntervalRow) -> None:
        """An interval that was begun with another length does not stand beside one that has begun."""
        ends = ends_of(row)
        for other, kept in list(self._standing.items()):
            if kept.source == row.source == MEASURED and not kept.final and _touches(other, [ends]):
                self._remove_provisional(kept)

    def _write(self, row: IntervalRow, kept: IntervalRow | None) -> None:
        key = (*self._series, *ends_of(row))
        version = self._next_version(ends_of(row)) if kept is None else kept.version + int(kept.final)
        self._db.execute(
            "INSERT OR REPLACE INTO interval_energy VALUES (?,?,?,?,?,?,?,?,?,?,?,?,NULL)",
            (*key, version, str(row.energy_kwh), int(row.grade.quality), row.grade.reason,
             "final" if row.final else "provisional", row.source, self._now_ms),
        )  # fmt: skip
        written = IntervalRow(*key, row.energy_kwh, row.grade, row.final, row.source, version)
        self._standing[ends_of(row)] = written
        self._written.append(written)

    def _next_version(self, ends: Ends) -> int:
        """Of an interval of which none stands: one that was withdrawn keeps its versions."""
        if self._versions is None:
            found = self._db.execute(
                "SELECT start_ms, end_ms, max(version) FROM interval_energy WHERE facility = ? AND device = ? AND quantity = ?"
                " AND start_ms >= ? AND start_ms < ? GROUP BY start_ms, end_ms",
                (*self._series, *self._span),
            )
            self._versions = {(start_ms, end_ms): version for start_ms, end_ms, version in found}
        return self._versions.get(ends, 0) + 1

    def _supersede(self, kept: IntervalRow | None, known: dict[Known, IntervalRow]) -> None:
        """A final row stands no longer; where it is known still, it is aside from now on."""
        if kept is None or not kept.final:
            return
        key = (*self._series, *ends_of(kept))
        if known.get((ends_of(kept), kept.source)) is kept and _kept_aside(kept, known):
            self._db.execute(
                "INSERT INTO interval_aside SELECT facility, device, quantity, start_ms, end_ms, source,"
                f" (SELECT coalesce(max(version), 0) + 1 FROM interval_aside WHERE {_ENDS} AND source = one.source),"
                " energy_kwh, quality, reason,"
                f" coalesce((SELECT known_ms FROM interval_aside WHERE {_ENDS} AND source = one.source AND ended_ms = one.recorded_at_ms),"
                f" recorded_at_ms), ?, NULL FROM interval_energy AS one WHERE {_ENDS} AND version = ?",
                (*key, *key, self._now_ms, *key, kept.version),
            )
            self._aside[ends_of(kept), kept.source] = kept
        self._db.execute(
            f"UPDATE interval_energy SET superseded_at_ms = ? WHERE {_ENDS} AND version = ?",
            (self._now_ms, *key, kept.version),
        )

    def _remove_provisional(self, row: IntervalRow) -> None:
        self._db.execute(
            f"DELETE FROM interval_energy WHERE {_ENDS} AND version = ?",
            (*self._series, *ends_of(row), row.version),
        )
        del self._standing[ends_of(row)]
        self._gone.append(row)

    # -- what is aside --------------------------------------------------------------------------------------------

    def _put_aside(self, known: dict[Known, IntervalRow], chosen: dict[Ends, IntervalRow]) -> None:
        """What is known and not chosen is aside from now on, and nothing else is."""
        for (ends, source), row in list(self._aside.items()):
            if known.get((ends, source)) is not row or chosen.get(ends) is row or not _kept_aside(row, known):
                self._db.execute(
                    f"UPDATE interval_aside SET ended_ms = ? WHERE {_ENDS} AND source = ? AND ended_ms IS NULL",
                    (self._now_ms, *self._series, *ends, source),
                )
                del self._aside[ends, source]
        for (ends, source), row in known.items():
            if chosen.get(ends) is row or (ends, source) in self._aside or not _kept_aside(row, known):
                continue
            key = (*self._series, *ends, source)
            self._db.execute(
                "INSERT INTO interval_aside VALUES (?,?,?,?,?,?,"
                f" (SELECT coalesce(max(version), 0) + 1 FROM interval_aside WHERE {_ENDS} AND source = ?),?,?,?,?,?,NULL)",
                (*key, *key, str(row.energy_kwh), int(row.grade.quality), row.grade.reason, self._now_ms, self._now_ms),
            )
            self._aside[ends, source] = row


def _kept_aside(row: IntervalRow, known: dict[Known, IntervalRow]) -> bool:
    """An energy by hand that corrects no import was taken because nothing was measured: it does not wait until that is gone again."""
    return row.source != MANUAL or (ends_of(row), IMPORT) in known


def _touches(ends: Ends, others: Sequence[Ends]) -> bool:
    """Whether a span overlaps one of several that do not overlap each other, ordered, with other ends than its own."""
    at = bisect_left(others, (ends[1],)) - 1
    return at >= 0 and others[at][1] > ends[0] and others[at] != ends


def figures_stood(db: sqlite3.Connection, series: tuple[str, str, str], from_ms: int, to_ms: int) -> list[IntervalRow]:
    """What stands now and overlaps a span."""
    found = db.execute(
        "SELECT start_ms, end_ms, energy_kwh, quality, reason, state, source, version FROM interval_energy"
        f" WHERE {_WITHIN} AND superseded_at_ms IS NULL",
        (*series, from_ms - LONGEST_MS, to_ms, from_ms),
    )
    return [
        IntervalRow(*series, start_ms, end_ms, Decimal(energy), Grade(Quality(quality), reason), state == "final", source, version)
        for start_ms, end_ms, energy, quality, reason, state, source, version in found
    ]  # fmt: skip


def figures_aside(db: sqlite3.Connection, series: tuple[str, str, str], from_ms: int, to_ms: int) -> list[IntervalRow]:
    """What is aside now and overlaps a span."""
    found = db.execute(
        f"SELECT start_ms, end_ms, energy_kwh, quality, reason, source FROM interval_aside WHERE {_WITHIN} AND ended_ms IS NULL",
        (*series, from_ms - LONGEST_MS, to_ms, from_ms),
    )
    return [
        IntervalRow(*series, start_ms, end_ms, Decimal(energy), Grade(Quality(quality), reason), True, source)
        for start_ms, end_ms, energy, quality, reason, source in found
    ]


def asides(db: sqlite3.Connection, row: IntervalRow) -> list[FigureAside]:
    """Everything that was ever aside and overlaps an interval, ordered."""
    series = (row.facility, row.device, row.quantity)
    found = db.execute(
        "SELECT start_ms, end_ms, energy_kwh, quality, reason, source, known_ms, aside_ms, ended_ms FROM interval_aside"
        f" WHERE {_WITHIN} ORDER BY start_ms, end_ms, aside_ms, source, version",
        (*series, row.start_ms - LONGEST_MS, row.end_ms, row.start_ms),
    )
    return [
        FigureAside(
            IntervalRow(*series, start_ms, end_ms, Decimal(energy), Grade(Quality(quality), reason), True, source), known_ms, aside_ms, ended_ms
        )
        for start_ms, end_ms, energy, quality, reason, source, known_ms, aside_ms, ended_ms in found
    ]  # fmt: skip
