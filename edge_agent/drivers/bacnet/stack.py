"""The one place that knows bacpypes3: its link, network and transaction layers between a UDP socket and our service parameters.

Not what a service says (`services`) nor when it is asked (`driver`). The library's own socket, application object and generic decoders are
left out: its socket shares its port with any other program (datagrams then land in one of them), its application lets anybody switch
our communication off, and its decoders take most of the time of a poll. A peer that is silent costs `timeout_s`, never the library's 12 s.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bacpypes3.apdu import (
    ComplexAckPDU,
    ConfirmedCOVNotificationRequest,
    ConfirmedRequestPDU,
    ErrorPDU,
    IAmRequest,
    ReadPropertyMultipleRequest,
    ReadPropertyRequest,
    RejectPDU,
    SimpleAckPDU,
    WhoIsRequest,
)
from bacpypes3.app import Application
from bacpypes3.appservice import ApplicationServiceAccessPoint
from bacpypes3.comm import Server, ServiceAccessPoint, bind
from bacpypes3.errors import UnrecognizedService
from bacpypes3.ipv4.bvll import BVLLCodec
from bacpypes3.ipv4.service import BIPForeign, BIPNormal
from bacpypes3.local.device import DeviceObject
from bacpypes3.netservice import NetworkServiceAccessPoint, NetworkServiceElement
from bacpypes3.pdu import PDU, Address, GlobalBroadcast, IPv4Address, LocalBroadcast

from edge_agent.drivers.bacnet.services import Malformed, error_of

log = logging.getLogger(__name__)
logging.getLogger("bacpypes3").setLevel(logging.CRITICAL + 1)  # it logs strange bytes as errors, with tracebacks

_LONGEST_APDU: Final = 1476
_IN_HAND: Final = 64  # datagrams being handled; more are dropped, as a full socket would
_COV_UNCONFIRMED: Final = b"\x10\x02"  # type and service of an unconfirmed COV notification
_BVLC: Final = 0x81
_SEGMENTS: Final = 16
_WELCOME: Final = (ReadPropertyRequest, ReadPropertyMultipleRequest)

Place = tuple[str, int]


class Silent(Exception):
    """No answer in time."""


class Refused(Exception):
    """The peer answered that it will not: `kind` "error" (class, code), "reject" (reason) or "abort" (reason)."""

    def __init__(self, kind: str, code: tuple[int, int]) -> None:
        super().__init__(kind, code)
        self.kind = kind
        self.code = code


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a device is: the library's address, opaque, its text, and the UDP address that its datagrams come from."""

    address: Any
    text: str


@dataclass(frozen=True, slots=True)
class IAm:
    """What a device says of itself. `segmentation`: 0 both ways, 1 it sends segments, 2 it takes them, 3 neither."""

    instance: int
    peer: Peer
    max_apdu: int
    segmentation: int
    vendor: int


class _Link(Server):  # type: ignore[misc]
    """The UDP sockets: one on our own address, one for what is said to all where broadcasts are used. Sees every frame."""

    def __init__(self, own: Place, broadcast: str | None, frame: Callable[[Place, bool, bytes], None]) -> None:
        super().__init__()
        self._own = own
        self._broadcast = broadcast
        self._frame = frame
        self._transports: list[asyncio.DatagramTransport] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.dropped = 0

    async def open(self) -> None:
        """Raises OSError: the address is not ours, or another program has the port."""
        hosts = [self._own[0]] + ([self._broadcast] if self._broadcast and self._own[0] != "0.0.0.0" else [])
        try:
            for index, host in enumerate(hosts):
                place = (host, self._own[1])
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                try:
                    sock.setblocking(False)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    sock.bind(place)
                    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                        partial(_Datagrams, self, index > 0), sock=sock
                    )
                except OSError:
                    sock.close()
                    raise
                self._transports.append(transport)
                if index == 0:
                    self._own = transport.get_extra_info("sockname")
        except OSError:
            self.close()
            raise

    @property
    def place(self) -> Place:
        """Our own address and port."""
        return self._own

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        self._transports.clear()
        for task in self._tasks:
            task.cancel()

    async def indication(self, pdu: Any) -> None:
        """Sends a frame that the library has made."""
        to = pdu.pduDestination
        if isinstance(to, LocalBroadcast):
            if self._broadcast is None:
                return  # a network without broadcasts hears nothing
            place = (self._broadcast, self._own[1])
        else:
            place = to.addrTuple if isinstance(to, IPv4Address) else IPv4Address(to).addrTuple
        data = bytes(pdu.pduData)
        self._frame(place, True, data)
        if self._transports:
            self._transports[0].sendto(data, place)

    def received(self, data: bytes, place: Place, said_to_all: bool) -> None:
        """Takes one datagram; strange ones and those above the bound are dropped."""
        if place == self._own or len(data) < 4 or data[0] != _BVLC:
            return
        self._frame(place, False, data)
        if len(self._tasks) >= _IN_HAND:
            self.dropped += 1
            return
        to = LocalBroadcast() if said_to_all else IPv4Address(self._own)
        task = asyncio.get_running_loop().create_task(self._up(PDU(data, source=IPv4Address(place), destination=to)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _up(self, pdu: Any) -> None:
        try:
            await self.response(pdu)
        except Exception as error:  # noqa: BLE001 - the library raises anything on bytes that are no frame
            log.debug("frame_dropped reason=%r", error)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, link: _Link, said_to_all: bool) -> None:
        self._link = link
        self._said_to_all = said_to_all

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._link.received(data, (addr[0], addr[1]), self._said_to_all)

    def error_received(self, exc: Exception) -> None:
        """A port that nobody listens on: the silence says it too."""


class _Transactions(ApplicationServiceAccessPoint):  # type: ignore[misc]
    """The library's transactions (retries, segments) without its decoders: answers and notifications go up as they are."""

    def __init__(self, device: Any, cache: Any, notified: Callable[[Any, bytes], None]) -> None:
        super().__init__(device, cache)
        self._notified = notified

    async def confirmation(self, pdu: Any) -> None:
        data = bytes(pdu.pduData)
        if data.startswith(_COV_UNCONFIRMED):
            self._notified(pdu.pduSource, data[2:])
            return
        if data[:1] < b"\x10" and len(self.serverTransactions) >= _IN_HAND:
            return  # others ask us faster than the library forgets them
        await super().confirmation(pdu)

    async def sap_response(self, apdu: Any) -> None:
        if isinstance(apdu, ComplexAckPDU | ErrorPDU):
            await ServiceAccessPoint.sap_response(self, apdu)
        else:
            await super().sap_response(apdu)


class _Ours(Application):  # type: ignore[misc]
    """Our own device on the network: found by Who-Is, readable, notified. Nothing of it can be written, and nobody can silence it."""

    def __init__(self, instance: int, timeout_s: float, notified: Callable[[Any, bytes], None]) -> None:
        super().__init__()
        device = DeviceObject(
            objectIdentifier=("device", instance),
            objectName=f"wattline-{instance}",
            modelName="Wattline edge agent",
            vendorName="Wattline",
            vendorIdentifier=0,
            maxApduLengthAccepted=_LONGEST_APDU,
            # We take segments and send none: a peer that asks us for much and never acknowledges leaves nothing behind.
            segmentationSupported="segmented-receive",
            maxSegmentsAccepted=_SEGMENTS,
            apduTimeout=round(timeout_s * 500),
            apduSegmentTimeout=round(timeout_s * 500),
            numberOfApduRetries=1,
        )
        self._notified = notified
        self._waiting: dict[tuple[str, int], asyncio.Future[Any]] = {}
        self._invoke = 0
        self.looked_for: set[asyncio.Queue[IAm]] = set()
        self.asap = _Transactions(device, self.device_info_cache, notified)
        self.nsap = NetworkServiceAccessPoint()
        self.nse = NetworkServiceElement()
        bind(self.nse, self.nsap)
        bind(self, self.asap, self.nsap)
        self.add_object(device)

    async def indication(self, apdu: Any) -> None:
        if isinstance(apdu, IAmRequest):
            self._take_i_am(apdu)
        elif isinstance(apdu, ConfirmedCOVNotificationRequest):
            self._notified(apdu.pduSource, bytes(apdu.encode().pduData))
            await self.response(SimpleAckPDU(context=apdu))
        elif isinstance(apdu, WhoIsRequest):
            await self.do_WhoIsRequest(apdu)
        elif isinstance(apdu, _WELCOME):
            await super().indication(apdu)
        elif isinstance(apdu, ConfirmedRequestPDU):
            await self.response(RejectPDU(reason=UnrecognizedService.rejectReason, context=apdu))

    def _take_i_am(self, apdu: Any) -> None:
        peer = Peer(apdu.pduSource, str(apdu.pduSource))
        said = IAm(
            int(apdu.iAmDeviceIdentifier[1]),
            peer,
            int(apdu.maxAPDULengthAccepted),
            int(apdu.segmentationSupported),
            int(apdu.vendorID),
        )
        for queue in self.looked_for:
            if not queue.full():
                queue.put_nowait(said)

    async def ask(self, peer: Peer, service: int, parameters: bytes, wait_s: float) -> bytes:
        """The parameters of the answer (empty for a plain acknowledgement). Raises Silent or Refused."""
        for _ in range(256):
            self._invoke = (self._invoke + 1) % 256
            if (peer.text, self._invoke) not in self._waiting:
                break
        key = (peer.text, self._invoke)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[key] = future
        request = ConfirmedRequestPDU(service, self._invoke, parameters, destination=peer.address)
        try:
            async with asyncio.timeout(wait_s):
                await self.asap.sap_indication(request)
                answer = await future
        except TimeoutError as error:
            raise Silent from error
        finally:
            del self._waiting[key]
        if isinstance(answer, ComplexAckPDU | SimpleAckPDU):
            if answer.apduService != service:
                raise Malformed(f"an acknowledgement of service {answer.apduService}, expected {service}")
            return b"" if isinstance(answer, SimpleAckPDU) else bytes(answer.pduData)
        if isinstance(answer, ErrorPDU):
            raise Refused("error", _error_of(answer))
        if isinstance(answer, RejectPDU):
            raise Refused("reject", (int(answer.apduAbortRejectReason), 0))
        if not answer.apduSrv:
            raise Silent  # the library's own abort: nobody answered
        raise Refused("abort", (int(answer.apduAbortRejectReason), 0))

    async def confirmation(self, apdu: Any) -> None:
        future = self._waiting.get((str(apdu.pduSource), int(apdu.apduInvokeID or 0)))
        if future is not None and not future.done():
            future.set_result(apdu)


def _error_of(answer: Any) -> tuple[int, int]:
    if hasattr(answer, "errorClass"):  # made by the library itself, for a network that it finds no way to
        return int(answer.errorClass), int(answer.errorCode)
    return error_of(bytes(answer.pduData))


class Stack:
    """One place on a BACnet/IP network. `frame` is told (UDP address, sent by us, bytes); `notified` (peer's text, parameters)."""

    def __init__(
        self,
        own: Place,
        broadcast: str | None,
        instance: int,
        timeout_s: float,
        frame: Callable[[Place, bool, bytes], None],
        notified: Callable[[str, bytes], None],
    ) -> None:
        self._timeout_s = timeout_s
        self._broadcast = broadcast
        self._link = _Link(own, broadcast, frame)
        self._ours = _Ours(instance, timeout_s, lambda source, data: notified(str(source), data))
        self._foreign: Any = None

    async def open(self, bbmd: Place | None = None, lifetime_s: int = 300) -> None:
        """Opens the sockets; registers as a foreign device where a BBMD is named. Raises OSError."""
        await self._link.open()
        layer = BIPNormal() if bbmd is None else BIPForeign()
        bind(layer, BVLLCodec(), self._link)
        self._ours.nsap.bind(layer, address=IPv4Address(self._link.place))
        if bbmd is not None:
            self._foreign = layer
            layer.register(IPv4Address(bbmd), lifetime_s)

    @property
    def place(self) -> Place:
        """Our own address and port."""
        return self._link.place

    def close(self) -> None:
        """Gives the port up."""
        if self._foreign is not None:
            self._foreign._stop_tracking_registration()
        self._link.close()

    def peer(self, host: str, port: int) -> Peer:
        """The device at an IPv4 address."""
        address = IPv4Address((host, port))
        return Peer(address, str(address))

    def know(self, said: IAm) -> None:
        """Lets the library cut its segments to what the device takes."""
        from bacpypes3.app import DeviceInfo
        from bacpypes3.basetypes import Segmentation

        found = DeviceInfo(
            said.instance, said.peer.address, said.max_apdu, Segmentation(said.segmentation), said.vendor
        )
        self._ours.device_info_cache.address_cache[said.peer.address] = found

    async def ask(self, peer: Peer, service: int, parameters: bytes) -> bytes:
        """The parameters of the answer. Raises Silent, Refused or Malformed."""
        # The library's own abort comes after `timeout_s`; twice that is for answers of many segments, and for its own mishaps.
        try:
            return await self._ours.ask(peer, service, parameters, 2 * self._timeout_s)
        except (Silent, Refused, Malformed):
            raise
        except Exception as error:  # nothing of the library's may escape
            raise Malformed(f"{type(error).__name__}: {error}") from error

    async def who_is(self, low: int, high: int, wait_s: float, at: Peer | None = None) -> list[IAm]:
        """Those who answer within `wait_s`; for a single instance only the first one, as soon as it has answered."""
        heard: asyncio.Queue[IAm] = asyncio.Queue(4096)
        found: dict[int, IAm] = {}
        self._ours.looked_for.add(heard)
        try:
            to = at.address if at is not None else GlobalBroadcast()
            request = WhoIsRequest(destination=to, deviceInstanceRangeLowLimit=low, deviceInstanceRangeHighLimit=high)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._ours.asap.sap_indication(request)
                    while len(found) < high - low + 1:
                        said = await heard.get()
                        if low <= said.instance <= high:
                            found.setdefault(said.instance, said)
        finally:
            self._ours.looked_for.discard(heard)
        return list(found.values())


def address_text(host: str, port: int) -> str:
    """How a peer's address is written, as the stack compares it."""
    return str(Address(f"{host}:{port}"))
