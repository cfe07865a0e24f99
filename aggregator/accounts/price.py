"""A price of carbon: what a tonne costs, in which currency, from when to when and by which source. Not what emissions cost at it (see `cost`)."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

CURRENCY: Final = re.compile(r"[A-Z]{3}")
_MOST_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class CarbonPrice:
    """`price_per_t`: of a tonne CO2e, in `currency` (ISO 4217), in [valid_from_ms, valid_to_ms) (UTC; None: unbounded on that side).

    `source` says which market and day, or who gave it, and is shown with every figure.
    """

    price_per_t: Decimal
    currency: str
    source: str
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None

    def __post_init__(self) -> None:
        if not self.price_per_t.is_finite() or self.price_per_t < 0:
            raise ValueError(f"carbon price: expected price_per_t of 0 or above, got {self.price_per_t}")
        if not CURRENCY.fullmatch(self.currency):
            raise ValueError(
                f"carbon price: expected a currency of three capital letters such as CNY, got {self.currency!r}"
            )
        if not self.source.strip():
            raise ValueError("carbon price: expected a source, the market and the day of the price, got nothing")
        if self.valid_from_ms is not None and self.valid_to_ms is not None and self.valid_from_ms >= self.valid_to_ms:
            raise ValueError(
                f"carbon price: expected valid_to after valid_from, got {self.valid_to_ms} and {self.valid_from_ms}"
            )

    def holds(self, from_ms: int, to_ms: int) -> bool:
        """Over the whole of [from_ms, to_ms)."""
        begins = self.valid_from_ms is None or self.valid_from_ms <= from_ms
        return begins and (self.valid_to_ms is None or to_ms <= self.valid_to_ms)

    def touches(self, from_ms: int, to_ms: int) -> bool:
        """At some time of [from_ms, to_ms)."""
        begins = self.valid_from_ms is None or self.valid_from_ms < to_ms
        return begins and (self.valid_to_ms is None or from_ms < self.valid_to_ms)

    def __str__(self) -> str:
        return f"{self.price_per_t:f} {self.currency}/t ({self.source})"


def price_given(price_per_t: str | None, currency: str | None, source: str | None) -> CarbonPrice | None:
    """A price that was given with a question, for all time; None where nothing was. Raises ValueError."""
    if price_per_t is None and currency is None and source is None:
        return None
    try:
        value = Decimal(price_per_t or "")
    except InvalidOperation as error:
        raise ValueError(f"carbon price: expected a decimal number per t, got {(price_per_t or '')[:40]!r}") from error
    if value.is_finite() and abs(value.adjusted()) + len(value.as_tuple().digits) > _MOST_DIGITS:
        raise ValueError(f"carbon price: expected at most {_MOST_DIGITS} digits, got {(price_per_t or '')[:40]!r}")
    return CarbonPrice(value, currency or "", source or "")


def overlap(prices: tuple[CarbonPrice, ...]) -> tuple[CarbonPrice, CarbonPrice] | None:
    """Two prices in one currency that hold at one time; None where there are none."""
    for at, one in enumerate(prices):
        for other in prices[:at]:
            if one.currency == other.currency and _meet(one, other):
                return other, one
    return None


def _meet(one: CarbonPrice, other: CarbonPrice) -> bool:
    begins = [price.valid_from_ms for price in (one, other) if price.valid_from_ms is not None]
    ends = [price.valid_to_ms for price in (one, other) if price.valid_to_ms is not None]
    return not begins or not ends or max(begins) < min(ends)
