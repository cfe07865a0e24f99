"""Baselines of like days, their adjustment and accuracy, and settlement. Figures: case B of the specification, and by hand."""

from datetime import date, timedelta

import numpy as np
import pytest

from aggregator.flexibility.baseline import (
    Adjustment,
    Days,
    Event,
    NoBaseline,
    Rules,
    accuracy,
    baseline,
    by_day,
    preset,
    presets,
)
from aggregator.flexibility.settlement import Terms, settle

EVENT_DAY = date(2026, 6, 17)  # a Wednesday
EVENT = Event(EVENT_DAY, 14, 16)


def workdays(count: int, before: date = EVENT_DAY) -> list[date]:
    found: list[date] = []
    day = before
    while len(found) < count:
        day -= timedelta(days=1)
        if day.weekday() < 5:
            found.append(day)
    return found


def days(levels: list[float], today: float = 0.0) -> dict[date, np.ndarray]:  # type: ignore[type-arg]
    """Flat days of 24 hours, the newest first."""
    made = {day: np.full(24, level) for day, level in zip(workdays(len(levels)), levels, strict=True)}
    return made | {EVENT_DAY: np.full(24, today)}


LOADS: Days = days([float(kw) for kw in range(109, 99, -1)], 130.0)


def rules(days: int = 10, highest: int = 0, adjustment: Adjustment = "none") -> Rules:
    return Rules("of a test", days, highest, adjustment=adjustment)


@pytest.mark.parametrize(("highest", "kw"), [(0, 104.5), (5, 107.0)])
def test_b_ten_days_of_100_to_109_average_to_104_5_and_their_five_highest_to_107(highest: int, kw: float) -> None:
    assert baseline(LOADS, EVENT, rules(10, highest), 1.0).settled_kw.tolist() == [kw, kw]


def test_b_a_morning_30_percent_higher_is_cut_at_20_percent() -> None:
    """130 against 100 before the event: factor 1.3, capped at 1.2; 104.5 x 1.2 = 125.4."""
    loads = days([float(kw) for kw in range(109, 99, -1)], 130.0)
    for day in loads:
        if day != EVENT_DAY:
            loads[day][10:13] = 100.0
    made = baseline(loads, EVENT, rules(adjustment="multiplicative"), 1.0)
    assert (made.factor, made.settled_kw.tolist()) == (1.2, pytest.approx([125.4, 125.4]))
    assert made.unadjusted_kw.tolist() == [104.5, 104.5]
    assert made.said == ("adjustment of 1.300 cut at 20 %",)


def test_where_our_own_set_points_moved_the_window_the_unadjusted_baseline_is_settled_on() -> None:
    made = baseline(LOADS, EVENT, rules(adjustment="multiplicative"), 1.0, moved=True)
    assert made.settled_kw.tolist() == made.unadjusted_kw.tolist()
    assert made.adjusted_kw is not None
    assert "set-points" in made.said[-1]


def test_a_window_of_little_load_is_adjusted_by_a_difference_and_says_so() -> None:
    loads = days([100.0] * 10, 12.0)
    for day in loads:
        if day != EVENT_DAY:
            loads[day][10:13] = 10.0
    made = baseline(loads, EVENT, rules(adjustment="multiplicative"), 1.0)
    assert (made.factor, made.added_kw, made.settled_kw.tolist()) == (None, 2.0, [102.0, 102.0])
    assert "fifth of the median" in made.said[0]


def test_a_notice_before_the_window_ends_moves_the_window_before_it() -> None:
    loads = days([100.0] * 10, 100.0)
    loads[EVENT_DAY][9:] = 50.0  # the load was lowered as soon as the notice came
    noticed = Event(EVENT_DAY, 14, 16, notice=9)
    assert baseline(loads, noticed, rules(adjustment="multiplicative"), 1.0).factor == 1.0
    assert baseline(loads, EVENT, rules(adjustment="multiplicative"), 1.0).factor == 0.8


def test_event_days_weekends_and_days_not_measured_well_do_not_count() -> None:
    levels = [500.0, 500.0, *range(109, 99, -1)]
    loads = days([float(level) for level in levels])
    first, second, *_ = workdays(12)
    loads[second][3] = np.nan
    for back in range(1, 20):
        day = EVENT_DAY - timedelta(days=back)
        if day.weekday() >= 5:
            loads[day] = np.full(24, 900.0)
    made = baseline(loads, EVENT, rules(), 1.0, event_days={first})
    assert made.settled_kw.tolist() == [104.5, 104.5]
    assert not {first, second} & set(made.days)


def test_too_few_days_give_no_baseline_and_say_how_many() -> None:
    with pytest.raises(NoBaseline, match="expected 10 eligible days of type workday within 45 days, found 9"):
        baseline(days([100.0] * 9), EVENT, rules(), 1.0)


def test_the_quarter_before_stands_for_the_event_where_the_rules_say_so() -> None:
    loads = {EVENT_DAY: np.arange(96, dtype=np.float64)}
    made = baseline(loads, Event(EVENT_DAY, 40, 44), preset("quarter_before"), 0.25)
    assert made.settled_kw.tolist() == [39.0] * 4


def test_accuracy_is_measured_on_days_without_an_event() -> None:
    """Load alternates 90 and 110 day by day: ten days average to 100, so each error is 10 of a mean of 100."""
    loads = days([90.0 if n % 2 else 110.0 for n in range(40)])
    found = accuracy(loads, EVENT, rules(), 1.0)
    assert found is not None
    assert (found.days, found.bias_percent, found.rrmse_percent) == (20, pytest.approx(0), pytest.approx(10))


def test_every_preset_names_its_source_and_an_unknown_one_is_refused() -> None:
    assert all(one.source for one in presets().values())
    with pytest.raises(ValueError, match="expected one of ten_of_ten"):
        preset("best")


def test_an_hour_that_comes_twice_is_averaged_and_one_that_lacks_is_missing() -> None:
    made = by_day([(EVENT_DAY, 0, 4.0), (EVENT_DAY, 2, 1.0), (EVENT_DAY, 2, 3.0)], 4)[EVENT_DAY]
    assert made[[0, 2]].tolist() == [4.0, 2.0]
    assert np.isnan(made[[1, 3]]).all()


def test_settlement_pays_each_interval_up_to_its_cap_and_shows_the_rebound() -> None:
    """Hours: 100 - 60, 100 - 95, 100 - 20 kWh against 50 kWh each; 1 per kWh up to 120 %, nothing below 20 %, 0.5 per kWh that lacks."""
    flat = np.full(3, 100.0)
    terms = Terms(pay_per_kwh=1.0, penalty_per_kwh=0.5, dead_band_percent=20.0, cap_percent=120.0)
    made = settle(
        flat, np.array([60.0, 95.0, 20.0]), np.full(3, 50.0), 1.0, terms, np.full(2, 100.0), np.array([130.0, 90.0])
    )
    assert made.delivered_kwh.tolist() == [40, 5, 80]
    assert made.paid_kwh.tolist() == [40, 0, 60]
    assert made.money == pytest.approx(100 - 0.5 * (10 + 45))
    assert (made.response_ratio, made.rebound_kwh) == (pytest.approx(125 / 150), 30)
    with pytest.raises(ValueError, match="1 were not measured well"):
        settle(flat, np.array([60.0, np.nan, 20.0]), np.full(3, 50.0), 1.0, terms)
