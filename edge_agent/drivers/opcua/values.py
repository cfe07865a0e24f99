"""What a variable's value, status and stamps mean as a reading. Pure: it knows Python values and status codes, not the connection.

Status codes: OPC 10000-4, 7.39 and A.2; OPC 10000-8, 6.3. The two highest bits are the severity: 00 good, 01 uncertain, 10 and 11 bad.
"""

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from edge_agent.drivers.arrivals import GOOD
from edge_agent.drivers.opcua.declared import Item
from wire.block import Value
from wire.reading import REASON_CODES, Quality

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_MS: Final = timedelta(milliseconds=1)
_MAX_INT: Final = 2**63

FIELD_CODES: Final = {
    "float32": "<f",
    "float64": "<d",
    "int16": "<h",
    "uint16": "<H",
    "int32": "<i",
    "uint32": "<I",
    "int64": "<q",
    "uint64": "<Q",
}

_NOT_THERE: Final = frozenset(
    {
        0x80340000,  # BadNodeIdUnknown
        0x80330000,  # BadNodeIdInvalid
        0x80350000,  # BadAttributeIdInvalid
        0x803A0000,  # BadNotReadable
        0x803D0000,  # BadNotSupported
        0x80400000,  # BadNotImplemented
        0x806F0000,  # BadNoMatch
        0x80740000,  # BadTypeMismatch
        0x801F0000,  # BadUserAccessDenied
        0x80360000,  # BadIndexRangeInvalid
        0x80370000,  # BadIndexRangeNoData
        0x80890000,  # BadConfigurationError
    }
)
_NO_LINK: Final = frozenset(
    {
        0x80310000,  # BadNoCommunication
        0x808A0000,  # BadNotConnected
        0x80050000,  # BadCommunicationError
        0x800A0000,  # BadTimeout
    }
)
_WAITING: Final = frozenset({0x80320000})  # BadWaitingForInitialData: the server has not asked its source yet
_OUT_OF_RANGE: Final = frozenset({0x803C0000, 0x40940000})  # BadOutOfRange, UncertainEngineeringUnitsExceeded
_LAST_USABLE: Final = frozenset(
    {0x40900000, 0x408F0000}
)  # UncertainLastUsableValue, UncertainNoCommunicationLastUsableValue
_BY_HAND: Final = frozenset({0x00960000, 0x40910000})  # GoodLocalOverride, UncertainSubstituteValue
_OVERFLOW: Final = 0x0480  # info type DataValue with the overflow bit: values were lost in the server's queue

_ABSENT: Final = (int(Quality.BAD), REASON_CODES["not-implemented"])
_FAULT: Final = (int(Quality.BAD), REASON_CODES["device-fault"])
_OUTSIDE: Final = (int(Quality.BAD), REASON_CODES["out-of-range"])


def quality_of(code: int) -> tuple[int, int]:
    """Quality and reason code of a status code."""
    severity, code = code >> 30, code & 0xFFFF0000
    if severity == 0:
        return (int(Quality.UNCERTAIN), REASON_CODES["manual"]) if code in _BY_HAND else GOOD
    if severity == 1:
        if code in _LAST_USABLE:
            reason = "frozen"
        elif code in _OUT_OF_RANGE:
            reason = "out-of-range"
        elif code in _BY_HAND:
            reason = "manual"
        else:
            reason = "device-fault"
        return int(Quality.UNCERTAIN), REASON_CODES[reason]
    if code in _NOT_THERE:
        return _ABSENT
    return _OUTSIDE if code in _OUT_OF_RANGE else _FAULT


def is_missing(code: int) -> bool:
    """Whether a status says that there is no such variable for us."""
    return code & 0xFFFF0000 in _NOT_THERE


def is_cut_off(code: int) -> bool:
    """Whether a status says that the server has no connection to the device behind it."""
    return code & 0xFFFF0000 in _NO_LINK


def is_waiting(code: int) -> bool:
    """Whether a status says that the first value has still to come."""
    return code & 0xFFFF0000 in _WAITING


def overflowed(code: int) -> bool:
    """Whether values before this one were lost in the server's queue."""
    return code & 0x0FFF & _OVERFLOW == _OVERFLOW


def milliseconds(stamp: datetime | None) -> int | None:
    """UTC ms of a stamp; None for none and for the null stamp of 1601 (OPC 10000-6, 5.2.2.5)."""
    if stamp is None:
        return None
    try:
        if stamp.tzinfo is None:
            stamp = stamp.replace(tzinfo=UTC)
        ms = (stamp - _EPOCH) // _ONE_MS
    except (OverflowError, ValueError):
        return None
    return ms if ms > 0 else None


def shortest(value: float) -> float:
    """The shortest decimal that names this 32-bit float."""
    for digits in (7, 8, 9):
        decimal = float(f"{value:.{digits}g}")
        try:
            if struct.unpack("<f", struct.pack("<f", decimal))[0] == value:
                return decimal
        except OverflowError:
            continue
    return value


def scaled_float(value: float, exponent: int, digits: int) -> float:
    """A float times a power of ten, without digits that the multiplication invents."""
    moved = value * 10.0**exponent if exponent >= 0 else value / 10.0**-exponent
    return float(f"{moved:.{digits}g}") if exponent else moved


def value_of(item: Item, raw: Any, is_float32: bool, exponent: int) -> tuple[Value, int | None, tuple[int, int]]:
    """A variable's value as (value, exponent, quality): an integer with its power of ten, or a float with None. None where it is unusable.

    `exponent` is the row's, or what the variable's engineering units gave. A structure comes as the bytes of its encoded body.
    """
    if item.element is not None:
        if not isinstance(raw, list | tuple) or item.element >= len(raw):
            return None, 0, _ABSENT
        raw = raw[item.element]
    elif item.offset is not None:
        code = FIELD_CODES[item.type]
        if not isinstance(raw, bytes) or len(raw) < item.offset + struct.calcsize(code):
            return None, 0, _ABSENT
        (raw,) = struct.unpack_from(code, raw, item.offset)
        is_float32 = item.type == "float32"
    if isinstance(raw, bool):
        raw = int(raw)
    if isinstance(raw, int):
        return _bounded(item, int(raw) * item.sign, exponent)
    if isinstance(raw, float):
        if not math.isfinite(raw):
            return None, None, _ABSENT
        digits = 9 if is_float32 else 16
        number = scaled_float(shortest(raw) if is_float32 else raw, exponent, digits) * item.sign
        inside = item.low <= number <= item.high
        return (number, None, GOOD) if inside else (None, None, _OUTSIDE)
    return None, 0, _ABSENT  # text, dates, structures: nothing that can be measured


def _bounded(item: Item, count: int, exponent: int) -> tuple[Value, int | None, tuple[int, int]]:
    if abs(count) >= _MAX_INT:
        return None, exponent, _OUTSIDE
    number = count / 10**-exponent if exponent < 0 else count * 10**exponent
    return (count, exponent, GOOD) if item.low <= number <= item.high else (None, exponent, _OUTSIDE)
