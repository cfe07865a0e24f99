"""The band around a forecast: quantiles of its own past errors, made wider or narrower until they hold what they promise. Not the forecast itself.

Adaptive conformal inference: after each day the level of either tail moves by gamma times (what it should miss - what it missed).
Source: Gibbs and Candes, Adaptive Conformal Inference Under Distribution Shift, NeurIPS 2021, equation 2, once per tail.
"""

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.forecasts.hours import Table
from aggregator.forecasts.methods import Hours

GAMMA: Final = 0.03
TRAILING_DAYS: Final = 56
LEAST_DAYS: Final = 14  # of known errors, before there is a band
TAIL: Final = 0.1  # on either side: a band of 80 %
_TAIL_LEAST: Final = 0.005
_TAIL_MOST: Final = 0.45


@dataclass(frozen=True, slots=True)
class Band:
    """Low and high of each clock hour, in kW, and the levels of the two tails that gave them."""

    low_kw: Hours
    high_kw: Hours
    below_ratio: float
    above_ratio: float


@dataclass(slots=True)
class AdaptiveBand:
    """The state of one meter's band. `gamma_ratio` 0: fixed levels."""

    gamma_ratio: float = GAMMA
    below_ratio: float = TAIL
    above_ratio: float = TAIL

    def around(self, forecast: Hours, errors: Table) -> Band | None:
        """The band of a day from the errors (actual - forecast, [day, hour], NaN: not known) of the days before. None where they are too few.

        Each clock hour has its own errors: at night a load is steadier than at the start of a shift. Energy that is counted is never below zero.
        """
        past = errors[-TRAILING_DAYS:]
        past = past[~np.isnan(past).all(axis=1)]
        if len(past) < LEAST_DAYS:
            return None
        levels = (self.below_ratio, 1 - self.above_ratio)
        if not np.isnan(past).any():
            low, high = np.quantile(past, levels, axis=0)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # an hour of which nothing is known
                low, high = np.nanquantile(past, levels, axis=0)
        floor = np.minimum(forecast, 0.0)  # a series that does go below zero keeps its sign
        return Band(
            np.minimum(np.maximum(forecast + low, floor), forecast),
            np.maximum(forecast + high, forecast),
            self.below_ratio,
            self.above_ratio,
        )

    def learn(self, actual: Hours, band: Band) -> None:
        """Moves the levels by what the day has shown."""
        known = ~np.isnan(actual) & ~np.isnan(band.low_kw)
        if not known.any():
            return
        below = float(np.mean(actual[known] < band.low_kw[known]))
        above = float(np.mean(actual[known] > band.high_kw[known]))
        self.below_ratio = _kept(self.below_ratio + self.gamma_ratio * (TAIL - below))
        self.above_ratio = _kept(self.above_ratio + self.gamma_ratio * (TAIL - above))


def _kept(tail_ratio: float) -> float:
    return min(max(tail_ratio, _TAIL_LEAST), _TAIL_MOST)
