"""The schedule of this edge: verified, kept on disk, and what it says at an instant. Not what is made of it (see `loop`).

frame -> signature -> circuit, number, times, assets -> disk -> in force until a higher number comes, or its time is over
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from edge_agent import checked_file
from edge_agent.limits.network import Network
from wire.command import MAX_REASON, Result
from wire.keys import PublicKey
from wire.reading import Event, Json
from wire.schedule import AUTHORITIES, BranchLimit, Schedule, ScheduleForged, ScheduleUnreadable, Stay, Wish, unseal

log = logging.getLogger(__name__)

FILE: Final = "schedule.json"
KIND: Final = "schedule"
AHEAD_MS: Final = 60_000  # how far an issuer's clock may run before ours
ISSUERS_MOST: Final = 16
FORGED_EVERY_MS: Final = 60_000
_RANK: Final[Mapping[str, int]] = {authority: rank for rank, authority in enumerate(AUTHORITIES)}
_NEVER_MS: Final = 2**62


class Kept(msgspec.Struct):
    """What survives a restart. `numbers`: the highest one taken per issuer."""

    schedule: Schedule | None = None
    numbers: dict[str, int] = {}


@dataclass(slots=True)
class Standing:
    """What the schedule says over [from_ms, until_ms)."""

    from_ms: int = 0
    until_ms: int = 0
    wishes: Mapping[str, Wish] = field(default_factory=dict)
    limits: tuple[BranchLimit, ...] = ()


class ScheduleBook:
    """`message` takes frames, `take` a schedule that somebody trusted brings; `standing` is what is in force."""

    def __init__(
        self,
        network: Network,
        event: Callable[[Event], None],
        state: Path | None = None,
        key: PublicKey | None = None,
        topic: str = "",
    ) -> None:
        self._circuit, self._assets = network.circuit.sha256, {line.asset.name for line in network.lines}
        self._branches = {branch.name for branch in network.circuit.branch}
        self._event, self._key, self._topic = event, key, topic
        self._path = None if state is None else state / FILE
        self._kept = Kept() if self._path is None else read(self._path)
        if self._kept.schedule is not None and self._kept.schedule.circuit != self._circuit:
            log.warning("schedule dropped id=%s reason=made for another circuit", self._kept.schedule.id)
            self._kept.schedule = None
        self._standing: dict[bool, Standing] = {}
        self._stays = self._stays_of(self._kept.schedule)
        self._forged_said_ms = -_NEVER_MS
        self.refused = 0

    @property
    def schedule(self) -> Schedule | None:
        """The newest one taken; its time may be over."""
        return self._kept.schedule

    def message(self, frame: bytes, now_ms: int) -> Result | None:
        """A frame has come: the answer to it, None where there is none."""
        if self._key is None:
            return None
        try:
            schedule = unseal(frame, self._topic, self._key)
        except ScheduleForged as error:
            self.refused += 1
            if now_ms - self._forged_said_ms >= FORGED_EVERY_MS:
                self._forged_said_ms = now_ms
                log.error("forged schedule ignored reason=%s", error)
                self._event(
                    Event(f"{KIND}-forged-{now_ms}", now_ms, "", KIND, {"state": "forged", "reason": str(error)})
                )
            return None
        except ScheduleUnreadable as error:
            self.refused += 1
            log.warning("schedule unreadable reason=%s", error)
            return None
        reason = self.take(schedule, now_ms)
        return Result(schedule.id, schedule.issuer, schedule.number, now_ms, 1, [], reason[:MAX_REASON])

    def take(self, schedule: Schedule, now_ms: int) -> str:
        """Puts a schedule in force, on disk first; why not, where it is refused. One that comes again is answered as before."""
        standing = self._kept.schedule
        if standing is not None and (standing.id, standing.number) == (schedule.id, schedule.number):
            return ""
        reason = self._fault(schedule, now_ms)
        if not reason:
            numbers = {**self._kept.numbers, schedule.issuer: schedule.number}
            while len(numbers) > ISSUERS_MOST:
                numbers.pop(min(numbers, key=lambda issuer: numbers[issuer]))
            reason = self._keep(Kept(schedule, numbers))
        body: dict[str, Json] = {
            "id": schedule.id,
            "issuer": schedule.issuer,
            "number": schedule.number,
            "reason": reason,
        }
        state = "refused" if reason else "taken"
        self._event(Event(f"{KIND}-{schedule.id}-{state}", now_ms, "", KIND, {**body, "state": state}))
        if reason:
            self.refused += 1
            log.warning("schedule refused id=%s issuer=%s reason=%s", schedule.id, schedule.issuer, reason)
            return reason
        self._standing.clear()
        self._stays = self._stays_of(schedule)
        log.info("schedule taken id=%s number=%d wishes=%d", schedule.id, schedule.number, len(schedule.wishes))
        return ""

    def _keep(self, kept: Kept) -> str:
        if self._path is not None:
            try:
                checked_file.write(self._path, kept)
            except OSError as error:
                return f"cannot be kept on disk: {error}"
        self._kept = kept
        return ""

    def forget(self) -> None:
        """Nothing is in force any more, such as after a drill; numbers stay as they are."""
        self._keep(Kept(None, self._kept.numbers))
        self._kept.schedule = None
        self._standing.clear()
        self._stays = {}

    def _fault(self, schedule: Schedule, now_ms: int) -> str:
        if schedule.circuit != self._circuit:
            return f"circuit: expected {self._circuit}, as this edge has it, got {schedule.circuit}"
        last = self._kept.numbers.get(schedule.issuer, 0)
        if schedule.number <= last:
            return f"number: expected more than {last} of issuer {schedule.issuer}, got {schedule.number}"
        if schedule.valid_until_ms <= now_ms:
            return f"over for {now_ms - schedule.valid_until_ms} ms by this edge's clock"
        if schedule.issued_at_ms > now_ms + AHEAD_MS:
            return f"issued {schedule.issued_at_ms - now_ms} ms in the future by this edge's clock"
        rows = [(f"wishes[{index}]", wish.asset) for index, wish in enumerate(schedule.wishes)]
        rows += [(f"stays[{index}]", stay.asset) for index, stay in enumerate(schedule.stays)]
        for where, asset in rows:
            if asset not in self._assets:
                return f"{where}.asset: expected an asset of this edge, got {asset!r}"
        for index, limit in enumerate(schedule.limits):
            if limit.branch not in self._branches:
                return f"limits[{index}].branch: expected a branch of the circuit, got {limit.branch!r}"
        return ""

    def standing(self, now_ms: int, *, planned: bool) -> Standing:
        """What is in force at `now_ms`. Not `planned`: without the plan's own wishes; limits hold until they end, whatever becomes of the schedule."""
        standing = self._standing.get(planned)
        if standing is None or not standing.from_ms <= now_ms < standing.until_ms:
            standing = self._standing[planned] = self._found(now_ms, planned)
        return standing

    def _found(self, now_ms: int, planned: bool) -> Standing:
        schedule = self._kept.schedule
        if schedule is None:
            return Standing(now_ms, _NEVER_MS)
        until_ms = _NEVER_MS
        wishes: dict[str, Wish] = {}
        limits = []
        for wish in schedule.wishes:
            if wish.authority == "plan" and not planned:
                continue
            ends_ms = min(wish.until_ms, schedule.valid_until_ms)
            if now_ms < wish.from_ms:
                until_ms = min(until_ms, wish.from_ms)
            elif now_ms < ends_ms:
                until_ms = min(until_ms, ends_ms)
                other = wishes.get(wish.asset)
                if other is None or _RANK[wish.authority] <= _RANK[other.authority]:
                    wishes[wish.asset] = wish
        for limit in schedule.limits:
            if now_ms < limit.from_ms:
                until_ms = min(until_ms, limit.from_ms)
            elif now_ms < limit.until_ms:
                until_ms = min(until_ms, limit.until_ms)
                limits.append(limit)
        return Standing(now_ms, until_ms, wishes, tuple(limits))

    def stay(self, asset: str) -> Stay | None:
        """The vehicle at a charger, as the schedule has it."""
        return self._stays.get(asset)

    @staticmethod
    def _stays_of(schedule: Schedule | None) -> dict[str, Stay]:
        return {} if schedule is None else {stay.asset: stay for stay in schedule.stays}


def read(path: Path) -> Kept:
    """What was kept; nothing at a first start. A damaged file is set aside and said: the next schedule comes within minutes."""
    try:
        return checked_file.read(path, Kept)
    except FileNotFoundError:
        return Kept()
    except checked_file.FileDamaged as error:
        log.error("schedule damaged, set aside file=%s reason=%s", path, error)
        path.replace(path.with_suffix(".damaged"))
        return Kept()
