"""The newest reading of every series, kept as columns so that a commit of thousands of rows costs microseconds. Not history (`aggregator.stores`)."""

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from aggregator.stores.store import Codes, Floats, Int32s, Int64s, SeriesKey, Store
from wire.reading import Quality

NEVER: Final = -(2**62)  # the instant of a series that has no reading yet


class Newest(NamedTuple):
    """The newest reading of one series; `value` None where the device answered without one."""

    at_ms: int
    value: float | None
    quality: Quality


class NewestReadings:
    """Fed from the ingest thread, read from the event loop. `keys` names series by the ids of the open store."""

    def __init__(self, keys: Callable[[Sequence[int]], list[SeriesKey]]) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._ids: dict[SeriesKey, int] = {}
        self._of_device: dict[tuple[str, str, str], list[int]] = {}
        self._at_ms = np.full(1024, NEVER, np.int64)
        self._value = np.full(1024, np.nan, np.float64)
        self._quality = np.zeros(1024, np.uint8)
        self._named = np.zeros(1024, np.bool_)

    def update(self, series: Int32s, at_ms: Int64s, value: Floats, quality: Codes) -> None:
        """Rows of one commit, each column (row,), in any order. An older row than the one known changes nothing."""
        if not len(series):
            return
        with self._lock:
            self._grow(int(series.max()))
            if len(at_ms) > 1 and bool(np.any(at_ms[1:] < at_ms[:-1])):
                order = np.argsort(at_ms, kind="stable")
                series, at_ms, value, quality = series[order], at_ms[order], value[order], quality[order]
            newer = at_ms >= self._at_ms[series]
            if not newer.all():
                series, at_ms, value, quality = series[newer], at_ms[newer], value[newer], quality[newer]
            # Rows are ordered by time, and of a repeated index numpy keeps what is assigned last: the newest.
            self._at_ms[series] = at_ms
            self._value[series] = value
            self._quality[series] = quality
            fresh = series[~self._named[series]]
            if len(fresh):
                self._name(np.unique(fresh).tolist())

    def prime(self, store: Store) -> None:
        """What the store knows already, so that a restart does not show an empty plant."""
        latest = store.latest(None)
        points = list(latest.values())
        self.update(
            store.ids(list(latest)),
            np.array([point.at_ms for point in points], np.int64),
            np.array([math.nan if point.value is None else point.value for point in points], np.float64),
            np.array([point.quality for point in points], np.uint8),
        )

    def of(self, key: SeriesKey) -> Newest | None:
        """The newest reading of one series, None where there is none."""
        with self._lock:
            number = self._ids.get(key)
            return None if number is None else self._at(number)

    def of_device(self, facility: str, edge: str, device: str) -> Newest | None:
        """The newest contact with a device: instant, and the worst quality among its readings of that instant that have a value (value None).

        What a device does not have it answers without a value, each time; that alone is nothing bad.
        """
        with self._lock:
            ids = self._of_device.get((facility, edge, device))
            if not ids:
                return None
            at_ms = self._at_ms[ids]
            last = int(at_ms.max())
            now = at_ms == last
            there = now & ~np.isnan(self._value[ids])
            return Newest(
                last, None, worst(Quality(int(code)) for code in self._quality[ids][there if there.any() else now])
            )

    def devices(self, facility: str) -> list[tuple[str, str]]:
        """(edge, device) of all devices of one facility that ever gave a reading."""
        with self._lock:
            return [(edge, device) for name, edge, device in self._of_device if name == facility]

    def facility(self, facility: str) -> dict[SeriesKey, Newest]:
        """The newest reading of each series of one facility."""
        with self._lock:
            return {key: self._at(number) for key, number in self._ids.items() if key.facility == facility}

    def _at(self, number: int) -> Newest:
        value = float(self._value[number])
        return Newest(
            int(self._at_ms[number]), None if math.isnan(value) else value, Quality(int(self._quality[number]))
        )

    def _grow(self, highest: int) -> None:
        size = len(self._at_ms)
        if highest < size:
            return
        more = max(size, highest + 1 - size)
        self._at_ms = np.concatenate([self._at_ms, np.full(more, NEVER, np.int64)])
        self._value = np.concatenate([self._value, np.full(more, np.nan, np.float64)])
        self._quality = np.concatenate([self._quality, np.zeros(more, np.uint8)])
        self._named = np.concatenate([self._named, np.zeros(more, np.bool_)])

    def _name(self, fresh: list[int]) -> None:
        for number, key in zip(fresh, self._keys(fresh), strict=True):
            self._ids[key] = number
            self._of_device.setdefault((key.facility, key.edge, key.device), []).append(number)
            self._named[number] = True


# From best to worst: a substituted value is somebody's estimate, but a usable one; a bad one is not.
_ORDER: Final = (Quality.GOOD, Quality.SUBSTITUTED, Quality.UNCERTAIN, Quality.BAD)


def worst(qualities: Iterable[Quality]) -> Quality:
    """The least trustworthy of these; good where there are none."""
    return max(qualities, key=_ORDER.index, default=Quality.GOOD)
