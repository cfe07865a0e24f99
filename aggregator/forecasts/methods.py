"""The point forecasts of a day's 24 clock hours from the days before it. Not their bands (see `band`), nor which of them is used (see `backtest`)."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aggregator.forecasts.hours import HOURS, Table

WEEK: Final = 7
SAME_DAYS: Final = 4  # same weekdays that are looked at
WEEKS_BACK: Final = 8  # how far they are sought where some are missing

Hours = npt.NDArray[np.float64]  # [clock hour], kW; NaN: no forecast
# history[-1] is the day before the one that is forecast. What comes later is not given.
Predict = Callable[[Table], Hours]


@dataclass(frozen=True, slots=True)
class Method:
    """A way to forecast. `says`: what it does, in one line."""

    name: str
    predict: Predict
    says: str


def same_weekdays(history: Table) -> Table:
    """The last four known values of the same weekday and clock hour, [4 or fewer, hour], the latest first; NaN where there are fewer."""
    rows = [len(history) - WEEK * back for back in range(1, WEEKS_BACK + 1)]
    past = history[[row for row in rows if row >= 0]]
    if not len(past):
        return np.full((1, HOURS), np.nan)
    known = ~np.isnan(past)
    return np.where(known & (np.cumsum(known, axis=0) <= SAME_DAYS), past, np.nan)


def median_of(rows: Table) -> Hours:
    """Median of what is known of each hour; NaN where nothing is."""
    rows = rows[~np.isnan(rows).all(axis=1)]
    if not len(rows):
        return np.full(HOURS, np.nan)
    if not np.isnan(rows).any():
        return np.asarray(np.median(rows, axis=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an hour of which nothing is known
        return np.asarray(np.nanmedian(rows, axis=0))


def naive(history: Table) -> Hours:
    """The same day a week ago."""
    return history[-WEEK].copy() if len(history) >= WEEK else np.full(HOURS, np.nan)


def yesterday(history: Table) -> Hours:
    """The day before."""
    return history[-1].copy() if len(history) else np.full(HOURS, np.nan)


def seasonal_median(history: Table) -> Hours:
    """The median of the last four same weekdays."""
    return median_of(same_weekdays(history))


def median_with_yesterday(history: Table) -> Hours:
    """The median of the last four same weekdays and the day before, which sees that a plant stands still or has started again."""
    same = same_weekdays(history)
    found = median_of(np.vstack([same, yesterday(history)]))
    return np.where(np.isnan(same).all(axis=0), np.nan, found)


NAIVE: Final = Method("seasonal_naive", naive, "the same clock hour a week ago; the yardstick that is always shown")
DAY_NAIVE: Final = Method("naive_day", yesterday, "the same clock hour of the day before")
DEFAULT: Final = Method("seasonal_median", seasonal_median, "the median of the last four same weekdays' clock hour")
WITH_YESTERDAY: Final = Method(
    "median_with_yesterday", median_with_yesterday, "the median of the last four same weekdays and of the day before"
)
LIGHT: Final = (DEFAULT, WITH_YESTERDAY)  # candidates that need nothing installed
