"""The carbon pool of one battery or vehicle under one method: what emissions its content carries. Not what reaches it (see `site_mix`).

(kg, kWh stored at DC). A charge adds AC x charge efficiency kWh and all of its kg; a discharge draws AC / discharge efficiency kWh and that
share of the kg, so that losses stay with what is delivered. Standing loss and what the battery's management says of its content change kWh,
not kg. kg that are left when the kWh are gone become storage loss. At every step: opening + in = out + lost + content, exactly.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from aggregator.accounts.pools.parcel import KWH_QUANTUM, NOTHING, ZERO, Parcel, cut_kwh, share, uncovered
from aggregator.emissions.amounts import EXACT

_DAY_MS: Final = Decimal(86_400_000)
_HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Cell:
    """What the pool must know of its asset. Ratios of kWh; `capacity_kwh` (DC) None: not known; `standing_loss_percent_per_day` of its content.

    `opening_kwh`: its content when accounting begins, and, of a vehicle, when it is plugged in; that has no figure.
    """

    charge_efficiency_ratio: Decimal = Decimal(1)
    discharge_efficiency_ratio: Decimal = Decimal(1)
    capacity_kwh: Decimal | None = None
    standing_loss_percent_per_day: Decimal = ZERO
    opening_kwh: Decimal = ZERO

    def __post_init__(self) -> None:
        for name in ("charge_efficiency_ratio", "discharge_efficiency_ratio"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"storage: expected {name} above 0 and at most 1, got {getattr(self, name)}")
        if self.capacity_kwh is not None and self.capacity_kwh <= 0:
            raise ValueError(f"storage: expected capacity_kwh above 0, got {self.capacity_kwh}")
        if not 0 <= self.standing_loss_percent_per_day <= _HUNDRED:
            raise ValueError(
                f"storage: expected standing_loss_percent_per_day of 0 to 100, got {self.standing_loss_percent_per_day}"
            )
        if self.opening_kwh < 0:
            raise ValueError(f"storage: expected opening_kwh of 0 or above, got {self.opening_kwh}")


@dataclass(frozen=True, slots=True)
class Turnover:
    """What went through a pool since its `opening`. AC: `charged`, `delivered`; all else is DC.

    kg:  opening + charged = delivered + lost + content. kWh: opening + stored + anchored = drawn + stood + content.
    """

    opening: Parcel = NOTHING
    charged: Parcel = NOTHING
    stored_kwh: Decimal = ZERO
    delivered: Parcel = NOTHING
    drawn_kwh: Decimal = ZERO
    missing_kwh: Decimal = ZERO  # discharged beyond what the pool had: delivered without a figure
    stood_kwh: Decimal = ZERO
    anchored_kwh: Decimal = ZERO  # + and -: what its management, or its capacity, corrected
    lost_kg: Decimal = ZERO

    def __add__(self, other: "Turnover") -> "Turnover":
        """This, then `other`, which opened where this one ended."""
        return Turnover(
            self.opening,
            self.charged + other.charged,
            EXACT.add(self.stored_kwh, other.stored_kwh),
            self.delivered + other.delivered,
            EXACT.add(self.drawn_kwh, other.drawn_kwh),
            EXACT.add(self.missing_kwh, other.missing_kwh),
            EXACT.add(self.stood_kwh, other.stood_kwh),
            EXACT.add(self.anchored_kwh, other.anchored_kwh),
            EXACT.add(self.lost_kg, other.lost_kg),
        )


@dataclass(slots=True)
class Pool:
    """One asset's content, under one method. Mutable: each step changes it."""

    cell: Cell
    content: Parcel = NOTHING
    turnover: Turnover = field(default_factory=Turnover)

    @classmethod
    def first(cls, cell: Cell) -> "Pool":
        """At its first start, or when a vehicle is plugged in: what it holds has no figure."""
        return cls.reopened(cell, uncovered(cell.opening_kwh))

    @classmethod
    def reopened(cls, cell: Cell, content: Parcel) -> "Pool":
        """With a content that is known."""
        return cls(cell, content, Turnover(opening=content))

    def charge(self, taken: Parcel) -> None:
        """AC energy with what it carries."""
        stored = taken.scaled_to(cut_kwh(EXACT.multiply(taken.kwh, self.cell.charge_efficiency_ratio)))
        self.content += stored
        turnover = self.turnover
        self.turnover = replace(
            turnover, charged=turnover.charged + taken, stored_kwh=EXACT.add(turnover.stored_kwh, stored.kwh)
        )
        if self.cell.capacity_kwh is not None and self.content.kwh > self.cell.capacity_kwh:
            self.anchor(self.cell.capacity_kwh)

    def discharge(self, ac_kwh: Decimal) -> Parcel:
        """AC energy delivered, with what it carries. More than the pool has is delivered without a figure."""
        wanted_kwh = cut_kwh(ac_kwh / self.cell.discharge_efficiency_ratio)
        drawn_kwh = min(wanted_kwh, self.content.kwh)
        missing_kwh = EXACT.subtract(wanted_kwh, drawn_kwh)
        drawn, self.content = self.content.take(drawn_kwh)
        without_kwh = EXACT.add(drawn.uncovered_kwh, missing_kwh)
        delivered = (
            uncovered(ac_kwh)
            if not wanted_kwh or (without_kwh == wanted_kwh and not drawn.kg)
            else Parcel(ac_kwh, drawn.kg, min(ac_kwh, share(ac_kwh, without_kwh, wanted_kwh, KWH_QUANTUM)))
        )
        turnover = self.turnover
        self.turnover = replace(
            turnover,
            delivered=turnover.delivered + delivered,
            drawn_kwh=EXACT.add(turnover.drawn_kwh, drawn_kwh),
            missing_kwh=EXACT.add(turnover.missing_kwh, missing_kwh),
        )
        self._floor()
        return delivered

    def stand(self, length_ms: int) -> None:
        """Standing loss of a time."""
        lost_kwh = share(
            self.content.kwh,
            EXACT.multiply(self.cell.standing_loss_percent_per_day, Decimal(length_ms)),
            EXACT.multiply(_HUNDRED, _DAY_MS),
            KWH_QUANTUM,
        )
        if lost_kwh:
            lost_kwh = min(lost_kwh, self.content.kwh)
            self.content = self.content.scaled_to(EXACT.subtract(self.content.kwh, lost_kwh))
            self.turnover = replace(self.turnover, stood_kwh=EXACT.add(self.turnover.stood_kwh, lost_kwh))
            self._floor()

    def anchor(self, kwh: Decimal) -> None:
        """What it holds by its own management, DC. The kg stay. Raises ValueError below 0."""
        if kwh < 0:
            raise ValueError(f"pool: expected a content of 0 kWh or above, got {kwh}")
        by_kwh = EXACT.subtract(kwh, self.content.kwh)
        self.content = self.content.scaled_to(kwh)
        self.turnover = replace(self.turnover, anchored_kwh=EXACT.add(self.turnover.anchored_kwh, by_kwh))
        self._floor()

    def _floor(self) -> None:
        """At the floor: kg without kWh are a storage loss of this time."""
        if not self.content.kwh and self.content.kg:
            self.turnover = replace(self.turnover, lost_kg=EXACT.add(self.turnover.lost_kg, self.content.kg))
            self.content = NOTHING
