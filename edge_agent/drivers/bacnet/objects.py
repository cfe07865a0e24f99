"""Names of BACnet object types and properties, as an edge file writes them, and their numbers. Not what an object holds.

ANSI/ASHRAE 135-2016, clause 21, BACnetObjectType and BACnetPropertyIdentifier. A number stands for itself, so that proprietary types and
properties (from 128 and 512) can be named too.
"""

from typing import Final

ANALOG_INPUT, ANALOG_OUTPUT, ANALOG_VALUE = 0, 1, 2
BINARY_INPUT, BINARY_OUTPUT, BINARY_VALUE = 3, 4, 5
DEVICE: Final = 8
ACCUMULATOR: Final = 23

OBJECT_TYPES: Final[dict[str, int]] = {
    "analog-input": ANALOG_INPUT,
    "analog-output": ANALOG_OUTPUT,
    "analog-value": ANALOG_VALUE,
    "binary-input": BINARY_INPUT,
    "binary-output": BINARY_OUTPUT,
    "binary-value": BINARY_VALUE,
    "device": DEVICE,
    "loop": 12,
    "multi-state-input": 13,
    "multi-state-output": 14,
    "averaging": 18,
    "multi-state-value": 19,
    "accumulator": ACCUMULATOR,
    "pulse-converter": 24,
    "integer-value": 45,
    "large-analog-value": 46,
    "positive-integer-value": 48,
    "lighting-output": 54,
}
TYPE_NAMES: Final[dict[int, str]] = {number: name for name, number in OBJECT_TYPES.items()}

# What a present-value of a type is encoded as when it is written (application tag numbers, clause 20.2.1.4).
_REAL, _DOUBLE, _UNSIGNED, _INTEGER, _ENUMERATED = 4, 5, 2, 3, 9
WRITTEN_AS: Final[dict[int, int]] = {
    ANALOG_INPUT: _REAL,
    ANALOG_OUTPUT: _REAL,
    ANALOG_VALUE: _REAL,
    BINARY_OUTPUT: _ENUMERATED,
    BINARY_VALUE: _ENUMERATED,
    14: _UNSIGNED,
    19: _UNSIGNED,
    45: _INTEGER,
    46: _DOUBLE,
    48: _UNSIGNED,
    54: _REAL,
}
# Types whose present-value has an engineering unit.
HAVE_UNITS: Final = frozenset({0, 1, 2, 12, 18, 23, 24, 45, 46, 48})

PROPERTIES: Final[dict[str, int]] = {
    "average-value": 125,
    "elapsed-active-time": 33,
    "feedback-value": 40,
    "high-limit": 45,
    "low-limit": 59,
    "max-pres-value": 65,
    "maximum-value": 135,
    "min-pres-value": 69,
    "minimum-value": 136,
    "present-value": 85,
    "pulse-rate": 186,
    "relinquish-default": 104,
    "tracking-value": 164,
}
PRESENT_VALUE: Final = 85
COV_INCREMENT: Final = 22
DESCRIPTION: Final = 28
MAX_APDU: Final = 62
OBJECT_LIST: Final = 76
OBJECT_NAME: Final = 77
PRIORITY_ARRAY: Final = 87
SEGMENTATION: Final = 107
SERVICES_SUPPORTED: Final = 97
STATUS_FLAGS: Final = 111
SYSTEM_STATUS: Final = 112
UNITS: Final = 117
SCALE: Final = 187
RESTARTED_AT: Final = 203
# Properties whose value has the unit that the object's `units` names.
SHARE_UNITS: Final = frozenset({45, 59, 65, 69, 85, 104, 125, 135, 136, 164, 40})

MAX_INSTANCE: Final = (1 << 22) - 2  # the last one, 4194303, stands for "any"


def object_id(text: str) -> tuple[int, int] | None:
    """The (type, instance) of "analog-input,3" or "130,3"; None where the text is neither."""
    kind, comma, number = text.partition(",")
    kind, number = kind.strip(), number.strip()
    if not comma or not _is_number(number) or not 0 <= int(number) <= MAX_INSTANCE:
        return None
    if _is_number(kind):
        return (int(kind), int(number)) if int(kind) < 1024 else None
    return (OBJECT_TYPES[kind], int(number)) if kind in OBJECT_TYPES else None


def property_id(text: str) -> int | None:
    """The number of a property's name, or the number that the text is."""
    if _is_number(text):
        return int(text) if int(text) < 1 << 22 else None
    return PROPERTIES.get(text)


def object_text(identifier: tuple[int, int]) -> str:
    """ "analog-input,3"."""
    return f"{TYPE_NAMES.get(identifier[0], identifier[0])},{identifier[1]}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 8
