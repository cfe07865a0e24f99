"""What every field protocol gives: blocks of a device's values, and errors that say whether to try again. Not a protocol itself.

DriverError
+-- DeviceUnreachable       no answer in time; try again later
|   +-- BusUnreachable      not even a connection: no device of this bus can answer
+-- DeviceRefused           the device answered that it will not; `code` says why, `retry` whether asking again can help
+-- DeviceMisanswered       an answer that does not fit the question (unit, transaction, function, length, layout); try again
"""

from dataclasses import dataclass, field
from typing import Final, Protocol

from edge_agent.drivers.coalesce import NO_LIMITS, Limits, Request
from edge_agent.drivers.registers import Field
from wire.block import Block

# Modbus Application Protocol Specification V1.1b3, section 7
_MEANING: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
}
_PASSING: Final = frozenset({4, 5, 6})


class DriverError(Exception):
    """A read that gave nothing; the message names the device, what was expected and what was seen."""

    retry: bool = True


class DeviceUnreachable(DriverError):
    """No answer within the time-out. Asking again later can help."""


class BusUnreachable(DeviceUnreachable):
    """No connection to the bus, so that no device on it can answer."""


class DeviceRefused(DriverError):
    """The device answered with an exception. `retry` is true only for those that pass by themselves (busy, acknowledge, failure)."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: refused with exception {code} ({_MEANING.get(code, 'unknown')})")
        self.code = code
        self.retry = code in _PASSING


class DeviceMisanswered(DriverError):
    """The answer does not belong to the question. Nothing of it is kept."""


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What a driver must know to read one device: its id in messages and blocks, its address on the bus, its fields and limits."""

    name: str
    unit: int
    fields: tuple[Field, ...]
    limits: Limits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a bus is and how patient to be. Times in real seconds and milliseconds: the network knows no accelerated clock."""

    host: str
    port: int
    timeout_s: float = 1.0
    connect_pause_ms: float = 0.0


@dataclass(slots=True)
class Answer:
    """What one read of a device gave: a block per answered request, and what went wrong with the others."""

    blocks: list[Block] = field(default_factory=list)
    faults: list[DriverError] = field(default_factory=list)
    requests: int = 0
    left_out: int = 0  # requests that the deadline did not leave time for; they come first in the next read


class Driver(Protocol):
    """One bus. Reads are made one at a time, by one task."""

    async def read(self, device: DevicePlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        """Reads `device` once. Partial answers are kept: raises DriverError only where not one request was answered.

        No request is begun after `deadline_s` (seconds of the event loop's clock). `counters_only` makes only the requests whose
        answers hold a counter, each in full.
        """
        ...

    def requests(self, device: DevicePlan) -> tuple[Request, ...]:
        """The requests as last planned, splits included."""
        ...

    async def close(self) -> None:
        """Gives up the connection."""
        ...
