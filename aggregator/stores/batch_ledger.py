"""Which batches are committed, as ranges in memory with the newest hashes. Not the table on disk: each store keeps its own."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from aggregator.stores.number_ranges import NumberRanges
from aggregator.stores.store import CommittedBatch, Range, Spool

HASHES_KEPT: Final = 1024  # per spool; an edge has at most 64 batches on the way


class _Spool:
    """The committed numbers of one spool and the hashes of the newest of them."""

    __slots__ = ("hashes", "numbers")

    def __init__(self) -> None:
        self.numbers = NumberRanges()
        self.hashes: OrderedDict[int, tuple[bytes, ...]] = OrderedDict()

    def remember(self, seq: int, sha256: bytes) -> None:
        known = self.hashes.get(seq, ())
        if sha256 not in known:
            self.hashes[seq] = (*known, sha256)
        if len(self.hashes) > HASHES_KEPT:
            self.hashes.popitem(last=False)


class BatchLedger:
    """The index over a store's ledger; `look_up` asks the store's table for the hashes of a number that is long past."""

    def __init__(self, look_up: Callable[[Spool, int], tuple[bytes, ...]]) -> None:
        self._look_up = look_up
        self._lock = threading.RLock()
        self._spools: OrderedDict[Spool, _Spool] = OrderedDict()

    def restore(self, spool: Spool, ranges: Iterable[tuple[int, int]]) -> None:
        """Take over what the table holds, at opening."""
        with self._lock:
            kept = self._spools.setdefault(spool, _Spool())
            for first, last in ranges:
                kept.numbers.add(first, last)

    def unknown(self, batches: Iterable[CommittedBatch]) -> list[CommittedBatch]:
        """The batches whose (spool, seq, sha256) is not committed yet, each once."""
        fresh: dict[tuple[Spool, int, bytes], CommittedBatch] = {}
        for batch in batches:
            spool = Spool(batch.facility, batch.edge, batch.epoch)
            if batch.sha256 not in self.sha256_of(spool, batch.seq):
                fresh.setdefault((spool, batch.seq, batch.sha256), batch)
        return list(fresh.values())

    def add(self, batches: Iterable[CommittedBatch]) -> None:
        """Note batches that the table now holds."""
        with self._lock:
            for batch in batches:
                spool = Spool(batch.facility, batch.edge, batch.epoch)
                kept = self._spools.setdefault(spool, _Spool())
                if batch.seq in kept.numbers and batch.seq not in kept.hashes:
                    for sha256 in self._look_up(spool, batch.seq):
                        kept.remember(batch.seq, sha256)
                kept.numbers.add(batch.seq, batch.seq)
                kept.remember(batch.seq, batch.sha256)
                self._spools.move_to_end(spool)

    def spools(self) -> list[Spool]:
        """Spools with a committed batch, the most recently stored last."""
        with self._lock:
            return list(self._spools)

    def sha256_of(self, spool: Spool, seq: int) -> tuple[bytes, ...]:
        """Hashes under which `seq` is committed."""
        with self._lock:
            kept = self._spools.get(spool)
            if kept is None or seq not in kept.numbers:
                return ()
            hashes = kept.hashes.get(seq)
        return hashes or self._look_up(spool, seq)

    def ranges(self, spool: Spool) -> list[Range]:
        """Committed ranges, each with the hash of its last batch (the one stored last after a conflict)."""
        with self._lock:
            kept = self._spools.get(spool)
            pairs = [] if kept is None else kept.numbers.pairs()
        return [Range(first, last, self.sha256_of(spool, last)[-1]) for first, last in pairs]
