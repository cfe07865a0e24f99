"""The leaves of a log file: where each stands, its proof, the newest checkpoint. Reads only; what goes in is the log's (see `log`)."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aggregator.audit import tree
from aggregator.stores.store import Spool

LOG_FILE: Final = "audit.sqlite"
KEY_FILE: Final = "audit.sign"
LEVEL: Final = 8  # of the tree between two levels that are kept
BATCH: Final = "batch"
RECORDS: Final = (
    "run",
    "publication",
    "binding",
    "commitment",  # of a demand-response event, at its notice
    "settlement",
    "plan",
)  # leaves that are no batches: the canonical bytes of a record, more than 32


class LogUnusable(Exception):
    """The file is no log, of a later version, or another aggregator's."""


class NotInLog(LookupError):
    """No such batch or leaf; the message says what was asked for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf of the log and the batch that it stands for, or the record: then `spool` is that of its kind and `seq` its number."""

    index: int
    spool: Spool
    seq: int
    leaf: bytes

    @property
    def kind(self) -> str:
        return BATCH if self.spool.edge else self.spool.epoch


def record_spool(kind: str) -> Spool:
    """Under which name the log counts records of a kind. No edge has an empty name."""
    if kind not in RECORDS:
        raise ValueError(f"kind of record: expected one of {', '.join(RECORDS)}, got {kind!r}")
    return Spool("", "", kind)


class Leaves:
    """Of one open log file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def entry(self, index: int) -> Entry:
        """The leaf at an index. Raises NotInLog."""
        found = self._db.execute(
            "select facility, edge, epoch, seq, sha256 from entry join spool on spool.id = entry.spool where at = ?",
            [index],
        ).fetchone()
        if found is None:
            raise NotInLog(f"expected a leaf of the log, {index} is none")
        *names, seq, leaf = found
        return Entry(index, Spool(*names), int.from_bytes(seq, "big"), leaf)

    def of(self, spool: int, seq: int) -> list[tuple[int, bytes]]:
        """(index, leaf) of the batches of a number, placed ones or else those of the last minute."""
        packed = seq.to_bytes(8, "big")
        return (
            self._db.execute(
                "select entry.at, sha256 from place join entry on entry.at = place.at where place.spool = ? and place.seq = ? order by 1",
                (spool, packed),
            ).fetchall()
            or self._db.execute(
                "select at, sha256 from entry where at >= (select size from placed) and spool = ? and seq = ? order by at",
                (spool, packed),
            ).fetchall()
        )

    def record(self, kind: str, number: int) -> Entry:
        """The leaf of a run or a publication. Raises NotInLog."""
        spool = record_spool(kind)
        found = self._db.execute(
            "select id from spool where facility = ? and edge = ? and epoch = ?",
            (spool.facility, spool.edge, spool.epoch),
        ).fetchone()
        places = [] if found is None else self.of(found[0], number)
        if not places:
            raise NotInLog(
                f"expected {kind} {number} in the log, it is not: the aggregator takes it up within a minute"
            )
        return Entry(places[0][0], spool, number, places[0][1])

    def checkpoint(self) -> str | None:
        """The newest signed checkpoint, a note."""
        found = self._db.execute("select note from checkpoint").fetchone()
        return None if found is None else str(found[0])

    def signed_size(self) -> int:
        """Leaves under the newest checkpoint; -1: there is none."""
        found = self._db.execute("select size from checkpoint").fetchone()
        return -1 if found is None else int(found[0])

    def inclusion(self, index: int, size: int, subtree: Callable[[int, int], bytes] | None = None) -> list[bytes]:
        """The proof that leaf `index` is in the tree of `size` leaves. Raises ValueError."""
        return tree.inclusion_proof(index, size, subtree or self.subtree)

    def subtree(self, level: int, index: int) -> bytes:
        """The hash over the 2^level leaves from index * 2^level on."""
        kept, within = divmod(level, LEVEL)
        return tree.folded(self.hashes(kept, index << within, (index + 1) << within))

    def hashes(self, kept: int, first: int, end: int) -> list[bytes]:
        """Hashes [first, end) of a kept level. Raises sqlite3.DatabaseError where one is missing."""
        if kept == 0:
            found = self._db.execute("select sha256 from entry where at >= ? and at < ? order by at", (first, end))
            hashes = [tree.leaf_hash(leaf) for (leaf,) in found]
        else:
            found = self._db.execute(
                "select hash from subtree where level = ? and at >= ? and at < ? order by at", (kept, first, end)
            )
            hashes = [row[0] for row in found]
        if len(hashes) != end - first:
            raise sqlite3.DatabaseError(f"level {kept}: expected hashes {first} to {end - 1}, found {len(hashes)}")
        return hashes
