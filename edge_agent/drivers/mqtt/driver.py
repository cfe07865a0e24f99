"""The driver for devices of one broker: listens to their topics and hands over what has come. Not what stands in a payload.

paho's thread -> bounded queue -> event loop: topic -> device -> payload -> Arrivals        read: hands over, or says why nothing comes
"""

import asyncio
import contextlib
import logging
import os
import secrets
import threading
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge_agent.drivers.arrivals import CLOCK, GOOD, Arrival, Arrivals, instant
from edge_agent.drivers.device_clock import DeviceClocks
from edge_agent.drivers.driver import Answer, BusUnreachable, DeviceMisanswered, DeviceUnreachable, DriverError, Gateway
from edge_agent.drivers.mqtt.declared import Bus, Item, MqttPlan
from edge_agent.drivers.mqtt.payload import MISSING, PayloadFault, at, instant_ms, parsed, value_of
from wire.mqtt import Broker, MqttSession, Tls
from wire.reading import REASON_CODES, Event, Quality

log = logging.getLogger(__name__)

PASSWORD: Final = "WATTLINE_MQTT_DEVICES_PASSWORD"  # noqa: S105 the name of the variable
_MAX_WAITING: Final = 5_000  # messages between paho's thread and the loop
_MAX_FAULTS: Final = 16
_MAX_EVENTS: Final = 16
_MAX_FRAME: Final = 4096
_OF_UNKNOWN_AGE: Final = (int(Quality.UNCERTAIN), REASON_CODES["frozen"])


@dataclass(frozen=True, slots=True)
class _Message:
    topic: str
    payload: bytes
    retained: bool
    at_ms: int


@dataclass(slots=True)
class _Device:
    plan: MqttPlan
    arrivals: Arrivals
    since_s: float
    heard_s: float | None = None
    offline: bool = False
    faults: list[DriverError] = field(default_factory=list)
    floors: dict[str, int] = field(default_factory=dict)  # quantity -> lowest power of ten so far
    said: dict[str, tuple[int, int]] = field(default_factory=dict)  # topic -> last instant in a payload, its hash
    clock_doubted: bool = False
    events: list[Event] = field(default_factory=list)
    greeted: bool = False

    def fault(self, text: str) -> None:
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append(DeviceMisanswered(f"{self.plan.name}: {text}"))


class MqttDevices:
    """A `Driver` for one broker."""

    listens: Final = True

    def __init__(self, bus: Bus, gateway: Gateway) -> None:
        self._bus = bus
        self._gateway = gateway
        self._devices: dict[str, _Device] = {}
        self._clocks = DeviceClocks(gateway, bus.window.before_ms)
        self._by_topic: dict[str, list[tuple[_Device, tuple[Item, ...]]]] = {}
        self._stack: AsyncExitStack | None = None
        self._session: MqttSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._waiting: deque[_Message] = deque()
        self._dropped = 0

    def requests(self, device: MqttPlan) -> tuple[str, ...]:
        """What is listened to, one line each."""
        return tuple(f"{topic}: {', '.join(item.quantity for item in items)}" for topic, items in device.topics)

    async def read(self, device: MqttPlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:  # noqa: ARG002
        """See `Driver.read`. The first read of a device waits for the broker, for at most the bus's time-out."""
        session = await self._started()
        known = self._devices.get(device.name)
        if known is None or known.plan != device:
            known = self._listen(session, device)
        if not known.greeted:
            known.greeted = True
            until_s = self._bus.timeout_s
            if deadline_s is not None:
                until_s = max(0.0, min(until_s, deadline_s - asyncio.get_running_loop().time()))
            await self._wait(session, until_s)
        self._take()
        blocks, lost = known.arrivals.take()
        faults, known.faults = known.faults, []
        if lost:
            faults.append(DeviceMisanswered(f"{device.name}: {lost} readings were lost because nobody fetched them"))
        if not blocks:
            self._raise_if_away(session, known)
        events, known.events = known.events, []
        return Answer(blocks=blocks, events=events, faults=faults)

    async def close(self) -> None:
        """Leaves the broker."""
        stack, self._stack, self._session = self._stack, None, None
        if stack is not None:
            await stack.aclose()
        self._devices.clear()
        self._by_topic.clear()

    def _raise_if_away(self, session: MqttSession, known: _Device) -> None:
        name, plan = known.plan.name, known.plan
        if not session.connected:
            raise BusUnreachable(f"{name}: broker {self._bus.host}:{self._bus.port}: {session.why}")
        if known.offline:
            assert plan.sign is not None
            raise DeviceUnreachable(f"{name}: {plan.sign.topic} says that it is offline")
        quiet_s = asyncio.get_running_loop().time() - (known.heard_s or known.since_s)
        if quiet_s > plan.silent_s:
            topics = ", ".join(topic for topic, _ in plan.topics)
            raise DeviceUnreachable(f"{name}: expected a message on {topics} within {plan.silent_s:g} s, got none")

    async def _started(self) -> MqttSession:
        if self._session is None:
            bus = self._bus
            tls = None
            if bus.ca is not None:
                tls = Tls(
                    Path(bus.ca),
                    None if bus.certificate is None else Path(bus.certificate),
                    None if bus.key is None else Path(bus.key),
                )
                try:
                    tls.context()
                except OSError as error:
                    raise BusUnreachable(f"broker {bus.host}:{bus.port}: {error}") from error
            self._loop = asyncio.get_running_loop()
            session = MqttSession(
                Broker(bus.host, bus.port, tls, bus.username, password(bus.name)),
                f"wattline-{bus.name[:20]}-{secrets.token_hex(4)}",
                on_message=self._arrived,
                on_connected=self._connected,
            )
            stack = AsyncExitStack()
            self._session = await stack.enter_async_context(session)
            self._stack = stack
        return self._session

    @staticmethod
    async def _wait(session: MqttSession, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while not session.connected and loop.time() < until_s:  # noqa: ASYNC110 the session's own wait would have to be cancelled
            await asyncio.sleep(0.01)

    def _listen(self, session: MqttSession, plan: MqttPlan) -> _Device:
        for entries in self._by_topic.values():
            entries[:] = [entry for entry in entries if entry[0].plan.name != plan.name]
        device = _Device(plan, Arrivals(plan.name), asyncio.get_running_loop().time())
        self._devices[plan.name] = device
        topics = list(plan.topics)
        if plan.sign is not None and plan.sign.topic not in dict(topics):
            topics.append((plan.sign.topic, ()))
        for topic, items in topics:
            self._by_topic.setdefault(topic, []).append((device, items))
        session.subscribe([topic for topic, _ in topics])
        return device

    def _connected(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for device in self._devices.values():
            device.since_s, device.heard_s = now_s, None  # its silence counts from here
        if self._session is not None:
            self._session.subscribe(list(self._by_topic))

    # In paho's thread.

    def _arrived(self, topic: str, payload: bytes, retained: bool) -> None:
        message = _Message(topic, payload, retained, self._gateway.now_ms())
        with self._lock:
            self._waiting.append(message)
            if len(self._waiting) > _MAX_WAITING:
                self._waiting.popleft()
                self._dropped += 1
            first = len(self._waiting) == 1
        if first and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the network thread
                self._loop.call_soon_threadsafe(self._take)

    # In the event loop.

    def _take(self) -> None:
        with self._lock:
            messages, self._waiting = self._waiting, deque()
            dropped, self._dropped = self._dropped, 0
        for message in messages:
            for device, items in self._by_topic.get(message.topic, ()):
                self._one(device, items, message)
        if dropped:
            for device in self._devices.values():
                device.fault(f"{dropped} messages of this broker came faster than they could be taken")

    def _one(self, device: _Device, items: tuple[Item, ...], message: _Message) -> None:
        plan = device.plan
        self._gateway.frame(plan.name, False, (message.topic.encode() + b" " + message.payload)[:_MAX_FRAME])
        try:
            tree = parsed(message.payload)
        except PayloadFault as fault:
            device.fault(f"{message.topic}: {fault}")
            return
        if plan.sign is not None and message.topic == plan.sign.topic:
            self._sign(device, tree, message.retained)
        if items:
            self._values(device, items, message, tree)

    def _sign(self, device: _Device, tree: Any, retained: bool) -> None:
        sign = device.plan.sign
        assert sign is not None
        if not sign.online and not sign.offline:
            if not retained:
                device.heard_s = asyncio.get_running_loop().time()
            return
        word = at(tree, sign.steps)
        text = str(word).lower() if isinstance(word, bool) else str(word)
        if text in sign.offline:
            device.offline = True
        elif text in sign.online:
            device.offline = False
        else:
            device.fault(f"{sign.topic}: expected one of {[*sign.online, *sign.offline]}, saw {text[:80]!r}")

    def _values(self, device: _Device, items: tuple[Item, ...], message: _Message, tree: Any) -> None:
        plan, now_s = device.plan, asyncio.get_running_loop().time()
        stamp_ms = instant_ms(at(tree, plan.time), plan.time_zone) if plan.time else None
        at_ms, sure = instant(self._bus.window, message.at_ms, stamp_ms)
        believed = stamp_ms is not None and sure
        quality = GOOD if sure else CLOCK
        if message.retained and not believed:
            if plan.retained == "ignored":
                return  # of unknown age: the device may be gone for a year
            at_ms, quality = message.at_ms, _OF_UNKNOWN_AGE
        if stamp_ms is not None:
            said = stamp_ms, hash(message.payload)
            if said == device.said.get(message.topic):
                return  # the same message over again: a retained one after the live one, or one sent twice
            device.said[message.topic] = said
        if not sure and not message.retained and not device.clock_doubted:
            log.warning("mqtt_clock device=%s stamp_ms=%s arrived_ms=%s", plan.name, stamp_ms, message.at_ms)
        device.clock_doubted = not sure and not message.retained
        if stamp_ms is not None and not message.retained:
            event = self._clocks.seen(plan.name, stamp_ms - message.at_ms, message.at_ms, wrong=not sure)
            if event is not None and len(device.events) < _MAX_EVENTS:
                device.events.append(event)
        arrivals = []
        for item in items:
            raw = at(tree, item.steps)
            if raw is MISSING:
                continue  # devices leave out what has not changed
            value, exponent, judged = value_of(item, raw, device.floors.get(item.quantity, 0))
            if exponent is not None:
                device.floors[item.quantity] = min(exponent, device.floors.get(item.quantity, 0))
            arrivals.append(Arrival(item.quantity, at_ms, value, exponent, judged if judged != GOOD else quality))
        if not arrivals:
            device.fault(f"{message.topic}: expected {', '.join(item.quantity for item in items)}, saw none of them")
            return
        device.arrivals.add(arrivals)
        if not message.retained:
            device.heard_s, device.offline = now_s, False


def password(bus: str) -> str | None:
    """The password for a bus from the environment: its own variable, else the one for all."""
    return os.environ.get(f"{PASSWORD}_{bus.upper().replace('-', '_')}", os.environ.get(PASSWORD))


def open_driver(bus: Bus, gateway: Gateway) -> MqttDevices:
    """A driver for one broker; connects at the first read."""
    return MqttDevices(bus, gateway)
