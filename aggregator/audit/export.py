"""Makes evidence bundles of what the log, its archive of frames and the store hold. Checks nothing (see `verification`)."""

import base64
from collections.abc import Iterable
from typing import Final

from aggregator.audit.brackets import around_boundaries
from aggregator.audit.counters import CounterName, CounterRun, counter_runs
from aggregator.audit.evidence import (
    CHECKPOINT,
    CONTENTS,
    EVIDENCE,
    FORMAT,
    MOST_BATCHES,
    BatchEvidence,
    CounterEvidence,
    EdgeKey,
    Evidence,
    SinceEvidence,
    contents_text,
    frame_name,
    zipped,
)
from aggregator.audit.leaves import Entry, NotInLog
from aggregator.audit.log import AuditLog
from aggregator.audit.note import Checkpoint, opened
from aggregator.stores.store import SeriesKey, Spool, Store
from aggregator.trust import Trust
from wire.batch import frame_digest, peek
from wire.topics import edge_topic

MOST_FRAME_BYTES: Final = 32 << 20
_LOOKED_AT: Final = 4  # batches of an edge on either side of a boundary: the readings there are sealed within seconds


class TooMuch(ValueError):
    """More batches than a bundle takes: ask for a shorter span."""


class NothingKept(LookupError):
    """No batch of the span is in the archive of frames."""


class Exporter:
    """Of one aggregator. Any thread may call."""

    def __init__(self, log: AuditLog, store: Store, trust: Trust) -> None:
        self._log, self._store, self._trust = log, store, trust

    def of_boundaries(self, facility: str, from_ms: int, to_ms: int, every_ms: int) -> bytes:
        """The bundle of batches with the counter readings at multiples of `every_ms`, or on both sides of them. Raises as `bundle`."""
        return self.bundle(facility, from_ms, to_ms, every_ms, boundaries=True)

    def bundle(
        self,
        facility: str,
        from_ms: int,
        to_ms: int,
        every_ms: int = 0,
        since: int | None = None,
        *,
        boundaries: bool = False,
    ) -> bytes:
        """The bundle of the facility's counter and event batches that were sealed in [from_ms, to_ms): all, or of each edge the first of every `every_ms`.

        `boundaries`: of each edge those with the readings around the boundary instead, which may be several.
        `since`: the size of a checkpoint that somebody noted, which the bundle's is proven to go on from.
        Raises TooMuch, NothingKept, NotInLog (a size beyond the log's), StoreError.
        """
        self._log.keep_up()
        note = self._log.checkpoint()
        if note is None:
            raise NothingKept("expected a checkpoint, there is none")
        size = Checkpoint.from_text(opened(note.encode(), self._log.verifier)).size
        frames = self._frames(facility, from_ms, to_ms, every_ms, size, boundaries)
        entries = {entry.index: entry for entry, _ in frames}
        for before in self._before([entry for entry, _ in frames], size):
            entries.setdefault(before.index, before)
        framed = {entry.index for entry, _ in frames}
        hashes: dict[bytes, int] = {}
        batches = [
            BatchEvidence(
                index,
                entry.spool.edge,
                entry.spool.epoch,
                entry.seq,
                entry.leaf.hex(),
                index in framed,
                [hashes.setdefault(found, len(hashes)) for found in proof],
            )
            for (index, entry), proof in zip(
                sorted(entries.items()), self._log.inclusions(sorted(entries), size), strict=True
            )
        ]
        runs = counter_runs(peek(frame) for _, frame in frames)
        evidence = Evidence(
            FORMAT,
            facility,
            from_ms,
            to_ms,
            every_ms,
            self._log.verifier.to_text(),
            self._keys(facility, frames),
            [_text(found) for found in hashes],
            batches,
            [self._counter(facility, name, run) for name, run in runs.items()],
            None
            if since is None
            else SinceEvidence(since, [_text(found) for found in self._log.consistency(since, size)]),
        )
        files = {CHECKPOINT: note.encode(), EVIDENCE: evidence.encoded()}
        files |= {frame_name(entry.index): frame for entry, frame in frames}
        return zipped(files | {CONTENTS: self._log.signed(contents_text(files)).encode()})

    def _frames(
        self, facility: str, from_ms: int, to_ms: int, every_ms: int, size: int, boundaries: bool
    ) -> list[tuple[Entry, bytes]]:
        """Frames of the span whose bytes are still those of their leaf."""
        looked_at = 2 * _LOOKED_AT if boundaries else 1
        most = looked_at * MOST_BATCHES
        ends = (_LOOKED_AT, _LOOKED_AT) if boundaries else (1, 0)
        places = self._log.frames(facility, from_ms, to_ms, most + 1, every_ms, *ends)
        if len(places) > most:
            raise TooMuch(f"expected at most {MOST_BATCHES} batches")
        found: list[tuple[Entry, bytes]] = []
        total = 0
        for entry, place in places:
            frame = self._log.frame(place)
            if frame is None or entry.index >= size:
                continue
            if frame_digest(frame, edge_topic(facility, entry.spool.edge, "batch")) != entry.leaf:
                continue  # a power cut took its bytes
            total += len(frame)
            if total > looked_at * MOST_FRAME_BYTES:
                raise TooMuch(f"expected at most {MOST_FRAME_BYTES} bytes of batches")
            found.append((entry, frame))
        if boundaries:
            kept = around_boundaries((frame for _, frame in found), every_ms)
            found = [each for place, each in enumerate(found) if place in kept]
        if len(found) > MOST_BATCHES or sum(len(frame) for _, frame in found) > MOST_FRAME_BYTES:
            raise TooMuch(f"expected at most {MOST_BATCHES} batches and {MOST_FRAME_BYTES} bytes of them")
        if not found:
            raise NothingKept("expected batches in the archive, there is none of that span")
        return found

    def _before(self, entries: list[Entry], size: int) -> Iterable[Entry]:
        """The leaves of the batches that stand before these in their chain and are not among them."""
        known = {(entry.spool, entry.seq) for entry in entries}
        for spool, seq in sorted({(entry.spool, entry.seq - 1) for entry in entries} - known):
            try:
                found = self._log.entry_of(Spool(*spool), seq)
            except (NotInLog, OverflowError):  # the first of its epoch, or a named gap
                continue
            if found.index < size:
                yield found

    def _keys(self, facility: str, frames: list[tuple[Entry, bytes]]) -> list[EdgeKey]:
        wanted = sorted({(entry.spool.edge, frame[6:14]) for entry, frame in frames})
        keys = ((edge, self._trust.key(facility, edge, key_id)) for edge, key_id in wanted)
        return [EdgeKey(edge, key.to_text()) for edge, key in keys if key is not None]

    def _counter(self, facility: str, name: CounterName, run: CounterRun) -> CounterEvidence:
        kept = self._store.history(SeriesKey(facility, *name), run.from_ms, run.to_ms + 1)
        ends = dict(zip(kept.at_ms.tolist(), kept.value.tolist(), strict=True))
        first, last = ((at_ms, ends.get(at_ms)) for at_ms in (run.from_ms, run.to_ms))
        return CounterEvidence(*name, first, last, len(kept))


def _text(hashed: bytes) -> str:
    return base64.b64encode(hashed).decode()
