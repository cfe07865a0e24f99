"""Which factor applies to a facility at an instant, and why. Not the multiplication (see `booking`).

a regime without its year's notice: no factor, whatever else there is
override valid at t -> hourly series of the zone, where the profile takes one -> province -> regional grid -> nation        (the place says where this starts)
within a place: same data year -> latest earlier, marked `provisional, fallback_latest` -> earliest later, where the profile lets it
nothing: no factor. There is no default. The profile says which signal, places and years are allowed; an average never stands in for a
marginal, nor the other way round.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.emissions.amounts import EXACT, AverageKg, MarginalKg
from aggregator.emissions.factors import AVERAGE, SIGNALS, FactorTable, FactorVersion, known_on
from aggregator.emissions.intensity import HOUR_MS, HourlyFactor
from aggregator.emissions.place import FactorOverride, Place
from aggregator.emissions.profiles import Profile, profile
from aggregator.intervals.local_time import local_year, year_span_ms

FALLBACK_MARKS: Final = ("provisional", "fallback_latest")
LATER_MARKS: Final = ("provisional", "fallback_oldest")
MARGINAL: Final = "marginal"
PLACE_MARK: Final = "fallback_place"  # the place itself has no factor, a wider one stands in
_GRID_PREFIX: Final = "CN-GRID-"


# (zone, signal, at_ms, as_of_ms) -> what is on record of that hour
HourlyLookup = Callable[[str, str, int, int], HourlyFactor | None]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A candidate that was passed over, and why."""

    candidate: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """The factor of a facility throughout [from_ms, to_ms) (UTC), or that there is none (`kg_per_kwh` None).

    `tier` is override, zone, province, grid, national or none; `data_year` is None for an override and for an hour of a zone.
    """

    facility: str
    tier: str
    kg_per_kwh: Decimal | None
    factor_id: str
    version: int
    region: str
    data_year: int | None
    source: str
    marks: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    from_ms: int
    to_ms: int
    signal: str = AVERAGE

    def amount(self, energy_kwh: Decimal) -> AverageKg | MarginalKg | None:
        """What the energy comes to, exactly; of a type that says whether it may be part of an inventory. None: no factor."""
        if self.kg_per_kwh is None:
            return None
        kg = EXACT.multiply(energy_kwh, self.kg_per_kwh)
        return MarginalKg(kg) if self.signal == MARGINAL else AverageKg(kg)

    @property
    def reason(self) -> str:
        """Why there is no factor, in one line; "" where there is one."""
        if self.kg_per_kwh is not None:
            return ""
        return (
            "; ".join(f"{skipped.candidate}: {skipped.reason}" for skipped in self.skipped) or "no place is configured"
        )


def resolve(
    table: FactorTable,
    place: Place,
    at_ms: int,
    as_of_ms: int,
    rules: Profile | None = None,
    hourly: HourlyLookup | None = None,
) -> Resolution:
    """The location-based factor at `at_ms` as it was known at `as_of_ms`. Without `rules`: those of OPS."""
    rules = rules or profile("OPS")
    zone = ZoneInfo(place.time_zone)
    year = local_year(at_ms, zone)
    from_ms, to_ms = year_span_ms(year, zone)
    skipped: list[Skipped] = []
    if rules.needs_notice:
        why = "the reporting year's notice, which names the place level, is not entered"
        return Resolution(
            place.facility, "none", None, "", 0, place.region, None, "", (), (Skipped(rules.name, why),), from_ms, to_ms, rules.signal
        )  # fmt: skip
    for number, override in enumerate(place.overrides, start=1):
        name = f"override {number} ({override.source})"
        if rules.signal != AVERAGE:
            skipped.append(Skipped(name, f"is {AVERAGE}, {rules.signal} is asked"))
            continue
        if override.known_from_ms is not None and override.known_from_ms > as_of_ms:
            skipped.append(Skipped(name, f"known only from {known_on(override.known_from_ms)}"))
            continue
        starts_ms, ends_ms = _span(override)
        if starts_ms <= at_ms < ends_ms:
            return Resolution(
                place.facility, "override", override.kg_per_kwh, f"override.{place.facility}", override.version or number, place.region, None,
                override.source, override.marks, tuple(skipped), max(from_ms, starts_ms), min(to_ms, ends_ms),
            )  # fmt: skip
        skipped.append(Skipped(name, "not valid at this time"))
        if ends_ms <= at_ms:
            from_ms = max(from_ms, ends_ms)
        else:
            to_ms = min(to_ms, starts_ms)
    if place.grid_zone:
        hour, why_not = _hour(place, at_ms, as_of_ms, rules, hourly)
        if hour is not None:
            return Resolution(
                place.facility, "zone", hour.kg_per_kwh, f"elec.zone.{hour.signal}", 1, hour.zone, None, hour.source,
                ("estimated",) if hour.estimated else (), tuple(skipped), max(from_ms, hour.start_ms), min(to_ms, hour.end_ms), rules.signal,
            )  # fmt: skip
        skipped.append(Skipped(f"zone {place.grid_zone}", why_not))
        if rules.hourly:  # the next hour may have a value
            from_ms, to_ms = max(from_ms, at_ms // HOUR_MS * HOUR_MS), min(to_ms, at_ms // HOUR_MS * HOUR_MS + HOUR_MS)
    for tier, region in _places(table, place.region):
        if tier not in rules.levels:
            skipped.append(Skipped(f"{tier} {region}", f"{rules.name} takes {', '.join(rules.levels)}"))
            continue
        found = table.of_region(region, rules.signal, as_of_ms)
        hit, marks = _of_year(found, year, rules.years)
        if hit is None:
            skipped.append(Skipped(f"{tier} {region}", _why_none(table, region, found, year, as_of_ms, rules)))
            continue
        if region != place.region and rules.notice == "":
            marks = (*marks, PLACE_MARK)
        source = f"{hit.source.issuer} {hit.source.number}, {hit.table_ref}"
        return Resolution(
            place.facility, tier, hit.kg_per_kwh, hit.factor_id, hit.version, region, hit.data_year,
            source, marks, tuple(skipped), from_ms, to_ms, rules.signal,
        )  # fmt: skip
    return Resolution(
        place.facility, "none", None, "", 0, place.region, None, "", (), tuple(skipped), from_ms, to_ms, rules.signal
    )


def _hour(
    place: Place, at_ms: int, as_of_ms: int, rules: Profile, hourly: HourlyLookup | None
) -> tuple[HourlyFactor | None, str]:
    if not rules.hourly:
        return None, f"{rules.name} takes no hourly series"
    found = hourly(place.grid_zone, rules.signal, at_ms, as_of_ms) if hourly is not None else None
    return (
        found,
        "" if found is not None else f"no {rules.signal} value of this hour was on record on {known_on(as_of_ms)}",
    )


def _span(override: FactorOverride) -> tuple[int, int]:
    always = 2**62
    return (
        -always if override.valid_from_ms is None else override.valid_from_ms,
        always if override.valid_to_ms is None else override.valid_to_ms,
    )


def _places(table: FactorTable, region: str) -> Iterator[tuple[str, str]]:
    """From the place itself to its nation."""
    if not region:
        return
    if region.startswith(_GRID_PREFIX):
        yield "grid", region
    elif "-" in region:
        yield "province", region
        if region in table.grid_of:
            yield "grid", table.grid_of[region]
    yield "national", region.split("-")[0]


def _of_year(
    found: dict[int, FactorVersion], year: int, years: tuple[str, ...]
) -> tuple[FactorVersion | None, tuple[str, ...]]:
    """Same data year, else the nearest that the profile lets stand in, with its marks."""
    if year in found:
        return found[year], ()
    earlier, later = [known for known in found if known < year], [known for known in found if known > year]
    if earlier and "earlier" in years:
        return found[max(earlier)], FALLBACK_MARKS
    if later and "later" in years:
        return found[min(later)], LATER_MARKS
    return None, ()


def _why_none(
    table: FactorTable, region: str, found: dict[int, FactorVersion], year: int, as_of_ms: int, rules: Profile
) -> str:
    if found and "earlier" in rules.years:
        return f"no factor for {year} or earlier, the first is of {min(found)}"
    if found:
        return f"no factor for {year}, and {rules.name} takes no other year's"
    if table.has(region, rules.signal):
        return f"none was known on {known_on(as_of_ms)}"
    others = [signal for signal in SIGNALS if signal != rules.signal and table.has(region, signal)]
    return f"has {', '.join(others)} factors only, {rules.signal} is asked" if others else "has no factor"
