"""Days and clock hours of a load: the zone's 23 and 25 hour days, half-hour changes, gaps."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from aggregator.forecasts.hours import by_local_days, next_day, slots
from aggregator.intervals.local_time import day_span_ms

QUARTER_MS = 900_000


def quarters(first: date, days: int, zone: ZoneInfo) -> list[tuple[int, int, float]]:
    """A quarter kWh each quarter hour: 1 kW."""
    begin_ms = day_span_ms(first, zone)[0]
    end_ms = day_span_ms(first + timedelta(days=days - 1), zone)[1]
    return [(at, at + QUARTER_MS, 0.25) for at in range(begin_ms, end_ms, QUARTER_MS)]


# Changes of clock of 2026, IANA time zone database: Berlin 29 March and 25 October, Lord Howe 5 April (half an hour back) and 4 October.
@pytest.mark.parametrize(
    ("zone", "day", "hours", "count", "length_h"),
    [
        ("Europe/Berlin", date(2026, 3, 29), [0, 1, 3, 4], 23, 23.0),
        ("Europe/Berlin", date(2026, 10, 25), [0, 1, 2, 2, 3], 25, 25.0),
        ("Asia/Kolkata", date(2026, 10, 25), [0, 1, 2, 3], 24, 24.0),
        ("Australia/Lord_Howe", date(2026, 4, 5), [0, 1, 1, 2], 25, 24.5),
        ("Australia/Lord_Howe", date(2026, 10, 4), [0, 1, 2, 3], 24, 23.5),
    ],
)
def test_a_local_day_has_the_hours_that_its_clock_shows(
    zone: str, day: date, hours: list[int], count: int, length_h: float
) -> None:
    found = slots(day, ZoneInfo(zone))
    assert [slot.hour for slot in found[: len(hours)]] == hours
    assert len(found) == count
    assert sum(slot.length_h for slot in found) == length_h
    assert all(one.end_ms == two.start_ms for one, two in pairwise(found))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"])
def test_a_steady_load_has_one_power_on_days_of_every_length(zone: str) -> None:
    found = by_local_days(quarters(date(2026, 3, 20), 230, ZoneInfo(zone)), ZoneInfo(zone))
    assert found is not None
    skipped = {"Europe/Berlin": [(9, 2)]}.get(zone, [])  # the clock hour that 29 March lacks
    assert [tuple(at) for at in np.argwhere(np.isnan(found.kw))] == skipped
    assert found.kw[~np.isnan(found.kw)] == pytest.approx(1.0)


def test_an_hour_with_a_missing_quarter_is_not_known() -> None:
    zone = ZoneInfo("Europe/Berlin")
    given = quarters(date(2026, 6, 1), 2, zone)
    del given[4 * 7 + 2]
    found = by_local_days(reversed(given), zone)
    assert found is not None
    assert np.isnan(found.kw[0, 7])
    assert found.known_hours == 47


def test_half_of_the_repeated_hour_is_not_the_hour() -> None:
    zone = ZoneInfo("Europe/Berlin")
    given = quarters(date(2026, 10, 25), 1, zone)
    found = by_local_days(given[:12] + given[16:], zone)  # 02:00 for the second time is not known
    assert found is not None
    assert np.isnan(found.kw[0, 2])


def test_nothing_gives_no_table_and_what_is_no_part_of_an_hour_is_refused() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    assert by_local_days([], zone) is None
    on_the_utc_hour = round(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1000)  # 17:30 in Kolkata
    with pytest.raises(ValueError, match="within one local clock hour, got 3600 s"):
        by_local_days([(on_the_utc_hour, on_the_utc_hour + 3_600_000, 1.0)], zone)


def test_the_next_day_is_today_at_midnight_and_tomorrow_after_it() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    midnight_ms = day_span_ms(date(2026, 6, 1), zone)[0]
    assert next_day(midnight_ms, zone) == date(2026, 6, 1)
    assert next_day(midnight_ms + 1, zone) == date(2026, 6, 2)
