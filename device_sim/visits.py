"""Who comes to which charging point and when: drawn from a seed, recorded in a garage, or listed. Not what then flows (`charging_points`)."""

import csv
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from device_sim.profile import DAY_MS, UJ_PER_KWH, LocalTime, ProfileFaults
from device_sim.vehicles import Vehicles

_WEEK_MS: Final = 7 * DAY_MS
_LARGEST_KWH: Final = 1000
_MAX_REPORTED: Final = 20
_MAX_ROWS: Final = 1_000_000
# Where the shipped sessions were recorded (ACN-Data, Caltech): their wall time is replayed as the plant's.
_RECORDED: Final = LocalTime(ZoneInfo("America/Los_Angeles"))
_USUAL_CAPACITIES_KWH: Final = (40, 58, 77)


@dataclass(frozen=True, slots=True)
class Visit:
    """One vehicle at one point in [arrives, departs). Energies in uJ, counted at the point; a battery's stored energy lies between floor and target.

    Above `taper_uj` stored (0: never) what it takes falls straight to nothing at its capacity.
    """

    arrives_ms: int
    departs_ms: int
    need_uj: int
    max_mw: int
    id_tag: str
    phases: int = 3
    capacity_uj: int = 60 * UJ_PER_KWH
    target_uj: int = 54 * UJ_PER_KWH
    floor_uj: int = 12 * UJ_PER_KWH
    max_discharge_mw: int = 0
    taper_uj: int = 0


class Visits(Protocol):
    """A source of visits."""

    def next(self, point: int, after_ms: int) -> Visit | None:
        """The first visit to a point that departs after an instant (UTC ms); it may have begun. None: nobody comes any more."""


def utc_of_wall(local: LocalTime, wall: int) -> int:
    """The UTC instant of a local wall time; within an hour that the zone leaves out or repeats, one that is at most that hour away."""
    guess = wall - local.offset_ms(wall)
    return wall - local.offset_ms(guess)


def battery_of(need_uj: int, chance: random.Random) -> tuple[int, int, int]:
    """A capacity that fits the need, with target and floor: uJ."""
    capacity = max(chance.choice(_USUAL_CAPACITIES_KWH) * UJ_PER_KWH, need_uj * 10 // 7)
    target = capacity * chance.randrange(80, 101) // 100
    return capacity, target, min(capacity // 5, target - need_uj)


class ListedVisits:
    """Visits written down point by point; those of one point must not overlap. Without any, nobody ever comes by himself."""

    def __init__(self, visits: Mapping[int, Sequence[Visit]]) -> None:
        self._visits = {point: sorted(several, key=lambda v: v.arrives_ms) for point, several in visits.items()}
        for point, several in self._visits.items():
            for one, other in pairwise(several):
                if other.arrives_ms < one.departs_ms:
                    raise ValueError(f"point {point}: expected visits that do not overlap, got {one} and {other}")

    def next(self, point: int, after_ms: int) -> Visit | None:
        return next((visit for visit in self._visits.get(point, ()) if visit.departs_ms > after_ms), None)


class DrawnVisits:
    """The stays of `Vehicles`, one a day and point, as single visits. `bidirectional_ratio` of the vehicles can discharge with `max_discharge_mw`."""

    def __init__(
        self, vehicles: Vehicles, zone: ZoneInfo, bidirectional_ratio: float = 0.0, max_discharge_mw: int = 0
    ) -> None:
        self._vehicles = vehicles
        self._local = LocalTime(zone)
        self._bidirectional_ratio = bidirectional_ratio
        self._max_discharge_mw = max_discharge_mw

    def next(self, point: int, after_ms: int) -> Visit | None:
        today = self._local.local_ms(after_ms) // DAY_MS
        for day in range(today - 1, today + 3):
            visit = self._visit(day, point)
            if visit.departs_ms > after_ms:
                return visit
        return None

    def _visit(self, day: int, point: int) -> Visit:
        stay = self._vehicles.stays(day)[point]
        chance = random.Random(f"vehicle:{day}:{point}:{stay.need_uj}")
        capacity, target, floor = battery_of(stay.need_uj, chance)
        discharges = chance.random() < self._bidirectional_ratio
        return Visit(
            utc_of_wall(self._local, stay.arrival_wall_ms),
            utc_of_wall(self._local, stay.departure_wall_ms),
            stay.need_uj,
            stay.power_mw,
            f"TAG{point:04d}{day % 1_000_000:06d}",
            capacity_uj=capacity,
            target_uj=target,
            floor_uj=floor,
            max_discharge_mw=self._max_discharge_mw if discharges else 0,
        )


class RoundTheClockVisits:
    """Short visits at any hour: in each `turn_ms` one vehicle comes to each point and leaves again, the points shifted against each other.

    A stay lasts 35 to 75 % of a turn, and the vehicle needs 60 to 140 % of what can flow in it: some leave full, some early.
    """

    def __init__(self, turn_ms: int, max_mw: int, seed: int) -> None:
        self._turn_ms = turn_ms
        self._max_mw = max_mw
        self._seed = seed

    def next(self, point: int, after_ms: int) -> Visit | None:
        shift_ms = random.Random(f"shift:{self._seed}:{point}").randrange(self._turn_ms)
        turn = (after_ms - shift_ms) // self._turn_ms
        visit = self._visit(point, turn, shift_ms)
        return visit if visit.departs_ms > after_ms else self._visit(point, turn + 1, shift_ms)

    def _visit(self, point: int, turn: int, shift_ms: int) -> Visit:
        chance = random.Random(f"visit:{self._seed}:{point}:{turn}")
        stay_ms = self._turn_ms * chance.randrange(35, 76) // 100
        # A tenth of each turn is free for certain: between two vehicles a pile is seen without one.
        arrives_ms = turn * self._turn_ms + shift_ms + chance.randrange(self._turn_ms * 9 // 10 - stay_ms)
        need_uj = self._max_mw * stay_ms * chance.randrange(60, 141) // 100
        capacity, target, floor = battery_of(need_uj, chance)
        return Visit(
            arrives_ms,
            arrives_ms + stay_ms,
            need_uj,
            self._max_mw,
            f"TAG{point:04d}{turn % 1_000_000:06d}",
            capacity_uj=capacity,
            target_uj=target,
            floor_uj=floor,
        )


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """One row: local wall times (ms) of plugging in, unplugging and end of charging, and what was delivered."""

    station: str
    arrival_wall_ms: int
    departure_wall_ms: int
    charged_wall_ms: int
    energy_uj: int


def read_sessions(path: Path) -> tuple[RecordedSession, ...]:
    """Reads a CSV with connected_utc, disconnected_utc, done_charging_utc (may be empty), station and energy_kwh; further columns are left alone.

    Lines that start with # before the header are a preamble. A vehicle that was done after it was unplugged (the recorder's clocks differ) counts
    as done when unplugged. Raises ProfileFaults with up to 20 bad rows.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileFaults([f"{path}: expected a readable UTF-8 CSV file, got {error}"]) from error
    skipped = 0
    while skipped < len(lines) and lines[skipped].startswith("#"):
        skipped += 1
    reader = csv.DictReader(lines[skipped:])
    columns = list(reader.fieldnames or ())
    wanted = ("connected_utc", "disconnected_utc", "done_charging_utc", "station", "energy_kwh")
    missing = [column for column in wanted if column not in columns]
    if missing:
        raise ProfileFaults([f"{path}: expected a column {column!r}, got {columns!r}" for column in missing])
    faults: list[str] = []
    sessions = []
    for row in reader:
        try:
            sessions.append(_session(row))
        except (ValueError, InvalidOperation, OverflowError) as error:
            faults.append(f"{path}:{skipped + reader.line_num}: expected a charging session, got {error}")
        if len(faults) >= _MAX_REPORTED or len(sessions) > _MAX_ROWS:
            break
    if not sessions and not faults:
        faults.append(f"{path}: expected at least one session, got none")
    if faults:
        raise ProfileFaults(faults)
    return tuple(sessions)


def _session(row: Mapping[str, str | None]) -> RecordedSession:
    arrival, departure = _wall(row["connected_utc"]), _wall(row["disconnected_utc"])
    done = _wall(row["done_charging_utc"]) if row["done_charging_utc"] else departure
    energy = Decimal(row["energy_kwh"] or "") * UJ_PER_KWH
    if not (energy.is_finite() and 0 <= energy <= _LARGEST_KWH * UJ_PER_KWH and energy == energy.to_integral_value()):
        raise ValueError(f"energy_kwh {row['energy_kwh']!r}")
    if not arrival < departure or not row["station"]:
        raise ValueError(f"{row['station']!r} from {row['connected_utc']!r} to {row['disconnected_utc']!r}")
    done = min(done, departure) if done > arrival else departure
    return RecordedSession(row["station"], arrival, departure, done, int(energy))


def _wall(text: str | None) -> int:
    at = datetime.fromisoformat(text or "")
    if at.tzinfo is None:
        raise ValueError(f"time without zone {text!r}")
    return _RECORDED.local_ms(round(at.timestamp() * 1000))


class RecordedVisits:
    """Recorded sessions again and again, at the same weekday and wall time in the plant's zone.

    Point i replays station i; where there are more points than stations, the further ones replay them a week later, two weeks later and so on.
    Unsteered, each vehicle draws its recorded energy exactly, evenly until the recorded end of charging.
    """

    def __init__(self, sessions: Sequence[RecordedSession], zone: ZoneInfo) -> None:
        self._local = LocalTime(zone)
        by_station: dict[str, list[RecordedSession]] = {}
        for session in sorted(sessions, key=lambda s: s.arrival_wall_ms):
            by_station.setdefault(session.station, []).append(session)
        # The busiest stations first, so that few points are still a busy garage.
        self._stations = sorted(by_station.values(), key=lambda several: (-len(several), several[0].station))
        first_day = min(session.arrival_wall_ms for session in sessions) // DAY_MS
        first = (first_day - (first_day + 3) % 7) * DAY_MS  # the Monday; 1970-01-01 was a Thursday
        last = max(session.departure_wall_ms for session in sessions)
        self._first_wall_ms = first
        self._weeks = -(-(last - first) // _WEEK_MS)

    def next(self, point: int, after_ms: int) -> Visit | None:
        station = self._stations[point % len(self._stations)]
        moved_ms = (point // len(self._stations)) * _WEEK_MS
        after = self._local.local_ms(after_ms) - moved_ms
        cycle_ms = self._weeks * _WEEK_MS
        turn = (after - self._first_wall_ms) // cycle_ms
        for repetition in (turn, turn + 1):
            shift = repetition * cycle_ms
            index = bisect_right(station, after - shift, key=lambda session: session.departure_wall_ms)
            if index < len(station):
                return self._visit(station[index], shift + moved_ms, point, repetition)
        return None

    def _visit(self, session: RecordedSession, shift_ms: int, point: int, repetition: int) -> Visit:
        arrives = utc_of_wall(self._local, session.arrival_wall_ms + shift_ms)
        departs = max(arrives + 1, utc_of_wall(self._local, session.departure_wall_ms + shift_ms))
        charging_ms = max(1, session.charged_wall_ms - session.arrival_wall_ms)
        chance = random.Random(f"vehicle:{session.station}:{session.arrival_wall_ms}")
        capacity, target, floor = battery_of(session.energy_uj, chance)
        return Visit(
            arrives,
            departs,
            session.energy_uj,
            max(1, -(-session.energy_uj // charging_ms)),
            f"TAG{point:04d}{repetition % 10:01d}{session.arrival_wall_ms // 60_000 % 100_000_000:08d}",
            capacity_uj=capacity,
            target_uj=target,
            floor_uj=floor,
        )
