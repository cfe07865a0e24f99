"""How an instant is written for people. 1774994400000 is 2026-03-31T22:00:00Z by `date -u -d @1774994400`."""

from zoneinfo import ZoneInfo

import pytest

from aggregator.intervals.written_time import written


@pytest.mark.parametrize(
    ("at_ms", "zone", "text"),
    [
        (1_774_994_400_000, "UTC", "2026-03-31T22:00Z"),
        (1_774_994_400_000, "Europe/Berlin", "2026-04-01T00:00+02:00"),
        (1_774_994_401_000, "UTC", "2026-03-31T22:00:01Z"),
        (1_774_994_400_017, "UTC", "2026-03-31T22:00:00.017Z"),
        (10**18, "UTC", "1000000000000000000 ms"),
    ],
)
def test_an_instant_is_written_as_exactly_as_it_is(at_ms: int, zone: str, text: str) -> None:
    assert written(at_ms, ZoneInfo(zone)) == text
