"""What a meter's carrier is used for: the fuel behind a volume, the plant behind cooling, who made the heat. Not what it emits (see `accounts.carriers`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aggregator.intervals.meter import MeterSpec

VOLUMES: Final = ("gas", "water")  # carriers that are measured in m3
MADE: Final = ("heat", "steam", "cooling")  # carriers that a facility may make itself


@dataclass(frozen=True, slots=True)
class CarrierUse:
    """`fuel`: the registry's fuel (natural_gas). `measured_at_degc`: the temperature to which a meter's m3 are true (20, or that of the line).

    `performance_ratio`: cooling per kWh of electricity of the supplier's plant. `made_by`: own meters whose energy made this output; it
    is then an allocation of what they took, and nothing more is counted.
    """

    fuel: str = ""
    measured_at_degc: Decimal | None = None
    performance_ratio: Decimal | None = None
    made_by: tuple[str, ...] = ()


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
        ):
            if given and meter.carrier not in carriers:
                yield f"{key}.{name}", f"it only at a meter for {' or '.join(carriers)}", f"one for {meter.carrier}"
        if use.made_by and meter.role.value != "sub":
            yield f"{key}.made_by", 'role = "sub": what a facility makes itself is not bought', f"{meter.role.value!r}"
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
