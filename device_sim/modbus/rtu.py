"""Modbus RTU units on a serial line: their frames and whose each request is. Not the line itself, nor what the registers hold.

Frames as in "MODBUS over Serial Line V1.02", 2.5.1: unit, function, content, CRC-16 low byte first. Units that are not there are silent.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from device_sim import line
from device_sim.answer_log import AnswerLog
from device_sim.device import Device
from device_sim.faults import FaultKind
from device_sim.line import Line, Said
from device_sim.modbus import answers as modbus_answers

OPTIONS: Final = line.OPTIONS
_LONGEST: Final = 256
_SHORTEST: Final = 4
_FIXED: Final = 8  # requests of functions 1 to 6
_BLOCKS: Final = (15, 16)  # requests that say their length


def crc(data: bytes) -> bytes:
    """The two checksum bytes behind `data`."""
    remainder = 0xFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0xA001 if remainder & 1 else 0)
    return remainder.to_bytes(2, "little")


def _sound(frame: bytes) -> bool:
    return _SHORTEST <= len(frame) <= _LONGEST and crc(frame[:-2]) == frame[-2:]


class Rtu:
    """See `line.Spoken`."""

    checksum_at = 1

    def __init__(self, members: Sequence[Device]) -> None:
        self._units = {device.unit: device for device in members}

    def split(self, received: bytes) -> tuple[bytes | None, int]:
        """The first sound request, whatever noise stands in front of it.

        The length of an unknown function's request cannot be told from its bytes, on a real line only from the silence behind it: it is
        taken where it is all that has come.
        """
        for at in range(len(received) - _FIXED + 1):
            length = 9 + received[at + 6] if received[at + 1] in _BLOCKS else _FIXED
            if _sound(frame := received[at : at + length]) and len(frame) == length:
                return frame, at + length
        if _sound(received):
            return received, len(received)
        return None, max(0, len(received) - _LONGEST)

    def addressed(self, request: bytes) -> Device | None:
        """See `line.Spoken`; 0 means everybody, and nobody answers."""
        return self._units.get(request[0]) if request[0] else None

    def answer(self, request: bytes, now_ms: int) -> Said | None:
        """See `line.Spoken`."""
        device = self.addressed(request)
        if device is None:
            return None
        answer = modbus_answers.answer(device, request[1], request[2:-2], now_ms)
        body = bytes((answer.unit,)) + answer.pdu
        fault = None if answer.fault is None else FaultKind(answer.fault)
        about = {"unit": answer.unit, "address": answer.address, "count": answer.count}
        return Said(device, body + crc(body), answer.carried, fault, about)


def open_bus(
    members: Sequence[Device], clock: Callable[[], int], log: AnswerLog, host: str, options: Mapping[str, Any]
) -> Line:
    """Serves `members` by their unit ids. See `device_sim.bus`."""
    return Line(members, Rtu(members), clock, log, host, options)
