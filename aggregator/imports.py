"""Import of interval energies and of counter readings from CSV files. Not a restore: what was imported is never overwritten.

With a reason, other energies for intervals that were imported are corrections: they supersede, and the old ones stay on record.
Whether a counter's figure or an imported one stands is no matter of order (see `precedence`).

    interval file: start, energy     --> ledger and books at once            (source `import`)
    counter file:  instant, display  --> store.commit under edge `import` --> settled like any counter

A second import stores nothing new. A faulty row, such as one of the future, is reported with line and column, and stops nothing else.
"""

import csv
import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.books import Books
from aggregator.csv_rows import CsvRow, FileUnusable, ImportOptions, Kind, RowFault, csv_rows
from aggregator.interval_row import IMPORT, MANUAL, IntervalRow
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.counter import HEADROOM, MS_PER_H, SPARE_COUNTS
from aggregator.intervals.meter import MeterSpec
from aggregator.ledger import Ledger
from aggregator.measured_readings import IMPORT_EDGE
from aggregator.settle import COUNTERS
from aggregator.stores.store import Rows, SeriesKey, Store
from wire.quantities import QUANTITIES
from wire.reading import REASON_CODES, Quality

__all__ = [
    "FileUnusable",
    "ImportOptions",
    "ImportResult",
    "ImportRun",
    "Kind",
    "RowFault",
    "import_csv",
    "import_of",
]

ROWS_AT_ONCE: Final = 10_000
MAX_FAULTS_KEPT: Final = 1_000
IMPORTED: Final = Grade(Quality.GOOD, "imported")


@dataclass(slots=True)
class ImportResult:
    """What an import did: good `rows` of which `new` were not known, and `bad` ones.

    `total_kwh` is the exact sum of the good rows of an interval file, new or not. `aside`: new ones that do not stand, since the
    meter's counter does. `booked` emissions, of which `without_factor` have no figure.
    """

    rows: int = 0
    new: int = 0
    aside: int = 0
    bad: int = 0
    total_kwh: Decimal = Decimal(0)
    from_ms: int | None = None
    to_ms: int | None = None
    booked: int = 0
    without_factor: int = 0
    faults: list[RowFault] = field(default_factory=list)  # the first 1,000; `bad` counts all

    @property
    def exit_status(self) -> int:
        return 1 if self.bad else 0

    def fault(self, fault: RowFault) -> None:
        self.bad += 1
        if len(self.faults) < MAX_FAULTS_KEPT:
            self.faults.append(fault)

    def reaches(self, from_ms: int, to_ms: int) -> None:
        self.from_ms = from_ms if self.from_ms is None else min(self.from_ms, from_ms)
        self.to_ms = to_ms if self.to_ms is None else max(self.to_ms, to_ms)


def import_csv(
    path: Path,
    options: ImportOptions,
    books: Books,
    store: Store | None = None,
    progress: Callable[[int, int], None] = lambda _done, _whole: None,
    note: Callable[[SeriesKey, int, int], None] = lambda _series, _from_ms, _to_ms: None,
) -> ImportResult:
    """Imports one file of at least one row and records the run. `progress` hears bytes done and bytes in all.

    A counter file needs the store; `note` is the settler's, which turns its readings into intervals. Raises FileUnusable,
    and what store and ledger raise.
    """
    _check_meter(options, books)
    result = ImportResult()
    try:
        with path.open(encoding=options.encoding, newline="") as file:
            rows = csv_rows(file, path, options, result.fault, progress)
            if options.kind is Kind.INTERVAL:
                _take_intervals(path, list(rows), options, books, result)
            elif store is None:
                raise FileUnusable(f"{path.name}: a counter file needs the store of readings")
            else:
                _take_readings(path, rows, options, store, result, note, books.clock())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, UnicodeError, csv.Error) as error:
        raise FileUnusable(f"{path.name}: expected a readable CSV file in {options.encoding}, got {error}") from error
    if not result.rows and not result.bad:
        raise FileUnusable(f"{path.name}: expected at least one row, got a header alone")
    with books.ledger.transaction() as db:
        db.execute(
            "INSERT INTO import_run (file, sha256, kind, facility, device, quantity, rows_read, rows_new, rows_bad, total, at_ms, reason,"
            " by) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (path.name, digest, options.kind.value, options.facility, options.device, options.quantity, result.rows, result.new,
             result.bad, str(result.total_kwh), books.clock(), options.reason.strip(), options.by.strip()),
        )  # fmt: skip
    return result


@dataclass(frozen=True, slots=True)
class ImportRun:
    """A file that was imported; `reason` and `by` where it corrected."""

    file: str
    sha256: str
    at_ms: int
    reason: str
    by: str


def import_of(ledger: Ledger, row: IntervalRow, known_ms: int) -> ImportRun | None:
    """The import that brought a figure of an interval: a run is recorded at its end, and runs do not overlap."""
    found = ledger.rows(
        "SELECT file, sha256, at_ms, reason, by FROM import_run WHERE facility = ? AND device = ? AND quantity = ? AND kind = 'interval'"
        " AND at_ms >= ? ORDER BY id LIMIT 1",
        (row.facility, row.device, row.quantity, known_ms),
    )
    return ImportRun(*found[0]) if found and row.source == IMPORT else None


def _check_meter(options: ImportOptions, books: Books) -> None:
    facility = books.facilities.get(options.facility)
    if facility is None:
        known = ", ".join(books.facilities) or "none is configured"
        raise FileUnusable(f"facility: expected a configured one ({known}), got {options.facility!r}")
    meter = facility.meter(options.device)
    if meter is None:
        known = ", ".join(meter.device for meter in facility.meters) or "it has none"
        raise FileUnusable(f"device: expected a meter of {options.facility} ({known}), got {options.device!r}")
    if options.quantity not in COUNTERS.get(meter.carrier, ()):
        counts = ", ".join(COUNTERS.get(meter.carrier, ())) or "nothing is settled"
        raise FileUnusable(
            f"quantity: expected one that {meter.device}, a meter for {meter.carrier}, counts ({counts}), got {options.quantity!r}"
        )


# -- intervals --------------------------------------------------------------------------------------------------------


def _take_intervals(
    path: Path, rows: Sequence[CsvRow], options: ImportOptions, books: Books, result: ImportResult
) -> None:
    """Rows that agree with each other, in pieces, into the ledger."""
    length_ms = options.interval_s * 1000
    zone, now_ms, unit = ZoneInfo(options.time_zone), books.clock(), QUANTITIES[options.quantity].unit
    good: list[CsvRow] = []
    for row in sorted(rows, key=lambda row: (row.at_ms, row.line)):
        before = good[-1] if good else None
        if row.at_ms + length_ms > now_ms:
            expected = f"an interval that has ended by now ({_utc(now_ms)})"
            seen = f"one until {_utc(row.at_ms + length_ms)}"
            result.fault(RowFault(path.name, row.line, options.time_column, expected, seen))
        elif before is None or row.at_ms >= before.at_ms + length_ms:
            if _off_grid(row.at_ms, options.interval_s, zone):
                expected = f"a start at a multiple of {options.interval_s} s of the local day"
                result.fault(RowFault(path.name, row.line, options.time_column, expected, _utc(row.at_ms)))
            else:
                good.append(row)
        elif row.at_ms > before.at_ms:
            expected = f"no overlap with the {options.interval_s} s from line {before.line}"
            result.fault(RowFault(path.name, row.line, options.time_column, expected, _utc(row.at_ms)))
        elif row.value == before.value:
            result.fault(
                RowFault(
                    path.name, row.line, options.time_column, "each interval once", f"that of line {before.line} again"
                )
            )
        else:
            expected = f"{before.value} {unit} as in line {before.line} for the same interval"
            result.fault(RowFault(path.name, row.line, options.value_column, expected, f"{row.value} {unit}"))
    for first in range(0, len(good), ROWS_AT_ONCE):
        _enter(path, good[first : first + ROWS_AT_ONCE], length_ms, options, books, result)


def _enter(
    path: Path, rows: Sequence[CsvRow], length_ms: int, options: ImportOptions, books: Books, result: ImportResult
) -> None:
    """Takes rows that are not on record yet; a repeated one is known, one that contradicts what is there is a fault or a correction.

    What the meter's counter says makes none: which of the two stands is the ledger's matter.
    """
    meter = books.facilities[options.facility].meter(options.device)
    assert meter is not None
    series, unit = (options.facility, options.device, options.quantity), QUANTITIES[options.quantity].unit
    starts = {row.at_ms for row in rows}
    filed = books.ledger.filed(*series, rows[0].at_ms, rows[-1].at_ms + length_ms)
    imported: dict[int, IntervalRow] = {}
    by_hand: dict[int, IntervalRow] = {}
    others: list[IntervalRow] = []
    for known in filed:
        if known.start_ms in starts and known.end_ms - known.start_ms == length_ms:
            (by_hand if known.source == MANUAL else imported)[known.start_ms] = known
        else:
            others.append(known)
    other_starts = [row.start_ms for row in others]
    fresh: list[IntervalRow] = []
    for row in rows:
        end_ms = row.at_ms + length_ms
        at = bisect_right(other_starts, end_ms - 1) - 1
        if at >= 0 and others[at].end_ms > row.at_ms:
            expected = f"no overlap with what stands from {_utc(others[at].start_ms)} to {_utc(others[at].end_ms)}"
            result.fault(
                RowFault(
                    path.name, row.line, options.time_column, expected, f"{options.interval_s} s from {_utc(row.at_ms)}"
                )
            )
            continue
        kept = by_hand.get(row.at_ms, imported.get(row.at_ms))
        other = kept is not None and kept.energy_kwh != row.value
        corrects = other and bool(options.reason.strip()) and row.at_ms not in by_hand
        if kept is not None and other and not corrects:
            expected = f"{kept.energy_kwh} {unit}, which stands for {_utc(row.at_ms)} ({kept.source})"
            result.fault(RowFault(path.name, row.line, options.value_column, expected, f"{row.value} {unit}"))
            continue
        new = kept is None or corrects
        most_kwh = _most_kwh(meter, row, length_ms)
        if new and row.value > most_kwh:
            rate = "kW" if unit == "kWh" else f"{unit}/h"
            expected = f"at most {most_kwh.normalize():f} {unit}, {meter.device} carries {meter.rated_power_kw} {rate}"
            result.fault(RowFault(path.name, row.line, options.value_column, expected, f"{row.value} {unit}"))
            continue
        result.rows += 1
        result.total_kwh += row.value
        result.reaches(row.at_ms, end_ms)
        if new:
            fresh.append(IntervalRow(*series, row.at_ms, end_ms, row.value, IMPORTED, final=True, source="import"))
    entered = books.enter(fresh)
    result.new += len(fresh)
    stand = {row.start_ms for row in entered.intervals if row.source == IMPORT}
    result.aside += sum(row.start_ms not in stand for row in fresh)
    result.booked += len(entered.emissions)
    result.without_factor += sum(emission.kg is None for emission in entered.emissions)


def _most_kwh(meter: MeterSpec, row: CsvRow, length_ms: int) -> Decimal:
    """Rule 1, as for counters: what the line carries in an interval, and two counts of the meter (else of the row's last digit)."""
    exponent = row.value.as_tuple().exponent
    count = meter.quantum_kwh or (Decimal(1).scaleb(min(exponent, 0)) if isinstance(exponent, int) else Decimal(0))
    return HEADROOM * meter.rated_power_kw * length_ms / MS_PER_H + SPARE_COUNTS * count


def _off_grid(at_ms: int, interval_s: int, zone: ZoneInfo) -> bool:
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    return at_ms % 1000 != 0 or (local.hour * 3600 + local.minute * 60 + local.second) % interval_s != 0


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- counters ---------------------------------------------------------------------------------------------------------


def _take_readings(
    path: Path,
    rows: Iterable[CsvRow],
    options: ImportOptions,
    store: Store,
    result: ImportResult,
    note: Callable[[SeriesKey, int, int], None],
    now_ms: int,
) -> None:
    """Displays become readings of the series under edge `import`; an instant that stands with another value is a fault."""
    series = SeriesKey(options.facility, IMPORT_EDGE, options.device, options.quantity)
    ids = store.ids([series])
    source = iter(rows)
    while piece := list(islice(source, ROWS_AT_ONCE)):
        first_ms, last_ms = min(row.at_ms for row in piece), max(row.at_ms for row in piece)
        columns = store.history(series, first_ms, last_ms + 1)
        standing = dict(zip(columns.at_ms.tolist(), columns.value.tolist(), strict=True))
        fresh: dict[int, float] = {}
        for row in piece:
            if row.at_ms > now_ms:
                expected = f"an instant that has passed (now {_utc(now_ms)})"
                result.fault(RowFault(path.name, row.line, options.time_column, expected, _utc(row.at_ms)))
                continue
            value = float(row.value)
            kept = standing.get(row.at_ms, fresh.get(row.at_ms))
            if kept is not None and kept != value:
                unit = QUANTITIES[options.quantity].unit
                expected = f"{kept} {unit}, which stands for {_utc(row.at_ms)}"
                result.fault(RowFault(path.name, row.line, options.value_column, expected, f"{row.value} {unit}"))
                continue
            result.rows += 1
            if kept is None:
                fresh[row.at_ms] = value
        if not fresh:
            continue
        n = len(fresh)
        result.new += store.commit(
            Rows(
                np.repeat(ids, n),
                np.array(list(fresh), np.int64),
                np.array(list(fresh.values()), np.float64),
                np.full(n, int(Quality.GOOD), np.uint8),
                np.full(n, REASON_CODES["imported"], np.uint8),
            ),
            [],
        )
        note(series, min(fresh), max(fresh))
        result.reaches(min(fresh), max(fresh))
