"""Asks one DL/T 645 meter one question over a serial line and believes only the answer to it. Not which questions a meter is asked.

Requests carry no number, so an answer is known by three things: the address, the control code and the data identifier. A late answer to an
earlier question has another identifier and is passed over. A refusal names no identifier: it is believed only where nothing else of this meter
can still be on its way.
"""

from typing import Final

from edge_agent.drivers.dlt645 import frame
from edge_agent.drivers.dlt645.declared import Dlt645Plan
from edge_agent.drivers.dlt645.frame import Frame
from edge_agent.drivers.driver import DeviceMisanswered, DeviceRefused, DeviceUnreachable, Gateway
from edge_agent.drivers.serial_line import Line

_LONGEST_ANSWER: Final = 4096  # bytes of all frames of one answer
_MOST_FRAMES: Final = 32
_PREAMBLE_CHARS: Final = 4


class _Awaited:
    """Says where in the received bytes the awaited answer ends, and remembers what else came."""

    def __init__(self, address: str | None, control: int, head: bytes) -> None:
        self._address = address  # None: whoever answers
        self._control = control
        self._head = head  # what the data of the answer begins with
        self.frame: Frame | None = None
        self.stray = ""

    def complete(self, received: bytes) -> int | None:
        at, self.stray = 0, ""
        while True:
            seen = frame.scan(received[at:])
            if seen.fault:
                self.stray = seen.fault
            if seen.frame is None:
                return None
            at += seen.used
            if self._fits(seen.frame):
                self.frame = seen.frame
                return at

    def _fits(self, seen: Frame) -> bool:
        if not seen.control & frame.FROM_METER:
            return False  # our own question, handed back by the adapter or asked by another master
        if self._address is not None and seen.address != self._address:
            self.stray = f"expected an answer of meter {self._address}, saw one of {seen.address}"
            return False
        bare = seen.control & ~(frame.FROM_METER | frame.REFUSED | frame.MORE)
        if bare != self._control:
            self.stray = f"expected an answer to control code {self._control:02X}, saw {seen.control:02X}"
            return False
        if seen.control & frame.REFUSED:
            return True
        if not seen.data.startswith(self._head):
            told = seen.data[: len(self._head)][::-1].hex().upper()
            self.stray = f"expected data identifier {self._head[::-1].hex().upper()}, saw {told}"
            return False
        return True


class Link:
    """The meters of one line, one question at a time."""

    def __init__(self, line: Line, timeout_s: float, gateway: Gateway) -> None:
        self._line = line
        self._timeout_s = timeout_s
        self._gateway = gateway
        self._doubtful: set[str] = set()  # meters whose last question went unanswered
        self.exchanges = 0
        self.at_ms = 0  # when the last answer (its first frame) had come

    async def data(self, meter: Dlt645Plan, identifier: str, size: int, rest: bytes = b"") -> bytes:
        """The data behind the identifier, of all frames of the answer. Raises DriverError.

        `size` is how long it is expected to be, for the time on the line; `rest` what the question says behind the identifier.
        """
        wire = frame.identifier_bytes(identifier)
        control = frame.READ_2007 if meter.edition == "2007" else frame.READ_1997
        what = f"{meter.name}: meter {meter.address}, identifier {identifier}"
        got = await self._ask(meter, Frame(meter.address, control, wire + rest), wire, size, what)
        self.at_ms = self._gateway.now_ms()
        data = got.data[len(wire) :]
        sequence = 0
        while got.control & frame.MORE:
            if meter.edition == "1997":
                raise DeviceMisanswered(f"{what}: expected one frame, saw that more follow")
            sequence += 1
            if sequence > _MOST_FRAMES or len(data) > _LONGEST_ANSWER:
                raise DeviceMisanswered(
                    f"{what}: expected an end within {_MOST_FRAMES} frames, saw {len(data)} bytes and no end"
                )
            more = Frame(meter.address, frame.READ_ON_2007, wire + bytes((sequence,)))
            got = await self._ask(meter, more, wire, frame.LONGEST_DATA, f"{what}, frame {sequence}")
            # Clause 7.1.2: identifier, data, and the sequence number at the end.
            if len(got.data) <= len(wire) or got.data[-1] != sequence:
                seen = got.data[-1] if len(got.data) > len(wire) else "none"
                raise DeviceMisanswered(f"{what}: expected frame {sequence}, saw {seen}")
            data += got.data[len(wire) : -1]
        return data

    async def address(self) -> str:
        """The address of the only meter on the line (2007 edition). Raises DriverError."""
        request = frame.build(Frame(frame.ANY_ADDRESS, frame.READ_ADDRESS))
        awaited = _Awaited(None, frame.READ_ADDRESS, b"")
        await self._exchange("", request, awaited, f"the only meter on {self._line.wiring.place}", frame.ANY_ADDRESS, 6)
        assert awaited.frame is not None
        if awaited.frame.control & frame.REFUSED or len(awaited.frame.data) != 6:
            raise DeviceMisanswered(f"expected an address of 6 bytes, saw {awaited.frame.data.hex(' ')}")
        return awaited.frame.data[::-1].hex().upper()

    async def tell_all(self, control: int, data: bytes) -> None:
        """Sends to all meters at once; nobody answers. Raises DriverError."""
        request = frame.build(Frame(frame.ALL_ADDRESSES, control, data))
        await self._line.send(request, self._timeout_s, seen=lambda sent, raw: self._gateway.frame("", sent, raw))

    async def _ask(self, meter: Dlt645Plan, question: Frame, head: bytes, size: int, what: str) -> Frame:
        awaited = _Awaited(meter.address, question.control, head)
        request = frame.build(question, meter.preamble)
        doubtful = meter.address in self._doubtful
        self._doubtful.add(meter.address)
        await self._exchange(meter.name, request, awaited, what, meter.address, size)
        assert awaited.frame is not None
        if awaited.frame.control & frame.REFUSED:
            code, words = frame.refusal(awaited.frame.data)
            self._doubtful.discard(meter.address)
            if doubtful:
                raise DeviceMisanswered(f"{what}: a refusal ({words}) that may belong to the question before")
            raise DeviceRefused(what, code, words)
        self._doubtful.discard(meter.address)
        return awaited.frame

    async def _exchange(
        self, device: str, request: bytes, awaited: _Awaited, what: str, addressee: str, size: int
    ) -> None:
        """Sends and waits. What came instead of the answer is named in the error."""
        self.exchanges += 1
        try:
            await self._line.exchange(
                request,
                awaited.complete,
                self._timeout_s,
                addressee=addressee,
                answer_chars=_PREAMBLE_CHARS + len(request) + size,
                seen=lambda sent, raw: self._gateway.frame(device, sent, raw),
            )
        except DeviceMisanswered as fault:
            raise DeviceMisanswered(f"{what}: {awaited.stray or fault}") from fault
        except DeviceUnreachable as fault:
            if awaited.stray:
                raise DeviceMisanswered(f"{what}: {awaited.stray}") from fault
            raise type(fault)(f"{what}: {fault}") from fault
