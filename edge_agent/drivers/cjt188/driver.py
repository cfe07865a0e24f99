"""Reads CJ/T 188 meters on one serial line: one question a meter, one answer. It writes nothing: no valve is ever moved.

An answer is believed when its type, address, control code, data identifier and serial number are those of the question. The serial number counts up
with every question of the line, so a late answer to an earlier one is passed over.
"""

from edge_agent.drivers.cjt188 import frame
from edge_agent.drivers.cjt188.declared import Bus, Cjt188Plan, line
from edge_agent.drivers.cjt188.frame import Frame, Status
from edge_agent.drivers.cjt188.layout import Mismatch
from edge_agent.drivers.driver import Answer, DeviceMisanswered, DeviceRefused, DeviceUnreachable, Gateway
from edge_agent.drivers.serial_line import Line, Wiring


class _Awaited:
    """Says where in the received bytes the awaited answer ends, and remembers what else came."""

    def __init__(self, meter: Cjt188Plan, question: bytes) -> None:
        self._meter = meter
        self._question = question  # DI0 DI1 SER
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
        meter = self._meter
        if not seen.control & frame.FROM_METER:
            return False  # our own question, handed back by the adapter or asked by another master
        if (seen.address, seen.type) != (meter.address, meter.type):
            self.stray = (
                f"expected an answer of meter {meter.address} of type {meter.type:02X},"
                f" saw one of {seen.address} of type {seen.type:02X}"
            )
            return False
        if seen.control & ~frame.REFUSED != frame.READ | frame.FROM_METER:
            self.stray = f"expected control code {frame.READ | frame.FROM_METER:02X}, saw {seen.control:02X}"
            return False
        if seen.control & frame.REFUSED:
            return self._same_serial(seen.data[:1])
        if seen.data[:2] != self._question[:2]:
            expected, saw = self._question[:2].hex(" ").upper(), seen.data[:2].hex(" ").upper()
            self.stray = f"expected data identifier {expected} as asked, saw {saw}"
            return False
        return self._same_serial(seen.data[2:3])

    def _same_serial(self, serial: bytes) -> bool:
        if serial == self._question[2:] or (serial and not self._meter.echoes):
            return True
        self.stray = f"expected serial number {self._question[2]}, saw {serial[0] if serial else 'none'}"
        return False


class Cjt188:
    """A `Driver` for one line."""

    listens = False

    def __init__(self, bus: Bus, gateway: Gateway) -> None:
        self._timeout_s = bus.timeout_s
        self._gateway = gateway
        self._line = Line(Wiring.of(bus), echo=bus.echo)
        self._serial = 0

    async def read(self, device: Cjt188Plan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        """See `Driver.read`. There is one request, so a deadline leaves nothing out."""
        del deadline_s
        if counters_only and not device.has_counters:
            return Answer()
        data = await self._ask(device)
        at_ms = self._gateway.now_ms()
        try:
            return Answer([device.layout.decode(device.name, data, at_ms)], requests=1)
        except Mismatch as mismatch:
            raise DeviceMisanswered(f"{device.name}: {mismatch}") from mismatch

    def requests(self, device: Cjt188Plan) -> tuple[str, ...]:
        """The one question."""
        return (line(device),)

    async def close(self) -> None:
        """Closes the port; the next read opens it again."""
        await self._line.close()

    async def _ask(self, meter: Cjt188Plan) -> bytes:
        """What stands behind DI0 DI1 SER in the answer. Raises DriverError."""
        question = frame.question(frame.METERING_DATA, self._serial, low_first=meter.low_first)
        self._serial = (self._serial + 1) % 256
        request = frame.build(Frame(meter.type, meter.address, frame.READ, question), meter.preamble)
        awaited = _Awaited(meter, question)
        what = f"{meter.name}: meter {meter.address}"
        try:
            await self._line.exchange(
                request,
                awaited.complete,
                self._timeout_s,
                addressee=meter.address,
                answer_chars=len(request) + meter.layout.size,
                seen=lambda sent, raw: self._gateway.frame(meter.name, sent, raw),
            )
        except DeviceMisanswered as fault:
            raise DeviceMisanswered(f"{what}: {awaited.stray or fault}") from fault
        except DeviceUnreachable as fault:
            if awaited.stray:
                raise DeviceMisanswered(f"{what}: {awaited.stray}") from fault
            raise type(fault)(f"{what}: {fault}") from fault
        assert awaited.frame is not None
        if awaited.frame.control & frame.REFUSED:
            raise _refusal(what, awaited.frame.data)
        return awaited.frame.data[len(question) :]


def _refusal(what: str, data: bytes) -> DeviceRefused:
    """A refusal carries the serial number and the status word."""
    status = Status(int.from_bytes(data[1:3], "little"))
    words = f"valve {status.valve}, battery {'low' if status.battery_low else 'good'}"
    return DeviceRefused(what, status.word, words)


def open_driver(bus: Bus, gateway: Gateway) -> Cjt188:
    """A driver that opens its port at its first read."""
    return Cjt188(bus, gateway)
