"""Readings in an InfluxDB (1.x, 2.x, 3.x) or what speaks like one, batch ledger in SQLite beside it. Not a cache of the server.

Points are idempotent, so the ledger follows the write: what falls between them is written once more and changes nothing.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aggregator.stores.influx_http import (
    BodyTooLarge,
    ClientV2,
    Http,
    LinesRefused,
    Server,
    Writer,
    identifier,
    literal,
)
from aggregator.stores.line_protocol import QUALITY_FACTOR, QUALITY_SUFFIX, LineWriter, measurement
from aggregator.stores.series_table import NEVER, SeriesTable, checked, no_columns, ordered_once
from aggregator.stores.sqlite_ledger import SqliteLedger
from aggregator.stores.store import (
    Buckets,
    Columns,
    CommittedBatch,
    Int32s,
    Point,
    Range,
    Rows,
    SeriesKey,
    Spool,
    StoredEvent,
    StoreUnavailable,
)
from wire.reading import Quality

REFUSED_LINES_PER_COMMIT: Final = 32  # more than so many is a fault of the database, not of the lines
_LATEST_INSTANT_MS: Final = 9_223_372_036_854  # InfluxDB counts ns in 64 bits
_STATEMENTS_PER_QUERY: Final = 50

_log = logging.getLogger(__name__)


class InfluxStore:
    """One database (v1) or bucket (v2) of a server; `ledger` is the SQLite file of this aggregator.

    Reading a series, unlike writing, needs InfluxQL. Of two rows with one key the one written last stays. A line that the
    server refuses for itself (a field of another type, say) is logged, counted in `refused_lines` and left out.
    """

    def __init__(self, server: Server, ledger: Path, durable_after_s: float = 0.0) -> None:
        self._server = server
        self._durable_after_s = durable_after_s
        self._ledger = SqliteLedger(ledger)
        self._http = Http(server)
        self._writer: Writer = self._http if server.dialect == "v1" else ClientV2(server)
        self._write = threading.Lock()
        self._discovery = threading.Lock()
        self._discovered = False
        self._closed = False
        self._table = SeriesTable()
        self._lines = LineWriter(self._table.keys)
        self.refused_lines = 0

    @property
    def durable_after_s(self) -> float:
        """See Store. VictoriaMetrics lost all that it had acknowledged within 8 s of a kill, and nothing after 12 s."""
        return self._durable_after_s

    # --- writing

    def ids(self, keys: Sequence[SeriesKey]) -> Int32s:
        """See Store."""
        return self._table.ids(keys)

    def keys(self, ids: Sequence[int]) -> list[SeriesKey]:
        """See Store."""
        return self._table.keys(ids)

    def commit(self, rows: Rows, batches: Sequence[CommittedBatch]) -> int:
        """See Store. A late row is counted as new each time it comes: to know better the server would have to be asked."""
        rows = ordered_once(checked(rows, len(self._table)))
        with self._write:
            if self._closed:
                raise StoreUnavailable(f"influxdb {self._server.url}: closed")
            known = self._table.at(rows) if len(rows) else 0
            bad: list[str] = []
            refused = sum(self._send(body, counts, bad) for body, counts in self._lines.bodies(rows))
            self._table.advance(rows)
            self._ledger.add(batches)
        return len(rows) - known - refused

    def _send(self, body: bytes, counts: NDArray[np.int32], bad: list[str]) -> int:
        """Write one body, in parts where it has to be; gives the number of readings in lines that were refused."""
        try:
            self._writer.write(body)
        except (LinesRefused, BodyTooLarge) as error:
            if len(counts) == 1:
                return self._refuse(body, int(counts[0]), bad, error)
        else:
            return 0
        middle = len(counts) // 2
        cut = _after_lines(body, middle)
        return self._send(body[:cut], counts[:middle], bad) + self._send(body[cut:], counts[middle:], bad)

    def _refuse(self, line: bytes, readings: int, bad: list[str], error: Exception) -> int:
        bad.append(line.decode("utf-8", "replace").strip())
        if len(bad) > REFUSED_LINES_PER_COMMIT:
            raise StoreUnavailable(
                f"more than {REFUSED_LINES_PER_COMMIT} lines of one commit refused, the first is {bad[0]}: {error}"
            )
        self.refused_lines += 1
        _log.error("line refused readings=%d line=%r answer=%s", readings, bad[-1], error)
        return readings

    # --- reading

    def history(self, key: SeriesKey, from_ms: int, to_ms: int) -> Columns:
        """See Store."""
        value, quality = identifier(key.quantity), identifier(key.quantity + QUALITY_SUFFIX)
        found = self._http.query([f"SELECT {value}, {quality} {_where(key, from_ms, to_ms)} ORDER BY time ASC"])[0]
        if not found:
            return no_columns()
        rows = [row for row in found[0]["values"] if row[1] is not None or row[2] is not None]
        codes = np.array([row[2] or 0 for row in rows], dtype=np.int64)
        return Columns(
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([np.nan if row[1] is None else row[1] for row in rows], dtype=np.float64),
            (codes // QUALITY_FACTOR).astype(np.uint8),
            (codes % QUALITY_FACTOR).astype(np.uint8),
        )

    def buckets(self, key: SeriesKey, from_ms: int, to_ms: int, bucket_ms: int) -> Buckets:
        """See Store."""
        if bucket_ms <= 0:
            raise ValueError(f"bucket_ms: expected more than 0, got {bucket_ms}")
        value, quality = identifier(key.quantity), identifier(key.quantity + QUALITY_SUFFIX)
        where, group = _where(key, from_ms, to_ms), f"GROUP BY time({bucket_ms}ms, {from_ms % bucket_ms}ms) fill(none)"
        substituted = int(Quality.SUBSTITUTED) * QUALITY_FACTOR
        values, *codes = self._http.query(
            [
                f"SELECT count({value}), mean({value}), min({value}), max({value}) {where} {group}",
                f"SELECT max({quality}) {where} AND {quality} >= {substituted} {group}",
                f"SELECT max({quality}) {where} AND {quality} < {substituted} {group}",  # uncertain and bad are worse
            ]
        )
        worst: dict[int, int] = {}
        for answer in codes:
            for start, code in answer[0]["values"] if answer else []:
                found_quality = int(code) // QUALITY_FACTOR
                worst[start] = found_quality or worst.get(start, 0)
        found = {row[0]: row[1:] for row in (values[0]["values"] if values else []) if row[1]}
        starts = sorted(found.keys() | worst.keys())
        nothing = [0, np.nan, np.nan, np.nan]
        columns = [found.get(start, nothing) for start in starts]
        return Buckets(
            np.array(starts, dtype=np.int64),
            np.array([column[0] for column in columns], dtype=np.int64),
            np.array([column[1] for column in columns], dtype=np.float64),
            np.array([column[2] for column in columns], dtype=np.float64),
            np.array([column[3] for column in columns], dtype=np.float64),
            np.array([worst.get(start, 0) for start in starts], dtype=np.uint8),
        )

    def latest(self, facility: str | None = None) -> dict[SeriesKey, Point]:
        """See Store. From memory, once the server was asked what it held before."""
        self._discover()
        return self._table.latest(facility)

    def series(self) -> list[SeriesKey]:
        """See Store. From memory, once the server was asked what it held before."""
        self._discover()
        return self._table.heard()

    def _discover(self) -> None:
        with self._discovery:
            if self._discovered:
                return
            asked: list[tuple[str, bool]] = []
            statements: list[str] = []
            for kind in self._http.query(["SHOW FIELD KEYS"])[0]:
                for field, _ in kind["values"]:
                    asked.append((field.removesuffix(QUALITY_SUFFIX), field.endswith(QUALITY_SUFFIX)))
                    newest = f"SELECT last({identifier(field)}) FROM {identifier(kind['name'])}"  # noqa: S608 - both are quoted
                    statements.append(f"{newest} GROUP BY facility, edge, device")
            values: dict[SeriesKey, tuple[int, float]] = {}
            codes: dict[SeriesKey, tuple[int, float]] = {}
            for (quantity, is_quality), answer in zip(asked, self._answers(statements), strict=True):
                for one in answer:
                    tags = one["tags"]
                    key = SeriesKey(tags["facility"], tags["edge"], tags["device"], quantity)
                    (codes if is_quality else values)[key] = (one["values"][0][0], one["values"][0][1])
            self._table.advance(_newest(self._table, values, codes))
            self._discovered = True

    def _answers(self, statements: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        for first in range(0, len(statements), _STATEMENTS_PER_QUERY):
            yield from self._http.query(statements[first : first + _STATEMENTS_PER_QUERY])

    def spools(self) -> list[Spool]:
        """See Store."""
        return self._ledger.index.spools()

    def committed(self, spool: Spool) -> list[Range]:
        """See Store."""
        return self._ledger.ranges(spool)

    def sha256_of(self, spool: Spool, seq: int) -> tuple[bytes, ...]:
        """See Store."""
        return self._ledger.index.sha256_of(spool, seq)

    def events(
        self,
        facility: str,
        from_ms: int,
        to_ms: int,
        kind: str | None = None,
        device: str | None = None,
        newest: int | None = None,
    ) -> list[StoredEvent]:
        """See Store."""
        return self._ledger.events(facility, from_ms, to_ms, kind, device, newest)

    def close(self) -> None:
        """See Store."""
        with self._write:
            if self._closed:
                return
            self._closed = True
            self._writer.close()
            self._http.close()
            self._ledger.close()


def _where(key: SeriesKey, from_ms: int, to_ms: int) -> str:
    first, end = (min(max(instant, -_LATEST_INSTANT_MS), _LATEST_INSTANT_MS) for instant in (from_ms, to_ms))
    tags = " AND ".join(f"{identifier(tag)} = {literal(getattr(key, tag))}" for tag in ("facility", "edge", "device"))
    return f"FROM {identifier(measurement(key.quantity))} WHERE {tags} AND time >= {first}ms AND time < {end}ms"


def _newest(
    table: SeriesTable, values: dict[SeriesKey, tuple[int, float]], codes: dict[SeriesKey, tuple[int, float]]
) -> Rows:
    """The newest reading of each series: its value, unless a quality without a value is newer."""
    keys = list(values.keys() | codes.keys())
    never = (NEVER, np.nan)
    pairs = [(values.get(key, never), codes.get(key, (NEVER, 0.0))) for key in keys]
    code = np.array([int(quality[1]) if quality[0] >= value[0] else 0 for value, quality in pairs], dtype=np.int64)
    return ordered_once(
        Rows(
            table.ids(keys),
            np.array([max(value[0], quality[0]) for value, quality in pairs], dtype=np.int64),
            np.array([value[1] if value[0] >= quality[0] else np.nan for value, quality in pairs], dtype=np.float64),
            (code // QUALITY_FACTOR).astype(np.uint8),
            (code % QUALITY_FACTOR).astype(np.uint8),
        )
    )


def _after_lines(body: bytes, count: int) -> int:
    cut = 0
    for _ in range(count):
        cut = body.index(b"\n", cut) + 1
    return cut
