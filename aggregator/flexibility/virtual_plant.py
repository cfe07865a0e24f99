"""A target shared out over facilities by price, and again when one of them fails. Not what each can give (see `offers`)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aggregator.flexibility.problem import Currency


@dataclass(frozen=True, slots=True)
class Bid:
    """`kw` that a facility gives at `price_per_kwh`; a facility may have several, of rising price."""

    facility: str
    kw: float
    price_per_kwh: Currency


@dataclass(frozen=True, slots=True)
class Share:
    """What a facility is asked to give."""

    facility: str
    kw: float


@dataclass(frozen=True, slots=True)
class Allocation:
    """`lacking_kw`: of the target that nobody can give. `marginal_price`: of the dearest bid that is used; None where none is."""

    shares: tuple[Share, ...]
    lacking_kw: float
    cost_per_h: Currency
    marginal_price: Currency | None


def merit_order(bids: Iterable[Bid], target_kw: float, failed: Sequence[str] = ()) -> Allocation:
    """The cheapest bids first, those of one price by name; what has failed gives nothing, and the others take its part."""
    asked: dict[str, float] = {}
    left_kw, cost, marginal = target_kw, 0.0, None
    for bid in sorted(bids, key=lambda one: (one.price_per_kwh, one.facility)):
        taken_kw = min(bid.kw, left_kw)
        if taken_kw <= 0 or bid.facility in failed:
            continue
        asked[bid.facility] = asked.get(bid.facility, 0.0) + taken_kw
        left_kw -= taken_kw
        cost += taken_kw * bid.price_per_kwh
        marginal = bid.price_per_kwh
    return Allocation(tuple(Share(name, kw) for name, kw in sorted(asked.items())), max(left_kw, 0.0), cost, marginal)
