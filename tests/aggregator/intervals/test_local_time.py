"""Local days against the public dates of clock changes."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from aggregator.intervals.local_time import day_span_ms, local_day, local_year, year_span_ms


def utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "day", "first", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 28), "2026-03-27T23:00", 24),
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-28T23:00", 23),
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-24T22:00", 25),
        ("Asia/Kolkata", date(2026, 3, 29), "2026-03-28T18:30", 24),
        ("Asia/Shanghai", date(2026, 3, 29), "2026-03-28T16:00", 24),
        ("Australia/Lord_Howe", date(2026, 4, 5), "2026-04-04T13:00", 24.5),
        ("Australia/Lord_Howe", date(2026, 10, 4), "2026-10-03T13:30", 23.5),
        (
            "Africa/Cairo",
            date(2026, 4, 24),
            "2026-04-23T22:00",
            23,
        ),  # the clock skips midnight: the day starts at 01:00
    ],
)
def test_a_local_day_has_its_own_length(zone: str, day: date, first: str, hours: float) -> None:
    from_ms, to_ms = day_span_ms(day, ZoneInfo(zone))
    assert from_ms == utc_ms(first)
    assert (to_ms - from_ms) / 3_600_000 == hours
    assert local_day(from_ms, ZoneInfo(zone)) == day
    assert local_day(to_ms - 1, ZoneInfo(zone)) == day


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_every_day_of_a_year_starts_on_a_quarter_hour_and_where_the_last_one_ended(zone: str) -> None:
    spans = [
        day_span_ms(date.fromordinal(n), ZoneInfo(zone))
        for n in range(date(2026, 1, 1).toordinal(), date(2027, 1, 1).toordinal())
    ]
    assert all(from_ms % 900_000 == 0 for from_ms, _ in spans)
    assert [to_ms for _, to_ms in spans[:-1]] == [from_ms for from_ms, _ in spans[1:]]
    assert (spans[0][0], spans[-1][1]) == year_span_ms(2026, ZoneInfo(zone))


def test_the_year_turns_by_the_clock_on_the_wall() -> None:
    assert local_year(utc_ms("2022-12-31T15:59:59"), ZoneInfo("Asia/Shanghai")) == 2022
    assert local_year(utc_ms("2022-12-31T16:00:00"), ZoneInfo("Asia/Shanghai")) == 2023
