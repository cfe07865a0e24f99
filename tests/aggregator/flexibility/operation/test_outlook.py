"""What nobody steers, from its past. Expected numbers by hand: loads that repeat exactly."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from aggregator.flexibility.operation.outlook import expected, moved, over_steps

ZONE = ZoneInfo("Asia/Shanghai")
TODAY = date(2026, 11, 20)  # a Friday
QUARTER_MS, HOUR_MS = 900_000, 3_600_000


def at_ms(day: date, hours: float = 0.0) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp() * 1000 + hours * HOUR_MS)


def history(days: int, quarter: int = 0) -> list[tuple[int, int, float]]:
    """100 kW in working hours of a weekday, 20 kW else; `quarter` kW more in the first quarter of each hour and less in the last."""
    rows = []
    for back in range(days, 0, -1):
        day = TODAY - timedelta(days=back)
        for number in range(96):
            busy = day.weekday() < 5 and 8 <= number // 4 < 18
            kw = (100.0 if busy else 20.0) + {0: quarter, 3: -quarter}.get(number % 4, 0)
            begin_ms = at_ms(day) + number * QUARTER_MS
            rows.append((begin_ms, begin_ms + QUARTER_MS, kw / 4))
    return rows


def test_a_load_that_repeats_is_expected_to_repeat() -> None:
    known = expected(history(90), ZONE, TODAY)
    assert known is not None
    edges = [at_ms(TODAY, hours) for hours in (7, 8, 17, 18)]
    low, middle, high = over_steps(known, edges, ZONE)
    assert middle.tolist() == [20.0, 100.0, 100.0]
    assert low.tolist() == middle.tolist() == high.tolist()  # it has never been otherwise
    assert known.at(at_ms(TODAY + timedelta(days=1), 12), ZONE)[1] == 20.0  # a Saturday
    assert (known.basis, known.spare_kw) == ("seasonal_median", 0.0)


def test_what_is_kept_free_is_what_quarters_have_been_above_their_hour() -> None:
    # A quarter of all quarters lies 8 kW above its hour: the 95th percentile of what is above is 8.
    known = expected(history(90, quarter=8), ZONE, TODAY)
    assert known is not None
    assert known.spare_kw == pytest.approx(8.0)


def test_with_a_day_of_past_the_last_known_hours_stand_and_that_is_said() -> None:
    known = expected(history(1), ZONE, TODAY)
    assert known is not None
    assert known.basis == "naive: the last known value of each hour"
    assert known.at(at_ms(TODAY, 12), ZONE) == (100.0, 100.0, 100.0)
    assert expected([], ZONE, TODAY) is None


def test_what_is_measured_moves_the_next_hours_the_less_the_later() -> None:
    edges = [at_ms(TODAY, hours) for hours in (12, 13, 14, 15)]
    load = moved(np.full(3, 100.0), edges, at_ms(TODAY, 12), 100.0, 130.0, by_ratio=False)
    assert load == pytest.approx([130.0, 100 + 30 * np.exp(-0.5), 100 + 30 * np.exp(-1.0)])
    sun = moved(np.array([80.0, 60.0, 0.0]), edges, at_ms(TODAY, 12), 80.0, 40.0, by_ratio=True)
    assert sun == pytest.approx([40.0, 60 * (1 - 0.5 * np.exp(-0.5)), 0.0])
    night = moved(np.array([0.0, 10.0, 20.0]), edges, at_ms(TODAY, 12), 0.0, 3.0, by_ratio=True)
    assert night.tolist() == [0.0, 10.0, 20.0]
