"""What has come from a device that sends by itself and waits to be read: readings gathered into blocks, bounded, in order. Not a protocol.

Readings of one instant become one block. The buffer forgets its oldest block when it is full and says how many readings that cost.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from wire.block import Block, Shape, Value
from wire.reading import REASON_CODES, Quality

GOOD: Final = (int(Quality.GOOD), 0)
CLOCK: Final = (int(Quality.UNCERTAIN), REASON_CODES["clock"])
MAX_READINGS: Final = 20_000  # of one device: 40 quantities a second for eight minutes; a bus task reads far sooner

MOVED_MS: Final = 1000  # stamps of whole seconds repeat; what moves further than that to keep the order is uncertain


@dataclass(frozen=True, slots=True)
class Arrival:
    """One value as it came: an integer of 10^`exponent`, or a float where `exponent` is None. `quality`: quality and reason code."""

    quantity: str
    at_ms: int
    value: Value
    exponent: int | None = None
    quality: tuple[int, int] = GOOD


@dataclass(frozen=True, slots=True)
class Window:
    """How far another clock's stamp may lie before and after our own clock before it is not believed."""

    before_ms: int = 60_000
    ahead_ms: int = 5_000

    def holds(self, stamp_ms: int | None, arrived_ms: int) -> bool:
        """Whether a stamp can be the instant of something that came just now."""
        return stamp_ms is not None and -self.before_ms <= stamp_ms - arrived_ms <= self.ahead_ms


def instant(window: Window, arrived_ms: int, *stamps_ms: int | None) -> tuple[int, bool]:
    """The first of `stamps_ms` that can be believed, else the instant of arrival; and whether no stamp that was given had to be doubted."""
    doubted = False
    for stamp_ms in stamps_ms:
        if stamp_ms is not None and window.holds(stamp_ms, arrived_ms):
            return stamp_ms, not doubted
        doubted = doubted or stamp_ms is not None
    return arrived_ms, not doubted


class Arrivals:
    """The readings of one device that nobody has fetched yet. The instants of each quantity strictly increase."""

    def __init__(self, device: str, max_readings: int = MAX_READINGS) -> None:
        self._device = device
        self._max_readings = max_readings
        self._blocks: deque[Block] = deque()
        self._readings = 0
        self._lost = 0
        self._last_ms: dict[str, int] = {}
        self._shapes: dict[tuple[tuple[str, ...], tuple[int | None, ...]], Shape] = {}

    def __len__(self) -> int:
        return self._readings

    def add(self, arrivals: Iterable[Arrival]) -> None:
        """Takes what has come in one message. A reading that is not later than the last of its quantity moves behind it, far as uncertain."""
        groups: dict[int, list[Arrival]] = {}
        for arrival in arrivals:
            at_ms, quality = arrival.at_ms, arrival.quality
            last_ms = self._last_ms.get(arrival.quantity, -1)
            if at_ms <= last_ms:
                if last_ms - at_ms >= MOVED_MS and not quality[0]:
                    quality = CLOCK
                at_ms = last_ms + 1
            self._last_ms[arrival.quantity] = at_ms
            groups.setdefault(at_ms, []).append(
                Arrival(arrival.quantity, at_ms, arrival.value, arrival.exponent, quality)
            )
        for at_ms in sorted(groups):
            self._put(at_ms, groups[at_ms])

    def last_ms(self, quantity: str) -> int | None:
        """The instant of the last reading of a quantity, fetched or not."""
        return self._last_ms.get(quantity)

    def take(self) -> tuple[list[Block], int]:
        """All blocks in the order of their coming, and how many readings were lost since the last call because nobody came for them."""
        blocks, lost = list(self._blocks), self._lost
        self._blocks.clear()
        self._readings = self._lost = 0
        return blocks, lost

    def _put(self, at_ms: int, members: list[Arrival]) -> None:
        key = tuple(member.quantity for member in members), tuple(member.exponent for member in members)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= 256:  # a device that changes its exponents for ever may not fill the memory
                self._shapes.clear()
            shape = self._shapes[key] = Shape(*key)
        quality = tuple(member.quality for member in members)
        self._blocks.append(
            Block(
                self._device,
                shape,
                (at_ms,),
                tuple((member.value,) for member in members),
                quality if any(pair != GOOD for pair in quality) else (),
            )
        )
        self._readings += len(members)
        while self._readings > self._max_readings and len(self._blocks) > 1:
            dropped = len(self._blocks.popleft().columns)
            self._readings -= dropped
            self._lost += dropped
