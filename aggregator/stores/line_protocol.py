"""Rows as InfluxDB line protocol, wide (one line per device, instant and carrier) and built in bulk. Does not send them.

All fields are floats. `<quantity>_quality` holds quality x 1000 + reason code and is there only where a value is null or not good.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from aggregator.stores.store import Rows, SeriesKey, StoreRefused
from wire.quantities import QUANTITIES, Carrier

LINES_PER_BODY: Final = 5_000
BYTES_PER_BODY: Final = 10_000_000  # InfluxDB 1.6.7 refuses a body of 25 MB (413)
QUALITY_SUFFIX: Final = "_quality"
QUALITY_FACTOR: Final = 1_000

_SPECIAL: Final = re.compile(r"([,= ])")
# A backslash is literal but before what it would escape; it cannot be escaped itself, so these texts have no spelling.
_UNSPEAKABLE: Final = re.compile(r"[\x00-\x1f\x7f]|\\(?:[,= \\]|$)|^$")


def measurement(quantity: str) -> str:
    """The measurement that a quantity belongs to: its carrier; `device` for one that this version does not know."""
    known = QUANTITIES.get(quantity)
    return str(Carrier.DEVICE if known is None else known.carrier)


def escaped(text: str) -> str:
    """A tag value, tag key or field key. StoreRefused for what line protocol cannot carry unchanged."""
    if _UNSPEAKABLE.search(text):
        raise StoreRefused(
            f"line protocol: expected a name without control characters or an escaping backslash, got {text!r}"
        )
    return _SPECIAL.sub(r"\\\1", text)


def line_head(key: SeriesKey) -> bytes:
    """Measurement and tags of a series' lines, with the space before the fields. Tags stand in the order the server sorts them to."""
    tags = f"device={escaped(key.device)},edge={escaped(key.edge)},facility={escaped(key.facility)}"
    return f"{measurement(key.quantity)},{tags} ".encode()


class LineWriter:
    """Remembers the spelling of each series; `keys` gives the series behind ids."""

    def __init__(self, keys: Callable[[Sequence[int]], list[SeriesKey]]) -> None:
        self._keys = keys
        self._heads: list[bytes] = []
        self._head_numbers: dict[bytes, int] = {}
        self._head_of: NDArray[np.int64] = np.full(1024, -1, dtype=np.int64)
        self._fields: dict[int, bytes] = {}

    def bodies(self, rows: Rows) -> Iterator[tuple[bytes, NDArray[np.int32]]]:
        """Bodies of at most LINES_PER_BODY lines and BYTES_PER_BODY bytes, each with the number of readings per line.

        Raises StoreRefused for a name that line protocol cannot carry.
        """
        if not len(rows):
            return
        self._spell(rows)
        head = self._head_of[rows.series]
        order = np.lexsort((rows.at_ms, head))
        head, at_ms, series = head[order], rows.at_ms[order], rows.series[order]
        new_line = np.ones(len(order), dtype=np.bool_)
        new_line[1:] = (head[1:] != head[:-1]) | (at_ms[1:] != at_ms[:-1])
        starts = np.flatnonzero(new_line)
        ends = np.append(starts[1:], len(order))
        pieces = self._pieces(rows, order, series.tolist())
        for start, number in zip(starts.tolist(), head[starts].tolist(), strict=True):
            pieces[3 * start] = self._heads[number]
        for end, instant in zip(ends.tolist(), at_ms[starts].tolist(), strict=True):
            pieces[3 * end - 1] += b" %d\n" % instant
        for first in range(0, len(starts), LINES_PER_BODY):
            last = min(first + LINES_PER_BODY, len(starts))
            yield from _bodies(pieces, starts, ends, first, last)

    def _spell(self, rows: Rows) -> None:
        highest = int(rows.series.max())
        if highest >= len(self._head_of):
            more = np.full(max(highest + 1, 2 * len(self._head_of)) - len(self._head_of), -1, dtype=np.int64)
            self._head_of = np.concatenate((self._head_of, more))
        missing = np.unique(rows.series[self._head_of[rows.series] < 0]).tolist()
        for number, key in zip(missing, self._keys(missing), strict=True):
            head = line_head(key)
            self._fields[number] = f"{escaped(key.quantity)}=".encode()
            if head not in self._head_numbers:
                self._head_numbers[head] = len(self._heads)
                self._heads.append(head)
            self._head_of[number] = self._head_numbers[head]

    def _pieces(self, rows: Rows, order: NDArray[np.intp], series: list[int]) -> list[bytes]:
        """Three pieces per reading: comma (or the line's head), field key with `=`, number."""
        value, quality, reason = rows.value[order], rows.quality[order], rows.reason[order]
        fields = self._fields
        pieces = [b","] * (3 * len(order))
        pieces[1::3] = [fields[number] for number in series]
        pieces[2::3] = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
        null = np.isnan(value)
        for row in np.flatnonzero(null | (quality != 0) | (reason != 0)).tolist():
            field = pieces[3 * row + 1]
            code = int(quality[row]) * QUALITY_FACTOR + int(reason[row])
            spelled = b"%s%s=%d.0" % (field[:-1], QUALITY_SUFFIX.encode(), code)
            pieces[3 * row + 1], pieces[3 * row + 2] = (
                (spelled, b"") if null[row] else (field + pieces[3 * row + 2] + b",", spelled)
            )
        return pieces


def _bodies(
    pieces: list[bytes], starts: NDArray[np.intp], ends: NDArray[np.intp], first: int, last: int
) -> Iterator[tuple[bytes, NDArray[np.int32]]]:
    body = b"".join(pieces[3 * int(starts[first]) : 3 * int(ends[last - 1])])
    if len(body) > BYTES_PER_BODY and last - first > 1:
        middle = (first + last) // 2
        yield from _bodies(pieces, starts, ends, first, middle)
        yield from _bodies(pieces, starts, ends, middle, last)
    else:
        yield body, (ends[first:last] - starts[first:last]).astype(np.int32)
