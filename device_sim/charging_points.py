"""Charging points one by one: who stands there, what flows, what was counted, each exact to the uJ. Not when vehicles come (`visits`), not OCPP.

The sum of the points is a source of power for the plant, so the plant's node `ev` equals its points by construction, steered or not. A point
charges by itself as soon as a vehicle arrives (`by_itself`), or only while its pile has closed the contactor.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from device_sim.profile import DAY_MS
from device_sim.visits import Visit, Visits

PHASE_MV: Final = 230_000
# Below 6 A a pilot signal offers nothing (IEC 61851-1, table of duty cycles): the vehicle pauses.
LEAST_CURRENT_MA: Final = 6_000
_TAPER_BANDS: Final = 100  # within one percent of charge the most that a tapering vehicle takes is constant
_KEPT_HAPPENINGS: Final = 256


class Happening(StrEnum):
    """What a pile must be told even when it looks late."""

    ARRIVED = "arrived"
    DEPARTED = "departed"


@dataclass(frozen=True, slots=True)
class Note:
    """A vehicle came or went at an instant, and what the point had counted by then, uJ."""

    what: Happening
    at_ms: int
    import_uj: int
    export_uj: int
    visit: Visit


@dataclass(frozen=True, slots=True)
class Steering:
    """What a pile lets flow, mW. `charge_mw` None: no limit. `set_point_mw`: the power asked for, negative discharges. `phases`: at most so many."""

    charge_mw: int | None = None
    discharge_mw: int = 0
    set_point_mw: int | None = None
    phases: int = 3


UNSTEERED: Final = Steering()


@dataclass(slots=True)
class ChargingPoint:
    """One point. `settle` is called by the plant at every instant at which a power may change; between two calls all powers are constant."""

    index: int
    visits: Visits
    max_mw: int
    phases: int = 3
    max_discharge_mw: int = 0
    least_current_ma: int = LEAST_CURRENT_MA
    wiring: tuple[int, ...] = ()  # the phase of the plant (0 to 2) behind each of its own; empty: nobody has said
    step_ma: int = 1  # limits are rounded down to whole steps of it per phase
    by_itself: bool = True
    closed: bool = False
    visit: Visit | None = None
    stored_uj: int = 0
    power_mw: int = 0
    import_uj: int = 0
    export_uj: int = 0
    steering: Steering = UNSTEERED
    notes: deque[Note] = field(default_factory=lambda: deque(maxlen=_KEPT_HAPPENINGS))
    until_ms: int = 0
    _since_ms: int | None = None
    _coming: Visit | None = None
    _pending: list[tuple[int, Steering]] = field(default_factory=list)

    def settle(self, now_ms: int) -> int:
        """Books what has flowed since the last call, lets happen what is due, and gives the power from now on, mW (charging positive)."""
        if self._since_ms is None:
            self._since_ms = now_ms
            self._coming = self.visits.next(self.index, now_ms)
        self._book(now_ms)
        self._since_ms = now_ms
        if self.visit is not None and now_ms >= self.visit.departs_ms:
            self._depart(now_ms)
        if self.visit is None and self._coming is not None and now_ms >= self._coming.arrives_ms:
            self._arrive(self._coming, now_ms)
        while self._pending and self._pending[0][0] <= now_ms:
            self.steering = self._pending.pop(0)[1]
        self.power_mw, lasts_ms = self._power()
        self.until_ms = self._until(now_ms, lasts_ms)
        return self.power_mw

    def energies(self, at_ms: int) -> tuple[int, int]:
        """Imported and exported energy at an instant within the present stretch of constant power, uJ."""
        flowed = self.power_mw * max(0, at_ms - self._since_ms) if self._since_ms is not None else 0
        return self.import_uj + max(0, flowed), self.export_uj + max(0, -flowed)

    def state_of_charge_percent(self, at_ms: int) -> float | None:
        """Of the vehicle that is here, losses within it left out; None: nobody is here."""
        if self.visit is None or self._since_ms is None:
            return None
        stored = self.stored_uj + self.power_mw * max(0, at_ms - self._since_ms)
        return 100 * stored / self.visit.capacity_uj

    # What follows changes powers: the plant must stand at `now_ms` and be told (`disturb`).

    def close(self, closed: bool, now_ms: int) -> None:
        """Closes or opens the contactor."""
        self._book(now_ms)
        self.closed = closed

    def steer(self, steering: Steering, from_ms: int) -> None:
        """Puts a set-point in force at an instant; later ones that were announced for the same instant or after it are dropped."""
        self._pending = [pending for pending in self._pending if pending[0] < from_ms]
        self._pending.append((from_ms, steering))

    def come(self, visit: Visit) -> None:
        """A vehicle is announced in place of the one that was to come next (of nobody who is here)."""
        self._coming = visit

    def leave(self, now_ms: int) -> None:
        """The vehicle that is here drives away now."""
        if self.visit is not None:
            self._book(now_ms)
            self._depart(now_ms)

    def _book(self, now_ms: int) -> None:
        if self._since_ms is None or now_ms <= self._since_ms:
            return
        flowed = self.power_mw * (now_ms - self._since_ms)
        self._since_ms = now_ms
        self.import_uj += max(0, flowed)
        self.export_uj += max(0, -flowed)
        self.stored_uj += flowed

    def _arrive(self, visit: Visit, now_ms: int) -> None:
        late_ms = max(0, now_ms - visit.arrives_ms)
        had_uj = min(visit.need_uj, min(self.max_mw, visit.max_mw) * late_ms)  # it was here before the plant began
        self.visit, self._coming = visit, None
        self.stored_uj = visit.target_uj - visit.need_uj + had_uj
        self.closed = self.by_itself
        self.notes.append(Note(Happening.ARRIVED, now_ms, self.import_uj, self.export_uj, visit))

    def _depart(self, now_ms: int) -> None:
        assert self.visit is not None
        self.notes.append(Note(Happening.DEPARTED, now_ms, self.import_uj, self.export_uj, self.visit))
        self.visit, self.closed, self.power_mw = None, False, 0
        if self._coming is None:
            self._coming = self.visits.next(self.index, now_ms)

    def offered_mw(self) -> int:
        """The most that may be charged now: the least of point, vehicle and limit; 0 below the least current."""
        visit = self.visit
        if visit is None:
            return 0
        used = min(self.phases, visit.phases, self.steering.phases)
        own = min(self.max_mw * used // self.phases, visit.max_mw * used // visit.phases)
        limit = self.steering.charge_mw
        if limit is None or limit >= own:
            return own
        limit = self._stepped(limit, used)
        return limit if limit >= used * self.least_current_ma * PHASE_MV // 1000 else 0

    def _stepped(self, limit_mw: int, used: int) -> int:
        """A limit as the pilot signal can say it."""
        if self.step_ma == 1:
            return limit_mw
        step_mw = used * self.step_ma * PHASE_MV // 1000
        return limit_mw // step_mw * step_mw

    def _taper(self, visit: Visit) -> tuple[int, int]:
        """The most that the vehicle takes by itself, mW, and how much it may store until that changes, uJ."""
        if not visit.taper_uj or self.stored_uj < visit.taper_uj:
            return visit.max_mw, (visit.taper_uj or visit.capacity_uj) - self.stored_uj
        band = visit.capacity_uj // _TAPER_BANDS
        left, bands = visit.capacity_uj - self.stored_uj, (visit.capacity_uj - visit.taper_uj) // band
        steps = max(1, -(-left // band))
        return visit.max_mw * steps // max(bands, steps), max(1, left - (steps - 1) * band)

    def phases_mw(self) -> tuple[int, int, int]:
        """The power on each phase of the plant, mW; their sum is the point's power."""
        used = min(self.phases, self.visit.phases if self.visit is not None else 3, self.steering.phases)
        found = [0, 0, 0]
        each, rest = divmod(self.power_mw, used)
        for number, phase in enumerate(self.wiring[:used]):
            found[phase] += each + (rest if number == 0 else 0)
        return found[0], found[1], found[2]

    def dischargeable_mw(self) -> int:
        """The most that may be discharged now: 0 unless point, vehicle and steering all allow it."""
        visit = self.visit
        return 0 if visit is None else min(self.max_discharge_mw, visit.max_discharge_mw, self.steering.discharge_mw)

    def _power(self) -> tuple[int, int | None]:
        """The power that flows and for how many ms it can; None: until something else changes."""
        visit = self.visit
        if visit is None or not self.closed:
            return 0, None
        wanted = self.steering.set_point_mw
        power = self.offered_mw() if wanted is None else min(self.offered_mw(), wanted)
        power = max(power, -self.dischargeable_mw())
        if power > 0:
            most_mw, until_uj = self._taper(visit)
            power = min(power, most_mw)
            room = visit.target_uj - self.stored_uj
            if room <= 0 or power <= 0:
                return 0, None
            if until_uj < room:
                return power, -(-until_uj // power)
            return (power, room // power) if room >= power else (room, 1)  # the last ms carries what is left
        if power < 0:
            left = self.stored_uj - visit.floor_uj
            return (power, left // -power) if left >= -power else (0, None)
        return 0, None

    def _until(self, now_ms: int, lasts_ms: int | None) -> int:
        ends = [now_ms + DAY_MS]
        if lasts_ms is not None:
            ends.append(now_ms + lasts_ms)
        if self.visit is not None:
            ends.append(self.visit.departs_ms)
        elif self._coming is not None:
            ends.append(self._coming.arrives_ms)
        if self._pending:
            ends.append(self._pending[0][0])
        return min(ends)


class ChargingPoints:
    """All points of a plant as one source of power."""

    def __init__(self, points: Sequence[ChargingPoint]) -> None:
        self._points = tuple(points)

    def __getitem__(self, index: int) -> ChargingPoint:
        return self._points[index]

    def __iter__(self) -> Iterator[ChargingPoint]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def phases_mw(self) -> tuple[int, int, int] | None:
        """The sum on each phase of the plant, mW; None where nobody has said which phases the points are on."""
        if not all(point.wiring for point in self._points):
            return None
        one, two, three = (sum(phase) for phase in zip(*(point.phases_mw() for point in self._points), strict=True))
        return one, two, three

    def power(self, at_ms: int) -> tuple[int, int]:
        """The sum of the points' powers in mW, and until when it holds. Instants must not go backwards, unlike in other sources."""
        total_mw, until = 0, at_ms + DAY_MS
        for point in self._points:
            total_mw += point.settle(at_ms)
            until = min(until, point.until_ms)
        return total_mw, until
