"""The live feed: one frame per tick and rate, encoded once, read by every viewer at its own pace. Not what the frame says (`aggregator.live`).

A viewer is a cursor on a ring of the last events; nothing is queued for it, so a slow viewer costs no memory:

    ring of (facility, rate):   [57 delta] [58 delta] [59 alarm] [60 delta]      state = everything up to 60
                                     ^ viewer at 57: gets 58, 59, 60
    a viewer more than 5 ticks behind, or from before this start of the program, gets one snapshot instead
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from wire.reading import Json

RATES: Final = (1, 5, 10)  # seconds between frames; 5 and 10 for metered links
_KEPT: Final = 60  # events kept for resuming
_BEHIND_MAX: Final = 5  # ticks a viewer may lag before it gets one snapshot
_PING_S: Final = 15.0
_IDLE_TICKS: Final = 60  # a ring without viewers is kept this long, so that a viewer that reconnects can resume

Frame = dict[str, Json]


class FeedFull(Exception):
    """The server has as many viewers as it may have. Try again later."""


def changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Frame:
    """What turns `old` into `new`: changed keys, merged per object; None deletes. Lists are replaced whole."""
    out: Frame = {}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = changes(before, value)
            if inner:
                out[key] = inner
        elif key not in old or before != value:
            out[key] = value
    out.update({key: None for key in old if key not in new})
    return out


def encode(event: str, mark: str, body: Json) -> bytes:
    """One server-sent event; `mark` is the id that a viewer sends back to resume."""
    return b"event: %s\nid: %s\ndata: %s\n\n" % (event.encode(), mark.encode(), orjson.dumps(body))


@dataclass(slots=True)
class _Ring:
    """The last events of one (facility, rate): (number, tick, bytes)."""

    boot: str
    state: Frame
    events: deque[tuple[int, int, bytes]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    number: int = 0
    tick: int = 0
    viewers: int = 0
    idle: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _whole: tuple[int, bytes] = (-1, b"")

    def mark(self) -> str:
        return f"{self.boot}-{self.number}"

    def publish(self, event: str, body: Json) -> None:
        self.number += 1
        self.events.append((self.number, self.tick, encode(event, self.mark(), body)))
        woken, self.wake = self.wake, asyncio.Event()
        woken.set()

    def advance(self, frame: Frame) -> None:
        """The next tick. Alarms travel as events of their own, so a delta does not repeat their list."""
        delta = changes(self.state, frame)
        delta.pop("alarms", None)
        self.state = frame
        self.tick += 1
        self.publish("delta", delta)

    def snapshot(self) -> bytes:
        if self._whole[0] != self.number:
            self._whole = (self.number, encode("snapshot", self.mark(), self.state))
        return self._whole[1]

    def resume(self, last_event_id: str | None) -> tuple[int, int] | None:
        """(number, tick) of the event a viewer saw last, or None where it needs a snapshot."""
        boot, _, digits = (last_event_id or "").partition("-")
        if boot != self.boot or not digits.isascii() or not digits.isdigit() or len(digits) > 15:
            return None
        number = int(digits)
        if number == self.number:
            return number, self.tick
        tick = next((tick for at, tick, _ in self.events if at == number + 1), None)
        return None if tick is None else (number, tick - 1)


class Feed:
    """All rings of this server. `frame` gives the present state of a facility; `run` must be running for frames to come."""

    def __init__(self, frame: Callable[[str], Frame], *, viewers_max: int = 500, tick_s: float = 1.0) -> None:
        self._frame = frame
        self._viewers_max = viewers_max
        self._tick_s = tick_s
        self._rings: dict[tuple[str, int], _Ring] = {}
        self._boot = secrets.token_hex(4)
        self._closing: str | None = None
        self.viewers = 0
        self.conflated = 0  # viewers that fell behind and got a snapshot
        self.refused = 0  # viewers turned away because the server was full

    async def run(self) -> None:
        """Ticks until cancelled, on the whole second of the monotonic clock so that all viewers move together."""
        loop = asyncio.get_running_loop()
        count = 0
        while True:
            await asyncio.sleep(self._tick_s - loop.time() % self._tick_s)
            count += 1
            self.tick(count)

    def tick(self, count: int) -> None:
        """One tick: each ring whose rate divides `count` gets its frame; rings that nobody watches are dropped."""
        frames: dict[str, Frame] = {}
        for (facility, rate), ring in list(self._rings.items()):
            if count % rate:
                continue
            ring.idle = 0 if ring.viewers else ring.idle + 1
            if ring.idle > _IDLE_TICKS:
                del self._rings[facility, rate]
                continue
            if facility not in frames:
                frames[facility] = self._frame(facility)
            ring.advance(frames[facility])

    def alarm(self, facility: str, alarm: Frame) -> None:
        """An alarm's new state, sent at once and never merged with another. The snapshot of the ring follows."""
        for (name, _), ring in self._rings.items():
            if name != facility:
                continue
            listed = ring.state.get("alarms")
            others = [
                other
                for other in (listed if isinstance(listed, list) else [])
                if isinstance(other, Mapping) and other.get("id") != alarm.get("id")
            ]
            ring.state = {**ring.state, "alarms": others if alarm.get("st") == "normal" else [alarm, *others]}
            ring.publish("alarm", alarm)

    def snapshot(self, facility: str) -> bytes:
        """The frame as JSON, for a viewer whose network holds streams back."""
        ring = self._rings.get((facility, 1))
        return orjson.dumps(ring.state if ring is not None and ring.viewers else self._frame(facility))

    def close(self, reason: str = "shutdown") -> None:
        """Ends all streams with `bye`; later viewers get the same."""
        self._closing = reason
        for ring in self._rings.values():
            ring.wake.set()

    def _ring(self, facility: str, rate: int) -> _Ring:
        ring = self._rings.get((facility, rate))
        if ring is None:
            # A ring of its own boot: numbers of a ring that was dropped cannot be taken for this one's.
            ring = _Ring(f"{self._boot}{secrets.token_hex(2)}{rate}", self._frame(facility))
            self._rings[facility, rate] = ring
        return ring

    def enter(self, facility: str, rate: int, last_event_id: str | None) -> AsyncIterator[bytes]:
        """A stream of events for one viewer. Raises FeedFull at once, before anything is sent."""
        if self.viewers >= self._viewers_max:
            self.refused += 1
            raise FeedFull(f"this server shows its feed to at most {self._viewers_max} viewers")
        return self._watch(facility, rate, last_event_id)

    async def _watch(self, facility: str, rate: int, last_event_id: str | None) -> AsyncIterator[bytes]:
        ring = self._ring(facility, rate)
        self.viewers += 1
        ring.viewers += 1
        try:
            at = ring.resume(last_event_id)
            if at is None or ring.tick - at[1] > _BEHIND_MAX:
                at = ring.number, ring.tick
                yield b"retry: 2000\n\n" + ring.snapshot()
            while self._closing is None:
                wake = ring.wake
                if ring.number == at[0]:
                    try:
                        await asyncio.wait_for(wake.wait(), _PING_S)
                    except TimeoutError:
                        yield b": ping\n\n"
                    continue
                behind = ring.tick - at[1] > _BEHIND_MAX or ring.events[0][0] > at[0] + 1
                chunk = (
                    ring.snapshot() if behind else b"".join(body for number, _, body in ring.events if number > at[0])
                )
                self.conflated += behind
                at = ring.number, ring.tick
                yield chunk
            yield b"event: bye\ndata: " + orjson.dumps({"reason": self._closing}) + b"\n\n"
        finally:
            self.viewers -= 1
            ring.viewers -= 1
