"""How an instant is written in a message to people: ISO 8601 with its offset. Not for files and answers, where each has its own form."""

from datetime import UTC, datetime, tzinfo
from typing import Final

_SECOND_MS: Final = 1000
_MINUTE_MS: Final = 60 * _SECOND_MS


def written(at_ms: int, zone: tzinfo = UTC) -> str:
    """To the minute where that is exact, else to the second or the millisecond; beyond all calendars in ms."""
    exact = "minutes" if at_ms % _MINUTE_MS == 0 else "seconds" if at_ms % _SECOND_MS == 0 else "milliseconds"
    try:
        return datetime.fromtimestamp(at_ms / 1000, zone).isoformat(timespec=exact).replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
