"""What an event came to: baseline, delivery, settlement, rebound and accuracy, of one set of loads. Not where the loads are from, nor kg CO2e."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

import numpy as np

from aggregator.flexibility.baseline import (
    Accuracy,
    Baseline,
    Days,
    Event,
    NoBaseline,
    Rules,
    Series,
    accuracy,
    baseline,
    weekday_type,
)
from aggregator.flexibility.settlement import REBOUND_H, Settlement, Terms, settle


@dataclass(frozen=True, slots=True)
class Question:
    """An event on one local day, by which rules, for what. `moved`: our own set-points moved the load in the adjustment's window."""

    event: Event
    rules: Rules
    interval_h: float
    target_kw: float
    terms: Terms
    direction: Literal["down", "up"] = "down"
    event_days: Collection[date] = ()
    holidays: Collection[date] = ()
    moved: bool = False

    def kind(self, day: date) -> str:
        """Which days are like each other."""
        return "holiday" if day in self.holidays else weekday_type(day)

    def baseline(self, loads: Days) -> Baseline:
        """Raises NoBaseline."""
        return baseline(loads, self.event, self.rules, self.interval_h, self.event_days, self.kind, moved=self.moved)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was found."""

    made: Baseline
    metered_kw: Series
    settled: Settlement
    accurate: Accuracy | None = field(default=None)


def outcome(loads: Days, asked: Question) -> Outcome:
    """Raises NoBaseline, ValueError where the day lacks an interval of the event."""
    made = asked.baseline(loads)
    event = asked.event
    today = loads.get(event.day)
    if today is None:
        raise ValueError(f"metered load: expected intervals of {event.day}, there are none")
    metered = today[event.first : event.last]
    target = np.full(len(metered), asked.target_kw)
    last = min(event.last + round(REBOUND_H / asked.interval_h), len(today))
    later = _after(loads, replace(asked, event=Event(event.day, event.last, last, event.notice)), made)
    after = today[event.last : last]
    sign = 1.0 if asked.direction == "down" else -1.0
    settled = settle(
        sign * made.settled_kw, sign * metered, target, asked.interval_h, asked.terms,
        None if later is None else sign * later, sign * after,
    )  # fmt: skip
    accurate = accuracy(loads, event, asked.rules, asked.interval_h, asked.event_days, asked.kind)
    return Outcome(made, metered, settled, accurate)


def _after(loads: Days, asked: Question, during: Baseline) -> Series | None:
    """The unadjusted baseline of the hours after the event; None where there is none. What stood before the event stands after it as well."""
    hours = asked.event.last - asked.event.first
    if hours <= 0:
        return None
    if asked.rules.days == 0:
        return np.full(hours, during.settled_kw[-1])
    try:
        return asked.baseline(loads).unadjusted_kw
    except NoBaseline:
        return None
