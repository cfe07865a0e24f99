"""What is known of the numbers of an edge's batches: how far they reach, what is named as gone, what does not fit. Stores nothing."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from aggregator.edge_control import EdgeControl
from aggregator.stores.number_ranges import NumberRanges
from aggregator.stores.store import Range, StoredEvent
from wire.content import ClockJson, missing_numbers

FIRST_SEQ: Final = 1
GAP: Final = "gap"  # the event kind under which gap records are kept
_EPOCHS_KEPT: Final = 8
_SEALED_KEPT: Final = 10_000  # batches of a backlog that came before the ones they wait for
_SKEWS_KEPT: Final = 16  # live batches whose quickest tells how the two clocks stand: the others waited somewhere


@dataclass(frozen=True, slots=True)
class EdgeFigures:
    """Delivery of one edge. Counts are since the aggregator's start, but for `watermark` and `gaps`, which the store remembers.

    `watermark` is the number up to which each batch of the newest epoch is committed or named in a gap; `backlog` is how many
    batches the edge has numbered beyond it, None before it has said so. `said_at_ms` is when its last status came. Readings in `gap_readings` are lost and named.
    The clock is the edge's at its newest batch: whether it is synchronised (None: it cannot tell), what its system still corrects, the most that it can be
    off, and by how much ours is ahead of it, the quickest way of a batch included. By the same clock, everything that the edge read until `complete_until_ms`
    has come or is named as gone (None: not known since the start). `control`: what it says of the limits that it keeps.
    """

    facility: str
    edge: str
    epoch: str = ""
    watermark: int = 0
    backlog: int | None = None
    online: bool | None = None
    last_batch_at_ms: int | None = None
    batches: int = 0
    repeated: int = 0
    readings: int = 0
    gaps: int = 0
    gap_readings: int = 0
    conflicts: int = 0
    chain_breaks: int = 0
    forged: int = 0
    unreadable: int = 0
    refused: int = 0
    held: int = 0
    left_out: int = 0
    proven: bool = False
    unknown_key: str = ""
    said_at_ms: int | None = None
    clock_synced: bool | None = None
    clock_offset_ms: int | None = None
    clock_error_ms: int | None = None
    clock_skew_ms: int | None = None
    complete_until_ms: int | None = None
    control: EdgeControl | None = None


@dataclass(slots=True)
class _Epoch:
    numbers: NumberRanges = field(default_factory=NumberRanges)  # committed, or named in a gap
    last_seq: int = 0
    last_sha256: str = ""
    complete_ms: int | None = None  # when the last batch within reach was sealed
    sealed_ms: dict[int, int] = field(default_factory=dict)  # of committed batches beyond the reach

    def sealed(self, seq: int, at_ms: int) -> None:
        """A batch was sealed at `at_ms`."""
        self.sealed_ms[seq] = at_ms
        if len(self.sealed_ms) > _SEALED_KEPT:
            del self.sealed_ms[min(self.sealed_ms)]
        self.reached()

    def reached(self) -> None:
        """Everything that was read before the last batch within reach was sealed is there, or named as gone."""
        reach = self.numbers.reach(FIRST_SEQ)
        for seq in [seq for seq in self.sealed_ms if seq <= reach]:
            self.complete_ms = max(self.sealed_ms.pop(seq), self.complete_ms or 0)

    @property
    def whole(self) -> bool:
        """Whether nothing lacks up to the last batch that is known."""
        return self.numbers.reach(FIRST_SEQ) >= self.last_seq


class EdgeNumbers:
    """One edge. Counters are plain attributes that the ingest adds to."""

    def __init__(self, facility: str, edge: str) -> None:
        self.facility = facility
        self.edge = edge
        self.epoch = ""
        self.next_seq: int | None = None
        self.online: bool | None = None
        self.said_at_ms: int | None = None
        self.control: EdgeControl | None = None
        self.last_batch_at_ms: int | None = None
        self.batches = self.repeated = self.readings = self.left_out = 0
        self.gaps = self.gap_readings = self.conflicts = self.chain_breaks = 0
        self.forged = self.unreadable = self.refused = self.held = 0
        self.proven = False
        self.unknown_key = ""
        self._epochs: dict[str, _Epoch] = {}
        self._born = False
        self._clock = ClockJson(None)
        self._clock_seq: dict[str, int] = {}
        self._skews_ms: deque[int] = deque(maxlen=_SKEWS_KEPT)

    def restore(self, epoch: str, ranges: Iterable[Range]) -> None:
        """Take over what the store holds of an epoch."""
        self.epoch = epoch
        kept = self._of(epoch)
        for first, last, sha256 in ranges:
            kept.numbers.add(first, last)
            if last > kept.last_seq:
                kept.last_seq, kept.last_sha256 = last, sha256.hex()

    def restore_gap(self, stored: StoredEvent) -> None:
        """Take over a gap record that was kept as an event."""
        body: Any = stored.event.body
        self.gap(str(body.get("own_epoch", "")), body)

    def committed(self, epoch: str, seq: int, prev: str, sha256: str, at_ms: int) -> None:
        """A batch is stored. `prev` must be the hash of the one before it, where that one is known."""
        kept = self._of(epoch)
        if kept.last_seq and seq == kept.last_seq + 1 and prev != kept.last_sha256:
            self.chain_breaks += 1
        if seq > kept.last_seq:
            kept.last_seq, kept.last_sha256 = seq, sha256
        kept.numbers.add(seq, seq)
        kept.sealed(seq, at_ms)
        if self.epoch != epoch and (self.last_batch_at_ms is None or at_ms >= self.last_batch_at_ms):
            self.epoch, self.next_seq = epoch, None
        self.last_batch_at_ms = max(at_ms, self.last_batch_at_ms or at_ms)

    def heard(self, epoch: str, seq: int, clock: ClockJson, sealed_at_ms: int, now_ms: int) -> None:
        """A batch has come at `now_ms`. What it says of the clock counts where no newer batch has come: a backlog says how it was."""
        newer = epoch == self.epoch or sealed_at_ms >= (self.last_batch_at_ms or 0)
        if not newer or seq <= self._clock_seq.get(epoch, 0):
            return
        self._clock_seq = {epoch: seq}
        self._clock = clock
        self._skews_ms.append(now_ms - sealed_at_ms)

    def gap(self, own_epoch: str, body: dict[str, Any]) -> None:
        """A gap record: the watermark passes over the numbers that it names. An edge's first spool has nothing before it: no gap."""
        if not self._born and body.get("kind") == "new_spool" and body.get("epoch") in {None, "", "unknown"}:
            self._born = True
            return
        self.gaps += 1
        self.gap_readings += body.get("readings") or 0
        first, last = body.get("first_seq"), body.get("last_seq")
        if first is not None and last is not None and FIRST_SEQ <= first <= last:
            kept = self._of(body.get("epoch") or own_epoch)
            for low, high in missing_numbers(first, last, body.get("seqs") or ()):
                kept.numbers.add(low, high)
            kept.reached()

    def says(self, epoch: str, next_seq: int, at_ms: int, *, online: bool) -> None:
        """What the edge's status, come at `at_ms`, says of its newest epoch."""
        self.online, self.said_at_ms = online, at_ms
        if epoch and next_seq:
            self.epoch, self.next_seq = epoch, next_seq

    def _of(self, epoch: str) -> _Epoch:
        kept = self._epochs.get(epoch)
        if kept is None:
            if len(self._epochs) >= _EPOCHS_KEPT:
                del self._epochs[next(iter(self._epochs))]
            kept = self._epochs[epoch] = _Epoch()
        return kept

    def figures(self) -> EdgeFigures:
        """A copy for showing."""
        kept = self._epochs.get(self.epoch)
        watermark = 0 if kept is None else kept.numbers.reach(FIRST_SEQ)
        return EdgeFigures(
            facility=self.facility,
            edge=self.edge,
            epoch=self.epoch,
            watermark=watermark,
            backlog=None if self.next_seq is None else max(0, self.next_seq - 1 - watermark),
            online=self.online,
            last_batch_at_ms=self.last_batch_at_ms,
            batches=self.batches,
            repeated=self.repeated,
            readings=self.readings,
            gaps=self.gaps,
            gap_readings=self.gap_readings,
            conflicts=self.conflicts,
            chain_breaks=self.chain_breaks,
            forged=self.forged,
            unreadable=self.unreadable,
            refused=self.refused,
            held=self.held,
            left_out=self.left_out,
            proven=self.proven,
            unknown_key=self.unknown_key,
            said_at_ms=self.said_at_ms,
            clock_synced=self._clock.synced,
            clock_offset_ms=self._clock.offset_ms,
            clock_error_ms=self._clock.error_ms,
            clock_skew_ms=min(self._skews_ms, default=None),
            complete_until_ms=self._complete_until_ms(),
            control=self.control,
        )

    def _complete_until_ms(self) -> int | None:
        """The newest spool's, or less where an earlier one still lacks something."""
        lacking = [epoch for name, epoch in self._epochs.items() if name == self.epoch or not epoch.whole]
        known = [epoch.complete_ms for epoch in lacking if epoch.complete_ms is not None]
        return min(known) if known and len(known) == len(lacking) else None
