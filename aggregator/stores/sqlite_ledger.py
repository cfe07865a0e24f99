"""Batch ledger and events in an SQLite file, for a store that has no transaction to put them in. Holds no reading."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from aggregator.stores.batch_ledger import BatchLedger
from aggregator.stores.store import CommittedBatch, Range, Spool, StoredEvent, StoreRefused, StoreUnavailable
from wire.reading import Event

VERSION: Final = 1
_ALL: Final = 2**62  # events, where no number of them is asked for
_TABLES: Final = """
create table if not exists spools(id integer primary key, facility text not null, edge text not null, epoch text not null,
    unique (facility, edge, epoch)) strict;
create table if not exists batches(spool integer not null, seq blob not null, sha256 blob not null, sealed_at_ms integer not null,
    stored_at_ms integer not null, readings integer not null, primary key (spool, seq, sha256)) strict, without rowid;
create table if not exists events(facility text not null, edge text not null, id text not null, at_ms integer not null,
    device text not null, kind text not null, body text not null, primary key (facility, edge, id)) strict, without rowid;
create index if not exists events_at on events(facility, at_ms);
"""


class SqliteLedger:
    """The file at `path`; each `add` is synced before it returns. Raises StoreUnavailable."""

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        self._path = path
        self._lock = threading.RLock()
        self.index = BatchLedger(self._look_up)
        with self._mapped("open"):
            self._connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
            self._connection.execute("pragma journal_mode = wal")
            self._connection.execute("pragma synchronous = full")
            self._lay_out()
            for number, *spool in self._connection.execute(
                "select id, facility, edge, epoch from spools order by"
                " (select max(stored_at_ms) from batches where spool = spools.id), id"
            ).fetchall():
                self.index.restore(Spool(*spool), self._islands(number))

    def _lay_out(self) -> None:
        found = self._connection.execute("pragma user_version").fetchone()[0]
        if found not in {0, VERSION}:
            raise StoreRefused(f"ledger {self._path}: expected layout version {VERSION}, found {found}")
        self._connection.executescript(_TABLES + f"pragma user_version = {VERSION};")

    def _islands(self, spool: int) -> list[tuple[int, int]]:
        islands: list[tuple[int, int]] = []
        for (packed,) in self._connection.execute(
            "select distinct seq from batches where spool = ? order by seq", [spool]
        ):
            seq = int.from_bytes(packed, "big")
            if islands and islands[-1][1] == seq - 1:
                islands[-1] = (islands[-1][0], seq)
            else:
                islands.append((seq, seq))
        return islands

    @contextmanager
    def _mapped(self, what: str) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            raise StoreUnavailable(f"ledger {self._path}: {what}: {error}") from error

    def add(self, batches: Sequence[CommittedBatch]) -> None:
        """Keep batches and their events in one transaction; those known already change nothing."""
        with self._mapped("write"):
            fresh = self.index.unknown(batches)
            if not fresh:
                return
            self._connection.execute("begin immediate")
            try:
                self._insert(fresh)
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise
            self.index.add(fresh)

    def _insert(self, batches: Sequence[CommittedBatch]) -> None:
        for batch in batches:
            spool = (batch.facility, batch.edge, batch.epoch)
            self._connection.execute("insert or ignore into spools(facility, edge, epoch) values (?, ?, ?)", spool)
            self._connection.execute(
                "insert or ignore into batches select id, ?, ?, ?, ?, ? from spools where facility = ? and edge = ? and epoch = ?",
                (_packed(batch.seq), batch.sha256, batch.sealed_at_ms, batch.stored_at_ms, batch.readings, *spool),
            )
            self._connection.executemany(
                "insert or ignore into events values (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        batch.facility,
                        batch.edge,
                        event.id,
                        event.at_ms,
                        event.device,
                        event.kind,
                        msgspec.json.encode(event.body).decode(),
                    )
                    for event in batch.events
                ],
            )

    def _look_up(self, spool: Spool, seq: int) -> tuple[bytes, ...]:
        with self._mapped("read"):
            found = self._connection.execute(
                "select sha256 from batches where seq = ? and spool ="
                " (select id from spools where facility = ? and edge = ? and epoch = ?) order by stored_at_ms",
                (_packed(seq), *spool),
            ).fetchall()
        return tuple(row[0] for row in found)

    def ranges(self, spool: Spool) -> list[Range]:
        """Committed ranges of one spool."""
        return self.index.ranges(spool)

    def events(
        self,
        facility: str,
        from_ms: int,
        to_ms: int,
        kind: str | None = None,
        device: str | None = None,
        newest: int | None = None,
    ) -> list[StoredEvent]:
        """See `Store.events`."""
        with self._mapped("read"):
            found = self._connection.execute(
                "select edge, id, at_ms, device, kind, body from events where facility = ? and at_ms >= ? and at_ms < ?"
                " and kind = coalesce(?, kind) and device = coalesce(?, device)"
                " order by at_ms desc, edge desc, id desc limit ?",
                (facility, from_ms, to_ms, kind, device, _ALL if newest is None else newest),
            ).fetchall()
        return [
            StoredEvent(facility, edge, Event(number, at_ms, device, word, msgspec.json.decode(body)))
            for edge, number, at_ms, device, word, body in reversed(found)
        ]

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        with self._lock:
            self._connection.close()


def _packed(seq: int) -> bytes:
    """A batch number in 8 bytes that sort as it does; SQLite's integers end at 2^63 - 1."""
    return seq.to_bytes(8, "big")
