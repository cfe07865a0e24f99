"""One serial line, at a port of this machine or behind a transparent serial server: a request goes out, its whole answer comes back. Not a protocol.

    silence | request | turnaround of the device | answer | silence | ...

Who asks says with `complete` where an answer ends. Bytes that came before a request are never part of its answer. An answer that is still
owed after a time-out is waited for, and dropped, before the same device is asked again: no late answer is taken for the next one.
"""

import asyncio
import logging
import os
import termios
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from edge_agent.drivers.declared import SerialBus
from edge_agent.drivers.driver import BusUnreachable, DeviceMisanswered, DeviceUnreachable, DriverError

log = logging.getLogger(__name__)

Complete = Callable[[bytes], int | None]
Seen = Callable[[bool, bytes], None]

_SILENT_CHARS: Final = 3.5  # MODBUS over Serial Line V1.02, 2.5.1.1; above 19200 baud a fixed time
_FAST_BAUD: Final = 19_200
_FAST_SILENCE_S: Final = 0.001_75
_LONGEST_BUFFER: Final = 4096
_LONGEST_CHATTER_S: Final = 2.0
_GAP_S: Final = (
    0.25  # silence within an answer after which no more is awaited; USB adapters and servers pause up to 0.1 s
)
_SERVER_GAP_S: Final = 0.5
_BEGUN: Final = 5  # fewer bytes can be a glitch of the line's turning round, and the answer yet to come
_SILENCES: Final = 3  # unanswered requests in a row after which the connection to a serial server is opened afresh


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where the line is (`serial`: a port such as "/dev/ttyUSB0"; else `host` and `port` of a transparent serial server) and how it runs.

    With a server, baud, parity and stop bits are those of the line behind it: they give the bus time.
    """

    serial: str | None = None
    host: str | None = None
    port: int | None = None
    baud: int = 9600
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: int = 1

    @classmethod
    def of(cls, bus: SerialBus) -> "Wiring":
        """As a bus of an edge file says it."""
        return cls(bus.serial, bus.host, bus.port, bus.baud, bus.parity, bus.stop_bits)

    @property
    def place(self) -> str:
        """As it is named in messages."""
        return self.serial if self.serial is not None else f"{self.host}:{self.port}"

    @property
    def char_s(self) -> float:
        """Seconds of one character: start bit, 8 data bits, parity, stop bits."""
        return (9 + (self.parity != "none") + self.stop_bits) / self.baud

    @property
    def silence_s(self) -> float:
        """Seconds of silence that part two frames."""
        return _FAST_SILENCE_S if self.baud > _FAST_BAUD else _SILENT_CHARS * self.char_s


@dataclass(slots=True)
class _Owed:
    """An answer that has not come: how to know it, and until when (loop time) it can still come."""

    complete: Complete
    until_s: float


class Line:
    """One line, asked by one task at a time; connects at the first request and again whenever the connection is lost."""

    def __init__(
        self, wiring: Wiring, *, pause_s: float = 0.0, echo: bool = False, connect_pause_s: float = 0.0
    ) -> None:
        """`pause_s`: at least so long a silence before each request, for devices that need more than 3.5 characters. `echo`: the adapter
        hands our own bytes back. `connect_pause_s`: how long a serial server wants to be left alone after the connection."""
        self.wiring = wiring
        self.char_s = wiring.char_s
        self._quiet_s = max(wiring.silence_s, pause_s)
        self._echo = echo
        self._connect_pause_s = connect_pause_s
        self._end: _End | None = None
        self._buffer = bytearray()
        self._last_s = float("-inf")  # when the last character was on the line, loop time
        self._arrival: asyncio.Future[None] | None = None
        self._owed: dict[Hashable, _Owed] = {}
        self._silences = 0
        self._turn = asyncio.Lock()

    async def exchange(
        self,
        request: bytes,
        complete: Complete,
        timeout_s: float,
        *,
        addressee: Hashable = None,
        answer_chars: int = 0,
        seen: Seen | None = None,
    ) -> bytes:
        """Sends `request` and gives what came back, up to the end of the answer.

        `complete(received)` gives the length up to the end of the answer, None while more must come, and may raise DriverError for what
        cannot become one. It is asked again after each arrival, so foreign frames and noise in front of the answer are its to skip.
        `timeout_s` is the device's time; the time of the request's and of `answer_chars` characters on the line is added.
        `addressee`: who is asked (an address): only the same one is left alone while it owes an answer.
        `seen(sent by us, bytes)` gets everything that was on the line. Raises BusUnreachable, DeviceUnreachable, DeviceMisanswered.
        """
        async with self._turn:
            loop = asyncio.get_running_loop()
            await self._connect(timeout_s)
            await self._settle(addressee)
            await self._silence()
            await self._hear()
            self._buffer.clear()
            allowed_s = (len(request) + answer_chars) * self.char_s + timeout_s
            deadline_s = loop.time() + allowed_s
            self._owed[addressee] = _Owed(complete, deadline_s + allowed_s)
            await self._send(request, seen)
            try:
                length = await self._answer(request, complete, deadline_s)
            except (DeviceMisanswered, _GapError) as fault:
                if (owed := self._owed.get(addressee)) is not None:
                    owed.until_s = deadline_s
                if isinstance(fault, DeviceMisanswered):
                    raise
                raise DeviceMisanswered(self._incomplete(request)) from fault
            except TimeoutError:
                raise self._silent(request, timeout_s) from None
            finally:
                if seen is not None and self._buffer:
                    seen(False, bytes(self._buffer))
            self._owed.pop(addressee, None)
            self._silences = 0
            start = len(request) if self._echo else 0
            return bytes(self._buffer[start : start + length])

    async def send(self, request: bytes, timeout_s: float = 1.0, *, seen: Seen | None = None) -> None:
        """Sends a request that nobody answers, and waits while its characters are on the line."""
        async with self._turn:
            await self._connect(timeout_s)
            await self._silence()
            await self._send(request, seen)
            await asyncio.sleep(len(request) * self.char_s)

    async def close(self) -> None:
        """Gives the port or connection up; the next request opens it again."""
        self.drop()

    async def _connect(self, timeout_s: float) -> None:
        if self._end is not None:
            return
        try:
            if self.wiring.serial is not None:
                self._end = _SerialEnd(self.wiring, self._feed, self._ended)
            else:
                assert self.wiring.host is not None
                assert self.wiring.port is not None
                async with asyncio.timeout(timeout_s):
                    _, self._end = await asyncio.get_running_loop().create_connection(
                        lambda: _ServerEnd(self._feed, self._ended), self.wiring.host, self.wiring.port
                    )
        except TimeoutError as error:
            raise BusUnreachable(f"{self.wiring.place}: no connection within {timeout_s:g} s") from error
        except (OSError, ValueError) as error:
            raise BusUnreachable(f"{self.wiring.place}: {error}") from error
        self._silences = 0
        if self._connect_pause_s:
            await asyncio.sleep(self._connect_pause_s)

    def drop(self) -> None:
        """See `close`. What was owed on this connection cannot come on the next."""
        end, self._end = self._end, None
        self._owed.clear()
        if end is not None:
            end.close()

    def _feed(self, data: bytes) -> None:
        """Bytes have come. Unasked ones are kept only as far as an owed answer could be among them."""
        self._last_s = asyncio.get_running_loop().time()
        room = _LONGEST_BUFFER - len(self._buffer)
        self._buffer += data[:room]
        self._wake()

    def _ended(self, end: "_End") -> None:
        if end is self._end:
            self.drop()
            self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    async def _arrived(self, until_s: float) -> bool:
        """Waits for the next bytes or the end of the connection; False at `until_s` (loop time)."""
        loop = asyncio.get_running_loop()
        wait_s = until_s - loop.time()
        if wait_s <= 0:
            return False
        self._arrival = loop.create_future()
        timer = loop.call_later(wait_s, self._arrival.cancel)
        arrival = self._arrival
        try:
            await asyncio.wait((arrival,))
            return not arrival.cancelled()
        finally:
            timer.cancel()
            self._arrival = None

    async def _settle(self, addressee: Hashable) -> None:
        """Waits for the answer that `addressee` still owes, or until it cannot come any more."""
        owed = self._owed.pop(addressee, None)
        while owed is not None and self._end is not None and not _is_whole(owed.complete, bytes(self._buffer)):
            if len(self._buffer) >= _LONGEST_BUFFER:
                self._buffer.clear()
            if not await self._arrived(owed.until_s):
                return

    async def _silence(self) -> None:
        """Waits until the line has been silent for long enough."""
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + _LONGEST_CHATTER_S + self._quiet_s
        while (wait_s := self._last_s + self._quiet_s - loop.time()) > 0:
            if loop.time() >= give_up_s:
                raise BusUnreachable(
                    f"{self.wiring.place}: expected a silent line, saw bytes for {_LONGEST_CHATTER_S} s"
                )
            self._buffer.clear()
            await asyncio.sleep(wait_s)

    @staticmethod
    async def _hear() -> None:
        """Lets the event loop take in what the operating system already holds: once round to look, once round to take."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _send(self, request: bytes, seen: Seen | None) -> None:
        if self._end is None:  # lost while waiting for silence
            await self._connect(_LONGEST_CHATTER_S)
        assert self._end is not None
        try:
            self._end.write(request)
        except OSError as error:
            self.drop()
            raise BusUnreachable(f"{self.wiring.place}: {error}") from error
        self._last_s = asyncio.get_running_loop().time() + len(request) * self.char_s
        if seen is not None:
            seen(True, request)

    async def _answer(self, request: bytes, complete: Complete, deadline_s: float) -> int:
        """The length of the answer that is in the buffer, behind the echo where there is one. TimeoutError, _GapError, DriverError."""
        gap_s = _GAP_S if self.wiring.serial is not None else _SERVER_GAP_S
        start = len(request) if self._echo else 0
        checked = 0
        while True:
            if len(self._buffer) > checked:
                checked = len(self._buffer)
                if self._echo and self._buffer[:start] != request[:checked]:
                    raise DeviceMisanswered(
                        f"{self.wiring.place}: expected the echo of {request.hex(' ')}, saw {self._buffer[:start].hex(' ')}"
                    )
                if checked > start and (length := complete(bytes(self._buffer[start:]))) is not None:
                    return length
                if checked >= _LONGEST_BUFFER:
                    raise DeviceMisanswered(f"{self.wiring.place}: expected an answer, saw {checked} bytes without one")
            if self._end is None:
                raise DeviceUnreachable(f"{self.wiring.place}: the connection was closed before the answer")
            begun = checked >= start + _BEGUN
            until_s = min(deadline_s, self._last_s + gap_s) if begun else deadline_s
            if not await self._arrived(until_s):
                raise TimeoutError if until_s >= deadline_s else _GapError

    def _silent(self, request: bytes, timeout_s: float) -> DeviceUnreachable | DeviceMisanswered:
        if len(self._buffer) > (len(request) if self._echo else 0):
            return DeviceMisanswered(self._incomplete(request))
        self._silences += 1
        if self._silences >= _SILENCES and self.wiring.serial is None:
            self.drop()  # a dead connection looks like silent devices
        return DeviceUnreachable(f"{self.wiring.place}: no answer within {timeout_s:g} s")

    def _incomplete(self, request: bytes) -> str:
        seen = self._buffer[len(request) if self._echo else 0 :]
        more = "" if len(seen) <= 32 else f" and {len(seen) - 32} bytes more"
        hint = (
            " (our own request: does the adapter echo? then echo = true)" if not self._echo and seen == request else ""
        )
        return f"{self.wiring.place}: expected a whole answer, saw {seen[:32].hex(' ')}{more}{hint}"


class _GapError(Exception):
    """An answer has begun and does not go on."""


def _is_whole(complete: Complete, received: bytes) -> bool:
    try:
        return bool(received) and complete(received) is not None
    except DriverError:
        return False


class _End(Protocol):
    """Our end of a port or connection."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class _SerialEnd:
    """A serial port of this machine. Raises OSError or ValueError where it cannot be opened as asked."""

    def __init__(self, wiring: Wiring, feed: Callable[[bytes], None], ended: Callable[[_End], None]) -> None:
        self._port: Any = _opened(wiring)
        self._fd: int = self._port.fileno()
        self._loop = asyncio.get_running_loop()
        self._feed, self._ended = feed, ended
        self._unsent = b""
        os.set_blocking(self._fd, False)
        self._loop.add_reader(self._fd, self._readable)

    def write(self, data: bytes) -> None:
        """Gives the bytes to the operating system; what it does not take at once follows when it does."""
        if self._unsent:
            raise OSError("the port takes no bytes")
        self._put(data)

    def _put(self, data: bytes) -> None:
        try:
            taken = os.write(self._fd, data)
        except BlockingIOError:
            taken = 0
        had, self._unsent = self._unsent, data[taken:]
        if self._unsent and not had:
            self._loop.add_writer(self._fd, self._writable)
        elif had and not self._unsent:
            self._loop.remove_writer(self._fd)

    def _writable(self) -> None:
        try:
            self._put(self._unsent)
        except OSError:
            self._ended(self)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _LONGEST_BUFFER)
        except BlockingIOError:
            return
        except OSError as error:
            log.info("serial_port_lost error=%s", error)
            data = b""
        if data:
            self._feed(data)
        else:
            self._ended(self)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._port.close()


def _opened(wiring: Wiring) -> Any:
    """The port, set as asked. Raises OSError or ValueError."""
    import serial  # only gateways with a serial port need it

    assert wiring.serial is not None
    keys = {"stopbits": wiring.stop_bits, "timeout": 0, "exclusive": True}
    try:
        return serial.Serial(wiring.serial, wiring.baud, parity=wiring.parity[0].upper(), **keys)
    except termios.error as error:  # not an OSError
        if not os.path.realpath(wiring.serial).startswith("/dev/pts/"):
            raise OSError(f"the port cannot be set to {wiring.baud} baud, parity {wiring.parity}: {error}") from error
    try:  # a pseudo-terminal has no parity, and says so only when nothing else is to be changed
        return serial.Serial(wiring.serial, wiring.baud, parity="N", **keys)
    except termios.error as error:
        raise OSError(str(error)) from error


class _ServerEnd(asyncio.Protocol):
    """A connection to a transparent serial server."""

    def __init__(self, feed: Callable[[bytes], None], ended: Callable[[_End], None]) -> None:
        self._feed, self._ended = feed, ended
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._ended(self)

    def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("closed by the other side")
        self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
