"""What a Modbus device answers to one request, by its register map. Not the network, not the map.

MODBUS Application Protocol Specification V1.1b3: section 6.3 and 6.4 (reads), 6.6 and 6.12 (writes), 7 (exceptions).
"""

import struct
from dataclasses import dataclass
from typing import Final, Protocol

from device_sim.device import Device, Kind
from device_sim.electrical import View
from device_sim.faults import FaultKind

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
_READS: Final = (3, 4)
_RANGE: Final = struct.Struct(">HH")  # address, and the word after it, which is the count in reads and block writes


class RegisterKind(Kind, Protocol):
    """A device model with registers."""

    @property
    def functions(self) -> frozenset[int]: ...
    @property
    def max_registers(self) -> int: ...
    @property
    def serial_addresses(self) -> tuple[int, ...]: ...
    def write(self, view: View, values: dict[int, int]) -> None:
        """Takes written registers; LookupError: not writable, ValueError: out of range."""


def listed(kind: RegisterKind, device: Device) -> dict[str, object]:
    """What a reader must know; serials lie in `table`."""
    table = "holding" if 3 in kind.functions else "input"
    return {"unit": device.unit, "table": table, "serial_addresses": list(kind.serial_addresses)}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client, and what the log will say of it. `carried`: the client has seen the serial."""

    pdu: bytes
    unit: int
    serial: int
    at_ms: int
    address: int
    count: int
    carried: bool
    fault: str | None


def answer(device: Device, function: int, content: bytes, now_ms: int) -> Answer:
    """Answers one request (its PDU without the function code) at an instant. Whether and when it is sent is not decided here."""
    device.plant.advance(now_ms)
    active = device.faults.active(now_ms)
    device.serial += 1
    address, count, carried = 0, 0, False
    fault = active.get(FaultKind.EXCEPTION)
    known = function in device.kind.functions
    try:
        if known or len(content) >= _RANGE.size:
            address, count = _RANGE.unpack_from(content)
        if fault is not None:
            pdu = _exception(function, fault.exception_code)
        elif not known:
            pdu = _exception(function, ILLEGAL_FUNCTION)
        elif function in _READS:
            pdu, carried = _read(device, function, address, count, now_ms)
        else:
            pdu, count = _write(device, function, content, now_ms)
    except LookupError:
        pdu = _exception(function, ILLEGAL_ADDRESS)
    except (ValueError, struct.error):
        pdu = _exception(function, ILLEGAL_VALUE)
    unit = device.unit
    if FaultKind.WRONG_UNIT in active:
        unit, carried = unit % 247 + 1, False
    shown = next(
        (kind.value for kind in (FaultKind.EXCEPTION, FaultKind.WRONG_UNIT, FaultKind.FROZEN) if kind in active),
        None,
    )
    return Answer(pdu, unit, device.serial, now_ms, address, count, carried, shown)


def _read(device: Device, function: int, address: int, count: int, now_ms: int) -> tuple[bytes, bool]:
    if not 1 <= count <= device.kind.max_registers:
        raise ValueError(count)
    image = device.image(now_ms)
    carried = False
    for pair in device.kind.serial_addresses:
        image.uint32(pair, device.serial)
        carried = carried or (address <= pair and pair + 2 <= address + count)
    registers = image.read(address, count)
    return bytes((function, len(registers))) + registers, carried


def _write(device: Device, function: int, content: bytes, now_ms: int) -> tuple[bytes, int]:
    address = int.from_bytes(content[:2], "big")
    if function == 6:
        (value,) = struct.unpack(">H", content[2:])
        words: tuple[int, ...] = (value,)
    else:
        count, size = struct.unpack(">HB", content[2:5])
        if not 1 <= count <= 123 or size != 2 * count:
            raise ValueError(count)
        words = struct.unpack(f">{count}H", content[5:])
    device.kind.write(device.view(now_ms), {address + index: word for index, word in enumerate(words)})
    return bytes((function,)) + content[:4], len(words)


def _exception(function: int, code: int) -> bytes:
    return bytes((function | 0x80, code))
