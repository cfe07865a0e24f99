"""What the grid and the operator ask of a facility, as the plan hears it: events that stand, and overrides. Not where they come from, nor who may ask."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from aggregator.flexibility.problem import Currency

STEP_MS: Final = 900_000  # of `Asked.baseline_kw`
Direction = Literal["down", "up"]


@dataclass(frozen=True, slots=True)
class Asked:
    """An event over [from_ms, until_ms): net import `target_kw` below (down) or above (up) the baseline, for `pay_per_kwh`; what lacks costs its price.

    `baseline_kw`: net import of the facility without the event, one value per quarter of an hour from `from_ms` on; the last one holds on.
    An event that was opted out of is not asked. `product`: the preset of its baseline and settlement.
    """

    event_id: str
    facility: str
    from_ms: int
    until_ms: int
    target_kw: float
    direction: Direction
    pay_per_kwh: Currency
    baseline_kw: tuple[float, ...]
    shortfall_price_per_kwh: Currency = 5.0
    product: str = ""

    def __post_init__(self) -> None:
        if not self.from_ms < self.until_ms:
            raise ValueError(
                f"event {self.event_id}: expected its end after {self.from_ms}, its begin, got {self.until_ms}"
            )
        if not self.baseline_kw or not all(map(math.isfinite, self.baseline_kw)):
            raise ValueError(
                f"event {self.event_id}: expected a baseline of finite kW, got {list(self.baseline_kw[:3])}"
            )
        if not 0 <= self.target_kw < 1e6:
            raise ValueError(f"event {self.event_id}: expected a target from 0 to 1e6 kW, got {self.target_kw}")

    def baseline_at(self, at_ms: int) -> float:
        """The baseline's kW at an instant of the event."""
        step = min(max(at_ms - self.from_ms, 0) // STEP_MS, len(self.baseline_kw) - 1)
        return self.baseline_kw[step]


@dataclass(frozen=True, slots=True)
class Overridden:
    """An operator's word over [from_ms, until_ms) for an asset, or for all of a facility (`asset` ""): hold `kw` (load sign), or leave it out (None)."""

    id: str
    facility: str
    asset: str
    kw: float | None
    from_ms: int
    until_ms: int
    by: str
    reason: str


class Asks(Protocol):
    """Where a plan reads what is asked; may be called from any thread."""

    def of(self, facility: str, from_ms: int, until_ms: int) -> tuple[Sequence[Asked], Sequence[Overridden]]:
        """What stands and touches [from_ms, until_ms)."""
        ...
