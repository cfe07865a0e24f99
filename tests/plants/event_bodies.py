"""Holds an event against docs/events.md: which keys its body always has, which it may have, and of what type they are. Sends nothing."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

Check = Callable[[Any], bool]


def text(value: Any) -> bool:
    """Text, empty where nothing is known."""
    return isinstance(value, str)


def whole(value: Any) -> bool:
    """A whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: Any) -> bool:
    """A JSON number."""
    return whole(value) or isinstance(value, float)


def flag(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def decimal(value: Any) -> bool:
    """Decimal text without an exponent."""
    try:
        return isinstance(value, str) and "E" not in value.upper() and Decimal(value).is_finite()
    except InvalidOperation:
        return False


def exact_wh(value: Any) -> bool:
    """An integer, or decimal text: never a float."""
    return whole(value) or decimal(value)


def tree(value: Any) -> bool:
    """An object."""
    return isinstance(value, Mapping)


def entries(value: Any) -> bool:
    """A list."""
    return isinstance(value, (list, tuple))


def seen(value: Any) -> bool:
    """A counter's reading."""
    return tree(value) and set(value) == {"at_ms", "raw"} and whole(value["at_ms"]) and decimal(value["raw"])


def maybe(check: Check) -> Check:
    """The same, or null: not known."""
    return lambda value: value is None or check(value)


def one_of(*words: str) -> Check:
    """One of these words."""
    return lambda value: value in words


_SAID: Final[dict[str, Check]] = {"maker": text, "model": text, "version": text, "serial": text}
_PASSED_ON: Final[dict[str, Check]] = {"identity": text, "action": text, "request": tree}
_QUALITY: Final = one_of("good", "uncertain", "bad")
_BASELINE: Final = one_of("meter_start", "idle_reading", "first_sample", "")
_STATES: Final = ("accepted", "refused", "delivered", "not_delivered", "expired", "reverted", "superseded", "forged")

# kind: what is always there, what may be there
BODIES: Final[dict[str, tuple[dict[str, Check], dict[str, Check]]]] = {
    "transaction": (
        {
            "phase": one_of("started", "updated", "ended"),
            "identity": text,
            "connector": whole,
            "transaction_id": text,
            "id_tag": text,
            "state": text,
            "started_at_ms": maybe(whole),
            "meter_start_wh": maybe(exact_wh),
            "energy_kwh": maybe(decimal),
            "baseline": _BASELINE,
            "quality": _QUALITY,
            "missing_bound_kwh": maybe(decimal),
        },
        {
            "operator_transaction_id": text,
            "why": text,
            "export_kwh": maybe(decimal),
            "export_baseline": _BASELINE,
            "export_quality": _QUALITY,
            "ended_at_ms": whole,
            "meter_stop_wh": maybe(exact_wh),
            "duration_s": number,
            "reason": text,
            "signed": entries,
            "revision": whole,
        },
    ),
    "signed_meter_value": (
        {"text": text, "identity": text, "connector": whole, "context": text},
        {"transaction_id": text, "signing_method": text, "encoding_method": text, "public_key": text},
    ),
    "ev_charging_needs": (_PASSED_ON, {"connector": whole}),
    "pile_booted": ({"identity": text, **_SAID, "reason": text, "accepted": flag}, {}),
    "pile_configured": (
        {
            "identity": text,
            "protocol_version": text,
            "accepted": tree,
            "refused": tree,
            "rate_units": entries,
            "smart_charging": flag,
        },
        _SAID,
    ),
    "upstream_refused": ({"identity": text, "action": text, "code": text}, {}),
    "counter": (
        {
            "quantity": text,
            "change": one_of("rollover", "reset", "jump", "glitch"),
            "before": seen,
            "after": seen,
        },
        {},
    ),
    "device_identity": ({}, {**_SAID, "models": entries, "medium": maybe(whole), "before": tree}),
    "set_point": (
        {"state": one_of(*_STATES), "reason": text},
        {
            "command": text,
            "issuer": text,
            "counter": whole,
            "firm": flag,
            "index": whole,
            "point": text,
            "value": maybe(number),
            "from_ms": whole,
            "expires_at_ms": whole,
            "before": maybe(number),
            "after": maybe(number),
            "count": whole,
        },
    ),
    "control_state": (
        {
            "of": one_of("edge", "branch", "limit_source", "asset"),
            "name": text,
            "state": one_of("plan", "local", "kept", "safe", "stated", "fail_safe", "steered", "lost"),
            "before": text,
            "reason": text,
        },
        {},
    ),
    "limit_exceeded": (
        {
            "phase": one_of("begun", "ended"),
            "branch": text,
            "bound": text,
            "begun_at_ms": whole,
            "duration_s": number,
            "worst_ratio": number,
            "over_kwh": number,
        },
        {},
    ),
    "drill": (
        {
            **dict.fromkeys(("id", "facility", "edge", "circuit", "key", "signature"), text),
            **dict.fromkeys(("begun_at_ms", "ended_at_ms"), whole),
            **dict.fromkeys(("rows", "drilled"), entries),
        },
        {"by": text},
    ),
    "schedule": (
        {"state": one_of("taken", "refused", "forged"), "reason": text},
        {"id": text, "issuer": text, "number": whole},
    ),
    "device_lost": ({"reason": text, "error": text}, {}),
    "device_back": ({"away_s": number}, {}),
    "device_clock": (
        {
            "state": one_of("right", "ahead", "behind"),
            "offset_s": number,
            "before_s": maybe(number),
            "bound_s": number,
        },
        {},
    ),
    "alarm": (
        {"code": text},
        {"identity": text, "connector": whole, "detail": text, "state": text, "per_day": whole, "written_today": whole},
    ),
    "frames": ({"protocol": text, "reason": text, "file": text, "frames": entries}, {}),
    "carbon": (
        {"start_ms": whole, "end_ms": whole, "kwh": maybe(decimal), "kg": maybe(decimal), "number": whole},
        {"factor": text, "factor_version": whole, "kg_per_kwh": maybe(decimal), "why": text},
    ),
    "clock": ({"step_ms": whole, "synced": maybe(flag)}, {}),
}
_OTHER_CALLS: Final = re.compile(r"pile_[a-z_]+")


def faults(kind: str, body: Mapping[str, Any]) -> list[str]:
    """What of a body is not as the page says; nothing where all is."""
    if kind not in BODIES and _OTHER_CALLS.fullmatch(kind):
        always, sometimes = _PASSED_ON, {"connector": whole}
    elif kind in BODIES:
        always, sometimes = BODIES[kind]
    else:
        return [f"{kind}: a kind that the page does not have"]
    said = [f"{kind}.{key}: always there, and missing" for key in always if key not in body]
    for key, value in body.items():
        check = {**always, **sometimes}.get(key)
        if check is None:
            said.append(f"{kind}.{key}: a key that the page does not have")
        elif not check(value):
            said.append(f"{kind}.{key}: {value!r} is not what the page says")
    return said
