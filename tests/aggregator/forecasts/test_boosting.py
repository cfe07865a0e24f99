"""Gradient boosting, where scikit-learn is installed: it learns what a median cannot, and only then it is chosen."""

from datetime import date, timedelta

import numpy as np
import pytest

from aggregator.forecasts.backtest import CHOSEN, backtest, roll
from aggregator.forecasts.boosting import LEAST_DAYS, NAME, candidates
from aggregator.forecasts.day_ahead import day_ahead
from aggregator.forecasts.hours import Days
from aggregator.forecasts.methods import DEFAULT

pytest.importorskip("sklearn")

FIRST = date(2026, 1, 5)


def follows_yesterday(days: int = 140) -> Days:
    """Each day runs at twice the level of the day before or at half of it: weekdays mean nothing, and a median of five sees little."""
    random = np.random.default_rng(5)
    level = np.empty(days)
    level[0] = 100
    for day in range(1, days):
        level[day] = 200 if level[day - 1] < 150 else 50 + 50 * (random.random() < 0.3)
    return Days(FIRST, level[:, None] * (1 + 0.05 * random.normal(size=(days, 24))))


@pytest.fixture(scope="module")
def load() -> Days:
    return follows_yesterday()


def test_trees_are_chosen_where_they_are_better_and_what_is_issued_is_theirs(load: Days) -> None:
    found = backtest(load, 7, candidates())
    assert (found.better_percent(NAME) or 0) > (found.better_percent(DEFAULT.name) or 0) + 20
    assert dict(found.picks) == {NAME: 7}
    assert found.of(CHOSEN).mae_kwh == found.of(NAME).mae_kwh


def test_a_load_that_repeats_itself_keeps_the_default() -> None:
    week = np.random.default_rng(5).normal(100, 10, (7, 24))
    found = day_ahead(Days(FIRST, np.tile(week, (20, 1))), FIRST + timedelta(days=140), 1, candidates())
    assert found.method == DEFAULT.name
    assert found.kw == pytest.approx(week[0])


def test_trees_do_not_look_ahead_and_the_same_history_gives_the_same_forecast(load: Days) -> None:
    changed = load.kw.copy()
    changed[118:] = 7.0
    one = roll(candidates()[-1], load.kw[:122]).forecast
    other = roll(candidates()[-1], changed[:122]).forecast
    assert np.isnan(one[:LEAST_DAYS]).all()
    assert np.array_equal(one[: 118 + 1], other[: 118 + 1], equal_nan=True)
    assert not np.array_equal(one[119:], other[119:])


def test_the_day_after_tomorrow_s_trees_learn_without_the_day_before(load: Days) -> None:
    tomorrow = roll(candidates()[-1], load.kw[:118], lead_days=2).forecast[LEAST_DAYS + 1 :]
    assert not np.isnan(tomorrow).any()
    kw = load.kw[:118].copy()
    kw[115] = np.nan
    assert not np.isnan(roll(candidates()[-1], kw).forecast[LEAST_DAYS:]).any()
