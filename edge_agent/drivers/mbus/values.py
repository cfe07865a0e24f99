"""How M-Bus records code their values (EN 13757-3, data types A to M): integers, BCD, reals, times, texts. Not what a value means.

An integer or BCD value is exact; a value that the meter marks as invalid is None.
"""

import math
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

Value: TypeAlias = "int | float | str | bytes | MeterTime | None"
Order: TypeAlias = Literal["little", "big"]

# Data field of a DIF -> bytes of the value; D is of variable length, 8 and F carry none here.
INTEGER_SIZES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 6: 6, 7: 8}
BCD_SIZES: Final = {9: 1, 10: 2, 11: 3, 12: 4, 14: 6}
REAL: Final = 5
VARIABLE: Final = 13
SELECTION: Final = 8  # "selection for readout": no value
_CENTURY: Final = 2000
_NEAR_THE_END: Final = 1e38


class ValueFault(ValueError):
    """Bytes that are no value of their type."""


@dataclass(frozen=True, slots=True)
class MeterTime:
    """What the clock of a meter shows: local wall time without a zone. `has_time`: not a date alone; `summer`: its daylight-saving bit."""

    local: datetime
    has_time: bool
    summer: bool = False


def integer(raw: bytes, order: Order) -> int | None:
    """Type B, signed; the most negative number says that there is no value."""
    value = int.from_bytes(raw, order, signed=True)
    return None if value == -(1 << (8 * len(raw) - 1)) else value


def unsigned(raw: bytes, order: Order) -> int:
    """Types C and D."""
    return int.from_bytes(raw, order)


def bcd(raw: bytes, order: Order) -> int | None:
    """Type A: two digits a byte; F as the first digit is a minus sign. Any other digit above 9 is an error of the meter: None."""
    text = (raw[::-1] if order == "little" else raw).hex()
    negative = text[0] == "f"
    digits = text[1:] if negative else text
    if not digits.isdecimal():
        return None
    return -int(digits) if negative else int(digits)


def real(raw: bytes, order: Order) -> float | None:
    """Type H (IEEE 754, 32 bits) as the shortest decimal that names it; not a number and infinities are None."""
    layout = "<f" if order == "little" else ">f"
    (value,) = struct.unpack(layout, raw)
    if not math.isfinite(value):
        return None
    if abs(value) > _NEAR_THE_END:  # rounded up it would not fit into 32 bits
        return float(value)
    decimals = (float(f"{value:.{digits}g}") for digits in (7, 8))
    return next((decimal for decimal in decimals if struct.pack(layout, decimal) == raw), float(f"{value:.9g}"))


def date(raw: bytes, order: Order) -> MeterTime | None:
    """Type G: day (5 bits), low year (3), month (4), high year (4)."""
    low, high = raw if order == "little" else raw[::-1]
    if low == high == 0xFF:
        return None
    return _time(low >> 5 | (high & 0xF0) >> 1, high & 0x0F, low & 0x1F, 0, 0, 0, has_time=False)


def date_time(raw: bytes, order: Order) -> MeterTime | None:
    """Type F (4 bytes: minute, hour, day, month) or type I (6 bytes, with seconds in front and more flags behind)."""
    b = raw if order == "little" else raw[::-1]
    second, b = (b[0] & 0x3F, b[1:5]) if len(b) == 6 else (0, b)
    minute, hour, day, month = b
    if minute & 0x80:  # the meter says that this time is invalid
        return None
    year = day >> 5 | (month & 0xF0) >> 1
    summer = bool(hour & 0x80) if len(raw) == 4 else bool(raw[0 if order == "little" else -1] & 0x40)
    hundreds = hour >> 5 & 3 if len(raw) == 4 else 0  # of years since 1900; type I has none
    return _time(year + 100 * hundreds, month & 0x0F, day & 0x1F, hour & 0x1F, minute & 0x3F, second, summer=summer)


def time_of_day(raw: bytes, order: Order) -> str | None:
    """Type J (3 bytes: second, minute, hour)."""
    second, minute, hour = raw if order == "little" else raw[::-1]
    if second > 59 or minute > 59 or hour > 23:
        return None
    return f"{hour:02}:{minute:02}:{second:02}"


def _time(
    year: int, month: int, day: int, hour: int, minute: int, second: int, *, has_time: bool = True, summer: bool = False
) -> MeterTime | None:
    """A year from 1900; below 80 it is of two digits and of this century (EN 13757-3, annex A). "Every day" and other patterns: None."""
    full_year = _CENTURY + year if year <= 80 else 1900 + year
    try:
        local = datetime(full_year, month, day, hour, minute, second)  # noqa: DTZ001
    except ValueError:
        return None
    return MeterTime(local, has_time, summer)


def variable_size(lvar: int) -> int:
    """How many bytes follow an LVAR byte. Raises ValueFault for reserved ones."""
    if lvar <= 0xBF:
        return lvar
    if 0xC0 <= lvar <= 0xC9 or 0xD0 <= lvar <= 0xD9:
        return lvar & 0x0F
    if 0xE0 <= lvar <= 0xEF:
        return lvar - 0xE0
    if 0xF0 <= lvar <= 0xF4:
        return 4 * (lvar - 0xEC)
    if lvar in (0xF5, 0xF6):
        return 48 if lvar == 0xF5 else 64
    raise ValueFault(f"expected a length byte of variable data, saw reserved {lvar:02x}")


def variable(lvar: int, raw: bytes, order: Order) -> Value:
    """Data of variable length: text (sent last character first), BCD of either sign, or a binary number; longer ones stay bytes."""
    if lvar <= 0xBF:
        characters = raw[::-1] if order == "little" else raw
        return characters.decode("latin-1")
    if not raw:
        return None
    if lvar <= 0xD9:
        number = bcd(raw, order)
        return number if number is None or lvar < 0xD0 else -number
    if lvar <= 0xE8:
        return integer(raw, order)
    return raw
