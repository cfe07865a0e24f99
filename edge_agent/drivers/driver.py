"""What every field protocol gives: blocks of a device's values, and errors that say whether to try again. Not a protocol itself.

DriverError
+-- DeviceUnreachable       no answer in time; try again later
|   +-- BusUnreachable      not even a connection: no device of this bus can answer
+-- DeviceRefused           the device answered that it will not; `code` says why, `retry` whether asking again can help
+-- NotWritable             a point, a value or a protocol that takes no such write; asking again does not help
+-- DeviceMisanswered       an answer that does not fit the question (unit, transaction, function, length, layout); try again
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from wire.block import Block
from wire.reading import Event


class DriverError(Exception):
    """A read that gave nothing; the message names the device, what was expected and what was seen."""

    retry: bool = True


class DeviceUnreachable(DriverError):
    """No answer within the time-out. Asking again later can help."""


class BusUnreachable(DeviceUnreachable):
    """No connection to the bus, so that no device on it can answer."""


class DeviceRefused(DriverError):
    """The device answered that it will not. `code` is the protocol's own, `meaning` its words for it; `retry`: whether that passes by itself."""

    def __init__(self, what: str, code: int | str, meaning: str = "unknown", *, retry: bool = False) -> None:
        super().__init__(f"{what}: refused with {f'exception {code}' if isinstance(code, int) else code} ({meaning})")
        self.code = code
        self.retry = retry


class DeviceMisanswered(DriverError):
    """The answer does not belong to the question. Nothing of it is kept."""


class NotWritable(DriverError):
    """A write that no device was asked for: there is no such point, or it cannot take the value. Asking again does not help."""

    retry = False


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What a driver must know to read one device; each protocol adds its own. `name` is the device's id in messages and blocks."""

    name: str

    @property
    def has_counters(self) -> bool:
        """Whether a read can give a counter, so that interval boundaries are worth an extra poll."""
        return False

    @property
    def quantities(self) -> tuple[str, ...]:
        """The quantities that a whole read gives, in the order of the model's rows."""
        return ()


def _no_frame(_device: str, _sent: bool, _raw: bytes) -> None:
    """Nobody keeps the frames."""


def _nobody_can_tell() -> bool | None:
    return None


def _no_figures() -> Mapping[str, float]:
    return {}


@dataclass(frozen=True, slots=True)
class Gateway:
    """What a driver may use of the gateway that it runs on.

    now_ms: UTC ms. state: a directory for what must survive a restart (None: there is none, for dry runs). frame: told every raw frame
    or message (device, sent by us, bytes). figures: the agent's own figures by quantity. synced: whether this machine's clock is synchronised,
    None where nobody can tell.
    """

    now_ms: Callable[[], int]
    state: Path | None = None
    frame: Callable[[str, bool, bytes], None] = _no_frame
    figures: Callable[[], Mapping[str, float]] = _no_figures
    synced: Callable[[], bool | None] = _nobody_can_tell


@dataclass(slots=True)
class Answer:
    """What one read of a device gave: blocks, events, and what went wrong with the requests that gave none.

    `past`: what the device had kept by itself while nobody read it, at the instants at which it kept it.
    """

    blocks: list[Block] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    faults: list[DriverError] = field(default_factory=list)
    requests: int = 0
    left_out: int = 0  # requests that the deadline did not leave time for; they come first in the next read
    past: list[Block] = field(default_factory=list)


P_contra = TypeVar("P_contra", bound=DevicePlan, contravariant=True)


class Driver(Protocol[P_contra]):
    """One bus. Calls are made one at a time, by one task.

    `listens`: the devices send by themselves. `read` then hands over what has come since the last read, costs no bus time, is never
    backed off, and is called once more at the end; it raises DeviceUnreachable while a device is not connected or silent for too long.
    """

    @property
    def listens(self) -> bool: ...

    async def read(self, device: P_contra, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        """Reads `device` once. Partial answers are kept: raises DriverError only where nothing was answered.

        No request is begun after `deadline_s` (seconds of the event loop's clock). `counters_only` makes only the requests whose
        answers hold a counter, each in full.
        """
        ...

    def requests(self, device: P_contra) -> tuple[str, ...]:
        """The requests as last planned, splits included, one line each for people."""
        ...

    async def close(self) -> None:
        """Gives up the connection."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """What a write came to: the value read back before and after, in the point's unit, and whether the device now follows it."""

    delivered: bool
    before: float | None = None
    after: float | None = None
    note: str = ""


@runtime_checkable
class Controllable(Protocol[P_contra]):
    """A driver that can also write."""

    async def write(self, device: P_contra, point: str, value: float | None, hold_s: float) -> Written:
        """Writes `value` (in the point's unit; None releases it) for at most `hold_s` and reads it back. Raises DriverError.

        Where the device has a timer of its own, it is set to `hold_s`; 0: for good, which only safe values are.
        """
        ...
