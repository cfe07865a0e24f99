"""What the gateway knows of its own clock: whether it is synchronised, by how much it was stepped, and what to do with readings before. Not NTP.

boot ---- wall clock of yesterday ----+ NTP ------ right ------------>     wall = monotonic + offset
          readings wait, each with    | offset steps: each waiting reading
          the offset of its instant   | is moved by offset now - offset then

Ten minutes after the machine's start, or with too much waiting, readings go out as they are: uncertain, with the pair (monotonic, wall)
of their batch, so that whoever learns the offset of that start later can set them right.
"""

import ctypes
import ctypes.util
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wire.content import ClockJson

log = logging.getLogger(__name__)

HOLD_AFTER_BOOT_MS: Final = 600_000
STEP_MS: Final = 1_000  # a larger change between two looks is a step; NTP slews at most 0.5 ms a second
AHEAD_MS: Final = 86_400_000  # a clock that leaps further forward ages nothing out before it is known to be right

_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000


@dataclass(frozen=True, slots=True)
class Sync:
    """What the operating system says of its clock; `offset_ms` is what it is still correcting, `error_ms` the most that it can be off."""

    synced: bool
    offset_ms: int = 0
    error_ms: int | None = None


class _Timex(ctypes.Structure):
    """struct timex of Linux, adjtimex(2); what follows `status` is not read."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def kernel_sync() -> Sync | None:
    """Asks the kernel, which chrony, ntpd and systemd-timesyncd tell; None where it cannot be asked."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    answer = _Timex()
    state = adjtimex(ctypes.byref(answer))
    if state < 0:
        return None
    offset_ms = answer.offset / (1e6 if answer.status & _STA_NANO else 1e3)
    synced = state != _TIME_ERROR and not answer.status & _STA_UNSYNC
    return Sync(synced, round(offset_ms), answer.maxerror // 1000 if synced else None)


def uptime_ms() -> int:
    """Milliseconds since the machine was started, suspension included; the monotonic clock where that cannot be told."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """The wall clock has moved against the monotonic one, or its synchronisation has changed."""

    at_ms: int
    step_ms: int
    synced: bool | None


class Timekeeper:
    """Looks at the clock now and then. `wall_ms` is UTC ms, `sync` asks the operating system, `monotonic_ms` never steps.

    Where `sync` gives None (a simulated clock, or a system that does not tell) the wall clock is believed.
    """

    def __init__(
        self,
        wall_ms: Callable[[], int],
        sync: Callable[[], Sync | None] = kernel_sync,
        monotonic_ms: Callable[[], int] = uptime_ms,
        boot: str = "",
    ) -> None:
        self._wall_ms = wall_ms
        self._sync = sync
        self._monotonic_ms = monotonic_ms
        self._boot = boot
        self._state = sync()
        self._offset_ms = wall_ms() - monotonic_ms()
        self._ahead_ms = 0  # how far the wall clock has leapt forward without having been found right

    def look(self) -> Step | None:
        """Asks once more. Gives what has changed since the last look, None where nothing has."""
        before, self._state = self.synced, self._sync()
        wall_ms, monotonic_ms = self._wall_ms(), self._monotonic_ms()
        offset_ms = wall_ms - monotonic_ms
        step_ms, self._offset_ms = offset_ms - self._offset_ms, offset_ms
        stepped = abs(step_ms) >= STEP_MS
        if self.synced:
            self._ahead_ms = 0
        elif stepped:
            self._ahead_ms = max(0, self._ahead_ms + step_ms)
        if not stepped and before == self.synced:
            return None
        log.warning("clock_changed step_ms=%d synced=%s", step_ms if stepped else 0, self.synced)
        return Step(wall_ms, step_ms if stepped else 0, self.synced)

    @property
    def synced(self) -> bool | None:
        """Whether the clock is synchronised, None where nobody can tell."""
        return None if self._state is None else self._state.synced

    @property
    def holds(self) -> bool:
        """Whether readings should wait for the right time: not synchronised, and the machine has only just been started."""
        return self.synced is False and self._monotonic_ms() < HOLD_AFTER_BOOT_MS

    @property
    def offset_ms(self) -> int:
        """Wall clock minus monotonic clock at this moment."""
        return self._wall_ms() - self._monotonic_ms()

    def age_ms(self) -> int:
        """UTC ms to judge by how old something is: the wall clock, but for a leap of over a day that nobody has confirmed."""
        return self._wall_ms() - (self._ahead_ms if self._ahead_ms > AHEAD_MS else 0)

    def said(self) -> ClockJson:
        """What a batch says of the clock under which it is sealed."""
        state = self._state
        if state is None:
            return ClockJson(None, self._boot)
        if state.synced:
            return ClockJson(True, self._boot, state.offset_ms, state.error_ms, self._monotonic_ms())
        return ClockJson(False, self._boot, monotonic_ms=self._monotonic_ms())
