"""Emissions of a forecast load: load and grid intensity drawn together from what either has missed. Not accounting: these kg are of no statement.

The quantile of a product is not the product of quantiles. On windy days loads and intensities miss together or against each other, so whole days of
both errors are drawn as one.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.forecasts.band import LEAST_DAYS, Band
from aggregator.forecasts.hours import HOURS, Table
from aggregator.forecasts.methods import Hours

DRAWS: Final = 2000
SEED: Final = 20181


@dataclass(frozen=True, slots=True)
class Intensity:
    """kg CO2e per kWh of each clock hour of a day, as known when it is issued. `errors` belong to the same days as the load's.

    `basis`: provider (a forecast on record), seasonal_median (of the zone's past hours) or factor (one that holds all day).
    `source` names the provider and when it published what was used, or the factor's document.
    """

    kg_per_kwh: Hours
    errors: Table
    basis: str
    source: str
    signal: str = "average"


@dataclass(frozen=True, slots=True)
class Spread:
    """Low and high of each hour, and (low, high) of the whole day; None where too few errors are known."""

    low: Hours
    high: Hours
    day: tuple[float, float] | None


def kwh_spread(load: Hours, errors: Table, band: Band, length_h: Hours) -> Spread:
    """The load's own band, and that of the day's sum: errors of one day belong together."""
    return Spread(
        band.low_kw * length_h, band.high_kw * length_h, _day(_draws(load, errors, None, None) * length_h, band)
    )


def kg_spread(load: Hours, errors: Table, band: Band, intensity: Intensity, length_h: Hours) -> Spread:
    """Quantiles of load x intensity at the levels of the load's band, from days of errors drawn together where both are known."""
    draws = _draws(load, errors, intensity.kg_per_kwh, intensity.errors) * length_h
    point = load * intensity.kg_per_kwh * length_h
    if not np.nan_to_num(intensity.errors).any():  # one factor all day: the band itself, without the noise of drawing
        low, high = band.low_kw * intensity.kg_per_kwh * length_h, band.high_kw * intensity.kg_per_kwh * length_h
    else:
        low, high = np.nanquantile(draws, (band.below_ratio, 1 - band.above_ratio), axis=0)
    return Spread(np.minimum(low, point), np.maximum(high, point), _day(draws, band))


def _draws(load: Hours, errors: Table, intensity: Hours | None, misses: Table | None) -> Table:
    """[draw, hour]: the load, times the intensity where there is one, each with the errors of a drawn day."""
    random = np.random.default_rng(SEED)
    ours = np.flatnonzero(~np.isnan(errors).any(axis=1))
    if intensity is None or misses is None:
        days = random.choice(ours, DRAWS) if len(ours) else np.zeros(0, dtype=np.intp)
        return np.asarray(np.maximum(load + errors[days], 0.0))
    theirs = np.flatnonzero(~np.isnan(misses).any(axis=1))
    both = np.intersect1d(ours, theirs)
    if len(both) >= LEAST_DAYS:
        days = others = random.choice(both, DRAWS)
    elif len(ours) and len(theirs):  # never seen together: independent of each other
        days, others = random.choice(ours, DRAWS), random.choice(theirs, DRAWS)
    else:
        return np.zeros((0, HOURS))
    return np.asarray(np.maximum(load + errors[days], 0.0) * np.maximum(intensity + misses[others], 0.0))


def _day(draws: Table, band: Band) -> tuple[float, float] | None:
    sums = draws.sum(axis=1)
    if not len(sums) or np.isnan(sums).any():
        return None
    low, high = np.quantile(sums, (band.below_ratio, 1 - band.above_ratio))
    return float(low), float(high)
