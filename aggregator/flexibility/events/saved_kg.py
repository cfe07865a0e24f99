"""What an event's delivered kWh were worth in kg CO2e, under the accounting's factors and under marginal ones, apart. Not the kWh (see `response`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.accounts.compile import Accounts, Span
from aggregator.facility import Facility

PROFILES: Final = ("OPS", "MARGINAL")


@dataclass(frozen=True, slots=True)
class SavedKg:
    """Under one profile: kg in all and the factor of each interval; None where a factor is missing: then there is no figure, not an average."""

    profile: str
    kg: Decimal | None
    kg_per_kwh: tuple[Decimal | None, ...]
    factors: tuple[str, ...]


def saved_kg(accounts: Accounts, facility: Facility, begin_ms: int, delivered_kwh: Sequence[float]) -> list[SavedKg]:
    """Delivered kWh x the factor of each interval. Raises what a statement raises."""
    end_ms = begin_ms + len(delivered_kwh) * facility.interval_ms
    span = Span(begin_ms, end_ms, accounts.clock())
    found = []
    for name in PROFILES:
        with accounts.opened(facility, accounts.profile(name), span) as (period, _):
            resolved = [
                period.resolve(begin_ms + number * facility.interval_ms) for number in range(len(delivered_kwh))
            ]
        factors = tuple(each.kg_per_kwh for each in resolved)
        named = tuple(
            dict.fromkeys(f"{each.factor_id} {each.version}" for each in resolved if each.kg_per_kwh is not None)
        )
        found.append(SavedKg(name, weighed(delivered_kwh, factors), factors, named))
    return found


def weighed(delivered_kwh: Sequence[float], kg_per_kwh: Sequence[Decimal | None]) -> Decimal | None:
    """kWh to nine digits x factor, summed exactly."""
    total = Decimal(0)
    for kwh, factor in zip(delivered_kwh, kg_per_kwh, strict=True):
        if factor is None:
            return None
        total += Decimal(repr(round(kwh, 9))) * factor
    return total
