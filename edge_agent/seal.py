"""Numbers, chains and signs what was read into batches, and spools them. Not when (see `edge_agent.agent`), not where they go."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edge_agent.segment import Record
from edge_agent.spool import Spool, SpoolFull
from wire import content as wire_content
from wire.batch import MAX_SEALED, Sealer
from wire.block import Block
from wire.content import CLASSES, MAX_READINGS, BatchClass, ClockJson, Content, EventJson, Gap
from wire.keys import SigningKey
from wire.reading import Event
from wire.topics import edge_topic

log = logging.getLogger(__name__)

MAX_WAITING_READINGS: Final = (
    40_000  # about ten full batches; beyond it a spool that cannot write costs the oldest readings
)
MAX_WAITING_EVENTS: Final = 2_000
MAX_GAPS_PER_BATCH: Final = 200
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """The id of this start of the machine, or nothing where it tells none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class Batcher:
    """What waits for its number: blocks by class, and events. `seal` makes batches of all that waits."""

    def __init__(
        self, spool: Spool, facility: str, edge: str, key: SigningKey | None, clock: Callable[[], int]
    ) -> None:
        self._spool = spool
        self._facility, self._edge = facility, edge
        self._sealer = Sealer(edge_topic(facility, edge, "batch"), key)
        self._clock = clock
        self._boot = boot_id()
        self._waiting: dict[BatchClass, deque[Block]] = {"counter": deque(), "gauge": deque()}
        self._waiting_readings = 0
        self._events: deque[Event] = deque()
        self._restart_from_ms = max((epoch.durable_to_ms for epoch in spool.epochs.values()), default=0)
        self.sealed_readings = 0
        self.sealed_bytes = 0

    def add_block(self, block: Block) -> None:
        """Take what a device answered. Drops the oldest readings, with a gap, when the spool has not taken any for long."""
        if self._restart_from_ms:
            first = block.at_ms[0]
            self._spool.add_gap(Gap("restart", "the agent was away", from_ms=self._restart_from_ms, to_ms=first))
            self._restart_from_ms = 0
        for part in wire_content.split_by_class(block):
            self._waiting[_class_of(part)].append(part)
            self._waiting_readings += _readings(part)
        while self._waiting_readings > MAX_WAITING_READINGS:
            self._lose_oldest()

    def _lose_oldest(self) -> None:
        batch_class: BatchClass = "gauge" if self._waiting["gauge"] else "counter"
        lost = self._waiting[batch_class].popleft()
        self._waiting_readings -= _readings(lost)
        gap = Gap(
            "unsealed",
            "the spool could not be written",
            cls=batch_class,
            from_ms=lost.at_ms[0],
            to_ms=lost.at_ms[-1],
            devices=[lost.device],
            readings=_readings(lost),
        )
        self._spool.add_gap(gap)

    def add_event(self, event: Event) -> None:
        """Take what happened."""
        if len(self._events) >= MAX_WAITING_EVENTS:
            lost = self._events.popleft()
            self._spool.add_gap(
                Gap(
                    "unsealed",
                    "too many events",
                    cls="event",
                    from_ms=lost.at_ms,
                    to_ms=lost.at_ms,
                    devices=[lost.device],
                )
            )
        self._events.append(event)

    @property
    def waiting(self) -> bool:
        """Whether there is anything to seal; gaps alone count, so that they do not wait for the next reading."""
        return bool(self._waiting_readings or self._events or self._spool.gaps)

    @property
    def waiting_readings(self) -> int:
        """How many readings have no number yet."""
        return self._waiting_readings

    def seal(self) -> list[tuple[str, int]]:
        """Seal and spool all that waits: (epoch, number) of each new batch.

        When the spool has no room the rest keeps waiting; SpoolFull is logged, not raised, because reading goes on.
        """
        made: list[tuple[str, int]] = []
        try:
            for batch_class in CLASSES:
                made.extend(self._seal_class(batch_class))
            if self._spool.gaps and not made:
                made.append(self._seal_one("event", (), ()))
        except SpoolFull as error:
            log.error("spool cannot be written: %s", error)
        return made

    def _seal_class(self, batch_class: BatchClass) -> list[tuple[str, int]]:
        made = []
        if batch_class == "event":
            while self._events:
                taken = [self._events[i] for i in range(min(len(self._events), 500))]
                made.append(self._seal_one("event", (), taken))
                for _ in taken:
                    self._events.popleft()
            return made
        waiting = self._waiting[batch_class]
        while waiting:
            taken_blocks = _first_blocks(waiting)
            made.append(self._seal_one(batch_class, taken_blocks, ()))
            for _ in taken_blocks:
                self._waiting_readings -= _readings(waiting.popleft())
        return made

    def _seal_one(self, batch_class: BatchClass, blocks: Sequence[Block], events: Sequence[Event]) -> tuple[str, int]:
        spool, epoch = self._spool, self._spool.current
        now_ms = self._clock()
        gaps = spool.gaps[:MAX_GAPS_PER_BATCH]
        shapes, packed = wire_content.pack(blocks)
        content = Content(
            self._facility,
            self._edge,
            epoch.identity.epoch,
            epoch.last_seq + 1,
            epoch.last_digest,
            now_ms,
            batch_class,
            ClockJson(synced=None, boot=self._boot),
            gaps,
            shapes,
            packed,
            [EventJson(event.id, event.at_ms, event.kind, event.device, dict(event.body)) for event in events],
        )
        frame, digest = self._sealer.seal(content)
        instants = [at for block in blocks for at in (block.at_ms[0], block.at_ms[-1])] + [
            event.at_ms for event in events
        ]
        readings = sum(_readings(block) for block in blocks)
        first_ms, last_ms = (min(instants), max(instants)) if instants else (now_ms, now_ms)
        carried = len(gaps)
        before = spool.gaps
        spool.gaps = before[carried:]
        try:
            spool.append(batch_class, Record(content.seq, first_ms, last_ms, readings, digest), frame)
        except SpoolFull:
            spool.gaps = gaps + spool.gaps
            raise
        self.sealed_readings += readings
        self.sealed_bytes += len(frame)
        return epoch.identity.epoch, content.seq


def _class_of(block: Block) -> BatchClass:
    return wire_content.batch_class(block.shape)


def _readings(block: Block) -> int:
    return len(block.at_ms) * len(block.columns)


def _first_blocks(waiting: deque[Block]) -> list[Block]:
    """As many of the first blocks as one batch holds: 4,000 readings, about 256 KiB of JSON at 20 bytes each at most."""
    taken: list[Block] = []
    readings = 0
    for block in waiting:
        readings += _readings(block)
        if taken and readings > min(MAX_READINGS, MAX_SEALED // 24):
            break
        taken.append(block)
    return taken
