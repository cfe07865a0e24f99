"""Settlement: from committed readings to boundaries, interval energies and emissions in the ledger, series by series.

Not the rules (see `intervals`, `emissions`): this decides what has to be computed again, reads only that, and keeps it.

    note(series, from, to) --> dirty --> settle(): read what is new, go on from the state kept in memory
                                                   late readings: go back to the checkpoint before them
"""

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from aggregator.accounts.by_hand.line import HandLine
from aggregator.accounts.by_hand.readings import HandReadings
from aggregator.alarms import Alarms
from aggregator.books import Books, Entered
from aggregator.decision_book import DecisionBook
from aggregator.emissions.booking import Emission
from aggregator.facility import Facility, MeterSpec
from aggregator.intervals.boundaries import IntervalEnergy
from aggregator.intervals.counter import CounterChange, CounterEvent
from aggregator.intervals.decision import Decision, Decisions
from aggregator.intervals.meter import multiplied_otherwise_from
from aggregator.intervals.power import IntegratedLine
from aggregator.intervals.series import CounterIntervals, Settled
from aggregator.ledger import LOCK_TIMEOUT_S, IntervalRow, Ledger, LedgerBusy
from aggregator.measured_readings import IMPORT_EDGE, MeasuredReadings
from aggregator.series_line import DAY_MS, EXPORT, IMPORT, POWER, SIGN, Line, StoredPower, offer_rows, rows_by_day
from aggregator.settled_otherwise import multipliers_of, otherwise_from_ms
from aggregator.stores.store import Columns, SeriesKey, Store

COUNTERS: Final[dict[str, tuple[str, ...]]] = {
    "electricity": (IMPORT, EXPORT),
    "gas": ("gas_volume_m3", "gas_volume_normal_m3"),
    "water": ("water_volume_m3",),
    "heat": ("heat_energy_kwh",),
    "steam": ("heat_energy_kwh",),
    "cooling": ("cooling_energy_kwh",),
    "flue_gas": ("flue_gas_co2_kg",),
}
LOOK_BACK_MS: Final = 31 * DAY_MS  # how far a series without any checkpoint is read back
# A series that has passed no boundary is settled this often: reading and writing takes about 1.4 ms a series, so that
# 1,000 series at each settlement of 2 s would keep a core busy, and at this pace take a tenth of it.
PROVISIONAL_EVERY_MS: Final = 15_000
# After an outage the backlog arrives in pieces behind the newest readings: late readings wait until no more came for
# this long, so that a piece does not compute the whole outage again each time.
LATE_QUIET_MS: Final = 10_000
LATE_LONGEST_MS: Final = 120_000

Span: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class Changed:
    """What a settlement has changed. `events` were not known before; `held` are counters whose newest readings wait for confirmation."""

    intervals: list[IntervalRow] = field(default_factory=list)
    emissions: list[Emission] = field(default_factory=list)
    events: list[tuple[SeriesKey, CounterEvent]] = field(default_factory=list)
    facilities: set[str] = field(default_factory=set)
    without_factor: dict[str, str] = field(default_factory=dict)  # facility -> why
    held: set[SeriesKey] = field(default_factory=set)
    series: int = 0
    readings: int = 0

    def add(self, facility: str, entered: Entered) -> None:
        self.intervals += entered.intervals
        self.emissions += entered.emissions
        if entered.intervals or entered.gone:
            self.facilities.add(facility)
        for emission in entered.emissions:
            if emission.kg is None:
                self.without_factor[facility] = emission.resolution.reason

    def __bool__(self) -> bool:
        return bool(self.intervals or self.events)


@dataclass(slots=True)
class _Late:
    from_ms: int
    first_noted_ms: int
    last_noted_ms: int


@dataclass(slots=True)
class _Again:
    """What a line that goes on anew finds: intervals from `rows_from_ms` on, the boundaries from `from_ms` on."""

    rows_from_ms: int
    from_ms: int
    boundaries_ms: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, engine: CounterIntervals, from_ms: int) -> "_Again":
        """`from_ms`: of the first reading, for a line that has no boundary yet."""
        settled, open_ms = engine.boundaries.settled, engine.boundaries.open_ms
        return cls(from_ms if open_ms is None else open_ms, from_ms if settled is None else settled.at_ms + 1)


class Settler:
    """Settles what has been noted. `note` may be called from any thread, `settle` from one at a time. `clock` gives UTC ms."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        facilities: Iterable[Facility],
        clock: Callable[[], int],
        alarms: Alarms | None = None,
        books: Books | None = None,
        hand: HandReadings | None = None,
    ) -> None:
        """`hand`: what people have read off the meters; it joins what was measured."""
        self.store = store
        self.ledger = ledger
        self.clock = clock
        self.facilities = {facility.id: facility for facility in facilities}
        self.books = Books(ledger, self.facilities.values(), clock) if books is None else books
        self.decisions = DecisionBook(ledger)
        self.measured = MeasuredReadings(store)
        self.hand = None if hand is None else HandLine(self.measured, hand, self.decisions.standing)
        self._alarms = alarms
        self._noting = threading.Lock()
        self._settling = threading.Lock()
        self._dirty: dict[SeriesKey, Span] = {}
        self._power_noted: dict[SeriesKey, Span] = {}
        self._late: dict[SeriesKey, _Late] = {}
        self._otherwise: set[SeriesKey] = set()  # stand by other multipliers than the settings': do not wait
        self._lines: dict[SeriesKey, Line] = {}
        self._resumed = False

    # -- what has to be computed ----------------------------------------------------------------------------------

    def note(self, series: SeriesKey, from_ms: int, to_ms: int) -> None:
        """Readings of this series with from_ms <= at_ms <= to_ms have been committed. Series that count nothing are ignored.

        What was imported joins the line of the meter's own edge.
        """
        meter = self._meter(series)
        if meter is None:
            return
        if series.edge == IMPORT_EDGE:
            self.measured.took(series)
            series = self.line_of(series)
        if series.quantity == POWER:
            with self._noting:
                _widen(self._power_noted, series, from_ms, to_ms)
        elif meter.counted and series.quantity in COUNTERS.get(meter.carrier, ()):
            with self._noting:
                _widen(self._dirty, series, from_ms, to_ms)

    def decide(self, series: SeriesKey, decision: Decision, reason: str, by: str, evidence: str = "") -> int:
        """Keeps what a person says that a counter did, and has everything from there on settled again. Gives the decision's id.

        `decision` must fit (see `aggregator.overruling`). Raises LedgerError; then nothing is kept.
        """
        if not self._settling.acquire(timeout=LOCK_TIMEOUT_S):
            raise LedgerBusy(f"settlement: expected to end within {LOCK_TIMEOUT_S:g} s, still runs")
        try:
            until_ms = self._line(series, decision.at_ms).watermark_ms
            try:
                with self.ledger.transaction():
                    number = self.decisions.enter(series, decision, reason, by, self.clock(), evidence)
                    line = self._rewound(series, decision.at_ms)
                    self._checkpoint(series, line)  # what a restart goes on from, also where there was none before
            except Exception:
                self._lines.pop(series, None)
                raise
            self.note(series, line.watermark_ms + 1, max(until_ms, decision.at_ms))
            return number
        finally:
            self._settling.release()

    def line_of(self, series: SeriesKey) -> SeriesKey:
        """The series under which a meter's counter settles: that of its own edge."""
        meter = self._meter(series)
        return series if meter is None else series._replace(edge=meter.edge)

    def history(self, series: SeriesKey, from_ms: int, to_ms: int) -> tuple[Columns, Columns]:
        """The readings of [from_ms, to_ms) from which a series is settled, and the measured ones of them alone."""
        meter = self._meter(series)
        if self.hand is None or meter is None:
            measured = self.measured.history(series, from_ms, to_ms)
            return measured, measured
        return self.hand.history(meter, series, from_ms, to_ms)

    def pending(self) -> bool:
        """Whether anything noted waits to be settled, late readings included."""
        with self._noting:
            return bool(self._dirty or self._power_noted or self._late)

    def settle(self, *, patient: bool = True) -> Changed:
        """Settles what is dirty. Unless `patient` is False, late readings wait a little for more of their kind, and series
        that passed no boundary for their turn.

        Raises StoreError or LedgerError; what was not settled stays dirty.
        """
        with self._settling:
            if not self._resumed:
                self._resume()
                self._resumed = True
            changed = Changed()
            todo = self._take(patient)
            while todo:
                series, span = todo[-1]
                try:
                    self._settle_series(series, span, changed)
                except Exception:
                    self._lines.pop(series, None)  # the ledger's checkpoint is the truth again
                    self._put_back(todo)
                    raise
                todo.pop()
            self._tell(changed)
            return changed

    def _meter(self, series: SeriesKey) -> MeterSpec | None:
        facility = self.facilities.get(series.facility)
        meter = None if facility is None else facility.meter(series.device)
        return meter if meter is not None and series.edge in (meter.edge, IMPORT_EDGE) else None

    def _resume(self) -> None:
        """Readings that were committed before this process and not settled by the last one: newer ones, and late ones."""
        newest: dict[SeriesKey, int] = {}
        for key, point in self.store.latest(None).items():
            if self._meter(key) is not None:
                series = self.line_of(key)
                newest[series] = max(point.at_ms, newest.get(series, point.at_ms))
        for series, at_ms in newest.items():
            meter = self._meter(series)
            assert meter is not None
            derived = series if meter.counted else series._replace(quantity=IMPORT)
            if self.ledger.checkpoint(derived) is None:
                self.note(series, at_ms, at_ms)
                continue
            line = self._line(derived, at_ms)
            if line.watermark_ms < at_ms:
                self.note(series, line.watermark_ms + 1, at_ms)
            missed_ms = self._day_missed_ms(series, line)
            if missed_ms is not None:
                self.note(series, missed_ms, at_ms)
            self._note_otherwise(derived, line, meter, at_ms)
        if self.hand is not None:
            self._resume_by_hand(self.hand.book)

    def _resume_by_hand(self, book: HandReadings) -> None:
        """What was entered and not settled, and meters that only people read whose multipliers were corrected."""
        for series in book.series():
            meter = self._meter(series)
            if meter is None:
                continue
            first_ms = min(reading.at_ms for reading in book.entered_after(series, 0))
            line = self._line(series, first_ms)
            for reading in book.entered_after(series, line.hand_no):
                self.note(series, reading.at_ms, reading.at_ms)
            self._note_otherwise(series, line, meter, line.watermark_ms)

    def _day_missed_ms(self, series: SeriesKey, line: Line) -> int | None:
        """The first of the last days of which the store holds another number of readings than were settled."""
        if not line.settled_of_day:
            return None
        from_ms = min(line.settled_of_day) * DAY_MS
        stored = self.measured.of_days(series, from_ms, line.watermark_ms + 1, DAY_MS)
        missed = [day for day, n in stored.items() if n and n != line.settled_of_day.get(day, 0)]
        return min(missed) * DAY_MS if missed else None

    def _note_otherwise(self, series: SeriesKey, line: Line, meter: MeterSpec, to_ms: int) -> None:
        """What stands by other multipliers than the settings' is to be settled anew."""
        from_ms = otherwise_from_ms(self.ledger, series, line.multipliers, meter)
        if from_ms is not None:
            self._otherwise.add(series)
            self.note(series, min(from_ms, line.watermark_ms), max(to_ms, line.watermark_ms))

    def _take(self, patient: bool) -> list[tuple[SeriesKey, Span]]:
        """What to settle now, and puts late spans aside until they are ripe."""
        now_ms = self.clock()
        with self._noting:
            dirty, self._dirty = self._dirty, {}
            power, self._power_noted = self._power_noted, {}
        try:
            self._heed_power(power, dirty)
            return self._ripe(dirty, now_ms, patient)
        except Exception:
            self._put_back(dirty.items())
            raise

    def _ripe(self, dirty: dict[SeriesKey, Span], now_ms: int, patient: bool) -> list[tuple[SeriesKey, Span]]:
        ready: list[tuple[SeriesKey, Span]] = []
        for series, (noted_ms, to_ms) in dirty.items():
            from_ms = noted_ms if self.hand is None else self.hand.back_to(series, noted_ms, to_ms)
            line = self._line(series, from_ms)
            if from_ms > line.watermark_ms:
                if patient and not self._urgent(series, line, to_ms, now_ms):
                    with self._noting:
                        _widen(self._dirty, series, from_ms, to_ms)
                else:
                    ready.append((series, (from_ms, to_ms)))
                continue
            late = self._late.setdefault(series, _Late(from_ms, now_ms, now_ms))
            late.from_ms, late.last_noted_ms = min(late.from_ms, from_ms), now_ms
            if to_ms > line.watermark_ms:
                ready.append((series, (line.watermark_ms + 1, to_ms)))
        for series, late in list(self._late.items()):
            quiet = now_ms - late.last_noted_ms >= LATE_QUIET_MS or now_ms - late.first_noted_ms >= LATE_LONGEST_MS
            if quiet or not patient or series in self._otherwise:
                del self._late[series]
                spans = dict(ready)
                to_ms = max(self._line(series, late.from_ms).watermark_ms, spans.get(series, (0, late.from_ms))[1])
                ready = [(other, span) for other, span in ready if other != series]
                ready.append((series, (late.from_ms, to_ms)))
        return ready

    def _urgent(self, series: SeriesKey, line: Line, to_ms: int, now_ms: int) -> bool:
        """Whether a boundary has been passed, or nothing was written of this series for some time."""
        interval_ms = self.facilities[series.facility].interval_ms
        passed = to_ms // interval_ms > line.watermark_ms // interval_ms
        return passed or not 0 <= now_ms - line.settled_ms < PROVISIONAL_EVERY_MS

    def _put_back(self, todo: Iterable[tuple[SeriesKey, Span]]) -> None:
        with self._noting:
            for series, span in todo:
                _widen(self._dirty, series, *span)

    def _heed_power(self, noted: dict[SeriesKey, Span], dirty: dict[SeriesKey, Span]) -> None:
        """Power makes a meter without a counter dirty, and a counter where its absence made us guess."""
        for series, (from_ms, to_ms) in noted.items():
            meter = self._meter(series)
            assert meter is not None
            for quantity in COUNTERS.get(meter.carrier, ()):
                if quantity not in SIGN:
                    continue
                counter = series._replace(quantity=quantity)
                if not meter.counted:
                    _widen(dirty, counter, from_ms, to_ms)
                elif counter in self._lines and isinstance(engine := self._lines[counter].engine, CounterIntervals):
                    guessed = [span for span in engine.boundaries.guessed if span[0] <= to_ms and span[1] >= from_ms]
                    if guessed:
                        engine.boundaries.guessed = [span for span in engine.boundaries.guessed if span not in guessed]
                        _widen(dirty, counter, min(span[0] for span in guessed), max(span[1] for span in guessed))

    # -- one series -----------------------------------------------------------------------------------------------

    def _settle_series(self, series: SeriesKey, span: Span, changed: Changed) -> None:
        line, meter = self._line(series, span[0]), self._meter(series)
        assert meter is not None
        otherwise_ms = otherwise_from_ms(self.ledger, series, line.multipliers, meter)
        if span[0] <= line.watermark_ms:
            line = self._rewound(series, span[0])
        from_ms = line.watermark_ms + 1
        again = None
        if line.anew and isinstance(line.engine, CounterIntervals) and self._by_hand(series):
            again = _Again.of(line.engine, from_ms)
        source = series if meter.counted else series._replace(quantity=POWER)
        columns, measured = self.history(source, from_ms, span[1] + 1)
        counted = measured.at_ms[~np.isnan(measured.value)]
        changed.series += 1
        changed.readings += len(columns)
        if self.hand is not None:
            line.hand_no = self.hand.book.newest_no(series)
        for first, last in rows_by_day(columns):
            settled = offer_rows(line.engine, columns, first, last)
            day = int(columns.at_ms[first]) // DAY_MS
            began, ended = np.searchsorted(counted, (day * DAY_MS, (day + 1) * DAY_MS))
            line.took(day, int(ended - began))
            line.watermark_ms = int(columns.at_ms[last - 1])
            if again is not None:
                again.boundaries_ms.update(boundary.at_ms for boundary in settled.boundaries)
            self._keep(series, line, settled, changed)
        line.anew = False
        if isinstance(line.engine, CounterIntervals):
            if again is not None:
                self._withdraw_rest(series, line.engine, again, changed)
            if line.engine.counter.holding:
                changed.held.add(series)
        if otherwise_ms is None or span[0] <= otherwise_ms:
            self._stands_as_set(series, line, meter)

    def _stands_as_set(self, series: SeriesKey, line: Line, meter: MeterSpec) -> None:
        """All energies of a series stand by the settings' multipliers."""
        self._otherwise.discard(series)
        if line.multipliers != meter.multipliers:
            kept, line.multipliers = line.multipliers, meter.multipliers
            if kept and multiplied_otherwise_from(kept, meter.multipliers) is not None:
                self._checkpoint(series, line)

    def _by_hand(self, series: SeriesKey) -> bool:
        """Whether people have ever read this counter."""
        return self.hand is not None and self.hand.book.newest_no(series) > 0

    def _withdraw_rest(self, series: SeriesKey, engine: CounterIntervals, again: _Again, changed: Changed) -> None:
        """A display by hand may have left the line: what only it had begun or closed is open again, or was never there.

        Before the first display that is left, only what lies at boundaries of this very series is its own.
        """
        open_ms = again.rows_from_ms if engine.boundaries.open_ms is None else engine.boundaries.open_ms
        standing = (row.boundary.at_ms for row in self.ledger.boundaries(series, again.from_ms, 2**62))
        gone = {at_ms for at_ms in standing if at_ms not in again.boundaries_ms}

        def stays(row: IntervalRow) -> bool:
            unclosed = not row.final and row.start_ms >= open_ms
            return not unclosed and row.start_ms not in gone and row.end_ms not in gone

        with self.ledger.transaction():
            left = self.books.withdraw(series.facility, series.device, series.quantity, again.rows_from_ms, stays)
            changed.add(series.facility, left)
            self.ledger.withdraw_boundaries(series, gone, self.clock())
            changed.add(series.facility, self.books.enter([_row(series, each) for each in engine.provisional()]))

    def _keep(self, series: SeriesKey, line: Line, settled: Settled, changed: Changed) -> None:
        now_ms = self.clock()
        intervals = [*settled.intervals, *line.engine.provisional()]
        line.settled_ms = now_ms
        with self.ledger.transaction():
            self.ledger.put_boundaries(series, settled.boundaries, now_ms)
            fresh = self.ledger.put_events(series, settled.events, now_ms) if settled.events else []
            changed.add(series.facility, self.books.enter([_row(series, interval) for interval in intervals]))
            if settled.unknown:
                self._withdraw_unknown(series, settled, changed)
            if settled.intervals or settled.events:
                self._checkpoint(series, line)
        changed.events += [(series, event) for event in fresh]

    def _withdraw_unknown(self, series: SeriesKey, settled: Settled, changed: Changed) -> None:
        """Where a counter began anew nothing is known: what was said of it before, so far or in the end, does not stand."""

        def stays(row: IntervalRow) -> bool:
            return not any(row.start_ms < to_ms and row.end_ms > from_ms for from_ms, to_ms in settled.unknown)

        first_ms = min(from_ms for from_ms, _ in settled.unknown)
        left = self.books.withdraw(series.facility, series.device, series.quantity, first_ms, stays)
        changed.add(series.facility, left)
        found = {boundary.at_ms for boundary in settled.boundaries}
        for from_ms, to_ms in settled.unknown:
            kept = (row.boundary.at_ms for row in self.ledger.boundaries(series, from_ms + 1, to_ms))
            self.ledger.withdraw_boundaries(series, [at_ms for at_ms in kept if at_ms not in found], self.clock())

    def _checkpoint(self, series: SeriesKey, line: Line) -> None:
        meter = self._meter(series)
        assert meter is not None
        self.ledger.put_checkpoint(series, line.watermark_ms, line.to_json(meter))

    def _line(self, series: SeriesKey, from_ms: int) -> Line:
        """The series as it stands in memory, else as the ledger has it, else a new one that looks back from `from_ms`."""
        line = self._lines.get(series)
        if line is None:
            line = self._restored(series, self.ledger.checkpoint(series), from_ms)
            self._lines[series] = line
        return line

    def _rewound(self, series: SeriesKey, from_ms: int) -> Line:
        """The series as it stood before the readings at and after `from_ms`."""
        stands_by, meter = self._line(series, from_ms).multipliers, self._meter(series)
        assert meter is not None
        with self.ledger.transaction():
            self.ledger.forget_checkpoints(series, from_ms)
            line = self._restored(series, self.ledger.checkpoint(series, from_ms), from_ms)
            line.multipliers = stands_by
            held_ms = line.engine.counter.held_since_ms if isinstance(line.engine, CounterIntervals) else None
            self.ledger.withdraw_events(series, line.watermark_ms, held_ms, self.clock())
            if stands_by and multiplied_otherwise_from(stands_by, meter.multipliers) is not None:
                self._checkpoint(
                    series, line
                )  # where this ends halfway, it is known by which multipliers the rest stands
        self._lines[series] = line
        return line

    def _restored(self, series: SeriesKey, kept: tuple[int, str] | None, from_ms: int) -> Line:
        facility, meter = self.facilities[series.facility], self._meter(series)
        assert meter is not None
        power, interval_ms = StoredPower(self.store, series), facility.interval_ms
        state = None if kept is None else json.loads(kept[1])
        if (
            kept is None or state is None or ("counter" in state["engine"]) != meter.counted
        ):  # of a meter that was counted otherwise
            fresh = (
                CounterIntervals(meter, interval_ms, power)
                if meter.counted
                else IntegratedLine(interval_ms, SIGN[series.quantity])
            )
            self._heed_decisions(series, fresh)
            begins_ms = [from_ms - LOOK_BACK_MS]
            if self.hand is not None and self._by_hand(series):
                begins_ms += [reading.at_ms - 1 for reading in self.hand.book.standing(series)[:1]]
                first_ms = self.ledger.first_boundary_ms(series)
                begins_ms += [] if first_ms is None else [first_ms - interval_ms]
            return Line(fresh, min(begins_ms))
        engine = (
            CounterIntervals.from_json(meter, interval_ms, power, state["engine"])
            if meter.counted
            else IntegratedLine.from_json(interval_ms, SIGN[series.quantity], state["engine"])
        )
        self._heed_decisions(series, engine)
        days = {int(day): n for day, n in state["days"].items()}
        multipliers = multipliers_of(state.get("multipliers", ()))
        return Line(engine, kept[0], settled_of_day=days, hand_no=state.get("hand_no", 0), multipliers=multipliers)

    def _heed_decisions(self, series: SeriesKey, engine: CounterIntervals | IntegratedLine) -> None:
        if isinstance(engine, CounterIntervals):
            engine.counter.decisions = Decisions(self.decisions.standing(series))

    # -- telling --------------------------------------------------------------------------------------------------

    def _tell(self, changed: Changed) -> None:
        if self._alarms is None:
            return
        for facility, device in {(row.facility, row.device) for row in changed.intervals}:
            lacking = next(
                (
                    e
                    for e in changed.emissions
                    if e.device == device and e.kg is None and e.resolution.facility == facility
                ),
                None,
            )
            if lacking is not None:
                self._alarms.raise_alarm(facility, "factor_missing", device, lacking.resolution.reason)
            elif any(e.device == device and e.resolution.facility == facility for e in changed.emissions):
                self._alarms.clear(facility, "factor_missing", device)
        for series, event in changed.events:
            if event.change in (CounterChange.RESET, CounterChange.EXCHANGE, CounterChange.JUMP):
                self._alarms.raise_alarm(
                    series.facility,
                    "counter_reset",
                    series.device,
                    event.change.value,
                    str(event.before),
                    str(event.after),
                )
        for series, line in self._lines.items():
            if isinstance(line.engine, CounterIntervals):
                held = series in changed.held or line.engine.counter.holding
                self._alarms.set(held, series.facility, "counter_held", series.device, series.quantity)


def _row(series: SeriesKey, interval: IntervalEnergy) -> IntervalRow:
    return IntervalRow(
        series.facility, series.device, series.quantity, interval.start_ms, interval.end_ms, interval.energy_kwh,
        interval.grade, interval.final, "measured",
    )  # fmt: skip


def _widen(spans: dict[SeriesKey, Span], series: SeriesKey, from_ms: int, to_ms: int) -> None:
    standing = spans.get(series)
    spans[series] = (from_ms, to_ms) if standing is None else (min(standing[0], from_ms), max(standing[1], to_ms))
