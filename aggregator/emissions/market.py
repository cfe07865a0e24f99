"""The market-based figure of a facility's electricity: which retired instrument covers how much, and what the rest is. Not their record.

hourly certificate -> certificate of the period -> power purchase, direct line -> supplier's mix -> residual mix -> grid average, marked
`no_residual`. A factor of the facility's own stands in for the grid average alone: it is an average, no residual mix. What is applied never exceeds
the consumption that it is matched with; surplus is shown and helps nobody. Where matching is hourly a certificate of a month is spread over its hours
evenly, and says so (`profile_basis`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from aggregator.emissions.amounts import EXACT, AverageKg, Covered, covered
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.instruments import TYPES, Instrument, Retired
from aggregator.emissions.place import Place
from aggregator.emissions.profiles import Profile, profile
from aggregator.emissions.resolution import Resolution, Skipped, resolve
from aggregator.intervals.written_time import written

PROFILE: Final = "GHGP-MB"
HOUR_MS: Final = 3_600_000
MONTH_MS: Final = 31 * 24 * HOUR_MS
CERTIFICATES: Final = ("gec", "rec", "go")
FLAT_MARK: Final = (
    "profile_basis flat"  # the hours of the certificate are not known: its MWh are spread over them evenly
)
_MICRO: Final = 6  # decimals of the kWh of one hour's share
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


class Unused(NamedTuple):
    """A retired instrument that reaches into the span and cannot be matched with it, and why."""

    instrument: Instrument
    why: str


@dataclass(frozen=True, slots=True)
class MarketFigure:
    """`surplus_kwh`: retired for the span but not matched by consumption."""

    profile: str
    matching: Matching
    parts: tuple[MarketPart, ...]
    surplus_kwh: Decimal
    unused: tuple[Unused, ...] = ()

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
    whole: tuple[int, int] | None = None,
    left: "Left | None" = None,
) -> MarketFigure:
    """Matches over the whole span of `uses`, or within each of them where matching is hourly. Each match lies within one local year.

    `whole`: for which time surplus is counted, where that is more than the uses' own; `left`: what matches before this one have left of the
    instruments. Raises ValueError where a match spans two years.
    """
    mine = sorted(
        (r.instrument for r in retired if r.facility == place.facility and r.at_ms <= as_of_ms),
        key=lambda i: (TYPES.index(i.type), i.from_ms, i.id),
    )
    left = left or Left(matching)
    windows = list(uses) if matching == "hourly" else _whole(uses)
    parts = [part for window in windows for part in _window(table, place, window, mine, left, as_of_ms)]
    first_ms, last_ms = whole or (min(use.start_ms for use in uses), max(use.end_ms for use in uses))
    span = Use(first_ms, last_ms, Decimal(0))
    surplus, unused = Decimal(0), []
    for instrument in mine:
        if instrument.from_ms >= span.end_ms or instrument.to_ms <= span.start_ms or instrument.type == "supplier_mix":
            continue
        why = _why_not_matched(instrument, place, span, left)
        if why:
            unused.append(Unused(instrument, why))
        else:
            surplus = EXACT.add(surplus, left.of_span(instrument, span))
    return MarketFigure(PROFILE, matching, tuple(parts), surplus, tuple(unused))


def _why_not_matched(instrument: Instrument, place: Place, span: Use, left: "Left") -> str:
    """Why nothing of an instrument can be matched with the span; "" where it can."""
    if other := _other_market(instrument, place):
        return other
    if too_long := left.too_long(instrument):
        return too_long
    if left.spread(instrument) or (span.start_ms <= instrument.from_ms and instrument.to_ms <= span.end_ms):
        return ""
    zone = ZoneInfo(place.time_zone)
    return f"is of {written(instrument.from_ms, zone)} to {written(instrument.to_ms, zone)}, which does not lie within the span"


class Left:
    """What is left of each instrument: of one that is spread over its hours, of each hour."""

    def __init__(self, matching: Matching) -> None:
        self.hourly = matching == "hourly"
        self._taken: dict[tuple[str, int, int], Decimal] = {}
        self._taken_of: dict[str, Decimal] = {}

    def too_long(self, instrument: Instrument) -> str:
        """Why an instrument's period is too long to be matched by the hour; "" where it is not."""
        long_ms = instrument.to_ms - instrument.from_ms
        if not self.hourly or instrument.type == "supplier_mix" or long_ms <= HOUR_MS:
            return ""
        if instrument.type not in CERTIFICATES:
            return "is of more than an hour, and matching is hourly"
        return "" if long_ms <= MONTH_MS else "is of more than a month, and matching is hourly"

    def spread(self, instrument: Instrument) -> bool:
        """Whether it is spread evenly over its hours."""
        long = instrument.to_ms - instrument.from_ms > HOUR_MS
        return self.hourly and long and instrument.type in CERTIFICATES and not self.too_long(instrument)

    def of(self, instrument: Instrument, window: Use) -> Decimal:
        """What may still be matched with the window."""
        slot = self._slot(instrument, window)
        return EXACT.subtract(_share_kwh(instrument, *slot), self._taken.get((instrument.id, *slot), Decimal(0)))

    def take(self, instrument: Instrument, window: Use, kwh: Decimal) -> None:
        """It is matched, for good."""
        key = (instrument.id, *self._slot(instrument, window))
        self._taken[key] = EXACT.add(self._taken.get(key, Decimal(0)), kwh)
        self._taken_of[instrument.id] = EXACT.add(self._taken_of.get(instrument.id, Decimal(0)), kwh)

    def of_span(self, instrument: Instrument, span: Use) -> Decimal:
        """What nothing within the span was matched with."""
        whole = _share_kwh(instrument, span.start_ms, span.end_ms) if self.spread(instrument) else instrument.kwh
        return EXACT.subtract(whole, self._taken_of.get(instrument.id, Decimal(0)))

    def _slot(self, instrument: Instrument, window: Use) -> tuple[int, int]:
        """The stretch of its period whose share a window draws on: the hour around the window, else the window itself."""
        if not self.spread(instrument):
            return instrument.from_ms, instrument.to_ms
        hour_ms = window.start_ms // HOUR_MS * HOUR_MS
        return (hour_ms, hour_ms + HOUR_MS) if window.end_ms <= hour_ms + HOUR_MS else (window.start_ms, window.end_ms)


def _share_kwh(instrument: Instrument, from_ms: int, to_ms: int) -> Decimal:
    """Of an even spread over the period, in 0.000001 kWh: the shares of all stretches add up to all of it."""

    def until(at_ms: int) -> Decimal:
        long_ms, gone_ms = instrument.to_ms - instrument.from_ms, at_ms - instrument.from_ms
        if not 0 < gone_ms < long_ms:
            return instrument.kwh if gone_ms >= long_ms else Decimal(0)
        return EXACT.divide_int(EXACT.multiply(instrument.kwh.scaleb(_MICRO), gone_ms), long_ms).scaleb(-_MICRO)

    return EXACT.subtract(until(to_ms), until(from_ms))


def _whole(uses: Sequence[Use]) -> list[Use]:
    return [Use(min(u.start_ms for u in uses), max(u.end_ms for u in uses), sum((u.kwh for u in uses), Decimal(0)))]


def _window(
    table: FactorTable,
    place: Place,
    window: Use,
    instruments: list[Instrument],
    left: Left,
    as_of_ms: int,
) -> list[MarketPart]:
    parts: list[MarketPart] = []
    skipped: list[Skipped] = []
    open_kwh = window.kwh
    for instrument in instruments:
        why_not = _why_not(instrument, place, window, left, open_kwh)
        if why_not:
            skipped.append(Skipped(f"{instrument.type} {instrument.id}", why_not))
            continue
        kwh = open_kwh
        if instrument.type != "supplier_mix":
            kwh = min(open_kwh, left.of(instrument, window))
            left.take(instrument, window, kwh)
        open_kwh -= kwh
        source, marks = f"{instrument.registry_ref}, {instrument.evidence}", (FLAT_MARK,) * left.spread(instrument)
        parts.append(
            MarketPart(instrument.type, source, kwh, instrument.kg_per_kwh, marks, tuple(skipped), instrument.id)
        )
    if open_kwh > 0 or not parts:
        parts.append(_rest(table, place, window, open_kwh, as_of_ms, tuple(skipped)))
    return parts


def _other_market(instrument: Instrument, place: Place) -> str:
    """Why it is not of the facility's market; "" where it is."""
    if instrument.zone.split("-")[0] == place.region.split("-")[0]:
        return ""
    return f"is of the market {instrument.zone}, the facility is in {place.region or 'no known place'}"


def _why_not(instrument: Instrument, place: Place, window: Use, left: Left, open_kwh: Decimal) -> str:
    if why := _other_market(instrument, place) or left.too_long(instrument):
        return why
    around = instrument.from_ms <= window.start_ms and window.end_ms <= instrument.to_ms
    if instrument.type == "supplier_mix":
        inside = around
    elif left.spread(instrument):
        inside = instrument.from_ms < window.end_ms and window.start_ms < instrument.to_ms
    else:
        inside = window.start_ms <= instrument.from_ms and instrument.to_ms <= window.end_ms
        inside = inside or (left.hourly and around)
    if not inside:
        return "is of another time"
    if open_kwh <= 0:
        return "the consumption is covered already"
    return "is used up" if instrument.type != "supplier_mix" and left.of(instrument, window) <= 0 else ""


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
