"""Loads that a plan may move: those that can wait for a window of the day, and what keeps a building within a comfort band. Not how they are read.

A comfort band is a store of cold (or warmth), in electric kWh: C dT/dt = gains + G (outdoors - T) -+ COP x power, divided by the COP. It is empty at the end of the
band to which the building drifts by itself, and loses the more, the fuller it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.flexibility.operation.state import HOUR_MS, Tempered, Window
from aggregator.flexibility.operation.tariff import MINUTES, When
from aggregator.flexibility.problem import Currency, Series, Shiftable, Storage


@dataclass(frozen=True, slots=True)
class Waiting:
    """A load that takes `kwh` in each window: from `begin_min` to `end_min` of the local day, of the next day where that is not after it. `when`: on which days."""

    asset: str
    kwh: float
    begin_min: int
    end_min: int
    most_kw: float
    when: When
    least_kw: float = 0.0

    @property
    def hours(self) -> float:
        """How long a window is by the clock."""
        return ((self.end_min - self.begin_min - 1) % MINUTES + 1) / 60


@dataclass(frozen=True, slots=True)
class Comfort:
    """What cools or heats a building within [low_degc, high_degc]. Energies and powers are electric: `kwh_per_k` moves its temperature by a kelvin,
    `loss_kw_per_k` flows for a kelvin between inside and outdoors, `gains_kw` come from people, machines and sun.

    `thermometer`, `outdoors`: devices that measure; `outdoor_degc`: where nothing does.
    """

    asset: str
    task: Literal["cooling", "heating"]
    low_degc: float
    high_degc: float
    kwh_per_k: float
    loss_kw_per_k: float
    most_kw: float
    thermometer: str
    outdoors: str
    gains_kw: float = 0.0
    least_kw: float = 0.0
    outdoor_degc: float | None = None

    def held_kwh(self, degc: float) -> float:
        """What the building holds at a temperature; below 0 outside of the band."""
        return self.kwh_per_k * (self.high_degc - degc if self.task == "cooling" else degc - self.low_degc)

    def tempered(self, degc: float, told_ms: int, outdoor_degc: Series) -> Tempered:
        """The building at a temperature, with the outdoor temperature of each step."""
        if self.task == "cooling":
            drain_kw = self.gains_kw + self.loss_kw_per_k * (outdoor_degc - self.high_degc)
        else:
            drain_kw = self.loss_kw_per_k * (self.low_degc - outdoor_degc) - self.gains_kw
        band_kwh = self.kwh_per_k * (self.high_degc - self.low_degc)
        return Tempered(
            self.asset, self.held_kwh(degc), band_kwh, self.loss_kw_per_k / self.kwh_per_k, np.maximum(drain_kw, 0.0), self.most_kw, self.least_kw,
            told_ms, degc,
        )  # fmt: skip


def windows(rule: Waiting, now_ms: int, until_ms: int, zone: ZoneInfo, holidays: frozenset[date]) -> list[tuple[int, int]]:  # fmt: skip
    """Begin and end of each window that touches [now_ms, until_ms)."""
    found = []
    day = datetime.fromtimestamp(now_ms / 1000, zone).date() - timedelta(days=1)
    last = datetime.fromtimestamp(until_ms / 1000, zone).date()
    while day <= last:
        begin_ms = _instant(day, rule.begin_min, zone)
        end_ms = _instant(day + timedelta(days=rule.end_min <= rule.begin_min), rule.end_min, zone)
        fits = rule.when.fits(datetime.combine(day, time(), UTC), holidays)
        if fits and begin_ms < until_ms and end_ms > now_ms:
            found.append((begin_ms, end_ms))
        day += timedelta(days=1)
    return found


def _instant(day: date, minute: int, zone: ZoneInfo) -> int:
    at = datetime.combine(day + timedelta(days=minute // MINUTES), time(minute % MINUTES // 60, minute % 60), zone)
    return round(at.timestamp() * 1000)


def shiftable(one: Window, edges_ms: Sequence[int], price: Currency) -> Shiftable | None:
    """A window as the planner takes it; None where nothing of it is to be planned. Of one that goes on behind the horizon, what has to be done within it."""
    edges = np.array(edges_ms)
    first = int(np.searchsorted(edges[:-1], one.from_ms))
    last = int(np.searchsorted(edges[1:], one.until_ms, side="right"))
    kwh = one.kwh - one.done_kwh - one.most_kw * max(one.until_ms - edges_ms[-1], 0) / HOUR_MS
    if first >= last or kwh <= 0:
        return None
    return Shiftable(one.name, first, last, kwh, one.most_kw, price, one.least_kw)


def window_name(asset: str, from_ms: int, zone: ZoneInfo) -> str:
    """The asset with the local begin of the window."""
    return f"{asset} {datetime.fromtimestamp(from_ms / 1000, zone):%m-%d %H:%M}"


def thermal(one: Tempered, step_h: Series, price: Currency, worth: Currency) -> Storage:
    """A comfort band as the planner takes it: what is held is worth `worth` at the end, what lacks costs `price`. What lacks already is wanted at once."""
    drain_kw = one.drain_kw.copy()
    drain_kw[0] += max(-one.kwh, 0.0) / step_h[0]
    return Storage(
        one.asset, one.band_kwh, max(one.kwh, 0.0), one.most_kw, 0.0, 1.0, 1.0, loss_per_h_ratio=one.loss_per_h_ratio,
        end_value_per_kwh=max(worth, 0.0), shortfall_price_per_kwh=price, least_kw=one.least_kw, drain_kw=drain_kw,
    )  # fmt: skip
