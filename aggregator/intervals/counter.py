"""The counter algebra: which readings of a cumulative counter are believed, and the unwrapped line they draw.

Not where interval boundaries lie (see `boundaries`): this knows readings only.

    delta = reading - last accepted,  r = 1.2 x rated power x silence + 2 counts

    0 <= delta <= r ------------------------------------------> accepted
    delta < 0, modulus M known, delta + M <= r < M x 1.2 ------> accepted, event rollover
    anything else --> held until 3 further readings over 30 s agree:
                        back on the old line ---> the held ones are dropped, event glitch
                        on from the new value --> new line: event reset, exchange or jump; in between the power integral
                                                  as `substituted`, or nothing
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias

from aggregator.intervals.decision import Decision, Decisions, Said, Unfit
from aggregator.intervals.meter import MeterSpec
from wire.reading import Json, Quality

HEADROOM: Final = Decimal("1.2")  # a line may carry a fifth more than its rating for a while
SPARE_COUNTS: Final = 2  # both readings are cut to the display's last digit
CONFIRMING_READINGS: Final = 3
CONFIRMING_MS: Final = 30_000
MAX_HELD: Final = 4096  # more than an hour of a counter that flaps every second; the oldest are dropped as glitches
MS_PER_H: Final = 3_600_000
DECIDED: Final = "decided"  # reason of an energy that a person's decision books and the line is not rated for
GRAIN: Final = Decimal("0.000001")  # estimated counter values are cut here, so that decimals stay finite

# Energy drawn over [from_ms, to_ms) by integrated power, in displayed kWh; None where power is not known throughout.
PowerIntegral: TypeAlias = Callable[[int, int], Decimal | None]


def no_power(_from_ms: int, _to_ms: int) -> Decimal | None:
    """The power integral of a meter without power readings."""
    return None


@dataclass(frozen=True, slots=True)
class CounterReading:
    """What the display showed: displayed kWh at an instant. `serial` is the meter's own number where it is known."""

    at_ms: int
    value: Decimal
    quality: Quality = Quality.GOOD
    reason: str = ""
    serial: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A believed reading. `line` is the unwrapped counter in displayed kWh; quality and reason are of the piece behind it.

    `known` is False where nobody knows what was drawn since the reading before: `line` goes on from its value, and no
    energy may be taken from one to the other.
    """

    at_ms: int
    line: Decimal
    raw: Decimal
    quality: Quality = Quality.GOOD
    reason: str = ""
    known: bool = True


class CounterChange(StrEnum):
    """What can happen to a counter besides counting."""

    ROLLOVER = "rollover"
    HELD = "held"
    GLITCH = "glitch"
    RESET = "reset"
    EXCHANGE = "exchange"
    JUMP = "jump"
    LOST = "lost"  # silent for more than a year: nothing is interpolated across
    DECIDED = "decided"  # not by the algebra: a person's decision was applied


@dataclass(frozen=True, slots=True)
class CounterEvent:
    """A change with the readings on both sides, as displayed. `substituted_kwh` is what was booked across it, if anything.

    With `DECIDED`, `at_ms` is the decision's instant, and `substituted_kwh` what it makes of the readings.
    """

    change: CounterChange
    at_ms: int
    before_ms: int
    before: Decimal
    after: Decimal
    substituted_kwh: Decimal | None = None


@dataclass(slots=True)
class CounterLine:
    """State of one counter series. Offer readings in rising order of `at_ms`; what is not newer is ignored."""

    meter: MeterSpec
    power: PowerIntegral = no_power
    last: Accepted | None = None
    serial: str | None = None
    finest_digit: int = 0  # exponent of the finest digit seen: -2 = the display shows 0.01
    decisions: Decisions = field(default_factory=Decisions)
    _ignored_by_ms: int | None = None  # the glitch by decision that was last told
    _unfit_ms: int = -(2**62)  # the last decision that did not fit its readings: it is not tried again
    _held: list[CounterReading] = field(default_factory=list)
    _on_old: list[bool] = field(default_factory=list)  # of each held reading: on the old line?

    def count_at(self, at_ms: int) -> Decimal:
        """The display's last digit in displayed kWh: stated as quantum / multiplier, else the finest digit seen."""
        if self.meter.quantum_kwh is not None:
            return self.meter.quantum_kwh / self.meter.multiplier_at(at_ms)
        return Decimal(1).scaleb(self.finest_digit)

    @property
    def holding(self) -> bool:
        return bool(self._held)

    @property
    def held_since_ms(self) -> int | None:
        """The first reading that waits to be judged."""
        return self._held[0].at_ms if self._held else None

    def offer(self, reading: CounterReading) -> tuple[list[Accepted], list[CounterEvent]]:
        """What becomes believed by this reading, in order, and what happened."""
        exponent = reading.value.as_tuple().exponent
        if not isinstance(exponent, int) or reading.quality is Quality.BAD or reading.value < 0:
            return [], []
        if self.decisions and (glitch := self.decisions.ignoring(reading.at_ms)) is not None:
            return [], self._ignore(glitch, reading)
        self.finest_digit = min(self.finest_digit, exponent)
        if self.last is None:
            self.last = Accepted(reading.at_ms, reading.value, reading.value, reading.quality, reading.reason)
            self.serial = reading.serial
            return [self.last], []
        if reading.at_ms <= self.last.at_ms or (self._held and reading.at_ms <= self._held[-1].at_ms):
            return [], []
        since_ms = max(self.last.at_ms, self._unfit_ms)
        if self.decisions and (decision := self.decisions.between(since_ms, reading.at_ms)) is not None:
            accepted, events = self._give_up_holding()
            more, happened = self._obey(decision, reading)
            return accepted + more, events + happened
        return self._weigh(reading) if self._held else self._judge(reading)

    # -- judging ------------------------------------------------------------------------------------------------

    def _judge(self, reading: CounterReading) -> tuple[list[Accepted], list[CounterEvent]]:
        assert self.last is not None
        same_meter = reading.serial is None or self.serial is None or reading.serial == self.serial
        if same_meter and self._believe(reading) is not None:
            return self._accept(reading)
        self._held.append(reading)
        self._on_old.append(False)
        return [], [CounterEvent(CounterChange.HELD, reading.at_ms, self.last.at_ms, self.last.raw, reading.value)]

    def _bound(self, from_ms: int, to_ms: int) -> Decimal:
        carried = self.meter.rated_power_kw * (to_ms - from_ms) / MS_PER_H / self.meter.multiplier_at(to_ms)
        return HEADROOM * carried + SPARE_COUNTS * self.count_at(to_ms)

    def step(self, at_ms: int, raw: Decimal, reading: CounterReading) -> tuple[Decimal, bool] | None:
        """(energy, rolled over) in displayed kWh from a believed display to a reading, or None where the line cannot have carried it."""
        delta = reading.value - raw
        bound = self._bound(at_ms, reading.at_ms)
        if 0 <= delta <= bound:
            return delta, False
        modulus = self.meter.modulus_kwh
        if delta < 0 and modulus is not None and raw < modulus:
            carried = (
                self.meter.rated_power_kw * (reading.at_ms - at_ms) / MS_PER_H / self.meter.multiplier_at(reading.at_ms)
            )
            if delta + modulus <= bound and carried < modulus:
                return delta + modulus, True
        return None

    def _believe(self, reading: CounterReading) -> tuple[Decimal, bool] | None:
        assert self.last is not None
        return self.step(self.last.at_ms, self.last.raw, reading)

    def _accept(self, reading: CounterReading) -> tuple[list[Accepted], list[CounterEvent]]:
        assert self.last is not None
        step = self._believe(reading)
        if step is None:  # a finer digit has shown up meanwhile, and with it the bound became smaller
            return [], [self._glitch(reading)]
        energy, rolled = step
        before = self.last
        self.last = Accepted(reading.at_ms, before.line + energy, reading.value, reading.quality, reading.reason)
        self.serial = reading.serial or self.serial
        events = (
            [CounterEvent(CounterChange.ROLLOVER, reading.at_ms, before.at_ms, before.raw, reading.value)]
            if rolled
            else []
        )
        return [self.last], events

    # -- holding ------------------------------------------------------------------------------------------------

    def _weigh(self, reading: CounterReading) -> tuple[list[Accepted], list[CounterEvent]]:
        """Puts a further reading on the old or the new line and decides once enough of them agree."""
        assert self.last is not None
        old = next(
            (held for held, on_old in zip(reversed(self._held), reversed(self._on_old), strict=True) if on_old), None
        )
        base_ms, base_raw = (self.last.at_ms, self.last.raw) if old is None else (old.at_ms, old.value)
        changed = reading.serial is not None and self.serial is not None and reading.serial != self.serial
        on_old = not changed and self.step(base_ms, base_raw, reading) is not None
        if not on_old:
            new = next(
                (held for held, old in zip(reversed(self._held), reversed(self._on_old), strict=True) if not old), None
            )
            if new is not None and self.step(new.at_ms, new.value, reading) is None:
                return self._another_line(reading)
        self._held.append(reading)
        self._on_old.append(on_old)
        run = self._run()
        before_run = self._on_old[:-run]
        opens_the_line = not on_old and all(before_run)  # then its first reading is the anomaly, not a further one
        first_ms = self._held[-run].at_ms if opens_the_line else self._held[-run - 1].at_ms
        further = run - 1 if opens_the_line else run
        if further >= CONFIRMING_READINGS and reading.at_ms - first_ms >= CONFIRMING_MS:
            return self._back_on_the_old_line() if on_old else self._on_a_new_line(run)
        if len(self._held) > MAX_HELD:
            return [], [self._drop(0)]
        return [], []

    def _run(self) -> int:
        """How many held readings at the end lie on one line."""
        last = self._on_old[-1]
        return next((n for n, on_old in enumerate(reversed(self._on_old)) if on_old != last), len(self._on_old))

    def _another_line(self, reading: CounterReading) -> tuple[list[Accepted], list[CounterEvent]]:
        """Neither the old line nor the held one: what was held on a new line was a glitch, and waiting starts anew."""
        events = [self._glitch(held) for held, on_old in zip(self._held, self._on_old, strict=True) if not on_old]
        kept = [held for held, on_old in zip(self._held, self._on_old, strict=True) if on_old]
        self._held = [*kept, reading]
        self._on_old = [*([True] * len(kept)), False]
        return [], events

    def _back_on_the_old_line(self) -> tuple[list[Accepted], list[CounterEvent]]:
        accepted: list[Accepted] = []
        events: list[CounterEvent] = []
        held, flags = self._held, self._on_old
        self._held, self._on_old = [], []
        for reading, on_old in zip(held, flags, strict=True):
            if on_old:
                more, happened = self._accept(reading)
                accepted += more
                events += happened
            else:
                events.append(self._glitch(reading))
        return accepted, events

    def _on_a_new_line(self, run: int) -> tuple[list[Accepted], list[CounterEvent]]:
        accepted: list[Accepted] = []
        events: list[CounterEvent] = []
        held, flags = self._held, self._on_old
        self._held, self._on_old = [], []
        early = len(held) - run
        for reading, on_old in zip(held[:early], flags[:early], strict=True):
            if on_old:
                more, happened = self._accept(reading)
                accepted += more
                events += happened
            else:
                events.append(self._glitch(reading))
        events.append(self._restart(held[early]))
        assert self.last is not None
        accepted.append(self.last)
        for reading in held[early + 1 :]:
            more, happened = self._accept(reading)
            accepted += more
            events += happened
        return accepted, events

    def _restart(self, first: CounterReading, change: CounterChange | None = None) -> CounterEvent:
        """Takes up a new line at its first reading; what was drawn in between is the power integral, or nothing."""
        before = self.last
        assert before is not None
        if change is None:  # no person has said so
            if first.serial is not None and self.serial is not None and first.serial != self.serial:
                change = CounterChange.EXCHANGE
            else:
                change = CounterChange.RESET if first.value < before.raw else CounterChange.JUMP
        drawn = self.power(before.at_ms, first.at_ms)
        substituted = None if drawn is None else drawn.quantize(GRAIN)
        line = before.line + (substituted or Decimal(0))
        self.last = Accepted(first.at_ms, line, first.value, Quality.SUBSTITUTED, change.value, known=drawn is not None)
        self.serial = first.serial or self.serial
        return CounterEvent(change, first.at_ms, before.at_ms, before.raw, first.value, substituted)

    def _glitch(self, reading: CounterReading) -> CounterEvent:
        assert self.last is not None
        return CounterEvent(CounterChange.GLITCH, reading.at_ms, self.last.at_ms, self.last.raw, reading.value)

    def _drop(self, at: int) -> CounterEvent:
        self._on_old.pop(at)
        return self._glitch(self._held.pop(at))

    # -- what a person has decided --------------------------------------------------------------------------------

    def _ignore(self, glitch: Decision, reading: CounterReading) -> list[CounterEvent]:
        """Told once, at the first reading that is ignored."""
        if self._ignored_by_ms == glitch.at_ms:
            return []
        self._ignored_by_ms = glitch.at_ms
        before_ms, before = (reading.at_ms, reading.value) if self.last is None else (self.last.at_ms, self.last.raw)
        return [CounterEvent(CounterChange.DECIDED, glitch.at_ms, before_ms, before, reading.value)]

    def _obey(self, decision: Decision, reading: CounterReading) -> tuple[list[Accepted], list[CounterEvent]]:
        """The step to this reading is what the decision says; one that no longer fits the readings leaves it to the algebra."""
        before = self.last
        assert before is not None
        if decision.estimated:
            change = CounterChange.RESET if decision.said is Said.RESET else CounterChange.EXCHANGE
            booked = self._restart(reading, change).substituted_kwh
        else:
            try:
                booked = decision.energy(before.raw, reading.value)
            except Unfit:
                self._unfit_ms = decision.at_ms
                return self._judge(reading)
            quality, reason = reading.quality, reading.reason
            if quality is Quality.GOOD and booked > self._bound(before.at_ms, reading.at_ms):
                quality, reason = Quality.UNCERTAIN, DECIDED  # more than the line is rated for
            self.last = Accepted(reading.at_ms, before.line + booked, reading.value, quality, reason)
            self.serial = reading.serial or self.serial
        assert self.last is not None
        told = CounterEvent(CounterChange.DECIDED, decision.at_ms, before.at_ms, before.raw, reading.value, booked)
        return [self.last], [told]

    def _give_up_holding(self) -> tuple[list[Accepted], list[CounterEvent]]:
        """What is still held when a decision comes lies before it: on the old line, or a glitch."""
        return self._back_on_the_old_line() if self._held else ([], [])

    # -- keeping ------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Json]:
        """Everything that a later `from_json` needs to go on, decimals as text."""
        last = self.last
        return {
            "last": None
            if last is None
            else [last.at_ms, str(last.line), str(last.raw), int(last.quality), last.reason],
            "serial": self.serial,
            "finest_digit": self.finest_digit,
            "ignored_by_ms": self._ignored_by_ms,
            "unfit_ms": self._unfit_ms,
            "held": [[h.at_ms, str(h.value), int(h.quality), h.reason, h.serial] for h in self._held],
            "on_old": list(self._on_old),
        }

    @classmethod
    def from_json(cls, meter: MeterSpec, power: PowerIntegral, state: Mapping[str, Json]) -> "CounterLine":
        line = cls(meter, power)
        last, held, on_old = state["last"], state["held"], state["on_old"]
        if isinstance(last, list):
            at_ms, value, raw, quality, reason = last
            line.last = Accepted(int(at_ms), Decimal(value), Decimal(raw), Quality(quality), str(reason))
        serial, digit = state["serial"], state["finest_digit"]
        line.serial = serial if isinstance(serial, str) else None
        line.finest_digit = digit if isinstance(digit, int) else 0
        ignored, unfit = state.get("ignored_by_ms"), state.get("unfit_ms")  # states of earlier versions lack them
        line._ignored_by_ms = ignored if isinstance(ignored, int) else None
        line._unfit_ms = unfit if isinstance(unfit, int) else line._unfit_ms
        if isinstance(held, list) and isinstance(on_old, list):
            line._held = [CounterReading(int(h[0]), Decimal(h[1]), Quality(h[2]), str(h[3]), h[4]) for h in held]
            line._on_old = [bool(flag) for flag in on_old]
        return line
