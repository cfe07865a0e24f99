"""How good forecasts were: MASE, pinball loss, coverage, bias. Not who made them.

MASE: Hyndman and Koehler, Another look at measures of forecast accuracy, International Journal of Forecasting 22 (2006), section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aggregator.forecasts.hours import HOURS, Table

Values = npt.NDArray[np.float64]
QUANTILES: Final = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Score:
    """Of one method on one meter over `hours` hours that both have a figure. None: nothing to compare, or a scale of zero.

    `pinball_kwh` at .1, .5 and .9. `bias_kwh`: mean of forecast - actual. `covered_percent`: of the hours with a band, within it.
    """

    method: str
    hours: int
    mae_kwh: float | None
    wape_percent: float | None
    mase_day_ratio: float | None  # against the day before (m = 24)
    mase_week_ratio: float | None  # against the same day a week ago (m = 168)
    pinball_kwh: tuple[float, float, float] | None
    covered_percent: float | None
    width_kwh: float | None
    bias_kwh: float | None

    @property
    def mean_pinball_kwh(self) -> float | None:
        return None if self.pinball_kwh is None else sum(self.pinball_kwh) / len(self.pinball_kwh)


def mase(actual: Sequence[float] | Values, forecast: Sequence[float] | Values, naive_mae_kwh: float) -> float | None:
    """Mean absolute error over the in-sample mean absolute error of the seasonal naive. None where there is none, or it is zero."""
    gap = np.abs(np.asarray(actual, float) - np.asarray(forecast, float))
    gap = gap[~np.isnan(gap)]
    return float(gap.mean() / naive_mae_kwh) if gap.size and naive_mae_kwh > 0 else None


def pinball(actual: Sequence[float] | Values, quantile: Sequence[float] | Values, level_ratio: float) -> float | None:
    """Mean pinball loss: level x (actual - quantile) above it, (1 - level) x (quantile - actual) below it."""
    gap = np.asarray(actual, float) - np.asarray(quantile, float)
    gap = gap[~np.isnan(gap)]
    return float(np.maximum(level_ratio * gap, (level_ratio - 1) * gap).mean()) if gap.size else None


def naive_mae(training: Table, season_hours: int) -> float:
    """Mean |y(t) - y(t - season)| of a training table; NaN where nothing can be compared."""
    days, rest = divmod(season_hours, HOURS)
    if rest:
        raise ValueError(f"season: expected whole days in hours, got {season_hours}")
    if len(training) <= days:
        return float("nan")
    gap = np.abs(training[days:] - training[:-days])
    return float(gap[~np.isnan(gap)].mean()) if not np.isnan(gap).all() else float("nan")


def score(method: str, training: Table, actual: Table, forecast: Table, low: Table, high: Table) -> Score:
    """The score of forecasts and bands ([day, hour], kW = kWh of the hour) against what came, scaled by the days before them."""
    error = forecast - actual
    known = ~np.isnan(error)
    if not known.any():
        return Score(method, 0, None, None, None, None, None, None, None, None)
    mae_kwh = float(np.abs(error[known]).mean())
    load_kwh = float(actual[known].sum())
    banded = known & ~np.isnan(low) & ~np.isnan(high)
    losses = [
        pinball(actual[banded], at[banded], level) for at, level in zip((low, forecast, high), QUANTILES, strict=True)
    ]
    within = (actual[banded] >= low[banded]) & (actual[banded] <= high[banded])
    return Score(
        method,
        int(known.sum()),
        mae_kwh,
        100 * float(np.abs(error[known]).sum()) / load_kwh if load_kwh > 0 else None,
        mase(actual[known], forecast[known], naive_mae(training, HOURS)),
        mase(actual[known], forecast[known], naive_mae(training, 7 * HOURS)),
        None if None in losses else (losses[0] or 0.0, losses[1] or 0.0, losses[2] or 0.0),
        100 * float(within.mean()) if banded.any() else None,
        float((high[banded] - low[banded]).mean()) if banded.any() else None,
        float(error[known].mean()),
    )
