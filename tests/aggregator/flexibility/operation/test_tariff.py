"""Prices and demand charges by the facility's local time. Expected numbers by hand, and those of domain rule 28."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from aggregator.flexibility.operation.demand import charges, highest_window
from aggregator.flexibility.operation.tariff import DemandRule, Period, Tariff, ToldPrices, When, counted, prices

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR = 60
PEAK = Period("peak", 1.2, When(days="workday", hours=((10 * HOUR, 12 * HOUR),)))
FLAT = Period("flat", 0.6)
TARIFF = Tariff((PEAK, FLAT), export_price_per_kwh=0.3, holidays=frozenset({date(2026, 10, 1)}))


def at(day: int, hour: int, minute: int = 0, month: int = 11) -> int:
    return round(datetime(2026, month, day, hour, minute, tzinfo=SHANGHAI).timestamp() * 1000)


def test_the_first_period_that_fits_a_local_time_counts() -> None:
    edges = [at(20, 9, 30), at(20, 10), at(20, 10, 15), at(20, 12), at(20, 13)]  # a Friday
    bought, sold = prices(TARIFF, None, edges, SHANGHAI)
    assert bought == pytest.approx([0.6, 1.2, 1.2, 0.6])
    assert sold == pytest.approx([0.3] * 4)


def test_a_step_across_a_period_costs_the_mean() -> None:
    assert prices(TARIFF, None, [at(20, 9, 30), at(20, 10, 30)], SHANGHAI)[0] == pytest.approx([0.9])


def test_weekends_and_holidays_are_no_working_days() -> None:
    steps = [at(21, 10), at(21, 11)]  # a Saturday
    assert prices(TARIFF, None, steps, SHANGHAI)[0] == [0.6]
    holiday = [at(1, 10, month=10), at(1, 11, month=10)]  # a Thursday
    assert prices(TARIFF, None, holiday, SHANGHAI)[0] == [0.6]


def test_what_is_told_from_outside_goes_before_what_the_periods_say() -> None:
    told = ToldPrices("v1", ((at(20, 10), at(20, 11), 2.0, None), (at(20, 11), at(20, 12), -0.1, -0.2)))
    edges = [at(20, 9), at(20, 10), at(20, 11), at(20, 12), at(20, 13)]
    bought, sold = prices(TARIFF, told, edges, SHANGHAI)
    assert bought == pytest.approx([0.6, 2.0, -0.1, 0.6])
    assert sold == pytest.approx([0.3, 0.3, -0.2, 0.3])


def test_a_time_without_a_period_is_named() -> None:
    assert TARIFF.uncovered() is None
    assert Tariff((PEAK,)).uncovered() == "month 1, Monday 00:00"


def test_400_kw_for_ten_minutes_across_a_boundary_on_200_kw() -> None:
    # Domain rule 28: five minutes in each of two quarters: block (600 x 5 + 200 x 10) / 15 = 333; sliding (600 x 10 + 200 x 5) / 15 = 467.
    kw = [200.0] * 10 + [600.0] * 10 + [200.0] * 10
    assert highest_window(kw, 1, 15, "block") == pytest.approx(1000 / 3)
    assert highest_window(kw, 1, 15, "sliding") == pytest.approx(1400 / 3)


def test_windows_that_nobody_has_measured_make_no_peak() -> None:
    assert highest_window([float("nan"), 900.0, 100.0, 100.0], 15, 30, "block") == 100.0
    assert highest_window([], 15, 15, "block") == 0.0


@pytest.mark.parametrize(
    ("rule", "price", "free_kw"),
    [
        (DemandRule("month", 40.0), 40.0, 150.0),
        (DemandRule("month", 40.0, floor_kw=200.0), 40.0, 200.0),
        (DemandRule("month", 40.0, mode="contract", contract_kw=400.0), 80.0, 420.0),
        (DemandRule("month", 36.0, unit="kVA", power_factor=0.9), 40.0, 150.0),
    ],
)
def test_a_demand_charge_costs_beyond_what_is_paid_already(rule: DemandRule, price: float, free_kw: float) -> None:
    edges = [at(20, hour) for hour in range(10, 13)]
    (charge,), said = charges(Tariff((FLAT,), demand=(rule,)), {"month": 150.0}, edges, SHANGHAI)
    assert charge.price_per_kw == pytest.approx(price)
    assert charge.so_far_kw == pytest.approx(free_kw)
    assert charge.steps.all()
    assert not said


def test_a_charge_by_the_transformers_size_is_no_matter_of_a_plan_and_is_said() -> None:
    found, said = charges(Tariff((FLAT,), demand=(DemandRule("size", 28.0, mode="capacity"),)), {}, [at(20, 10), at(20, 11)], SHANGHAI)  # fmt: skip
    assert (found, said) == ([], ["demand size: paid by the transformer's size, no plan changes it"])


def test_a_horizon_across_months_has_a_peak_of_its_own_in_the_next_one() -> None:
    edges = [at(30, 23), at(1, 0, month=12), at(1, 1, month=12)]
    this, following = charges(Tariff((FLAT,), demand=(DemandRule("month", 40.0),)), {"month": 99.0}, edges, SHANGHAI)[0]
    assert (this.so_far_kw, this.steps.tolist()) == (99.0, [True, False])
    assert (following.name, following.so_far_kw, following.steps.tolist()) == ("month 2026-12", 0.0, [False, True])


def test_steps_that_touch_the_hours_of_a_charge_count() -> None:
    edges = [at(20, 9), at(20, 10), at(20, 11), at(20, 12), at(20, 13)]
    assert np.array(counted(PEAK.when, TARIFF, edges, SHANGHAI)).tolist() == [False, True, True, False]
