"""Values that say nothing: what stands still although it should live, and numbers that are a device's way to say "none". Not what moves wrongly."""

from collections.abc import Iterator, Mapping
from typing import Final

from edge_agent.commission.finding import Finding, Values
from wire.quantities import QUANTITIES, Kind

# Numbers that devices put where they have no value: all ones, the largest and the smallest of 16 and 32 bits.
_PATTERNS: Final = {
    0xFFFF: "0xFFFF",
    0x7FFF: "0x7FFF",
    0x8000: "0x8000",
    -0x8000: "0x8000",
    0xFFFFFFFF: "0xFFFFFFFF",
    0x7FFFFFFF: "0x7FFFFFFF",
    0x80000000: "0x80000000",
    -0x80000000: "0x80000000",
}
_ALIVE: Final = ("voltage_", "current_", "active_power_", "reactive_power_", "apparent_power_", "frequency_")
_FEWEST_ALIVE: Final = 3
_FEWEST_POLLS: Final = 3
_CORRECT_ROW: Final = (
    "leave the row out in a copy of the model, or correct its address; not_implemented = [...] names such a number"
)


def patterns(device: str, values: Values, reasons: Mapping[str, str], bare: Mapping[str, str]) -> Iterator[Finding]:
    """Numbers that mean "none", and rows whose values were rejected. `bare`: what the device really sent, for those that are known."""
    for quantity, samples in values.items():
        newest = samples[-1]
        number = newest.count
        if number is None and newest.value == int(newest.value):
            number = int(newest.value)
        if number in _PATTERNS and QUANTITIES[quantity].kind is not Kind.STATE:
            yield Finding(
                device,
                quantity,
                "pattern",
                f"{_PATTERNS[number]} ({newest.value:g} {QUANTITIES[quantity].unit})",
                "a measured value",
                "the device's way to say that it has no such value, or a register that it does not have",
                _CORRECT_ROW,
            )
    for quantity, reason in reasons.items():
        if reason == "out-of-range":
            row = QUANTITIES[quantity]
            yield Finding(
                device,
                quantity,
                "rejected",
                bare.get(quantity, "a value out of range"),
                f"a value within the row's low and high (at widest {row.low:g} to {row.high:g} {row.unit})",
                "a wrong address, type, scale or word order, or the device's way to say that it has no such value",
                _CORRECT_ROW,
            )
        elif reason == "not-implemented":
            yield Finding(
                device,
                quantity,
                "absent",
                bare.get(quantity, "that it has no such value"),
                "a value",
                "this device, as it is wired or ordered, does not measure it",
                "nothing, if the plant does not need it; else leave the row out in a copy of the model",
                wrong=False,
            )


def standing_still(device: str, values: Values) -> Iterator[Finding]:
    """A whole device that repeats itself, or one phase that does while the others move."""
    polls = max((len(samples) for samples in values.values()), default=0)
    alive = {
        quantity: len({sample.value for sample in samples}) > 1
        for quantity, samples in values.items()
        if quantity.startswith(_ALIVE) and "thd" not in quantity and len(samples) == polls and samples[-1].value
    }
    if polls < _FEWEST_POLLS:
        return
    if len(alive) >= _FEWEST_ALIVE and not any(alive.values()):
        yield Finding(
            device,
            "",
            "frozen",
            f"all of {len(alive)} electrical values unchanged over {polls} polls",
            "values that move in their last digits",
            "the device, or a gateway in front of it, repeats an old picture; or the plant is that quiet",
            "observe longer (--reads 30); then restart the device or its gateway",
            wrong=False,
        )
        return
    for quantity, moves in alive.items():
        others = [there for other, there in alive.items() if other != quantity and _siblings(quantity, other)]
        if not moves and len(others) == 2 and all(others):
            yield Finding(
                device,
                quantity,
                "constant",
                f"{values[quantity][-1].value:g} {QUANTITIES[quantity].unit} in all of {polls} polls",
                "a value that moves like those of the two other phases",
                "a register that holds something else, or a fixed value of the device",
                "compare the row's address with the manual",
            )


def _siblings(one: str, other: str) -> bool:
    """Whether two quantities are the same of two phases."""
    return _phaseless(one) == _phaseless(other) != one


def _phaseless(quantity: str) -> str:
    for phase in ("_l1_", "_l2_", "_l3_"):
        if (
            quantity.count(phase) == 1
            and "_l1_l2" not in quantity
            and "_l2_l3" not in quantity
            and "_l3_l1" not in quantity
        ):
            return quantity.replace(phase, "_lx_")
    return quantity
