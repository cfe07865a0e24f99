"""How what reaches a site's loads is parted among the meters inside: by what each consumed itself. Not what reaches them (see `site_mix`)."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from aggregator.accounts.period import Period
from aggregator.accounts.pools.parcel import KWH_QUANTUM, ZERO, Parcel, share
from aggregator.accounts.pools.site_days import Site
from aggregator.accounts.tree.shares import UNDIVIDED, UNMETERED, consumed
from aggregator.accounts.tree.tree import Metered
from aggregator.meter_tree import meter_tree

REST: Final = "loads:rest"  # what no meter inside has measured

Weights = Callable[[int], Mapping[str, Decimal]]


def consumers(period: Period, site: Site, from_ms: int, to_ms: int) -> Weights:
    """By an interval's start: kWh of each own part and of the rest. PV, storage and vehicles have lines of their own."""
    apart = {*site.mains, *site.pv, *site.storage, *site.vehicles}
    tree = meter_tree(period.facility, "electricity")
    if all(device in apart for device in tree.nodes):
        return lambda _: {}
    metered = Metered(period.facility, "electricity", period.reading(from_ms, to_ms), from_ms, to_ms)

    def weights(at_ms: int) -> Mapping[str, Decimal]:
        taken = consumed(metered.division(at_ms))
        rest = taken.pop(UNMETERED, ZERO) + taken.pop(UNDIVIDED, ZERO)
        own = {source: kwh for source, kwh in taken.items() if source.removeprefix("part:") not in apart}
        return own | {REST: rest}

    return weights


def parted(loads: Parcel, weights: Mapping[str, Decimal]) -> dict[str, Parcel]:
    """The loads' parcel by weight; the rest of the site takes the exact rest."""
    whole, left = sum(weights.values(), ZERO), loads
    found: dict[str, Parcel] = {}
    for source, weight in sorted(weights.items()):
        if source != REST and whole:
            found[source], left = left.take(min(left.kwh, share(loads.kwh, weight, whole, KWH_QUANTUM)))
    return found | {REST: left}
