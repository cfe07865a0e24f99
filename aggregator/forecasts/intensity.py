"""The grid intensity of the next day: what its provider forecasts, else the seasonal median of the zone's hours, else the factor that holds all day.

Not the series on record (see `emissions.intensity`).
"""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.emissions.resolution import Resolution
from aggregator.forecasts.band import TRAILING_DAYS
from aggregator.forecasts.emission import Intensity
from aggregator.forecasts.hours import HOUR_MS, HOURS, Table, by_local_days, slots
from aggregator.forecasts.methods import WEEK, WEEKS_BACK, Hours, seasonal_median
from aggregator.intervals.local_time import day_span_ms

ZONE: Final = "zone"  # the tier of an hour's own value
PROVIDER: Final = "provider"
MEDIAN: Final = "seasonal_median"
FACTOR: Final = "factor"
# (at_ms, as_of_ms) -> the factor of that instant as it was known then
Known = Callable[[int, int], Resolution]


def intensity_ahead(
    known: Known, zone: ZoneInfo, day: date, origin_ms: int, signal: str, *, hourly: bool
) -> Intensity | None:
    """The intensity of each clock hour of `day` as known at `origin_ms`, with what the same rule has missed in the trailing days.

    `hourly`: the grid zone has a series of its own; without it one factor holds. None where some hour has neither a value of its own
    nor history nor a factor.
    """
    last = day - timedelta(days=1)
    first = day - timedelta(days=TRAILING_DAYS + WEEK * WEEKS_BACK)
    past = _actual(known, zone, first, last, origin_ms) if hourly else None
    forecast, sources = _forecast(known, zone, day, origin_ms, past)
    if np.isnan(forecast).any():
        return None
    if past is None:
        errors = np.zeros((TRAILING_DAYS, HOURS))
    else:
        errors = np.full((TRAILING_DAYS, HOURS), np.nan)
        for back in range(1, TRAILING_DAYS + 1):
            before = day - timedelta(days=back)
            row = len(past) - back
            said, _ = _forecast(known, zone, before, day_span_ms(before, zone)[0], past[:row])
            errors[-back] = past[row] - said
    basis = next(name for name in (PROVIDER, MEDIAN, FACTOR) if name in sources)
    return Intensity(forecast, errors, basis, sources[basis], signal)


def _actual(known: Known, zone: ZoneInfo, first: date, last: date, as_of_ms: int) -> Table:
    """The zone's own hours, [day, hour] from `first` to `last`; NaN where it has none."""
    table = np.full(((last - first).days + 1, HOURS), np.nan)
    for number in range(len(table)):
        table[number] = _day(known, zone, first + timedelta(days=number), as_of_ms)[0]
    return table


def _day(known: Known, zone: ZoneInfo, day: date, as_of_ms: int) -> tuple[Hours, str]:
    """The day's hours that have a value of their own, and the source of the last one."""
    energies, source = [], ""
    for slot in slots(day, zone):
        at_ms = slot.start_ms
        while at_ms < slot.end_ms:
            found = known(at_ms, as_of_ms)
            end_ms = min(slot.end_ms, found.to_ms)
            if found.tier == ZONE and found.kg_per_kwh is not None:
                energies.append((at_ms, end_ms, float(found.kg_per_kwh) * (end_ms - at_ms) / HOUR_MS))
                source = found.source
            at_ms = end_ms
    made = by_local_days(energies, zone)
    return (np.full(HOURS, np.nan), "") if made is None else (made.kw[0], source)


def _forecast(
    known: Known, zone: ZoneInfo, day: date, origin_ms: int, past: Table | None
) -> tuple[Hours, dict[str, str]]:
    """Hour by hour the first of: the provider's, the median of same weekdays, the factor. With the sources that were used."""
    found, source = (np.full(HOURS, np.nan), "") if past is None else _day(known, zone, day, origin_ms)
    sources = {PROVIDER: source} if source else {}
    if past is not None and np.isnan(found).any():
        median = seasonal_median(past)
        filled = np.isnan(found) & ~np.isnan(median)
        found = np.where(filled, median, found)
        if filled.any():
            sources[MEDIAN] = "the zone's hours of the last same weekdays"
    if np.isnan(found).any():
        standing = known(day_span_ms(day, zone)[0], origin_ms)
        if standing.kg_per_kwh is not None and standing.tier != ZONE:
            found = np.where(np.isnan(found), float(standing.kg_per_kwh), found)
            sources[FACTOR] = standing.source
    return found, sources
