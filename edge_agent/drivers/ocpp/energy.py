"""The energy of a charging session from what a pile says of its counter: where it began, where it stands, whether to believe it. Pure.

    begin: meter start -> idle reading at most 60 s old -> first sample of the transaction (uncertain, what is missing has a bound)
    each candidate must lie on one line with what came after it:   begin <= value <= begin + 1.2 x rated power x time + 2 counts
    a first sample below the start, small enough for the time, counts from the session's own 0

All in kWh (Decimal) and UTC ms. A `Register` is what is remembered of one direction of one session; it is kept in the journal as it is.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import msgspec

IDLE_MS: Final = 60_000  # an idle reading older than this may have missed something
UNRATED_KW: Final = (
    1000.0  # the largest single outlets (MCS) in use are below 1.2 MW; bounds a session where no rating is given
)
_MARGIN: Final = Decimal("1.2")
_COUNTS: Final = 2
_CONFIRM: Final = 3  # readings on a new line that make a reset of what could be a glitch
_CONFIRM_MS: Final = 30_000
_HOUR_MS: Final = Decimal(3_600_000)
_LEAST_COUNT: Final = Decimal("0.001")  # meters in OCPP count Wh


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A counter's value at an instant."""

    at_ms: int
    kwh: Decimal


class Register(msgspec.Struct, omit_defaults=True):
    """One direction's counter during one session.

    `start` and `stop` are what the pile calls so; `idle` the last reading before. `relative`: samples count from the session's start.
    `carried` is what earlier stretches of the session came to, where the counter began anew in its middle, and `lost` the time (ms)
    between those stretches. `suspect` are readings off the line that are not believed yet.
    """

    start: Decimal | None = None
    start_at_ms: int | None = None
    idle: Mark | None = None
    first: Mark | None = None
    last: Mark | None = None
    stop: Decimal | None = None
    relative: bool = False
    carried: Decimal = Decimal(0)
    resets: int = 0
    lost_ms: int = 0
    suspect: list[Mark] = []


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connector can carry: rated power (kW), and where its counter rolls over (kWh), if it does."""

    rated_kw: Decimal
    modulus_kwh: Decimal | None = None

    def bound(self, elapsed_ms: int, count: Decimal = _LEAST_COUNT) -> Decimal:
        """The most that can flow in a time, with the margin for a reading's own grain."""
        return _MARGIN * self.rated_kw * max(elapsed_ms, 0) / _HOUR_MS + _COUNTS * max(count, _LEAST_COUNT)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a session came to so far. `kwh` None: nothing can be said. `missing_kwh` bounds what the baseline may have missed."""

    kwh: Decimal | None
    begin_kwh: Decimal | None
    end_kwh: Decimal | None
    baseline: str  # meter_start, idle_reading, first_sample or ""
    quality: str  # good, uncertain, bad
    missing_kwh: Decimal | None
    why: str = ""


def note(register: Register, mark: Mark, limits: Limits, *, always_relative: bool = False) -> None:
    """Takes one reading within the session, in the order in which readings come."""
    if register.first is None:
        register.first = register.last = mark
        register.relative = always_relative or _counts_from_zero(register, mark, limits)
        return
    last = register.last
    assert last is not None
    if mark.at_ms < last.at_ms:
        return  # told late: the line is known beyond it
    if _on_line(last, mark, limits):
        register.last = mark
        register.suspect = []
        return
    rolled = _rolled(last, mark, limits)
    if rolled is not None:
        begin = _begin(register, limits)[0]
        register.carried += rolled + (Decimal(0) if begin is None else _absolute(register, last.kwh) - begin)
        _restart(register, mark)
        return
    if register.suspect and not _on_line(register.suspect[-1], mark, limits):
        register.suspect = []  # a glitch after a glitch
    register.suspect = [*register.suspect, mark][-8:]
    first = register.suspect[0]
    if len(register.suspect) >= _CONFIRM and mark.at_ms - first.at_ms >= _CONFIRM_MS:
        _accept_reset(register, first, mark, limits)


def _accept_reset(register: Register, first: Mark, latest: Mark, limits: Limits) -> None:
    """The counter began anew: what it had until then is carried on, what flowed in between is unknown."""
    assert register.last is not None
    settled = _begin(register, limits)[0]
    if settled is not None:
        register.carried += _absolute(register, register.last.kwh) - settled
    register.lost_ms += first.at_ms - register.last.at_ms
    register.resets += 1
    _restart(register, first)
    register.last = latest
    register.suspect = []


def _restart(register: Register, mark: Mark) -> None:
    """From here on the session is counted from `mark`; what was before is in `carried`."""
    register.start = mark.kwh
    register.start_at_ms = mark.at_ms
    register.idle = None
    register.first = register.last = mark
    register.relative = False


def _on_line(before: Mark, after: Mark, limits: Limits) -> bool:
    return 0 <= after.kwh - before.kwh <= limits.bound(after.at_ms - before.at_ms, _count(before.kwh, after.kwh))


def _rolled(before: Mark, after: Mark, limits: Limits) -> Decimal | None:
    """What flowed where the counter passed its end, None where it did not."""
    if limits.modulus_kwh is None or after.kwh >= before.kwh:
        return None
    delta = after.kwh - before.kwh + limits.modulus_kwh
    return delta if 0 <= delta <= limits.bound(after.at_ms - before.at_ms, _count(before.kwh, after.kwh)) else None


def _count(*values: Decimal) -> Decimal:
    """One count of the coarsest of some readings: the value of their last digit, at most 1 kWh."""
    return min(Decimal(1), max(Decimal(1).scaleb(int(value.as_tuple().exponent)) for value in values))


def _counts_from_zero(register: Register, mark: Mark, limits: Limits) -> bool:
    if register.start is None or register.start_at_ms is None or mark.kwh >= register.start:
        return False
    if _wrapped(register, mark, limits):
        return False  # a counter at its end is likelier than one that counts each session, and that just then
    return mark.kwh <= limits.bound(mark.at_ms - register.start_at_ms, _count(mark.kwh))


def _absolute(register: Register, kwh: Decimal) -> Decimal:
    """A sample on the line of the session's begin."""
    return (register.start or Decimal(0)) + kwh if register.relative else kwh


def _begin(register: Register, limits: Limits, end: Mark | None = None) -> tuple[Decimal | None, str, int | None]:
    """Where the session began (kWh), by which candidate, and the time (ms) before it that is not covered."""
    witness = register.first or end
    since = register.start_at_ms
    if register.relative:
        return register.start or Decimal(0), "meter_start", 0
    if register.start is not None and (
        witness is None or _fits(register.start, since, witness, limits) or _wrapped(register, witness, limits)
    ):
        agrees = witness is not None or register.idle is None or since is None
        if agrees or _fits_both(register.idle, register.start, since, limits):
            return register.start, "meter_start", 0
    idle = register.idle
    if idle is not None and (witness is None or _fits(idle.kwh, idle.at_ms, witness, limits)):
        return idle.kwh, "idle_reading", 0
    if register.first is not None:
        return register.first.kwh, "first_sample", None if since is None else register.first.at_ms - since
    return None, "", None


def _fits(begin: Decimal, begin_ms: int | None, witness: Mark, limits: Limits) -> bool:
    if begin_ms is None:
        return begin <= witness.kwh
    return _on_line(Mark(begin_ms, begin), witness, limits)


def _fits_both(idle: Mark | None, start: Decimal, since: int | None, limits: Limits) -> bool:
    return idle is None or since is None or _on_line(idle, Mark(since, start), limits)


def _wrapped(register: Register, witness: Mark, limits: Limits) -> bool:
    """Whether the counter passed its end between start and the first reading."""
    if register.start is None or register.start_at_ms is None:
        return False
    return _rolled(Mark(register.start_at_ms, register.start), witness, limits) is not None


def settle(register: Register, limits: Limits, end_ms: int | None = None) -> Settled:
    """The session's energy: until its last reading, or to its end at `end_ms` where it has ended."""
    stop = None if register.stop is None or end_ms is None else Mark(end_ms, register.stop)
    begin, baseline, uncovered_ms = _begin(register, limits, stop)
    end, why = _end(register, begin, stop, limits)
    if end_ms is not None and stop is None and end is not None:
        why = "no stop value: counted to the last sample"
    if begin is None or end is None:
        if register.start is not None and stop is not None:
            why = _too_much(stop.kwh - register.start, stop.at_ms - (register.start_at_ms or stop.at_ms), limits)
        return Settled(None, begin, end, baseline, "bad", None, why or "no reading to count from")
    kwh = end - begin
    if kwh < 0 and limits.modulus_kwh is not None:
        kwh += limits.modulus_kwh
    kwh += register.carried
    since = (
        register.start_at_ms if register.start_at_ms is not None else (register.first or stop or Mark(0, begin)).at_ms
    )
    until = end_ms if end_ms is not None else (register.last or Mark(since, end)).at_ms
    if not register.carried and not 0 <= kwh <= limits.bound(until - since, _count(begin, end)):
        why = _too_much(kwh, until - since, limits)
        return Settled(None, begin, end, baseline, "bad", None, why)
    missing = _missing(uncovered_ms, register, limits)
    good = baseline != "first_sample" and not why and not register.resets
    if register.resets:
        why = why or "the counter began anew within the session"
    return Settled(kwh, begin, end, baseline, "good" if good else "uncertain", missing, why)


def _too_much(kwh: Decimal, elapsed_ms: int, limits: Limits) -> str:
    if kwh < 0:
        return f"{kwh} kWh is below 0"
    return f"{kwh} kWh in {elapsed_ms // 1000} s is more than {limits.rated_kw} kW can carry"


def _missing(uncovered_ms: int | None, register: Register, limits: Limits) -> Decimal | None:
    """The most that can have flowed unseen; None where nobody knows how long it was."""
    if uncovered_ms is None:
        return None
    flowed = limits.rated_kw * (uncovered_ms + register.lost_ms) / _HOUR_MS
    return flowed.quantize(_LEAST_COUNT)


def _end(register: Register, begin: Decimal | None, stop: Mark | None, limits: Limits) -> tuple[Decimal | None, str]:
    """Where the session ended (kWh, on the line of its begin), and what is doubtful about it."""
    last = None if register.last is None else _absolute(register, register.last.kwh)
    if stop is None:
        return last, ""
    if register.relative and stop.kwh < (register.start or Decimal(0)):
        return _absolute(register, stop.kwh), ""
    if begin is not None and stop.kwh < begin:
        start = Mark(register.start_at_ms if register.start_at_ms is not None else stop.at_ms, begin)
        if _rolled(start, stop, limits) is not None:
            return stop.kwh, ""
        if register.first is None and stop.kwh <= limits.bound(stop.at_ms - start.at_ms, _count(stop.kwh)):
            return begin + stop.kwh, "the stop value counts from the session's start"
        return last, f"the stop value {stop.kwh} kWh lies below the begin {begin} kWh"
    if last is not None and stop.kwh + _COUNTS * _count(stop.kwh, last) < last:
        return stop.kwh, f"the stop value {stop.kwh} kWh lies below the last sample {last} kWh"
    if register.suspect and not _on_line(register.suspect[-1], stop, limits):
        return stop.kwh, "readings off the line before the stop"
    return stop.kwh, ""
