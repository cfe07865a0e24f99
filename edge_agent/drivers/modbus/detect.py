"""What commissioning finds out about Modbus devices: the framing behind a TCP port, and whether a model's word order is the device's. Reads only."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from edge_agent.drivers.driver import Answer, BusUnreachable
from edge_agent.drivers.modbus import rtu_frame
from edge_agent.drivers.modbus.declared import ModbusPlan
from edge_agent.drivers.modbus.registers import Field
from wire.block import scaled

_HEADER: Final = struct.Struct(">HHHB")  # transaction, protocol, length, unit: MODBUS Messaging on TCP/IP V1.0b, 3.1
_FUNCTION: Final = {"holding": rtu_frame.READ_HOLDING, "input": rtu_frame.READ_INPUT}
_LEAST_VOTES: Final = 2
_MAJORITY: Final = 3
_LEAST_MEASURED: Final = (
    1e-6  # no meter shows less, in any unit; exchanged words of a float are mostly far below, or far above
)
_FAR_APART: Final = 256


@dataclass(frozen=True, slots=True)
class Framing:
    """`protocol` is what the edge file should say ("modbus_tcp", "modbus_rtu"), None where nothing that is either came back."""

    protocol: Literal["modbus_tcp", "modbus_rtu"] | None
    text: str


async def framing(
    host: str, port: int, unit: int, *, table: str = "holding", start: int = 0, count: int = 1, timeout_s: float = 1.0
) -> Framing:
    """Asks `unit` for the given registers in both framings, Modbus TCP first, each over a connection of its own.

    Any answer tells, an exception too. Bytes that are Modbus TCP are nothing to a unit on a serial line: their checksum is made sure to be
    wrong there. Raises BusUnreachable where there is no connection.
    """
    function, place = _FUNCTION[table], f"{host}:{port}"
    tcp = _tcp_request(unit, function, start, count)
    said = await _said(host, port, tcp, timeout_s, lambda received: _is_tcp(received, tcp))
    if _is_tcp(said, tcp):
        return Framing("modbus_tcp", f"{place}: speaks Modbus TCP")
    expected = rtu_frame.Expected.to_read(unit, function, count)
    request = rtu_frame.read(unit, function, start, count)
    said_rtu = await _said(host, port, request, timeout_s, lambda received: expected.find(received) is not None)
    if expected.find(said_rtu) is not None:
        return Framing("modbus_rtu", f"{place}: speaks Modbus RTU (a transparent serial server)")
    if not said and not said_rtu:
        return Framing(None, f"{place}: unit {unit} answers neither Modbus TCP nor Modbus RTU within {timeout_s:g} s")
    seen = (said or said_rtu)[:16].hex(" ")
    return Framing(None, f"{place}: expected an answer in Modbus TCP or Modbus RTU of unit {unit}, saw {seen}")


def _tcp_request(unit: int, function: int, start: int, count: int) -> bytes:
    """A request that cannot pass for an RTU frame, which needs a right checksum at its end."""
    for transaction in (0x5754, 0x5755):
        frame = _HEADER.pack(transaction, 0, 6, unit) + struct.pack(">BHH", function, start, count)
        if not rtu_frame.sound(frame):
            break
    return frame


def _is_tcp(received: bytes, request: bytes) -> bool:
    """Whether these bytes begin with an answer to `request`: its transaction, protocol 0, its function or its exception.

    A request's length, 6, is no answer's (3, or 3 and two per register): an adapter that hands our own bytes back is not taken for a device.
    """
    return (
        len(received) > _HEADER.size + 1
        and received[:4] == request[:4]
        and received[4:6] != request[4:6]
        and 3 <= int.from_bytes(received[4:6], "big") <= 254
        and received[7] & 0x7F == request[7]
    )


async def _said(host: str, port: int, request: bytes, timeout_s: float, enough: Callable[[bytes], bool]) -> bytes:
    """What comes back over a new connection until it is enough, the other side hangs up or the time is over."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
    except (TimeoutError, OSError) as error:
        raise BusUnreachable(f"{host}:{port}: no connection ({error or f'within {timeout_s:g} s'})") from error
    received = b""
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(request)
            while not enough(received) and len(received) < rtu_frame.LONGEST and (data := await reader.read(1024)):
                received += data
    except (TimeoutError, OSError):
        pass
    finally:
        writer.close()
    return received


@dataclass(frozen=True, slots=True)
class WordOrder:
    """How many values of several registers are plausible only in the declared order of words, only exchanged, or in both or neither."""

    declared: int
    exchanged: int
    undecided: int
    order: Literal["high_first", "low_first", "mixed"]  # as the model declares it

    @property
    def verdict(self) -> Literal["declared", "exchanged", "unknown"]:
        """Which is the device's: at least two values say so, and three times as many as say the contrary."""
        for name, votes, others in (
            ("declared", self.declared, self.exchanged),
            ("exchanged", self.exchanged, self.declared),
        ):
            if votes >= _LEAST_VOTES and votes >= _MAJORITY * others:
                return "declared" if name == "declared" else "exchanged"
        return "unknown"

    @property
    def text(self) -> str:
        """For people."""
        total = self.declared + self.exchanged + self.undecided
        model = {"high_first": "high word first", "low_first": "low word first", "mixed": "both word orders"}[
            self.order
        ]
        if total == 0:
            return "word order: the model has no value of several registers"
        if self.verdict == "declared":
            return f"word order: {model}, as the model says ({self.declared} of {total} values tell)"
        if self.verdict == "unknown":
            return f"word order: cannot be told now, {self.undecided} of {total} values are plausible either way or not at all"
        other = {"high_first": "low_first", "low_first": "high_first"}.get(self.order, "the other for each row")
        return (
            f"word order: the model says {model}, but {self.exchanged} of {total} values are plausible only with the words exchanged: "
            f"word_order = {other!r}"
        )


async def word_order(device: ModbusPlan, read: Callable[[ModbusPlan], Awaitable[Answer]]) -> WordOrder:
    """Reads the device as declared and with the words exchanged (`read` is the driver's), and compares what is plausible.

    SunSpec devices have one order by their specification; nothing is asked of them. Raises DriverError where the device does not answer.
    """
    long = [field for field in device.fields if field.words > 1 and field.quantity]
    orders = {field.low_word_first for field in long}
    order: Literal["high_first", "low_first", "mixed"] = (
        "mixed" if len(orders) > 1 else "low_first" if orders == {True} else "high_first"
    )
    if device.in_models or not long:
        return WordOrder(0, 0, 0, order)
    exchanged = replace(
        device,
        name=f"{device.name}~",  # a plan of its own
        fields=tuple(replace(field, low_word_first=not field.low_word_first) for field in device.fields),
    )
    ours, theirs = _values(await read(device)), _values(await read(exchanged))
    votes = [_vote(field, ours.get(field.quantity), theirs.get(field.quantity)) for field in long]
    return WordOrder(votes.count(1), votes.count(-1), votes.count(0), order)


def _values(answer: Answer) -> dict[str, float]:
    """What came and lies within its bounds."""
    found: dict[str, float] = {}
    for block in answer.blocks:
        for index, quantity in enumerate(block.shape.quantities):
            value = scaled(block.columns[index][0], block.shape.exponents[index])
            if value is not None:
                found[quantity] = value
    return found


def _vote(field: Field, ours: float | None, theirs: float | None) -> int:
    """1 for the declared order, -1 for the other, 0 where both or neither are plausible."""
    right, wrong = _plausible(field, ours), _plausible(field, theirs)
    if right != wrong:
        return 1 if right else -1
    if not right or field.is_float or not ours or not theirs:
        return 0
    # Integers have no telling exponent; but a number that moves the low word alone stays small, exchanged it is huge.
    if abs(theirs) >= _FAR_APART * abs(ours):
        return 1
    return -1 if abs(ours) >= _FAR_APART * abs(theirs) else 0


def _plausible(field: Field, value: float | None) -> bool:
    return value is not None and (value == 0 or not field.is_float or abs(value) >= _LEAST_MEASURED)
