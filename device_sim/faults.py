"""What can go wrong with a simulated device, for how long. Not how it is asked for (`control`) nor how it shows (`device`, `modbus_tcp`)."""

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """Faults that last; a counter rollover and a counter reset happen at once and are done."""

    SILENCE = "silence"  # no answer
    DELAY = "delay"  # the answer comes late
    EXCEPTION = "exception"  # a Modbus exception instead of values
    WRONG_UNIT = "wrong_unit"  # the answer carries another unit id
    FROZEN = "frozen"  # the values of the moment the fault began, with fresh serials
    REBOOT = "reboot"  # no answer, and written set-points are forgotten
    HALF_FRAME = "half_frame"  # the first half of the answer, then nothing
    WRONG_CHECKSUM = "wrong_checksum"  # the answer arrives with a damaged checksum
    STALE = "stale"  # the device sends its last answer once more, whatever was asked now
    CLOCK_JUMP = "clock_jump"  # the device's own clock is `clock_s` ahead of the true time (negative: behind)
    ONE_CONNECTION = "one_connection"  # only one client at a time: a second connection is closed at once


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in force until an instant (UTC ms; None: until cleared). `delay_s` is in real seconds, `clock_s` in seconds of the device's clock."""

    kind: FaultKind
    until_ms: int | None = None
    delay_s: float = 0.0
    exception_code: int = 4
    clock_s: float = 0.0


class Faults:
    """The faults in force on one device, at most one of each kind."""

    def __init__(self) -> None:
        self._active: dict[FaultKind, Fault] = {}

    def begin(self, fault: Fault) -> None:
        """Puts a fault in force, in place of an earlier one of its kind."""
        self._active[fault.kind] = fault

    def clear(self, kind: FaultKind | None = None) -> None:
        """Ends one kind, or all."""
        if kind is None:
            self._active.clear()
        else:
            self._active.pop(kind, None)

    def active(self, now_ms: int) -> dict[FaultKind, Fault]:
        """Those in force at an instant; those that have run out are forgotten."""
        self._active = {
            kind: fault for kind, fault in self._active.items() if fault.until_ms is None or now_ms < fault.until_ms
        }
        return self._active
