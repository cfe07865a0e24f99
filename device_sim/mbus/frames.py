"""M-Bus as a meter writes it: requests found in what comes in, answers and data records put together. Not which meter says what.

Written from EN 13757-2 and EN 13757-3 alone. A record is given by its head (DIF, DIFE, VIF, VIFE in hexadecimal) and a value in the plant's own
small units: uJ, nL, mW, uL/s, thousandths of a degree, seconds, mV, mA. The head says how many of them are one count, and how counts are coded.
"""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from functools import cache
from typing import Final

ACK: Final = b"\xe5"
_RSP_UD, _VARIABLE, _ERROR = 0x08, 0x72, 0x70
_SIZES: Final = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 6, 7: 8, 9: 1, 10: 2, 11: 3, 12: 4, 14: 6}
_BCD: Final = frozenset({9, 10, 11, 12, 14})


def split(received: bytes) -> tuple[bytes | None, int]:
    """The first whole request in the bytes, and how many bytes are done with."""
    for start, byte in enumerate(received):
        rest = received[start:]
        if byte == 0x10:
            if len(rest) < 5:
                return None, start
            if rest[4] == 0x16 and (rest[1] + rest[2]) % 256 == rest[3]:
                return rest[:5], start + 5
        elif byte == 0x68:
            if len(rest) < 4:
                return None, start
            length = rest[1]
            if rest[2] != length or rest[3] != 0x68 or length < 3:
                continue
            if len(rest) < length + 6:
                return None, start
            whole = rest[: length + 6]
            if whole[-1] == 0x16 and sum(whole[4:-2]) % 256 == whole[-2]:
                return whole, start + len(whole)
    return None, len(received)


def answer(address: int, header: bytes, records: bytes) -> bytes:
    """RSP_UD with variable data, low bytes first."""
    return _long(address, _VARIABLE, header + records)


def error(address: int, code: int) -> bytes:
    """RSP_UD with an application error."""
    return _long(address, _ERROR, bytes([code]))


def _long(address: int, control_information: int, data: bytes) -> bytes:
    body = bytes([_RSP_UD, address, control_information]) + data
    if len(body) > 255:
        raise ValueError(f"mbus: expected a telegram of at most 255 bytes, got {len(body)}")
    return bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) % 256, 0x16])


def header(identification: str, maker: str, version: int, medium: int, access: int, status: int) -> bytes:
    """The twelve bytes in front of the records."""
    number = 0
    for letter in maker:
        number = number * 32 + ord(letter) - ord("A") + 1
    head = bytes.fromhex(identification)[::-1] + number.to_bytes(2, "little")
    return head + bytes([version, medium, access % 256, status, 0, 0])


@cache
def unit(head: bytes) -> Fraction:
    """How many of the plant's small units one count of a record is; 1 for what is no measured value."""
    at = 0
    while head[at] & 0x80:
        at += 1
    vif, vife = head[at + 1], head[at + 2 : at + 3]
    code = vif & 0x7F
    if vif == 0xFB and vife:
        return Fraction(36 * 10**13) * 10 ** (vife[0] & 1) if vife[0] & 0x7E == 0x00 else Fraction(1)
    if vif == 0xFD and vife:
        step = vife[0] & 0x0F
        return {0x40: Fraction(10) ** (step - 6), 0x50: Fraction(10) ** (step - 9)}.get(vife[0] & 0x70, Fraction(1))
    ten = Fraction(10) ** (code & 7)
    families: dict[int, Fraction] = {
        0x00: 3_600_000 * ten,
        0x08: 1_000_000 * ten,
        0x10: 1_000_000 * ten,
        0x28: ten,
        0x30: 1000 * ten / 3600,
        0x38: 1000 * ten / 3600,
        0x58: Fraction(10) ** (code & 3),
        0x60: Fraction(10) ** (code & 3),
        0x20: Fraction((1, 60, 3600, 86_400)[code & 3]),
    }
    return families.get(code & 0x78, Fraction(1))


def counts(head: bytes, value: int) -> int:
    """The value in whole counts, rounded towards 0."""
    per = unit(head)
    return int(Fraction(value) / per)


def record(head: bytes, value: int) -> bytes:
    """A record with a number. A counter that has more digits than fit goes on from 0."""
    field = head[0] & 0x0F
    count = counts(head, value)
    size = _SIZES[field]
    if field in _BCD:
        digits = 2 * size
        if count < 0:
            text = "f" + str(-count % 10 ** (digits - 1)).zfill(digits - 1)
        else:
            text = str(count % 10**digits).zfill(digits)
        return head + bytes.fromhex(text)[::-1]
    if size == 4:
        count = count % 10**8 if count >= 0 else count  # eight digits, as on the display
    most = (1 << (8 * size - 1)) - 1
    return head + max(-most, min(count, most)).to_bytes(size, "little", signed=True)


def modulus(head: bytes) -> int:
    """Where a counter with this head goes on from 0, in the plant's small units."""
    field = head[0] & 0x0F
    digits = 2 * _SIZES[field] if field in _BCD else 8
    return int(10**digits * unit(head))


def date_time(head: bytes, at: datetime, *, summer: bool = False) -> bytes:
    """A record of type F."""
    year = at.year - 2000
    return head + bytes(
        [at.minute, at.hour | (0x80 if summer else 0), at.day | (year & 7) << 5, at.month | (year >> 3) << 4]
    )


def overlaid(frames: Sequence[bytes]) -> bytes:
    """What is seen when several meters answer at once: whoever sends a 0 wins over whoever sends a 1."""
    length = max(map(len, frames))
    seen = [0xFF] * length
    for frame in frames:
        for index, byte in enumerate(frame):
            seen[index] &= byte
    return bytes(seen)
