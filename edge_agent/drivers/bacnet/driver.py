"""BACnet/IP: devices found by instance or address, read in few requests, listened to between polls, written by priority.

Not which object is which quantity (the models), nor bytes (`services`, `stack`). One poll at a time; a silent device costs its time-out.

    unknown --address or Who-Is--> found --units, names, subscriptions--> learned --polls--+
       ^                                                                     ^             |
       +------------- silent, or another device answers ---------------------+-- restarted, or an hour with something missing
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from edge_agent.drivers.bacnet import clock, learn, write
from edge_agent.drivers.bacnet.ask import Asker
from edge_agent.drivers.bacnet.cov import Subscriptions
from edge_agent.drivers.bacnet.declared import BacnetPlan, Bus, broadcast_of, own_address, resolved
from edge_agent.drivers.bacnet.learn import Learned, Target
from edge_agent.drivers.bacnet.poll import Poll
from edge_agent.drivers.bacnet.services import Malformed, notification
from edge_agent.drivers.bacnet.stack import Place, Stack
from edge_agent.drivers.device_clock import DeviceClocks
from edge_agent.drivers.driver import (
    Answer,
    BusUnreachable,
    DeviceMisanswered,
    DeviceRefused,
    DeviceUnreachable,
    DriverError,
    Gateway,
    Written,
)

log = logging.getLogger(__name__)

_SAME_S: Final = 60.0  # a device that was silent for longer may be another one of the same number
_RELEARN_S: Final = 3600.0  # what a device lacked, or said in a wrong unit, is asked for again after an hour


@dataclass(slots=True)
class _Known:
    """One device and what is known of it now."""

    plan: BacnetPlan
    subscriptions: Subscriptions
    asker: Asker | None = None
    learned: Learned | None = None
    learned_at_s: float = 0.0
    lost_at_s: float | None = None  # since when it is silent
    max_apdu: int | None = None  # as it said by I-Am
    poll: Poll | None = None
    targets: dict[str, Target] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)  # points that we have written and not given back

    def forget(self) -> None:
        """Another device is there: all has to be found anew."""
        self.asker = self.learned = self.poll = None
        self.targets.clear()

    def lose(self, now_s: float) -> None:
        """It is silent: it is looked for again, and may have forgotten our subscriptions."""
        self.asker = None
        self.subscriptions.again()
        self.lost_at_s = self.lost_at_s or now_s


class BacnetDriver:
    """One network. Polls; changes of value that have come between two polls are handed over by the next read."""

    listens = False

    def __init__(self, bus: Bus, gateway: Gateway) -> None:
        self._bus = bus
        self._gateway = gateway
        self._stack: Stack | None = None
        self._devices: dict[str, _Known] = {}
        self._by_place: dict[Place, str] = {}
        self._asking = ""
        self._clocks = DeviceClocks(gateway)
        self._zone = None if bus.time_zone is None else ZoneInfo(bus.time_zone)

    # ---- reading

    async def read(self, device: BacnetPlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        """See `Driver.read`. What was notified since the last read comes first, each value with its own instant."""
        known = self._known(device)
        self._asking = device.name
        answer = Answer()
        asker = await self._find(known)
        before = asker.requests
        try:
            poll = await self._learn(known, asker)
            await poll.run(asker, answer, deadline_s, counters_only)
            if poll.restarted:
                log.info("device_restarted device=%s", device.name)
                known.learned = None  # its objects and units may be others now, and it has forgotten our subscriptions
            elif not counters_only:
                await self._listen(known, asker, answer, deadline_s)
                await self._look_at_the_clock(known, asker, answer, deadline_s)
        except DeviceUnreachable as error:
            known.lose(asyncio.get_running_loop().time())
            if not answer.blocks:
                raise
            answer.faults.append(error)
        except DeviceMisanswered:
            known.forget()
            raise
        finally:
            answer.requests = asker.requests - before
        return answer

    def requests(self, device: BacnetPlan) -> tuple[str, ...]:
        """See `Driver.requests`."""
        known = self._known(device)
        return () if known.poll is None else known.poll.lines()

    def _known(self, plan: BacnetPlan) -> _Known:
        known = self._devices.get(plan.name)
        if known is None or known.plan is not plan:
            known = _Known(plan, Subscriptions(plan.lifetime_s, self._bus.cov_confirmed))
            self._devices[plan.name] = known
        return known

    async def _open(self) -> Stack:
        """Raises BusUnreachable."""
        if self._stack is not None:
            return self._stack
        bus, broadcast = self._bus, broadcast_of(self._bus)
        own = (str(own_address(bus).ip), bus.port)
        stack = Stack(
            own, None if broadcast is None else str(broadcast), bus.instance, bus.timeout_s, self._frame, self._notified
        )
        try:
            bbmd = None if bus.bbmd_host is None else await resolved(bus.bbmd_host, bus.bbmd_port)
            await stack.open(bbmd, bus.bbmd_lifetime_s)
        except OSError as error:
            raise BusUnreachable(
                f"bus {bus.name}: expected {own[0]}:{own[1]} to be free and an address of this machine, saw {error.strerror or error}"
            ) from error
        self._stack = stack
        return stack

    async def _find(self, known: _Known) -> Asker:
        """Raises BusUnreachable, DeviceUnreachable."""
        if known.asker is not None:
            return known.asker
        plan, timeout_s = known.plan, self._bus.timeout_s
        stack = await self._open()
        if plan.host is not None:
            try:
                place = await resolved(plan.host, plan.port)
            except OSError as error:
                raise DeviceUnreachable(f"{plan.name}: host {plan.host}: {error.strerror or error}") from error
            self._by_place[place] = plan.name
            known.asker = Asker(stack, plan.name, stack.peer(*place), plan.instance, timeout_s)
            return known.asker
        heard = await stack.who_is(plan.instance, plan.instance, timeout_s)
        if not heard:
            raise DeviceUnreachable(f"{plan.name}: device {plan.instance}: nobody says to be it within {timeout_s:g} s")
        stack.know(heard[0])
        known.max_apdu = heard[0].max_apdu
        known.asker = Asker(stack, plan.name, heard[0].peer, plan.instance, timeout_s)
        return known.asker

    async def _learn(self, known: _Known, asker: Asker) -> Poll:
        now_s = asyncio.get_running_loop().time()
        if known.learned is not None and known.poll is not None:
            lasts = known.learned.complete or now_s < known.learned_at_s + _RELEARN_S
            same = known.lost_at_s is None or now_s < known.lost_at_s + _SAME_S
            if lasts and same and known.poll.batches:
                known.lost_at_s = None
                return known.poll
        known.learned = learned = await learn.learn(asker, known.plan, known.max_apdu)
        known.learned_at_s, known.lost_at_s = now_s, None
        known.poll = Poll(known.plan, learned, known.subscriptions, self._gateway.now_ms)
        known.subscriptions.follow(learned.columns)
        return known.poll

    async def _look_at_the_clock(self, known: _Known, asker: Asker, answer: Answer, deadline_s: float | None) -> None:
        """Once an hour asks what time the device believes it is."""
        name = known.plan.name
        if not answer.blocks or not self._clocks.due(name):
            return
        if deadline_s is not None and asyncio.get_running_loop().time() >= deadline_s:
            return
        try:
            away_ms = await clock.measured_ms(asker, self._zone, self._gateway.now_ms)
        except DeviceRefused:
            self._clocks.give_up(name)
            return
        except DriverError as fault:
            self._clocks.put_off(name)
            answer.faults.append(fault)
            return
        if away_ms is not None:
            event = self._clocks.seen(name, away_ms, self._gateway.now_ms())
            answer.events += [event] if event is not None else []

    # ---- changes of value

    async def _listen(self, known: _Known, asker: Asker, answer: Answer, deadline_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        for refusal in await known.subscriptions.renew(asker, loop.time(), deadline_s, loop.time):
            log.info("cov_refused device=%s reason=%s", known.plan.name, refusal)
        dropped, known.subscriptions.dropped = known.subscriptions.dropped, 0
        if dropped:
            answer.faults.append(
                DriverError(f"{known.plan.name}: changes of value came faster than they were taken: {dropped} dropped")
            )

    def _notified(self, source: str, data: bytes) -> None:
        """A COV notification from anybody on the network: only one of a device that is known, from where it is known, counts."""
        at_ms = self._gateway.now_ms()
        try:
            told = notification(data)
        except Malformed as error:
            log.debug("notification_dropped source=%s reason=%s", source, error)
            return
        for known in self._devices.values():
            if known.asker is not None and (known.plan.instance, known.asker.peer.text) == (told.device[1], source):
                if told.process == 0 and told.object == told.device:
                    known.subscriptions.again()  # clause 19.3: a device that has restarted tells everybody
                else:
                    known.subscriptions.hear(told, at_ms)

    # ---- writing

    async def write(self, device: BacnetPlan, point: str, value: float | None, hold_s: float) -> Written:
        """See `Controllable.write`. BACnet has no timer of its own: `hold_s` is kept by whoever calls."""
        del hold_s
        known = self._known(device)
        self._asking = device.name
        asker = await self._find(known)
        try:
            await self._learn(known, asker)
            assert known.learned is not None
            target = known.targets.get(point)
            if target is None:
                target = known.targets[point] = await learn.find_target(asker, known.learned, device, point)
            if value is not None:
                known.held.add(point)
            written = await write.write(asker, target, value)
        except DeviceUnreachable:
            known.lose(asyncio.get_running_loop().time())
            raise
        if value is None and (written.delivered or not target.has_priorities):
            known.held.discard(point)
        return written

    async def release_all(self, device: BacnetPlan) -> list[Written]:
        """Gives back our priority on every point of a device: first thing at start, and at the end. Raises DriverError."""
        return [await self.write(device, point.name, None, 0.0) for point in device.points]

    async def close(self) -> None:
        """Gives back what is still held, within the time-out of each device, and gives up the port."""
        for known in self._devices.values():
            for point in sorted(known.held):
                try:
                    await self.write(known.plan, point, None, 0.0)
                except DriverError as error:
                    log.warning("release_failed device=%s point=%s reason=%s", known.plan.name, point, error)
                    break
        if self._stack is not None:
            self._stack.close()
            self._stack = None
        for known in self._devices.values():
            known.forget()

    def _frame(self, place: Place, sent: bool, data: bytes) -> None:
        """Frames of a device behind a router are told under the device that is being asked."""
        name = self._by_place.get(place, self._asking)
        if name:
            self._gateway.frame(name, sent, data)


def open_driver(bus: Bus, gateway: Gateway) -> BacnetDriver:
    """A driver for one network; opens its port at the first read."""
    return BacnetDriver(bus, gateway)
