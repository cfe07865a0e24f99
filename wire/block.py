"""Values of one device at one or more instants, in columns: what a driver gives and a batch carries. Not one object per reading."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from wire.reading import REASONS, Quality, Reading

Value: TypeAlias = int | float | None


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a block: quantities, and per column the power of ten of its integers (`None`: plain floats)."""

    quantities: tuple[str, ...]
    exponents: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """`columns[q][i]` is quantity `q` at instant `at_ms[i]` (UTC ms, strictly increasing), an int where the shape has an exponent.

    `quality` is empty where all is good, else one (quality, reason code) pair per column, valid for all its instants.
    """

    device: str
    shape: Shape
    at_ms: tuple[int, ...]
    columns: tuple[tuple[Value, ...], ...]
    quality: tuple[tuple[int, int], ...] = ()

    def readings(self) -> Iterator[Reading]:
        """Each value as a Reading: for people and slow paths."""
        for column, (quantity, exponent) in enumerate(zip(self.shape.quantities, self.shape.exponents, strict=True)):
            quality, reason = self.quality[column] if self.quality else (0, 0)
            for at_ms, value in zip(self.at_ms, self.columns[column], strict=True):
                yield Reading(
                    self.device, quantity, at_ms, scaled(value, exponent), Quality(quality), reason_text(reason)
                )


def reason_text(code: int) -> str:
    """The word of a reason code; the number itself where a later writer has more of them."""
    return REASONS[code] if code < len(REASONS) else str(code)


def scaled(value: Value, exponent: int | None) -> float | None:
    """The float nearest to `value` x 10^`exponent`; its shortest decimal text is the meter's own digits (up to 2^53 counts)."""
    if value is None or exponent is None:
        return None if value is None else float(value)
    return value / 10**-exponent if exponent < 0 else float(value * 10**exponent)
