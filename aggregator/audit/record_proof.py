"""That a run or a publication is in the log: made from the log or, beside a running aggregator, from its file; checked with the log's public key alone."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aggregator.audit import tree
from aggregator.audit.leaves import KEY_FILE, LOG_FILE, Entry, Leaves, LogUnusable, NotInLog
from aggregator.audit.note import Checkpoint, Verifier, opened
from wire.keys import SigningKey

LOCK_TIMEOUT_S = 20.0


class Log(Protocol):
    """What a proof is made from."""

    @property
    def signed_size(self) -> int:
        """Leaves under the newest checkpoint."""

    def checkpoint(self) -> str | None:
        """The newest signed checkpoint, a note."""

    def record(self, kind: str, number: int) -> Entry:
        """The leaf of a run or a publication. Raises NotInLog."""

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that leaf `index` is in the tree of `size` leaves. Raises NotInLog."""


@dataclass(frozen=True, slots=True)
class RecordProof:
    """A record's leaf (its canonical bytes as text), its place, the path to the root (hex, from the leaf up) and the signed checkpoint."""

    kind: str
    number: int
    index: int
    size: int
    leaf: str
    path: tuple[str, ...]
    checkpoint: str

    def check(self, verifier: Verifier) -> Checkpoint:
        """The checkpoint, once its signature holds and the leaf is under it. Raises NoteUnproven, ProofBroken."""
        found = Checkpoint.from_text(opened(self.checkpoint.encode(), verifier))
        if found.size != self.size:
            raise tree.ProofBroken(
                f"inclusion proof: expected a checkpoint of {self.size} leaves, got one of {found.size}"
            )
        path = [bytes.fromhex(each) for each in self.path]
        tree.check_inclusion(self.index, found.size, tree.leaf_hash(self.leaf.encode()), path, found.root)
        return found


def record_proof(log: Log, kind: str, number: int) -> RecordProof:
    """That run or publication `number` is under the newest checkpoint. Raises NotInLog, also where it is not signed yet."""
    entry, note, size = log.record(kind, number), log.checkpoint(), log.signed_size
    if note is None or entry.index >= size:
        raise NotInLog(f"{kind} {number}: expected it under a checkpoint, it is not signed yet: one comes each minute")
    size = int(note.split("\n")[1])
    path = tuple(each.hex() for each in log.inclusion(entry.index, size))
    return RecordProof(kind, number, entry.index, size, entry.leaf.decode(), path, note)


class LogReader:
    """The log file of a data directory, read only, also while its aggregator runs. One thread."""

    def __init__(self, directory: Path) -> None:
        """Raises LogUnusable where there is none."""
        path = directory / LOG_FILE
        if not path.exists():
            raise LogUnusable(
                f"{path}: expected the log of an aggregator, there is none: the first `wattline aggregator run` begins it"
            )
        try:
            self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=LOCK_TIMEOUT_S)
            self._leaves = Leaves(self._db)
            self._leaves.signed_size()
        except sqlite3.Error as error:
            raise LogUnusable(f"{path}: expected the log of an aggregator, SQLite says {error}") from error
        self._key = directory / KEY_FILE

    def close(self) -> None:
        """Idempotent."""
        self._db.close()

    def __enter__(self) -> "LogReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def verifier(self) -> Verifier:
        """The log's name and public key. Raises KeyUnusable, NotInLog where nothing is signed yet."""
        note = self.checkpoint()
        if note is None:
            raise NotInLog("expected a checkpoint, none is signed yet")
        return Verifier(note.split("\n")[0], SigningKey.load(self._key).public)

    @property
    def signed_size(self) -> int:
        return self._leaves.signed_size()

    def checkpoint(self) -> str | None:
        return self._leaves.checkpoint()

    def record(self, kind: str, number: int) -> Entry:
        return self._leaves.record(kind, number)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        return self._leaves.inclusion(index, size)
