"""CJ/T 188 on the wire: frames, BCD values, unit codes, the status word. Pure functions; not a conversation, not a meter model.

    FE x 2..4 | 68 | T | A0..A6 | C | L | DI0 DI1 SER data | CS | 16

CJ/T 188-2004 "Technical conditions of data transmission for utility meters", clauses 5 and 6: like DL/T 645 with one 68 less, a byte for the type of
meter in front of the address, seven address bytes (the upper two are the maker's code), no 33H, and a serial number SER that the answer repeats.
Values of several bytes go low byte first. Makers disagree about the order in which the two bytes of the data identifier are sent.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

START: Final = 0x68
END: Final = 0x16
PREAMBLE: Final = 0xFE
LONGEST_DATA: Final = 100  # clause 5.2.4: L at most 64H when reading
_HEAD: Final = 11  # 68 T A0..A6 C L
LONGEST_FRAME: Final = _HEAD + LONGEST_DATA + 2

# Control codes, clause 5.2.3. Bit 7: sent by the meter; bit 6: something is wrong.
FROM_METER: Final = 0x80
REFUSED: Final = 0x40
READ: Final = 0x01
READ_ADDRESS: Final = 0x03
ANY_ADDRESS: Final = "A" * 14

METERING_DATA: Final = "901F"
ADDRESS: Final = "810A"

# Clause 5.2.2, table 3. The types in between are the makers' own.
METER_TYPES: Final = {
    0x10: "cold water",
    0x11: "hot water",
    0x12: "drinking water",
    0x13: "reclaimed water",
    0x20: "heat",
    0x21: "cooling",
    0x30: "gas",
    0x40: "electricity",
}


class NotBcd(ValueError):
    """Digits above 9 where decimal ones must be."""


class Dimension(StrEnum):
    """What a unit code measures; the unit that its values are turned into is the name's."""

    ENERGY = "kWh"
    POWER = "kW"
    VOLUME = "m3"
    FLOW = "m3/h"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit code: value x 10^`exponent` is in the dimension's unit, or value / `divisor` where that is no power of ten."""

    text: str
    dimension: Dimension
    exponent: int = 0
    divisor: float = 1.0


# Annex A, table A.1 of CJ/T 188-2004; the same in two public implementations for meters. A joule is 1 / 3.6e6 kWh.
UNITS: Final = {
    0x01: Unit("J", Dimension.ENERGY, divisor=3.6e6),
    0x02: Unit("Wh", Dimension.ENERGY, -3),
    0x05: Unit("kWh", Dimension.ENERGY),
    0x08: Unit("MWh", Dimension.ENERGY, 3),
    0x0A: Unit("MWh x 100", Dimension.ENERGY, 5),
    0x0B: Unit("kJ", Dimension.ENERGY, divisor=3.6e3),
    0x0E: Unit("MJ", Dimension.ENERGY, divisor=3.6),
    0x11: Unit("GJ", Dimension.ENERGY, divisor=3.6e-3),
    0x13: Unit("GJ x 100", Dimension.ENERGY, divisor=3.6e-5),
    0x14: Unit("W", Dimension.POWER, -3),
    0x17: Unit("kW", Dimension.POWER),
    0x1A: Unit("MW", Dimension.POWER, 3),
    0x29: Unit("L", Dimension.VOLUME, -3),
    0x2C: Unit("m3", Dimension.VOLUME),
    0x32: Unit("L/h", Dimension.FLOW, -3),
    0x35: Unit("m3/h", Dimension.FLOW),
}


# The status word, clause 6.4 table 11: its first byte, as sent, has the valve in bits 1 and 0 and the battery in bit 2. Of two public
# implementations one agrees; the other has the same flags at the upper end of the byte (C0 and 20), so a model can say where they are.
VALVE: Final = 0x0003
BATTERY_LOW: Final = 0x0004


class Valve(StrEnum):
    """What the status word says of the valve."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"
    ABNORMAL = "abnormal"


@dataclass(frozen=True, slots=True)
class Status:
    """The status word ST: `valve` and `battery_low` are the standard's, the other bits and the whole second byte the maker's."""

    word: int

    @property
    def valve(self) -> Valve:
        """00 open, 01 closed, 11 abnormal."""
        return (Valve.OPEN, Valve.CLOSED, Valve.UNKNOWN, Valve.ABNORMAL)[self.word & VALVE]

    @property
    def battery_low(self) -> bool:
        """Bit 2: the battery's voltage is too low."""
        return bool(self.word & BATTERY_LOW)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame without preamble and checksum. `address`: 14 digits, the highest (the maker's code) first."""

    type: int
    address: str
    control: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Scan:
    """What stood at the head of some bytes: perhaps a whole frame, how many bytes are done with, and what was wrong with those skipped."""

    frame: Frame | None
    used: int
    fault: str = ""


def address_bytes(address: str) -> bytes:
    """The address as sent, low byte first. Raises ValueError for anything but 14 digits (or A for any)."""
    if len(address) != 14 or not set(address) <= set("0123456789ABCDEF"):
        raise ValueError(f"expected an address of 14 digits, saw {address!r}")
    return bytes.fromhex(address)[::-1]


def build(frame: Frame, preamble: int = 4) -> bytes:
    """The bytes of a frame behind `preamble` times FE. Raises ValueError for what no frame can carry."""
    if not 0 <= frame.type <= 0xFF or not 0 <= frame.control <= 0xFF or len(frame.data) > LONGEST_DATA:
        raise ValueError(
            f"expected a type, a control byte and at most {LONGEST_DATA} bytes of data,"
            f" saw {frame.type}, {frame.control} and {len(frame.data)}"
        )
    body = bytes((START, frame.type, *address_bytes(frame.address), frame.control, len(frame.data))) + frame.data
    return bytes([PREAMBLE]) * preamble + body + bytes((sum(body) & 0xFF, END))


def scan(received: bytes) -> Scan:
    """Finds the first whole frame in what has come in. What cannot begin a frame is skipped, and the last reason is told.

    Without a frame `used` is what may be thrown away: the rest may still become one. A whole frame behind the beginning of another
    one (noise looks like one for a while) is found all the same.
    """
    at, fault, kept = 0, "", len(received)
    while True:
        at = received.find(START, at)
        if at < 0:
            return Scan(None, kept, fault)
        head = received[at : at + _HEAD]
        if len(head) < _HEAD:
            return Scan(None, min(kept, at), fault)
        length = head[10]
        if length > LONGEST_DATA:
            at, fault = at + 1, f"expected at most {LONGEST_DATA} bytes of data, saw {length}"
            continue
        end = at + _HEAD + length
        if len(received) < end + 2:
            kept, at = min(kept, at), at + 1
            continue
        expected = sum(received[at:end]) & 0xFF
        if received[end] != expected or received[end + 1] != END:
            fault = (
                f"expected checksum {expected:02X} and {END:02X}, saw {received[end]:02X} and {received[end + 1]:02X},"
                f" after {end - at} bytes"
            )
            at += 1
            continue
        data = received[at + _HEAD : end]
        return Scan(Frame(head[1], head[8:1:-1].hex().upper(), head[9], data), end + 2, fault)


def question(identifier: str, serial: int, *, low_first: bool) -> bytes:
    """The data of a read request: the identifier's two bytes, low or high first, and the serial number."""
    pair = bytes.fromhex(identifier)
    return (pair[::-1] if low_first else pair) + bytes((serial & 0xFF,))


def digits(raw: bytes) -> int:
    """The decimal number in `raw`, low byte first. Raises NotBcd."""
    text = raw[::-1].hex()
    if not text.isdecimal():
        raise NotBcd(f"expected decimal digits, saw {text}")
    return int(text)


def bcd(value: int, size: int) -> bytes:
    """`value` as `size` bytes of BCD, low byte first. Raises ValueError when it does not fit."""
    if not 0 <= value < 10 ** (2 * size):
        raise ValueError(f"expected a number of {2 * size} digits, saw {value}")
    return bytes.fromhex(f"{value:0{2 * size}d}")[::-1]


def is_absent(raw: bytes) -> bool:
    """Whether a meter fills the place with FF: it has no such value."""
    return bool(raw) and set(raw) == {0xFF}
