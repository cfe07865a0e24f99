"""One meter's counter from readings to interval energies: algebra, boundaries and multipliers in a row, with a state to keep.

Not where the readings come from or the energies go.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aggregator.intervals.boundaries import Boundary, BoundaryLine, IntervalEnergy
from aggregator.intervals.counter import CounterEvent, CounterLine, CounterReading, PowerIntegral, no_power
from aggregator.intervals.meter import MeterSpec
from wire.reading import Json


@dataclass(slots=True)
class Settled:
    """What readings have brought: boundaries and final intervals in order, events of the counter.

    `unknown` are spans [from_ms, to_ms) of whole intervals that have no figure: the counter began anew in them.
    """

    boundaries: list[Boundary] = field(default_factory=list)
    intervals: list[IntervalEnergy] = field(default_factory=list)
    events: list[CounterEvent] = field(default_factory=list)
    unknown: list[tuple[int, int]] = field(default_factory=list)


class CounterIntervals:
    """State of one counter series. `interval_ms` must divide 15 minutes."""

    def __init__(self, meter: MeterSpec, interval_ms: int, power: PowerIntegral = no_power) -> None:
        self.counter = CounterLine(meter, power)
        self.boundaries = BoundaryLine(self.counter, interval_ms)

    def offer(self, readings: Iterable[CounterReading]) -> Settled:
        """Takes readings in rising order of `at_ms` and gives what they settle."""
        settled = Settled()
        for reading in readings:
            accepted, events = self.counter.offer(reading)
            settled.events += events
            for believed in accepted:
                boundaries, intervals = self.boundaries.feed(believed)
                settled.boundaries += boundaries
                settled.intervals += intervals
        settled.unknown, self.boundaries.unknown = self.boundaries.unknown, []
        return settled

    def provisional(self) -> list[IntervalEnergy]:
        """The intervals begun and not final."""
        return self.boundaries.provisional()

    def to_json(self) -> dict[str, Json]:
        """The state as JSON can hold it."""
        return {"counter": self.counter.to_json(), "boundaries": self.boundaries.to_json()}

    @classmethod
    def from_json(
        cls, meter: MeterSpec, interval_ms: int, power: PowerIntegral, state: Mapping[str, Any]
    ) -> "CounterIntervals":
        """The state that `to_json` gave, ready to go on."""
        found = cls(meter, interval_ms, power)
        found.counter = CounterLine.from_json(meter, power, state["counter"])
        found.boundaries = BoundaryLine.from_json(found.counter, interval_ms, state["boundaries"])
        return found


def displayed(value: float) -> Decimal:
    """The digits that the meter showed: stores keep the float nearest to them, and `repr` gives the shortest that is it."""
    return Decimal(repr(float(value)))
