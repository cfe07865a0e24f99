"""What a missing interval energy is estimated at, rule by rule. Not which intervals are missing (see `gaps`); a counter's difference comes before all of them.

up to 1 h      linear between the intervals on both sides
up to 72 h     median of the same local weekday and clock time of the last 4 weeks
beyond         nothing, unless the regime has a rule of its own (40 CFR 75); then that rule holds for every gap

Each quarter of an hour is estimated by itself, from measured ones only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Final
from zoneinfo import ZoneInfo

HOUR_MS: Final = 3_600_000
LINEAR_MS: Final = HOUR_MS
PROFILE_MS: Final = 72 * HOUR_MS
WEEKS: Final = 4
LEAST_WEEKS: Final = 2
GRAIN: Final = Decimal("0.000001")  # kWh or m3

LINEAR: Final = "gap-linear"
PROFILE: Final = "gap-profile"
CFR75: Final = "40cfr75"
PRESETS: Final = (CFR75,)
LOOK_BACK_H: Final = 720  # measured hours whose percentiles stand in (40 CFR 75.33)
AVAILABILITY_H: Final = 8760  # hours before a gap, of which the availability is the measured share (40 CFR 75.32)


@dataclass(frozen=True, slots=True)
class Series:
    """Measured energies of one device and quantity by the start of their interval (UTC ms), and what its line can carry in an hour."""

    energy: Mapping[int, Decimal]
    interval_ms: int
    zone: ZoneInfo
    rated_per_h: Decimal


@dataclass(frozen=True, slots=True)
class Estimate:
    """Energy of one interval, with the rule that gave it; None: no rule gives one, and `rule` says why."""

    start_ms: int
    energy: Decimal | None
    rule: str


def estimates(series: Series, from_ms: int, to_ms: int, preset: str = "") -> list[Estimate]:
    """An estimate for each interval of the gap [from_ms, to_ms)."""
    starts = range(from_ms, to_ms, series.interval_ms)
    if preset == CFR75:
        return _by_cfr75(series, from_ms, to_ms, starts)
    if to_ms - from_ms > PROFILE_MS:
        return [Estimate(at_ms, None, "longer than 72 h, and no rule of a regime is set") for at_ms in starts]
    if to_ms - from_ms <= LINEAR_MS:
        before, after = series.energy.get(from_ms - series.interval_ms), series.energy.get(to_ms)
        if before is not None and after is not None:
            return [
                Estimate(at_ms, _cut(before + (after - before) * n / (len(starts) + 1)), LINEAR)
                for n, at_ms in enumerate(starts, 1)
            ]
    return [_by_profile(series, at_ms) for at_ms in starts]


def _by_profile(series: Series, at_ms: int) -> Estimate:
    local = datetime.fromtimestamp(at_ms / 1000, series.zone)
    found: list[Decimal] = []
    for weeks in range(1, WEEKS + 1):
        same = local - timedelta(days=7 * weeks)  # the same clock time, whatever the offset was then
        same_ms = round(same.timestamp() * 1000)
        energy = series.energy.get(same_ms)
        if energy is not None and datetime.fromtimestamp(same_ms / 1000, series.zone).time() == local.time():
            found.append(energy)
    if len(found) < LEAST_WEEKS:
        return Estimate(at_ms, None, f"fewer than {LEAST_WEEKS} of the last {WEEKS} weeks have this time measured")
    return Estimate(at_ms, _cut(median(found)), PROFILE)


def _by_cfr75(series: Series, from_ms: int, to_ms: int, starts: Sequence[int]) -> list[Estimate]:
    per_hour = Decimal(HOUR_MS) / series.interval_ms
    since_ms = from_ms - AVAILABILITY_H * HOUR_MS
    first_ms = min(series.energy, default=from_ms)
    whole = (from_ms - max(since_ms, first_ms)) // series.interval_ms
    measured = sum(since_ms <= at_ms < from_ms for at_ms in series.energy)
    availability = Decimal(measured) * 100 / whole if whole else Decimal(0)
    hour, rule = cfr75(
        Decimal(to_ms - from_ms) / HOUR_MS,
        availability,
        _hour(series, from_ms - HOUR_MS),
        _hour(series, to_ms),
        _look_back(series, from_ms),
        series.rated_per_h,
    )
    return [Estimate(at_ms, None if hour is None else _cut(hour / per_hour), rule) for at_ms in starts]


def cfr75(
    gap_h: Decimal,
    availability_percent: Decimal,
    before: Decimal | None,
    after: Decimal | None,
    look_back: Sequence[Decimal],
    potential: Decimal,
) -> tuple[Decimal | None, str]:
    """Energy of each missing hour in the manner of 40 CFR 75.33, with its rule. `before`, `after`: of the hours on both sides;
    `look_back`: of the last measured hours; `potential`: the most that the line can carry. None where the rule's hours are missing.

    It is made to overstate: on a plant with two shifts the 90th percentile is nearly three times the truth. Only where a regime asks for it.
    """
    if availability_percent < 80:
        return potential, "gap-cfr75-potential"
    if not look_back:
        return None, "no measured hours to look back on"
    if availability_percent < 90:
        return max(look_back), "gap-cfr75-maximum"
    short_h, percent = (Decimal(24), 90) if availability_percent >= 95 else (Decimal(8), 95)
    sides = [energy for energy in (before, after) if energy is not None]
    if len(sides) < 2:
        return None, "no measured hour on both sides"
    mean = sum(sides, Decimal(0)) / 2
    if gap_h <= short_h:
        return mean, "gap-cfr75-mean"
    return max(nearest_rank(look_back, percent), mean), f"gap-cfr75-p{percent}"


def nearest_rank(values: Sequence[Decimal], percent: int) -> Decimal:
    """The smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def _hour(series: Series, from_ms: int) -> Decimal | None:
    """Energy of an hour, if all of it was measured."""
    found = [series.energy.get(at_ms) for at_ms in range(from_ms, from_ms + HOUR_MS, series.interval_ms)]
    known = [energy for energy in found if energy is not None]
    return sum(known, Decimal(0)) if len(known) == len(found) else None


def _look_back(series: Series, before_ms: int) -> list[Decimal]:
    """The last measured hours of the clock before an instant, LOOK_BACK_H at most."""
    found: list[Decimal] = []
    at_ms = before_ms - before_ms % HOUR_MS
    first_ms = min(series.energy, default=before_ms)
    while at_ms > first_ms and len(found) < LOOK_BACK_H:
        at_ms -= HOUR_MS
        energy = _hour(series, at_ms)
        if energy is not None:
            found.append(energy)
    return found


def _cut(energy: Decimal) -> Decimal:
    return energy.quantize(GRAIN)
