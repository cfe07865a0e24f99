"""The task of one bus: each device in its turn and at its own period, writes in between; what is lost and comes back. Not one device's clockwork.

Periods, boundaries and back-off run on the injected clock; the answer time-out is real and belongs to the driver. The grid of due
instants runs on the monotonic clock, so that a step of the wall clock neither stops nor doubles the polling.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from edge_agent import meter
from edge_agent.breaker import BACK_OFF_ALONE_S, BACK_OFF_LAST_S, Breaker
from edge_agent.drivers.declared import Bus
from edge_agent.drivers.driver import (
    Answer,
    BusUnreachable,
    Controllable,
    DeviceMisanswered,
    DevicePlan,
    Driver,
    DriverError,
    NotWritable,
    Written,
)
from edge_agent.drivers.table import declared
from edge_agent.polled import DeviceState, Polled
from wire.block import Block
from wire.clock import Clock
from wire.reading import Event

log = logging.getLogger(__name__)

WRITES_WAITING: Final = 64  # per bus
AWAITED_S: Final = 60.0  # piles try again within a minute, MQTT devices publish about as often
_LONGEST_SLEEP_S: Final = 1.0  # real; a step of the wall clock moves the next boundary and is noticed within this


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A write that waits for its turn."""

    polled: Polled
    point: str
    value: float | None
    hold_s: float
    done: asyncio.Future[Written]


class BusTask:
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
        self._awaited_until_s = 0.0  # real; until then nobody is lost who has only not called yet
        spoken = declared(bus.protocol)
        longest_s = BACK_OFF_ALONE_S if len(bus.device) == 1 else BACK_OFF_LAST_S
        # Devices of one bus start spread over their period, buses at random, so that a gateway's load is even.
        start = jitter.random()
        self.devices = [
            Polled(
                device,
                spoken.plan(bus, device, meter.load(device.model)),
                DeviceState(device.name, bus.name, driver.listens),
                clock.real_s(device.period_s) * ((start + index / len(bus.device)) % 1),
                clock.real_s(device.period_s),
                Breaker(jitter, longest_s),
            )
            for index, device in enumerate(bus.device)
        ]

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        self._awaited_until_s = begin + AWAITED_S
        for polled in self.devices:
            polled.due_s += begin
            polled.first_boundary(self._clock.now_ms())
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

    async def write(self, polled: Polled, point: str, value: float | None, hold_s: float) -> Written:
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

    def _next(self, now_s: float) -> tuple[Polled, float, bool]:
        """Which device comes next, when (loop time), and whether that is its extra poll of counters after a boundary."""
        now_ms = self._clock.now_ms()
        candidates = [
            (at, index, boundary)
            for index, polled in enumerate(self.devices)
            for at, boundary in (polled.next_poll(now_s, now_ms, self._clock, listens=self._driver.listens),)
        ]
        # Boundaries first: their window is one second.
        at, index, boundary = min(
            candidates, key=lambda candidate: (max(candidate[0], now_s), not candidate[2], candidate[0])
        )
        return self.devices[index], at, boundary

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

    async def _poll(self, polled: Polled, boundary: bool) -> None:
        loop, state = asyncio.get_running_loop(), polled.state
        begin = loop.time()
        if boundary:
            polled.boundary_polled()
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

    def _take(self, polled: Polled, answer: Answer) -> None:
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

    def _lost(self, polled: Polled, fault: DriverError, spent_s: float) -> None:
        if self._driver.listens:  # asking again costs nothing
            if polled.state.online is not None or asyncio.get_running_loop().time() >= self._awaited_until_s:
                self._say_lost(polled.state, fault)
            else:
                polled.state.reason = str(fault)
            return
        polled.breaker.trip(asyncio.get_running_loop().time(), self._clock, spent_s)
        self._say_lost(polled.state, fault)
        if isinstance(fault, BusUnreachable):
            polled.breaker.bus_down = True
            for other in self.devices:
                if other is not polled and (other.breaker.bus_down or not other.breaker.open):
                    other.breaker.follow(polled.breaker)
                    self._say_lost(other.state, BusUnreachable(f"{other.device.name}: its bus is gone: {fault}"))

    def _say_lost(self, state: DeviceState, fault: DriverError) -> None:
        state.reason = str(fault)
        if state.online is False:
            return
        state.online, state.since_ms = False, self._clock.now_ms()
        log.warning("device_lost device=%s bus=%s reason=%s", state.device, state.bus, fault)
        self._event(self._change(state, "device_lost", {"reason": str(fault), "error": type(fault).__name__}))

    def _back(self, polled: Polled) -> None:
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
