"""One point that is steered: what is planned, what is in force, when to write next. Knows no commands, no keys and no bus.

```
planned --its time--> current --write, read back--> in force --time over, taken back--> release --done--> nothing of ours in the device
                         |  not possible in its time: not delivered                        ^ again and again until it is done
                         +-- value None: let go                                            | first thing after a start that finds a point held
```
A later command takes the place of all that is planned from its first instant on. A set-point that follows the one before without a hole
is written over it, without a release between. Times are the event loop's; the device's own timer is fed again at two thirds of its life.
"""

import asyncio
from bisect import insort
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from edge_agent.allow import Allowed
from edge_agent.drivers.driver import DriverError, Written
from wire.command import MAX_REASON, State

RETRY_FIRST_S: Final = 2.0
RETRY_LAST_S: Final = 60.0
_RELEASE_TRIES: Final = 3  # where a device answers and does not let go, more will not help
_FEED_AT: Final = 2 / 3  # of a device timer's life
_LONGEST_WAIT_S: Final = 3600.0

Write = Callable[[str, str, float | None, float], Awaitable[Written]]


@dataclass(slots=True)
class Planned:
    """A set-point in loop time. `command` and `index` name it to whoever is told of it."""

    from_s: float
    until_s: float
    value: float | None
    command: str
    index: int
    state: State = State.ACCEPTED
    reason: str = ""

    def __lt__(self, other: "Planned") -> bool:
        return self.from_s < other.from_s


class Tell(Protocol):
    """Told of every change of a set-point's state."""

    def __call__(
        self, planned: Planned, state: State, reason: str, before: float | None, after: float | None
    ) -> None: ...


class Steered:
    """A point of a device. `run` works until it is cancelled.

    `hold(planned)` is told before the first write that the point is no longer in its safe state, `hold(None)` when it is again; both must be
    durable when they return. `speed`: simulated seconds per real second, for hold times and rates. `former`: a point that is no longer
    allowed and only let go of. `retry_s`: the first pause (real) after a write that failed, doubled each time.
    """

    def __init__(
        self,
        allowed: Allowed,
        write: Write,
        tell: Tell,
        hold: Callable[[Planned | None], Awaitable[None]],
        speed: float = 1.0,
        *,
        former: bool = False,
        retry_s: float = RETRY_FIRST_S,
    ) -> None:
        self._retry_first_s = retry_s
        self._former = former
        self.allowed = allowed
        self._write = write
        self._tell = tell
        self._hold = hold
        self._speed = speed
        self._planned: list[Planned] = []
        self._current: Planned | None = None
        self._leaving: Planned | None = None  # what the release under way belongs to
        self._leaving_as = State.REVERTED
        self._held = False  # a value of ours may be in the device
        self._value: float | None = None  # the last one that the device confirmed
        self._written_s = float("-inf")
        self._next_s = 0.0  # no write before
        self._retry_s = self._retry_first_s
        self._release_said = False
        self._tries = 0  # releases that the device answered and did not follow
        self._wake = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def waiting(self) -> int:
        """How many set-points are planned beside the current one."""
        return len(self._planned)

    # --- what others ask

    def plan(self, wanted: list[Planned]) -> None:
        """Set-points of one command in their order; they take the place of what was planned from the first of them on."""
        first_s = wanted[0].from_s
        for planned in [planned for planned in self._planned if planned.from_s >= first_s]:
            self._planned.remove(planned)
            self._end(planned, State.SUPERSEDED, f"by command {wanted[0].command}")
        for planned in wanted:
            insort(self._planned, planned)
        self._changed()

    def take_back(self, reason: str) -> None:
        """Let go of the point and of all that is planned."""
        for planned in self._planned:
            self._end(planned, State.NOT_DELIVERED, reason)
        self._planned.clear()
        if self._current is not None:
            self._leave(State.REVERTED, reason)
        self._changed()

    def held_by_an_earlier_run(self, command: str, index: int, reason: str) -> None:
        """Release first thing what an earlier run of the agent has left in the device."""
        planned = Planned(0.0, 0.0, None, command, index, State.DELIVERED, reason)
        self._held, self._leaving, self._leaving_as = True, planned, State.REVERTED
        self._changed()

    def _changed(self) -> None:
        self.idle.clear()
        self._wake.set()

    # --- the loop

    async def run(self) -> None:
        """Write, feed and release when it is time. Cancel to stop; nothing is released then (see `take_back`)."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now_s = loop.time()
            if self._leaving is None:
                self._promote(now_s)
            at_s, act = self._due()
            if act is not None and at_s <= now_s:
                await act(now_s)
                continue
            if act is None and not self._planned:
                self.idle.set()
            wait_s = min(max(at_s - now_s, 0.0), _LONGEST_WAIT_S)
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _promote(self, now_s: float) -> None:
        """Makes current what is due now, ends what is over."""
        current, following = self._current, None
        while self._planned and self._planned[0].from_s <= now_s:
            if following is not None:
                self._end(following, State.SUPERSEDED, f"by command {self._planned[0].command}")
            following = self._planned.pop(0)
        if following is not None and following.until_s <= now_s:
            self._end(following, State.NOT_DELIVERED, "its time was over before it could be written")
            following = None
        if following is not None:
            if current is not None:
                if current.until_s <= following.from_s:
                    self._over(current)
                else:
                    self._end(current, State.SUPERSEDED, f"by command {following.command}")
            self._current, self._next_s, self._retry_s = (
                following,
                min(self._next_s, now_s + self._pause_s),
                self._retry_first_s,
            )
        elif current is not None and current.until_s <= now_s:
            self._leave(State.EXPIRED, "")

    def _due(self) -> tuple[float, Callable[[float], Awaitable[None]] | None]:
        """What comes next and when (loop time)."""
        if self._leaving is not None:
            return self._next_s, self._release
        next_plan_s = self._planned[0].from_s if self._planned else float("inf")
        current = self._current
        if current is None:
            return next_plan_s, None
        wakes_s = min(current.until_s, next_plan_s)
        if current.state is State.ACCEPTED:
            write_s = self._next_s
        elif (
            current.value is not None
            and self.allowed.fallback != "none"
            and current.until_s > self._written_s + self._hold_s
        ):
            write_s = max(self._next_s, self._written_s + self._hold_s * _FEED_AT)
        else:
            write_s = float("inf")
        return (write_s, self._deliver) if write_s < wakes_s else (wakes_s, self._look_again)

    async def _look_again(self, _now_s: float) -> None:
        """The next round finds what is due."""

    # --- writing

    @property
    def _pause_s(self) -> float:
        return self.allowed.pause_s / self._speed

    @property
    def _hold_s(self) -> float:
        """Real seconds for which a device may go on without us."""
        return self.allowed.hold_s / self._speed

    async def _deliver(self, now_s: float) -> None:
        current = self._current
        assert current is not None
        if current.value is None:
            self._leave(State.DELIVERED, "let go")
            return
        feeding = current.state is State.DELIVERED
        if not feeding and self._held and self._value is not None and self._is_near(current.value):
            self._say(
                current,
                State.DELIVERED,
                f"within the dead-band of {self.allowed.dead_band:g}",
                self._value,
                self._value,
            )
            return
        value = self._step(current.value, now_s)
        if not self._held:
            self._held = True
            await self._hold(current)
        before = self._value
        try:
            written = await self._write(self.allowed.device, self.allowed.point, value, self._hold_for(current, now_s))
        except DriverError as error:
            self._value = None  # it may have arrived for all that
            self._failed(current, error)
            return
        if current is not self._current:
            return  # taken back, or another one's time has come, while it was written
        loop_s = asyncio.get_running_loop().time()
        self._written_s, self._next_s, self._retry_s = loop_s, loop_s + self._pause_s, self._retry_first_s
        if not written.delivered:
            self._end(
                current,
                State.NOT_DELIVERED,
                written.note or "the device does not follow",
                written.before,
                written.after,
            )
            self._current = None
            self._leave_alone(current)
            return
        self._value = value
        if value == current.value and not feeding:
            self._say(
                current,
                State.DELIVERED,
                written.note,
                written.before if written.before is not None else before,
                written.after,
            )

    def _hold_for(self, current: Planned, now_s: float) -> float:
        """Simulated seconds for which the device shall hold a value that is written now: not beyond its end, unless another follows."""
        rest_s = max(current.until_s - now_s, 0.0) * self._speed
        if self.allowed.fallback == "none":
            return rest_s
        followed = self._planned and self._planned[0].from_s <= current.until_s
        return self.allowed.hold_s if followed else min(self.allowed.hold_s, rest_s)

    def _is_near(self, value: float) -> bool:
        assert self._value is not None
        return abs(value - self._value) <= self.allowed.dead_band

    def _step(self, target: float, now_s: float) -> float:
        """The value to write now: on the way to `target` no faster than the allowed rate."""
        rate_per_s, start = self.allowed.rate_per_s, self._value if self._value is not None else self.allowed.safe
        if rate_per_s is None or start is None:
            return target
        since_s = min(now_s - self._written_s, self._pause_s) if self._value is not None else self._pause_s
        most = rate_per_s * max(since_s, self._pause_s) * self._speed
        return target if abs(target - start) <= most else start + (most if target > start else -most)

    def _failed(self, current: Planned, error: DriverError) -> None:
        if current is not self._current:
            return
        reason = str(error)
        if not error.retry:
            self._end(current, State.NOT_DELIVERED, reason)
            self._current = None
            self._leave_alone(current)
            return
        now_s = asyncio.get_running_loop().time()
        if current.state is State.DELIVERED and now_s > self._written_s + self._hold_s:
            self._end(current, State.REVERTED, f"the device was not reached for {self.allowed.hold_s:g} s: {reason}")
            self._current = None
            self._leave_alone(current)
            return
        if current.state is State.ACCEPTED and current.reason != reason:
            self._say(current, State.ACCEPTED, f"not yet: {reason}", None, None)
            current.reason = reason
        self._back_off()

    def _back_off(self) -> None:
        self._next_s = asyncio.get_running_loop().time() + self._retry_s
        self._retry_s = min(2 * self._retry_s, RETRY_LAST_S)

    # --- letting go

    def _leave(self, state: State, reason: str) -> None:
        """The current set-point ends as `state` once the point is released."""
        current, self._current = self._current, None
        assert current is not None
        if current.state is State.ACCEPTED and state is not State.DELIVERED:
            self._end(
                current, State.NOT_DELIVERED, reason or current.reason or "its time was over before it could be written"
            )
            if self._held:
                self._leave_alone(current)
            return
        current.reason = reason
        self._leaving, self._leaving_as = current, state
        self._next_s, self._retry_s, self._release_said = 0.0, self._retry_first_s, False

    def _leave_alone(self, ended: Planned) -> None:
        """Release the point for a set-point whose end is told already."""
        self._leaving, self._leaving_as = ended, ended.state
        self._next_s, self._retry_s, self._release_said = 0.0, self._retry_first_s, False

    async def _release(self, _now_s: float) -> None:
        leaving = self._leaving
        assert leaving is not None
        before = self._value
        try:
            written = await self._write(self.allowed.device, self.allowed.point, self.allowed.safe, 0.0)
        except DriverError as error:
            if self._former and not error.retry:
                self._let_go(leaving, f"{leaving.reason}; cannot be released: {error}", before, None)
                await self._hold(None)
            else:
                self._not_released(leaving, str(error))
            return
        self._tries += not written.delivered
        if not written.delivered and self._tries < _RELEASE_TRIES:
            self._not_released(leaving, written.note)
            return
        reason = (
            leaving.reason
            if written.delivered
            else f"{leaving.reason}; not released: {written.note}".removeprefix("; ")
        )
        self._let_go(leaving, reason, before if written.before is None else written.before, written.after)
        await self._hold(None)

    def _not_released(self, leaving: Planned, why: str) -> None:
        """Try again later; said once."""
        if not self._release_said and leaving.state is not self._leaving_as:
            reason = f"{leaving.reason or 'its time is over'}; not released yet: {why}"
            self._say(leaving, leaving.state, reason, self._value, None)
        self._release_said = True
        self._back_off()

    def _let_go(self, leaving: Planned, reason: str, before: float | None, after: float | None) -> None:
        self._held, self._value, self._written_s, self._leaving, self._tries = False, None, float("-inf"), None, 0
        self._next_s = asyncio.get_running_loop().time() + self._pause_s
        if leaving.state is not self._leaving_as:
            self._end(leaving, self._leaving_as, reason, before, after)

    def _over(self, current: Planned) -> None:
        if current.state is State.DELIVERED:
            self._end(current, State.EXPIRED, "")
        else:
            self._end(current, State.NOT_DELIVERED, current.reason or "its time was over before it could be written")

    # --- telling

    def _end(
        self, planned: Planned, state: State, reason: str, before: float | None = None, after: float | None = None
    ) -> None:
        self._say(planned, state, reason, before, after)

    def _say(self, planned: Planned, state: State, reason: str, before: float | None, after: float | None) -> None:
        planned.state = state
        self._tell(planned, state, reason[:MAX_REASON], before, after)
