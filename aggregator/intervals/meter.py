"""What the interval rules must know about a meter: its limits, its counter and its multipliers. Not how it is read."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from aggregator.intervals.carrier_use import NO_USE, CarrierUse

ONE: Final = Decimal(1)


class Role(StrEnum):
    """What a meter's energy counts as."""

    MAIN = "main"  # a grid connection of the facility: its import is what the facility drew
    SUB = "sub"  # inside the facility: already part of a main meter
    VIRTUAL = "virtual"  # measures nothing: a signed sum of other meters
    CHECK = "check"  # measures what another meter measures; never added


@dataclass(frozen=True, slots=True)
class Multiplier:
    """From `valid_from_ms` (UTC; None: always) on, one kWh on the display is `factor` kWh in the line: CT x PT, or 1.

    `reason` and `evidence` say why it is so; a list of multipliers only grows.
    """

    factor: Decimal
    valid_from_ms: int | None = None
    reason: str = ""
    evidence: str = ""
    approver: str = ""


@dataclass(frozen=True, slots=True)
class VirtualMeter:
    """A signed sum of other meters: `terms` are (device, +1 or -1). `parent` as a meter's; without one it is shown and part of nothing."""

    device: str
    terms: tuple[tuple[str, int], ...]
    carrier: str = "electricity"
    parent: str = ""


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """One meter of a facility.

    `rated_power_kw` is what the measured line can carry at most, in primary kW. `modulus_kwh` is where the display starts
    again at zero, in displayed kWh (None: unknown, then no backward step is a rollover). `quantum_kwh` is the display's
    last digit x multiplier (None: learnt from the finest digit seen). `counted` is False only for a meter without energy
    counters: its power is integrated. `show` is the tile of the overview page that its power belongs to. `parent` is the meter
    inside which it measures, of a check meter the one that it checks ("": not stated). `accuracy_percent` is its class with its
    transformers', the most that it may be wrong (None: not stated). Of a meter that counts m3, `rated_power_kw` is its m3/h,
    and `modulus_kwh` and `quantum_kwh` are m3; of one for flue gas they are kg of CO2. `use` says what the carrier is used for.
    """

    device: str
    edge: str
    rated_power_kw: Decimal
    role: Role = Role.SUB
    carrier: str = "electricity"
    modulus_kwh: Decimal | None = None
    quantum_kwh: Decimal | None = None
    multipliers: tuple[Multiplier, ...] = (Multiplier(ONE),)
    show: str = ""
    counted: bool = True
    parent: str = ""
    accuracy_percent: Decimal | None = None
    use: CarrierUse = NO_USE

    def __post_init__(self) -> None:
        if not self.rated_power_kw > 0:
            raise ValueError(f"meter {self.device}: rated_power_kw must be above 0, is {self.rated_power_kw}")
        for name, value in (("modulus_kwh", self.modulus_kwh), ("quantum_kwh", self.quantum_kwh)):
            if value is not None and not value > 0:
                raise ValueError(f"meter {self.device}: {name} must be above 0, is {value}")
        starts = [_start_ms(entry) for entry in self.multipliers]
        if not starts or starts != sorted(set(starts)):
            raise ValueError(
                f"meter {self.device}: multipliers must be at least one, each later than the one before, are {starts}"
            )
        for entry in self.multipliers:
            if not entry.factor > 0:
                raise ValueError(f"meter {self.device}: a multiplier must be above 0, is {entry.factor}")

    def multiplier_at(self, at_ms: int) -> Decimal:
        """Line kWh per displayed kWh at an instant; before the first entry the first one holds."""
        return self.multipliers[0].factor if len(self.multipliers) == 1 else factor_at(self.multipliers, at_ms)

    def multiplier_changes(self) -> tuple[int, ...]:
        """The instants (UTC ms) at which the multiplier becomes another one."""
        return tuple(_start_ms(entry) for entry in self.multipliers[1:])


def standing(entries: Sequence[Multiplier]) -> tuple[Multiplier, ...]:
    """What holds of a list that only grows: an entry that begins no later than others before it corrects those from its beginning on.

    Raises ValueError where such an entry does not say why, by what and by whom.
    """
    held: list[Multiplier] = []
    for entry in entries:
        corrected = [one for one in held if _start_ms(one) >= _start_ms(entry)]
        if corrected and not (entry.reason.strip() and entry.evidence.strip() and entry.approver.strip()):
            raise ValueError(
                f"multiplier {entry.factor} corrects {', '.join(str(one.factor) for one in corrected)}, which stands before it:"
                " expected its reason, evidence and approver, or each later than the one before"
            )
        held = [one for one in held if one not in corrected] + [entry]
    return tuple(held)


def multiplied_otherwise_from(kept: Sequence[Multiplier], now: Sequence[Multiplier]) -> int | None:
    """The first instant (UTC ms; -2^62: from ever) at which two lists of multipliers differ; None: nowhere."""
    starts = sorted({-(2**62), *(_start_ms(entry) for entry in (*kept, *now))})
    return next((at_ms for at_ms in starts if factor_at(kept, at_ms) != factor_at(now, at_ms)), None)


def factor_at(multipliers: Sequence[Multiplier], at_ms: int) -> Decimal:
    """The factor of a list that holds at an instant; before the first entry the first one holds."""
    at = bisect_right([_start_ms(entry) for entry in multipliers], at_ms) - 1
    return multipliers[max(at, 0)].factor


def _start_ms(entry: Multiplier) -> int:
    return -(2**62) if entry.valid_from_ms is None else entry.valid_from_ms
