"""The OPC UA driver of one server: keeps a session alive in a task of its own and hands over what has come. Not the session itself.

task:  session opened -> values told -> per device into its Arrivals        lost -> closed as a whole -> opened again after 0.5 s .. 30 s
read:  what has arrived for the device since the last read; raises while the server, or the device behind it, is away
"""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from edge_agent.drivers.arrivals import CLOCK, GOOD, Arrival, Arrivals, instant
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
from edge_agent.drivers.opcua import values
from edge_agent.drivers.opcua.declared import Bus, OpcUaPlan, Writable
from edge_agent.drivers.opcua.library import DataValue, name_of, ua
from edge_agent.drivers.opcua.lookup import Watch
from edge_agent.drivers.opcua.session import Session
from edge_agent.drivers.opcua.told import Told
from wire.block import Value
from wire.reading import Event

log = logging.getLogger(__name__)

_BACK_OFF_FIRST_S: Final = 0.5  # real seconds
_BACK_OFF_LAST_S: Final = 30.0
_LOOK_AGAIN_S: Final = 60.0  # a machine that was switched off when we connected shows its variables later
_MAX_FAULTS: Final = 32
_MAX_EVENTS: Final = 32
_MAX_FRAME: Final = 4096


@dataclass(slots=True)
class _Last:
    """The last value of a variable, for telling it again."""

    value: Value
    exponent: int | None
    quality: tuple[int, int]


@dataclass(slots=True)
class _Device:
    plan: OpcUaPlan
    arrivals: Arrivals
    watches: list[Watch] = field(default_factory=list)
    last: dict[str, _Last] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)  # quantities told in this session
    raw: dict[str, tuple[object, ...]] = field(default_factory=dict)  # what a poll saw last: nothing new is no reading
    faults: list[DriverError] = field(default_factory=list)
    clock_doubted: bool = False
    events: list[Event] = field(default_factory=list)
    greeted: bool = False

    def watch_anew(self) -> list[Watch]:
        """Its variables for a new session."""
        self.watches = [Watch(item, self.plan.name) for item in self.plan.items]
        self.told.clear()
        self.raw.clear()
        return self.watches

    def states(self) -> list[int]:
        """The status codes of its variables. Those with a dead-band count only alone: some servers keep a bad status back within it."""
        return [w.status for w in self.watches if not w.item.dead_band] or [w.status for w in self.watches]

    def saw_before(self, one: Told) -> bool:
        """Whether a value is the last one over again, stamp and all, as polls bring it."""
        value = one.value if isinstance(one.value, int | float) else hash(repr(one.value))
        seen = (one.status, one.source, value)
        before, self.raw[one.watch.item.quantity] = self.raw.get(one.watch.item.quantity), seen
        return seen == before and one.source is not None


class OpcUa:
    """A `Driver` and `Controllable` for one server."""

    listens: Final = True

    def __init__(
        self,
        bus: Bus,
        gateway: Gateway,
        first_wait_s: float = _BACK_OFF_FIRST_S,
        last_wait_s: float = _BACK_OFF_LAST_S,
    ) -> None:
        """The waits between two tries to connect, in real seconds: from the first, each twice the one before, to the last."""
        self._bus = bus
        self._first_wait_s = first_wait_s
        self._last_wait_s = last_wait_s
        self._gateway = gateway
        self._devices: dict[str, _Device] = {}
        self._clocks = DeviceClocks(gateway, bus.window.before_ms)
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._latest: Session | None = None  # also while it is still being opened
        self._news = asyncio.Event()  # set with each message, and when a session ends
        self._why = "not connected yet"
        self._fatal: DriverError | None = None
        self._alive_ms: int | None = None
        self._failures = 0
        self.sessions = 0  # opened so far

    def requests(self, device: OpcUaPlan) -> tuple[str, ...]:
        """What is watched, one line each."""
        return tuple(f"{item.quantity}: {item.address}" for item in device.items)

    async def read(self, device: OpcUaPlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        """See `Driver.read`. The first read of a device waits for its first values, for at most twice the bus's time-out."""
        known = self._devices.get(device.name)
        if known is None or known.plan != device:
            known = self._begin(device)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep(), name=f"opcua {self._bus.name}")
        if not known.greeted:
            await self._first(known, deadline_s)
            known.greeted = True
        return self._hand_over(known, counters_only)

    async def write(self, device: OpcUaPlan, point: str, value: float | None, hold_s: float) -> Written:  # noqa: ARG002
        """See `Controllable.write`. A variable has no timer: what must end, the caller ends. `value` None writes the point's safe value."""
        writable = next((candidate for candidate in device.points if candidate.name == point), None)
        if writable is None:
            raise DeviceRefused(f"{device.name}: {point}", "BadNodeIdUnknown", "the model has no such point")
        session = self._session
        if session is None:
            raise BusUnreachable(f"{self._bus.url}: {self._why}")
        if value is None:
            value = writable.safe
        if value is None:
            return Written(False, note="no safe value is declared, so there is nothing to return to")
        return await _write(session, device.name, writable, value)

    async def close(self) -> None:
        """Ends the session and its task."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=4 * self._bus.timeout_s + 2)

    # ---- the reading side

    def _begin(self, plan: OpcUaPlan) -> _Device:
        """A device that nobody has asked for yet, or one that is described anew."""
        before = self._devices.get(plan.name)
        known = self._devices[plan.name] = _Device(plan, Arrivals(plan.name))
        if self._latest is not None and before is None:
            self._latest.add(known.watch_anew())
        elif self._latest is not None:
            self._latest.end("a device is described anew")
        return known

    async def _first(self, known: _Device, deadline_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + 2 * self._bus.timeout_s
        until_s = until_s if deadline_s is None else min(until_s, max(deadline_s, loop.time()))
        failures = self._failures
        while len(known.told) < len(known.plan.items) and self._failures == failures and loop.time() < until_s:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until_s):
                    await self._news.wait()

    def _hand_over(self, known: _Device, counters_only: bool) -> Answer:
        if self._session is not None:
            self._restate(known, counters_only)
        blocks, lost = known.arrivals.take()
        faults, known.faults = known.faults, []
        if lost:
            faults.append(
                DeviceMisanswered(f"{known.plan.name}: {lost} readings were lost because nobody fetched them")
            )
        if blocks:
            events, known.events = known.events, []
            return Answer(blocks=blocks, events=events, faults=faults, left_out=0)
        if self._fatal is not None:
            raise self._fatal
        if self._session is None:
            raise BusUnreachable(f"{known.plan.name}: {self._why}")
        states = known.states()
        if states and all(map(values.is_cut_off, states)):
            raise DeviceUnreachable(f"{known.plan.name}: the server reports {name_of(states[0])} for all its variables")
        if states and all(map(values.is_missing, states)):
            raise DeviceRefused(
                f"{known.plan.name}: {known.watches[0].item.address}",
                name_of(states[0]),
                "none of its variables is there",
            )
        if not known.told:
            raise DeviceUnreachable(f"{known.plan.name}: no value within {2 * self._bus.timeout_s:g} s")
        return Answer(faults=faults)

    def _restate(self, known: _Device, counters_only: bool) -> None:
        """Tells values again that have not changed for long, at the last instant at which the server would have told a change."""
        if self._alive_ms is None or all(map(values.is_cut_off, known.states())):
            return
        sampling_ms = self._bus.sampling_ms or self._bus.publishing_ms
        sure_ms = round(self._alive_ms - self._bus.publishing_ms - sampling_ms)
        again: list[Arrival] = []
        for item in known.plan.items:
            last, last_ms = known.last.get(item.quantity), known.arrivals.last_ms(item.quantity)
            if last is None or last_ms is None or item.quantity not in known.told:
                continue
            due_ms = 1 if counters_only and item.counter else round(1000 * self._bus.restate_s)
            if sure_ms - last_ms >= due_ms:
                again.append(Arrival(item.quantity, sure_ms, last.value, last.exponent, last.quality))
        known.arrivals.add(again)

    # ---- the task

    async def _keep(self) -> None:
        back_off_s = self._first_wait_s
        while True:
            began_s = asyncio.get_running_loop().time()
            try:
                await self._one_session()
            except DriverError as error:
                self._down(error)
            except Exception as error:  # whatever a server sends may not end the task that would reconnect
                log.debug("opcua session failed", exc_info=True)
                self._down(BusUnreachable(f"{self._bus.url}: {type(error).__name__}: {error}"[:300]))
            if asyncio.get_running_loop().time() - began_s > 4 * back_off_s:
                back_off_s = self._first_wait_s
            await asyncio.sleep(back_off_s * (0.75 + random.random() / 2))
            back_off_s = min(2 * back_off_s, self._last_wait_s)

    async def _one_session(self) -> None:
        """One session from opening to loss."""
        watches: list[Watch] = []
        for device in self._devices.values():
            watches += device.watch_anew()
        session = Session(self._bus, watches, self._told, self._alive, self._gateway.state, self._gateway.now_ms)
        self._latest = session
        try:
            await session.open()
            self.sessions += 1
            self._session, self._fatal, self._alive_ms = session, None, None
            await session.watch()
            await session.run(_LOOK_AGAIN_S)
        finally:
            self._session = self._latest = None
            self._flush_faults(session)
            await session.close()

    def _down(self, error: DriverError) -> None:
        self._failures += 1
        self._why = str(error)
        self._fatal = error if not error.retry else None
        self._news.set()

    def _alive(self) -> None:
        self._alive_ms = self._gateway.now_ms()
        if self._session is not None and self._session.faults:
            self._flush_faults(self._session)
        self._news.set()

    def _flush_faults(self, session: Session) -> None:
        for text in session.faults:
            for device in self._devices.values():
                if len(device.faults) < _MAX_FAULTS:
                    device.faults.append(DeviceMisanswered(text))
        session.faults.clear()

    def _told(self, told: Iterable[Told]) -> None:
        """Takes the values of one message."""
        arrived_ms = self._gateway.now_ms()
        per_device: dict[str, list[Arrival]] = {}
        frames: dict[str, list[dict[str, Any]]] = {}
        for one in told:
            device = self._devices.get(one.watch.device)
            if device is None:
                continue
            one.watch.status = one.status
            if values.is_waiting(one.status) or device.saw_before(one):
                continue
            per_device.setdefault(one.watch.device, []).append(self._arrival(device, one, arrived_ms))
            frames.setdefault(one.watch.device, []).append(_shown(one))
        for name, arrivals in per_device.items():
            device = self._devices[name]
            self._gateway.frame(name, False, json.dumps(frames[name], default=str).encode()[:_MAX_FRAME])
            device.arrivals.add(arrivals)
        self._news.set()

    def _arrival(self, device: _Device, one: Told, arrived_ms: int) -> Arrival:
        item = one.watch.item
        quality = values.quality_of(one.status)
        value: Value = None
        exponent: int | None = 0
        if one.status >> 30 < 2:
            value, exponent, judged = values.value_of(item, one.value, one.is_float32, one.watch.exponent)
            quality = judged if judged[0] else quality
        if values.overflowed(one.status) and len(device.faults) < _MAX_FAULTS:
            device.faults.append(
                DeviceMisanswered(
                    f"{device.plan.name}: {item.quantity}: the server's queue of {self._bus.queue_size} values ran over"
                )
            )
        source_ms, server_ms = values.milliseconds(one.source), values.milliseconds(one.server)
        at_ms, sure = instant(self._bus.window, arrived_ms, source_ms, server_ms)
        if not sure and item.quantity not in device.told and source_ms is not None and source_ms < arrived_ms:
            sure = True  # the first value of a session may have been the same for days: it is true now
        if not sure and not device.clock_doubted:
            device.clock_doubted = True
            log.warning(
                "opcua_clock device=%s stamp_ms=%s arrived_ms=%s", device.plan.name, source_ms or server_ms, arrived_ms
            )
        elif sure and device.clock_doubted and source_ms is not None:
            device.clock_doubted = False
        stamp_ms = server_ms if source_ms is None else source_ms
        if stamp_ms is not None and (not sure or item.quantity in device.told):
            event = self._clocks.seen(device.plan.name, stamp_ms - arrived_ms, arrived_ms, wrong=not sure)
            if event is not None and len(device.events) < _MAX_EVENTS:
                device.events.append(event)
        device.told.add(item.quantity)
        device.last[item.quantity] = _Last(value, exponent, quality)
        last_ms = device.arrivals.last_ms(item.quantity)
        if last_ms is not None and at_ms <= last_ms < arrived_ms and sure:
            at_ms = arrived_ms  # stands between two values that were told: later than the one, known now
        return Arrival(item.quantity, at_ms, value, exponent, quality if sure or quality != GOOD else CLOCK)


def _shown(one: Told) -> dict[str, Any]:
    return {
        "quantity": one.watch.item.quantity,
        "value": str(one.value)[:200] if not isinstance(one.value, int | float) else one.value,
        "status": name_of(one.status),
        "source": one.source,
        "server": one.server,
    }


async def _write(session: Session, device: str, point: Writable, value: float) -> Written:
    what = f"{device}: {point.name}"
    ((node, status),) = await session.find([point.address])
    if node is None:
        raise DeviceRefused(f"{what}: {point.address}", name_of(status), "the variable is not there")
    (before,) = await session.read([node])
    _present(what, before)
    kind: Any = before.Value.VariantType if before.Value is not None else None
    counts = value * 10.0**-point.exponent
    if kind in _INTEGERS:
        wanted: int | float | bool = round(counts)
        low, high = _INTEGERS[kind]
        if not low <= wanted <= high:
            raise DeviceRefused(what, "BadOutOfRange", f"{wanted} does not fit {kind.name}")
    elif kind in (ua.VariantType.Float, ua.VariantType.Double):
        wanted = counts
    elif kind is ua.VariantType.Boolean:
        wanted = bool(counts)
    else:
        raise DeviceRefused(
            what, "BadTypeMismatch", f"the variable is a {getattr(kind, 'name', 'nothing')}, not a number"
        )
    status = await session.write(node, ua.Variant(wanted, kind))
    if values.is_cut_off(status):
        raise DeviceUnreachable(f"{what}: the server reports {name_of(status)}")
    if status >> 30:
        raise DeviceRefused(what, name_of(status), "the server did not take it")
    (after,) = await session.read([node])
    _present(what, after)
    seen = _number(after, point.exponent)
    tolerance = max(abs(value) * 1e-6, 0.5 * 10.0**point.exponent if kind in _INTEGERS else 0.0)
    delivered = seen is not None and abs(seen - value) <= tolerance
    return Written(
        delivered, _number(before, point.exponent), seen, "" if delivered else f"reads back as {seen}, not {value}"
    )


def _present(what: str, answer: DataValue) -> None:
    """Raises where a server has no value to show just now: the device behind it is away, or has a fault. Then the type says nothing."""
    status = int(answer.StatusCode.value) if answer.StatusCode is not None else 0
    if values.is_cut_off(status):
        raise DeviceUnreachable(f"{what}: the server reports {name_of(status)}")
    if status >> 31 and (answer.Value is None or answer.Value.Value is None):
        raise DeviceRefused(what, name_of(status), "it has no value now", retry=not values.is_missing(status))


def _number(answer: DataValue, exponent: int) -> float | None:
    value = answer.Value.Value if answer.Value is not None else None
    if not isinstance(value, int | float):
        return None
    return value / 10**-exponent if exponent < 0 else float(value * 10**exponent)


_INTEGERS: Final = {
    ua.VariantType.SByte: (-(2**7), 2**7 - 1),
    ua.VariantType.Byte: (0, 2**8 - 1),
    ua.VariantType.Int16: (-(2**15), 2**15 - 1),
    ua.VariantType.UInt16: (0, 2**16 - 1),
    ua.VariantType.Int32: (-(2**31), 2**31 - 1),
    ua.VariantType.UInt32: (0, 2**32 - 1),
    ua.VariantType.Int64: (-(2**63), 2**63 - 1),
    ua.VariantType.UInt64: (0, 2**64 - 1),
}


def open_driver(bus: Bus, gateway: Gateway) -> OpcUa:
    """A driver for one server; connects at the first read."""
    return OpcUa(bus, gateway)
