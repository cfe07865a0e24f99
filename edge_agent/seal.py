"""Numbers, chains and signs what was read into batches, and spools them. Not when (see `edge_agent.agent`), not where they go."""

import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.segment import Record
from edge_agent.spool import Spool, SpoolFull
from edge_agent.timekeeping import Timekeeper
from wire import content as wire_content
from wire.batch import MAX_SEALED, Sealer
from wire.block import Block
from wire.content import MAX_READINGS, BatchClass, Content, EventJson, Gap
from wire.keys import SigningKey
from wire.reading import REASON_CODES, Event, Quality
from wire.topics import edge_topic

log = logging.getLogger(__name__)

MAX_WAITING_READINGS: Final = 40_000  # ten full batches; beyond it a spool that cannot write costs the oldest readings
MAX_WAITING_EVENTS: Final = 2_000
MAX_EVENT_BYTES: Final = 64 << 10
MAX_HELD_READINGS: Final = (
    20_000  # what waits for the right time; beyond it readings go out as uncertain rather than be lost
)
_OWN_INSTANT_MS: Final = 5_000  # an instant further from the wall clock than this was not taken from it
_UNCERTAIN: Final = (int(Quality.UNCERTAIN), REASON_CODES["clock"])
_CORRECTED: Final = (int(Quality.GOOD), REASON_CODES["clock-corrected"])
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
        self,
        spool: Spool,
        facility: str,
        edge: str,
        key: SigningKey | None,
        clock: Callable[[], int],
        keeper: Timekeeper | None = None,
    ) -> None:
        self._spool = spool
        self._facility, self._edge = facility, edge
        self._sealer = Sealer(edge_topic(facility, edge, "batch"), key)
        self._clock = clock
        self._keeper = keeper or Timekeeper(clock, lambda: None, clock, boot_id())
        self._held: list[tuple[Block | Event, int, int]] = []  # with offset and wall clock of their taking
        self._held_readings = 0
        self._waiting: dict[BatchClass, deque[Block]] = {"counter": deque(), "gauge": deque()}
        self._waiting_readings = 0
        self._events: deque[tuple[EventJson, int]] = deque()  # with their bytes of JSON
        self._newest_ms = 0
        self._restart_from_ms = spool.durable_to_ms
        self._full = False
        self.sealed_readings = 0
        self.sealed_bytes = 0

    def add_block(self, block: Block) -> None:
        """Take what a device answered. Drops the oldest readings, with a gap, when the spool has not taken any for long."""
        if not block.at_ms:
            return
        if self._hold(block, _readings(block)):
            return
        self._add_block(_marked(block, _UNCERTAIN) if self._keeper.synced is False else block)

    def _hold(self, taken: Block | Event, readings: int) -> bool:
        """Whether `taken` waits for the right time; if not, all that waited goes before it."""
        if self._keeper.holds and self._held_readings + readings <= MAX_HELD_READINGS:
            self._held.append((taken, self._keeper.offset_ms, self._clock()))
            self._held_readings += readings
            return True
        self.release()
        return False

    def release(self) -> None:
        """Lets go what waited for the right time: moved to it where it is known by now, else uncertain."""
        held, self._held, self._held_readings = self._held, [], 0
        known, offset_ms = self._keeper.synced is not False, self._keeper.offset_ms
        for taken, old_offset_ms, wall_ms in held:
            step_ms = offset_ms - old_offset_ms if known else 0
            if isinstance(taken, Event):
                self._add_event(dataclasses.replace(taken, at_ms=taken.at_ms + step_ms))
            elif not known:
                self._add_block(_marked(taken, _UNCERTAIN))
            elif abs(taken.at_ms[-1] - wall_ms) > _OWN_INSTANT_MS:  # the device's own clock, which has not been stepped
                self._add_block(taken)
            else:
                moved = dataclasses.replace(taken, at_ms=tuple(at_ms + step_ms for at_ms in taken.at_ms))
                self._add_block(_marked(moved, _CORRECTED) if step_ms else moved)

    def _add_block(self, block: Block) -> None:
        if self._restart_from_ms:
            away_from_ms, self._restart_from_ms = self._restart_from_ms, 0
            to_ms = max(away_from_ms, block.at_ms[0])
            self._spool.add_gap(Gap("restart", "the agent was away", from_ms=away_from_ms, to_ms=to_ms))
        for part in wire_content.split_by_class(block):
            for piece in _pieces(part):
                self._waiting[_class_of(piece)].append(piece)
                self._waiting_readings += _readings(piece)
        self._newest_ms = max(self._newest_ms, block.at_ms[-1])
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
        """Take what happened. Drops the oldest event, or this one where it cannot be carried, with a gap."""
        if not self._hold(event, 1):
            self._add_event(event)

    def _add_event(self, event: Event) -> None:
        content = EventJson(event.id, event.at_ms, event.kind, event.device, dict(event.body))
        try:
            size = len(msgspec.json.encode(content))
        except (TypeError, ValueError, RecursionError) as error:
            self._lose_event(content, f"the event has no JSON: {error}"[:200])
            return
        if size > MAX_EVENT_BYTES:
            self._lose_event(content, f"an event is at most {MAX_EVENT_BYTES} bytes of JSON")
            return
        if len(self._events) >= MAX_WAITING_EVENTS:
            self._lose_event(self._events.popleft()[0], "too many events")
        self._events.append((content, size))

    def _lose_event(self, lost: EventJson, reason: str) -> None:
        devices = [lost.device] if lost.device else []
        gap = Gap("unsealed", reason, cls="event", from_ms=lost.at_ms, to_ms=lost.at_ms, devices=devices)
        self._spool.add_gap(gap)

    @property
    def waiting(self) -> bool:
        """Whether there is anything to seal; gaps alone count, so that they do not wait for the next reading."""
        return bool(self._waiting_readings or self._events or self._spool.gaps)

    @property
    def waiting_readings(self) -> int:
        """How many readings have no number yet."""
        return self._waiting_readings

    def seal(self) -> list[tuple[str, int]]:
        """Seal and spool all that waits: (epoch, number) of each new batch, to be sent after the spool's `sync`.

        When the spool has no room the rest keeps waiting; SpoolFull is logged, not raised, because reading goes on.
        """
        made: list[tuple[str, int]] = []
        try:
            for batch in self._seal_all():
                made.append(batch)  # noqa: PERF402 (what was made before the spool was full counts)
            self._spool.sealed_to_ms = max(self._spool.sealed_to_ms, self._newest_ms)
            if self._full:
                log.warning("spool can be written again")
            self._full = False
        except SpoolFull as error:
            if not self._full:
                log.error("spool cannot be written: %s", error)
            self._full = True
        return made

    def _seal_all(self) -> Iterator[tuple[str, int]]:
        sealed = False
        for batch_class, waiting in self._waiting.items():
            while waiting:
                blocks = _first_blocks(waiting)
                yield self._seal_one(batch_class, blocks, ())
                sealed = True
                for _ in blocks:
                    self._waiting_readings -= _readings(waiting.popleft())
        while self._events:
            events = _first_events(self._events)
            yield self._seal_one("event", (), events)
            sealed = True
            for _ in events:
                self._events.popleft()
        if self._spool.gaps and not sealed:
            yield self._seal_one("event", (), ())

    def _seal_one(
        self, batch_class: BatchClass, blocks: Sequence[Block], events: Sequence[EventJson]
    ) -> tuple[str, int]:
        spool, epoch = self._spool, self._spool.current
        now_ms = self._clock()
        shapes, packed = wire_content.pack(blocks)
        gaps = spool.take_gaps()
        content = Content(
            self._facility,
            self._edge,
            epoch.identity.epoch,
            epoch.last_seq + 1,
            epoch.last_digest,
            now_ms,
            batch_class,
            self._keeper.said(),
            gaps,
            shapes,
            packed,
            list(events),
        )
        instants = [at for block in blocks for at in (block.at_ms[0], block.at_ms[-1])]
        instants += [event.at_ms for event in events]
        readings = sum(_readings(block) for block in blocks)
        first_ms, last_ms = (min(instants), max(instants)) if instants else (now_ms, now_ms)
        try:
            frame, digest = self._sealer.seal(content)
            spool.append(batch_class, Record(content.seq, first_ms, last_ms, readings, digest), frame)
        except BaseException:
            spool.put_back_gaps(gaps)
            raise
        self.sealed_readings += readings
        self.sealed_bytes += len(frame)
        return epoch.identity.epoch, content.seq


def _marked(block: Block, pair: tuple[int, int]) -> Block:
    """`block` with a quality in place of each that is simply good."""
    quality = block.quality or ((0, 0),) * len(block.columns)
    return dataclasses.replace(block, quality=tuple(old if old[0] else pair for old in quality))


def _class_of(block: Block) -> BatchClass:
    return wire_content.batch_class(block.shape)


def _readings(block: Block) -> int:
    return len(block.at_ms) * len(block.columns)


def _pieces(block: Block) -> Iterator[Block]:
    """A block of many instants as several, none of which passes a batch."""
    step = max(1, MAX_READINGS // max(1, len(block.columns)))
    if len(block.at_ms) <= step:
        yield block
        return
    for at in range(0, len(block.at_ms), step):
        cut = tuple(column[at : at + step] for column in block.columns)
        yield Block(block.device, block.shape, block.at_ms[at : at + step], cut, block.quality)


def _first_blocks(waiting: deque[Block]) -> list[Block]:
    """As many of the first blocks as one batch holds: 4,000 readings, which stay below 256 KiB of JSON."""
    taken: list[Block] = []
    readings = 0
    for block in waiting:
        readings += _readings(block)
        if taken and readings > MAX_READINGS:
            break
        taken.append(block)
    return taken


def _first_events(waiting: deque[tuple[EventJson, int]]) -> list[EventJson]:
    """As many of the first events as one batch holds."""
    taken: list[EventJson] = []
    size = 0
    for event, event_bytes in islice(waiting, MAX_READINGS):
        size += event_bytes
        if taken and size > MAX_SEALED:
            break
        taken.append(event)
    return taken
