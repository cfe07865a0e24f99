"""What a meter's carrier is used for: the fuel behind a volume, the plant behind cooling, who made the heat. Not what it emits (see `accounts.carriers`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aggregator.intervals.meter import MeterSpec

VOLUMES: Final = ("gas", "water")  # carriers that are measured in m3
FLUE_GAS: Final = "flue_gas"  # measured in kg of CO2
MADE: Final = ("heat", "steam", "cooling")  # carriers that a facility may make itself


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack whose CO2 is measured all the time. `evidence`: the approval or calibration that it is believed by, shown with every figure.

    `in_place_of`: the sources (activity:kiln-1, meter:boiler) whose CO2 leaves through it, from `from_ms` on (UTC; None: always). `biogenic_ratio`: the
    share of its CO2 that is biogenic. `gap_preset`: the rule for its hours that nobody has measured, in the place of the facility's.
    """

    evidence: str
    in_place_of: tuple[str, ...] = ()
    from_ms: int | None = None
    biogenic_ratio: Decimal = Decimal(0)
    gap_preset: str = ""


@dataclass(frozen=True, slots=True)
class CarrierUse:
    """`fuel`: the registry's fuel (natural_gas). `measured_at_degc`: the temperature to which a meter's m3 are true (20, or that of the line).

    `performance_ratio`: cooling per kWh of electricity of the supplier's plant. `made_by`: own meters whose energy made this output; it
    is then an allocation of what they took, and nothing more is counted. `stack`: what a meter for flue gas stands in.
    """

    fuel: str = ""
    measured_at_degc: Decimal | None = None
    performance_ratio: Decimal | None = None
    made_by: tuple[str, ...] = ()
    stack: Stack | None = None


NO_USE: Final = CarrierUse()


def use_faults(meters: "Sequence[MeterSpec]") -> Iterator[tuple[str, str, str]]:
    """(key, expected, seen) of keys that a meter's carrier has no use for, and of makers that are none."""
    named = {meter.device: meter for meter in meters}
    for at, meter in enumerate(meters):
        key, use = f"meter[{at}]", meter.use
        for name, carriers, given in (
            ("fuel", ("gas",), use.fuel),
            ("measured_at_degc", ("gas",), use.measured_at_degc is not None),
            ("performance_ratio", ("cooling",), use.performance_ratio is not None),
            ("made_by", MADE, use.made_by),
            ("stack", (FLUE_GAS,), use.stack is not None),
        ):
            if given and meter.carrier not in carriers:
                yield f"{key}.{name}", f"it only at a meter for {' or '.join(carriers)}", f"one for {meter.carrier}"
        if use.made_by and meter.role.value != "sub":
            yield f"{key}.made_by", 'role = "sub": what a facility makes itself is not bought', f"{meter.role.value!r}"
        if meter.carrier == FLUE_GAS:
            yield from _stack_faults(key, use.stack, meter, named)
        for maker in use.made_by:
            if maker not in named:
                yield (
                    f"{key}.made_by",
                    f"some of {', '.join(name for name in named if name != meter.device)}",
                    repr(maker),
                )
            elif named[maker].carrier not in ("electricity", "gas"):
                yield (
                    f"{key}.made_by",
                    "meters for electricity or gas",
                    f"{maker!r}, which is for {named[maker].carrier}",
                )


def _stack_faults(
    key: str, stack: Stack | None, meter: "MeterSpec", named: Mapping[str, "MeterSpec"]
) -> Iterator[tuple[str, str, str]]:
    if stack is None:
        yield f"{key}.stack", "what the measurement is believed by: stack = { evidence = ... }", "nothing"
        return
    if meter.role.value != "main":
        yield f"{key}.role", '"main": a stack is inside no other', f"{meter.role.value!r}"
    for source in dict.fromkeys(one for one in stack.in_place_of if stack.in_place_of.count(one) > 1):
        yield f"{key}.stack.in_place_of", "each source once", f"{source!r} twice"
    for source in stack.in_place_of:
        kind, _, name = source.partition(":")
        if kind not in ("activity", "meter") or not name or (kind == "meter" and name not in named):
            yield f"{key}.stack.in_place_of", "activity:SOURCE, or meter:DEVICE of this facility", repr(source)
        elif named.get(name) is meter and kind == "meter":
            yield f"{key}.stack.in_place_of", "another meter than the stack's own", repr(source)
        elif kind == "meter" and named[name].carrier != "gas":
            yield (
                f"{key}.stack.in_place_of",
                "a meter for gas, whose CO2 leaves through a stack",
                f"{source!r}, which is for {named[name].carrier}",
            )
