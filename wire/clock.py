"""The wall clock that every part is given: UTC milliseconds, real or accelerated. Not the clock for network time-outs (those are real).

An accelerated clock is one line through (CLOCK_MONOTONIC, UTC): all processes of a machine that are given the same line agree on the
time, because CLOCK_MONOTONIC is one for the whole machine.
"""

import asyncio
import os
import time
from typing import Final, Self

VARIABLE: Final = "WATTLINE_CLOCK"


class Clock:
    """UTC ms that run `speed` times as fast as real time from an origin; without an origin the machine's own wall clock."""

    __slots__ = ("_origin_ns", "_origin_utc_ms", "speed")

    def __init__(self, origin_utc_ms: int | None = None, speed: float = 1.0, origin_ns: int | None = None) -> None:
        if not 0 < speed <= 100_000:
            raise ValueError(f"clock speed: expected more than 0 and at most 100000, got {speed!r}")
        if origin_utc_ms is None and speed != 1.0:
            origin_utc_ms = time.time_ns() // 1_000_000
        self.speed = speed
        self._origin_utc_ms = origin_utc_ms
        self._origin_ns = time.monotonic_ns() if origin_ns is None else origin_ns

    def now_ms(self) -> int:
        """The present instant, UTC ms."""
        if self._origin_utc_ms is None:
            return time.time_ns() // 1_000_000
        return self._origin_utc_ms + int((time.monotonic_ns() - self._origin_ns) * self.speed) // 1_000_000

    __call__ = now_ms

    @property
    def is_simulated(self) -> bool:
        """Whether these are not the machine's own wall clock's instants."""
        return self._origin_utc_ms is not None

    def real_s(self, simulated_s: float) -> float:
        """How many real seconds pass while this clock advances by `simulated_s`."""
        return simulated_s / self.speed

    async def sleep(self, simulated_s: float) -> None:
        """Wait until this clock has advanced by `simulated_s`."""
        await asyncio.sleep(max(0.0, self.real_s(simulated_s)))

    @classmethod
    def from_environment(cls) -> Self:
        """The clock that a parent process has named in WATTLINE_CLOCK, else the machine's own.

        Raises ValueError naming the variable when its text is not `monotonic_ns:utc_ms:speed`.
        """
        text = os.environ.get(VARIABLE, "")
        if not text:
            return cls()
        try:
            origin_ns, origin_utc_ms, speed = text.split(":")
            return cls(int(origin_utc_ms), float(speed), int(origin_ns))
        except ValueError as error:
            raise ValueError(f"{VARIABLE}: expected monotonic_ns:utc_ms:speed, got {text!r}") from error

    def to_environment(self) -> str:
        """The text for WATTLINE_CLOCK that gives a child process this same clock; empty for the machine's own."""
        if self._origin_utc_ms is None:
            return ""
        return f"{self._origin_ns}:{self._origin_utc_ms}:{self.speed!r}"
