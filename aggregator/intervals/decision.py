"""What a person says that a counter did at an instant, in place of what the counter algebra would say. Not the algebra (see `counter`).

before = the last believed reading, after = the first usable one at or after the decision's instant

no_change   after - before                                   the step is counted as it stands
rollover    after - before + modulus
exchange    (old meter's last - before) + (after - new meter's first); without the two readings as a reset
reset       the power integral between them, or nothing: never the new value
glitch      the readings from its instant until `until_ms` are ignored
automatic   the algebra decides again
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Said(StrEnum):
    """What a change is said to be."""

    NO_CHANGE = "no_change"
    ROLLOVER = "rollover"
    RESET = "reset"
    EXCHANGE = "exchange"
    GLITCH = "glitch"
    AUTOMATIC = "automatic"


class Unfit(ValueError):
    """A decision that contradicts the readings or itself: the key, what was expected of it, and what was seen."""

    def __init__(self, thing: str, expected: str, seen: object) -> None:
        super().__init__(f"{thing}: expected {expected}, got {seen}")
        self.thing, self.expected, self.seen = thing, expected, seen


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision; readings and modulus in displayed kWh. Raises Unfit where a key is missing or does not belong."""

    at_ms: int
    said: Said
    modulus: Decimal | None = None
    old_last: Decimal | None = None
    new_first: Decimal | None = None
    until_ms: int | None = None

    def __post_init__(self) -> None:
        given = {"modulus_kwh": self.modulus, "old_last_kwh": self.old_last, "new_first_kwh": self.new_first}
        wanted = {Said.ROLLOVER: ("modulus_kwh",), Said.EXCHANGE: ("old_last_kwh", "new_first_kwh")}.get(self.said, ())
        for name, value in {**given, "until_ms": self.until_ms}.items():
            belongs = name in wanted or (name == "until_ms" and self.said is Said.GLITCH)
            if value is not None and not belongs:
                raise Unfit(name, f"nothing with {self.said.value}", value)
        if self.said is Said.ROLLOVER and not (self.modulus is not None and self.modulus > 0):
            raise Unfit("modulus_kwh", "a value above 0 with rollover", self.modulus)
        if (self.old_last is None) != (self.new_first is None):
            missing = "old_last_kwh" if self.old_last is None else "new_first_kwh"
            raise Unfit(missing, "both readings of an exchange, or neither", "nothing")
        if self.said is Said.GLITCH and (self.until_ms is None or self.until_ms < self.at_ms):
            raise Unfit("until_ms", f"at or after at_ms ({self.at_ms}) with glitch", self.until_ms)

    @property
    def estimated(self) -> bool:
        """Whether the energy across it can only be the power integral."""
        return self.said is Said.RESET or (self.said is Said.EXCHANGE and self.old_last is None)

    def covers(self, at_ms: int) -> bool:
        """Whether a reading of this instant is ignored."""
        return self.until_ms is not None and self.at_ms <= at_ms <= self.until_ms

    def energy(self, before: Decimal, after: Decimal) -> Decimal:
        """Displayed kWh from one reading to the other where it is not estimated. Raises Unfit."""
        if self.said is Said.ROLLOVER:
            assert self.modulus is not None
            if self.modulus <= max(before, after):
                raise Unfit("modulus_kwh", f"above both readings, {before} and {after}", self.modulus)
            return after - before + self.modulus
        if self.said is Said.EXCHANGE:
            assert self.old_last is not None
            assert self.new_first is not None
            if self.old_last < before:
                raise Unfit("old_last_kwh", f"at least the reading before the change, {before}", self.old_last)
            if self.new_first > after:
                raise Unfit("new_first_kwh", f"at most the reading after the change, {after}", self.new_first)
            return (self.old_last - before) + (after - self.new_first)
        if after < before:
            raise Unfit("change", f"another word than no_change: the counter fell from {before}", after)
        return after - before


class Decisions:
    """The decisions that stand for one series."""

    def __init__(self, decisions: Iterable[Decision] = ()) -> None:
        standing = sorted((d for d in decisions if d.said is not Said.AUTOMATIC), key=lambda d: d.at_ms)
        self._glitches = [d for d in standing if d.said is Said.GLITCH]
        self._steps = [d for d in standing if d.said is not Said.GLITCH]
        self._glitch_ms = [d.at_ms for d in self._glitches]
        self._step_ms = [d.at_ms for d in self._steps]

    def __bool__(self) -> bool:
        return bool(self._glitches or self._steps)

    def ignoring(self, at_ms: int) -> Decision | None:
        """The glitch in which a reading lies. Spans of glitches do not overlap."""
        at = bisect_right(self._glitch_ms, at_ms) - 1
        return self._glitches[at] if at >= 0 and self._glitches[at].covers(at_ms) else None

    def between(self, before_ms: int, after_ms: int) -> Decision | None:
        """The last decision with before_ms < at_ms <= after_ms that is no glitch."""
        at = bisect_right(self._step_ms, after_ms) - 1
        return self._steps[at] if at >= 0 and self._step_ms[at] > before_ms else None
