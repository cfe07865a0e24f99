"""Series ids, the newest reading of each series and removal of repeated rows, in memory for any store. Keeps nothing on disk."""

import threading
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aggregator.stores.store import Codes, Columns, Floats, Int32s, Int64s, Point, Rows, SeriesKey, StoreRefused
from wire.reading import REASONS, Quality

NEVER: Final = np.iinfo(np.int64).min
_AT_BITS: Final = 33  # 99 days in ms: rows of one commit span less but for a long backfill
_SERIES_BITS: Final = 30


def checked(rows: Rows, known: int) -> Rows:
    """The same rows; StoreRefused where columns differ in length, an id was never given or a value is infinite."""
    length = len(rows.series)
    lengths = {
        "at_ms": len(rows.at_ms),
        "value": len(rows.value),
        "quality": len(rows.quality),
        "reason": len(rows.reason),
    }
    for column, seen in lengths.items():
        if seen != length:
            raise StoreRefused(f"rows: expected {length} in column {column} as in series, got {seen}")
    if length and not (int(rows.series.min()) >= 0 and int(rows.series.max()) < known):
        raise StoreRefused(
            f"rows: expected series ids from 0 to {known - 1}, got {rows.series.min()} to {rows.series.max()}"
        )
    if np.isinf(rows.value).any():
        raise StoreRefused(
            f"rows: expected finite values or nan, got an infinite one in row {int(np.isinf(rows.value).argmax())}"
        )
    return rows


def ordered_once(rows: Rows) -> Rows:
    """The rows in order of (series, at_ms), of repeated ones the first that was offered."""
    if len(rows) < 2:
        return rows
    order = _order(rows.series, rows.at_ms)
    if order is not None:
        rows = taken(rows, order)
    first = np.empty(len(rows), dtype=np.bool_)
    first[0] = True
    np.not_equal(rows.series[1:], rows.series[:-1], out=first[1:])
    first[1:] |= rows.at_ms[1:] != rows.at_ms[:-1]
    return rows if first.all() else taken(rows, first)


def _order(series: Int32s, at_ms: Int64s) -> NDArray[np.intp] | None:
    """A stable order by (series, at_ms); None where the rows stand in it already."""
    start, end = int(at_ms.min()), int(at_ms.max())
    if end - start >= 1 << _AT_BITS or int(series.max()) >= 1 << _SERIES_BITS:
        return np.lexsort((at_ms, series))
    key = (series.astype(np.int64) << _AT_BITS) | (at_ms - start)
    if (key[1:] >= key[:-1]).all():
        return None
    return np.argsort(key, kind="stable")


def taken(rows: Rows, which: NDArray[np.intp] | NDArray[np.bool_]) -> Rows:
    """The rows at these positions."""
    return Rows(rows.series[which], rows.at_ms[which], rows.value[which], rows.quality[which], rows.reason[which])


class SeriesTable:
    """Ids dense from 0, and per id the newest reading (`at_ms` NEVER where none is known). Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: dict[SeriesKey, int] = {}
        self._keys: list[SeriesKey] = []
        self._at_ms: Int64s = np.full(1024, NEVER, dtype=np.int64)
        self._value: Floats = np.full(1024, np.nan)
        self._quality: Codes = np.zeros(1024, dtype=np.uint8)
        self._reason: Codes = np.zeros(1024, dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._keys)

    def ids(self, keys: Sequence[SeriesKey]) -> Int32s:
        """The id of each key, new ones in the order of first sight."""
        with self._lock:
            return np.array([self._id(key) for key in keys], dtype=np.int32)

    def _id(self, key: SeriesKey) -> int:
        known = self._ids.setdefault(key, len(self._keys))
        if known == len(self._keys):
            self._keys.append(key)
            if known == len(self._at_ms):
                self._grow()
        return known

    def _grow(self) -> None:
        more = len(self._at_ms)
        self._at_ms = np.concatenate((self._at_ms, np.full(more, NEVER, dtype=np.int64)))
        self._value = np.concatenate((self._value, np.full(more, np.nan)))
        self._quality = np.concatenate((self._quality, np.zeros(more, dtype=np.uint8)))
        self._reason = np.concatenate((self._reason, np.zeros(more, dtype=np.uint8)))

    def keys(self, ids: Iterable[int]) -> list[SeriesKey]:
        """The key of each id. IndexError for one that was never given."""
        return [self._keys[known] for known in ids]

    def find(self, key: SeriesKey) -> int | None:
        """The id of `key`, None where it was never given."""
        return self._ids.get(key)

    def newer(self, rows: Rows) -> NDArray[np.bool_]:
        """Per row whether it is newer than all that is known of its series; False where nothing is known of the series."""
        newest = self._at_ms[rows.series]
        newer: NDArray[np.bool_] = (rows.at_ms > newest) & (newest != NEVER)
        return newer

    def at(self, rows: Rows) -> int:
        """How many rows stand exactly at the newest known instant of their series."""
        return int(np.count_nonzero(rows.at_ms == self._at_ms[rows.series]))

    def advance(self, rows: Rows) -> None:
        """Take over the newest of `rows`, which stand in order of (series, at_ms)."""
        if not len(rows):
            return
        last = np.empty(len(rows), dtype=np.bool_)
        last[-1] = True
        np.not_equal(rows.series[1:], rows.series[:-1], out=last[:-1])
        with self._lock:
            last &= rows.at_ms > self._at_ms[rows.series]
            series = rows.series[last]
            self._at_ms[series] = rows.at_ms[last]
            self._value[series] = rows.value[last]
            self._quality[series] = rows.quality[last]
            self._reason[series] = rows.reason[last]

    def silent(self) -> Int32s:
        """Ids of which no reading is known."""
        with self._lock:
            return np.flatnonzero(self._at_ms[: len(self._keys)] == NEVER).astype(np.int32)

    def latest(self, facility: str | None) -> dict[SeriesKey, Point]:
        """The newest reading of each series that has one."""
        with self._lock:
            count = len(self._keys)
            keys = self._keys[:count]
            at_ms, value = self._at_ms[:count].tolist(), self._value[:count].tolist()
            quality, reason = self._quality[:count].tolist(), self._reason[:count].tolist()
        return {
            key: point(at_ms[n], value[n], quality[n], reason[n])
            for n, key in enumerate(keys)
            if at_ms[n] != NEVER and (facility is None or key.facility == facility)
        }

    def heard(self) -> list[SeriesKey]:
        """The series that have a reading, sorted."""
        with self._lock:
            return sorted(key for key, at_ms in zip(self._keys, self._at_ms.tolist(), strict=False) if at_ms != NEVER)


def point(at_ms: int, value: float, quality: int, reason: int) -> Point:
    """One reading out of columns; nan becomes None, a reason code that this version does not know becomes its number."""
    text = REASONS[reason] if reason < len(REASONS) else str(reason)
    return Point(at_ms, None if value != value else value, Quality(quality), text)


def no_columns() -> Columns:
    """The history of a series that has none."""
    return Columns(np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint8), np.empty(0, np.uint8))
