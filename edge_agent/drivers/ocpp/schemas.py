"""The JSON schemas of the three versions, as the package `ocpp` ships them. The one module that imports it; it sends nothing.

What we send is checked and must fit. What a pile sends is checked to be able to say what is wrong with it, and read as far as it can
be read: a central system that refuses a StopTransaction over a spare key loses the session's energy.
"""

from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from ocpp.messages import MessageType, get_validator

from edge_agent.drivers.ocpp.frames import Payload

NUMBERS: Final = {"ocpp1.6": "1.6", "ocpp2.0.1": "2.0.1", "ocpp2.1": "2.1"}  # WebSocket subprotocol -> version


class SchemaMissing(KeyError):
    """The version does not know the action."""


@lru_cache(maxsize=512)
def _validator(version: str, kind: int, action: str) -> Any:
    # `get_validator` opens a file of this name; nothing that a stranger wrote may lead out of its directory.
    if not (action.isascii() and action.isalnum()):
        raise SchemaMissing(action)
    try:
        return get_validator(kind, action, NUMBERS[version], parse_float=Decimal)
    except OSError as error:
        raise SchemaMissing(action) from error


def fault(version: str, action: str, payload: Payload, *, is_call: bool) -> str:
    """What is wrong with a call's payload, or with a result's: one line, empty where it fits. Raises SchemaMissing."""
    validator = _validator(version, MessageType.Call if is_call else MessageType.CallResult, action)
    try:
        found = next(validator.iter_errors(payload), None)
    except (TypeError, ArithmeticError) as error:  # a number that is none where the schema does sums
        return str(error)[:200]
    if found is None:
        return ""
    place = ".".join(str(part) for part in found.absolute_path) or "payload"
    return f"{place}: {found.message[:160]}"


def knows(version: str, action: str) -> bool:
    """Whether the version has this action as a call."""
    try:
        _validator(version, MessageType.Call, action)
    except SchemaMissing:
        return False
    return True
