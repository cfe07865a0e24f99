"""The log of committed batches, runs and publications: leaves in their order, proofs, and a signed checkpoint of them. Not the store's ledger, from which it is repaired.

The leaf of a batch is its digest (docs/batches.md), 32 bytes; that of a run or publication its record, which is longer. Only what a signed
checkpoint covers is proven to anybody, and a checkpoint is signed once all before it is synced: a power cut may take later leaves, which the
store's ledger and the record of runs then give again. Where a batch stands is written down minutely in order of edges (`place`), because one page
of that index per edge and commit was two thirds of the cost of an append. Of the tree the hashes over 256, 65,536, ... leaves are kept, so that a
proof reads at most 255 rows per level.
"""

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aggregator.audit import tree
from aggregator.audit.archive import FrameArchive, Place
from aggregator.audit.leaves import KEY_FILE, LEVEL, LOG_FILE, Entry, Leaves, LogUnusable, NotInLog, record_spool
from aggregator.audit.note import Checkpoint, Verifier, sign
from aggregator.stores.number_ranges import NumberRanges
from aggregator.stores.store import Range, Spool, Store, StoreError
from wire.keys import SigningKey

__all__ = ["AuditFigures", "AuditLog", "LogUnusable", "NotInLog", "Sealed"]

VERSION: Final = 1
_WIDTH: Final = 1 << LEVEL
_REPAIR_AT_ONCE: Final = 5_000
_PLACED_AT_ONCE: Final = 5_000
_TABLES: Final = """
create table if not exists spool(id integer primary key, facility text not null, edge text not null, epoch text not null,
    numbers text not null default '[]', unique (facility, edge, epoch)) strict;
create table if not exists entry(at integer primary key, spool integer not null, seq blob not null, sha256 blob not null) strict;
create table if not exists place(spool integer not null, seq blob not null, at integer not null, primary key (spool, seq, at)) strict, without rowid;
create table if not exists placed(id integer primary key check (id = 1), size integer not null) strict;
insert or ignore into placed values (1, 0);
create table if not exists subtree(level integer not null, at integer not null, hash blob not null, primary key (level, at)) strict, without rowid;
create table if not exists frame(segment integer not null, start integer not null, length integer not null, at integer not null,
    sealed_at_ms integer not null, primary key (segment, start)) strict, without rowid;
create table if not exists segment(number integer primary key, first_ms integer not null, last_ms integer not null) strict;
create table if not exists checkpoint(id integer primary key check (id = 1), size integer not null, signed_at_ms integer not null,
    note text not null) strict;
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A committed batch as the log takes it: `sha256` is its leaf; `frame` is None where its bytes are not to be kept."""

    spool: Spool
    seq: int
    sha256: bytes
    sealed_at_ms: int = 0
    frame: bytes | None = None


@dataclass(frozen=True, slots=True)
class AuditFigures:
    """Leaves in the log, leaves under the newest checkpoint, when that was signed, and bytes of frames kept."""

    size: int
    signed_size: int
    signed_at_ms: int
    frame_bytes: int


class AuditLog:
    """One log: `audit.sqlite` and the key `audit.sign` in the data directory, made at first use. Any thread may call.

    `append` is called by one thread and never raises: what it could not keep is taken from the store's ledger at the next `keep_up`.
    """

    def __init__(
        self, directory: Path, store: Store, store_id: str, clock: Callable[[], int], frame_bytes_max: int = 1 << 30
    ) -> None:
        """Opens or makes the log. Raises LogUnusable, KeyUnusable, OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        self._store, self._clock = store, clock
        self._key = _kept_key(directory / KEY_FILE)
        self.verifier = Verifier(f"wattline/{store_id}", self._key.public)
        self._path = directory / LOG_FILE
        self._lock = threading.RLock()
        self._archive = FrameArchive(directory / "audit-frames", frame_bytes_max) if frame_bytes_max else None
        self._behind = True  # until the store's ledger, as it stands before the first `append`, has been looked through
        self._owed = _committed(store)
        self._closing = self._closed = False
        try:
            self._db = sqlite3.connect(self._path, timeout=20.0, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            found = self._db.execute("pragma user_version").fetchone()[0]
            if found not in {0, VERSION}:
                raise LogUnusable(f"{self._path}: expected layout version {VERSION}, found {found}")
            self._db.executescript(_TABLES + f"pragma user_version = {VERSION};")
            self._leaves = Leaves(self._db)
            self._load()
            self._same_log()
        except sqlite3.Error as error:
            raise LogUnusable(f"{self._path}: expected a log of batches, SQLite says {error}") from error

    def _same_log(self) -> None:
        note = self.checkpoint()
        if note is not None and note.partition("\n")[0] != self.verifier.name:
            origin = note.partition("\n")[0]
            raise LogUnusable(f"{self._path}: expected the log of {self.verifier.name}, it is that of {origin}")

    def _load(self) -> None:
        """Read what is kept in memory: which numbers of which spool are in, and the tree's open end."""
        self._size: int = self._db.execute("select coalesce(max(at) + 1, 0) from entry").fetchone()[0]
        self._placed: int = self._db.execute("select size from placed").fetchone()[0]
        found = self._db.execute("select size, signed_at_ms from checkpoint").fetchone()
        self._signed_size: int = -1 if found is None else found[0]
        self._signed_at_ms: int = 0 if found is None else found[1]
        self._spools: dict[Spool, tuple[int, NumberRanges]] = {}
        by_id: dict[int, NumberRanges] = {}
        for number, *names, numbers in self._db.execute("select id, facility, edge, epoch, numbers from spool"):
            by_id[number] = NumberRanges()
            for first, last in json.loads(numbers):
                by_id[number].add(first, last)
            self._spools[Spool(*names)] = (number, by_id[number])
        for number, seq in self._db.execute("select spool, seq from entry where at >= ?", [max(self._signed_size, 0)]):
            by_id[number].add(int.from_bytes(seq, "big"), int.from_bytes(seq, "big"))
        self._changed: set[Spool] = set(self._spools)
        self._open: list[list[bytes]] = []  # per kept level, hashes after the last whole 256
        level, whole = 0, self._size
        while whole:
            self._open.append(self._leaves.hashes(level, whole - whole % _WIDTH, whole))
            level, whole = level + 1, whole // _WIDTH

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
            self._db.execute("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            self._load()
            raise

    # --- what goes in

    def append(self, batches: Sequence[Sealed]) -> None:
        """Take in batches that the store has committed; those that are in already change nothing."""
        with self._lock:
            try:
                self._append(batches)
            except (sqlite3.Error, OSError) as error:
                self._behind = True
                _log.error("audit log failed, made good from the store later batches=%d reason=%s", len(batches), error)

    def _append(self, batches: Sequence[Sealed]) -> None:
        fresh: dict[tuple[int, int, bytes], Sealed] = {}
        with self._transaction():
            for batch in batches:
                number, numbers = self._spools.get(batch.spool) or self._new_spool(batch.spool)
                key = (number, batch.seq, batch.sha256)
                if key not in fresh and not (batch.seq in numbers and self._holds(*key)):
                    fresh[key] = batch
                    numbers.add(batch.seq, batch.seq)
                    self._changed.add(batch.spool)
            if not fresh:
                return
            self._db.executemany(
                "insert into entry values (?, ?, ?, ?)",
                [
                    (at, number, seq.to_bytes(8, "big"), sha256)
                    for at, (number, seq, sha256) in enumerate(fresh, self._size)
                ],
            )
            self._keep_frames([(at, batch) for at, batch in enumerate(fresh.values(), self._size)])
            self._grow([tree.leaf_hash(sha256) for _, _, sha256 in fresh])
        self._size += len(fresh)

    def lacking_records(self, kind: str, last: int) -> list[int]:
        """Which of the runs or publications 1 to `last` are not in the log."""
        return list(self._lacking(record_spool(kind), 1, last))

    def append_records(self, kind: str, records: Sequence[tuple[int, bytes]]) -> None:
        """Take in runs or publications: number and the bytes of each. Like `append` it never raises; what it could not keep is still lacking."""
        self.append([Sealed(record_spool(kind), number, leaf) for number, leaf in records])

    def record(self, kind: str, number: int) -> Entry:
        """The leaf of a run or a publication. Raises NotInLog."""
        with self._lock:
            return self._leaves.record(kind, number)

    def _new_spool(self, spool: Spool) -> tuple[int, NumberRanges]:
        cursor = self._db.execute("insert into spool(facility, edge, epoch) values (?, ?, ?)", spool)
        assert cursor.lastrowid is not None
        self._spools[spool] = (cursor.lastrowid, NumberRanges())
        return self._spools[spool]

    def _holds(self, number: int, seq: int, sha256: bytes) -> bool:
        return any(found == sha256 for _, found in self._leaves.of(number, seq))

    def _place(self) -> None:
        """Write down where batches stand, some at a time: an append waits for none of it long."""
        while self._placed < self._size and not self._closed:
            with self._lock:
                end = min(self._size, self._placed + _PLACED_AT_ONCE)
                with self._transaction():
                    self._db.execute(
                        "insert or ignore into place select spool, seq, at from entry where at >= ? and at < ? order by spool, seq",
                        (self._placed, end),
                    )
                    self._db.execute("update placed set size = ?", [end])
                self._placed = end

    def _keep_frames(self, batches: Sequence[tuple[int, Sealed]]) -> None:
        if self._archive is None:
            return
        kept = [(at, batch.sealed_at_ms, batch.frame) for at, batch in batches if batch.frame is not None]
        if not kept:
            return
        oldest = self._archive.oldest
        places = self._archive.keep([frame for _, _, frame in kept])
        self._db.executemany(
            "insert or replace into frame values (?, ?, ?, ?, ?)",
            [(*place, at, sealed_at_ms) for place, (at, sealed_at_ms, _) in zip(places, kept, strict=True)],
        )
        times = [sealed_at_ms for _, sealed_at_ms, _ in kept]
        self._db.execute(
            "insert into segment values (?, ?, ?) on conflict do update set first_ms = min(first_ms, excluded.first_ms),"
            " last_ms = max(last_ms, excluded.last_ms)",
            (places[0].segment, min(times), max(times)),
        )
        if self._archive.oldest != oldest:
            self._db.execute("delete from frame where segment < ?", [self._archive.oldest])
            self._db.execute("delete from segment where number < ?", [self._archive.oldest])

    def _grow(self, hashes: Sequence[bytes], level: int = 0) -> None:
        """Add hashes to a kept level; each whole 256 of them becomes one hash of the next."""
        if level == len(self._open):
            self._open.append([])
        self._open[level] += hashes
        while len(self._open[level]) >= _WIDTH:
            whole, self._open[level] = self._open[level][:_WIDTH], self._open[level][_WIDTH:]
            found = tree.folded(whole)
            self._db.execute(
                "insert into subtree select ?, coalesce(max(at) + 1, 0), ? from subtree where level = ?",
                (level + 1, found, level + 1),
            )
            self._grow([found], level + 1)

    def _repair(self) -> None:
        """Take in what the store's ledger has and the log lacks (a crash between the two). Raises StoreError, sqlite3.Error.

        Numbers that the log has are not looked at again: a second batch under one of them, which is a `conflict`, is not found this way.
        """
        added = 0
        for spool, ranges in self._owed or _committed(self._store):
            lacking: list[Sealed] = []
            for first, last, _ in ranges:
                for seq in self._lacking(spool, first, last):
                    lacking += [Sealed(spool, seq, sha256) for sha256 in self._store.sha256_of(spool, seq)]
                    if self._closing:
                        return
                    if len(lacking) >= _REPAIR_AT_ONCE:
                        added += self._repaired(lacking)
                        lacking = []
            added += self._repaired(lacking)
        if added:
            _log.warning("audit log repaired from the store's ledger batches=%d", added)
        self._owed = []

    def _lacking(self, spool: Spool, first: int, last: int) -> Iterator[int]:
        with self._lock:
            pairs = self._spools[spool][1].pairs() if spool in self._spools else []
        at = first
        for known_first, known_last in pairs:
            yield from range(at, min(known_first, last + 1))
            at = max(at, known_last + 1)
        yield from range(at, last + 1)

    def _repaired(self, batches: Sequence[Sealed]) -> int:
        with self._lock:
            before = self._size
            if batches:
                self._append(batches)
            return self._size - before

    # --- checkpoints

    def keep_up(self) -> None:
        """Take what the log lacks from the store's ledger, then sign; for every minute. What fails is logged and tried again."""
        try:
            if self._behind:
                self._behind = False
                try:
                    self._repair()
                except BaseException:
                    self._behind = True
                    raise
            self.sign_if_changed()
        except (sqlite3.Error, OSError, StoreError) as error:
            _log.error("audit log not signed, tried again later reason=%s", error)

    def sign_if_changed(self) -> bool:
        """Sign a checkpoint where leaves have come since the last one; whether it did. Raises OSError, sqlite3.Error."""
        self._place()
        with self._lock:
            if self._closed:
                return False
            if self._size == self._signed_size:
                return False
            if self._archive is not None:
                self._archive.sync()
            checkpoint = Checkpoint(self.verifier.name, self._size, tree.root(self._size, self._leaves.subtree))
            note = sign(checkpoint.to_text(), self.verifier.name, self._key)
            now_ms = self._clock()
            # A synced commit syncs all commits before it: nothing is signed that a power cut could take back.
            self._db.execute("pragma synchronous = full")
            try:
                with self._transaction():
                    self._db.executemany(
                        "update spool set numbers = ? where id = ?",
                        [
                            (json.dumps(numbers.pairs()), number)
                            for number, numbers in map(self._spools.__getitem__, self._changed)
                        ],
                    )
                    self._db.execute(
                        "insert or replace into checkpoint values (1, ?, ?, ?)", (self._size, now_ms, note)
                    )
            finally:
                self._db.execute("pragma synchronous = normal")
            self._signed_size, self._signed_at_ms = self._size, now_ms
            self._changed = set()
        return True

    def checkpoint(self) -> str | None:
        """The newest signed checkpoint, a note."""
        with self._lock:
            return self._leaves.checkpoint()

    @property
    def signed_size(self) -> int:
        """Leaves under the newest checkpoint."""
        return self._signed_size

    # --- proofs

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that leaf `index` is in the tree of `size` leaves. Raises NotInLog."""
        with self._lock:
            if not 0 <= index < size <= self._signed_size:
                raise NotInLog(f"expected index < size <= {self._signed_size}, got {index} and {size}")
            return self._leaves.inclusion(index, size)

    def inclusions(self, indices: Sequence[int], size: int) -> Iterator[list[bytes]]:
        """`inclusion` of many leaves; what neighbours share is read once. Raises NotInLog."""
        known: dict[tuple[int, int], bytes] = {}

        def subtree(level: int, index: int) -> bytes:
            found = known.get((level, index))
            if found is None:
                found = known[level, index] = self._leaves.subtree(level, index)
            return found

        for index in indices:
            with self._lock:
                if not 0 <= index < size <= self._signed_size:
                    raise NotInLog(f"expected index < size <= {self._signed_size}, got {index} and {size}")
                proof = self._leaves.inclusion(index, size, subtree)
            yield proof

    def signed(self, text: str) -> str:
        """The note of a text, signed with the log's key."""
        return sign(text, self.verifier.name, self._key)

    def consistency(self, first: int, second: int) -> list[bytes]:
        """The proof that the tree of `second` leaves begins with that of `first`. Raises NotInLog."""
        with self._lock:
            if not 0 <= first <= second <= self._signed_size:
                raise NotInLog(f"expected first <= second <= {self._signed_size}, got {first} and {second}")
            return tree.consistency_proof(first, second, self._leaves.subtree)

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves. Raises NotInLog."""
        with self._lock:
            if not 0 <= size <= self._signed_size:
                raise NotInLog(f"expected a size from 0 to {self._signed_size}, got {size}")
            return tree.root(size, self._leaves.subtree)

    def entry(self, index: int) -> Entry:
        """The leaf at an index. Raises NotInLog."""
        with self._lock:
            return self._leaves.entry(index)

    def entry_of(self, spool: Spool, seq: int) -> Entry:
        """The leaf of a batch; of a number with two batches the first. Raises NotInLog."""
        with self._lock:
            number, numbers = self._spools.get(spool, (0, None))
            found = [] if numbers is None or seq not in numbers else self._leaves.of(number, seq)
        if not found:
            raise NotInLog(f"expected a batch in the log, {seq} of {'/'.join(spool)} is not")
        return Entry(found[0][0], spool, seq, found[0][1])

    # --- frames

    def frames(
        self, facility: str, from_ms: int, to_ms: int, most: int, every_ms: int = 0, first: int = 1, last: int = 0
    ) -> list[tuple[Entry, Place]]:
        """Archived batches of a facility that were sealed in [from_ms, to_ms) and are under the newest checkpoint, as the log has them, at most `most`.

        Of each edge the first `first` and the last `last` of every `every_ms`, or all.
        """
        with self._lock:
            found = self._db.execute(
                "select at, facility, edge, epoch, seq, sha256, segment, start, length from (select entry.at as at, facility, edge, epoch, seq, sha256,"
                " segment, start, length, row_number() over forth as nth, row_number() over back as nth_last from segment"
                " join frame on frame.segment = segment.number join entry on entry.at = frame.at join spool on spool.id = entry.spool"
                " where last_ms >= ? and first_ms < ? and sealed_at_ms >= ? and sealed_at_ms < ? and facility = ? and entry.at < ?"
                " window part as (partition by case when ?7 then spool.id else entry.at end, case when ?7 then sealed_at_ms / ?7 end),"
                " forth as (part order by entry.at), back as (part order by entry.at desc))"
                " where nth <= ? or nth_last <= ? order by 1 limit ?",
                (from_ms, to_ms, from_ms, to_ms, facility, self._signed_size, every_ms, first, last, most),
            ).fetchall()
        return [
            (Entry(at, Spool(*names), int.from_bytes(seq, "big"), sha256), Place(*place))
            for at, *names, seq, sha256, segment, start, length in found
            for place in [(segment, start, length)]
        ]

    def frame(self, place: Place) -> bytes | None:
        """The bytes at a place; None where they are gone."""
        return None if self._archive is None else self._archive.read(place)

    def figures(self) -> AuditFigures:
        """For /metrics."""
        kept = 0 if self._archive is None else self._archive.bytes_kept
        return AuditFigures(self._size, max(self._signed_size, 0), self._signed_at_ms, kept)

    def close(self) -> None:
        """Sign what is not signed yet and let go of the files. Idempotent."""
        self._closing = True  # ends a repair that runs in another thread
        with self._lock:
            if self._closed:
                return
            try:
                self.sign_if_changed()
            except (sqlite3.Error, OSError) as error:
                _log.error("audit log not signed at the end reason=%s", error)
            self._closed = True
            self._db.close()
            if self._archive is not None:
                self._archive.close()


def _committed(store: Store) -> list[tuple[Spool, list[Range]]]:
    return [(spool, store.committed(spool)) for spool in store.spools()]


def _kept_key(path: Path) -> SigningKey:
    if not path.exists():
        key = SigningKey.generate()
        key.save(path)
        _log.warning("audit log key made file=%s", path)
        return key
    return SigningKey.load(path)
