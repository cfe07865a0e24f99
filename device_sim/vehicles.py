"""Electric vehicles at charging points: each stays from arrival to departure and draws until its need is met. Not steered, not a protocol."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from device_sim.profile import DAY_MS, UJ_PER_KWH, LocalTime

_HOUR_MS: Final = 3_600_000


class Pattern(StrEnum):
    """When vehicles come: to a workplace in the morning, to a depot in the evening."""

    WORKPLACE = "workplace"
    DEPOT = "depot"


@dataclass(frozen=True, slots=True)
class Stay:
    """One charging session on local wall time; it draws `power_mw` in [arrival, full) and nothing more until departure."""

    arrival_wall_ms: int
    departure_wall_ms: int
    need_uj: int
    power_mw: int

    @property
    def full_wall_ms(self) -> int:
        """When the need is met (whole ms, so at most one ms of power below the need), or departure if that comes first."""
        return min(self.departure_wall_ms, self.arrival_wall_ms + self.need_uj // self.power_mw)


class Vehicles:
    """The sum over all charging points. One stay a day and point, drawn from the seed, so any instant can be asked in any order."""

    def __init__(
        self, points: int, max_kw: float, mean_need_kwh: float, pattern: Pattern, seed: int, zone: ZoneInfo
    ) -> None:
        self._points = points
        self._power_mw = round(max_kw * 1e6)
        self._mean_need_kwh = mean_need_kwh
        self._pattern = pattern
        self._seed = seed
        self._local = LocalTime(zone)
        self._days: dict[int, tuple[Stay, ...]] = {}

    def stays(self, day: int) -> tuple[Stay, ...]:
        """The stays that begin on a local day (days since 1970-01-01)."""
        known = self._days.get(day)
        if known is None:
            if len(self._days) > 8:
                self._days.clear()
            known = self._days[day] = tuple(self._stay(day, point) for point in range(self._points))
        return known

    def _stay(self, day: int, point: int) -> Stay:
        chance = random.Random(f"{self._seed}:{day}:{point}")
        if self._pattern is Pattern.WORKPLACE:
            arrival_h, stay_h = chance.gauss(8.5, 0.8), chance.gauss(8.5, 0.6)
        else:
            arrival_h, stay_h = chance.gauss(18.5, 1.0), chance.gauss(11.0, 0.8)
        arrival_h = min(max(arrival_h, 4.0), 22.0)
        # A stay ends before the same point's next one can begin, at 4 h of the next day.
        stay_h = min(max(stay_h, 1.0), 27.9 - arrival_h if self._pattern is Pattern.DEPOT else 23.9 - arrival_h)
        arrival = day * DAY_MS + round(arrival_h * _HOUR_MS)
        need_kwh = self._mean_need_kwh * chance.uniform(0.4, 1.6)
        return Stay(arrival, arrival + round(stay_h * _HOUR_MS), round(need_kwh * UJ_PER_KWH), self._power_mw)

    def power(self, at_ms: int) -> tuple[int, int]:
        """The charging power, mW >= 0, and until when it holds."""
        now = self._local.local_ms(at_ms)
        today = now // DAY_MS
        total_mw, change = 0, (today + 1) * DAY_MS
        for stay in (*self.stays(today - 1), *self.stays(today)):
            if now < stay.arrival_wall_ms:
                change = min(change, stay.arrival_wall_ms)
            elif now < stay.full_wall_ms:
                total_mw += stay.power_mw
                change = min(change, stay.full_wall_ms)
        return total_mw, self._local.until(at_ms, change - now)
