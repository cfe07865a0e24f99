"""An amount of electricity with the emissions that came with it, which can be parted and put together without losing any. Not where it is kept (see `pool`)."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from aggregator.emissions.amounts import EXACT

ZERO: Final = Decimal(0)
# A share is cut to these, and what remains is the exact rest of it: nothing is lost, and digits do not grow from day to day.
KWH_QUANTUM: Final = Decimal("1e-12")
KG_QUANTUM: Final = Decimal("1e-15")
_ROUNDED: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Parcel:
    """`kwh`, of which `uncovered_kwh` have no figure; `kg` CO2e came with the others. Average or marginal is the owner's to know: never add the two."""

    kwh: Decimal = ZERO
    kg: Decimal = ZERO
    uncovered_kwh: Decimal = ZERO

    def __add__(self, other: "Parcel") -> "Parcel":
        return Parcel(
            EXACT.add(self.kwh, other.kwh),
            EXACT.add(self.kg, other.kg),
            EXACT.add(self.uncovered_kwh, other.uncovered_kwh),
        )

    def __sub__(self, other: "Parcel") -> "Parcel":
        return Parcel(
            EXACT.subtract(self.kwh, other.kwh),
            EXACT.subtract(self.kg, other.kg),
            EXACT.subtract(self.uncovered_kwh, other.uncovered_kwh),
        )

    @property
    def covered_kwh(self) -> Decimal:
        return EXACT.subtract(self.kwh, self.uncovered_kwh)

    @property
    def kg_per_kwh(self) -> Decimal | None:
        """Over what is covered only: energy without a figure is not counted as clean. For display, not exact."""
        return None if self.covered_kwh <= 0 else self.kg / self.covered_kwh

    @property
    def known_kg(self) -> Decimal | None:
        """`kg`; None where there is energy and none of it has a figure."""
        return None if self.kwh and not self.covered_kwh and not self.kg else self.kg

    @property
    def covered_percent(self) -> Decimal | None:
        """Of its energy; None of nothing."""
        return self.covered_kwh / self.kwh * 100 if self.kwh else None

    def take(self, kwh: Decimal) -> tuple["Parcel", "Parcel"]:
        """(what is taken, the rest) of the same mixture; their sum is the whole exactly. Raises ValueError beyond 0 to `self.kwh`."""
        if not 0 <= kwh <= self.kwh:
            raise ValueError(f"parcel: expected 0 to {self.kwh} kWh to be taken, got {kwh}")
        if kwh == self.kwh:
            return self, Parcel()
        if not kwh:
            return Parcel(), self
        uncovered_kwh = share(self.uncovered_kwh, kwh, self.kwh, KWH_QUANTUM)
        # Cutting must leave neither part with more uncovered energy than it has.
        left_kwh = EXACT.subtract(self.kwh, kwh)
        uncovered_kwh = min(kwh, max(uncovered_kwh, EXACT.subtract(self.uncovered_kwh, left_kwh)))
        taken = Parcel(kwh, share(self.kg, kwh, self.kwh, KG_QUANTUM), uncovered_kwh)
        return taken, self - taken

    def scaled_to(self, kwh: Decimal) -> "Parcel":
        """Other kWh with the same kg, and the same share of them uncovered: after a conversion, a loss or a new measurement."""
        if not self.kwh:
            return Parcel(kwh, self.kg, kwh)  # energy out of nowhere has no figure
        return Parcel(kwh, self.kg, min(kwh, share(self.uncovered_kwh, kwh, self.kwh, KWH_QUANTUM)))


NOTHING: Final = Parcel()


def uncovered(kwh: Decimal) -> Parcel:
    """Energy without a figure."""
    return Parcel(kwh, ZERO, kwh)


def of_factor(kwh: Decimal, kg_per_kwh: Decimal | None) -> Parcel:
    """Energy with its factor; uncovered where there is none."""
    return uncovered(kwh) if kg_per_kwh is None else Parcel(kwh, EXACT.multiply(kwh, kg_per_kwh))


def share(amount: Decimal, part: Decimal, whole: Decimal, quantum: Decimal) -> Decimal:
    """amount x part / whole, cut to `quantum` half-even."""
    if not amount:
        return ZERO
    return _ROUNDED.quantize(_ROUNDED.divide(_ROUNDED.multiply(amount, part), whole), quantum)


def cut_kwh(kwh: Decimal) -> Decimal:
    """To KWH_QUANTUM, half-even."""
    return _ROUNDED.quantize(kwh, KWH_QUANTUM)
