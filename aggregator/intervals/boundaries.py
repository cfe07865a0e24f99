"""Counter values at interval boundaries, and the interval energies that are their differences.

Not the judgement of readings (see `counter`): what comes in here is believed.

            p           b           a            b = boundary, p and a = the believed readings on either side
    --------*-----------|-----------*-------     within 1 s of b: that reading; else interpolated by integrated power
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median
from typing import Any, Final

from aggregator.intervals.counter import GRAIN, Accepted, CounterLine
from aggregator.intervals.meter import MeterSpec
from wire.reading import Json, Quality

AT_BOUNDARY_MS: Final = 1000
SHORT_SILENCE_MS: Final = 60_000
POLLS_OF_SILENCE: Final = 2
COUNTS_FOR_SHAPE: Final = 20  # an interval of fewer counts is shaped by power between the counter's steps
LONGEST_STEP_WAIT_MS: Final = 24 * 3_600_000  # then a boundary that waits for the next step takes the display's value
LONGEST_SILENCE_MS: Final = 366 * 24 * 3_600_000
REMEMBERED_SPACINGS: Final = 15
_SEVERITY: Final = {Quality.GOOD: 0, Quality.UNCERTAIN: 1, Quality.SUBSTITUTED: 2, Quality.BAD: 3}


@dataclass(frozen=True, slots=True)
class Grade:
    """A quality with its reason."""

    quality: Quality = Quality.GOOD
    reason: str = ""

    @property
    def severity(self) -> int:
        """0 is good; the higher, the worse."""
        return _SEVERITY[self.quality]

    def worse(self, other: "Grade") -> "Grade":
        """The worse of two; the first one where they are alike."""
        return other if other.severity > self.severity else self


GOOD: Final = Grade()
COUNTER_DIFF: Final = Grade(Quality.SUBSTITUTED, "counter-diff")
MANUAL: Final = Grade(Quality.SUBSTITUTED, "manual")  # the same, where a person has read one of the two displays
QUANTUM: Final = Grade(Quality.UNCERTAIN, "quantum")
INTEGRATED: Final = Grade(Quality.UNCERTAIN, "integrated")  # of power, where no counter is


@dataclass(frozen=True, slots=True)
class Boundary:
    """The unwrapped counter at a boundary, in displayed kWh. `how`: reading, power, linear, step or display."""

    at_ms: int
    value: Decimal
    grade: Grade
    how: str


@dataclass(frozen=True, slots=True)
class IntervalEnergy:
    """Energy of [start_ms, end_ms) in kWh of the line, multiplier applied. Not final while its end has not been passed."""

    start_ms: int
    end_ms: int
    energy_kwh: Decimal
    grade: Grade
    final: bool


@dataclass(frozen=True, slots=True)
class _Blemish:
    from_ms: int
    to_ms: int
    grade: Grade


@dataclass(frozen=True, slots=True)
class _Open:
    """The interval begun at `start_ms`: what its closed pieces (before a change of multiplier) hold, and its grade so far."""

    start_ms: int
    energy_kwh: Decimal
    displayed: Decimal
    grade: Grade


@dataclass(slots=True)
class BoundaryLine:
    """State of one counter series between its boundaries. Feed believed readings in rising order of `at_ms`.

    `guessed` gathers the spans [from_ms, to_ms] over which power was asked for and not known; who gets that power later
    may recompute from there. `unknown` gathers the spans [from_ms, to_ms) of whole intervals that have no figure because
    the counter began anew in them; who feeds takes them out.
    """

    counter: CounterLine
    interval_ms: int
    settled: Boundary | None = None
    guessed: list[tuple[int, int]] = field(default_factory=list)
    unknown: list[tuple[int, int]] = field(default_factory=list)
    _previous: Accepted | None = None
    _step: tuple[int, Decimal] | None = None  # where the line was last seen to move, and its value from there on
    _display: Decimal | None = None  # the display at the last boundary passed, settled or waiting
    _waiting: list[Boundary] = field(
        default_factory=list
    )  # passed while the counter stood still: shaped at its next step
    _open: _Open | None = None
    _blemishes: list[_Blemish] = field(default_factory=list)
    _spacings_ms: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED_SPACINGS))

    @property
    def meter(self) -> MeterSpec:
        return self.counter.meter

    @property
    def open_ms(self) -> int | None:
        """The start of the interval that is not closed yet; None before the first boundary."""
        return None if self._open is None else self._open.start_ms

    def feed(self, reading: Accepted) -> tuple[list[Boundary], list[IntervalEnergy]]:
        """The boundaries that this reading settles, in order, and the intervals that they close."""
        before, self._previous = self._previous, reading
        if before is None:
            return self._start(reading), []
        if not reading.known or reading.at_ms - before.at_ms > LONGEST_SILENCE_MS:
            return self._start_anew(before, reading)
        self._note_blemish(before, reading)
        boundaries = self._passed(before, reading)
        intervals = [closed for boundary in boundaries if (closed := self._close(boundary)) is not None]
        if reading.line > before.line:
            shaped = self._shape_waiting(reading)
            intervals += [closed for boundary in shaped if (closed := self._close(boundary)) is not None]
            boundaries += shaped
            self._step = (reading.at_ms, reading.line)
        if not _by_hand(before, reading):
            self._spacings_ms.append(reading.at_ms - before.at_ms)
        return boundaries, intervals

    def provisional(self) -> list[IntervalEnergy]:
        """The intervals begun and not final, with what the display says so far."""
        if self._open is None or self.settled is None or self._previous is None:
            return []
        found: list[IntervalEnergy] = []
        running, value, at_ms = self._open, self.settled.value, self.settled.at_ms
        now = Boundary(self._previous.at_ms, self._previous.line, GOOD, "display")
        for mark in [*self._waiting, now]:
            if mark.at_ms <= at_ms:
                continue
            running = self._lengthen(running, at_ms, value, mark)
            value, at_ms = max(value, mark.value), mark.at_ms
            end_ms = self._grid_after(running.start_ms)
            if mark is now or mark.at_ms == end_ms:
                found.append(
                    IntervalEnergy(
                        running.start_ms, end_ms, running.energy_kwh, self._grade(running, at_ms), final=False
                    )
                )
                running = _Open(end_ms, Decimal(0), Decimal(0), mark.grade)
        return found

    # -- boundaries -----------------------------------------------------------------------------------------------

    def _start(self, reading: Accepted) -> list[Boundary]:
        """The first boundary: at once where the first reading lies within 1 s after it, else the next one."""
        self._waiting, self._blemishes, self._open, self.settled = [], [], None, None
        self._step, self._display = (reading.at_ms, reading.line), None
        floor = reading.at_ms - reading.at_ms % self.interval_ms
        if reading.at_ms - floor > AT_BOUNDARY_MS:
            return []
        grade = GOOD if reading.quality is Quality.GOOD or not reading.known else Grade(reading.quality, reading.reason)
        boundary = Boundary(floor, reading.line, grade, "reading")
        self._display = reading.line
        self._close(boundary)
        return [boundary]

    def _start_anew(self, before: Accepted, reading: Accepted) -> tuple[list[Boundary], list[IntervalEnergy]]:
        """Nobody knows what was drawn between two readings: the line ends at the first and another one begins at the second.

        The intervals in between, and those that they cut, have no figure.
        """
        boundaries, self._waiting = self._waiting, []
        at_ms = self._next_boundary(before.at_ms)
        while at_ms <= reading.at_ms and at_ms - before.at_ms <= min(AT_BOUNDARY_MS, reading.at_ms - at_ms):
            boundaries.append(Boundary(at_ms, before.line, GOOD, "reading"))
            at_ms = self._next_boundary(at_ms)
        intervals = [closed for boundary in boundaries if (closed := self._close(boundary)) is not None]
        from_ms = self._grid_after(before.at_ms) if self.open_ms is None else self.open_ms
        self.guessed = [*self.guessed[-15:], (before.at_ms, reading.at_ms)]
        boundaries += [begun for begun in self._start(reading) if not boundaries or begun.at_ms > boundaries[-1].at_ms]
        to_ms = self._grid_after(reading.at_ms) if self.open_ms is None else self.open_ms
        if from_ms < to_ms:
            self.unknown.append((from_ms, to_ms))
        return boundaries, intervals

    def _passed(self, before: Accepted, reading: Accepted) -> list[Boundary]:
        """Boundaries in (before, reading] that need not wait for a step of the counter; the others join the waiting."""
        found: list[Boundary] = []
        at_ms = self._next_boundary(before.at_ms)
        while at_ms <= reading.at_ms:
            plain = self._plain(at_ms, before, reading)
            last, self._display = self._display, plain.value
            count = self.counter.count_at(at_ms)
            short = last is not None and plain.value - last < COUNTS_FOR_SHAPE * count
            if (short and plain.grade.quality is not Quality.SUBSTITUTED) or self._waiting:
                idle = last == plain.value and not self._waiting and self._idle(at_ms, count)
                if idle or (self._waiting and at_ms - self._waiting[0].at_ms > LONGEST_STEP_WAIT_MS):
                    found += [*self._waiting, plain]
                    self._waiting = []
                else:
                    self._waiting.append(plain)
            else:
                found.append(plain)
            at_ms = self._next_boundary(at_ms)
        return found

    def _plain(self, at_ms: int, before: Accepted, reading: Accepted) -> Boundary:
        """The boundary from the readings on both of its sides, as if the counter had no quantum."""
        nearest = reading if reading.at_ms - at_ms <= at_ms - before.at_ms else before
        if abs(nearest.at_ms - at_ms) <= AT_BOUNDARY_MS:
            return Boundary(at_ms, nearest.line, GOOD, "reading")
        value, how = self._between(before.at_ms, before.line, reading.at_ms, reading.line, at_ms)
        silence_ms = reading.at_ms - before.at_ms
        if _by_hand(before, reading):  # people keep no rhythm
            return Boundary(at_ms, value, MANUAL if silence_ms > SHORT_SILENCE_MS else GOOD, how)
        longest_ms = (
            max(POLLS_OF_SILENCE * median(self._spacings_ms), SHORT_SILENCE_MS)
            if self._spacings_ms
            else SHORT_SILENCE_MS
        )
        return Boundary(at_ms, value, COUNTER_DIFF if silence_ms > longest_ms else GOOD, how)

    def _shape_waiting(self, reading: Accepted) -> list[Boundary]:
        """A step has come: the boundaries that waited lie on the way from the last step to this one, as power does."""
        if not self._waiting:
            return []
        from_ms, value = self._anchor()
        shaped: list[Boundary] = []
        for waiting in self._waiting:
            between, how = self._between(from_ms, value, reading.at_ms, reading.line, waiting.at_ms)
            shaped.append(Boundary(waiting.at_ms, between, waiting.grade, "step" if how == "power" else how))
        self._waiting = []
        return shaped

    def _anchor(self) -> tuple[int, Decimal]:
        """The later of the last step and the last settled boundary."""
        assert self._step is not None
        if self.settled is not None and self.settled.at_ms > self._step[0]:
            return self.settled.at_ms, self.settled.value
        return self._step

    def _idle(self, at_ms: int, count: Decimal) -> bool:
        """Less than half a count was drawn since the counter last moved: there is nothing to shape."""
        from_ms, _ = self._anchor()
        drawn = self._power(from_ms, at_ms)
        return drawn is not None and 2 * drawn < count

    def _between(self, from_ms: int, low: Decimal, to_ms: int, high: Decimal, at_ms: int) -> tuple[Decimal, str]:
        """The line at `at_ms` between two points of it, in proportion to integrated power, else to time."""
        if low == high:
            return low, "display"
        whole = self._power(from_ms, to_ms)
        part = self._power(from_ms, at_ms) if whole else None
        if whole and part is not None:
            share, how = part / whole, "power"
        else:
            share, how = Decimal(at_ms - from_ms) / Decimal(to_ms - from_ms), "linear"
        value = (low + (high - low) * share).quantize(GRAIN)
        return min(max(value, low), high), how

    def _power(self, from_ms: int, to_ms: int) -> Decimal | None:
        if from_ms >= to_ms:
            return Decimal(0)
        drawn = self.counter.power(from_ms, to_ms)
        if drawn is None:
            self.guessed = [*self.guessed[-15:], (from_ms, to_ms)]
        return drawn

    def _grid_after(self, at_ms: int) -> int:
        return at_ms - at_ms % self.interval_ms + self.interval_ms

    def _next_boundary(self, at_ms: int) -> int:
        """The next interval boundary or change of multiplier after an instant."""
        changes = self.meter.multiplier_changes() if len(self.meter.multipliers) > 1 else ()
        return min([self._grid_after(at_ms), *(change for change in changes if change > at_ms)])

    # -- intervals ------------------------------------------------------------------------------------------------

    def _close(self, boundary: Boundary) -> IntervalEnergy | None:
        """Takes a boundary as settled; gives the interval that ends there, if one does."""
        before, self.settled = self.settled, boundary
        on_grid = boundary.at_ms % self.interval_ms == 0
        if self._open is None or before is None:
            self._open = _Open(boundary.at_ms, Decimal(0), Decimal(0), boundary.grade) if on_grid else None
            return None
        self._open = self._lengthen(self._open, before.at_ms, before.value, boundary)
        if not on_grid:
            return None
        done = self._open
        self._open = _Open(boundary.at_ms, Decimal(0), Decimal(0), boundary.grade)
        closed = IntervalEnergy(
            done.start_ms, boundary.at_ms, done.energy_kwh, self._grade(done, boundary.at_ms), final=True
        )
        self._blemishes = [blemish for blemish in self._blemishes if blemish.to_ms > boundary.at_ms]
        return closed

    def _lengthen(self, running: _Open, from_ms: int, value: Decimal, to: Boundary) -> _Open:
        displayed = max(to.value - value, Decimal(0))
        energy = running.energy_kwh + displayed * self.meter.multiplier_at(from_ms)
        return _Open(running.start_ms, energy, running.displayed + displayed, running.grade.worse(to.grade))

    def _grade(self, running: _Open, end_ms: int) -> Grade:
        grade = running.grade
        for blemish in self._blemishes:
            if blemish.from_ms < end_ms and blemish.to_ms > running.start_ms:
                grade = grade.worse(blemish.grade)
        short = running.displayed < COUNTS_FOR_SHAPE * self.counter.count_at(running.start_ms)
        return grade.worse(QUANTUM) if short else grade

    def _note_blemish(self, before: Accepted, reading: Accepted) -> None:
        if reading.quality is Quality.GOOD:
            return
        grade = Grade(reading.quality, reading.reason)
        last = self._blemishes[-1] if self._blemishes else None
        if last is not None and last.to_ms == before.at_ms and last.grade == grade:
            self._blemishes[-1] = _Blemish(last.from_ms, reading.at_ms, grade)
        else:
            self._blemishes.append(_Blemish(before.at_ms, reading.at_ms, grade))

    # -- keeping --------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Json]:
        """Everything that a later `from_json` needs to go on, decimals as text."""
        p, o = self._previous, self._open
        return {
            "settled": None if self.settled is None else _boundary_json(self.settled),
            "previous": None if p is None else [p.at_ms, str(p.line), str(p.raw), int(p.quality), p.reason],
            "step": None if self._step is None else [self._step[0], str(self._step[1])],
            "display": None if self._display is None else str(self._display),
            "waiting": [_boundary_json(boundary) for boundary in self._waiting],
            "open": None
            if o is None
            else [o.start_ms, str(o.energy_kwh), str(o.displayed), int(o.grade.quality), o.grade.reason],
            "blemishes": [[b.from_ms, b.to_ms, int(b.grade.quality), b.grade.reason] for b in self._blemishes],
            "spacings_ms": list(self._spacings_ms),
            "guessed": [[from_ms, to_ms] for from_ms, to_ms in self.guessed],
        }

    @classmethod
    def from_json(cls, counter: CounterLine, interval_ms: int, state: Mapping[str, Any]) -> "BoundaryLine":
        line = cls(counter, interval_ms)
        settled, p, step, display, o = (state[name] for name in ("settled", "previous", "step", "display", "open"))
        line.settled = None if settled is None else _boundary(settled)
        line._previous = None if p is None else Accepted(p[0], Decimal(p[1]), Decimal(p[2]), Quality(p[3]), p[4])
        line._step = None if step is None else (step[0], Decimal(step[1]))
        line._display = None if display is None else Decimal(display)
        line._waiting = [_boundary(kept) for kept in state["waiting"]]
        line._open = None if o is None else _Open(o[0], Decimal(o[1]), Decimal(o[2]), Grade(Quality(o[3]), o[4]))
        line._blemishes = [_Blemish(b[0], b[1], Grade(Quality(b[2]), b[3])) for b in state["blemishes"]]
        line._spacings_ms.extend(state["spacings_ms"])
        line.guessed = [(span[0], span[1]) for span in state["guessed"]]
        return line


def _by_hand(before: Accepted, reading: Accepted) -> bool:
    """Whether a person has read one of the two displays."""
    return MANUAL.reason in (before.reason, reading.reason)


def _boundary_json(boundary: Boundary) -> list[Json]:
    return [boundary.at_ms, str(boundary.value), int(boundary.grade.quality), boundary.grade.reason, boundary.how]


def _boundary(kept: list[Any]) -> Boundary:
    return Boundary(kept[0], Decimal(kept[1]), Grade(Quality(kept[2]), kept[3]), kept[4])
