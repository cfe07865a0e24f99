"""Report by exception: a value that has hardly moved since it was last told is not told again. Not for counters, and off unless asked for.

told  o----------------o--------o-----o        read  . . . . . . . . . . . . . . .
      | within the band| outside| longest_s

Whoever holds the last value told is never off by more than the band. A change of quality, a value that is missing or comes back, and
the time `longest_s` always tell.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from wire.block import Block, Shape, scaled

_GOOD: Final = (0, 0)
_SHAPES_KEPT: Final = 4096

Told = tuple[float | None, tuple[int, int], int]  # value in its unit, (quality, reason), instant


class DeadBands:
    """What was told last, per device and quantity. `bands`: device -> quantity -> half-width, in the quantity's unit."""

    def __init__(self, bands: Mapping[str, Mapping[str, float]], longest_ms: int) -> None:
        self._bands = {device: dict(band) for device, band in bands.items() if band}
        self._longest_ms = longest_ms
        self._told: dict[tuple[str, str], Told] = {}
        self.untold = 0  # readings that were not told

    def worth_telling(self, block: Block) -> Block | None:
        """`block` with the columns that have something to tell, None where none has. A block of several instants is told whole."""
        bands = self._bands.get(block.device)
        if bands is None:
            return block
        at_ms = block.at_ms[-1]
        kept: list[int] = []
        for index, quantity in enumerate(block.shape.quantities):
            band = bands.get(quantity)
            if band is None:
                kept.append(index)
                continue
            value = scaled(block.columns[index][-1], block.shape.exponents[index])
            quality = block.quality[index] if block.quality else _GOOD
            told = self._told.get((block.device, quantity))
            if len(block.at_ms) > 1 or told is None or self._differs(told, (value, quality, at_ms), band):
                self._told[block.device, quantity] = (value, quality, at_ms)
                kept.append(index)
        if len(kept) == len(block.columns):
            return block
        self.untold += len(block.columns) - len(kept)
        return _columns(block, tuple(kept)) if kept else None

    def _differs(self, told: Told, now: Told, band: float) -> bool:
        (before, old_quality, told_ms), (value, quality, at_ms) = told, now
        if quality != old_quality or not 0 <= at_ms - told_ms < self._longest_ms:
            return True
        if value is None or before is None:
            return (value is None) != (before is None)
        return abs(value - before) > band


def _columns(block: Block, kept: tuple[int, ...]) -> Block:
    quality = tuple(block.quality[index] for index in kept) if block.quality else ()
    if all(pair == _GOOD for pair in quality):
        quality = ()
    columns = tuple(block.columns[index] for index in kept)
    return Block(block.device, _part(block.shape, kept), block.at_ms, columns, quality)


@lru_cache(maxsize=_SHAPES_KEPT)
def _part(shape: Shape, kept: tuple[int, ...]) -> Shape:
    return Shape(tuple(shape.quantities[index] for index in kept), tuple(shape.exponents[index] for index in kept))
