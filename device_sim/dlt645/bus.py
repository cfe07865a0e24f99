"""DL/T 645 electricity meters on a serial line: what they answer to which request, and their midnights. Not the line, not the tables of values.

Control codes of DL/T 645-2007 clause 5.2.3: 11 read, 12 read on, 13 read address, 08 time for all; answers have bit 7, refusals bit 6, and bit 5
says that more frames follow. In the 1997 edition 01 reads. Nothing can be written: requests of any other kind are refused as not authorised.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from device_sim import line
from device_sim.answer_log import AnswerLog
from device_sim.device import Device
from device_sim.dlt645.frames import Heard, decimal, hear, say, split, wire_address
from device_sim.dlt645.kinds import Image, MeterKind, address
from device_sim.faults import Fault, FaultKind
from device_sim.line import Line, Said

OPTIONS: Final = line.OPTIONS
_ANY: Final = bytes.fromhex("AAAAAAAAAAAA")
_ALL: Final = bytes.fromhex("999999999999")
_READ, _READ_ON, _ADDRESS, _TIME, _READ_1997 = 0x11, 0x12, 0x13, 0x08, 0x01
_ANSWER, _REFUSAL, _MORE = 0x80, 0x40, 0x20
_OTHER_ERROR, _NO_SUCH_DATA, _NOT_AUTHORISED = 0x01, 0x02, 0x04
_LONGEST: Final = 200
_SERIAL_BYTES: Final = 4
_MIDNIGHTS: Final = 62
_DATE, _CLOCK = 0x04000101, 0x04000102
_WITHOUT_TOTAL: Final = frozenset(
    {0x0201, 0x0202, 0x0207, 0x0208, 0x0209}
)  # table A.3: their blocks begin with phase A


class Meter:
    """One meter: its address, its clock, the midnights it has kept, and the rest of a long answer."""

    def __init__(self, device: Device) -> None:
        options = device.options
        self.device = device
        self.kind: MeterKind = replace(device.kind, ratio=int(options.get("transformer_ratio", 1)))
        device.kind = self.kind
        self.address = wire_address(address(device))
        self._blocks = bool(options.get("blocks", True))
        self._longest = min(_LONGEST, int(options.get("longest", _LONGEST)))
        self._offset = timedelta(minutes=int(options.get("utc_offset_minutes", 480)))
        self._midnights: list[tuple[datetime, Image]] = []  # newest first
        self._last: datetime | None = None
        self._rest: tuple[bytes, bytes, int] | None = None  # identifier, what is still to be said, last sequence number
        self.told: datetime | None = None  # the last time that was told to all

    def local(self, now_ms: int, active: Mapping[FaultKind, Fault]) -> datetime:
        """The meter's own clock."""
        jump = active.get(FaultKind.CLOCK_JUMP)
        seconds = now_ms / 1000 + (jump.clock_s if jump is not None else 0.0)
        return datetime.fromtimestamp(seconds, UTC) + self._offset

    def keep_midnights(self, now_ms: int) -> None:
        """Keeps what was shown at each midnight of the true local time since the last call.

        Exact where the plant has not been moved past midnight by somebody else; then it is what was shown at the first look afterwards.
        """
        local = datetime.fromtimestamp(now_ms / 1000, UTC) + self._offset
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if self._last is None:
            self._last = midnight
        while self._last < midnight:
            self._last += timedelta(days=1)
            at_ms = round((self._last - self._offset).timestamp() * 1000)
            self._midnights.insert(0, (self._last, self.device.image(at_ms)))
            del self._midnights[_MIDNIGHTS:]

    def answer(self, heard: Heard, now_ms: int) -> tuple[int, bytes, bool]:
        """Control code and data of the answer, and whether it carries the serial."""
        self.keep_midnights(now_ms)
        active = self.device.faults.active(now_ms)
        asked = heard.control
        if FaultKind.EXCEPTION in active:
            return asked | _ANSWER | _REFUSAL, bytes([active[FaultKind.EXCEPTION].exception_code]), False
        if asked == _ADDRESS and self.kind.edition == 2007:
            return asked | _ANSWER, self.address, False
        read, width = (_READ, 4) if self.kind.edition == 2007 else (_READ_1997, 2)
        if asked == _READ_ON and self.kind.edition == 2007 and self._rest is not None and len(heard.data) == 5:
            return self._go_on(heard.data)
        if asked != read:
            return asked | _ANSWER | _REFUSAL, bytes([_NOT_AUTHORISED]), False
        if len(heard.data) < width:
            return asked | _ANSWER | _REFUSAL, bytes([_OTHER_ERROR]), False
        head = heard.data[:width]
        identifier = int.from_bytes(head, "little")
        carried = identifier == self.kind.serial
        content = self._content(identifier, now_ms, active)
        if content is None:
            return asked | _ANSWER | _REFUSAL, bytes([_NO_SUCH_DATA]), False
        first, rest = content[: self._longest - width - 1], content[self._longest - width - 1 :]
        self._rest = (head, rest, 0) if rest else None
        return asked | _ANSWER | (_MORE if rest else 0), head + first, carried

    def _go_on(self, asked: bytes) -> tuple[int, bytes, bool]:
        assert self._rest is not None
        head, rest, last = self._rest
        sequence = asked[4]
        if asked[:4] != head or sequence != last + 1:
            return _READ_ON | _ANSWER | _REFUSAL, bytes([_NO_SUCH_DATA]), False
        now, later = rest[: self._longest - 5], rest[self._longest - 5 :]
        self._rest = (head, later, sequence) if later else None
        return _READ_ON | _ANSWER | (_MORE if later else 0), head + now + bytes([sequence]), False

    def _content(self, identifier: int, now_ms: int, active: Mapping[FaultKind, Fault]) -> bytes | None:
        """The bytes behind an identifier; None where the meter has no such data."""
        if identifier == self.kind.serial:
            return decimal(self.device.serial, _SERIAL_BYTES)
        image: Image = self.device.image(now_ms)
        if identifier in image:
            return image[identifier]
        if self.kind.edition != 2007:
            return None
        local = self.local(now_ms, active)
        if identifier == _DATE:
            weekday = local.isoweekday() % 7  # 0 is Sunday
            return b"".join(decimal(part, 1) for part in (weekday, local.day, local.month, local.year % 100))
        if identifier == _CLOCK:
            return b"".join(decimal(part, 1) for part in (local.second, local.minute, local.hour))
        if identifier >> 16 == 0x0506:
            return self._frozen(identifier)
        if identifier & 0xFF00 == 0xFF00 and self._blocks:
            return self._block(identifier, image)
        return None

    def _block(self, identifier: int, image: Image) -> bytes | None:
        first = 1 if identifier >> 16 in _WITHOUT_TOTAL else 0
        found = []
        for index in range(first, 64):
            value = image.get(identifier & 0xFFFF00FF | index << 8)
            if value is None:
                break
            found.append(value)
        return b"".join(found) or None

    def _frozen(self, identifier: int) -> bytes | None:
        """Table A.6: 05 06 xx nn, nn midnights back; 00 its time, 01 and 02 import and export in all and by tariff."""
        what, back = identifier >> 8 & 0xFF, identifier & 0xFF
        if not 1 <= back <= len(self._midnights):
            return None
        at, image = self._midnights[back - 1]
        if what == 0:
            parts = (at.minute, at.hour, at.day, at.month, at.year % 100)
            return b"".join(decimal(part, 1) for part in parts)
        if what in {1, 2}:
            return self._block(what << 16 | 0xFF00, image)
        return None


class Meters:
    """The meters of one line. `Spoken` of `device_sim.line`."""

    checksum_at = 2

    def __init__(self, members: Sequence[Device]) -> None:
        self._meters = {meter.address: meter for meter in map(Meter, members)}
        if len(self._meters) < len(members):
            raise ValueError("dlt645: expected each address once on a line, got one twice")

    def split(self, received: bytes) -> tuple[bytes | None, int]:
        """See `Spoken`."""
        return split(received)

    def addressed(self, request: bytes) -> Device | None:
        """The meter with the request's address; AA in front stands for any digits, and with only one meter it is meant."""
        meter = self._meter(hear(request).address)
        return None if meter is None else meter.device

    def answer(self, request: bytes, now_ms: int) -> Said | None:
        """See `Spoken`. The time that is told to all is taken over and not answered."""
        heard = hear(request)
        if heard.address == _ALL and heard.control == _TIME and len(heard.data) == 6:
            self._take_time(heard.data)
            return None
        meter = self._meter(heard.address)
        if meter is None:
            return None
        device = meter.device
        device.serial += 1
        control, data, carried = meter.answer(heard, now_ms)
        active = device.faults.active(now_ms)
        shows = (FaultKind.WRONG_UNIT, FaultKind.EXCEPTION, FaultKind.FROZEN)
        fault = next((kind for kind in shows if kind in active), None)
        sender = meter.address
        if FaultKind.WRONG_UNIT in active:
            sender, carried = _next_address(sender), False
        about = {"control": f"{control:02X}", "identifier": heard.data[:4][::-1].hex().upper()}
        return Said(device, say(sender, control, data), carried, fault, about)

    def told(self, name: str) -> datetime | None:
        """The time that was last told to a meter, on its own clock."""
        return next(meter.told for meter in self._meters.values() if meter.device.name == name)

    def _meter(self, wanted: bytes) -> Meter | None:
        if wanted == _ANY:
            return next(iter(self._meters.values())) if len(self._meters) == 1 else None
        return self._meters.get(wanted)

    def _take_time(self, data: bytes) -> None:
        second, minute, hour, day, month, year = (byte // 16 * 10 + byte % 16 for byte in data)
        try:
            at = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            return
        for meter in self._meters.values():
            meter.told = at
            meter.device.faults.clear(FaultKind.CLOCK_JUMP)


def _next_address(wire: bytes) -> bytes:
    """Another address: one more in the lowest two digits."""
    pair = wire[0] // 16 * 10 + wire[0] % 16
    return decimal((pair + 1) % 100, 1) + wire[1:]


def open_bus(
    members: Sequence[Device], clock: Callable[[], int], log: AnswerLog, host: str, options: Mapping[str, Any]
) -> Line:
    """Serves meters of both editions on one line. See `device_sim.bus`."""
    return Line(members, Meters(members), clock, log, host, options)
