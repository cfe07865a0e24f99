"""What flows up: readings and events. Not how they are packed (see `wire.batch`), nor what flows down (see `wire.command`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class Quality(IntEnum):
    """How far a value can be trusted. The number is what travels and what the stores keep."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2
    SUBSTITUTED = 3


# Why a value is not simply good: a closed list, so that a store keeps a small number. Append only; 0 means "no reason".
REASONS: Final[tuple[str, ...]] = (
    "",
    "clock",  # the edge's clock was not synchronised
    "out-of-range",  # outside the device's stated range
    "not-implemented",  # the device says that it does not have the value
    "frozen",  # the device repeats itself beyond what is plausible
    "counter-diff",  # known total, estimated shape
    "integrated",  # from power, where no counter exists
    "quantum",  # shorter than the counter can resolve
    "glitch",  # a counter left its line and came back
    "reset",  # a counter started anew
    "exchange",  # another meter took its place
    "jump",  # a counter ran ahead of what the connection can carry
    "manual",  # entered by a person
    "imported",  # from a file
    "estimated",  # from similar days
    "restart",  # the agent was away
    "device-fault",  # the device reports a fault of its own
    "out-of-service",  # the device says that the value is no longer its measurement
    "overridden",  # somebody has set the value at the device by hand
    "unit",  # the device says a unit that is not the quantity's
    "clock-corrected",  # taken before the edge's clock was right and moved by its step
)
REASON_CODES: Final[dict[str, int]] = {reason: code for code, reason in enumerate(REASONS)}


@dataclass(frozen=True, slots=True)
class Reading:
    """The value of one quantity of one device at one instant.

    `at_ms` is UTC, taken when the device answered; `value` is in the unit of the quantity's name, `None` where the
    device answered without a usable value.
    """

    device: str
    quantity: str
    at_ms: int
    value: float | None
    quality: Quality = Quality.GOOD
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a device or at the edge itself (`device` empty)."""

    id: str
    at_ms: int
    device: str
    kind: str
    body: Mapping[str, Json]
