"""Simulated MQTT devices: each with a connection and a will of its own at somebody's broker. Not a broker, nor what they publish.

The log gets its line when the broker has acknowledged the publication that carried the serial.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from device_sim.answer_log import AnswerLog
from device_sim.device import Device
from device_sim.faults import Fault, FaultKind
from device_sim.mqtt.kinds import Message, MqttKind

log = logging.getLogger(__name__)

OPTIONS: Final = frozenset({"broker_host", "broker_port", "update_s"})
_KEPT: Final = 1_000  # publications that a broker has not acknowledged


class _Published:
    """One device at the broker."""

    def __init__(self, device: Device, host: str, port: int, answers: AnswerLog) -> None:
        self.device = device
        self._kind: MqttKind = device.kind
        self._topic = self._kind.topic(device)
        self._will = self._kind.will(self._topic)
        self._host, self._port = host, port
        self._answers = answers
        self._client: paho.Client | None = None
        self._loop = asyncio.get_running_loop()
        self._unacknowledged: dict[int, tuple[int, int, str | None]] = {}  # message id -> serial, instant, fault
        self._last: list[Message] = []
        self._turn: tuple[int, frozenset[FaultKind]] | None = None
        self._delayed: set[asyncio.Task[Any]] = set()

    def connect(self) -> None:
        """Begins to connect, with the will and the word that it is there."""
        client = self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"sim-{self.device.name}")
        client.reconnect_delay_set(1, 2)
        if self._will is not None:
            client.will_set(self._will.topic, self._will.offline, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_publish = self._acknowledged
        client.connect_async(self._host, self._port, keepalive=10)
        client.loop_start()

    def vanish(self) -> None:
        """Ends the connection without a goodbye, so that the broker tells the will."""
        client, self._client = self._client, None
        if client is None:
            return
        client.on_publish = None
        sock = client.socket()
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        task = self._loop.create_task(asyncio.to_thread(client.loop_stop))  # joins paho's thread
        self._delayed.add(task)
        task.add_done_callback(self._delayed.discard)

    async def close(self) -> None:
        """Says goodbye; the will is told by hand, as a device that is switched off in order does."""
        for task in self._delayed:
            task.cancel()
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(self._leave, client)

    @staticmethod
    def _leave(client: paho.Client) -> None:
        with contextlib.suppress(OSError, ValueError):
            client.disconnect()
        client.loop_stop()

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure and self._will is not None:
            client.publish(self._will.topic, self._will.online, qos=1, retain=True)

    def _acknowledged(self, _client: paho.Client, _data: Any, mid: int, _reason: Any, _properties: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before paho's thread
            self._loop.call_soon_threadsafe(self._log, mid)

    def _log(self, mid: int) -> None:
        said = self._unacknowledged.pop(mid, None)
        if said is not None:
            serial, at_ms, fault = said
            carried = fault not in (str(FaultKind.HALF_FRAME), str(FaultKind.WRONG_CHECKSUM), str(FaultKind.WRONG_UNIT))
            plant = self.device.plant.name
            self._answers.write(plant, self.device.name, serial, at_ms, carried=carried, fault=fault, published=True)

    def turn(self, now_ms: int) -> None:
        """Publishes what the device shows now, if anything has changed since the last turn."""
        device = self.device
        active = device.faults.active(now_ms)
        if FaultKind.SILENCE in active or FaultKind.REBOOT in active:
            self.vanish()
            return
        if self._client is None:
            self.connect()
            self._turn = None
        turn = (now_ms, frozenset(active))
        if turn == self._turn or self._client is None or not self._client.is_connected():
            return
        self._turn = turn
        if FaultKind.STALE in active and self._last:
            for message in self._last:
                self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
            return
        stamp_ms = now_ms
        if FaultKind.CLOCK_JUMP in active:
            stamp_ms += round(1000 * active[FaultKind.CLOCK_JUMP].clock_s)
        device.serial += 1
        messages = self._kind.write(device.image(now_ms), self._topic, device.serial, stamp_ms)
        if FaultKind.EXCEPTION not in active:
            self._last = messages
        messages = [harmed for message in messages if (harmed := _harmed(message, active)) is not None]
        late = active.get(FaultKind.DELAY)
        if late is None:
            self._publish(messages, device.serial, now_ms, active)
        else:
            task = self._loop.create_task(self._later(messages, device.serial, now_ms, late))
            self._delayed.add(task)
            task.add_done_callback(self._delayed.discard)

    async def _later(self, messages: Sequence[Message], serial: int, at_ms: int, late: Fault) -> None:
        await asyncio.sleep(late.delay_s)
        self._publish(messages, serial, at_ms, {FaultKind.DELAY: late})

    def _publish(self, messages: Sequence[Message], serial: int, at_ms: int, active: Mapping[FaultKind, Fault]) -> None:
        client = self._client
        if client is None:
            return
        shown = next(iter(sorted(active)), None)
        for message in messages:
            told = client.publish(message.topic, message.payload, qos=1, retain=message.retain)
            if "erial" in message.payload or message.topic.endswith("serial"):
                self._unacknowledged[told.mid] = serial, at_ms, None if shown is None else str(shown)
        while len(self._unacknowledged) > _KEPT:
            self._unacknowledged.pop(next(iter(self._unacknowledged)))


def _harmed(message: Message, active: Mapping[FaultKind, Fault]) -> Message | None:
    """What a fault makes of a publication. MQTT has no checksum of its own: damage is a byte that turns it into something else.

    Half a plain number would be another number, which no broker lets happen: it is lost with its connection.
    """
    payload, topic = message.payload, message.topic
    if FaultKind.EXCEPTION in active:
        payload = '{"errors":["power_meter_failure"]}' if payload[:1] in "{[" else "null"
    if FaultKind.HALF_FRAME in active:
        if payload[:1] not in "{[":
            return None
        payload = payload[: len(payload) // 2]
    if FaultKind.WRONG_CHECKSUM in active:
        payload = payload[:1] + "\x01" + payload[1:]
    if FaultKind.WRONG_UNIT in active:
        topic = f"wrong/{topic}"
    return Message(topic, payload, message.retain)


class MqttBus:
    """A `Bus`. See the module. Without a port it waits to be told by control where the broker is."""

    def __init__(
        self,
        members: Sequence[Device],
        clock: Callable[[], int],
        answers: AnswerLog,
        host: str,
        port: int | None,
        every_s: float,
    ) -> None:
        self._members = members
        self._clock = clock
        self._answers = answers
        self._host, self._port, self._every_s = host, port, every_s
        self._published: list[_Published] = []
        self._task: asyncio.Task[None] | None = None
        self._publishes = True

    @property
    def place(self) -> Mapping[str, Any]:
        """See `Bus.place`: the broker's."""
        return {"host": self._host, "port": self._port}

    async def __aenter__(self) -> Self:
        if self._port is not None:
            self._begin(self._host, self._port)
        return self

    def _begin(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._published = [_Published(device, host, port, self._answers) for device in self._members]
        for published in self._published:
            published.connect()
        self._task = asyncio.create_task(self._run(), name="mqtt simulator")

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for published in self._published:
            await published.close()

    def control(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Bus.control`: `{"connect": "mqtt://HOST:PORT"}` says where the broker is, once; `{"publish": false}` has all devices fall
        silent, but stay connected. Raises ValueError for anything else."""
        if set(request) == {"publish"} and isinstance(request["publish"], bool):
            self._publishes = request["publish"]
            return {}
        url = urlsplit(str(request.get("connect", "")))
        port = url.port  # raises ValueError itself
        if set(request) != {"connect"} or url.scheme != "mqtt" or not url.hostname or port is None:
            raise ValueError(f'request: expected {{"connect": "mqtt://HOST:PORT"}}, saw {dict(request)}')
        if self._task is not None:
            raise ValueError(f"connect: expected once, saw it again after {self._host}:{self._port}")
        self._begin(url.hostname, port)
        return {}

    async def _run(self) -> None:
        while True:
            for published in self._published if self._publishes else ():
                try:
                    published.turn(self._clock())
                except Exception:
                    log.exception("mqtt turn failed device=%s", published.device.name)
            await asyncio.sleep(self._every_s)


def open_bus(
    members: Sequence[Device],
    clock: Callable[[], int],
    log: AnswerLog,
    host: str,
    options: Mapping[str, Any],
) -> MqttBus:
    """See `device_sim.bus`. The broker is somebody else's: `broker_host` (where the simulator listens, unless said) and `broker_port`;
    without a port the devices wait for control's `connect`."""
    port = options.get("broker_port")
    if port is not None and (not isinstance(port, int) or not 1 <= port <= 65_535):
        raise ValueError(f"broker_port: expected the port of an MQTT broker, saw {port!r}")
    return MqttBus(
        members, clock, log, str(options.get("broker_host", host)), port, float(options.get("update_s", 0.5))
    )
