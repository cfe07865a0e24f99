"""RFC 3339 instants as OCPP writes them. Nothing else."""

from datetime import UTC, datetime


def text_of(at_ms: int) -> str:
    """UTC with milliseconds and a Z."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def ms_of(text: object) -> int | None:
    """UTC ms of a text; without a zone it is UTC (1.6 section 3.14 recommends Z). None stays None. Raises ValueError."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"expected an instant, got {text!r:.60}")
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        at = datetime.fromisoformat(text + "+00:00")
    return round(at.timestamp() * 1000)
