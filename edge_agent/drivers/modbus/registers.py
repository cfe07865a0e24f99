"""Modbus registers as quantities: types, word order, scale, sign, sentinels, ranges. Pure: no request is made here.

One `struct.unpack` decodes a whole answer; the layout of an answer is worked out once, when the plan is made.
"""

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta

from wire.block import Block, Shape, Value
from wire.reading import REASON_CODES, Quality

Address = Annotated[int, Meta(ge=0, le=0xFFFF)]
TypeName = Literal["uint16", "int16", "uint32", "int32", "uint64", "int64", "acc32", "acc64", "float32", "float64"]


class RegisterType(NamedTuple):
    """`code` of the struct module, length in 16-bit registers, and the integer that SunSpec defines as "not implemented"."""

    code: str
    words: int
    absent: int | None


# Sentinels: SunSpec Device Information Model Specification 1.1, section 4.2 "Data types" (an accumulator of 0 is not accumulated).
TYPES: Final[dict[str, RegisterType]] = {
    "uint16": RegisterType("H", 1, 0xFFFF),
    "int16": RegisterType("h", 1, -0x8000),
    "uint32": RegisterType("I", 2, 0xFFFF_FFFF),
    "int32": RegisterType("i", 2, -0x8000_0000),
    "uint64": RegisterType("Q", 4, 0xFFFF_FFFF_FFFF_FFFF),
    "int64": RegisterType("q", 4, -0x8000_0000_0000_0000),
    "acc32": RegisterType("I", 2, 0),
    "acc64": RegisterType("Q", 4, 0),
    "float32": RegisterType("f", 2, None),
    "float64": RegisterType("d", 4, None),
}
MAX_SCALE: Final = 10  # SunSpec scale factors lie in -10..10; anything else means "not implemented"

_ABSENT: Final = (int(Quality.BAD), REASON_CODES["not-implemented"])
_OUTSIDE: Final = (int(Quality.BAD), REASON_CODES["out-of-range"])
_GOOD: Final = (int(Quality.GOOD), 0)
_MAX_SHAPES: Final = (
    64  # scale factors of a device move rarely; a device that moves them for ever may not fill the memory
)


@dataclass(frozen=True, slots=True)
class Field:
    """One quantity of a device and where it stands.

    `address` counts from 0 as on the wire; with `model_block` it counts from that SunSpec model's id register instead, and so does
    `scale_address`. The value in the quantity's unit is `sign` x register x 10^`exponent` (x 10^scale factor). `low` and `high`
    bound a plausible value in the quantity's unit. `absent` lists the integers by which the device says that it has no value.
    A field without a quantity is a check: its register must hold `expect`.
    """

    quantity: str
    table: str
    address: int
    type: str
    exponent: int = 0
    sign: int = 1
    low_word_first: bool = False
    absent: tuple[int, ...] = ()
    low: float = float("-inf")
    high: float = float("inf")
    counter: bool = False
    model_block: int | None = None
    scale_address: int | None = None
    expect: int | None = None

    @property
    def words(self) -> int:
        """Length in registers."""
        return TYPES[self.type].words

    @property
    def start(self) -> int:
        """The first register that must be in the same answer: the value's or its scale factor's."""
        return self.address if self.scale_address is None else min(self.address, self.scale_address)

    @property
    def end(self) -> int:
        """One past the last register that must be in the same answer."""
        end = self.address + self.words
        return end if self.scale_address is None else max(end, self.scale_address + 1)

    @property
    def is_float(self) -> bool:
        """Whether the device gives a floating-point number, which has no exact decimal."""
        return self.type.startswith("float")


def shortest_float32(value: float, exponent: int = 0) -> float:
    """The shortest decimal that names this 32-bit float, times 10^`exponent`: 233.4 and not 233.39999389648438.

    No information is lost: packing the decimal (without the exponent) gives the same four bytes again. The meter's display and its
    register then show the same digits, and a batch carries a third of the characters.
    """
    for digits in (7, 8, 9):  # nine always suffice for a 32-bit float
        text = f"{value:.{digits}g}"
        decimal = float(text)
        if struct.unpack(">f", struct.pack(">f", decimal))[0] == value:
            return (
                float(f"{decimal * 10**exponent if exponent >= 0 else decimal / 10**-exponent:.{digits}g}")
                if exponent
                else decimal
            )
    return value


class Mismatch(Exception):
    """A check register does not hold what the plan expects: the device has another layout than the plan."""


class _Column(NamedTuple):
    slot: int
    scale_slot: int  # -1: none
    kind: str  # "int", "float32", "float64"
    exponent: int
    negate: bool
    absent: tuple[int, ...]
    low: float  # in the unit of the quantity
    high: float


class Decoder:
    """Decodes the answer to one request: made once per request, used for every answer.

    `fields` lie within `count` registers from `start`. Fields with the low word first are unpacked from a copy of the answer in
    which the bytes of each register are swapped: that makes the whole number little-endian.
    """

    __slots__ = ("_checks", "_columns", "_layers", "_quantities", "_shape", "_shapes", "has_counters", "quantities")

    def __init__(self, fields: Sequence[Field], start: int, count: int) -> None:
        slots: dict[tuple[int, str, bool], int] = {}
        layers: list[tuple[bool, list[tuple[int, str]]]] = []
        for address, kind, swapped in sorted(_slots(fields)):
            for layer_swapped, members in layers:
                last_address, last_kind = members[-1]
                if layer_swapped == swapped and last_address + TYPES[last_kind].words <= address:
                    members.append((address, kind))
                    break
            else:
                layers.append((swapped, [(address, kind)]))
        self._layers: list[tuple[struct.Struct, bool]] = []
        for swapped, members in layers:
            self._layers.append((struct.Struct(_format(members, start, count, swapped)), swapped))
            for address, kind in members:
                slots[address, kind, swapped] = len(slots)
        self._checks: list[tuple[int, Field]] = []
        self._columns: list[_Column] = []
        quantities: list[str] = []
        exponents: list[int | None] = []
        for field in fields:
            slot = slots[field.address, field.type, field.low_word_first]
            if not field.quantity:
                self._checks.append((slot, field))
                continue
            scale_slot = (
                -1 if field.scale_address is None else slots[field.scale_address, "int16", field.low_word_first]
            )
            kind = field.type if field.is_float else "int"
            self._columns.append(
                _Column(slot, scale_slot, kind, field.exponent, field.sign < 0, field.absent, field.low, field.high)
            )
            quantities.append(field.quantity)
            exponents.append(None if field.is_float else field.exponent)
        self.quantities = tuple(quantities)
        self.has_counters = any(field.counter for field in fields)
        self._shape = Shape(self.quantities, tuple(exponents))
        self._shapes: dict[tuple[int | None, ...], Shape] = {self._shape.exponents: self._shape}

    def decode(self, device: str, data: bytes, at_ms: int) -> Block:
        """One block with one instant from the registers' bytes, big-endian as they come. Raises Mismatch."""
        values: list[int | float] = []
        for layout, swapped in self._layers:
            values += layout.unpack(_swap(data) if swapped else data)
        for slot, field in self._checks:
            if values[slot] != field.expect:
                raise Mismatch(f"register {field.address}: expected {field.expect}, saw {values[slot]}")
        columns: list[tuple[Value, ...]] = []
        quality: list[tuple[int, int]] = []
        exponents = self._shape.exponents
        moved: dict[int, int] = {}
        for index, column in enumerate(self._columns):
            value, verdict, exponent = _value(column, values)
            columns.append((value,))
            quality.append(verdict)
            if exponent != column.exponent:
                moved[index] = exponent
        if moved:
            exponents = tuple(moved.get(index, exponent) for index, exponent in enumerate(exponents))
        bad = any(verdict is not _GOOD for verdict in quality)
        return Block(device, self._shape_for(exponents), (at_ms,), tuple(columns), tuple(quality) if bad else ())

    def _shape_for(self, exponents: tuple[int | None, ...]) -> Shape:
        shape = self._shapes.get(exponents)
        if shape is None:
            shape = Shape(self.quantities, exponents)
            if len(self._shapes) < _MAX_SHAPES:
                self._shapes[exponents] = shape
        return shape


def _value(column: _Column, values: Sequence[int | float]) -> tuple[Value, tuple[int, int], int]:
    """The value of one column (None where there is none), why, and the power of ten of its integer."""
    raw, exponent = values[column.slot], column.exponent
    if column.kind == "int":
        assert isinstance(raw, int)
        if raw in column.absent:
            return None, _ABSENT, exponent
        if column.scale_slot >= 0:
            scale = values[column.scale_slot]
            if not -MAX_SCALE <= scale <= MAX_SCALE:
                return None, _ABSENT, exponent
            exponent += int(scale)
        count = -raw if column.negate else raw
        scaled = count / 10**-exponent if exponent < 0 else count * 10**exponent
        return (count, _GOOD, exponent) if column.low <= scaled <= column.high else (None, _OUTSIDE, exponent)
    if raw != raw:  # NaN: the meter has no value here
        return None, _ABSENT, exponent
    if not column.low <= raw * 10.0**exponent <= column.high:
        return None, _OUTSIDE, exponent
    if column.kind == "float32":
        number = shortest_float32(raw, exponent)
    else:
        number = raw * 10**exponent if exponent >= 0 else raw / 10**-exponent
    return (0.0 - number if column.negate else number), _GOOD, exponent


def _slots(fields: Sequence[Field]) -> set[tuple[int, str, bool]]:
    slots = {(field.address, field.type, field.low_word_first) for field in fields}
    return slots | {
        (field.scale_address, "int16", field.low_word_first) for field in fields if field.scale_address is not None
    }


def _format(members: Sequence[tuple[int, str]], start: int, count: int, swapped: bool) -> str:
    """The struct format of the values at `members` (address, type), with pad bytes in the holes."""
    parts, at = ["<" if swapped else ">"], start
    for address, kind in members:
        if address > at:
            parts.append(f"{2 * (address - at)}x")
        parts.append(TYPES[kind].code)
        at = address + TYPES[kind].words
    if start + count > at:
        parts.append(f"{2 * (start + count - at)}x")
    return "".join(parts)


def _swap(data: bytes) -> bytes:
    words = array("H", data)
    words.byteswap()
    return words.tobytes()
