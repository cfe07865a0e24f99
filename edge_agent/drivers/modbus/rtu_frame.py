"""Modbus RTU frames: unit, function, content, CRC-16. Not when they are sent, nor what registers mean.

MODBUS over Serial Line V1.02, 2.5.1 and appendix 6.2 (CRC); Modbus Application Protocol V1.1b3, section 6 (functions).
"""

import struct
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 256
READ_HOLDING: Final = 3
READ_INPUT: Final = 4
WRITE_ONE: Final = 6
WRITE_MANY: Final = 16
ANSWER_FRAME: Final = 5  # unit, function, byte count, CRC around the registers of a read
_EXCEPTION: Final = 0x80
_EXCEPTION_LENGTH: Final = 5
_ECHOED: Final = 8  # the answer to a write repeats address and value, or address and count


def _table() -> tuple[int, ...]:
    turned = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        turned.append(crc)
    return tuple(turned)


_TABLE: Final = _table()


def crc16(data: bytes) -> int:
    """The checksum; on the wire its low byte comes first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def framed(unit: int, pdu: bytes) -> bytes:
    """A whole frame."""
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def sound(frame: bytes) -> bool:
    """Whether the checksum fits."""
    return len(frame) >= 4 and crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")


def read(unit: int, function: int, start: int, count: int) -> bytes:
    """The request for `count` registers from `start`."""
    return framed(unit, struct.pack(">BHH", function, start, count))


def write_one(unit: int, address: int, word: bytes) -> bytes:
    """The request that sets one holding register."""
    return framed(unit, struct.pack(">BH2s", WRITE_ONE, address, word))


def write_many(unit: int, start: int, words: bytes) -> bytes:
    """The request that sets holding registers."""
    return framed(unit, struct.pack(">BHHB", WRITE_MANY, start, len(words) // 2, len(words)) + words)


@dataclass(frozen=True, slots=True)
class Expected:
    """The answer that one request is waiting for; finds it among noise, echoes and other units' frames."""

    unit: int
    function: int
    content: int | bytes  # of a read: how many bytes of registers; of a write: the four bytes that come back

    @classmethod
    def to_read(cls, unit: int, function: int, count: int) -> "Expected":
        """The answer to a read of `count` registers."""
        return cls(unit, function, 2 * count)

    @classmethod
    def to_write(cls, request: bytes) -> "Expected":
        """The answer to a write."""
        return cls(request[0], request[1], request[2:6])

    @property
    def length(self) -> int:
        """Bytes of the whole frame."""
        return _ECHOED if isinstance(self.content, bytes) else ANSWER_FRAME + self.content

    def find(self, received: bytes) -> bytes | None:
        """The first whole frame with a right checksum, an exception included."""
        at = received.find(self.unit)
        while 0 <= at <= len(received) - _EXCEPTION_LENGTH:
            length = self._length_at(received, at)
            if length is not None and sound(frame := received[at : at + length]) and len(frame) == length:
                return frame
            at = received.find(self.unit, at + 1)
        return None

    def complete(self, received: bytes) -> int | None:
        """How many bytes there are up to the end of the answer; None: not yet."""
        frame = self.find(received)
        return None if frame is None else received.index(frame) + len(frame)

    def _length_at(self, received: bytes, at: int) -> int | None:
        function = received[at + 1]
        if function == self.function | _EXCEPTION:
            return _EXCEPTION_LENGTH
        if function != self.function:
            return None
        if isinstance(self.content, bytes):
            return _ECHOED if received[at + 2 : at + 6] == self.content else None
        return self.length if received[at + 2] == self.content else None

    def saw(self, received: bytes) -> str:
        """What came instead of the answer, for people."""
        head = received[:16].hex(" ") + (" ..." if len(received) > 16 else "")
        if len(received) >= 4 and sound(received):
            return f"expected an answer of unit {self.unit} to function {self.function}, saw {_named(received)}: {head}"
        if received[:2] == bytes((self.unit, self.function)) and len(received) < self.length:
            return f"expected {self.length} bytes, saw the first {len(received)}: {head}"
        if received[:2] == bytes((self.unit, self.function)) and len(received) == self.length:
            return (
                f"expected the checksum {crc16(received[:-2]).to_bytes(2, 'little').hex(' ')}, "
                f"saw {received[-2:].hex(' ')}: {head}"
            )
        return f"expected a frame of {self.length} bytes, saw {len(received)} bytes that are none: {head}"


def _named(frame: bytes) -> str:
    kind = f"exception of function {frame[1] & 0x7F}" if frame[1] & _EXCEPTION else f"function {frame[1]}"
    return f"unit {frame[0]}, {kind}, {len(frame)} bytes"


def exception(frame: bytes) -> int | None:
    """The exception code of an answer, None where it is none."""
    return frame[2] if frame[1] & _EXCEPTION else None


def registers(frame: bytes) -> bytes:
    """The register bytes of an answer to a read."""
    return frame[3:-2]
