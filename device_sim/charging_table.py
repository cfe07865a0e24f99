"""The part of a site file's [plant.ev] that only charging piles need: who comes, and what the points can do. Not the vehicles as a plain load."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from device_sim.charging_points import ChargingPoint, ChargingPoints
from device_sim.profile import ProfileFaults
from device_sim.site_table import Table
from device_sim.vehicles import Vehicles
from device_sim.visits import (
    DrawnVisits,
    ListedVisits,
    RecordedSession,
    RecordedVisits,
    RoundTheClockVisits,
    Visits,
    read_sessions,
)

_PROFILES: Final = Path(__file__).parent / "profiles"
_SHIPPED: Final = "shipped:"


class Come(StrEnum):
    """Where a point's vehicles come from."""

    DRAWN = "drawn"  # one a day, from the seed, as in the plain load
    RECORDED = "recorded"  # sessions of a CSV, at the same weekday and time of day
    ROUND_THE_CLOCK = "round_the_clock"  # one every `turn_s` seconds at each point, from the seed, at any hour
    NONE = "none"  # only those that the control interface sends


@dataclass(frozen=True, slots=True)
class ChargingPlan:
    """Checked keys of [plant.ev] beside those of the plain load."""

    come: Come
    sessions: tuple[RecordedSession, ...]
    bidirectional_ratio: float
    max_discharge_mw: int
    least_current_ma: int
    turn_ms: int

    def build(self, points: int, max_mw: int, vehicles: Vehicles, zone: ZoneInfo, seed: int) -> ChargingPoints:
        """The points, each charging by itself until a pile takes it over."""
        visits: Visits
        if self.come is Come.RECORDED:
            visits = RecordedVisits(self.sessions, zone)
        elif self.come is Come.DRAWN:
            visits = DrawnVisits(vehicles, zone, self.bidirectional_ratio, self.max_discharge_mw)
        elif self.come is Come.ROUND_THE_CLOCK:
            visits = RoundTheClockVisits(self.turn_ms, max_mw, seed)
        else:
            visits = ListedVisits({})
        return ChargingPoints(
            [
                ChargingPoint(
                    index,
                    visits,
                    max_mw,
                    max_discharge_mw=self.max_discharge_mw,
                    least_current_ma=self.least_current_ma,
                )
                for index in range(points)
            ]
        )


def charging_plan(ev: Table, directory: Path) -> ChargingPlan:
    """Reads the keys visits, file, turn_s, bidirectional_percent, max_discharge_kw and least_current_a."""
    come = Come(ev.text("visits", Come.DRAWN.value, choices=tuple(Come)))
    sessions: tuple[RecordedSession, ...] = ()
    if come is Come.RECORDED:
        file = ev.text("file", f"{_SHIPPED}charging_sessions_week.csv")
        try:
            path = _PROFILES / file.removeprefix(_SHIPPED) if file.startswith(_SHIPPED) else directory / file
            sessions = read_sessions(path)
        except ProfileFaults as error:
            ev.fault("file", "charging sessions without faults", str(error))
    return ChargingPlan(
        come,
        sessions,
        ev.number("bidirectional_percent", 0, 0, 100) / 100,
        round(ev.number("max_discharge_kw", 0, 0, 1000) * 1e6),
        round(1000 * ev.number("least_current_a", 6.0, 0, 32)),
        1000 * ev.whole("turn_s", 45, 10, 86_400),
    )
