"""Device clocks: when an offset is worth an event, how coarse clocks are taken, and that nothing is measured by a wrong gateway."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edge_agent.drivers.device_clock import EVERY_MS, DeviceClocks, nearest, offset_ms
from edge_agent.drivers.driver import Gateway
from wire.reading import Event, Json

BERLIN = ZoneInfo("Europe/Berlin")


class Measured:
    """The clocks of one bus, with a gateway whose clock is moved and doubted by hand."""

    def __init__(self) -> None:
        self.at_ms = 1_800_000_000_000
        self.synced: bool | None = True
        self.clocks = DeviceClocks(Gateway(lambda: self.at_ms, synced=lambda: self.synced))

    def seen(self, offset_s: float) -> tuple[str, float | None] | None:
        """State and offset before of the event, if there is one."""
        self.at_ms += 60_000
        event = self.clocks.seen("meter", round(offset_s * 1000), self.at_ms)
        return None if event is None else (str(event.body["state"]), event.body["before_s"])  # type: ignore[return-value]


def test_a_clock_within_its_bound_is_nothing_to_speak_of() -> None:
    made = Measured()
    assert [made.seen(offset) for offset in (0, 5, -29.9, 30)] == [None] * 4


def test_late_early_and_right_again_are_each_told_once() -> None:
    made = Measured()
    assert made.seen(1) is None
    assert made.seen(3600) == ("ahead", 1.0)
    assert made.seen(3605) is None
    assert made.seen(2) == ("right", 3600.0)
    assert made.seen(-90) == ("behind", 2.0)
    assert made.seen(-95) is None


def test_a_clock_that_is_wrong_at_first_sight_has_no_offset_before() -> None:
    assert Measured().seen(-86_400) == ("behind", None)


def test_a_wrong_clock_that_jumps_or_wanders_on_is_told_again() -> None:
    made = Measured()
    assert made.seen(100) == ("ahead", None)
    assert made.seen(-100) == ("behind", 100.0)
    assert [made.seen(offset) for offset in (-110, -125, -131)] == [None, None, ("behind", -100.0)]


def test_the_event_says_offset_and_bound() -> None:
    made = Measured()
    event = made.clocks.seen("meter", 90_500, 1_800_000_000_000)
    body: dict[str, Json] = {"state": "ahead", "offset_s": 90.5, "before_s": None, "bound_s": 30.0}
    assert event == Event("device_clock-meter-1800000000000", 1_800_000_000_000, "meter", "device_clock", body)


def test_a_gateway_whose_clock_is_not_synchronised_judges_nobody() -> None:
    made = Measured()
    made.synced = False
    assert not made.clocks.due("meter")
    assert made.seen(3600) is None
    made.synced = True
    assert made.clocks.due("meter")
    assert made.seen(3600) == ("ahead", None)


def test_a_question_is_due_once_an_hour_and_never_where_there_is_no_clock() -> None:
    made = Measured()
    assert made.clocks.due("meter")
    made.seen(0)
    assert not made.clocks.due("meter")
    made.at_ms += EVERY_MS
    assert made.clocks.due("meter")
    made.clocks.put_off("meter")
    assert not made.clocks.due("meter")
    made.clocks.give_up("other")
    assert not made.clocks.due("other")
    made.at_ms += 10 * EVERY_MS
    assert not made.clocks.due("other")


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("shown", "now", "offset_s"),
    [
        ("12:00", "12:00:59", 0),  # whole minutes: 12:00 is true for all of its minute
        ("12:00", "12:01:05", -5),
        ("12:02", "12:00:30", 90),
        ("12:00", "12:00:00", 0),
    ],
)
def test_a_clock_of_whole_minutes_is_only_wrong_beyond_its_minute(shown: str, now: str, offset_s: int) -> None:
    at = datetime.fromisoformat(f"2026-01-15T{shown}+00:00")
    assert offset_ms(at, instant(f"2026-01-15T{now}+00:00"), coarse=timedelta(minutes=1)) == 1000 * offset_s


@pytest.mark.parametrize(
    ("local", "now", "offset_s"),
    [
        ("2026-07-01T14:00:00", "2026-07-01T12:00:00+00:00", 0),  # follows summer time
        ("2026-07-01T13:00:00", "2026-07-01T12:00:00+00:00", 0),  # keeps standard time
        ("2026-07-01T13:00:40", "2026-07-01T12:00:00+00:00", 40),
        ("2026-07-01T12:00:00", "2026-07-01T12:00:00+00:00", -3600),  # UTC in a zone of its own
        ("2026-01-15T13:00:00", "2026-01-15T12:00:00+00:00", 0),
        ("2026-01-15T14:00:00", "2026-01-15T12:00:00+00:00", 3600),  # summer time in winter
    ],
)
def test_a_local_time_is_right_in_summer_and_in_standard_time(local: str, now: str, offset_s: int) -> None:
    assert nearest(datetime.fromisoformat(local), BERLIN, instant(now)) == 1000 * offset_s


def test_an_instant_has_a_zone_of_its_own() -> None:
    assert offset_ms(datetime(2026, 1, 15, 12, tzinfo=UTC), instant("2026-01-15T13:00:00+01:00")) == 0
