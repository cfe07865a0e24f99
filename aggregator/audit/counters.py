"""What batches say of counters: first and last value, how many, and where one falls. Not what an interval's energy is made of it."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from wire.content import Content, blocks
from wire.quantities import QUANTITIES, Kind


@dataclass(slots=True)
class CounterRun:
    """One counter of one device over some batches; values in the counter's unit, null readings left out."""

    values: dict[int, float]  # by instant

    @property
    def from_ms(self) -> int:
        return min(self.values)

    @property
    def to_ms(self) -> int:
        return max(self.values)

    @property
    def falls(self) -> int:
        """How often a value is below the one before: rollover, reset, exchange or glitch (docs/intervals.md)."""
        ordered = [self.values[at_ms] for at_ms in sorted(self.values)]
        return sum(after < before for before, after in itertools.pairwise(ordered))


CounterName = tuple[str, str, str]  # edge, device, quantity


def counter_runs(contents: Iterable[Content]) -> dict[CounterName, CounterRun]:
    """Every counter in these batches, by edge, device and quantity. The first value of an instant stands."""
    found: dict[CounterName, CounterRun] = {}
    for content in contents:
        for block in blocks(content):
            for reading in block.readings():
                quantity = QUANTITIES.get(reading.quantity)
                if reading.value is not None and quantity is not None and quantity.kind is Kind.COUNTER:
                    name = (content.edge, reading.device, reading.quantity)
                    found.setdefault(name, CounterRun({})).values.setdefault(reading.at_ms, reading.value)
    return dict(sorted(found.items()))
