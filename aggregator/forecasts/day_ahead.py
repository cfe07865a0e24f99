"""One day's forecast from a meter's table of days: the method that has earned it, its band, and the naive beside it. Not what is known of the grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from aggregator.forecasts.backtest import bands, pick, roll
from aggregator.forecasts.band import TRAILING_DAYS, Band
from aggregator.forecasts.hours import HOURS, Days, Table
from aggregator.forecasts.methods import LIGHT, NAIVE, WEEK, WEEKS_BACK, Hours, Method

# What the oldest error of the window may look back on, the window, and as long again for the band to adapt.
USED_DAYS: Final = WEEK * WEEKS_BACK + 2 * TRAILING_DAYS


class CannotForecast(ValueError):
    """Too little is known of the load; the message says what was expected and seen."""


@dataclass(frozen=True, slots=True)
class DayAhead:
    """Mean kW of each clock hour of a day. `errors`: what the method missed in the trailing days, [day, hour], NaN: not known."""

    day: date
    lead_days: int
    method: str
    kw: Hours
    band: Band | None
    naive_kw: Hours
    errors: Table


def day_ahead(days: Days, day: date, lead_days: int, candidates: Sequence[Method] = LIGHT) -> DayAhead:
    """The forecast of `day` from what was known `lead_days` - 1 midnights before it began. `candidates[0]` is the default.

    Raises CannotForecast.
    """
    target = days.row(day)
    known = max(0, target - lead_days + 1)
    table = np.full((target + 1, HOURS), np.nan) if target >= 0 else np.full((1, HOURS), np.nan)
    table[: min(known, len(days.kw))] = days.kw[:known]
    table = table[-(USED_DAYS + 1) :]
    rolled = [roll(method, table, lead_days) for method in candidates]
    last = len(table) - 1
    used = pick(rolled, last)
    if np.isnan(used.forecast[last]).all():
        raise CannotForecast(
            f"forecast of {day}: expected the load of at least one same weekday of the last {WEEKS_BACK} weeks, none is known"
        )
    band = bands(used, table, max(0, last - TRAILING_DAYS))[-1]
    naive = roll(NAIVE, table, lead_days).forecast[last]
    return DayAhead(
        day, lead_days, used.method.name, used.forecast[last], band, naive, used.errors[:last][-TRAILING_DAYS:]
    )
