"""What the bytes of a CJ/T 188 answer say: values with their unit codes, the status word. Not the frame around them, not how they are asked for.

    DI0 DI1 SER | value unit | value unit | ... | ST ST        some makers put the unit in front of the value

Each value's unit code comes with every answer and is heeded every time: a meter set from kWh to GJ, or from m3 to L, changes it without notice.
"""

from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.cjt188 import frame
from edge_agent.drivers.cjt188.frame import BATTERY_LOW, UNITS, Dimension
from wire.block import Block, Shape, Value
from wire.reading import REASON_CODES, Quality

_GOOD: Final = (int(Quality.GOOD), 0)
_ABSENT: Final = (int(Quality.BAD), REASON_CODES["not-implemented"])
_OUT_OF_RANGE: Final = (int(Quality.BAD), REASON_CODES["out-of-range"])
_FAULT: Final = (int(Quality.BAD), REASON_CODES["device-fault"])
_BATTERY_LOW: Final = (int(Quality.UNCERTAIN), REASON_CODES["device-fault"])
_UNIT_BYTES: Final = 1


class Mismatch(Exception):
    """An answer that is shorter than its model's layout."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value: `size` bytes at `offset` behind SER, times 10^`exponent`.

    `dimension`: a unit code stands beside the value, in front of it where `unit_first`, and must be of this dimension; None: no unit.
    `mask`: these bits of a binary word, not a number.
    """

    quantity: str
    offset: int
    size: int
    exponent: int
    low: float
    high: float
    counter: bool
    dimension: Dimension | None = None
    unit_first: bool = False
    mask: int | None = None

    @property
    def end(self) -> int:
        """The byte behind the value and its unit."""
        return self.offset + self.size + (_UNIT_BYTES if self.dimension is not None else 0)

    def read(self, data: bytes) -> tuple[Value, int | None, tuple[int, int]]:
        """The value, its power of ten (None: a plain float) and its (quality, reason)."""
        at = self.offset + (_UNIT_BYTES if self.dimension is not None and self.unit_first else 0)
        raw = data[at : at + self.size]
        if self.mask is not None:
            shift = (self.mask & -self.mask).bit_length() - 1
            return (int.from_bytes(raw, "little") & self.mask) >> shift, 0, _GOOD
        if frame.is_absent(raw):
            return None, self.exponent, _ABSENT
        exponent: int | None = self.exponent
        divisor = 1.0
        if self.dimension is not None:
            unit = UNITS.get(data[self.offset if self.unit_first else self.offset + self.size])
            if unit is None or unit.dimension is not self.dimension:
                return None, self.exponent, _FAULT
            divisor = unit.divisor
            exponent = self.exponent + unit.exponent if divisor == 1.0 else None
        try:
            number = frame.digits(raw)
        except frame.NotBcd:
            return None, exponent, _FAULT
        value: Value = number if exponent is not None else number * 10.0**self.exponent / divisor
        scaled = number * 10.0 ** (self.exponent if exponent is None else exponent) / divisor
        return (value, exponent, _GOOD) if self.low <= scaled <= self.high else (None, exponent, _OUT_OF_RANGE)


@dataclass(frozen=True, slots=True)
class Layout:
    """All values of one answer. `status_offset`: where the status word stands; None: the meter has none.

    `battery_mask`: the bits of the status word that say that the battery is low.
    """

    fields: tuple[Field, ...]
    status_offset: int | None
    battery_mask: int = BATTERY_LOW

    @property
    def size(self) -> int:
        """The bytes behind SER that the answer must have at least; makers append bytes of their own."""
        ends = [field.end for field in self.fields]
        return max(ends if self.status_offset is None else [*ends, self.status_offset + 2])

    def decode(self, device: str, data: bytes, at_ms: int) -> Block:
        """The values in `data`, what stands behind SER. A low battery makes all of them uncertain. Raises Mismatch."""
        if len(data) < self.size:
            raise Mismatch(f"expected at least {self.size} bytes behind the serial number, saw {len(data)}")
        read = [field.read(data) for field in self.fields]
        quality = [told for _, _, told in read]
        if self._battery_low(data):
            quality = [
                _BATTERY_LOW if told == _GOOD and field.mask is None else told
                for field, told in zip(self.fields, quality, strict=True)
            ]
        return Block(
            device,
            Shape(tuple(field.quantity for field in self.fields), tuple(exponent for _, exponent, _ in read)),
            (at_ms,),
            tuple((value,) for value, _, _ in read),
            tuple(quality) if any(told != _GOOD for told in quality) else (),
        )

    def _battery_low(self, data: bytes) -> bool:
        if self.status_offset is None:
            return False
        word = int.from_bytes(data[self.status_offset : self.status_offset + 2], "little")
        return bool(word & self.battery_mask)
