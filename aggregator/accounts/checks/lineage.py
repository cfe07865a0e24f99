"""From a line of a statement or an interval down to the readings, the multiplier, the factor's document and the batches. Changes nothing.

statement line --> intervals --> boundaries (counter at both ends) --> readings around each --> batch, leaf of the audit log
               --> factor version --> source document
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

import numpy as np

from aggregator.accounts.by_hand.readings import HandReading
from aggregator.accounts.compile import REGISTRY_NAME, Accounts
from aggregator.accounts.line import Applied, Line
from aggregator.audit.log import AuditLog
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.entry import Entry
from aggregator.emissions.registry import Registry
from aggregator.facility import Facility, MeterSpec, Multiplier
from aggregator.imports import ImportRun, import_of
from aggregator.intervals.boundaries import Boundary
from aggregator.intervals.counter import CounterEvent
from aggregator.intervals.series import displayed
from aggregator.intervals.written_time import written
from aggregator.ledger import FigureAside, IntervalRow, IntervalVersion
from aggregator.measured_readings import IMPORT_EDGE
from aggregator.settle import COUNTERS, Settler
from aggregator.stores.store import SeriesKey
from wire.batch import BatchUnreadable, frame_digest, peek
from wire.content import blocks
from wire.reading import REASONS, Quality
from wire.topics import edge_topic

AROUND_MS: Final = (5_000, 900_000, 31 * 86_400_000)  # how far from a boundary its readings are looked for
SEALED_WITHIN_MS: Final = (120_000, 3_600_000, 86_400_000)  # of being read, unless the edge was full
BATCHES_READ_MAX: Final = 400
BY_HAND: Final = "manual"  # the reason of a reading that a person has entered
IMPORTED_READING: Final = "imported"  # of one that came in a file, not in a batch
_METER: Final = "meter:"
_MAINS: Final = "meters:main"  # what the market method shares out


class NotTraced(ValueError):
    """There is no such value; the message says what was expected and seen."""


@dataclass(frozen=True, slots=True)
class InBatch:
    """The batch that brought a reading: its number in the edge's spool, its digest and its leaf in the audit log."""

    edge: str
    epoch: str
    seq: int
    sha256: str
    leaf: int


@dataclass(frozen=True, slots=True)
class ReadingTrace:
    """A reading as the store keeps it, or as a person entered it (`hand`); `batch` None: not of the archive of batches."""

    at_ms: int
    display_kwh: Decimal
    quality: Quality
    reason: str
    hand: HandReading | None = None
    batch: InBatch | None = None


@dataclass(frozen=True, slots=True)
class BoundaryTrace:
    """The unwrapped counter at a boundary, with the readings on both sides of it."""

    boundary: Boundary
    version: int
    before: ReadingTrace | None
    after: ReadingTrace | None


@dataclass(frozen=True, slots=True)
class IntervalTrace:
    """An interval with its counter at both ends. `derived_kwh`: the difference of its boundaries times the multipliers, the same as its energy
    where it was settled from a counter; None where it was not."""

    row: IntervalRow
    series: SeriesKey | None
    start: BoundaryTrace | None
    end: BoundaryTrace | None
    multipliers: tuple[Multiplier, ...]
    derived_kwh: Decimal | None
    events: tuple[CounterEvent, ...]
    versions: tuple[IntervalVersion, ...]
    imports: tuple[ImportRun | None, ...]  # that brought each version
    asides: tuple[
        tuple[FigureAside, ImportRun | None], ...
    ]  # what else is or was known of it, and the import that brought it

    @property
    def agrees(self) -> bool | None:
        """Whether the energy is what the counter says; None where no counter says anything."""
        return None if self.derived_kwh is None else self.derived_kwh == self.row.energy_kwh


@dataclass(frozen=True, slots=True)
class FactorTrace:
    """The factor of a line, and the entry of the registry that it is; None: a factor of the settings, or none."""

    applied: Applied | None
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class LineTrace:
    """A line with its intervals. `sum_kwh`: of the intervals, the same as the line's quantity where none was split by a factor's change."""

    line: Line
    factor: FactorTrace
    intervals: tuple[IntervalRow, ...]
    sum_kwh: Decimal | None
    first: IntervalTrace | None
    last: IntervalTrace | None


class Lineage:
    """Of one aggregator. Raises NotTraced, CannotCompile, and what ledger and store raise."""

    def __init__(self, accounts: Accounts, settler: Settler, audit: AuditLog | None) -> None:
        self._accounts = accounts
        self._settler = settler
        self._audit = audit

    def line(self, facility: str, profile: str, span: tuple[int, int], as_of_ms: int | None, number: int) -> LineTrace:
        """The line of that number (from 0, in the statement's order)."""
        made = self._accounts.statement(facility, profile, *span, as_of_ms)
        if not 0 <= number < len(made.lines):
            known = (
                f"0 to {len(made.lines) - 1}, the lines of this statement"
                if made.lines
                else "a statement with lines, it has none"
            )
            raise NotTraced(f"line: expected {known}, got {number}")
        line = made.lines[number]
        factor = self.factor(line.factor, made.as_of_ms)
        rows = self._rows(facility, line, made.as_of_ms)
        total = None
        for row in rows:
            total = row.energy_kwh if total is None else EXACT.add(total, row.energy_kwh)
        ends = [self.traced(row, as_of_ms) for row in (rows[:1] + rows[-1:])]
        return LineTrace(line, factor, tuple(rows), total, ends[0] if ends else None, ends[-1] if ends else None)

    def _rows(self, facility: str, line: Line, as_of_ms: int) -> list[IntervalRow]:
        """The intervals that a line sums: those of its meter and grade; of the counter whose sum it is, where the meter has several."""
        entry = self._facility(facility)
        if not line.intervals:
            return []
        if line.source == _MAINS:
            meters = [meter for meter in entry.main_meters() if meter.carrier == line.carrier]
        else:
            found = entry.meter(line.source.removeprefix(_METER)) if line.source.startswith(_METER) else None
            meters = [] if found is None else [found]
        begin_ms = line.start_ms - entry.interval_ms
        best: list[IntervalRow] = []
        for quantity in COUNTERS.get(meters[0].carrier, ()) if meters else ():
            rows = [
                row
                for meter in meters
                for row in self._settler.ledger.intervals(
                    facility, meter.device, quantity, begin_ms, line.end_ms, as_of_ms
                )
                if row.end_ms > line.start_ms and (line.source == _MAINS or _grade(row) == (line.quality, line.reason))
            ]
            if rows and (not best or sum(row.energy_kwh for row in rows) == line.quantity):
                best = rows
        return best

    def interval(
        self, facility: str, device: str, quantity: str, at_ms: int, as_of_ms: int | None = None
    ) -> IntervalTrace:
        """The interval of a meter that holds an instant, as it stands or stood."""
        meter = self._facility(facility).meter(device)
        if meter is None:
            known = ", ".join(each.device for each in self._facility(facility).meters) or "none, it has no meter"
            raise NotTraced(f"device: expected a meter of {facility} ({known}), got {device!r}")
        rows = self._settler.ledger.intervals(facility, device, quantity, at_ms - 86_400_000, at_ms + 1, as_of_ms)
        found = [row for row in rows if row.start_ms <= at_ms < row.end_ms]
        if not found:
            raise NotTraced(f"at: expected an instant within an interval of {device} {quantity}, got {written(at_ms)}")
        return self.traced(found[-1], as_of_ms)

    def traced(self, row: IntervalRow, as_of_ms: int | None = None) -> IntervalTrace:
        """An interval's row, down to its readings."""
        meter = self._facility(row.facility).meter(row.device)
        ledger = self._settler.ledger
        versions = tuple(ledger.interval_versions(row))
        asides = tuple(ledger.asides(row))
        again = [each for each in asides if (each.row.start_ms, each.row.end_ms) == (row.start_ms, row.end_ms)]
        known = {(each.row.source, each.ended_ms): each.known_ms for each in again}  # of what stood again
        imports = tuple(
            import_of(ledger, each.row, known.get((each.row.source, each.recorded_at_ms), each.recorded_at_ms))
            for each in versions
        )
        beside = tuple((each, import_of(ledger, each.row, each.known_ms)) for each in asides)
        for edge in (meter.edge, IMPORT_EDGE) if meter is not None and row.source in ("measured", "import") else ():
            series = SeriesKey(row.facility, edge, row.device, row.quantity)
            kept = {
                each.boundary.at_ms: each for each in ledger.boundaries(series, row.start_ms, row.end_ms + 1, as_of_ms)
            }
            if meter is None or row.start_ms not in kept or row.end_ms not in kept:
                continue
            instants = sorted(kept)
            derived = Decimal(0)
            for one, other in itertools.pairwise(instants):
                step = max(kept[other].boundary.value - kept[one].boundary.value, Decimal(0))
                derived += step * meter.multiplier_at(one)
            start, end = (
                BoundaryTrace(kept[at_ms].boundary, kept[at_ms].version, *self._around(series, at_ms))
                for at_ms in (row.start_ms, row.end_ms)
            )
            events = tuple(
                event for key, event in ledger.events(row.facility, row.start_ms, row.end_ms) if key == series
            )
            used = tuple(_multipliers(meter, row.start_ms, row.end_ms))
            return IntervalTrace(row, series, start, end, used, derived, events, versions, imports, beside)
        return IntervalTrace(row, None, None, None, (), None, (), versions, imports, beside)

    def factor(self, applied: Applied | None, as_of_ms: int) -> FactorTrace:
        """The entry of the registry behind an applied factor."""
        if applied is None:
            return FactorTrace(None, None)
        path = self._accounts.data_directory / REGISTRY_NAME
        with Registry(path if path.exists() else ":memory:") as registry:
            entries = registry.entries(as_of_ms)
        for entry in entries:
            same = (entry.id, entry.version, entry.value) == (applied.id, applied.version, applied.kg_per_unit)
            here = applied.region in ("", entry.region) and applied.data_year in (None, 0, entry.data_year)
            if same and here:
                return FactorTrace(applied, entry)
        return FactorTrace(applied, None)

    # -- readings -------------------------------------------------------------------------------------------------

    def _facility(self, name: str) -> Facility:
        return self._accounts.facility(name)

    def _around(self, series: SeriesKey, at_ms: int) -> tuple[ReadingTrace | None, ReadingTrace | None]:
        """The last reading at or before an instant, and the first one after it."""
        return self._nearest(series, at_ms, -1), self._nearest(series, at_ms, 1)

    def _nearest(self, series: SeriesKey, at_ms: int, side: Literal[1, -1]) -> ReadingTrace | None:
        for window_ms in AROUND_MS:
            span = (at_ms + 1, at_ms + window_ms + 1) if side == 1 else (at_ms - window_ms, at_ms + 1)
            columns, _ = self._settler.history(series, *span)
            usable = np.flatnonzero((columns.value >= 0) & (columns.quality != Quality.BAD))
            if len(usable):
                row = usable[0 if side == 1 else -1]
                found_ms, code = int(columns.at_ms[row]), int(columns.reason[row])
                reason = REASONS[code] if code < len(REASONS) else ""
                if reason == BY_HAND and self._settler.hand is not None:
                    return _by_hand(self._settler.hand.book.at(series, found_ms))
                shown, quality = displayed(columns.value[row]), Quality(int(columns.quality[row]))
                batch = None if reason == IMPORTED_READING else self._batch(series, found_ms)
                return ReadingTrace(found_ms, shown, quality, reason, None, batch)
        far = None if self._settler.hand is None else next(self._settler.hand.book.beside(series, at_ms, side), None)
        return _by_hand(far)

    def _batch(self, series: SeriesKey, at_ms: int) -> InBatch | None:
        """The archived batch that holds a reading: the first one sealed after it that does."""
        if self._audit is None or series.edge == IMPORT_EDGE:
            return None
        seen: set[int] = set()
        for within_ms in SEALED_WITHIN_MS:
            for entry, place in self._audit.frames(series.facility, at_ms, at_ms + within_ms, BATCHES_READ_MAX):
                if entry.spool.edge != series.edge or entry.index in seen:
                    continue
                seen.add(entry.index)
                frame = self._audit.frame(place)
                if frame is not None and _holds(frame, series, at_ms):
                    digest = frame_digest(frame, edge_topic(series.facility, series.edge, "batch"))
                    return InBatch(series.edge, entry.spool.epoch, entry.seq, digest.hex(), entry.index)
            if len(seen) >= BATCHES_READ_MAX:
                return None
        return None


def _by_hand(hand: HandReading | None) -> ReadingTrace | None:
    if hand is None or hand.display_kwh is None:
        return None
    return ReadingTrace(hand.at_ms, hand.display_kwh, Quality.UNCERTAIN, BY_HAND, hand)


def _holds(frame: bytes, series: SeriesKey, at_ms: int) -> bool:
    try:
        content = peek(frame)
    except BatchUnreadable:
        return False
    return any(
        (reading.device, reading.quantity, reading.at_ms) == (series.device, series.quantity, at_ms)
        for block in blocks(content)
        for reading in block.readings()
    )


def _grade(row: IntervalRow) -> tuple[str, str]:
    """As a line has it."""
    return row.grade.quality.name.lower(), row.grade.reason


def _multipliers(meter: MeterSpec, from_ms: int, to_ms: int) -> Iterator[Multiplier]:
    """Those that held within a span."""
    for entry, following in zip(meter.multipliers, (*meter.multipliers[1:], None), strict=True):
        ends_ms = None if following is None else following.valid_from_ms
        begins_ms = entry.valid_from_ms if entry is not meter.multipliers[0] else None
        if (begins_ms is None or begins_ms < to_ms) and (ends_ms is None or ends_ms > from_ms):
            yield entry
