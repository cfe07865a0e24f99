"""Which of a meter's frozen midnights are wanted after an outage, and what they say. Not how they are asked for.

DL/T 645-2007 with its State Grid supplement, table A.6: 05 06 xx nn is what the meter kept at the nn-th midnight back, by its own clock; xx = 00 the
time (mm hh DD MM YY), 01 import and 02 export, in all and then by tariff. After an outage these are measured values where there would be estimates.
"""

from collections import deque
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from edge_agent.drivers.dlt645 import frame
from edge_agent.drivers.dlt645.questions import Item
from wire.block import Block, Shape, Value
from wire.reading import REASON_CODES, Quality

TIME_BYTES: Final = 5
DATE, DATE_BYTES = "04000101", 4  # table A.5
CLOCK, CLOCK_BYTES = "04000102", 3
_OUTAGE_MS: Final = 900_000  # the longest interval: a shorter silence loses no boundary
_READY_S: Final = 600  # so long after midnight every meter has kept it, also one whose clock is behind
_SKEW_S: Final = 300  # a midnight kept further from the true one was kept by a clock that cannot be believed
_CATEGORIES: Final = {"00010000": "01", "00020000": "02"}
_ABSENT: Final = (int(Quality.BAD), REASON_CODES["not-implemented"])


class NotThatMidnight(Exception):
    """What the meter kept there is not the midnight that was meant; the message says what was expected and seen."""


class Memory:
    """The midnights of one meter that nobody has read."""

    def __init__(self, zone: ZoneInfo, days: int) -> None:
        self._zone = zone
        self._days = days
        self._last_ms: int | None = None
        self._wanted: deque[date] = deque()

    def note(self, now_ms: int) -> None:
        """The meter has been read at this instant: what lies in the silence before it is wanted, at first contact the last midnight."""
        today = self._local(now_ms).date()
        if self._last_ms is None:
            self._wanted.append(today)
        elif now_ms - self._last_ms > _OUTAGE_MS:
            first = self._local(self._last_ms).date() + timedelta(days=1)
            missed = max(0, (today - first).days + 1)
            for back in range(min(missed, self._days) - 1, -1, -1):
                day = today - timedelta(days=back)
                if day not in self._wanted:
                    self._wanted.append(day)
        self._last_ms = now_ms

    def next(self, now_ms: int) -> tuple[date, int] | None:
        """The next midnight that is wanted and can be had: its day, and how many midnights back it is."""
        local = self._local(now_ms)
        while self._wanted:
            day = self._wanted[0]
            back = (local.date() - day).days + 1
            if back > self._days:
                self._wanted.popleft()
                continue
            ready = (local.hour * 60 + local.minute) * 60 + local.second >= _READY_S
            return (day, back) if back > 1 or ready else None
        return None

    def done(self, day: date) -> None:
        """This midnight has been read, or will never be."""
        if day in self._wanted:
            self._wanted.remove(day)

    def give_up(self) -> None:
        """The meter has not even the last midnight: none of those before it is wanted any more."""
        self._wanted.clear()

    def check_clock(self, when: bytes, clock: bytes, now_ms: int) -> None:
        """Compares the meter's own date (WW DD MM YY) and time (ss mm hh) with `now_ms`. Raises NotThatMidnight: its days begin at other times."""
        ahead_s = (local_time(when, clock).replace(tzinfo=self._zone) - self._local(now_ms)).total_seconds()
        if abs(ahead_s) > _SKEW_S:
            raise NotThatMidnight(
                f"expected the meter's clock within {_SKEW_S} s of ours, saw it {ahead_s:+.0f} s away"
            )

    def instant_ms(self, day: date, kept: bytes) -> int:
        """UTC ms of the time `kept` with the midnight of `day`. Raises NotThatMidnight."""
        expected = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        try:
            minute, hour, dom, month, year = (frame.digits(kept[at : at + 1]) for at in range(TIME_BYTES))
            seen = datetime(2000 + year, month, dom, hour, minute, tzinfo=self._zone)
        except ValueError as error:
            raise NotThatMidnight(f"expected the midnight of {day}, saw {kept[::-1].hex()}") from error
        if abs((seen - expected).total_seconds()) > _SKEW_S:
            raise NotThatMidnight(f"expected the midnight of {day}, saw one kept at {seen:%Y-%m-%d %H:%M}")
        return round(expected.timestamp() * 1000)

    def _local(self, now_ms: int) -> datetime:
        return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self._zone)


def local_time(when: bytes, clock: bytes) -> datetime:
    """The meter's own date (WW DD MM YY) and time (ss mm hh), without a zone. Raises NotThatMidnight where they are none."""
    try:
        _, day, month, year = (frame.digits(when[at : at + 1]) for at in range(DATE_BYTES))
        second, minute, hour = (frame.digits(clock[at : at + 1]) for at in range(CLOCK_BYTES))
        return datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001
    except (ValueError, IndexError) as error:
        raise NotThatMidnight(f"expected a date and a time, saw {when[::-1].hex()} {clock[::-1].hex()}") from error


def time_identifier(back: int) -> str:
    """The identifier of the time that was kept."""
    return f"050600{back:02X}"


def value_identifier(item: Item, back: int) -> str:
    """The identifier of the counter that was kept."""
    return f"0506{_CATEGORIES[item.identifier]}{back:02X}"


def block(device: str, items: tuple[Item, ...], kept: list[bytes], at_ms: int) -> Block:
    """The counters of one midnight: the total stands in front of the tariffs."""
    columns: list[tuple[Value, ...]] = []
    quality: list[tuple[int, int]] = []
    for item, data in zip(items, kept, strict=True):
        value, told = item.value(data[: item.size]) if len(data) >= item.size else (None, _ABSENT)
        columns.append((value,))
        quality.append(told)
    shape = Shape(tuple(item.quantity for item in items), tuple(item.exponent for item in items))
    return Block(device, shape, (at_ms,), tuple(columns), tuple(quality) if any(told[0] for told in quality) else ())
