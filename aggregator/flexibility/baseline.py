"""What a load would have been without an event: the mean of like days before it, adjusted on the day, with its accuracy. Not what is paid (see `settlement`).

X-of-Y: of the Y most recent like days that are eligible, the X of highest load (or all) are averaged, interval by interval. Days of earlier events and
days with an interval that was not measured well do not count. Too few days: no baseline, never fewer silently.
(Rules: AEMO's register of baseline methodologies; the parameters of each programme stand in its preset.)
"""

import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources
from statistics import median
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

LOOK_BACK_DAYS: Final = 45
LEAST_WINDOW_RATIO: Final = (
    0.2  # of the median load: below it a factor would explode, so the difference is taken instead
)
ACCURACY_DAYS: Final = 20

Series = npt.NDArray[np.float64]
DayType = Callable[[date], str]
Adjustment = Literal["none", "multiplicative", "additive"]


class NoBaseline(ValueError):
    """Too few eligible days, or none of the day itself; the message says how many were needed and found."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`days` most recent like days from `first_day_back` on, of which the `highest` of most load in the event's hours (0: all).

    Adjusted by the window of `window_h` that ends `gap_h` before the event, or before the notice where that is earlier; within +-`cap_percent`.
    `days` 0: the `window_h` before the event itself stands for it.
    """

    name: str
    days: int
    highest: int = 0
    first_day_back: int = 1
    adjustment: Adjustment = "none"
    cap_percent: float = 20.0
    window_h: float = 3.0
    gap_h: float = 1.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """[first, last) of the day's intervals, and the interval in which the notice came (None: before the day began)."""

    day: date
    first: int
    last: int
    notice: int | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """kW in each interval of the event: `settled_kw` is what is settled on. `adjusted_kw` None: there was nothing to adjust with.

    `said`: why it is not what the rules ask for at first sight.
    """

    rules: Rules
    event: Event
    settled_kw: Series
    unadjusted_kw: Series
    adjusted_kw: Series | None
    days: tuple[date, ...]
    factor: float | None
    added_kw: float | None
    said: tuple[str, ...]


# kW per interval of each local day, NaN where it was not measured well. Days of 23 or 25 hours are given by clock hour.
Days = Mapping[date, Series]


def baseline(
    loads: Days,
    event: Event,
    rules: Rules,
    interval_h: float,
    event_days: Collection[date] = (),
    day_type: DayType | None = None,
    *,
    moved: bool = False,
) -> Baseline:
    """The baseline of an event. `moved`: our own set-points moved the load in the window, so that the unadjusted one is settled on. Raises NoBaseline."""
    window = _window(event, rules, interval_h)
    if rules.days == 0:
        today = loads.get(event.day)
        before = None if today is None or window is None else today[window[0] : window[1]]
        if before is None or not len(before) or bool(np.isnan(before).any()):
            raise NoBaseline(
                f"{rules.name}: expected the load of the {rules.window_h:g} h before the event, it was not measured well"
            )
        flat = np.full(event.last - event.first, float(before.mean()))
        return Baseline(rules, event, flat, flat, None, (), None, None, ())
    chosen = _chosen(loads, event, rules, event_days, day_type or weekday_type)
    mean = np.mean([loads[day] for day in chosen], axis=0)
    unadjusted = mean[event.first : event.last]
    factor, added_kw, said = _adjustment(loads, event, rules, window, mean)
    adjusted = None if factor is None and added_kw is None else unadjusted * (factor or 1.0) + (added_kw or 0.0)
    settled = unadjusted if adjusted is None or moved else adjusted
    if moved and adjusted is not None:
        said = (*said, "set-points moved the load in the window: settled on the unadjusted baseline")
    return Baseline(rules, event, settled, unadjusted, adjusted, chosen, factor, added_kw, said)


def weekday_type(day: date) -> str:
    """Workday or weekend; holidays are the caller's to know."""
    return "weekend" if day.weekday() >= 5 else "workday"


def _chosen(
    loads: Days, event: Event, rules: Rules, event_days: Collection[date], day_type: DayType
) -> tuple[date, ...]:
    found: list[date] = []
    for back in range(rules.first_day_back, LOOK_BACK_DAYS + 1):
        day = event.day - timedelta(days=back)
        load = loads.get(day)
        if day in event_days or day_type(day) != day_type(event.day) or load is None or bool(np.isnan(load).any()):
            continue
        found.append(day)
        if len(found) == rules.days:
            break
    if len(found) < rules.days:
        raise NoBaseline(
            f"{rules.name}: expected {rules.days} eligible days of type {day_type(event.day)} within {LOOK_BACK_DAYS} days, found {len(found)}"
        )
    if rules.highest:
        found = sorted(found, key=lambda day: (-float(loads[day][event.first : event.last].sum()), day))[
            : rules.highest
        ]
    return tuple(sorted(found))


def _window(event: Event, rules: Rules, interval_h: float) -> tuple[int, int] | None:
    """[first, last) of the adjustment's intervals on the day; None where it lies before the day."""
    end = event.first - round(rules.gap_h / interval_h)
    if event.notice is not None:
        end = min(end, event.notice)
    begin = end - round(rules.window_h / interval_h)
    return (begin, end) if begin >= 0 and end > begin else None


def _adjustment(
    loads: Days, event: Event, rules: Rules, window: tuple[int, int] | None, mean: Series
) -> tuple[float | None, float | None, tuple[str, ...]]:
    if rules.adjustment == "none":
        return None, None, ()
    today = loads.get(event.day)
    if window is None or today is None or bool(np.isnan(today[window[0] : window[1]]).any()):
        return None, None, ("no adjustment: its window was not measured well, or lies before the day",)
    seen_kw, expected_kw = float(today[window[0] : window[1]].mean()), float(mean[window[0] : window[1]].mean())
    most = rules.cap_percent / 100
    if rules.adjustment == "multiplicative":
        if expected_kw >= LEAST_WINDOW_RATIO * median(mean.tolist()) and expected_kw > 0:
            factor = seen_kw / expected_kw
            kept = min(max(factor, 1 - most), 1 + most)
            return kept, None, () if kept == factor else (f"adjustment of {factor:.3f} cut at {rules.cap_percent:g} %",)
        said: tuple[str, ...] = ("additive: the window's mean is below a fifth of the median load",)
    else:
        said = ()
    cap_kw = most * float(mean[event.first : event.last].mean())
    added_kw = seen_kw - expected_kw
    kept_kw = min(max(added_kw, -cap_kw), cap_kw)
    return (
        None,
        kept_kw,
        said if kept_kw == added_kw else (*said, f"adjustment of {added_kw:.3f} kW cut at {rules.cap_percent:g} %"),
    )


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of the same rules on days without an event, in the event's hours. Bias: mean of (baseline - load) / mean load; RRMSE likewise."""

    days: int
    bias_percent: float
    rrmse_percent: float


def accuracy(
    loads: Days,
    event: Event,
    rules: Rules,
    interval_h: float,
    event_days: Collection[date] = (),
    day_type: DayType | None = None,
) -> Accuracy | None:
    """Over the last 20 like days before the event; None where no day has a baseline."""
    kind = day_type or weekday_type
    errors: list[Series] = []
    seen: list[Series] = []
    day = event.day
    while len(errors) < ACCURACY_DAYS and (event.day - day).days <= 4 * LOOK_BACK_DAYS:
        day -= timedelta(days=1)
        load = loads.get(day)
        if (
            day in event_days
            or kind(day) != kind(event.day)
            or load is None
            or bool(np.isnan(load[event.first : event.last]).any())
        ):
            continue
        try:
            made = baseline(
                loads, Event(day, event.first, event.last, event.notice), rules, interval_h, event_days, kind
            )
        except NoBaseline:
            continue
        errors.append(made.settled_kw - load[event.first : event.last])
        seen.append(load[event.first : event.last])
    if not errors:
        return None
    mean_kw = float(np.mean(seen))
    if not mean_kw:
        return None
    return Accuracy(
        len(errors),
        float(np.mean(errors)) / mean_kw * 100,
        float(np.sqrt(np.mean(np.square(errors)))) / abs(mean_kw) * 100,
    )


@cache
def presets() -> dict[str, Rules]:
    """The rules that come with the program, by name."""
    text = resources.files("aggregator.flexibility").joinpath("baselines.toml").read_text(encoding="utf-8")
    return {name: Rules(name, **row) for name, row in tomllib.loads(text).items()}


def preset(name: str) -> Rules:
    """Raises ValueError."""
    if name not in presets():
        raise ValueError(f"preset: expected one of {', '.join(presets())}, got {name!r}")
    return presets()[name]


def by_day(rows: Sequence[tuple[date, int, float]], intervals: int) -> dict[date, Series]:
    """(local day, number of the interval in it, kW) as days of `intervals`; what is missing is NaN, a clock hour that comes twice is averaged."""
    sums: dict[date, tuple[Series, Series]] = {}
    for day, at, kw in rows:
        total, count = sums.setdefault(day, (np.zeros(intervals), np.zeros(intervals)))
        if 0 <= at < intervals:
            total[at] += kw
            count[at] += 1
    return {day: np.where(count > 0, total / np.maximum(count, 1), np.nan) for day, (total, count) in sums.items()}
