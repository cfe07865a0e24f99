"""OCPP-J frames: calls, their results and errors as JSON arrays. Not what the payloads mean, not the WebSocket under them.

OCPP 1.6J, section 4.2 and OCPP 2.0.1 part 4, section 4.2: [2, id, action, payload], [3, id, payload], [4, id, code, description, details].
Numbers with a fraction come in as Decimal, so that a limit of 16.1 stays 16.1.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

CALL: Final = 2
RESULT: Final = 3
ERROR: Final = 4
LONGEST_FRAME: Final = 256 * 1024
_LONGEST_ID: Final = 36
_LARGEST: Final = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `action` only in calls, `code` and `text` only in errors."""

    kind: int
    id: str
    action: str
    payload: dict[str, Any]
    code: str = ""
    text: str = ""


class FrameFault(ValueError):
    """A text that is no frame. `id` is "-1" where none could be read (OCPP 2.0.1 part 4, 4.2.3)."""

    def __init__(self, message_id: str, code: str, text: str) -> None:
        super().__init__(f"frame {message_id!r}: {code}: {text}")
        self.id, self.code, self.text = message_id, code, text


def parse(text: str | bytes) -> Frame:
    """Reads one frame. Raises FrameFault."""
    if len(text) > LONGEST_FRAME:
        raise FrameFault("-1", "RpcFrameworkError", f"expected at most {LONGEST_FRAME} characters, got {len(text)}")
    try:
        content = json.loads(text, parse_float=_number, parse_int=_whole, parse_constant=_refused)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise FrameFault("-1", "RpcFrameworkError", f"expected JSON, got {error}") from error
    if not isinstance(content, list) or len(content) < 3 or type(content[0]) is not int:
        raise FrameFault("-1", "RpcFrameworkError", "expected an array that begins with a message type and an id")
    kind, message_id = content[0], content[1]
    if not isinstance(message_id, str) or not 1 <= len(message_id) <= _LONGEST_ID:
        raise FrameFault(
            "-1", "RpcFrameworkError", f"expected an id of 1 to {_LONGEST_ID} characters, got {message_id!r:.60}"
        )
    if kind == CALL and len(content) == 4 and isinstance(content[2], str) and isinstance(content[3], dict):
        return Frame(CALL, message_id, content[2], content[3])
    if kind == RESULT and len(content) == 3 and isinstance(content[2], dict):
        return Frame(RESULT, message_id, "", content[2])
    if kind == ERROR and len(content) >= 3 and isinstance(content[2], str):
        described = content[3] if len(content) > 3 and isinstance(content[3], str) else ""
        return Frame(ERROR, message_id, "", {}, content[2], described)
    code = "ProtocolError" if kind in (CALL, RESULT, ERROR) else "MessageTypeNotSupported"
    raise FrameFault(
        message_id, code, f"expected a call, a result or an error, got type {kind!r:.20} with {len(content)} parts"
    )


def call(message_id: str, action: str, payload: Mapping[str, Any]) -> str:
    """The text of a call."""
    return _text([CALL, message_id, action, payload])


def result(message_id: str, payload: Mapping[str, Any]) -> str:
    """The text of a result."""
    return _text([RESULT, message_id, payload])


def error(message_id: str, code: str, text: str) -> str:
    """The text of an error; the description may have 255 characters."""
    return _text([ERROR, message_id, code, text[:255], {}])


def _text(content: list[Any]) -> str:
    return json.dumps(content, separators=(",", ":"), default=_plain, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        whole = value.to_integral_value()
        return int(whole) if whole == value else float(value)
    raise TypeError(f"expected something that JSON can carry, got {value!r}")


def _number(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite() or abs(value) > _LARGEST or (value and value.adjusted() < -15):
        raise ValueError(f"number {text[:40]}")
    return value


def _whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"number {text[:40]}")
    return int(text)


def _refused(text: str) -> float:
    raise ValueError(text if math.isnan(float(text)) else "Infinity")
