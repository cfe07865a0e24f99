"""Polling: one task per bus, each device in its turn and at its own period; what is lost and comes back. Not the spool behind it.

    due ------> breaker closed? --yes--> read --answered--> blocks to the sink, next due = next point of the device's grid
     ^               |no                  |silent
     |               v                    v
     +---- wait until probe <---- breaker opens: 2 s, 4 s, ... 5 min, with jitter; `device_lost` once, `device_back` once

Periods, boundaries and back-off run on the injected clock; the answer time-out is real and belongs to the driver. The grid of due
instants runs on the monotonic clock, so that a step of the wall clock neither stops nor doubles the polling.
"""

import asyncio
import dataclasses
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from edge_agent import meter
from edge_agent.drivers.declared import Bus, Device
from edge_agent.drivers.driver import (
    Answer,
    BusUnreachable,
    Controllable,
    DeviceMisanswered,
    DevicePlan,
    Driver,
    DriverError,
    Gateway,
    NotWritable,
    Written,
)
from edge_agent.drivers.table import declared, open_driver
from edge_agent.edge_file import EdgeFile
from wire.block import Block
from wire.clock import Clock
from wire.reading import REASON_CODES, Event, Quality

log = logging.getLogger(__name__)

BACK_OFF_FIRST_S: Final = 2.0  # 2 s to 5 min: what OpenEMS settled on for defective bus members
BACK_OFF_LAST_S: Final = 300.0
BACK_OFF_ALONE_S: Final = 30.0  # where nobody else waits for the bus, a probe costs nothing
_JITTER: Final = 0.25
_LONGEST_SLEEP_S: Final = 1.0  # real; a step of the wall clock moves the next boundary and is noticed within this
_BOUNDARY_WINDOW_MS: Final = (
    1000  # a counter read within 1 s of a boundary is the boundary's value; later it still narrows the gap
)
_LIFT_MS: Final = 1000  # an instant moved further than this to keep the order is marked uncertain
WRITES_WAITING: Final = 64  # per bus
_CLOCK: Final = (int(Quality.UNCERTAIN), REASON_CODES["clock"])

OpenDriver = Callable[[Bus, Gateway], Driver[Any]]


@dataclass(slots=True)
class DeviceState:
    """How a device is doing, for the status. Instants in UTC ms, `lateness_ms` in simulated ms behind the grid."""

    device: str
    bus: str
    online: bool | None = None  # None: not asked yet
    since_ms: int = 0
    reason: str = ""
    polls: int = 0
    skipped: int = 0  # polls that fell away because the bus was busy or the breaker open
    left_out: int = 0  # requests for which a poll's deadline left no time
    lateness_ms: float = 0.0
    lateness_max_ms: float = 0.0
    last_answer_ms: int = 0
    blocks: int = 0
    faults: dict[str, int] = field(default_factory=dict)  # by class of error


class _Breaker:
    """Whether a device may be asked. Open after a silence, half open for one probe when its time has come."""

    __slots__ = ("_delay_s", "_jitter", "_longest_s", "bus_down", "open", "probe_at")

    def __init__(self, jitter: random.Random, longest_s: float) -> None:
        self._jitter = jitter
        self._longest_s = longest_s
        self.close()

    def close(self) -> None:
        self.open = False
        self.bus_down = False  # opened because nobody on the bus could be reached
        self._delay_s = BACK_OFF_FIRST_S
        self.probe_at = 0.0

    def trip(self, now_s: float, clock: Clock, spent_s: float) -> None:
        """Opens, or opens again for twice as long. `spent_s` (real) is what the silence has cost the bus.

        The real wait is at least twice that, so that a dead device takes no more than a third of the bus however fast the clock runs.
        """
        wait_s = clock.real_s(self._delay_s * (1 + _JITTER * (2 * self._jitter.random() - 1)))
        self.probe_at = now_s + max(wait_s, 2 * spent_s)
        self._delay_s = min(2 * self._delay_s, self._longest_s)
        self.open = True

    def follow(self, other: "_Breaker") -> None:
        """Opens like `other`, so that one probe is enough for a bus that is down."""
        self.open, self.bus_down, self.probe_at, self._delay_s = True, True, other.probe_at, other._delay_s

    def probe_now(self) -> None:
        """Lets the next poll through: another device of the same bus has answered."""
        self.probe_at = 0.0


class _Polled:
    """One device in its bus task: when it is due, whether it may be asked, what was stamped last."""

    __slots__ = ("_last_ms", "boundaries", "boundary_ms", "breaker", "device", "due_s", "period_s", "plan", "state")

    def __init__(
        self, device: Device, plan: DevicePlan, state: DeviceState, due_s: float, period_s: float, breaker: _Breaker
    ) -> None:
        self.device = device
        self.plan = plan
        self.state = state
        self.due_s = due_s
        self.period_s = period_s
        self.boundaries = device.boundary_poll and plan.has_counters
        self.boundary_ms = 0
        self.breaker = breaker
        self._last_ms: dict[tuple[str, ...], int] = {}

    def next_due(self, now_s: float) -> None:
        """Moves on to the next point of the grid after `now_s`; points that have passed are skipped and counted."""
        passed = int((now_s - self.due_s) / self.period_s)
        if passed > 0:
            self.state.skipped += passed
        self.due_s += (passed + 1) * self.period_s

    def in_order(self, block: Block) -> Block:
        """`block`, moved behind the last one of its quantities where the wall clock has stepped back or the two fell into one ms."""
        at_ms, last_ms = block.at_ms[0], self._last_ms.get(block.shape.quantities, -1)
        if at_ms <= last_ms:
            lift_ms, at_ms = last_ms + 1 - at_ms, last_ms + 1
            quality = block.quality or ((0, 0),) * len(block.columns)
            if lift_ms > _LIFT_MS:
                quality = tuple(pair if pair[0] else _CLOCK for pair in quality)
            block = dataclasses.replace(
                block, at_ms=(at_ms,), quality=quality if any(pair[0] for pair in quality) else ()
            )
        self._last_ms[block.shape.quantities] = at_ms
        return block


class Collection:
    """Reads all devices of an edge file until `stop()`.

    `sink` gets each block as soon as its answer is there, `event` the comings and goings; both return at once. `open_driver` is the
    table of drivers, `gateway` what they may use of this machine, `rejected` is told of answers that were not believed. A read under way at `stop()` is finished: its answers are not thrown away.
    """

    def __init__(
        self,
        edge: EdgeFile,
        clock: Clock,
        sink: Callable[[Block], None],
        event: Callable[[Event], None],
        open_driver: OpenDriver = open_driver,
        seed: int | None = None,
        gateway: Gateway | None = None,
        rejected: Callable[[str, str], None] | None = None,
    ) -> None:
        """Raises ExtraMissing where the installation lacks the library of a protocol."""
        self._clock = clock
        jitter = random.Random(seed)
        gateway = gateway or Gateway(clock.now_ms)
        self._buses = [
            _BusTask(bus, clock, sink, event, open_driver(bus, gateway), jitter, rejected or _nobody)
            for bus in edge.bus
        ]

    async def run(self) -> None:
        """Polls until `stop()`; then closes the connections."""
        async with asyncio.TaskGroup() as tasks:
            for bus in self._buses:
                tasks.create_task(bus.run(), name=f"bus {bus.name}")

    def stop(self) -> None:
        """Lets each bus finish the read that is under way and begin no other."""
        for bus in self._buses:
            bus.stop()

    async def write(self, device: str, point: str, value: float | None, hold_s: float) -> Written:
        """Writes between two reads of the device's bus, before what else is due (see `Controllable.write`). Raises DriverError."""
        for bus in self._buses:
            for polled in bus.devices:
                if polled.device.name == device:
                    return await bus.write(polled, point, value, hold_s)
        raise NotWritable(f"{device}: no device of this edge file")

    def states(self) -> list[DeviceState]:
        """One state per device, in the order of the edge file."""
        return [polled.state for bus in self._buses for polled in bus.devices]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A write that waits for its turn."""

    polled: _Polled
    point: str
    value: float | None
    hold_s: float
    done: asyncio.Future[Written]


class _BusTask:
    """The task of one bus."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        sink: Callable[[Block], None],
        event: Callable[[Event], None],
        driver: Driver[Any],
        jitter: random.Random,
        rejected: Callable[[str, str], None],
    ) -> None:
        self.name = bus.name
        self._clock = clock
        self._sink = sink
        self._event = event
        self._stopping = False
        self._asleep: asyncio.Future[None] | None = None
        self._writes: deque[_Wanted] = deque()
        self._driver = driver
        self._rejected = rejected
        spoken = declared(bus.protocol)
        longest_s = BACK_OFF_ALONE_S if len(bus.device) == 1 else BACK_OFF_LAST_S
        # Devices of one bus start spread over their period, buses at random, so that a gateway's load is even.
        start = jitter.random()
        self.devices = [
            _Polled(
                device,
                spoken.plan(bus, device, meter.load(device.model)),
                DeviceState(device.name, bus.name),
                clock.real_s(device.period_s) * ((start + index / len(bus.device)) % 1),
                clock.real_s(device.period_s),
                _Breaker(jitter, longest_s),
            )
            for index, device in enumerate(bus.device)
        ]

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for polled in self.devices:
            polled.due_s += begin
            polled.boundary_ms = self._next_boundary_ms(polled)
        try:
            while not self._stopping:
                if self._writes:
                    await self._carry_out(self._writes.popleft())
                    continue
                polled, at, boundary = self._next(loop.time())
                wait_s = at - loop.time()
                if wait_s > 0:
                    await self._sleep(min(wait_s, _LONGEST_SLEEP_S))
                    continue
                await self._poll(polled, boundary)
            if self._driver.listens:
                for polled in self.devices:  # what has come since their last read
                    await self._poll(polled, boundary=False)
        finally:
            for wanted in self._writes:
                _refuse(wanted.done, NotWritable(f"{wanted.polled.device.name}: the agent stops"))
            self._writes.clear()
            await self._driver.close()

    async def write(self, polled: _Polled, point: str, value: float | None, hold_s: float) -> Written:
        """See `Collection.write`."""
        if not isinstance(self._driver, Controllable):
            raise NotWritable(f"{polled.device.name}: nothing can be written over this protocol")
        if self._stopping:
            raise NotWritable(f"{polled.device.name}: the agent stops")
        if len(self._writes) >= WRITES_WAITING:
            raise DriverError(f"{polled.device.name}: {WRITES_WAITING} writes wait for bus {self.name} already")
        wanted = _Wanted(polled, point, value, hold_s, asyncio.get_running_loop().create_future())
        self._writes.append(wanted)
        _wake(self._asleep)
        return await wanted.done

    async def _carry_out(self, wanted: _Wanted) -> None:
        if wanted.done.done():  # whoever wanted it has gone
            return
        driver, plan = self._driver, wanted.polled.plan
        assert isinstance(driver, Controllable)
        try:
            written = await driver.write(plan, wanted.point, wanted.value, wanted.hold_s)
        except Exception as error:  # noqa: BLE001 - as for reads: a bus stays alive whatever a device sends
            _refuse(wanted.done, error if isinstance(error, DriverError) else _unexpected(plan, error))
        else:
            if not wanted.done.done():
                wanted.done.set_result(written)

    def _next(self, now_s: float) -> tuple[_Polled, float, bool]:
        """Which device comes next, when (loop time), and whether that is its extra poll of counters after a boundary."""
        now_ms = self._clock.now_ms()
        candidates: list[tuple[float, int, bool]] = []
        for index, polled in enumerate(self.devices):
            due, boundary_at = polled.due_s, float("inf")
            if polled.boundaries and not self._driver.listens:
                boundary_ms = self._boundary_ms(polled, now_ms)
                boundary_at = now_s + self._clock.real_s((boundary_ms - now_ms) / 1000)
            if polled.breaker.open:
                due = max(due, polled.breaker.probe_at)
                boundary_at = max(boundary_at, polled.breaker.probe_at)
            candidates.append((min(due, boundary_at), index, boundary_at < due))
        # Boundaries first: their window is one second.
        at, index, boundary = min(
            candidates, key=lambda candidate: (max(candidate[0], now_s), not candidate[2], candidate[0])
        )
        return self.devices[index], at, boundary

    def _boundary_ms(self, polled: _Polled, now_ms: int) -> int:
        """The boundary that the device's next extra poll belongs to. One that the ordinary polls have overtaken is given up."""
        length_ms = polled.device.boundary_s * 1000
        window_ms = max(_BOUNDARY_WINDOW_MS, polled.device.period_s * 1000)
        if now_ms > polled.boundary_ms + window_ms or polled.boundary_ms - now_ms > length_ms:
            polled.boundary_ms = self._next_boundary_ms(polled)
        return polled.boundary_ms

    def _next_boundary_ms(self, polled: _Polled) -> int:
        length_ms = polled.device.boundary_s * 1000
        return (self._clock.now_ms() // length_ms + 1) * length_ms

    def stop(self) -> None:
        """See `Collection.stop`."""
        self._stopping = True
        _wake(self._asleep)

    async def _sleep(self, real_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._asleep = loop.create_future()
        timer = loop.call_later(real_s, _wake, self._asleep)
        try:
            await self._asleep
        finally:
            timer.cancel()
            self._asleep = None

    async def _poll(self, polled: _Polled, boundary: bool) -> None:
        loop, state = asyncio.get_running_loop(), polled.state
        begin = loop.time()
        if boundary:
            polled.boundary_ms += polled.device.boundary_s * 1000
        else:
            if not polled.breaker.open:
                state.lateness_ms = max(0.0, begin - polled.due_s) * 1000 * self._clock.speed
                state.lateness_max_ms = max(state.lateness_max_ms, state.lateness_ms)
            polled.next_due(begin)
        state.polls += 1
        deadline_s = None if boundary else begin + polled.period_s
        try:
            answer = await self._driver.read(polled.plan, deadline_s, boundary)
        except Exception as error:  # noqa: BLE001 - the one place that keeps a bus alive whatever a device sends
            fault = error if isinstance(error, DriverError) else _unexpected(polled.plan, error)
            self._count(state, [fault])
            self._lost(polled, fault, loop.time() - begin)
        else:
            self._back(polled)
            self._take(polled, answer)

    def _take(self, polled: _Polled, answer: Answer) -> None:
        state = polled.state
        self._count(state, answer.faults)
        state.left_out += answer.left_out
        for block in answer.blocks:
            if (
                not self._driver.listens
            ):  # what a device sends by itself carries the device's own instants, old ones too
                block = polled.in_order(block)
            state.last_answer_ms = max(state.last_answer_ms, block.at_ms[-1])
            state.blocks += 1
            self._sink(block)
        for block in answer.past:  # older than what was read before, and meant to be: never moved
            state.blocks += 1
            self._sink(block)
        for event in answer.events:
            self._event(event)

    def _count(self, state: DeviceState, faults: Iterable[DriverError]) -> None:
        for fault in faults:
            if isinstance(fault, DeviceMisanswered):
                self._rejected(state.device, str(fault))
            name = type(fault).__name__
            state.faults[name] = state.faults.get(name, 0) + 1
            state.reason = str(fault)

    def _lost(self, polled: _Polled, fault: DriverError, spent_s: float) -> None:
        if self._driver.listens:  # asking again costs nothing
            self._say_lost(polled.state, fault)
            return
        polled.breaker.trip(asyncio.get_running_loop().time(), self._clock, spent_s)
        self._say_lost(polled.state, fault)
        if isinstance(fault, BusUnreachable):
            polled.breaker.bus_down = True
            for other in self.devices:
                if other is not polled and (other.breaker.bus_down or not other.breaker.open):
                    other.breaker.follow(polled.breaker)
                    self._say_lost(other.state, fault)

    def _say_lost(self, state: DeviceState, fault: DriverError) -> None:
        state.reason = str(fault)
        if state.online is False:
            return
        state.online, state.since_ms = False, self._clock.now_ms()
        log.warning("device_lost device=%s bus=%s reason=%s", state.device, state.bus, fault)
        self._event(self._change(state, "device_lost", {"reason": str(fault), "error": type(fault).__name__}))

    def _back(self, polled: _Polled) -> None:
        polled.breaker.close()
        state = polled.state
        if state.online:
            return
        now_ms = self._clock.now_ms()
        away_s, was_lost = (now_ms - state.since_ms) / 1000, state.online is False
        state.online, state.since_ms, state.reason = True, now_ms, ""
        for other in self.devices:
            if other.breaker.bus_down:
                other.breaker.probe_now()
        if was_lost:
            log.info("device_back device=%s bus=%s away_s=%.1f", state.device, state.bus, away_s)
            self._event(self._change(state, "device_back", {"away_s": away_s}))

    @staticmethod
    def _change(state: DeviceState, kind: str, body: dict[str, str | float]) -> Event:
        return Event(f"{kind}-{state.device}-{state.since_ms}", state.since_ms, state.device, kind, body)


def _nobody(_device: str, _why: str) -> None:
    """Nobody wants to know."""


def _unexpected(plan: DevicePlan, error: Exception) -> DriverError:
    """An error that no driver should let through, as one that the bus can live with."""
    log.error("read_failed device=%s", plan.name, exc_info=error)
    return DriverError(f"{plan.name}: {type(error).__name__}: {error}")


def _refuse(done: asyncio.Future[Written], error: DriverError) -> None:
    if not done.done():
        done.set_exception(error)


def _wake(sleeper: asyncio.Future[None] | None) -> None:
    if sleeper is not None and not sleeper.done():
        sleeper.set_result(None)
