"""What stands in a payload: JSON or plain text, numbers with all their digits, instants. Pure, and bounded against whatever is published."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

from edge_agent.drivers.arrivals import GOOD
from edge_agent.drivers.mqtt.declared import Item
from wire.block import Value
from wire.reading import REASON_CODES, Quality

MAX_PAYLOAD: Final = 256 << 10
LOWEST_EXPONENT: Final = -12  # digits beyond are beneath any meter
_LONGEST_NUMBER: Final = 40
_MAX_INT: Final = 2**63
_NUMBER: Final = re.compile(r"[+-]?\d{1,39}(\.\d{0,39})?([eE][+-]?\d{1,3})?", re.ASCII)
_ABSENT: Final = (int(Quality.BAD), REASON_CODES["not-implemented"])
_OUTSIDE: Final = (int(Quality.BAD), REASON_CODES["out-of-range"])
_SECONDS_END: Final = 100_000_000_000  # a Unix time above this (the year 5138) is in ms


class Missing:
    """There is no such place in the payload: not the same as null."""


MISSING: Final = Missing()


class PayloadFault(ValueError):
    """A payload that is neither JSON nor a plain text."""


def parsed(payload: bytes) -> Any:
    """The payload as JSON with exact decimals, else as text. Raises PayloadFault."""
    if len(payload) > MAX_PAYLOAD:
        raise PayloadFault(f"expected at most {MAX_PAYLOAD} bytes, saw {len(payload)}")
    try:
        text = payload.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise PayloadFault(f"expected UTF-8, saw {payload[:40]!r}") from error
    try:
        return json.loads(text, parse_float=_decimal, parse_int=_whole, parse_constant=lambda _name: None)
    except RecursionError as error:
        raise PayloadFault("expected JSON that is not nested for ever") from error
    except ValueError as error:
        if text[:1] in "{[":
            raise PayloadFault(f"expected whole JSON, saw {text[:80]!r}") from error
        return text


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if len(text) <= _LONGEST_NUMBER else None
    except InvalidOperation:
        return None


def _whole(text: str) -> int | None:
    return int(text) if len(text) <= _LONGEST_NUMBER else None


def at(tree: Any, steps: Sequence[str]) -> Any:
    """What stands at a place, MISSING where nothing does."""
    for step in steps:
        if isinstance(tree, dict):
            tree = tree.get(step, MISSING)
        elif isinstance(tree, list) and step.isdecimal() and len(step) < 6 and int(step) < len(tree):
            tree = tree[int(step)]
        else:
            return MISSING
    return tree


def value_of(item: Item, raw: Any, floor: int) -> tuple[Value, int | None, tuple[int, int]]:
    """A value as (integer, power of ten, quality); None with a reason where it is unusable.

    `floor`: the lowest power that this value had so far, so that 12 and 11.9 of one meter travel in one shape.
    """
    if isinstance(raw, str):
        words = dict(item.words)
        if raw in words:
            raw = words[raw]
        elif len(raw) <= _LONGEST_NUMBER and _NUMBER.fullmatch(raw):
            raw = _decimal(raw)
    if isinstance(raw, bool):
        raw = dict(item.words).get(str(raw).lower(), int(raw))
    if isinstance(raw, int):
        raw = Decimal(raw)
    if not isinstance(raw, Decimal) or not raw.is_finite():
        return None, 0, _ABSENT
    last = raw.as_tuple().exponent
    assert isinstance(last, int)  # a finite number's
    exponent: int = max(min(last + item.exponent, floor), LOWEST_EXPONENT)
    shift = item.exponent - exponent
    if raw and raw.adjusted() + shift > 40:
        return None, exponent, _OUTSIDE
    count = int((raw * item.sign).scaleb(shift).to_integral_value()) if raw else 0
    if abs(count) >= _MAX_INT:
        return None, exponent, _OUTSIDE
    number = count / 10**-exponent if exponent < 0 else count * 10**exponent
    return (count, exponent, GOOD) if item.low <= number <= item.high else (None, exponent, _OUTSIDE)


def instant_ms(raw: Any, time_zone: str) -> int | None:
    """UTC ms of an instant in a payload; None for none, or for one without a zone where the device's is not declared."""
    if isinstance(raw, bool) or raw is None:
        return None
    if isinstance(raw, int | Decimal):
        if not 0 < raw < 10**15:
            return None
        return int(raw if raw > _SECONDS_END else raw * 1000)
    if not isinstance(raw, str) or len(raw) > 64:
        return None
    try:
        when = datetime.fromisoformat(raw)
        if when.tzinfo is None:
            if not time_zone:
                return None
            when = when.replace(tzinfo=ZoneInfo(time_zone))
        return round(when.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError, LookupError, OSError):
        return None
