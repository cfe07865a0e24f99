"""What commissioning has seen and what it makes of it: readings over the observed time, and findings. It judges nothing itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_agent.drivers.driver import Answer
from wire.block import Block, Value, scaled
from wire.reading import REASONS


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that looks wrong. `kind` names the rule; `wrong` is false for what a person should only look at.

    `seen`, `expected`, `cause` and `correction` are for people; `correction` says what to change at the meter or in the edge file.
    """

    device: str
    quantity: str
    kind: str
    seen: str
    expected: str
    cause: str
    correction: str
    wrong: bool = True

    def __str__(self) -> str:
        where = f"{self.quantity}: " if self.quantity else ""
        return f"{where}saw {self.seen}, expected {self.expected}. Likely: {self.cause}. To correct: {self.correction}."


@dataclass(frozen=True, slots=True)
class Sample:
    """One usable reading, in the quantity's unit. `count` is the meter's own integer and `exponent` its power of ten; None for floats."""

    at_ms: int
    value: float
    count: int | None = None
    exponent: int | None = None


Values = Mapping[str, Sequence[Sample]]


def columns(answers: Sequence[Answer]) -> tuple[dict[str, list[Sample]], dict[str, str]]:
    """Per quantity its usable readings in order, and the reason of the last one where it has none ("": it is good)."""
    values: dict[str, list[Sample]] = {}
    reasons: dict[str, str] = {}
    for answer in answers:
        for block in answer.blocks:
            for quantity, at_ms, value, exponent, reason in _block(block):
                reasons[quantity] = reason
                number = scaled(value, exponent)
                if number is not None:
                    count = value if isinstance(value, int) else None
                    values.setdefault(quantity, []).append(Sample(at_ms, number, count, exponent))
    return values, reasons


def _block(block: Block) -> Iterator[tuple[str, int, Value, int | None, str]]:
    for index, (quantity, exponent) in enumerate(zip(block.shape.quantities, block.shape.exponents, strict=True)):
        reason = REASONS[block.quality[index][1]] if block.quality else ""
        for at_ms, value in zip(block.at_ms, block.columns[index], strict=True):
            yield quantity, at_ms, value, exponent, reason


def last(values: Values, quantity: str) -> float | None:
    """The newest value."""
    samples = values.get(quantity)
    return samples[-1].value if samples else None


def in_step(values: Values, quantities: Sequence[str]) -> list[tuple[float, ...]]:
    """The values of several quantities poll by poll; empty where one of them has none."""
    if not all(values.get(quantity) for quantity in quantities):
        return []
    length = min(len(values[quantity]) for quantity in quantities)
    return list(zip(*([sample.value for sample in values[quantity][-length:]] for quantity in quantities), strict=True))
