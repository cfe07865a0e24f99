"""Which questions give which values of a DL/T 645 meter, and what an answer's bytes say. Not what is on the wire around them.

A question is one data identifier: a single value, or a data block with FF in place of the phase or tariff, whose answer holds the values one
behind the other (0201FF00: voltages of A, B, C; 0203FF00: active power of all, A, B, C).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.dlt645 import frame
from wire.block import Block, Shape, Value
from wire.reading import REASON_CODES, Quality

_GOOD: Final = (int(Quality.GOOD), 0)
_ABSENT: Final = (int(Quality.BAD), REASON_CODES["not-implemented"])
_OUT_OF_RANGE: Final = (int(Quality.BAD), REASON_CODES["out-of-range"])
_FAULT: Final = (int(Quality.BAD), REASON_CODES["device-fault"])

# Table A.3 of DL/T 645-2007: of these the block begins with phase A (DI1 = 01), of all others with the total (DI1 = 00).
_WITHOUT_TOTAL: Final = frozenset({"0201", "0202", "0207", "0208", "0209"})


class Mismatch(Exception):
    """An answer whose length does not fit the question."""


@dataclass(frozen=True, slots=True)
class Item:
    """One value: `size` bytes of BCD times 10^`exponent` (`code`: of bits, as they are); `answer_size`: all bytes of its single answer."""

    quantity: str
    identifier: str
    size: int
    exponent: int
    signed: bool
    sign: int
    low: float
    high: float
    counter: bool
    answer_size: int
    code: bool = False

    def value(self, raw: bytes) -> tuple[Value, tuple[int, int]]:
        """The value and its (quality, reason)."""
        if frame.is_absent(raw):
            return None, _ABSENT
        if self.code:
            return int.from_bytes(raw, "little"), _GOOD
        try:
            value = self.sign * frame.digits(raw, signed=self.signed)
        except frame.NotBcd:
            return None, _FAULT
        scaled = value / 10**-self.exponent if self.exponent < 0 else value * 10**self.exponent
        return (value, _GOOD) if self.low <= scaled <= self.high else (None, _OUT_OF_RANGE)


@dataclass(frozen=True, slots=True)
class Question:
    """One data identifier and the items in its answer, with the byte at which each begins; `block`: the answer may hold fewer of them."""

    identifier: str
    items: tuple[tuple[int, Item], ...]
    block: bool = False

    @property
    def has_counters(self) -> bool:
        """Whether its answer holds a counter."""
        return any(item.counter for _, item in self.items)

    @property
    def answer_size(self) -> int:
        """Bytes of data that the answer is expected to hold behind the identifier."""
        if self.block:
            return max(at + item.size for at, item in self.items)
        return self.items[0][1].answer_size

    def singles(self) -> tuple["Question", ...]:
        """The same values, each asked for by its own identifier."""
        return tuple(single(item) for _, item in self.items)

    def decode(self, device: str, data: bytes, at_ms: int) -> Block:
        """The values of an answer (`data` behind the identifier). Raises Mismatch."""
        self._check(data)
        columns: list[tuple[Value, ...]] = []
        quality: list[tuple[int, int]] = []
        for at, item in self.items:
            raw = data[at : at + item.size]
            value, told = item.value(raw) if len(raw) == item.size else (None, _ABSENT)
            columns.append((value,))
            quality.append(told)
        shape = Shape(
            tuple(item.quantity for _, item in self.items),
            tuple(0 if item.code else item.exponent for _, item in self.items),
        )
        return Block(
            device, shape, (at_ms,), tuple(columns), tuple(quality) if any(q != _GOOD for q in quality) else ()
        )

    def _check(self, data: bytes) -> None:
        if self.block:
            size = self.items[0][1].size
            if not data or len(data) % size:
                raise Mismatch(f"{self.identifier}: expected values of {size} bytes each, saw {len(data)} bytes")
        elif len(data) != self.answer_size:
            raise Mismatch(f"{self.identifier}: expected {self.answer_size} bytes, saw {len(data)}")


def single(item: Item) -> Question:
    """The question for one value."""
    return Question(item.identifier, ((0, item),))


def plan(items: Sequence[Item], blocks: Sequence[str]) -> tuple[Question, ...]:
    """One question per block that gives at least two of `items`, and one per item that is in none; in the order of the items."""
    taken: dict[str, list[tuple[int, Item]]] = {}
    order: list[tuple[str, Item]] = []
    for item in items:
        block = next((block for block in blocks if place(block, item) is not None), "")
        if block:
            at = place(block, item)
            assert at is not None
            taken.setdefault(block, []).append((at, item))
        order.append((block, item))
    questions: list[Question] = []
    for block, item in order:
        members = taken.get(block, [])
        if len(members) < 2:
            questions.append(single(item))
        elif members[0][1] is item:
            questions.append(Question(block, tuple(members), block=True))
    return tuple(questions)


def place(block: str, item: Item) -> int | None:
    """At which byte of the block's answer the item begins; None where it is not in it."""
    if len(block) != 8 or block[4:6] != "FF" or item.identifier[:4] != block[:4] or item.identifier[6:] != block[6:]:
        return None
    first = 1 if block[:4] in _WITHOUT_TOTAL else 0
    index = int(item.identifier[4:6], 16) - first
    return index * item.size if index >= 0 and item.identifier[4:6] != "FF" else None
