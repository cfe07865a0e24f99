"""Which batches are committed, as ranges in memory with the newest hashes. Not the table on disk: each store keeps its own."""

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from aggregator.stores.store import CommittedBatch, Range, Spool

HASHES_KEPT: Final = 1024  # per spool; an edge has at most 64 batches on the way


class _Numbers:
    """Ascending, disjoint, never touching ranges of batch numbers."""

    __slots__ = ("firsts", "hashes", "lasts")

    def __init__(self) -> None:
        self.firsts: list[int] = []
        self.lasts: list[int] = []
        self.hashes: OrderedDict[int, tuple[bytes, ...]] = OrderedDict()

    def holds(self, seq: int) -> bool:
        at = bisect_right(self.firsts, seq) - 1
        return at >= 0 and seq <= self.lasts[at]

    def add(self, first: int, last: int) -> None:
        at = bisect_right(self.firsts, first)
        if at and self.lasts[at - 1] >= first - 1:
            at -= 1
            first = self.firsts[at]
        end = at
        while end < len(self.firsts) and self.firsts[end] <= last + 1:
            last = max(last, self.lasts[end])
            end += 1
        self.firsts[at:end] = [first]
        self.lasts[at:end] = [last]

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
        self._spools: OrderedDict[Spool, _Numbers] = OrderedDict()

    def restore(self, spool: Spool, ranges: Iterable[tuple[int, int]]) -> None:
        """Take over what the table holds, at opening."""
        with self._lock:
            numbers = self._spools.setdefault(spool, _Numbers())
            for first, last in ranges:
                numbers.add(first, last)

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
                numbers = self._spools.setdefault(spool, _Numbers())
                if numbers.holds(batch.seq) and batch.seq not in numbers.hashes:
                    for sha256 in self._look_up(spool, batch.seq):
                        numbers.remember(batch.seq, sha256)
                numbers.add(batch.seq, batch.seq)
                numbers.remember(batch.seq, batch.sha256)
                self._spools.move_to_end(spool)

    def spools(self) -> list[Spool]:
        """Spools with a committed batch, the most recently stored last."""
        with self._lock:
            return list(self._spools)

    def sha256_of(self, spool: Spool, seq: int) -> tuple[bytes, ...]:
        """Hashes under which `seq` is committed."""
        with self._lock:
            numbers = self._spools.get(spool)
            if numbers is None or not numbers.holds(seq):
                return ()
            kept = numbers.hashes.get(seq)
        return kept or self._look_up(spool, seq)

    def ranges(self, spool: Spool) -> list[Range]:
        """Committed ranges, each with the hash of its last batch (the one stored last after a conflict)."""
        with self._lock:
            numbers = self._spools.get(spool)
            ranges = [] if numbers is None else list(zip(numbers.firsts, numbers.lasts, strict=True))
        return [Range(first, last, self.sha256_of(spool, last)[-1]) for first, last in ranges]
