"""Counter forensics: every rollover, reset, glitch and jump of a counter is an event with the raw readings on both sides. Nothing is corrected.

The readings go up as the meter showed them; what they mean for energies is decided, and can be overruled, where intervals are made. The
rules are the same there (a rollover only where the model states its modulus; three further readings over 30 s confirm a new line):

    last -----> reading fits: 0 <= delta <= 1.2 x rated power x silence + 2 counts          nothing to say
          +---> delta < 0, delta + modulus fits                                             rollover
          +---> else suspicious: further readings fit the old line -> glitch, the new one -> reset (lower) or jump (higher)
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

from wire.block import Block, Shape, Value
from wire.quantities import QUANTITIES, Kind
from wire.reading import Event, Quality

CONFIRMING_READINGS: Final = 3
CONFIRMING_MS: Final = 30_000
HEADROOM: Final = Decimal("1.2")
SPARE_COUNTS: Final = 2
_MS_PER_H: Final = 3_600_000
_SERIAL: Final = "answer_serial_"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device's counters may do: kW that its line carries at most, and where they start again; None: not known."""

    rated_power_kw: Decimal | None = None
    modulus_kwh: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    at_ms: int
    raw: Decimal


@dataclass(slots=True)
class _Series:
    """One counter: the last reading believed, and those that may begin a new line."""

    last: _Seen
    first: _Seen | None = None  # where the suspicion began
    newest: _Seen | None = None  # the newest reading on the new line
    on_old: int = 0
    on_new: int = 0
    since_ms: int = 0


class CounterWatch:
    """Looks at every counter that passes. `limits` by device; `suspicious(device, why)` is called at once, before anything is decided."""

    def __init__(self, limits: Mapping[str, Limits], suspicious: Callable[[str, str], None]) -> None:
        self._limits = limits
        self._suspicious = suspicious
        self._series: dict[tuple[str, str], _Series] = {}

    def look(self, block: Block) -> list[Event]:
        """What the counters of one block tell."""
        events: list[Event] = []
        for index, quantity in _counters(block.shape):
            if block.quality and block.quality[index][0] == Quality.BAD:
                continue
            for at_ms, value in zip(block.at_ms, block.columns[index], strict=True):
                if value is not None:
                    seen = _Seen(at_ms, _decimal(value, block.shape.exponents[index]))
                    events += self._next(block.device, quantity, seen)
        return events

    def _next(self, device: str, quantity: str, seen: _Seen) -> Iterator[Event]:
        key = (device, quantity)
        series = self._series.get(key)
        if series is None:
            self._series[key] = _Series(seen)
            return
        if seen.at_ms <= series.last.at_ms:
            return
        limits = self._limits.get(device, Limits())
        if series.first is None:
            if _fits(series.last, seen, quantity, limits):
                series.last = seen
            elif _rolled(series.last, seen, quantity, limits):
                yield _event(device, quantity, "rollover", series.last, seen)
                series.last = seen
            else:
                series.first = series.newest = seen
                series.on_old = series.on_new = 0
                series.since_ms = seen.at_ms
                self._suspicious(device, f"{quantity} went from {series.last.raw} to {seen.raw}")
            return
        yield from self._weigh(device, quantity, series, seen, limits)

    def _weigh(self, device: str, quantity: str, series: _Series, seen: _Seen, limits: Limits) -> Iterator[Event]:
        assert series.first is not None
        assert series.newest is not None
        if _fits(series.newest, seen, quantity, limits):
            series.newest, series.on_new = seen, series.on_new + 1
        elif _fits(series.last, seen, quantity, limits):
            series.on_old += 1
        else:  # neither: what began the suspicion was a glitch, and this one begins another
            yield _event(device, quantity, "glitch", series.last, series.first)
            series.first = series.newest = seen
            series.on_old = series.on_new = 0
            series.since_ms = seen.at_ms
            return
        enough = seen.at_ms - series.since_ms >= CONFIRMING_MS
        if series.on_old >= CONFIRMING_READINGS and enough:
            yield _event(device, quantity, "glitch", series.last, series.first)
            series.last, series.first = seen, None
        elif series.on_new >= CONFIRMING_READINGS and enough:
            change = "reset" if series.first.raw < series.last.raw else "jump"
            yield _event(device, quantity, change, series.last, series.first)
            series.last, series.first = seen, None


@lru_cache(maxsize=1024)
def _counters(shape: Shape) -> tuple[tuple[int, str], ...]:
    """Columns and names of a shape's counters; the numbers of a simulator's answers are none."""
    return tuple(
        (index, quantity)
        for index, quantity in enumerate(shape.quantities)
        if QUANTITIES[quantity].kind is Kind.COUNTER and not quantity.startswith(_SERIAL)
    )


def _fits(before: _Seen, after: _Seen, quantity: str, limits: Limits) -> bool:
    delta = after.raw - before.raw
    return delta >= 0 and (delta == 0 or delta <= _most(before, after, quantity, limits))


def _rolled(before: _Seen, after: _Seen, quantity: str, limits: Limits) -> bool:
    modulus = limits.modulus_kwh
    if modulus is None or not quantity.endswith("_kwh") or before.raw >= modulus or after.raw >= before.raw:
        return False
    return after.raw - before.raw + modulus <= min(_most(before, after, quantity, limits), modulus / 2)


def _most(before: _Seen, after: _Seen, quantity: str, limits: Limits) -> Decimal:
    """The most that a counter can have gained, in its unit; without a rated power there is no such bound."""
    if limits.rated_power_kw is None or not quantity.endswith(("_kwh", "_kvarh", "_kvah")):
        return Decimal("Infinity")
    exponent = min(_exponent(before.raw), _exponent(after.raw))
    carried = limits.rated_power_kw * (after.at_ms - before.at_ms) / _MS_PER_H
    return HEADROOM * carried + SPARE_COUNTS * Decimal(1).scaleb(exponent)


def _exponent(raw: Decimal) -> int:
    exponent = raw.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _decimal(value: Value, exponent: int | None) -> Decimal:
    if exponent is None or isinstance(value, float):
        return Decimal(repr(value))
    assert value is not None
    return Decimal(value).scaleb(exponent)


def _event(device: str, quantity: str, change: str, before: _Seen, after: _Seen) -> Event:
    return Event(
        f"counter-{device}-{quantity}-{after.at_ms}",
        after.at_ms,
        device,
        "counter",
        {
            "quantity": quantity,
            "change": change,
            "before": {"at_ms": before.at_ms, "raw": f"{before.raw:f}"},
            "after": {"at_ms": after.at_ms, "raw": f"{after.raw:f}"},
        },
    )
