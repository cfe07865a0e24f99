"""One point that something on this gateway steers, such as the limits of a circuit: the newest value wins, is fed, and is let go of. No commands, no answers.

```
follow(value) -> write at once, else at the end of the pause -> fed at two thirds of the device's timer -> let go
                    | failed: again, 2 s to 60 s apart, while the device has the value before; said once
```
What a device refuses is never answered by a release: a limit that cannot be set is no reason to take the one before away. Who calls `follow` must call again within `life_s`,
with the same value or another, else the point is let go of.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from edge_agent.allow import Allowed
from edge_agent.drivers.driver import DriverError, Written
from edge_agent.steer import RETRY_FIRST_S, RETRY_LAST_S, Write

log = logging.getLogger(__name__)

LIFE_S: Final = 10.0  # real; a loop that is not heard of for so long no longer steers
_NEVER_S: Final = float("-inf")


class Hold:
    """A point held from here. `durable(True)` is awaited before the first write, `durable(False)` once it is let go of.

    `told(reason)` hears when a value cannot be written (the reason) and when it can again ("").
    """

    def __init__(
        self,
        allowed: Allowed,
        write: Write,
        durable: Callable[[bool], Awaitable[None]],
        told: Callable[[str], None],
        speed: float = 1.0,
        retry_s: float = RETRY_FIRST_S,
        life_s: float = LIFE_S,
    ) -> None:
        self.allowed, self._life_s = allowed, life_s
        self._write, self._durable, self._told = write, durable, told
        self._speed, self._retry_first_s = speed, retry_s
        self._retry_s = retry_s
        self._value: float | None = None  # what it shall have
        self._heard_s = _NEVER_S
        self._held = False  # a value of ours may be in the device
        self._stands: float | None = None  # the last one that the device took
        self._written_s, self._next_s = _NEVER_S, _NEVER_S
        self._failing = ""
        self._wake = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def held(self) -> bool:
        """Whether a value of ours may be in the device."""
        return self._held

    def follow(self, value: float) -> None:
        """The point shall have this value, within what is allowed."""
        value = min(max(value, self.allowed.low), self.allowed.high)
        self._heard_s = asyncio.get_running_loop().time()
        if value == self._value:
            return
        lower = self._value is None or abs(value) < abs(self._value)
        self._value = value
        if lower:
            self._retry_s = self._retry_first_s
            self._next_s = min(self._next_s, self._written_s + self._real_s(self.allowed.pause_s))
        self.idle.clear()
        self._wake.set()

    def let_go(self) -> None:
        """The point is no longer steered."""
        self._value = None
        self._next_s = _NEVER_S
        if self._held:
            self.idle.clear()
        self._wake.set()

    def left_behind(self) -> None:
        """An earlier run of the agent has left a value in the device."""
        self._held = True
        self.idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Write, feed, let go. Cancel to stop; nothing is let go of then (see `let_go`)."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now_s = loop.time()
            if self._value is not None and now_s > self._heard_s + self._life_s:
                log.error(
                    "point let go of device=%s point=%s reason=nobody steers", self.allowed.device, self.allowed.point
                )
                self.let_go()
            at_s = self._due_s()
            if at_s <= now_s:
                await (self._release() if self._value is None else self._deliver(self._value))
                continue
            if self._value is None:
                self.idle.set()
            ends_s = self._heard_s + self._life_s if self._value is not None else float("inf")
            wait_s = min(at_s, ends_s) - now_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait_s == float("inf") else max(0.0, wait_s) + 0.001):
                    await self._wake.wait()

    def _due_s(self) -> float:
        """When the device is written next (loop time)."""
        if self._value is None:
            return self._next_s if self._held else float("inf")
        if self._stands is None or self._stands != self._value:
            return self._next_s
        if self.allowed.fallback == "none":
            return float("inf")
        return max(self._next_s, self._written_s + self._real_s(self.allowed.hold_s) * 2 / 3)

    def _real_s(self, simulated_s: float) -> float:
        return simulated_s / self._speed

    async def _deliver(self, value: float) -> None:
        if not self._held:
            self._held = True
            await self._durable(True)
        step = self._step(value)
        written = await self._written(step, self.allowed.hold_s)
        now_s = asyncio.get_running_loop().time()
        if written is None:
            self._stands = None  # it may have arrived for all that
            return
        self._stands, self._written_s = step, now_s
        self._next_s = now_s + self._real_s(self.allowed.pause_s)
        if not written.delivered:  # it was heard; what the device makes of it the meter shows
            self._say(written.note or "the device does not follow")
        else:
            self._say("")

    def _step(self, target: float) -> float:
        """The value to write now: on the way up no faster than the allowed rate, down at once."""
        rate_per_s, before = self.allowed.rate_per_s, self._stands
        if rate_per_s is None or before is None or abs(target) <= abs(before):
            return target
        most = rate_per_s * self.allowed.pause_s
        return target if abs(target - before) <= most else before + (most if target > before else -most)

    async def _release(self) -> None:
        written = await self._written(self.allowed.safe, 0.0)
        if written is None:
            return
        self._held, self._stands = False, None
        self._say("" if written.delivered else f"not released: {written.note}")
        await self._durable(False)

    async def _written(self, value: float | None, hold_s: float) -> Written | None:
        try:
            written = await self._write(self.allowed.device, self.allowed.point, value, hold_s)
        except DriverError as error:
            self._say(str(error))
            self._next_s = asyncio.get_running_loop().time() + self._retry_s
            self._retry_s = min(2 * self._retry_s, RETRY_LAST_S)
            return None
        self._retry_s = self._retry_first_s
        return written

    def _say(self, reason: str) -> None:
        if reason != self._failing:
            self._failing = reason
            self._told(reason)
