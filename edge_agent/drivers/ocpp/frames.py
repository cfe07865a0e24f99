"""OCPP-J messages: one JSON list each, read with limits and all digits, written back. Not what an action means, nor its schema.

    [2, call_id, action, payload]  call          [3, call_id, payload]  result          [4, call_id, code, description, details]  error
    [5, id, code, description, details]  error about a result (2.1)           [6, id, action, payload]  send, never answered (2.1)

Numbers with a fraction are Decimal in both directions. A message keeps its own bytes, so that a relay passes on what came and not
what it understood. Source: OCPP-J 1.6 specification, section 4.2; OCPP 2.1 Part 4, section 4.2.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final, NoReturn, TypeAlias

Payload: TypeAlias = Mapping[str, Any]  # JSON as it came: the border to strangers

MAX_BYTES: Final = (
    1 << 20
)  # of one message; a full NotifyReport part is some 10 KiB, a meter value with signatures some KiB
MAX_ID: Final = 64  # characters; the standard says 36, some piles send more
_MAX_ACTION: Final = 64
_MAX_TEXT: Final = 255  # of an error's description (2.1, CALLERROR)
_MAX_DIGITS: Final = 40  # of a number; 64-bit counters have 20


class Kind(IntEnum):
    """The first element of a message."""

    CALL = 2
    RESULT = 3
    ERROR = 4
    RESULT_ERROR = 5
    SEND = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `action` only in calls, `code` and `description` only in errors; `raw` is what was on the wire."""

    kind: Kind
    id: str
    action: str = ""
    payload: Payload = field(default_factory=dict)
    code: str = ""
    description: str = ""
    raw: bytes = b""


class FrameUnreadable(ValueError):
    """Bytes that are no OCPP message. `id` is the call's where that much could be read, `code` the standard's word for it."""

    def __init__(self, message: str, code: str = "FormatViolation", call_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.id = call_id


def parse(raw: bytes) -> Frame:
    """The message in `raw`. Raises FrameUnreadable."""
    if len(raw) > MAX_BYTES:
        raise FrameUnreadable(f"expected at most {MAX_BYTES} bytes, saw {len(raw)}")
    try:
        tree = json.loads(raw.decode("utf-8"), parse_float=_decimal, parse_int=_integer, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FrameUnreadable(f"expected JSON, saw {raw[:40]!r}: {str(error)[:80]}") from error
    if not isinstance(tree, list) or len(tree) < 3:
        raise FrameUnreadable(f"expected a list of 3 to 5 elements, saw {raw[:40]!r}", "RpcFrameworkError")
    kind, call_id = tree[0], tree[1]
    if not isinstance(call_id, str) or not 0 < len(call_id) <= MAX_ID:
        raise FrameUnreadable(
            f"expected an id of 1 to {MAX_ID} characters, saw {str(call_id)[:40]!r}", "RpcFrameworkError"
        )
    if isinstance(kind, bool) or not isinstance(kind, int) or kind not in _KINDS:
        raise FrameUnreadable(
            f"expected a message type of 2 to 6, saw {str(kind)[:40]!r}", "MessageTypeNotSupported", call_id
        )
    if kind in (Kind.CALL, Kind.SEND):
        return _call(Kind(kind), call_id, tree, raw)
    if kind == Kind.RESULT:
        return Frame(Kind.RESULT, call_id, payload=_object(tree[2], call_id), raw=raw)
    code = tree[2] if isinstance(tree[2], str) else "GenericError"
    description = tree[3] if len(tree) > 3 and isinstance(tree[3], str) else ""
    return Frame(Kind(kind), call_id, code=code[:_MAX_ACTION], description=description[:_MAX_TEXT], raw=raw)


_KINDS: Final = frozenset(Kind)


def _call(kind: Kind, call_id: str, tree: list[Any], raw: bytes) -> Frame:
    action = tree[2]
    if not isinstance(action, str) or not 0 < len(action) <= _MAX_ACTION:
        raise FrameUnreadable(f"expected an action, saw {str(action)[:40]!r}", "FormatViolation", call_id)
    # A call without parameters is sent by some piles without its empty object.
    payload = _object(tree[3] if len(tree) > 3 else {}, call_id)
    return Frame(kind, call_id, action, payload, raw=raw)


def _object(tree: object, call_id: str) -> Payload:
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise FrameUnreadable(f"expected an object as payload, saw {str(tree)[:40]!r}", "FormatViolation", call_id)
    return tree


def _decimal(text: str) -> Decimal:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters")
    number = Decimal(text)
    if number and abs(number.adjusted()) > _MAX_DIGITS:
        raise ValueError(f"a number beyond 10^{_MAX_DIGITS}")
    return number


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def encode(message: list[Any]) -> bytes:
    """The bytes of a message; Decimals as the shortest number that names them."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False, default=_plain).encode("utf-8")


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)  # limits have one decimal: exact
    raise TypeError(f"expected JSON, saw {type(value).__name__}")


def call(call_id: str, action: str, payload: Payload) -> bytes:
    """A call."""
    return encode([2, call_id, action, payload])


def result(call_id: str, payload: Payload) -> bytes:
    """The answer to call `id`."""
    return encode([3, call_id, payload])


def error(call_id: str, code: str, description: str = "") -> bytes:
    """The refusal of call `id`."""
    return encode([4, call_id, code, description[:_MAX_TEXT], {}])


def stamp(at_ms: int) -> str:
    """An instant as OCPP writes it (RFC 3339, UTC, milliseconds)."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def instant(text: object) -> int | None:
    """The instant (UTC ms) in an RFC 3339 text, None where it is none. Without an offset it is taken as UTC, as the standard asks piles to send."""
    if not isinstance(text, str) or not 10 <= len(text) <= 40:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    elapsed = moment - (_EPOCH if moment.tzinfo is not None else _EPOCH_NAIVE)
    return (elapsed.days * 86_400 + elapsed.seconds) * 1000 + elapsed.microseconds // 1000


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_NAIVE: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - only to count from, for a text without an offset
