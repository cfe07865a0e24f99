"""The market-based figure of a facility's electricity: which retired instrument covers how much, and what the rest is. Not their record.

hourly certificate -> certificate of the period -> power purchase, direct line -> supplier's mix -> residual mix -> grid average, marked
`no_residual`. A factor of the facility's own stands in for the grid average alone: it is an average, no residual mix. What is applied never exceeds
the consumption that it is matched with; surplus is shown and helps nobody.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from aggregator.emissions.amounts import EXACT, AverageKg, Covered, covered
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.instruments import TYPES, Instrument, Retired
from aggregator.emissions.place import Place
from aggregator.emissions.profiles import Profile, profile
from aggregator.emissions.resolution import Resolution, Skipped, resolve

PROFILE: Final = "GHGP-MB"
HOUR_MS: Final = 3_600_000
Matching = Literal["annual", "hourly"]


class Use(NamedTuple):
    """Consumption in [start_ms, end_ms)."""

    start_ms: int
    end_ms: int
    kwh: Decimal


@dataclass(frozen=True, slots=True)
class MarketPart:
    """A part of the consumption and what stands for it. `kg_per_kwh` None: nothing does, and `skipped` says why.

    `id` is the instrument's, or that of the grid factor `resolution`.
    """

    tier: str
    source: str
    kwh: Decimal
    kg_per_kwh: Decimal | None
    marks: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    id: str = ""
    resolution: Resolution | None = None

    @property
    def amount(self) -> AverageKg | None:
        return None if self.kg_per_kwh is None else AverageKg(EXACT.multiply(self.kwh, self.kg_per_kwh))


@dataclass(frozen=True, slots=True)
class MarketFigure:
    """`surplus_kwh`: retired for the span but not matched by consumption."""

    profile: str
    matching: Matching
    parts: tuple[MarketPart, ...]
    surplus_kwh: Decimal

    @property
    def total(self) -> Covered:
        return covered((part.kwh, part.amount) for part in self.parts)


def market_based(
    table: FactorTable,
    place: Place,
    uses: Sequence[Use],
    retired: Iterable[Retired],
    as_of_ms: int,
    matching: Matching = "annual",
) -> MarketFigure:
    """Matches over the whole span of `uses`, or within each of them where matching is hourly. Each match lies within one local year.

    Raises ValueError where a span does not.
    """
    retired = list(retired)
    left = {r.instrument.id: r.instrument.kwh for r in retired if r.facility == place.facility and r.at_ms <= as_of_ms}
    mine = sorted(
        (r.instrument for r in retired if r.instrument.id in left), key=lambda i: (TYPES.index(i.type), i.from_ms, i.id)
    )
    windows = list(uses) if matching == "hourly" else _whole(uses)
    parts = [part for window in windows for part in _window(table, place, window, mine, left, as_of_ms, matching)]
    first, last = min(use.start_ms for use in uses), max(use.end_ms for use in uses)
    surplus = sum((left[i.id] for i in mine if i.from_ms < last and i.to_ms > first), Decimal(0))
    return MarketFigure(PROFILE, matching, tuple(parts), surplus)


def _whole(uses: Sequence[Use]) -> list[Use]:
    return [Use(min(u.start_ms for u in uses), max(u.end_ms for u in uses), sum((u.kwh for u in uses), Decimal(0)))]


def _window(
    table: FactorTable,
    place: Place,
    window: Use,
    instruments: list[Instrument],
    left: dict[str, Decimal],
    as_of_ms: int,
    matching: Matching,
) -> list[MarketPart]:
    parts: list[MarketPart] = []
    skipped: list[Skipped] = []
    open_kwh = window.kwh
    for instrument in instruments:
        why_not = _why_not(instrument, place, window, left[instrument.id], open_kwh, matching)
        if why_not:
            skipped.append(Skipped(f"{instrument.type} {instrument.id}", why_not))
            continue
        kwh = open_kwh if instrument.type == "supplier_mix" else min(open_kwh, left[instrument.id])
        left[instrument.id] -= kwh if instrument.type != "supplier_mix" else 0
        open_kwh -= kwh
        source = f"{instrument.registry_ref}, {instrument.evidence}"
        parts.append(MarketPart(instrument.type, source, kwh, instrument.kg_per_kwh, (), tuple(skipped), instrument.id))
    if open_kwh > 0 or not parts:
        parts.append(_rest(table, place, window, open_kwh, as_of_ms, tuple(skipped)))
    return parts


def _why_not(
    instrument: Instrument, place: Place, window: Use, left_kwh: Decimal, open_kwh: Decimal, matching: Matching
) -> str:
    if instrument.zone.split("-")[0] != place.region.split("-")[0]:
        return f"is of the market {instrument.zone}, the facility is in {place.region or 'no known place'}"
    if instrument.type == "supplier_mix":
        inside = instrument.from_ms <= window.start_ms and window.end_ms <= instrument.to_ms
    else:
        if matching == "hourly" and instrument.to_ms - instrument.from_ms > HOUR_MS:
            return "is of more than an hour, and matching is hourly"
        inside = window.start_ms <= instrument.from_ms and instrument.to_ms <= window.end_ms
        if matching == "hourly":
            inside = inside or (instrument.from_ms <= window.start_ms and window.end_ms <= instrument.to_ms)
    if not inside:
        return "is of another time"
    if open_kwh <= 0:
        return "the consumption is covered already"
    return "is used up" if instrument.type != "supplier_mix" and left_kwh <= 0 else ""


def _rest(
    table: FactorTable, place: Place, window: Use, kwh: Decimal, as_of_ms: int, skipped: tuple[Skipped, ...]
) -> MarketPart:
    """The residual mix, else the facility's own factor where it holds throughout, else the grid average."""
    rules = profile(PROFILE)
    residual = Profile(rules.name, rules.method, "residual", rules.levels, rules.years)
    found = resolve(table, place, window.start_ms, as_of_ms, residual)
    tier, marks = "residual", found.marks
    if found.kg_per_kwh is None:
        skipped = (*skipped, *found.skipped)
        place = replace(place, grid_zone="")
        found = resolve(table, place, window.start_ms, as_of_ms, rules)
        if place.overrides and window.end_ms > found.to_ms:
            skipped = (*skipped, Skipped("own factor", "does not hold throughout the span"))
            found = resolve(table, replace(place, overrides=()), window.start_ms, as_of_ms, rules)
        tier = "override" if found.tier == "override" else "grid_average"
        marks = (*found.marks, "no_residual")
    elif found.factor_id.endswith(".quasi_residual"):
        marks = (*marks, "quasi_residual", f"data year {found.data_year}")
    if window.end_ms > found.to_ms:
        raise ValueError("market method: expected a span within one local year, whose residual mix it takes")
    if found.kg_per_kwh is None:
        return MarketPart("none", "", kwh, None, (), (*skipped, *found.skipped))
    return MarketPart(
        tier, found.source, kwh, found.kg_per_kwh, marks, (*skipped, *found.skipped), found.factor_id, found
    )
