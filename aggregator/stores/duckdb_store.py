"""Readings in one DuckDB file: no server, crash safe, one writer at a time. Not for several processes (DuckDB lets one in).

Each commit is one transaction over readings, new series, batch ledger and events, synced before it returns. There is no
primary key (it costs nine times the ingest and ten times the disk): rows newer than the newest known of their series go
in unseen, all others pass an anti-join.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import numpy as np
from numpy.typing import NDArray

from aggregator.stores.batch_ledger import BatchLedger
from aggregator.stores.series_table import SeriesTable, checked, no_columns, ordered_once, taken
from aggregator.stores.store import (
    Buckets,
    Columns,
    CommittedBatch,
    Floats,
    Int32s,
    Point,
    Range,
    Rows,
    SeriesKey,
    Spool,
    StoredEvent,
    StoreRefused,
    StoreUnavailable,
)
from wire.reading import Event

VERSION: Final = 1
_ALL: Final = 2**62  # events, where no number of them is asked for
RECENT_MS: Final = (
    600_000  # the newest ten minutes hold the newest reading of nearly every series (12 ms to read, 100 M rows)
)

_TABLES: Final = """
create table if not exists layout(version integer not null);
create table if not exists series(id integer, facility varchar, edge varchar, device varchar, quantity varchar);
create table if not exists readings(series integer, at_ms bigint, value double, quality utinyint, reason utinyint);
create table if not exists spools(id integer, facility varchar, edge varchar, epoch varchar);
create table if not exists batches(spool integer, seq ubigint, sha256 blob, sealed_at_ms bigint, stored_at_ms bigint, readings integer);
create table if not exists events(facility varchar, edge varchar, id varchar, at_ms bigint, device varchar, kind varchar, body varchar);
"""
_NEWEST: Final = """
select series::integer as series, max(at_ms) as at_ms, arg_max(struct_pack(v := value), at_ms).v as value,
       arg_max(quality, at_ms) as quality, arg_max(reason, at_ms) as reason
from readings where {which} group by series order by series
"""
_REFUSED: Final = (
    OverflowError,  # a number beyond its column
    duckdb.ConstraintException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.InvalidTypeException,
    duckdb.OutOfRangeException,
    duckdb.TypeMismatchException,
)


class DuckDBStore:
    """The file at `path`, held by this process until `close`. Raises StoreUnavailable where another process holds it."""

    durable_after_s: float = 0.0

    def __init__(self, path: Path, memory_limit: str = "1GB", threads: int = 2) -> None:
        self._path = path
        self._config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "threads": str(threads),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        self._write = threading.RLock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._closed = False
        self._table = SeriesTable()
        self._saved_series = 0
        self._spool_ids: dict[Spool, int] = {}
        self._ledger = BatchLedger(self._look_up)
        self._open()

    # --- opening

    def _open(self) -> None:
        with self._mapped("open"):
            connection = self._connected()
            try:
                connection.execute(
                    "set checkpoint_threshold = '64MB'"
                )  # 16 MiB stalled a commit for 56 ms each 20 commits
                self._lay_out(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._restore_series(connection)
            self._restore_ledger(connection)

    def _connected(self) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(str(self._path), config=self._config)
        except duckdb.IOException as error:
            if "lock on file" not in str(error):
                raise
            raise StoreUnavailable(
                f"store {self._path}: open: expected the file without the lock of another program; an aggregator that runs is asked over HTTP (--url)"
            ) from error

    def _lay_out(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(_TABLES)
        found = connection.execute("select version from layout").fetchall()
        if not found:
            connection.execute("insert into layout values (?)", [VERSION])
        elif found != [(VERSION,)]:
            raise StoreRefused(f"store {self._path}: expected layout version {VERSION}, found {found[0][0]}")

    def _restore_series(self, connection: duckdb.DuckDBPyConnection) -> None:
        kept = connection.execute("select facility, edge, device, quantity, id from series order by id").fetchall()
        given = self._table.ids([SeriesKey(*row[:4]) for row in kept])
        if given.tolist() != [row[4] for row in kept]:
            raise StoreRefused(
                f"store {self._path}: expected series ids 0 to {len(kept) - 1} without hole or repetition"
            )
        self._saved_series = len(kept)
        newest = connection.execute("select max(at_ms) from readings").fetchone()
        if newest is None or newest[0] is None:
            return
        self._table.advance(
            _rows(connection.execute(_NEWEST.format(which="at_ms >= ?"), [newest[0] - RECENT_MS]).fetchnumpy())
        )
        silent = self._table.silent()
        if len(silent):
            which = {"series": silent}
            connection.register("silent", which)
            self._table.advance(
                _rows(connection.execute(_NEWEST.format(which="series in (select series from silent)")).fetchnumpy())
            )
            connection.unregister("silent")

    def _restore_ledger(self, connection: duckdb.DuckDBPyConnection) -> None:
        spools = connection.execute("select facility, edge, epoch, id from spools order by id").fetchall()
        self._spool_ids = {Spool(*row[:3]): row[3] for row in spools}
        spans = connection.execute(
            "select spool, min(seq), max(seq), count(distinct seq) from batches group by spool order by max(stored_at_ms), spool"
        ).fetchall()
        named = {number: spool for spool, number in self._spool_ids.items()}
        for number, first, last, count in spans:
            ranges = [(first, last)] if last - first + 1 == count else self._islands(connection, number)
            self._ledger.restore(named[number], ranges)

    @staticmethod
    def _islands(connection: duckdb.DuckDBPyConnection, spool: int) -> list[tuple[int, int]]:
        return connection.execute(
            "select min(seq), max(seq) from (select seq, seq::hugeint - row_number() over (order by seq) as island"
            " from (select distinct seq from batches where spool = ?)) group by island order by 1",
            [spool],
        ).fetchall()

    @contextmanager
    def _mapped(self, what: str) -> Iterator[None]:
        try:
            yield
        except _REFUSED as error:
            raise StoreRefused(f"store {self._path}: {what}: {error}") from error
        except duckdb.FatalException as error:
            self._drop_connection()  # the library refuses everything after it
            raise StoreUnavailable(f"store {self._path}: {what}: {error}") from error
        except (duckdb.Error, OSError) as error:
            raise StoreUnavailable(f"store {self._path}: {what}: {error}") from error

    def _opened(self) -> duckdb.DuckDBPyConnection:
        """The connection, opened anew where a failure had dropped it. The caller holds `_write`."""
        if self._closed:
            raise StoreUnavailable(f"store {self._path}: closed")
        if self._connection is None:
            self._open()
        assert self._connection is not None
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # --- writing

    def ids(self, keys: Sequence[SeriesKey]) -> Int32s:
        """See Store."""
        return self._table.ids(keys)

    def keys(self, ids: Sequence[int]) -> list[SeriesKey]:
        """See Store."""
        return self._table.keys(ids)

    def commit(self, rows: Rows, batches: Sequence[CommittedBatch]) -> int:
        """See Store. One transaction; of two rows with one key the first that came stays."""
        rows = ordered_once(checked(rows, len(self._table)))
        with self._write:
            connection = self._opened()
            with self._mapped("commit"):
                fresh_batches = self._ledger.unknown(batches)
                series_count = len(self._table)
                connection.execute("begin")
                try:
                    stored = self._insert_rows(connection, rows)
                    self._insert_series(connection, series_count)
                    new_spools = self._insert_batches(connection, fresh_batches)
                    _insert_events(connection, fresh_batches)
                    connection.execute("commit")
                except _REFUSED:
                    _roll_back(connection)
                    raise
                except BaseException:
                    self._drop_connection()  # committed or not: opening the file anew tells
                    raise
            self._saved_series = series_count
            self._spool_ids.update(new_spools)
            self._table.advance(rows)
            self._ledger.add(fresh_batches)
        return stored

    def _insert_rows(self, connection: duckdb.DuckDBPyConnection, rows: Rows) -> int:
        if not len(rows):
            return 0
        newer = self._table.newer(rows)
        if newer.all():
            _insert(connection, "readings", _named(rows))
            return len(rows)
        stored = int(np.count_nonzero(newer))
        if stored:
            _insert(connection, "readings", _named(taken(rows, newer)))
        late = taken(rows, ~newer)
        connection.register("late", _named(late))
        try:
            counted = connection.execute(
                "insert into readings select late.* from late anti join readings on readings.series = late.series"
                " and readings.at_ms = late.at_ms and readings.at_ms between ? and ?",
                [int(late.at_ms.min()), int(late.at_ms.max())],
            ).fetchone()
        finally:
            connection.unregister("late")
        assert counted is not None
        return stored + int(counted[0])

    def _insert_series(self, connection: duckdb.DuckDBPyConnection, count: int) -> None:
        if count == self._saved_series:
            return
        numbers = range(self._saved_series, count)
        columns = list(zip(*self._table.keys(numbers), strict=True))
        named = dict(zip(SeriesKey._fields, map(_texts, columns), strict=True))
        _insert(connection, "series", {"id": np.array(numbers, dtype=np.int32), **named})

    def _insert_batches(
        self, connection: duckdb.DuckDBPyConnection, batches: Sequence[CommittedBatch]
    ) -> dict[Spool, int]:
        if not batches:
            return {}
        new: dict[Spool, int] = {}
        numbers: list[int] = []
        for batch in batches:
            spool = Spool(batch.facility, batch.edge, batch.epoch)
            number = self._spool_ids.get(spool)
            if number is None:
                number = new.setdefault(spool, len(self._spool_ids) + len(new))
            numbers.append(number)
        if new:
            columns = dict(zip(Spool._fields, map(_texts, zip(*new, strict=True)), strict=True))
            _insert(connection, "spools", {"id": np.array(list(new.values()), dtype=np.int32), **columns})
        _insert(
            connection,
            "batches",
            {
                "spool": np.array(numbers, dtype=np.int32),
                "seq": np.array([batch.seq for batch in batches], dtype=np.uint64),
                "sha256": _objects([batch.sha256 for batch in batches]),
                "sealed_at_ms": np.array([batch.sealed_at_ms for batch in batches], dtype=np.int64),
                "stored_at_ms": np.array([batch.stored_at_ms for batch in batches], dtype=np.int64),
                "readings": np.array([batch.readings for batch in batches], dtype=np.int32),
            },
        )
        return new

    # --- reading

    def _read(self, what: str, query: str, parameters: Sequence[object]) -> dict[str, Any]:
        with self._mapped(what), self._cursor() as cursor:
            return cursor.execute(query, list(parameters)).fetchnumpy()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._connection
        if connection is None:
            with self._write:
                connection = self._opened()
        cursor = connection.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    def _look_up(self, spool: Spool, seq: int) -> tuple[bytes, ...]:
        number = self._spool_ids.get(spool, -1)
        with self._mapped("ledger"), self._cursor() as cursor:
            found = cursor.execute(
                "select sha256 from batches where spool = ? and seq = ? order by stored_at_ms", [number, seq]
            ).fetchall()
        return tuple(row[0] for row in found)

    def history(self, key: SeriesKey, from_ms: int, to_ms: int) -> Columns:
        """See Store."""
        series = self._table.find(key)
        if series is None:
            return no_columns()
        query = "select at_ms, value, quality, reason from readings where series = ? and at_ms >= ? and at_ms < ? order by at_ms"
        found = self._read("history", query, [series, from_ms, to_ms])
        return Columns(found["at_ms"], _nan_for_null(found["value"]), found["quality"], found["reason"])

    def buckets(self, key: SeriesKey, from_ms: int, to_ms: int, bucket_ms: int) -> Buckets:
        """See Store."""
        if bucket_ms <= 0:
            raise ValueError(f"bucket_ms: expected more than 0, got {bucket_ms}")
        series = self._table.find(key)
        found = self._read(
            "buckets",
            "select ? + ((at_ms - ?) // ?) * ? as from_ms, count(value) as n, avg(value) as mean, min(value) as low,"
            " max(value) as high, arg_max(quality, [0, 2, 3, 1][quality + 1]) as quality from readings"
            " where series = ? and at_ms >= ? and at_ms < ? group by 1 order by 1",
            [from_ms, from_ms, bucket_ms, bucket_ms, -1 if series is None else series, from_ms, to_ms],
        )
        return Buckets(
            found["from_ms"].astype(np.int64),
            found["n"].astype(np.int64),
            _nan_for_null(found["mean"]),
            _nan_for_null(found["low"]),
            _nan_for_null(found["high"]),
            found["quality"],
        )

    def latest(self, facility: str | None = None) -> dict[SeriesKey, Point]:
        """See Store. From memory."""
        return self._table.latest(facility)

    def series(self) -> list[SeriesKey]:
        """See Store. From memory."""
        return self._table.heard()

    def spools(self) -> list[Spool]:
        """See Store."""
        return self._ledger.spools()

    def committed(self, spool: Spool) -> list[Range]:
        """See Store."""
        return self._ledger.ranges(spool)

    def sha256_of(self, spool: Spool, seq: int) -> tuple[bytes, ...]:
        """See Store."""
        return self._ledger.sha256_of(spool, seq)

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
        with self._mapped("events"), self._cursor() as cursor:
            found = cursor.execute(
                "select edge, id, at_ms, device, kind, body from events where facility = ? and at_ms >= ? and at_ms < ?"
                " and kind = coalesce(?, kind) and device = coalesce(?, device)"
                " order by at_ms desc, edge desc, id desc limit ?",
                [facility, from_ms, to_ms, kind, device, _ALL if newest is None else newest],
            ).fetchall()
        return [
            StoredEvent(facility, edge, Event(number, at_ms, device, word, msgspec.json.decode(body)))
            for edge, number, at_ms, device, word, body in reversed(found)
        ]

    def close(self) -> None:
        """See Store. What the log beside the file holds is moved into the file."""
        with self._write:
            self._closed = True
            self._drop_connection()


def _rows(found: dict[str, Any]) -> Rows:
    return Rows(found["series"], found["at_ms"], _nan_for_null(found["value"]), found["quality"], found["reason"])


def _named(rows: Rows) -> dict[str, NDArray[Any]]:
    return {
        "series": rows.series,
        "at_ms": rows.at_ms,
        "value": rows.value,
        "quality": rows.quality,
        "reason": rows.reason,
    }


def _insert(connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, NDArray[Any]]) -> None:
    """Append columns that stand in the table's own order. nan becomes null on the way."""
    connection.register("incoming", columns)
    try:
        connection.execute(f"insert into {table} select * from incoming")  # noqa: S608 - table is one of ours
    finally:
        connection.unregister("incoming")


def _insert_events(connection: duckdb.DuckDBPyConnection, batches: Sequence[CommittedBatch]) -> None:
    carried = {
        (batch.facility, batch.edge, event.id): (
            event.at_ms,
            event.device,
            event.kind,
            msgspec.json.encode(event.body).decode(),
        )
        for batch in batches
        for event in batch.events
    }
    if not carried:
        return
    facility, edge, number = (list(column) for column in zip(*carried, strict=True))
    at_ms, device, kind, body = (list(column) for column in zip(*carried.values(), strict=True))
    texts = {"facility": facility, "edge": edge, "id": number}
    columns = {name: _texts(column) for name, column in texts.items()}
    columns["at_ms"] = np.array(at_ms, dtype=np.int64)
    columns |= {"device": _texts(device), "kind": _texts(kind), "body": _texts(body)}
    connection.register("carried", columns)
    try:
        connection.execute(
            "insert into events select carried.* from carried anti join events on events.facility = carried.facility"
            " and events.edge = carried.edge and events.id = carried.id"
        )
    finally:
        connection.unregister("carried")


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.Error:
        return  # the transaction is gone already; the error that led here is the one to show


def _texts(values: Sequence[str]) -> NDArray[Any]:
    return _objects(list(values))


def _objects(values: Sequence[object]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _nan_for_null(column: Any) -> Floats:
    return np.ma.filled(column, np.nan).astype(np.float64, copy=False)
