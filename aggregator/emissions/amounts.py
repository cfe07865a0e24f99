"""Amounts of emissions that cannot be mixed: what is accounted (average) and what a change causes (marginal). Not how they are booked.

An inventory adds averages; the effect of shifting a load is a marginal. Adding one to the other is no figure at all, so it is a
type error before the program runs and a TypeError while it does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

# A product that does not fit in 60 digits raises instead of losing one.
EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation])


@dataclass(frozen=True, slots=True)
class AverageKg:
    """kg of an inventory."""

    kg: Decimal

    def __add__(self, other: "AverageKg") -> "AverageKg":
        return AverageKg(EXACT.add(self.kg, other.kg)) if isinstance(other, AverageKg) else NotImplemented

    def __sub__(self, other: "AverageKg") -> "AverageKg":
        return AverageKg(EXACT.subtract(self.kg, other.kg)) if isinstance(other, AverageKg) else NotImplemented


@dataclass(frozen=True, slots=True)
class MarginalKg:
    """kg that a change of consumption causes or avoids; never part of an inventory."""

    kg: Decimal

    def __add__(self, other: "MarginalKg") -> "MarginalKg":
        return MarginalKg(EXACT.add(self.kg, other.kg)) if isinstance(other, MarginalKg) else NotImplemented

    def __sub__(self, other: "MarginalKg") -> "MarginalKg":
        return MarginalKg(EXACT.subtract(self.kg, other.kg)) if isinstance(other, MarginalKg) else NotImplemented


@dataclass(frozen=True, slots=True)
class Covered:
    """A sum and what it stands for: `covered_kwh` of `whole_kwh` have a figure. `amount` None: nothing has."""

    amount: AverageKg | None
    covered_kwh: Decimal
    whole_kwh: Decimal

    @property
    def coverage_percent(self) -> Decimal:
        """Share of the energy that the amount stands for; 0 of nothing."""
        return self.covered_kwh / self.whole_kwh * 100 if self.whole_kwh else Decimal(0)

    @property
    def kg_per_kwh(self) -> Decimal | None:
        """Over what is covered only: energy without a factor is not counted as clean."""
        return None if self.amount is None or not self.covered_kwh else self.amount.kg / self.covered_kwh


def covered(parts: Iterable[tuple[Decimal, AverageKg | None]]) -> Covered:
    """Sums (kWh, amount or None where there is no factor)."""
    amount: AverageKg | None = None
    covered_kwh = whole_kwh = Decimal(0)
    for kwh, part in parts:
        whole_kwh = EXACT.add(whole_kwh, kwh)
        if part is not None:
            amount = part if amount is None else amount + part
            covered_kwh = EXACT.add(covered_kwh, kwh)
    return Covered(amount, covered_kwh, whole_kwh)
