"""Power over time: a CSV of interval energies, or a seeded synthetic load. Not the physics: that is in `plant`.

All powers are integers of mW and all instants integers of ms, so that an energy (mW x ms = uJ) is an exact integer and the sum of what a
counter has counted is the CSV's own sum: 1 kWh = 3.6e12 uJ.
"""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol
from zoneinfo import ZoneInfo

UJ_PER_KWH: Final = 3_600_000_000_000
UJ_PER_WH: Final = 3_600_000_000
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
_QUARTER_MS: Final = 900_000
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - local wall time without a zone is counted from here
_START_COLUMN: Final = "interval_start_local"
_ENERGY_COLUMN: Final = "energy_kwh"
_MAX_ROWS: Final = 2_000_000
_MAX_REPORTED: Final = 20


class Segment(Protocol):
    """What every source of power gives."""

    def power(self, at_ms: int) -> tuple[int, int]:
        """The power in mW at `at_ms` and the instant (UTC ms, later than `at_ms`) until which it certainly holds."""


class AfterEnd(StrEnum):
    """What a CSV profile gives outside its rows."""

    REPEAT = "repeat"
    HOLD = "hold"


class ProfileFaults(ValueError):
    """A profile cannot be used; each line names file, line, what was expected and what was seen."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class LocalTime:
    """UTC instants to ms of local wall time (counted as if the local calendar were UTC) in one zone."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self._known: dict[int, int] = {}

    def offset_ms(self, at_ms: int) -> int:
        """Local minus UTC, ms. Zones change it at quarter hours of UTC only, so each quarter hour is asked once."""
        quarter = at_ms // _QUARTER_MS
        offset = self._known.get(quarter)
        if offset is None:
            if len(self._known) > 1024:
                self._known.clear()
            delta = datetime.fromtimestamp(quarter * _QUARTER_MS / 1000, UTC).astimezone(self.zone).utcoffset()
            assert delta is not None
            offset = self._known[quarter] = round(delta.total_seconds() * 1000)
        return offset

    def local_ms(self, at_ms: int) -> int:
        """Local wall time of a UTC instant."""
        return at_ms + self.offset_ms(at_ms)

    def until(self, at_ms: int, length_ms: int) -> int:
        """The instant `length_ms` later, or the next quarter hour when the zone's offset changes before."""
        end = at_ms + length_ms
        if self.offset_ms(end - 1) != self.offset_ms(at_ms):
            return min(end, (at_ms // _QUARTER_MS + 1) * _QUARTER_MS)
        return end


def wall_ms(local: datetime) -> int:
    """A naive local wall time as ms, comparable with `LocalTime.local_ms`."""
    return round((local - _EPOCH).total_seconds() * 1000)


@dataclass(frozen=True, slots=True)
class IntervalEnergies:
    """A CSV of interval energies: `energies_uj[k]` lies in [start_wall_ms + k x length_ms, + length_ms) of local wall time."""

    name: str
    start_wall_ms: int
    length_ms: int
    energies_uj: tuple[int, ...]


def _energy_uj(text: str) -> int:
    energy = Decimal(text) * UJ_PER_KWH
    if not energy.is_finite() or energy < 0 or energy != energy.to_integral_value():
        raise ValueError(text)
    return int(energy)


def read_intervals(path: Path) -> IntervalEnergies:
    """Reads a CSV with one row per interval, ISO local time without zone and kWh; the length follows from the rows.

    Lines that start with # before the header are a preamble. Raises ProfileFaults, with up to 20 bad rows.
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
    missing = [column for column in (_START_COLUMN, _ENERGY_COLUMN) if column not in columns]
    if missing:
        raise ProfileFaults(
            [f"{path}:{skipped + 1}: expected a column {column!r}, got {columns!r}" for column in missing]
        )
    faults: list[str] = []
    starts: list[int] = []
    energies: list[int] = []
    for row in reader:
        where = f"{path}:{skipped + reader.line_num}"
        start_ms = _start(row[_START_COLUMN] or "", starts, f"{where}: {_START_COLUMN}", faults)
        if start_ms is None:
            continue
        starts.append(start_ms)
        try:
            energies.append(_energy_uj(row[_ENERGY_COLUMN] or ""))
        except (ValueError, InvalidOperation):
            faults.append(
                f"{where}: {_ENERGY_COLUMN}: expected kWh >= 0 with at most 12 decimals, got {row[_ENERGY_COLUMN]!r}"
            )
        if len(faults) >= _MAX_REPORTED or len(starts) > _MAX_ROWS:
            break
    if len(starts) > _MAX_ROWS:
        faults.append(f"{path}: expected at most {_MAX_ROWS} rows, got more")
    elif len(starts) < 2 and not faults:
        faults.append(f"{path}: expected at least two rows to know the interval's length, got {len(starts)}")
    if faults:
        raise ProfileFaults(faults)
    return IntervalEnergies(path.name, starts[0], starts[1] - starts[0], tuple(energies))


def _start(text: str, starts: list[int], where: str, faults: list[str]) -> int | None:
    """One row's start as local wall time; None when it is no time at all. Rows must follow each other at the first two rows' distance."""
    try:
        start = datetime.fromisoformat(text)
        if start.tzinfo is not None:
            raise ValueError(text)
    except ValueError:
        faults.append(f"{where}: expected an ISO local time without zone, got {text!r}")
        return None
    start_ms = wall_ms(start)
    if len(starts) >= 2 and start_ms - starts[-1] != starts[1] - starts[0]:
        faults.append(f"{where}: expected {(starts[1] - starts[0]) / 1000:g} s after the row before, got {text!r}")
    elif len(starts) == 1 and start_ms <= starts[0]:
        faults.append(f"{where}: expected a later time than the row before, got {text!r}")
    return start_ms


class CsvLoad:
    """The load of a CSV: within an interval the power is constant, and the interval's energy is the row's to the uJ.

    The instant's local wall time picks the row. With `start_local` the whole profile is moved by a whole number of intervals so that the
    row of `start_local` is the one at `origin_ms` (nearest interval boundary): boundaries stay where the wall clock has them.
    """

    def __init__(
        self,
        intervals: IntervalEnergies,
        zone: ZoneInfo,
        after_end: AfterEnd,
        origin_ms: int,
        start_local: datetime | None = None,
    ) -> None:
        self._rows = intervals
        self._local = LocalTime(zone)
        self._after_end = after_end
        self._shift_ms = 0
        if start_local is not None:
            distance = wall_ms(start_local) - self._local.local_ms(origin_ms)
            self._shift_ms = (distance + intervals.length_ms // 2) // intervals.length_ms * intervals.length_ms

    def power(self, at_ms: int) -> tuple[int, int]:
        rows = self._rows
        index, into_ms = divmod(self._local.local_ms(at_ms) + self._shift_ms - rows.start_wall_ms, rows.length_ms)
        count = len(rows.energies_uj)
        index = index % count if self._after_end is AfterEnd.REPEAT else min(max(index, 0), count - 1)
        # An energy that is not a whole number of mW for the whole interval: the last ms of it carry 1 mW more.
        base_mw, rest_ms = divmod(rows.energies_uj[index], rows.length_ms)
        if into_ms < rows.length_ms - rest_ms:
            return base_mw, self._local.until(at_ms, rows.length_ms - rest_ms - into_ms)
        return base_mw + 1, self._local.until(at_ms, rows.length_ms - into_ms)


class SyntheticLoad:
    """A works-like load: a base, a working-day hump between two hours of local time, and noise that is new every minute."""

    def __init__(self, base_kw: float, peak_kw: float, noise_ratio: float, seed: int, zone: ZoneInfo) -> None:
        self._base_mw = round(base_kw * 1e6)
        self._peak_mw = round(peak_kw * 1e6)
        self._noise_ratio = noise_ratio
        self._seed = seed
        self._local = LocalTime(zone)

    def power(self, at_ms: int) -> tuple[int, int]:
        minute, into_ms = divmod(self._local.local_ms(at_ms), MINUTE_MS)
        day, minute_of_day = divmod(minute, 1440)
        weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
        share = _working_share(minute_of_day) * (1.0 if weekday < 5 else 0.25)
        noise = 1.0 + self._noise_ratio * random.Random(f"{self._seed}:{minute}").uniform(-1.0, 1.0)
        power_mw = round((self._base_mw + (self._peak_mw - self._base_mw) * share) * noise)
        return max(0, power_mw), self._local.until(at_ms, MINUTE_MS - into_ms)


def _working_share(minute_of_day: int) -> float:
    """0 at night, 1 from 8 to 12 and 13 to 17, ramps of an hour, 0.7 in the lunch break."""
    hour = minute_of_day / 60
    if hour < 7 or hour >= 18:
        return 0.0
    if hour < 8:
        return hour - 7
    if hour >= 17:
        return 18 - hour
    return 0.7 if 12 <= hour < 13 else 1.0


class NoPower:
    """Nothing is there: 0 mW for ever."""

    def power(self, at_ms: int) -> tuple[int, int]:
        return 0, at_ms + DAY_MS
