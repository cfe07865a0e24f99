"""A BACnet value with its status flags as a value in its quantity's unit with a quality. Pure; nothing is asked here."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple

from edge_agent.drivers.bacnet import services
from edge_agent.drivers.bacnet.declared import Item
from edge_agent.drivers.bacnet.services import Malformed
from edge_agent.drivers.bacnet.units import Conversion
from edge_agent.drivers.modbus.registers import shortest_float32
from wire.block import Value
from wire.reading import REASON_CODES, Quality

GOOD: Final = (int(Quality.GOOD), 0)
ABSENT: Final = (int(Quality.BAD), REASON_CODES["not-implemented"])
OUTSIDE: Final = (int(Quality.BAD), REASON_CODES["out-of-range"])
FAULTY: Final = (int(Quality.BAD), REASON_CODES["device-fault"])
WRONG_UNIT: Final = (int(Quality.BAD), REASON_CODES["unit"])
OUT_OF_SERVICE: Final = (int(Quality.UNCERTAIN), REASON_CODES["out-of-service"])
OVERRIDDEN: Final = (int(Quality.UNCERTAIN), REASON_CODES["overridden"])

_WHOLE: Final = frozenset({services.UNSIGNED, services.INTEGER, services.ENUMERATED, services.BOOLEAN})
_IN_ALARM, _FAULT, _OVERRIDDEN, _OUT_OF_SERVICE = range(4)  # clause 12, BACnetStatusFlags


class Cell(NamedTuple):
    """One value of a block: an int where `exponent` is one."""

    value: Value
    exponent: int | None
    quality: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a device says of one object: how its value becomes the quantity's unit, and the scale of an accumulator."""

    conversion: Conversion = field(default_factory=Conversion)
    scale_exponent: int = 0
    scale_factor: Fraction = Fraction(1)


def flags_of(encoded: bytes) -> tuple[int, ...]:
    """The four status flags; none where the object has none."""
    if not encoded:
        return ()
    try:
        found = services.values(encoded)
    except Malformed:
        return ()
    bits = found[0].value if found and found[0].tag == services.BITS else ()
    return bits if isinstance(bits, tuple) else ()


def number_of(encoded: bytes) -> services.Value | None:
    """The number that a property holds; None where it holds none. Raises Malformed."""
    found = services.values(encoded)
    if len(found) != 1 or found[0].tag not in _WHOLE | {services.REAL, services.DOUBLE}:
        return None
    return found[0]


def cell(item: Item, meaning: Meaning, number: services.Value | None, flags: tuple[int, ...]) -> Cell:
    """The value of a row: nothing and bad where the object is at fault, uncertain where somebody else has set it."""
    quality = _quality(flags)
    if quality is FAULTY:
        return Cell(None, None, quality)
    if number is None or not isinstance(number.value, int | float):
        return Cell(None, None, ABSENT)
    whole = number.tag in _WHOLE
    raw = int(number.value) if whole else float(number.value)
    if not math.isfinite(raw):
        return Cell(None, None, ABSENT)
    exponent = item.exponent + meaning.scale_exponent + meaning.conversion.exponent
    value: Value
    if not meaning.conversion.exact_digits or meaning.scale_factor != 1:
        value, told = _converted(raw, number.tag, exponent, item.sign, meaning), None
    elif whole:
        value, told = item.sign * int(raw), exponent
    elif number.tag == services.REAL:
        value, told = item.sign * shortest_float32(raw, exponent), None
    else:
        value, told = item.sign * (raw * 10**exponent if exponent >= 0 else raw / 10**-exponent), None
    in_unit = value if told is None else value * 10**told if told >= 0 else value / 10**-told
    if not item.low <= in_unit <= item.high:
        return Cell(None, None, OUTSIDE)
    return Cell(value, told, quality)


def _quality(flags: tuple[int, ...]) -> tuple[int, int]:
    if len(flags) < 4:
        return GOOD
    if flags[_FAULT]:
        return FAULTY
    if flags[_OUT_OF_SERVICE]:
        return OUT_OF_SERVICE
    return OVERRIDDEN if flags[_OVERRIDDEN] else GOOD


def _converted(raw: float, tag: int, exponent: int, sign: int, meaning: Meaning) -> float:
    """Exact in between, then as many digits as the device's own number has."""
    if tag == services.REAL:
        raw = shortest_float32(raw)
    exact = Fraction(repr(raw)) * meaning.scale_factor * Fraction(10) ** exponent
    ours = sign * (exact * meaning.conversion.times + meaning.conversion.plus)
    return float(f"{float(ours):.{9 if tag == services.REAL else 15}g}")
