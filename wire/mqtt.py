"""One MQTT connection for either side: an asyncio bridge over paho that sees refusals. Not what is published on it.

MQTT 5 is asked for first; where the broker does not know it, 3.1.1. The session is clean: the broker is asked to keep nothing. paho runs
its own network thread, reconnects by itself, and calls `on_message` in that thread, so that a slow receiver slows the broker.
"""

import asyncio
import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 10  # a black-holed link is noticed after at most twice this
RECONNECT_MIN_S: Final = 1
RECONNECT_MAX_S: Final = 30
IN_FLIGHT: Final = 128
_WRONG_VERSION: Final = frozenset({132})  # MQTT 5 reason 0x84; paho maps 3.1.1's return code 1 to it


class MqttError(Exception):
    """
    MqttError
    ├── NotConnected      try again when connected
    ├── PublishTimeout    no PUBACK in time; try again, the message may have arrived
    └── PublishRefused    the broker will not have it: its ACL, its limits
    """


class NotConnected(MqttError):
    """There is no connection now."""


class PublishTimeout(MqttError):
    """The broker did not answer in time."""


class PublishRefused(MqttError):
    """The broker answered with a reason of 0x80 or above."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a TLS connection: the authority that signs the broker; our certificate and key where the broker asks for them."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Raises OSError or ssl.SSLError naming the file."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            if self.cert is not None:
                context.load_cert_chain(str(self.cert), None if self.key is None else str(self.key))
        except (OSError, ssl.SSLError) as error:
            raise OSError(f"TLS files {self.ca}, {self.cert}, {self.key}: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how it is spoken to."""

    host: str
    port: int
    tls: Tls | None = None
    username: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish, for instance as a will."""

    topic: str
    payload: bytes
    retain: bool = False


class MqttSession:
    """`async with MqttSession(...)`: connects in the background, subscribes again on every connection, publishes at QoS 1.

    `on_message(topic, payload, retained)` is called in the network thread. `on_connected()` and `on_lost(reason)` are called in the
    event loop, once per change.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        *,
        subscriptions: Sequence[str] = (),
        will: Message | None = None,
        on_message: Callable[[str, bytes, bool], None],
        on_connected: Callable[[], None] = lambda: None,
        on_lost: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._broker = broker
        self._client_id = client_id
        self._subscriptions = list(subscriptions)
        self._will = will
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._waiting: dict[int, asyncio.Future[ReasonCode]] = {}
        self._early: dict[int, ReasonCode] = {}
        self._client: paho.Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._up = asyncio.Event()
        self._closing = False
        self._reasons_said: set[str] = set()  # since the last connection
        self.protocol = 5
        self.why = "no connection yet"  # why there is no connection, or was none the last time

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted this session and has not gone since."""
        return self._up.is_set()

    async def wait_connected(self, timeout_s: float) -> None:
        """Raises NotConnected when there is still no connection after `timeout_s`."""
        try:
            await asyncio.wait_for(self._up.wait(), timeout_s)
        except TimeoutError as error:
            where = f"{self._broker.host}:{self._broker.port}"
            raise NotConnected(f"broker {where}: expected a connection within {timeout_s} s, got none") from error

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._start(paho.MQTTv5)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._closing = True
        client = self._client
        if client is not None:
            await asyncio.to_thread(self._stop, client)
        with self._lock:
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(NotConnected("the session is closed"))

    @staticmethod
    def _stop(client: paho.Client) -> None:
        with contextlib.suppress(OSError, ValueError):
            client.disconnect()
        client.loop_stop()

    def _start(self, protocol: Any) -> None:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=protocol,
            clean_session=None if protocol == paho.MQTTv5 else True,
        )
        self.protocol = 5 if protocol == paho.MQTTv5 else 4
        client.max_inflight_messages_set(IN_FLIGHT)
        client.max_queued_messages_set(4 * IN_FLIGHT)
        client.reconnect_delay_set(RECONNECT_MIN_S, RECONNECT_MAX_S)
        client.connect_timeout = 10.0
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        if self._broker.tls is not None:
            client.tls_set_context(self._broker.tls.context())
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=self._will.retain)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_connect_fail = self._unreachable
        client.on_message = self._received
        client.on_publish = self._published
        client.on_subscribe = self._subscribed
        options: dict[str, Any] = {}
        if protocol == paho.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
            options = {"clean_start": True, "properties": properties}
        client.connect_async(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S, **options)
        self._client = client
        client.loop_start()

    # The methods below run in paho's network thread.

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if client is not self._client:
            return
        if reason.is_failure:
            self._refused(client, reason)
            return
        if self._subscriptions:
            client.subscribe([(topic, 1) for topic in self._subscriptions])
        else:
            self._call(self._set_up)

    def _refused(self, client: paho.Client, reason: ReasonCode) -> None:
        if self.protocol == 5 and (
            reason.value in _WRONG_VERSION or reason.getName() == "Unsupported protocol version"
        ):
            log.info("mqtt broker speaks 3.1.1 only host=%s port=%s", self._broker.host, self._broker.port)
            self._call(self._fall_back, client)
            return
        self._call(self._set_down, f"the broker refused the connection: {reason}")

    def _subscribed(
        self, client: paho.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._call(self._set_down, f"the broker refused a subscription of {self._subscriptions}: {refused}")
        elif client is self._client:
            self._call(self._set_up)

    def _disconnected(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if client is self._client:
            self._call(self._set_down, str(reason))

    def _unreachable(self, client: paho.Client, _data: Any) -> None:
        if client is self._client:
            self._call(self._set_down, "the broker cannot be reached")

    def _received(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._on_message(message.topic, bytes(message.payload), message.retain)

    def _published(self, _client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        with self._lock:
            future = self._waiting.pop(mid, None)
            if future is None:
                if len(self._early) >= 4 * IN_FLIGHT:
                    self._early.pop(next(iter(self._early)))
                self._early[mid] = reason
                return
        self._call(_resolve, future, reason)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended before the network thread
            self._loop.call_soon_threadsafe(function, *arguments)

    # The methods below run in the event loop.

    def _fall_back(self, client: paho.Client) -> None:
        if self._client is client and not self._closing:
            threading.Thread(target=self._stop, args=(client,), name="mqtt-stop", daemon=True).start()
            self._start(paho.MQTTv311)

    def _set_up(self) -> None:
        if not self._up.is_set() and not self._closing:
            self._up.set()
            self._reasons_said.clear()
            log.info("mqtt connected host=%s port=%s protocol=%s", self._broker.host, self._broker.port, self.protocol)
            self._on_connected()

    def _set_down(self, reason: str) -> None:
        was_up = self._up.is_set()
        self._up.clear()
        self.why = reason
        if self._closing or (reason in self._reasons_said and not was_up):  # said once, not with every try
            return
        self._reasons_said.add(reason)
        what = "mqtt lost" if was_up else "mqtt not connected"
        log.warning("%s host=%s port=%s reason=%s", what, self._broker.host, self._broker.port, reason)
        if was_up:
            self._on_lost(reason)

    def subscribe(self, topics: Sequence[str]) -> None:
        """Listen to more topics, now and on every connection to come."""
        self._subscriptions += [topic for topic in topics if topic not in self._subscriptions]
        client = self._client
        if client is not None and self._up.is_set() and topics:
            client.subscribe([(topic, 1) for topic in topics])

    def post(self, topic: str, payload: bytes) -> bool:
        """Publish at QoS 1 from any thread without waiting, for what will be said again anyway; False where it cannot be sent now."""
        client = self._client
        if client is None or not self._up.is_set():
            return False
        return client.publish(topic, payload, qos=1).rc == paho.MQTT_ERR_SUCCESS

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, timeout_s: float = 10.0) -> None:
        """Publish at QoS 1 and wait for the broker's PUBACK (flow control, not proof of delivery).

        Raises NotConnected, PublishTimeout, PublishRefused.
        """
        client = self._client
        if client is None or not self._up.is_set():
            raise NotConnected(f"broker {self._broker.host}:{self._broker.port}: not connected")
        info = client.publish(topic, payload, qos=1, retain=retain)
        if info.rc == paho.MQTT_ERR_QUEUE_SIZE:
            raise PublishTimeout(f"{topic}: {4 * IN_FLIGHT} messages wait for the broker already")
        future: asyncio.Future[ReasonCode] = asyncio.get_running_loop().create_future()
        with self._lock:
            early = self._early.pop(info.mid, None)
            if early is None:
                self._waiting[info.mid] = future
        try:
            async with asyncio.timeout(timeout_s):  # wait_for of Python 3.11 can swallow a cancellation
                reason = early if early is not None else await future
        except TimeoutError as error:
            with self._lock:
                self._waiting.pop(info.mid, None)
            raise PublishTimeout(f"{topic}: expected PUBACK within {timeout_s} s, got none") from error
        if reason.is_failure:
            raise PublishRefused(f"{topic}: the broker refused {len(payload)} bytes: {reason}")


def _resolve(future: "asyncio.Future[ReasonCode]", reason: ReasonCode) -> None:
    if not future.done():
        future.set_result(reason)
