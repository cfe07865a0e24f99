"""Energies as a table of local days and clock hours, which is how people's habits repeat. Not where the energies come from, nor what follows from them.

A day of 23 hours lacks one clock hour; a day of 25 has one twice, and both are matched to the same clock hour (the table holds their mean power).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from aggregator.intervals.local_time import day_span_ms, local_day

HOURS: Final = 24
DAYS_MOST: Final = 4000
QUARTER_MS: Final = 900_000  # every offset from UTC in use is a multiple of it
HOUR_MS: Final = 3_600_000

Table = npt.NDArray[np.float64]  # [day, clock hour]; NaN: not known


@dataclass(frozen=True, slots=True)
class Slot:
    """[start_ms, end_ms) of a local day within one clock hour: an hour, or half of one where the clock is changed by half an hour."""

    start_ms: int
    end_ms: int
    hour: int

    @property
    def length_h(self) -> float:
        return (self.end_ms - self.start_ms) / HOUR_MS


@dataclass(frozen=True, slots=True)
class Days:
    """Mean kW of each clock hour of consecutive local days from `first` on."""

    first: date
    kw: Table

    def row(self, day: date) -> int:
        """Where the day stands in the table; it may lie outside."""
        return (day - self.first).days

    def day(self, row: int) -> date:
        return self.first + timedelta(days=row)

    @property
    def known_hours(self) -> int:
        return int(np.count_nonzero(~np.isnan(self.kw)))


@lru_cache(maxsize=4096)
def slots(day: date, zone: ZoneInfo) -> tuple[Slot, ...]:
    """The hours of a local day in order: 23, 24 or 25."""
    begin_ms, end_ms = day_span_ms(day, zone)
    found: list[Slot] = []
    offset: timedelta | None = None
    for at_ms in range(begin_ms, end_ms, QUARTER_MS):
        local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
        goes_on = bool(found) and found[-1].hour == local.hour and offset == local.utcoffset()
        if goes_on:
            found[-1] = Slot(found[-1].start_ms, at_ms + QUARTER_MS, local.hour)
        else:
            found.append(Slot(at_ms, at_ms + QUARTER_MS, local.hour))
        offset = local.utcoffset()
    return tuple(found)


def by_local_days(energies: Iterable[tuple[int, int, float]], zone: ZoneInfo) -> Days | None:
    """The table of (start_ms, end_ms, kWh), none longer than an hour, in any order. None where there is nothing.

    An hour counts where at least all but a second of it is known. Raises ValueError where an interval is longer than an hour or overlaps an hour's
    end, and where the days are more than DAYS_MOST.
    """
    kwh: dict[tuple[date, int], float] = {}
    known_ms: dict[tuple[date, int], int] = {}
    offsets = _Offsets(zone)
    for start_ms, end_ms, energy in energies:
        local_ms = start_ms + offsets.at(start_ms)
        if not 0 < end_ms - start_ms <= HOUR_MS - local_ms % HOUR_MS:
            raise ValueError(
                f"interval {start_ms}: expected it to lie within one local clock hour, got {(end_ms - start_ms) / 1000:g} s"
            )
        days, rest_ms = divmod(local_ms, HOURS * HOUR_MS)
        key = (_EPOCH + timedelta(days=days), rest_ms // HOUR_MS)
        kwh[key] = kwh.get(key, 0.0) + energy
        known_ms[key] = known_ms.get(key, 0) + end_ms - start_ms
    if not kwh:
        return None
    first, last = min(kwh)[0], max(kwh)[0]
    count = (last - first).days + 1
    if count > DAYS_MOST:
        raise ValueError(f"energies: expected at most {DAYS_MOST} days, got {first} to {last}")
    lengths = {day: _lengths(day, zone) for day in offsets.changes(first, last)}
    table = np.full((count, HOURS), np.nan)
    for (day, hour), energy in kwh.items():
        whole_ms = lengths[day].get(hour, HOUR_MS) if day in lengths else HOUR_MS
        if known_ms[day, hour] >= whole_ms - 1000:
            table[(day - first).days, hour] = energy * HOUR_MS / known_ms[day, hour]
    return Days(first, table)


_EPOCH: Final = date(1970, 1, 1)


class _Offsets:
    """The zone's offset from UTC in ms, looked up once a quarter hour at most."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._known: dict[int, int] = {}

    def at(self, at_ms: int) -> int:
        quarter = at_ms // QUARTER_MS
        if quarter not in self._known:
            offset = datetime.fromtimestamp(at_ms / 1000, self._zone).utcoffset()
            self._known[quarter] = 0 if offset is None else offset // timedelta(milliseconds=1)
        return self._known[quarter]

    def changes(self, first: date, last: date) -> Iterator[date]:
        """The days that are not 24 hours long."""
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            begin_ms, end_ms = day_span_ms(day, self._zone)
            if end_ms - begin_ms != HOURS * HOUR_MS:
                yield day


def _lengths(day: date, zone: ZoneInfo) -> dict[int, int]:
    """How long each clock hour of the day lasts, in ms: twice an hour where it comes twice."""
    found: dict[int, int] = {}
    for slot in slots(day, zone):
        found[slot.hour] = found.get(slot.hour, 0) + slot.end_ms - slot.start_ms
    return found


def next_day(at_ms: int, zone: ZoneInfo) -> date:
    """The local day whose midnight comes next at or after an instant: the first that a forecast can be made of as a whole."""
    day = local_day(at_ms, zone)
    return day if day_span_ms(day, zone)[0] >= at_ms else day + timedelta(days=1)
