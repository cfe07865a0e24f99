"""The UDP port of a simulated BACnet device, and what network and power supply do to its datagrams. Not what stands in them."""

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bacpypes3.comm import Server
from bacpypes3.pdu import PDU, IPv4Address, LocalBroadcast

from device_sim.device import Device
from device_sim.faults import FaultKind

log = logging.getLogger(__name__)

_IN_HAND: Final = 256


@dataclass(slots=True)
class Entry:
    """What the log will say of the answer that is being made."""

    serial: int
    at_ms: int
    carried: bool
    fault: str | None
    what: str


class Wire(Server):  # type: ignore[misc]
    """One UDP port, and what the network and the device's power supply do to its datagrams."""

    def __init__(self, device: Device, clock: Callable[[], int], sent: Callable[[Entry], None]) -> None:
        super().__init__()
        self._device = device
        self._clock = clock
        self._sent = sent
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._last = b""
        self._own: tuple[str, int] = ("", 0)
        self.entry: Entry | None = None
        self.restart: Callable[[], None] = lambda: None

    async def open(self, host: str, port: int) -> int:
        """Opens the port (0: the system chooses) and gives its number. Raises OSError."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.bind((host, port))
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_datagram_endpoint(partial(_End, self), sock=sock)
        except OSError:
            sock.close()
            raise
        self._own = sock.getsockname()
        return self._own[1]

    def close(self) -> None:
        """Ends what is under way."""
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        if self._transport is not None:
            self._transport.close()

    def received(self, data: bytes, place: tuple[str, int]) -> None:
        """A datagram from the network."""
        active = self._device.faults.active(self._clock())
        if FaultKind.REBOOT in active:
            self.restart()
            return
        if FaultKind.SILENCE in active or len(data) < 4 or data[0] != 0x81 or len(self._tasks) >= _IN_HAND:
            return
        to = IPv4Address(self._own) if data[1] == 0x0A else LocalBroadcast()
        task = asyncio.get_running_loop().create_task(self._up(PDU(data, source=IPv4Address(place), destination=to)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _up(self, pdu: Any) -> None:
        try:
            await self.response(pdu)
        except Exception as error:  # noqa: BLE001 - the library raises anything on bytes that are no frame
            log.debug("datagram dropped reason=%r", error)

    async def indication(self, pdu: Any) -> None:
        """A datagram of the device's, on its way out."""
        to = pdu.pduDestination
        if isinstance(to, LocalBroadcast):
            return  # on the loopback interface nobody hears it
        place = to.addrTuple if isinstance(to, IPv4Address) else IPv4Address(to).addrTuple
        active = self._device.faults.active(self._clock())
        if FaultKind.SILENCE in active or FaultKind.REBOOT in active:
            return
        entry, self.entry = self.entry, None
        data = bytes(pdu.pduData)
        if FaultKind.STALE in active and self._last:
            data, entry = self._last, _not_carried(entry, FaultKind.STALE)
        elif FaultKind.STALE not in active:
            self._last = data
        if FaultKind.WRONG_CHECKSUM in active:
            return  # the receiving system throws such a datagram away
        if FaultKind.HALF_FRAME in active:
            data, entry = data[: len(data) // 2], _not_carried(entry, FaultKind.HALF_FRAME)
        late = active.get(FaultKind.DELAY)
        if late is None:
            self._send(data, place, entry)
            return
        if entry is not None:
            entry.fault = entry.fault or FaultKind.DELAY.value
        loop = asyncio.get_running_loop()
        self._timers = {timer for timer in self._timers if timer.when() >= loop.time()}
        self._timers.add(loop.call_later(late.delay_s, self._send, data, place, entry))

    def _send(self, data: bytes, place: tuple[str, int], entry: Entry | None) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.sendto(data, place)
        if entry is not None:
            self._sent(entry)


def _not_carried(entry: Entry | None, kind: FaultKind) -> Entry | None:
    if entry is not None:
        entry.carried, entry.fault = False, kind.value
    return entry


class _End(asyncio.DatagramProtocol):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._wire.received(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """A client that has gone."""
