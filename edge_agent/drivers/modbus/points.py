"""What a model says of a point that may be written: registers, in their order, with what each of them is told. Pure data; nothing is written here.

A point is one value for whoever steers, and often several registers for the device: the value, a revert timer, an enabling bit.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from edge_agent.drivers import declared
from edge_agent.drivers.modbus.registers import TYPES, Address, TypeName
from wire.topics import valid_id

Exponent = Annotated[int, Meta(ge=-18, le=18)]
Offset = Annotated[int, Meta(ge=2, le=65535)]
WRITABLE: Final = ("uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")


_SHARED: Final = ("unit", "low", "high", "safe", "fallback")  # what alternatives of one point have in common


class Rating(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A register of the device that tells what 100 % is, in the point's unit: register x 10^`scale_exponent` (x 10^scale factor)."""

    type: TypeName = "uint16"
    address: Address | None = None
    offset: Offset | None = None
    scale_offset: Offset | None = None
    scale_exponent: Exponent = 0


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One register of a point. Those side by side go in one request.

    what: `value` (the set-point: `sign` x register x 10^`scale_exponent` (x 10^scale factor) is the value in the point's unit, or, with
    `percent_of`, that per cent of the rating), `timer` (whole seconds until the device reverts), `fixed` (the number `fixed`),
    `heartbeat` (another number each time). An `optional` register is left alone where the device says that it has none. `release` is the number that lets go of the point; registers without one are left alone then.
    """

    what: Literal["value", "timer", "fixed", "heartbeat"] = "value"
    type: TypeName = "uint16"
    address: Address | None = None
    offset: Offset | None = None
    scale_offset: Offset | None = None
    scale_exponent: Exponent = 0
    sign: Literal[1, -1] = 1
    percent_of: Rating | None = None
    fixed: int | None = None
    release: int | None = None
    optional: bool = False

    @property
    def words(self) -> int:
        """Length in registers."""
        return TYPES[self.type].words


class Point(declared.Point, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be written, step by step. With `model_block` its registers are `offset`s from that SunSpec model's id register, else addresses.

    Of several points of one name the first counts whose SunSpec model the device has.
    """

    write: list[Step]
    model_block: Annotated[int, Meta(ge=1, le=65534)] | None = None

    @property
    def lets_go(self) -> bool:
        """Whether the device has a way to be left to itself."""
        return any(step.release is not None for step in self.write)


def faults(points: Sequence[Point]) -> Iterator[tuple[int, str, str]]:
    """What is wrong with a model's points: (index, key, expected and seen)."""
    names: dict[str, Point] = {}
    for index, point in enumerate(points):
        if not valid_id(point.name):
            yield index, "name", f"expected 1 to 64 of A-Z a-z 0-9 _ -, saw {point.name!r}"
        first = names.setdefault(point.name, point)
        blocks = [other.model_block for other in points[:index] if other.name == point.name]
        if blocks and (point.model_block in blocks or None in {point.model_block, *blocks}):
            yield index, "name", f"expected each point once, saw {point.name!r} again"
        elif any(getattr(first, key) != getattr(point, key) for key in _SHARED):
            yield (
                index,
                "name",
                f"expected points of one name to agree in {', '.join(_SHARED)}, saw {point.name!r} differ",
            )
        if sum(step.what == "value" for step in point.write) == 0:
            yield index, "write", "expected a step with what = 'value', saw none"
        if not point.lets_go and point.safe is None:
            yield index, "safe", "expected a safe value, or a step with a release, saw neither"
        kinds = {step.what for step in point.write}
        if point.fallback == "device_timer" and "timer" not in kinds:
            yield index, "fallback", "expected a step with what = 'timer' behind device_timer, saw none"
        if point.fallback == "watchdog" and "heartbeat" not in kinds:
            yield index, "fallback", "expected a step with what = 'heartbeat' behind watchdog, saw none"
        for number, step in enumerate(point.write):
            for key, message in _step_faults(point, step):
                yield index, f"write[{number}].{key}", message


def _step_faults(point: Point, step: Step) -> Iterator[tuple[str, str]]:
    registers: list[Step | Rating] = [step] if step.percent_of is None else [step, step.percent_of]
    for register in registers:
        if point.model_block is None:
            if register.address is None or register.offset is not None or register.scale_offset is not None:
                yield "address", "expected an address (or model_block with offsets), saw neither or both"
            elif register.address + TYPES[register.type].words > 0x10000:
                yield (
                    "address",
                    f"expected the last register at 65535 or below, saw {register.type} at {register.address}",
                )
        elif register.offset is None or register.address is not None:
            yield "offset", "expected an offset beside model_block and no address, saw neither or both"
    if step.type not in WRITABLE:
        yield "type", f"expected one of {', '.join(WRITABLE)}, saw {step.type!r}"
    if (step.what == "fixed") is not (step.fixed is not None):
        yield "fixed", "expected a number with what = 'fixed' and only there, saw the contrary"
    if step.what != "value" and step.percent_of is not None:
        yield "percent_of", f"expected a rating only beside a value, saw one beside {step.what!r}"
    if step.what != "value" and step.type.startswith("float"):
        yield "type", f"expected whole numbers in a {step.what}, saw {step.type!r}"
