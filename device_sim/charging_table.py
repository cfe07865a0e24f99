"""The part of a site file's [plant.ev] that only charging piles need: who comes, and what the points can do. Not the vehicles as a plain load."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from device_sim.charging_points import ChargingPoint, ChargingPoints
from device_sim.profile import ProfileFaults
from device_sim.site_table import Table
from device_sim.vehicle_make import NO_MAKE, MadeVisits, Make
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
# What stands first is the phase that a vehicle with one phase uses.
_WIRINGS: Final = {"L1L2L3": (0, 1, 2), "L2L3L1": (1, 2, 0), "L3L1L2": (2, 0, 1), "L1": (0,), "L2": (1,), "L3": (2,)}


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
    wirings: tuple[tuple[int, ...], ...] = ()
    step_ma: int = 1
    make: Make = NO_MAKE

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
        if self.make != NO_MAKE:
            visits = MadeVisits(visits, self.make)
        return ChargingPoints([self._point(index, visits, max_mw) for index in range(points)])

    def _point(self, index: int, visits: Visits, max_mw: int) -> ChargingPoint:
        wiring = self.wirings[index % len(self.wirings)] if self.wirings else ()
        phases = len(wiring) or 3
        return ChargingPoint(
            index,
            visits,
            max_mw * phases // 3,
            phases,
            max_discharge_mw=self.max_discharge_mw,
            least_current_ma=self.least_current_ma,
            wiring=wiring,
            step_ma=self.step_ma,
        )


def charging_plan(ev: Table, directory: Path) -> ChargingPlan:
    """Reads the keys visits, file, turn_s, phases, and what vehicles and points can do."""
    come = Come(ev.text("visits", Come.DRAWN.value, choices=tuple(Come)))
    sessions: tuple[RecordedSession, ...] = ()
    if come is Come.RECORDED:
        file = ev.text("file", f"{_SHIPPED}charging_sessions_week.csv")
        try:
            path = _PROFILES / file.removeprefix(_SHIPPED) if file.startswith(_SHIPPED) else directory / file
            sessions = read_sessions(path)
        except ProfileFaults as error:
            ev.fault("file", "charging sessions without faults", str(error))
    bidirectional_ratio = ev.number("bidirectional_percent", 0, 0, 100) / 100
    max_discharge_mw = round(ev.number("max_discharge_kw", 0, 0, 1000) * 1e6)
    drawn = come is Come.DRAWN  # draws by itself who can discharge
    return ChargingPlan(
        come,
        sessions,
        bidirectional_ratio,
        max_discharge_mw,
        round(1000 * ev.number("least_current_a", 6.0, 0, 32)),
        1000 * ev.whole("turn_s", 45, 10, 86_400),
        _wirings(ev),
        round(1000 * ev.number("current_step_a", 0.001, 0.001, 16)),
        Make(
            round(1e6 * ev.number("vehicle_kw", 0.0, 0, 1000)),
            ev.number("single_phase_percent", 0, 0, 100) / 100,
            ev.number("taper_from_percent", 100, 10, 100) / 100,
            0.0 if drawn else bidirectional_ratio,
            0 if drawn else max_discharge_mw,
        ),
    )


def _wirings(ev: Table) -> tuple[tuple[int, ...], ...]:
    """The phases of the first points; the others follow in turn."""
    said = ev.rest({"phases"}).get("phases", [])
    if isinstance(said, list) and all(isinstance(one, str) and one in _WIRINGS for one in said):
        return tuple(_WIRINGS[one] for one in said)
    ev.fault("phases", f"a list of {', '.join(_WIRINGS)}", repr(said))
    return ()
