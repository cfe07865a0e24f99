"""What is looked at in everything that passes, so that a wrong value can be understood later: counters and rejected values. Corrects nothing."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

from edge_agent import meter
from edge_agent.counter_watch import CounterWatch, Limits
from edge_agent.edge_file import EdgeFile
from edge_agent.flight_recorder import FlightRecorder
from wire.block import Block
from wire.reading import REASON_CODES, Event, Quality

# "not-implemented" is a meter's ordinary answer for what it lacks; these two say that it answered nonsense.
_NONSENSE: Final = frozenset({REASON_CODES["out-of-range"], REASON_CODES["unit"]})


class Forensics:
    """Counter watch and flight recorder of one agent. `tell` takes the events, `directory` the dumps."""

    def __init__(
        self, edge: EdgeFile, directory: Path, now_ms: Callable[[], int], tell: Callable[[Event], None]
    ) -> None:
        devices = [(bus, device) for bus in edge.bus for device in bus.device]
        self._tell = tell
        self._recorder = FlightRecorder(directory, now_ms, {device.name: bus.protocol for bus, device in devices})
        self._watch = CounterWatch(
            {
                device.name: Limits(_exact(device.rated_power_kw), _exact(meter.load(device.model).modulus_kwh))
                for _, device in devices
            },
            self.rejected,
        )

    def frame(self, device: str, sent: bool, raw: bytes) -> None:
        """See `Gateway.frame`."""
        self._recorder.frame(device, sent, raw)

    def look(self, block: Block) -> None:
        """Everything that a device answered comes through here before it is sealed."""
        for index, (quality, reason) in enumerate(block.quality):
            if quality == Quality.BAD and reason in _NONSENSE:
                self.rejected(block.device, f"{block.shape.quantities[index]}: rejected as out of range")
                break
        for event in self._watch.look(block):
            self._tell(event)

    def rejected(self, device: str, why: str) -> None:
        """A device's answer was not believed: its last frames are written down."""
        event = self._recorder.dump(device, why)
        if event is not None:
            self._tell(event)


def _exact(number: float | None) -> Decimal | None:
    return None if number is None else Decimal(repr(number))
