"""From a batch as it came to an answer that holds: verified, stored, then acknowledged. Knows no broker and no HTTP.

```
offer -> inbox -> [workers: verify, decode] -> ready -> [committer: gather, Store.commit] -> on_committed, answer
```
While one commit runs the next group gathers. An edge is answered `committed` only after the store's commit (and its
`durable_after_s`); `held` when the same batch is welcome later; `refused` when it never is; a forged batch gets no answer.
"""

import contextlib
import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import msgspec

from aggregator.arrivals import Arrival, Reader
from aggregator.audit.log import Sealed
from aggregator.edge_control import control_of
from aggregator.gather import Gathered, Gatherer, no_rows
from aggregator.ingest_figures import IngestFigures, Tally
from aggregator.left_out import LeftOut
from aggregator.numbering import GAP, EdgeNumbers
from aggregator.stores.store import CommittedBatch, Rows, Spool, Store, StoreRefused, StoreUnavailable
from aggregator.trust import Trust
from wire.messages import Ack, EdgeStatus, Held, Refused
from wire.reading import Event
from wire.topics import valid_id

TICK_S: Final = 0.05  # 0.03 cost 20 % more CPU per batch at 500 k readings/s (more commits, more answers)
WORKERS: Final = (
    2  # verifying lets go of the interpreter; a second worker gave 485-775 k readings/s where one gave 440-500 k
)
INBOX_BATCHES: Final = 8_192
INBOX_BYTES: Final = 64 << 20
GROUP_BATCHES: Final = 512  # about 100,000 readings: larger commits cost no less per reading
_INT64: Final = 2**63

_log = logging.getLogger(__name__)

Answer = Callable[[str, str, Ack], None]


@dataclass(frozen=True, slots=True)
class Committed:
    """What has just become durable. Rows may repeat what came before: deliveries are at least once."""

    rows: Rows
    batches: tuple[CommittedBatch, ...]
    new_rows: int


@dataclass(slots=True)
class _Group:
    """What one round of the committer takes."""

    arrivals: list[Arrival] = field(default_factory=list)
    asked: list[Spool] = field(default_factory=list)  # who wants to be told what the store has


class Ingest:
    """Started by `with`. `answer`, `on_committed` and `on_settled` are called from the committer's thread, one at a time, and must be quick.

    `on_settled` is told the batches whose ledger rows are durable, before they are acknowledged.
    """

    def __init__(
        self,
        store: Store,
        store_id: str,
        trust: Trust,
        clock: Callable[[], int],
        answer: Answer,
        on_committed: Callable[[Committed], None] = lambda _: None,
        on_settled: Callable[[Sequence[Sealed]], None] = lambda _: None,
        *,
        tick_s: float = TICK_S,
        workers: int = WORKERS,
        inbox_batches: int = INBOX_BATCHES,
    ) -> None:
        self._store, self._store_id, self._trust, self._clock = store, store_id, trust, clock
        self._answer, self._on_committed, self._on_settled = answer, on_committed, on_settled
        self._tick_s, self._inbox_batches = tick_s, inbox_batches
        self._gatherer = Gatherer(store.ids)
        self._lock = threading.Lock()
        self._inbox_changed = threading.Condition(self._lock)
        self._group_changed = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._inbox_bytes = 0
        self._group = _Group()
        self._open = 0  # offered and not finished
        self._stopping = False
        self._settling: deque[tuple[float, list[Arrival], list[CommittedBatch]]] = deque()
        self._edges: OrderedDict[tuple[str, str], EdgeNumbers] = OrderedDict()
        self._tally = Tally()
        self._left_out = LeftOut()
        self._reader = Reader(store_id, trust, self._edge, self._tell)
        self._threads = [
            threading.Thread(target=self._work, name=f"ingest-worker-{n}", daemon=True) for n in range(workers)
        ]
        self._threads.append(threading.Thread(target=self._commit_for_ever, name="ingest-committer", daemon=True))
        for facility, edge in trust.edges():
            self._edge(facility, edge)
        self._restore()

    def _restore(self) -> None:
        facilities = set()
        for spool in self._store.spools():
            self._edge(spool.facility, spool.edge).restore(spool.epoch, self._store.committed(spool))
            facilities.add(spool.facility)
        for facility in sorted(facilities):
            for stored in self._store.events(facility, -_INT64, _INT64 - 1, GAP):
                self._edge(facility, stored.edge).restore_gap(stored)

    # --- from outside

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish what was offered (at most 10 s), then stop."""
        self.drain(10.0)
        with self._lock:
            self._stopping = True
            self._inbox_changed.notify_all()
            self._group_changed.notify_all()
        for thread in self._threads:
            thread.join(10.0)

    def offer(self, topic: str, payload: bytes) -> bool:
        """Take a batch as it came. False where there is no room: the edge sends it again."""
        with self._lock:
            if (
                self._stopping
                or len(self._inbox) >= self._inbox_batches
                or self._inbox_bytes + len(payload) > INBOX_BYTES
            ):
                self._tally.overflowed += 1
                return False
            self._inbox.append((topic, payload))
            self._inbox_bytes += len(payload)
            self._open += 1
            self._inbox_changed.notify()
        return True

    def edge_status(self, facility: str, edge: str, status: EdgeStatus) -> None:
        """What an edge says of itself. One that comes online is told what the store has of its epoch."""
        known = self._edge(facility, edge)
        known.says(status.epoch, status.next_seq, self._clock(), online=status.state == "online")
        if status.page == 1 and status.figures:
            known.control = control_of(status.figures)
        if status.state == "online" and status.page == 1 and valid_id(status.epoch):
            self.ask_have(Spool(facility, edge, status.epoch))

    def ask_have(self, spool: Spool) -> None:
        """Have `have` answered for a spool, in its place among the other answers."""
        with self._lock:
            if spool not in self._group.asked:
                self._group.asked.append(spool)
            self._group_changed.notify()

    def announce(self) -> None:
        """Answer `have` for the newest spool of each known edge: at the aggregator's start."""
        newest = {(spool.facility, spool.edge): spool for spool in self._store.spools()}
        for spool in newest.values():
            self.ask_have(spool)

    def drain(self, timeout_s: float) -> bool:
        """Wait until all that was offered is answered; False where that takes longer."""
        with self._lock:
            return self._idle.wait_for(lambda: self._open == 0, timeout_s)

    def figures(self) -> IngestFigures:
        """Counts and lateness for /metrics, the page and the report."""
        with self._lock:
            edges = tuple(edge.figures() for edge in self._edges.values())
            return self._tally.figures(edges, self._open)

    def _edge(self, facility: str, edge: str) -> EdgeNumbers:
        known = self._edges.get((facility, edge))
        if known is None:
            with self._lock:
                known = self._edges.setdefault((facility, edge), EdgeNumbers(facility, edge))
        return known

    def _finish(self, count: int) -> None:
        with self._lock:
            self._open -= count
            if self._open == 0:
                self._idle.notify_all()

    # --- workers: from bytes to content

    def _work(self) -> None:
        while True:
            with self._lock:
                self._inbox_changed.wait_for(
                    lambda: self._stopping or (self._inbox and len(self._group.arrivals) < 2 * GROUP_BATCHES)
                )
                if self._stopping:
                    return
                taken = [self._inbox.popleft() for _ in range(min(32, len(self._inbox)))]
                self._inbox_bytes -= sum(len(payload) for _, payload in taken)
            arrivals = [
                arrival for topic, payload in taken if (arrival := self._reader.read(topic, payload)) is not None
            ]
            with self._lock:
                self._group.arrivals += arrivals
                self._group_changed.notify()
            self._finish(len(taken) - len(arrivals))

    def _tell(self, facility: str, edge: str, ack: Ack) -> None:
        try:
            self._answer(facility, edge, ack)
        except Exception:  # noqa: BLE001 - an answer that is lost is asked for again; the ingest goes on
            _log.exception("answer failed facility=%s edge=%s", facility, edge)

    # --- committer: from content to answers

    def _commit_for_ever(self) -> None:
        last = time.monotonic() - self._tick_s
        while True:
            with self._lock:
                self._group_changed.wait_for(
                    lambda: self._stopping or self._group.arrivals or self._group.asked, self._until_due()
                )
                self._group_changed.wait_for(
                    lambda: self._stopping or len(self._group.arrivals) >= GROUP_BATCHES,
                    max(0.0, last + self._tick_s - time.monotonic()),
                )
                if self._stopping:
                    return
                taken = _Group(self._group.arrivals[:GROUP_BATCHES], self._group.asked)
                self._group = _Group(self._group.arrivals[GROUP_BATCHES:])
                self._inbox_changed.notify_all()
            last = time.monotonic()
            try:
                self._settle_due()
                self._take(taken)
            except Exception:  # noqa: BLE001 - whatever it was must not end all storing; edges send again what has no answer
                _log.exception("round of the committer failed batches=%d", len(taken.arrivals))
                self._finish(len(taken.arrivals))

    def _until_due(self) -> float | None:
        return max(0.0, self._settling[0][0] - time.monotonic()) if self._settling else None

    def _take(self, group: _Group) -> None:
        try:
            fresh, repeated = self._sorted_out(group.arrivals)
        except StoreUnavailable as error:
            self._store_is_down(group.arrivals, str(error))
            return
        self._acknowledge(repeated)
        self._finish(len(group.arrivals) - len(fresh))
        if fresh:
            try:
                self._commit(fresh)
            except StoreUnavailable as error:
                self._store_is_down(fresh, str(error))
            except Exception as error:  # noqa: BLE001 - refused, or a fault of ours: either way one batch must not cost the others
                _log.warning("group fails, its batches are tried one by one batches=%d reason=%r", len(fresh), error)
                self._commit_one_by_one(fresh)
        for spool in group.asked:
            self._have(spool)

    def _sorted_out(self, arrivals: Sequence[Arrival]) -> tuple[list[Arrival], list[Arrival]]:
        """Those to store and those that are stored already; what waits to be durable or stands twice in the group is in neither."""
        fresh: dict[tuple[Spool, int, str], Arrival] = {}
        repeated: list[Arrival] = []
        settling = {arrival.identity for _, waiting, _ in self._settling for arrival in waiting}
        for arrival in arrivals:
            spool, seq, sha256 = identity = arrival.identity
            hashes = self._store.sha256_of(spool, seq)
            known = self._edge(spool.facility, spool.edge)
            if bytes.fromhex(sha256) in hashes:
                known.repeated += 1
                repeated.append(arrival)
            elif identity in settling or identity in fresh:
                known.repeated += 1
            else:
                if hashes:
                    known.conflicts += 1
                    _log.error("conflict: one number, two batches spool=%s seq=%d sha256=%s", spool, seq, sha256)
                fresh[identity] = arrival
        self._tally.repeated += len(arrivals) - len(fresh)
        return list(fresh.values()), repeated

    def _commit(self, arrivals: list[Arrival]) -> None:
        now_ms = self._clock()
        gathered = self._gatherer.gather([arrival.batch.content for arrival in arrivals], now_ms)
        batches = [
            self._record(arrival, readings, now_ms, gathered)
            for arrival, readings in zip(arrivals, gathered.readings, strict=True)
        ]
        durable_after_s = self._store.durable_after_s
        new_rows = self._store.commit(gathered.rows, [] if durable_after_s else batches)
        self._count(gathered.rows, new_rows, gathered.left_out, batches)
        self._left_out.say(gathered.left_out, gathered.first)
        for arrival in arrivals:
            content = arrival.batch.content
            edge = self._edge(content.facility, content.edge)
            edge.heard(content.epoch, content.seq, content.clock, content.sealed_at_ms, now_ms)
        try:
            self._on_committed(Committed(gathered.rows, tuple(batches), new_rows))
        except Exception:  # noqa: BLE001 - what follows can be made again from the store; the answer must not wait for it
            _log.exception("what follows a commit failed batches=%d", len(batches))
        if durable_after_s:
            self._settling.append((time.monotonic() + durable_after_s, arrivals, batches))
        else:
            self._settled(arrivals)

    def _record(self, arrival: Arrival, readings: int, now_ms: int, gathered: Gathered) -> CommittedBatch:
        content, sha256 = arrival.batch.content, arrival.batch.sha256
        events = [
            Event(event.id, event.at_ms, event.device, event.kind, event.body)
            for event in content.events
            if -_INT64 <= event.at_ms < _INT64 and event.kind != GAP
        ]
        if len(events) < len(content.events):
            reserved = sum(event.kind == GAP for event in content.events)
            for cause, count in (
                ("event_kind", reserved),
                ("event_time", len(content.events) - len(events) - reserved),
            ):
                if count:
                    gathered.left_out[cause] += count
                    gathered.first.setdefault(cause, content)
        if arrival.batch.unknown_keys:
            gathered.left_out["unknown_key"] += 1
        for number, gap in enumerate(content.gaps):
            body = {"own_epoch": content.epoch, **msgspec.to_builtins(gap)}
            events.append(Event(f"gap-{sha256[:16]}-{number}", content.sealed_at_ms, "", GAP, body))
        return CommittedBatch(
            *arrival.spool, content.seq, bytes.fromhex(sha256), content.sealed_at_ms, now_ms, readings, tuple(events)
        )

    def _count(self, rows: Rows, new_rows: int, left_out: Counter[str], batches: Sequence[CommittedBatch]) -> None:
        with self._lock:
            self._tally.add(rows, len(batches), new_rows, left_out, self._clock())
        for batch in batches:
            known = self._edge(batch.facility, batch.edge)
            known.batches += 1
            known.readings += batch.readings
            for event in batch.events:
                if event.kind == GAP:
                    known.gap(batch.epoch, dict(event.body))

    def _settled(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            content = arrival.batch.content
            known = self._edge(arrival.spool.facility, arrival.spool.edge)
            known.committed(content.epoch, content.seq, content.prev, arrival.batch.sha256, content.sealed_at_ms)
            known.proven = arrival.batch.signed
        self._tell_settled(arrivals)
        self._acknowledge(arrivals)
        self._finish(len(arrivals))

    def _tell_settled(self, arrivals: Sequence[Arrival]) -> None:
        batches = [
            Sealed(
                arrival.spool,
                arrival.batch.content.seq,
                bytes.fromhex(arrival.batch.sha256),
                arrival.batch.content.sealed_at_ms,
                None if arrival.batch.content.cls == "gauge" else arrival.frame,
            )
            for arrival in arrivals
        ]
        try:
            self._on_settled(batches)
        except Exception:  # noqa: BLE001 - as with a commit: it can be made good from the store, and the answer must not wait
            _log.exception("what follows the ledger failed batches=%d", len(batches))

    def _settle_due(self) -> None:
        """Rows that have become durable by waiting get their ledger rows, then their answers."""
        while self._settling and self._settling[0][0] <= time.monotonic():
            _, arrivals, batches = self._settling.popleft()
            try:
                self._store.commit(no_rows(), batches)
            except StoreUnavailable as error:
                self._store_is_down(arrivals, str(error))
            else:
                self._settled(arrivals)

    def _store_is_down(self, arrivals: Sequence[Arrival], reason: str) -> None:
        """All that is not known to be durable is held: what the store lost by going down comes again."""
        held = [*arrivals, *(arrival for _, waiting, _ in self._settling for arrival in waiting)]
        self._settling.clear()
        _log.error("store unavailable batches=%d reason=%s", len(held), reason)
        self._hold(held, reason)
        self._finish(len(held))

    def _commit_one_by_one(self, arrivals: Sequence[Arrival]) -> None:
        """A group that fails: find the batch that does it. One that the store refuses is refused; one that breaks us is held."""
        for arrival in arrivals:
            try:
                self._commit([arrival])
            except StoreUnavailable as error:
                self._store_is_down([arrival], str(error))
            except StoreRefused as error:
                known = self._edge(arrival.spool.facility, arrival.spool.edge)
                _, seq, sha256 = arrival.identity
                self._reader.refuse(known, arrival.spool.epoch, Refused(seq, sha256, str(error)[:200]))
                self._finish(1)
            except Exception:  # noqa: BLE001 - a fault of ours: the edge keeps its batch until we are mended
                _log.exception("batch broke the committer spool=%s seq=%d", arrival.spool, arrival.batch.content.seq)
                self._hold([arrival], "the aggregator failed on it")
                self._finish(1)

    def _hold(self, arrivals: Sequence[Arrival], reason: str) -> None:
        by_spool: dict[Spool, list[Held]] = {}
        for arrival in arrivals:
            by_spool.setdefault(arrival.spool, []).append(Held(arrival.batch.content.seq, reason[:200]))
        for spool, held in by_spool.items():
            self._edge(spool.facility, spool.edge).held += len(held)
            self._tell(spool.facility, spool.edge, Ack(self._store_id, spool.epoch, held=held))

    def _acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        by_spool: dict[Spool, list[tuple[int, str]]] = {}
        for arrival in arrivals:
            by_spool.setdefault(arrival.spool, []).append((arrival.batch.content.seq, arrival.batch.sha256))
        for spool, numbers in by_spool.items():
            self._tell(spool.facility, spool.edge, Ack(self._store_id, spool.epoch, committed=ranges_of(numbers)))

    def _have(self, spool: Spool) -> None:
        with contextlib.suppress(StoreUnavailable):  # an edge that is not told sends what it has, and that is harmless
            ranges = [(first, last, sha256.hex()) for first, last, sha256 in self._store.committed(spool)]
            self._tell(spool.facility, spool.edge, Ack(self._store_id, spool.epoch, committed=ranges, have=True))


def ranges_of(numbers: Sequence[tuple[int, str]]) -> list[tuple[int, int, str]]:
    """(first, last, hash of last) of runs of (seq, sha256); one number under two hashes ends a run, so that both are named."""
    ranges: list[tuple[int, int, str]] = []
    for seq, sha256 in sorted(numbers):
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1] = (ranges[-1][0], seq, sha256)
        elif not ranges or ranges[-1][1:] != (seq, sha256):
            ranges.append((seq, seq, sha256))
    return ranges
