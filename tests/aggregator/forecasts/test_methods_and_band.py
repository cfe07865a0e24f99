"""Point forecasts by hand, and a band that holds what it promises on loads whose noise is known."""

import numpy as np
import pytest

from aggregator.forecasts.band import AdaptiveBand
from aggregator.forecasts.methods import DEFAULT, NAIVE, WITH_YESTERDAY
from aggregator.forecasts.scores import mase, naive_mae, pinball, score


def history(*, weeks: dict[int, float], yesterday_kw: float = 5.0, days: int = 70) -> np.ndarray:
    """A table in which only the same weekday of so many weeks ago and yesterday are known."""
    table = np.full((days, 24), np.nan)
    for back, value in weeks.items():
        table[days - 7 * back] = value
    table[-1] = yesterday_kw
    return table


def test_the_default_is_the_median_of_the_last_four_same_weekdays() -> None:
    given = history(weeks={1: 10, 2: 20, 3: 40, 4: 80, 5: 1000})
    assert DEFAULT.predict(given) == pytest.approx(30)  # (20 + 40) / 2
    assert WITH_YESTERDAY.predict(given) == pytest.approx(20)  # 5 10 20 40 80
    assert NAIVE.predict(given) == pytest.approx(10)


def test_a_missing_week_is_replaced_by_an_older_one_for_eight_weeks() -> None:
    given = history(weeks={1: 10, 3: 20, 6: 30, 8: 40, 9: 1000})
    assert DEFAULT.predict(given) == pytest.approx(25)
    assert np.isnan(DEFAULT.predict(history(weeks={9: 1000}))).all()


def test_what_no_same_weekday_has_shown_is_not_forecast() -> None:
    short = np.ones((5, 24))
    for method in (DEFAULT, WITH_YESTERDAY, NAIVE):
        assert np.isnan(method.predict(short)).all()


def test_the_example_of_mase_and_pinball_loss() -> None:
    """Worked example 34 of the specification."""
    assert mase([10, 12, 14], [11, 11, 15], naive_mae_kwh=2) == pytest.approx(0.5)
    assert pinball([12], [10], 0.9) == pytest.approx(1.8)
    assert pinball([10], [12], 0.9) == pytest.approx(0.2)
    assert pinball([15], [12], 0.9) == pytest.approx(2.7)


def test_the_scale_is_the_naive_error_within_the_training_days() -> None:
    table = np.repeat(np.arange(14.0)[:, None], 24, axis=1)  # each day one kW more
    assert naive_mae(table, 168) == pytest.approx(7)
    assert naive_mae(table, 24) == pytest.approx(1)
    assert np.isnan(naive_mae(table[:7], 168))


def test_hours_without_a_figure_are_left_out_of_a_score_and_a_load_without_change_has_no_scale() -> None:
    training = np.ones((10, 24))
    actual, forecast = np.full((2, 24), 2.0), np.full((2, 24), 3.0)
    actual[0, :12] = np.nan
    found = score("x", training, actual, forecast, forecast - 2, forecast + 1)
    assert (found.hours, found.mae_kwh, found.bias_kwh, found.mase_week_ratio) == (36, 1.0, 1.0, None)
    assert (found.covered_percent, found.width_kwh) == (100.0, 3.0)


def covered_percent(noise: np.ndarray) -> float:
    """The share of the later days' hours within the band of a forecast that is 100 kW throughout."""
    state, within = AdaptiveBand(), []
    flat = np.full(24, 100.0)
    for day in range(14, len(noise)):
        band = state.around(flat, noise[:day])
        assert band is not None
        actual = flat + noise[day]
        within.append((actual >= band.low_kw) & (actual <= band.high_kw))
        state.learn(actual, band)
    return float(np.mean(within) * 100)


def test_a_band_of_80_percent_holds_80_percent() -> None:
    """The promise itself is the source of the number."""
    noise = np.random.default_rng(7).normal(0, 10, (400, 24))
    assert covered_percent(noise) == pytest.approx(80, abs=1.5)


def test_the_band_follows_noise_that_grows() -> None:
    noise = np.random.default_rng(7).normal(0, 1, (400, 24)) * np.linspace(2, 40, 400)[:, None]
    assert covered_percent(noise) == pytest.approx(80, abs=2.5)


def test_there_is_no_band_before_two_weeks_and_none_goes_below_zero() -> None:
    errors = np.random.default_rng(7).normal(0, 50, (14, 24))
    low_load = np.full(24, 10.0)
    assert AdaptiveBand().around(low_load, errors[:13]) is None
    band = AdaptiveBand().around(low_load, errors)
    assert band is not None
    assert (band.low_kw >= 0).all()
    assert (band.low_kw <= low_load).all()
    assert (band.high_kw >= low_load).all()
