"""Days and years as people at the facility live them, in UTC instants. Not how a time is written for people to read."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo


def start_of_day_ms(day: date, zone: ZoneInfo) -> int:
    """The first instant of a local day.

    A midnight that comes twice counts as the first of them; one that the clock skips is the instant of the skip (fold 0
    reckons with the offset before the change).
    """
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def day_span_ms(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """[from_ms, to_ms) of a local day: 23, 24 or 25 hours, at Lord Howe 23.5, 24 or 24.5."""
    return start_of_day_ms(day, zone), start_of_day_ms(day + timedelta(days=1), zone)


def local_day(at_ms: int, zone: ZoneInfo) -> date:
    """The local day of an instant."""
    return datetime.fromtimestamp(at_ms / 1000, zone).date()


def local_year(at_ms: int, zone: ZoneInfo) -> int:
    """The local calendar year of an instant."""
    return local_day(at_ms, zone).year


def year_span_ms(year: int, zone: ZoneInfo) -> tuple[int, int]:
    """[from_ms, to_ms) of a local calendar year."""
    return start_of_day_ms(date(year, 1, 1), zone), start_of_day_ms(date(year + 1, 1, 1), zone)
