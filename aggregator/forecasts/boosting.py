"""Gradient-boosted trees as another candidate, where scikit-learn is installed (the extra `forecast`). Not the default, and not who decides (see `backtest`)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

import numpy as np

from aggregator.forecasts.hours import HOURS, Table
from aggregator.forecasts.methods import LIGHT, SAME_DAYS, WEEK, Hours, Method, median_of, same_weekdays, yesterday

NAME: Final = "gradient_boosting"
SEED: Final = 2018
REFIT_DAYS: Final = 7
LEAST_DAYS: Final = 112  # of history: 28 to look back on, 84 to learn from
_LOOK_BACK: Final = WEEK * SAME_DAYS
_LAGS: Final = (1, 2, 3, 4, 5, 6, 7, 14, 21, 28)
_EVENING: Final = 18  # how the day before ended


class Boosting:
    """One meter's trees: least absolute error, fitted anew every seven days. It is fed history that grows day by day."""

    def __init__(self) -> None:
        """Raises ModuleNotFoundError where scikit-learn is missing."""
        from sklearn.ensemble import HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        # OpenMP's threads wait busily for each other: on a machine with other work, two of them take thirty times as long as one.
        self._alone: Callable[[], AbstractContextManager[Any]] = lambda: threadpool_limits(1, user_api="openmp")
        self._new: Callable[[], Any] = lambda: HistGradientBoostingRegressor(
            loss="absolute_error", max_iter=60, max_leaf_nodes=15, min_samples_leaf=30, random_state=SEED
        )
        self._model: Any = None
        self._fitted: tuple[int, int] = (-REFIT_DAYS, 0)  # days of history, days of it that are not known

    def predict(self, history: Table) -> Hours:
        """The day after `history`; NaN throughout where that is too short or ends more than a week ago."""
        unknown = _unknown(history)
        if len(history) < LEAST_DAYS or unknown > WEEK:
            return np.full(HOURS, np.nan)
        days, masked = self._fitted
        if self._model is None or masked != unknown or not 0 <= len(history) - days < REFIT_DAYS:
            self._fit(history, unknown)
        if self._model is None:
            return np.full(HOURS, np.nan)
        with self._alone():
            said = np.asarray(self._model.predict(_features(history)), float)
        made = np.maximum(said, min(0.0, float(np.nanmin(history))))
        return np.where(np.isnan(median_of(same_weekdays(history))), np.nan, made)

    def _fit(self, history: Table, unknown: int) -> None:
        """Each past day as it would have been forecast: with as many days before it unknown as now."""
        features, targets = [], []
        for row in range(_LOOK_BACK + unknown, len(history) - unknown):
            before = history[:row]
            if unknown:
                before = before.copy()
                before[row - unknown :] = np.nan
            known = ~np.isnan(history[row]) & ~np.isnan(median_of(same_weekdays(before)))
            if known.any():
                features.append(_features(before)[known])
                targets.append(history[row][known])
        with self._alone():
            self._model = self._new().fit(np.vstack(features), np.concatenate(targets)) if features else None
        self._fitted = (len(history), unknown)


def candidates() -> tuple[Method, ...]:
    """The light ones and trees of their own for one meter. Raises ModuleNotFoundError."""
    return (*LIGHT, Method(NAME, Boosting().predict, "gradient-boosted trees on lags, weekday and clock hour"))


def _unknown(history: Table) -> int:
    """How many days at the end are not known at all."""
    known = np.flatnonzero(~np.isnan(history).all(axis=1))
    return len(history) if not len(known) else len(history) - 1 - int(known[-1])


def _features(history: Table) -> Table:
    """[clock hour, feature] of the day after `history`: hour, weekday, lags, medians, levels of the last day, its evening and the last week.

    What is not known is filled with the median of the same weekdays, which every hour that is forecast has.
    """
    same = same_weekdays(history)
    last, usual = yesterday(history), median_of(same)
    levels = [_mean(last, usual), _mean(last[_EVENING:], usual[_EVENING:]), _mean(history[-WEEK:], usual)]
    columns = [
        np.arange(HOURS, dtype=np.float64),
        np.full(HOURS, float(len(history) % WEEK)),
        *(np.where(np.isnan(history[-lag]), usual, history[-lag]) for lag in _LAGS),
        usual,
        median_of(np.vstack([same, last])),
        *(np.full(HOURS, level) for level in levels),
    ]
    return np.asarray(np.nan_to_num(np.column_stack(columns)))


def _mean(values: Table | Hours, otherwise: Hours) -> float:
    """Of what is known, or of what is usual."""
    known = values[~np.isnan(values)]
    if not known.size:
        known = otherwise[~np.isnan(otherwise)]
    return float(known.mean()) if known.size else 0.0
