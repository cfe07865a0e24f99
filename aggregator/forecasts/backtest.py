"""The rolling backtest: each day forecast from the days before it alone, scored, and the method chosen that has earned it. Not how a method works."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.forecasts.band import LEAST_DAYS, TRAILING_DAYS, AdaptiveBand, Band
from aggregator.forecasts.hours import HOURS, Days, Table
from aggregator.forecasts.methods import DAY_NAIVE, DEFAULT, LIGHT, NAIVE, SAME_DAYS, WEEK, Hours, Method
from aggregator.forecasts.scores import Score, score

BETTER: Final = 0.03  # how much lower the error of another method must be than the default's
CHOSEN: Final = "chosen"
HISTORY_DAYS: Final = SAME_DAYS * WEEK  # that every method may look back on before its errors count
SCORED_DAYS: Final = 60


@dataclass(frozen=True, slots=True)
class Rolled:
    """One method's forecasts of every day of a table, each made of the days before it. `errors` = actual - forecast."""

    method: Method
    forecast: Table
    errors: Table


@dataclass(frozen=True, slots=True)
class Backtest:
    """Scores of the days from `first_row` on: the yardsticks, every candidate, and what would have been issued (`chosen`)."""

    first_row: int
    days: int
    scores: tuple[Score, ...]
    picks: tuple[tuple[str, int], ...]  # which method was chosen, on how many days

    def of(self, method: str) -> Score:
        return next(entry for entry in self.scores if entry.method == method)

    def better_percent(self, method: str) -> float | None:
        """By how much the method's MASE (m = 168) is lower than the seasonal naive's."""
        ours, theirs = self.of(method).mase_week_ratio, self.of(NAIVE.name).mase_week_ratio
        return None if ours is None or not theirs else 100 * (1 - ours / theirs)


def roll(method: Method, kw: Table, lead_days: int = 1) -> Rolled:
    """The method's forecast of each day from the days until `lead_days` before it: 1 is the day that begins, 2 the next one."""
    forecast = np.full_like(kw, np.nan)
    for row in range(lead_days, len(kw)):
        history = kw[:row]
        if lead_days > 1:
            history = history.copy()
            history[row - lead_days + 1 :] = np.nan
        forecast[row] = method.predict(history)
    return Rolled(method, forecast, kw - forecast)


def pick(rolled: Sequence[Rolled], row: int) -> Rolled:
    """Whose forecast of day `row` is used: the first one's, unless another was at least 3 % better over the trailing 56 days.

    Only hours count that both have forecast, at least 14 days of them.
    """
    default = rolled[0]
    best, best_ratio = default, 1 - BETTER
    span = slice(max(row - TRAILING_DAYS, HISTORY_DAYS), row)
    for other in rolled[1:]:
        ours, theirs = np.abs(other.errors[span]), np.abs(default.errors[span])
        both = ~np.isnan(ours) & ~np.isnan(theirs)
        if both.sum() < LEAST_DAYS * HOURS or not theirs[both].sum():
            continue
        ratio = float(ours[both].sum() / theirs[both].sum())
        if ratio <= best_ratio:
            best, best_ratio = other, ratio
    return best


def bands(rolled: Rolled, actual: Table, first_row: int) -> list[Band | None]:
    """The band of each day from `first_row` on, adapted day by day."""
    state = AdaptiveBand()
    found: list[Band | None] = []
    for row in range(first_row, len(actual)):
        band = state.around(rolled.forecast[row], rolled.errors[HISTORY_DAYS:row] if row > HISTORY_DAYS else actual[:0])
        if band is not None:
            state.learn(actual[row], band)
        found.append(band)
    return found


def backtest(days: Days, scored_days: int = SCORED_DAYS, candidates: Sequence[Method] = LIGHT) -> Backtest:
    """Rolling origins over the last `scored_days` days of a table: 24 hours ahead from midnight, each with the band of its trailing 56 days.

    Raises ValueError where fewer than 28 days of history and 14 of errors lie before them.
    """
    kw = days.kw
    first = len(kw) - scored_days
    least = HISTORY_DAYS + LEAST_DAYS
    if scored_days < 1 or first < least:
        raise ValueError(
            f"backtest: expected at least {least} days before the {scored_days} that are scored, got {max(first, 0)} of {len(kw)} days"
        )
    named = [DEFAULT, *(method for method in candidates if method.name != DEFAULT.name)]
    rolled = [roll(method, kw) for method in named]
    chosen, picks = _chosen(rolled, first)
    rows = [roll(NAIVE, kw), roll(DAY_NAIVE, kw), *rolled, chosen]
    scores = []
    for entry in rows:
        found = bands(entry, kw, first)
        low, high = (_table(found, side) for side in ("low_kw", "high_kw"))
        scores.append(score(entry.method.name, kw[:first], kw[first:], entry.forecast[first:], low, high))
    return Backtest(first, scored_days, tuple(scores), picks)


def _chosen(rolled: Sequence[Rolled], first: int) -> tuple[Rolled, tuple[tuple[str, int], ...]]:
    """What would have been issued: the pick of each day, with the errors that it made."""
    default = rolled[0]
    forecast = default.forecast.copy()
    counts: dict[str, int] = {}
    for row in range(HISTORY_DAYS, len(forecast)):
        used = pick(rolled, row)
        forecast[row] = used.forecast[row]
        if row >= first:
            counts[used.method.name] = counts.get(used.method.name, 0) + 1
    actual = default.forecast + default.errors
    method = Method(CHOSEN, default.method.predict, "what would have been issued")
    return Rolled(method, forecast, actual - forecast), tuple(sorted(counts.items()))


def _table(found: Sequence[Band | None], side: str) -> Table:
    empty: Hours = np.full(HOURS, np.nan)
    return np.array([empty if band is None else getattr(band, side) for band in found])
