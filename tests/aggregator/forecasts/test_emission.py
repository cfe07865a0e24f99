"""Load and intensity drawn together: bounds by hand, where the product of quantiles would be wrong."""

import numpy as np
import pytest

from aggregator.forecasts.band import Band
from aggregator.forecasts.emission import Intensity, kg_spread, kwh_spread

HOUR = np.ones(24)
LEVELS = (0.1, 0.1)


def around(load: np.ndarray, errors: np.ndarray) -> Band:
    low, high = np.quantile(errors, (0.1, 0.9), axis=0)
    return Band(load + low, load + high, *LEVELS)


def days_of(values: np.ndarray) -> np.ndarray:
    """Each value through all hours of one day."""
    return np.repeat(values[:, None], 24, axis=1)


def test_misses_that_cancel_leave_a_narrow_band_that_the_product_of_quantiles_would_not_give() -> None:
    """Load 100 x (1 + e), intensity 0.5 / (1 + e): always 50 kg an hour. The product of the quantiles would say 40 to 63."""
    share = np.linspace(-0.2, 0.25, 56)
    load, misses = np.full(24, 100.0), days_of(100 * share)
    intensity = Intensity(np.full(24, 0.5), days_of(0.5 / (1 + share) - 0.5), "provider", "x")
    found = kg_spread(load, misses, around(load, misses), intensity, HOUR)
    assert found.low == pytest.approx(50)
    assert found.high == pytest.approx(50)
    assert found.day == pytest.approx((1200, 1200))


def test_misses_that_go_together_widen_the_band() -> None:
    """(100 + e)(0.5 + e / 200) at e = -40 and +40, of errors -50 .. 50: 60 x 0.3 and 140 x 0.7 kg."""
    errors = np.linspace(-50, 50, 56)
    load, misses = np.full(24, 100.0), days_of(errors)
    found = kg_spread(
        load, misses, around(load, misses), Intensity(np.full(24, 0.5), misses / 200, "provider", "x"), HOUR
    )
    assert found.low == pytest.approx(18, abs=1)
    assert found.high == pytest.approx(98, abs=2)


def test_one_factor_all_day_gives_the_band_of_the_load_times_the_factor() -> None:
    misses = np.random.default_rng(3).normal(0, 10, (56, 24))
    load = np.full(24, 100.0)
    band = around(load, misses)
    found = kg_spread(load, misses, band, Intensity(np.full(24, 0.5306), np.zeros((56, 24)), "factor", "x"), HOUR)
    assert found.low == pytest.approx(band.low_kw * 0.5306)
    assert found.high == pytest.approx(band.high_kw * 0.5306)


def test_the_band_of_a_day_is_narrower_than_the_sum_of_its_hours_where_they_miss_independently() -> None:
    """24 independent hours of 10 kWh standard deviation: 10 x sqrt(24) x 1.2816 either side, 62.8 kWh against 307.6 for the sum of the hours."""
    misses = np.random.default_rng(3).normal(0, 10, (2000, 24))
    load = np.full(24, 100.0)
    band = around(load, misses)
    found = kwh_spread(load, misses, band, HOUR)
    assert found.day is not None
    assert (found.day[1] - found.day[0]) / 2 == pytest.approx(62.8, rel=0.08)
    assert (band.high_kw - band.low_kw).sum() / 2 == pytest.approx(307.6, rel=0.05)


def test_days_never_seen_together_are_drawn_apart() -> None:
    load, intensity = np.full(24, 100.0), np.full(24, 0.5)
    misses, others = np.full((56, 24), np.nan), np.full((56, 24), np.nan)
    misses[:28], others[28:] = 10.0, 0.1
    found = kg_spread(load, misses, Band(load, load, *LEVELS), Intensity(intensity, others, "provider", "x"), HOUR)
    assert found.high == pytest.approx(66)  # 110 kWh x 0.6
    assert found.low == pytest.approx(50)  # never above the point
