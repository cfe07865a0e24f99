"""DL/T 645 on the wire: frames, data identifiers, BCD values. Pure functions; not a conversation, and not what an identifier means.

    FE x 0..4 | 68 | A0..A5 | 68 | C | L | data, each byte + 33H | CS | 16

DL/T 645-2007 "Multi-function watt-hour meter communication protocol", clause 5.2 (frame) and 7 (application layer). The checksum is the sum modulo
256 from the first 68 to the last data byte, so without the FE in front. Everything of several bytes goes low byte first: the address 567890123456
is sent as 56 34 12 90 78 56, the data identifier 02010100 as 00 01 01 02.

The 1997 edition differs in its control codes and has data identifiers of two bytes; frames, the 33H and BCD are the same.
"""

from dataclasses import dataclass
from typing import Final

START: Final = 0x68
END: Final = 0x16
PREAMBLE: Final = 0xFE
OFFSET: Final = 0x33
LONGEST_DATA: Final = 200  # clause 5.2.4: L at most 200 when reading
_HEAD: Final = 10  # 68 A0..A5 68 C L
LONGEST_FRAME: Final = _HEAD + LONGEST_DATA + 2

# Control codes, clause 5.2.3. Bit 7: sent by the meter; bit 6: it answers that something is wrong; bit 5: more frames follow.
FROM_METER: Final = 0x80
REFUSED: Final = 0x40
MORE: Final = 0x20
BROADCAST_TIME: Final = 0x08
READ_2007: Final = 0x11
READ_ON_2007: Final = 0x12
READ_ADDRESS: Final = 0x13
READ_1997: Final = 0x01

ANY_ADDRESS: Final = "AAAAAAAAAAAA"  # clause 5.2.2: read by whoever hears it; only where one meter is connected
ALL_ADDRESSES: Final = "999999999999"  # broadcast, which nobody answers

# The error byte of a refusal, bit by bit, as the package dlt645 3.2.0 and the Panasonic KW9M protocol manual, p. 125, have it.
REFUSALS: Final = {
    0x01: "other error",
    0x02: "no such data",
    0x04: "wrong password or not authorised",
    0x08: "the speed cannot be changed",
    0x10: "too many seasons",
    0x20: "too many day periods",
    0x40: "too many tariffs",
}
NO_SUCH_DATA: Final = 0x02


class NotBcd(ValueError):
    """Digits above 9 where decimal ones must be."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame without preamble and checksum. `address`: 12 digits, the highest first, as printed on the meter; `data` without the 33H."""

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
    """The address as sent, low byte first. Raises ValueError for anything but 12 digits (or A for any)."""
    if len(address) != 12 or not set(address) <= set("0123456789A"):
        raise ValueError(f"expected an address of 12 digits, saw {address!r}")
    return bytes.fromhex(address)[::-1]


def build(frame: Frame, preamble: int = 4) -> bytes:
    """The bytes of a frame behind `preamble` times FE. Raises ValueError for what no frame can carry."""
    if not 0 <= frame.control <= 0xFF or len(frame.data) > LONGEST_DATA:
        raise ValueError(
            f"expected a control byte and at most {LONGEST_DATA} bytes of data, saw {frame.control} and {len(frame.data)}"
        )
    body = bytes((START, *address_bytes(frame.address), START, frame.control, len(frame.data)))
    body += bytes((byte + OFFSET) & 0xFF for byte in frame.data)
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
        if len(head) > 7 and head[7] != START:
            at += 1
            continue
        if len(head) < _HEAD:
            return Scan(None, min(kept, at), fault)
        length = head[9]
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
        address = head[6:0:-1].hex().upper()
        data = bytes((byte - OFFSET) & 0xFF for byte in received[at + _HEAD : end])
        return Scan(Frame(address, head[8], data), end + 2, fault)


def identifier_bytes(identifier: str) -> bytes:
    """A data identifier as sent: DI0 first. `identifier` is written as in the standard's tables, DI3 (1997: DI1) first."""
    return bytes.fromhex(identifier)[::-1]


def digits(raw: bytes, *, signed: bool = False) -> int:
    """The decimal number in `raw`, low byte first; with `signed` the highest bit is the sign. Raises NotBcd."""
    high = raw[::-1]
    negative = signed and bool(high) and bool(high[0] & 0x80)
    if negative:
        high = bytes((high[0] & 0x7F,)) + high[1:]
    text = high.hex()
    if not text.isdecimal():
        raise NotBcd(f"expected decimal digits, saw {raw[::-1].hex()}")
    return -int(text) if negative else int(text)


def bcd(value: int, size: int, *, signed: bool = False) -> bytes:
    """`value` as `size` bytes of BCD, low byte first, with `signed` its sign in the highest bit. Raises ValueError when it does not fit."""
    largest = 8 * 10 ** (2 * size - 1) if signed else 10 ** (2 * size)
    if abs(value) >= largest or (value < 0 and not signed):
        raise ValueError(f"expected a number of {2 * size} digits, saw {value}")
    raw = bytearray(bytes.fromhex(f"{abs(value):0{2 * size}d}")[::-1])
    if value < 0:
        raw[-1] |= 0x80
    return bytes(raw)


def is_absent(raw: bytes) -> bool:
    """Whether a meter fills the place with FF: it has no such value."""
    return bool(raw) and set(raw) == {0xFF}


def refusal(data: bytes) -> tuple[int, str]:
    """The error byte of a refusal, and its bits in words."""
    code = data[0] if data else 0
    words = [text for bit, text in REFUSALS.items() if code & bit]
    return code, ", ".join(words) or "no reason given"
