"""Set-points from above: verified, allowed or refused, handed to their points. Not how a point is steered (`steer`) or what is told of it (`set_point_record`).

```
frame -> signature -> expiry, counter -> allow-list, range, length -> Steered.plan -> writes
  |         |             |                    |                           |
  ignored   ignored       refused as a whole   refused                     delivered, expired, reverted, ...   -> answer and event
```
A forged frame gets no answer: it would go to the forger. Everything else is answered once per id, and again, the same, when the id comes
again. While the link upwards is lost for longer than stated every point goes back to its safe state; so it does when the agent stops, and first
thing when it starts and finds that an earlier run has left something.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

from edge_agent import control_state
from edge_agent.allow import Allowed
from edge_agent.control_state import ControlState, Held
from edge_agent.drivers.driver import DriverError, Written
from edge_agent.hold import Hold
from edge_agent.set_point_record import Record
from edge_agent.steer import RETRY_FIRST_S, Planned, Steered, Write
from wire.clock import Clock
from wire.command import Command, CommandForged, CommandUnfit, CommandUnreadable, Result, SetPoint, State, unseal
from wire.keys import PublicKey
from wire.reading import Event

log = logging.getLogger(__name__)

LINK_LOST_S: Final = 60.0
AHEAD_MS: Final = 60_000  # how far an issuer's clock may run before ours
PLANNED_MOST: Final = 2_000  # set-points that wait, over all points
FORGED_EVERY_S: Final = 60.0  # one event for all forged commands of this time
_RESTARTED: Final = "the agent started anew"
_LIMITS: Final = "limits"  # who holds a point that no command may touch


class Control:
    """All points that one edge may write. `run` works until cancelled; `close` before that lets go of what is held.

    `write` is the collection's; `event` takes audit events; `answer` takes results that shall go up. Without a `key` no command is taken.
    `state` is a directory for what must survive a restart; `link_lost_s` is real seconds, and so is `retry_s`, the first pause after a write that failed.
    `local` are points that this gateway's own limits steer, with `follow`: no command reaches them, and they outlast the link upwards.
    """

    def __init__(
        self,
        allowed: Iterable[Allowed],
        key: PublicKey | None,
        topic: str,
        clock: Clock,
        write: Write,
        event: Callable[[Event], None],
        answer: Callable[[Result], None],
        state: Path | None = None,
        link_lost_s: float = LINK_LOST_S,
        retry_s: float = RETRY_FIRST_S,
        local: Collection[tuple[str, str]] = (),
    ) -> None:
        """Raises OSError where `state` cannot be read."""
        self._key, self._topic, self._clock, self._write = key, topic, clock, write
        self._directory, self._link_lost_s, self._retry_s = state, link_lost_s, retry_s
        self._record = Record(clock, event, answer)
        kept = control_state.load(state)
        self._counters = kept.counters
        self._held = {(held.device, held.point): held for held in kept.held}
        self._record.restore(kept.answers, kept.held, _RESTARTED)
        allowed = list(allowed)
        self._local = {
            (entry.device, entry.point): self._hold_of(entry)
            for entry in allowed
            if (entry.device, entry.point) in local
        }
        self._points = {
            place: self._steered(entry)
            for entry in allowed
            if (place := (entry.device, entry.point)) not in self._local
        }
        self._former = [
            self._steered(Allowed(*place, "", 0.0, 0.0, "none", held.safe), former=True)
            for place, held in self._held.items()
            if place not in self._points and place not in self._local
        ]
        self._beginning: set[asyncio.Task[None]] = set()
        self._promised = 0  # set-points of commands whose counter is on its way to the disk
        self._saving = asyncio.Lock()
        self._link, self._link_changed = False, asyncio.Event()
        self._closing = self._muted = False
        self._forged = 0
        self._forged_said_s = float("-inf")
        self.forged_total = 0

    def _steered(self, allowed: Allowed, *, former: bool = False) -> Steered:
        place = (allowed.device, allowed.point)

        async def hold(planned: Planned | None) -> None:
            if planned is None:
                self._held.pop(place, None)
            else:
                self._held[place] = Held(*place, allowed.safe, planned.command, planned.index)
            await self._save()

        def tell(planned: Planned, state: State, reason: str, before: float | None, after: float | None) -> None:
            self._record.change(place, planned, state, reason, before, after)

        return Steered(allowed, self._write, tell, hold, self._clock.speed, former=former, retry_s=self._retry_s)

    def _hold_of(self, allowed: Allowed) -> Hold:
        place = (allowed.device, allowed.point)

        async def durable(held: bool) -> None:
            if held:
                self._held[place] = Held(*place, allowed.safe, _LIMITS, 0)
            else:
                self._held.pop(place, None)
            await self._save()

        async def write(device: str, point: str, value: float | None, hold_s: float) -> Written:
            if self._muted:
                raise DriverError(f"{device}: nothing is written: a drill is under way")
            return await self._write(device, point, value, hold_s)

        return Hold(
            allowed, write, durable, lambda why: self._record.local(*place, why), self._clock.speed, self._retry_s
        )

    # --- from outside, in the event loop

    def follow(self, device: str, point: str, value: float) -> None:
        """A point of `local` shall have this value; said again every few seconds, or it is let go of. Raises KeyError for any other."""
        if not self._closing:
            self._local[device, point].follow(value)

    def mute(self, on: bool) -> None:
        """A drill: as if this gateway had died, no point of `local` is written; or again."""
        self._muted = on

    def message(self, payload: bytes, *, retained: bool = False) -> None:
        """A command has come. Whatever it is, it is judged here and now; its writes follow."""
        if self._key is None or retained:
            log.warning("command ignored reason=%s", "retained" if retained else "no command_key in the edge file")
            return
        try:
            command = unseal(payload, self._topic, self._key)
        except CommandForged as error:
            self._count_forged(str(error))
            return
        except CommandUnfit as error:
            named = error.named
            self._record.refuse(Command(named.id, named.issuer, named.counter, 0, 0, []), str(error))
            return
        except CommandUnreadable as error:
            log.warning("command unreadable reason=%s", error)
            return
        known = self._record.find(command)
        if known is not None:
            self._record.tell(known)
            return
        reason = self._whole_fault(command)
        if reason:
            self._record.refuse(command, reason)
            return
        self._counters[command.issuer] = command.counter
        self._take(command)

    def link(self, up: bool) -> None:
        """Whether broker and aggregator can be reached now. What is known of commands is told again when the link comes back."""
        if up is self._link:
            return
        self._link = up
        self._link_changed.set()
        if up:
            self._record.tell_all()

    async def run(self) -> None:
        """Steer until cancelled; first let go of what an earlier run has left."""
        for left in self._held.values():
            log.warning("point held by an earlier run device=%s point=%s", left.device, left.point)
        everything = [*self._points.values(), *self._former]
        async with asyncio.TaskGroup() as tasks:
            for steered in everything:
                place = (steered.allowed.device, steered.allowed.point)
                held = self._held.get(place)
                if held is not None:
                    steered.held_by_an_earlier_run(held.command, held.index, _RESTARTED)
                tasks.create_task(steered.run(), name=f"steer {'.'.join(place)}")
            for place, hold in self._local.items():
                if place in self._held:
                    hold.left_behind()
                tasks.create_task(hold.run(), name=f"hold {'.'.join(place)}")
            tasks.create_task(self._watch_link(), name="link watch")

    async def close(self, timeout_s: float, reason: str = "the agent stops") -> bool:
        """Take no more commands and let go of every point; False where one could not be released in time."""
        self._closing = True
        try:
            async with asyncio.timeout(timeout_s):
                if self._beginning:
                    await asyncio.wait(self._beginning)
                for steered in self._points.values():
                    steered.take_back(reason)
                for hold in self._local.values():
                    hold.let_go()
                for steered in self._points.values():
                    await steered.idle.wait()
                for hold in self._local.values():
                    await hold.idle.wait()
        except TimeoutError:
            log.error("points not released points=%s", [".".join(place) for place in self._held])
        await self._save()
        return not self._held

    def figures(self) -> dict[str, int | str]:
        """For the status: which key is obeyed, what is allowed and held, how many forgeries have come."""
        return {
            "command_key": "" if self._key is None else self._key.fingerprint,
            "points_allowed": len(self._points) + len(self._local),
            "points_held": len(self._held),
            "commands_forged": self.forged_total,
        }

    # --- judging

    def _whole_fault(self, command: Command) -> str:
        """Why a command is refused as a whole; empty where it is taken."""
        now_ms = self._clock()
        last = self._counters.get(command.issuer, 0)
        if self._closing:
            return "the agent stops"
        if command.counter <= last:
            return f"counter: expected more than {last} of issuer {command.issuer}, saw {command.counter}"
        if command.expires_at_ms <= now_ms:
            return f"expired {now_ms - command.expires_at_ms} ms ago by this edge's clock"
        if command.issued_at_ms > now_ms + AHEAD_MS:
            return f"issued {command.issued_at_ms - now_ms} ms in the future by this edge's clock"
        waiting = sum(steered.waiting for steered in self._points.values()) + self._promised + len(command.set_points)
        if waiting > PLANNED_MOST:
            return f"expected at most {PLANNED_MOST} set-points that wait, saw {waiting}"
        return ""

    def _fault(self, wanted: SetPoint, firm: bool) -> str:
        """Why a set-point is refused; empty where it is allowed."""
        steered = self._points.get((wanted.device, wanted.point))
        if (wanted.device, wanted.point) in self._local:
            return f"{wanted.device}.{wanted.point}: steered by the limits of this edge; ask by a schedule, such as an override"
        if steered is None:
            return f"{wanted.device}.{wanted.point}: not in the allow-list of this edge"
        allowed, value = steered.allowed, wanted.value
        if value is not None and not allowed.low <= value <= allowed.high:
            return f"expected {allowed.low:g} to {allowed.high:g} {allowed.unit}, saw {value:g}"
        length_s = (wanted.expires_at_ms - wanted.from_ms) / 1000
        if value is not None and length_s > allowed.longest_s:
            return f"expected to last at most {allowed.longest_s:g} s, saw {length_s:g}"
        if firm and allowed.fallback == "none":
            return "the device does not fall back without this gateway: not for limits and firm offers"
        return "its time is over" if wanted.expires_at_ms <= self._clock() else ""

    def _take(self, command: Command) -> None:
        at_ms, now_s = self._clock(), asyncio.get_running_loop().time()
        faults = [self._fault(wanted, command.firm) for wanted in command.set_points]
        plans: dict[tuple[str, str], list[Planned]] = {}
        for index, (wanted, fault) in enumerate(zip(command.set_points, faults, strict=True)):
            if not fault:
                from_s = now_s + self._clock.real_s((wanted.from_ms - at_ms) / 1000)
                until_s = now_s + self._clock.real_s((wanted.expires_at_ms - at_ms) / 1000)
                planned = Planned(from_s, until_s, wanted.value, command.id, index)
                plans.setdefault((wanted.device, wanted.point), []).append(planned)
        self._record.take(command, faults)
        self._promised += len(command.set_points)
        task = asyncio.get_running_loop().create_task(self._begin(command, plans), name=f"command {command.id}")
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, command: Command, plans: dict[tuple[str, str], list[Planned]]) -> None:
        """Answer and plan once the counter is on disk, so that no restart carries a command out twice."""
        await self._save()
        known = self._record.find(command)
        if known is not None:
            self._record.tell(known)
        self._promised -= len(command.set_points)
        for place, planned in plans.items():
            self._points[place].plan(planned)

    def _count_forged(self, reason: str) -> None:
        self.forged_total += 1
        self._forged += 1
        now_s = time.monotonic()
        if now_s - self._forged_said_s >= FORGED_EVERY_S:
            self._record.forged(self._forged, reason)
            self._forged, self._forged_said_s = 0, now_s

    async def _watch_link(self) -> None:
        while True:
            self._link_changed.clear()
            try:
                async with asyncio.timeout(None if self._link else self._link_lost_s):
                    await self._link_changed.wait()
            except TimeoutError:
                for steered in self._points.values():
                    steered.take_back(f"the link was lost for {self._link_lost_s:g} s")
                await self._link_changed.wait()

    async def _save(self) -> None:
        async with self._saving:
            state = ControlState(dict(self._counters), list(self._held.values()), self._record.kept())
            try:
                await asyncio.to_thread(control_state.save, self._directory, state)
            except OSError as error:  # it is obeyed for all that: expiry still guards against a second time
                log.error("control state not kept reason=%s", error)
