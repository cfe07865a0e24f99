"""What nobody steers over the next days, from its own past: hour by hour with a band, moved by what is measured now. Not who measures it.

The methods and bands are those of the day-ahead forecasts. Where too little is known for one, the last day that is known stands, and that is said.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.flexibility.problem import Series
from aggregator.forecasts.day_ahead import CannotForecast, day_ahead
from aggregator.forecasts.hours import HOURS, Days, by_local_days
from aggregator.forecasts.methods import Hours

DAYS: Final = 3  # the day that has begun and two more: a horizon of 36 h touches no others
DECAY_H: Final = 2.0  # by which what is measured now is forgotten
LEAST_KW: Final = 1.0  # of sun: below it a ratio of two powers says nothing
SPARE_RATIO: Final = 0.95  # of the errors of quarters that the spare of a branch covers
Energies = Sequence[tuple[int, int, float]]  # start_ms, end_ms, kWh


@dataclass(frozen=True, slots=True)
class Expected:
    """Mean kW of each clock hour of DAYS local days from `first` on, its cautious ends, and how it was found. `spare_kw`: see SPARE_RATIO."""

    first: date
    middle_kw: tuple[Hours, ...]
    low_kw: tuple[Hours, ...]
    high_kw: tuple[Hours, ...]
    basis: str
    spare_kw: float = 0.0

    def at(self, at_ms: int, zone: ZoneInfo) -> tuple[float, float, float]:
        """Low, middle and high of an instant."""
        local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
        day = min(max((local.date() - self.first).days, 0), DAYS - 1)
        return tuple(float(table[day][local.hour]) for table in (self.low_kw, self.middle_kw, self.high_kw))  # type: ignore[return-value]


def expected(energies: Energies, zone: ZoneInfo, today: date) -> Expected | None:
    """What to expect from `today` on, by the energies before it (import positive). None where nothing is known at all."""
    days = by_local_days(energies, zone)
    if days is None:
        return None
    middle, low, high, said = [], [], [], []
    errors = None
    for lead in range(1, DAYS + 1):
        day = today + timedelta(days=lead - 1)
        try:
            ahead = day_ahead(days, day, lead)
            kw = np.where(np.isnan(ahead.kw), _last_known(days), ahead.kw)
            band = ahead.band
            middle.append(kw)
            low.append(kw if band is None else np.where(np.isnan(band.low_kw), kw, band.low_kw))
            high.append(kw if band is None else np.where(np.isnan(band.high_kw), kw, band.high_kw))
            said.append(ahead.method if band is not None else f"{ahead.method} without a band yet")
            errors = ahead.errors if lead == 1 else errors
        except CannotForecast:
            kw = _last_known(days)
            for table in (middle, low, high):
                table.append(kw)
            said.append("naive: the last known value of each hour")
    spare_kw = 0.0 if errors is None else _spare_kw(energies, days, errors, today, zone)
    return Expected(today, tuple(middle), tuple(low), tuple(high), ", ".join(dict.fromkeys(said)), spare_kw)


def _last_known(days: Days) -> Hours:
    """Of each clock hour the last value that is known; where an hour has none, the mean of all."""
    found = np.full(HOURS, float(np.nanmean(days.kw)) if days.known_hours else 0.0)
    for hour in range(HOURS):
        column = days.kw[:, hour]
        known = column[~np.isnan(column)]
        if len(known):
            found[hour] = known[-1]
    return found


def _spare_kw(energies: Energies, days: Days, errors: np.ndarray, today: date, zone: ZoneInfo) -> float:
    """The 95th percentile of what quarters have been above their hour's forecast."""
    found = []
    for start_ms, end_ms, kwh in energies:
        local = datetime.fromtimestamp(start_ms / 1000, zone)
        row, past = days.row(local.date()), len(errors) - (today - local.date()).days
        if not (0 <= row < len(days.kw) and 0 <= past < len(errors)):
            continue
        above = kwh * 3_600_000 / (end_ms - start_ms) - days.kw[row, local.hour] + errors[past, local.hour]
        if not math.isnan(above):
            found.append(above)
    return max(float(np.quantile(found, SPARE_RATIO)), 0.0) if found else 0.0


def over_steps(known: Expected, edges_ms: Sequence[int], zone: ZoneInfo) -> tuple[Series, Series, Series]:
    """Low, middle and high of each step, by its middle."""
    rows = np.array([known.at((one + other) // 2, zone) for one, other in itertools.pairwise(edges_ms)])
    return rows[:, 0], rows[:, 1], rows[:, 2]


def moved(series: Series, edges_ms: Sequence[int], now_ms: int, foreseen_kw: float, measured_kw: float, *, by_ratio: bool) -> Series:  # fmt: skip
    """The series, moved by what is measured now: by the difference, or by the ratio (0 to 2) for the sun; the less, the later.

    `foreseen_kw`: what the same forecast says of the time that was measured.
    """
    later_h = (np.array(edges_ms[:-1], dtype=np.float64) - now_ms) / 3_600_000
    fading = np.exp(-np.maximum(later_h, 0.0) / DECAY_H)
    if not by_ratio:
        return series + (measured_kw - foreseen_kw) * fading
    if foreseen_kw < LEAST_KW:
        return series
    ratio = min(max(measured_kw / foreseen_kw, 0.0), 2.0)
    return series * (1 + (ratio - 1) * fading)
