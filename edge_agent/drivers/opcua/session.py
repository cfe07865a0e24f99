"""One connection to an OPC UA server: secure channel, session, look-ups, subscription or polling. Not what the values mean.

    open -> look the variables up -> subscribe (or poll) -> watch until the server is silent or gone -> close everything

A session is never repaired: after any fault it is closed as a whole and a new one is opened, so that nothing of the old one can stay behind.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from asyncua.client.client import Client
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties

from edge_agent.drivers.driver import BusUnreachable, DeviceMisanswered, DriverError
from edge_agent.drivers.opcua import trust
from edge_agent.drivers.opcua.address import Address
from edge_agent.drivers.opcua.declared import Bus
from edge_agent.drivers.opcua.library import FAILURES, DataValue, NodeId, Variant, explained, name_of, ua
from edge_agent.drivers.opcua.lookup import Lookup, Watch
from edge_agent.drivers.opcua.told import Told, told

log = logging.getLogger(__name__)
_T = TypeVar("_T")
MAX_MESSAGE: Final = 4 << 20  # bytes of one answer; 10,000 values are below 1 MB
MAX_CHUNK: Final = 1 << 17  # bytes of one part of it; we offer 65,535
SESSION_MS: Final = 60_000  # a session that we could not close ends by itself after this
_LIFETIMES: Final = (
    10  # a subscription lives for so many keep-alives without us; OPC 10000-4, 5.14.1.1 asks for at least three
)
_POLICIES: Final[dict[str, Any]] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}


class _Client(Client):
    """asyncua's client with a bound on what a server may make it keep: by itself it collects what is announced, up to 4 GB."""

    async def connect_socket(self) -> None:
        await super().connect_socket()
        protocol = self.uaclient.protocol
        assert protocol is not None
        receive = protocol.data_received

        def bounded(data: bytes) -> None:
            receive(data)
            if protocol.receive_buffer is not None and len(protocol.receive_buffer) > MAX_CHUNK:
                protocol.receive_buffer = None
                protocol.disconnect_socket()

        protocol.data_received = bounded  # type: ignore[method-assign]

    async def send_hello(self) -> None:
        await super().send_hello()
        protocol = self.uaclient.protocol
        assert protocol is not None
        limits = protocol._connection._limits
        limits.max_message_size = min(limits.max_message_size or MAX_MESSAGE, MAX_MESSAGE)


@dataclass(slots=True)
class Session:
    """See the module. `told` is called with all values of one message, `alive` after each sign of life, both in the event loop."""

    bus: Bus
    watches: list[Watch]
    told: Callable[[list[Told]], None]
    alive: Callable[[], None]
    state: Path | None
    now_ms: Callable[[], int]
    faults: list[str] = field(default_factory=list)
    polling: bool = False
    _client: _Client | None = None
    _lookup: Lookup | None = None
    _subscription: int | None = None
    _silence_s: float = 0.0
    _last_s: float = 0.0
    _next_sequence: int = 1
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _more: bool = False
    _why: str = ""

    async def open(self) -> None:
        """Connects and finds the variables. Raises DriverError."""
        bus = self.bus
        try:
            async with asyncio.timeout(4 * bus.timeout_s + 1):
                client = self._client = _Client(
                    bus.url, timeout=bus.timeout_s, watchdog_intervall=max(bus.keepalive_s, bus.timeout_s)
                )
                client.session_timeout = SESSION_MS
                client.max_messagesize = MAX_MESSAGE
                client.name = client.description = "Wattline"
                client.connection_lost_callback = self._lost
                if bus.security != "None":
                    await self._secure(client)
                if bus.username is not None:
                    client.set_user(bus.username)
                    client.set_password(trust.password(bus.name) or "")
                await client.connect()
        except DriverError:
            raise
        except FAILURES as error:
            raise BusUnreachable(f"{bus.url}: no session: {explained(error)}") from error
        await self._asked(self._learn())

    async def watch(self) -> None:
        """Subscribes, or polls where that is wanted or all that the server allows. Raises DriverError."""
        if self.bus.access == "poll":
            self.polling = True
            return
        await self._asked(self._subscribe())

    async def run(self, retry_missing_s: float) -> None:
        """Stays until the connection is lost or silent; raises DriverError then. Looks for missing variables again every so often."""
        loop = asyncio.get_running_loop()
        look_again_s = loop.time() + retry_missing_s
        self._last_s = loop.time()
        while not self._ended.is_set():
            wait_s = self.bus.publishing_ms / 1000 if self.polling else min(0.5, self._silence_s / 4)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            self._woken.clear()
            if self._ended.is_set():
                break
            if self._more or loop.time() >= look_again_s:
                self._more = False
                look_again_s = loop.time() + retry_missing_s
                await self._asked(self._find())
                if not self.polling:
                    await self._asked(self._monitor())
            if self.polling:
                await self._asked(self._poll())
            elif loop.time() - self._last_s > self._silence_s:
                raise BusUnreachable(f"{self.bus.url}: expected a sign of life every {self._silence_s:.1f} s, got none")
        raise BusUnreachable(f"{self.bus.url}: connection lost: {self._why or 'closed by the server'}")

    def add(self, watches: Sequence[Watch]) -> None:
        """More variables to watch, from the next turn on."""
        self.watches += watches
        self._more = True
        self._woken.set()

    def end(self, why: str) -> None:
        """Ends `run`."""
        self._why = self._why or why
        self._ended.set()
        self._woken.set()

    async def close(self) -> None:
        """Closes subscription, session, channel and socket, each as far as the server still answers."""
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(*FAILURES):
            async with asyncio.timeout(2 * self.bus.timeout_s + 0.5):
                await client.disconnect()
        client.disconnect_socket()
        session = client.uaclient.session
        session._subscription_callbacks.clear()
        task = session._publish_task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1.0)

    async def read(self, nodes: Sequence[NodeId], attribute: Any = ua.AttributeIds.Value) -> list[DataValue]:
        """The attributes of nodes, as many a request as the server allows. Raises DriverError."""
        return await self._asked(self.lookup.read(nodes, attribute))

    async def write(self, node: NodeId, value: Variant) -> int:
        """Writes a value and gives the status code. Raises DriverError."""

        async def once() -> int:
            # Most servers refuse a write that brings its own stamps (BadWriteNotSupported).
            answer = await self._session.write_attributes([node], [ua.DataValue(value)], ua.AttributeIds.Value)
            return int(answer[0].value)

        return await self._asked(once())

    async def find(self, addresses: Sequence[Address]) -> list[tuple[NodeId | None, int]]:
        """Node ids of addresses in this server, each with a status code that says why there is none. Raises DriverError."""
        return await self._asked(self.lookup.translated(addresses))

    async def references(self, nodes: Sequence[NodeId]) -> list[list[Any]]:
        """What hangs below nodes: their forward hierarchical references. Raises DriverError."""
        return await self._asked(self.lookup.references(nodes))

    async def engineering_units(self, nodes: Sequence[NodeId]) -> list[tuple[int | None, str]]:
        """UnitId and name of the engineering units of variables, (None, "") where one has none. Raises DriverError."""
        return await self._asked(self.lookup.engineering_units(nodes))

    @property
    def lookup(self) -> Lookup:
        """Where variables of this session stand."""
        if self._lookup is None:
            self._lookup = Lookup(self.bus.url, self._session)
        return self._lookup

    @property
    def _session(self) -> Any:
        if self._client is None:
            raise BusUnreachable(f"{self.bus.url}: no session")
        return self._client.uaclient.session

    async def _asked(self, question: Awaitable[_T]) -> _T:
        """A request with its faults as ours."""
        try:
            return await question
        except DriverError:
            raise
        except FAILURES as error:
            raise BusUnreachable(f"{self.bus.url}: {explained(error)}") from error

    async def _secure(self, client: _Client) -> None:
        bus = self.bus
        assert bus.certificate is not None
        assert bus.key is not None
        ours = trust.identity(bus.certificate, bus.key)
        client.application_uri = ours.application_uri
        policy = _POLICIES[bus.security]
        mode = ua.MessageSecurityMode.Sign if bus.mode == "Sign" else ua.MessageSecurityMode.SignAndEncrypt
        probe = _Client(bus.url, timeout=bus.timeout_s)
        endpoints = await probe.connect_and_get_server_endpoints()
        shown = next(
            (e.ServerCertificate for e in endpoints if e.SecurityPolicyUri == policy.URI and e.SecurityMode == mode),
            None,
        )
        if not shown:
            offered = sorted({f"{e.SecurityPolicyUri.rpartition('#')[2]}/{e.SecurityMode.name}" for e in endpoints})
            raise trust.TrustFault(
                f"{bus.url}: expected an endpoint with {bus.security}/{bus.mode}, saw {', '.join(offered)}"
            )
        trust.check(bus, shown, self.state, self.now_ms())
        await client.set_security(
            policy,
            CertProperties(ours.certificate, "der"),
            CertProperties(ours.key, "pem"),
            server_certificate=CertProperties(_first(shown), "der"),
            mode=mode,
        )

    async def _lost(self, error: Exception) -> None:
        self.end(explained(error))

    async def _learn(self) -> None:
        await self.lookup.learn()
        await self._find()

    async def _find(self) -> None:
        missing = [watch for watch in self.watches if watch.node is None or not watch.watched]
        if not missing:
            return
        found = await self.lookup.translated([watch.item.address for watch in missing])
        for watch, (node, status) in zip(missing, found, strict=True):
            watch.node, watch.status, watch.exponent = node, status, watch.item.exponent
        self.faults += await self.lookup.units(
            [watch for watch in missing if watch.node is not None and watch.item.engineering_units]
        )
        now = [Told(watch, None, False, watch.status, None, None) for watch in missing if watch.node is None]
        if now:
            self.told(now)

    async def _poll(self) -> None:
        watches = [watch for watch in self.watches if watch.node is not None]
        answers = await self.lookup.read([watch.node for watch in watches if watch.node is not None])
        self._last_s = asyncio.get_running_loop().time()
        for watch in watches:
            watch.watched = True
        self.told([told(watch, answer) for watch, answer in zip(watches, answers, strict=True)])
        self.alive()

    async def _subscribe(self) -> None:
        bus = self.bus
        wanted = ua.CreateSubscriptionParameters()
        wanted.RequestedPublishingInterval = bus.publishing_ms
        wanted.RequestedMaxKeepAliveCount = max(1, math.ceil(1000 * bus.keepalive_s / bus.publishing_ms))
        wanted.RequestedLifetimeCount = _LIFETIMES * wanted.RequestedMaxKeepAliveCount
        wanted.MaxNotificationsPerPublish = 1000
        wanted.PublishingEnabled = True
        try:
            given = await self._session.create_subscription(wanted, self._published)
        except ua.UaStatusCodeError as refusal:
            self._poll_instead(explained(refusal))
            return
        self._subscription = given.SubscriptionId
        interval_s = max(given.RevisedPublishingInterval, 1.0) / 1000
        # The server has a keep-alive for the worst case; another half of it and an answer time are patience.
        self._silence_s = 1.5 * interval_s * max(1, given.RevisedMaxKeepAliveCount) + bus.timeout_s
        await self._monitor()

    async def _monitor(self) -> None:
        """Creates monitored items for what is found and not watched yet."""
        assert self._subscription is not None
        handles = {id(watch): handle for handle, watch in enumerate(self.watches)}
        waiting = [watch for watch in self.watches if watch.node is not None and not watch.watched]
        refused = 0
        for begin in range(0, len(waiting), self.lookup.limits.watch):
            part = waiting[begin : begin + self.lookup.limits.watch]
            answers = await self._create(part, handles, with_filter=True)
            again = [w for w, a in zip(part, answers, strict=True) if a in _FILTER_REFUSALS and w.item.dead_band]
            for watch, answer in (
                zip(again, await self._create(again, handles, with_filter=False), strict=True) if again else ()
            ):
                answers[part.index(watch)] = answer
            for watch, status in zip(part, answers, strict=True):
                watch.status, watch.watched = status, status >> 30 == 0
                if not watch.watched:
                    refused += status in _TOO_MANY
            gone = [
                Told(w, None, False, w.status, None, None) for w in part if not w.watched and w.status not in _TOO_MANY
            ]
            if gone:
                self.told(gone)
        if refused:
            await self._session.delete_subscriptions([self._subscription])
            self._poll_instead(f"{refused} of {len(waiting)} monitored items are too many for the server")

    def _poll_instead(self, why: str) -> None:
        self.polling = True
        self.faults.append(f"{self.bus.url}: subscription refused ({why}), polling instead")
        log.warning("opcua_polling bus=%s reason=%s", self.bus.name, why)

    async def _create(self, watches: Sequence[Watch], handles: dict[int, int], *, with_filter: bool) -> list[int]:
        bus = self.bus
        requests = []
        for watch in watches:
            request = ua.MonitoredItemCreateRequest()
            request.ItemToMonitor.NodeId = watch.node
            request.ItemToMonitor.AttributeId = ua.AttributeIds.Value
            request.MonitoringMode = ua.MonitoringMode.Reporting
            wanted = request.RequestedParameters
            wanted.ClientHandle = handles[id(watch)]
            wanted.SamplingInterval = watch.item.sampling_ms or bus.sampling_ms or bus.publishing_ms
            wanted.QueueSize = bus.queue_size
            wanted.DiscardOldest = True
            if with_filter and watch.item.dead_band:
                wanted.Filter = ua.DataChangeFilter(
                    Trigger=ua.DataChangeTrigger.StatusValue,
                    DeadbandType=ua.DeadbandType.Absolute,
                    DeadbandValue=watch.item.dead_band * 10.0**-watch.exponent,
                )
            requests.append(request)
        params = ua.CreateMonitoredItemsParameters()
        params.SubscriptionId = self._subscription
        params.TimestampsToReturn = ua.TimestampsToReturn.Both
        params.ItemsToCreate = requests
        answers = await self._session.create_monitored_items(params)
        if len(answers) != len(requests):
            raise DeviceMisanswered(f"{bus.url}: expected {len(requests)} monitored items, saw {len(answers)}")
        return [int(answer.StatusCode.value) for answer in answers]

    def _published(self, result: Any) -> None:
        """Takes one publish response; without content it is a keep-alive."""
        self._last_s = asyncio.get_running_loop().time()
        message = result.NotificationMessage
        values: list[Told] = []
        if message.NotificationData:
            if message.SequenceNumber != self._next_sequence and self._next_sequence > 1:
                self.faults.append(
                    f"{self.bus.url}: expected notification {self._next_sequence}, saw {message.SequenceNumber}: those between are lost"
                )
            self._next_sequence = message.SequenceNumber + 1
            for part in message.NotificationData:
                if isinstance(part, ua.DataChangeNotification):
                    values += [
                        told(self.watches[change.ClientHandle], change.Value)
                        for change in part.MonitoredItems
                        if 0 <= change.ClientHandle < len(self.watches)
                    ]
                elif isinstance(part, ua.StatusChangeNotification):
                    self.end(f"the server ends the subscription: {name_of(int(part.Status.value))}")
        if values:
            self.told(values)
        self.alive()


_TOO_MANY: Final = frozenset({int(ua.StatusCodes.BadTooManyMonitoredItems)})
_FILTER_REFUSALS: Final = frozenset(
    int(code)
    for code in (
        ua.StatusCodes.BadMonitoredItemFilterUnsupported,
        ua.StatusCodes.BadFilterNotAllowed,
        ua.StatusCodes.BadMonitoredItemFilterInvalid,
        ua.StatusCodes.BadDeadbandFilterInvalid,
    )
)


def _first(chain: bytes) -> bytes:
    """The first certificate of a chain: OPC 10000-6, 6.2.6."""
    return chain[: 4 + int.from_bytes(chain[2:4], "big")] if chain[:2] == b"\x30\x82" else chain
