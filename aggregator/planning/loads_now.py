"""Loads that plans move, as they stand now: what they have had of their windows, and how warm the buildings are that they cool or heat. Plans nothing."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

import numpy as np

from aggregator.facility import Facility
from aggregator.flexibility.operation.loads import Comfort, window_name, windows
from aggregator.flexibility.operation.state import HOUR_MS, Tempered, Window
from aggregator.flexibility.problem import Series
from aggregator.newest import Newest, NewestReadings
from aggregator.planning.power_history import PowerHistory
from aggregator.steered import Steered
from aggregator.stores.store import SeriesKey, Store
from wire.reading import Quality

POWER: Final = "active_power_kw"
ROOM: Final = "room_temperature_degc"
OUTDOOR: Final = "outdoor_temperature_degc"
MINUTE_MS: Final = 60_000
FRESH_MS: Final = 5 * MINUTE_MS  # a power holds for so long
LATE_MS: Final = (
    30 * MINUTE_MS
)  # so much of the newest time need not be settled; an older temperature says nothing of now
DAY_MS: Final = 24 * HOUR_MS
KEEP_MS: Final = 15 * MINUTE_MS


def planned_loads(steered: Steered) -> frozenset[str]:
    """The devices of loads that plans move."""
    names = _names(steered)
    return frozenset(asset.device for asset in steered.circuit.asset if asset.name in names)


def _names(steered: Steered) -> list[str]:
    return [one.asset for one in steered.waiting] + [one.asset for one in steered.comfort]


class LoadsNow:
    """Of one facility. For one thread at a time. Raises LedgerError, StoreError."""

    def __init__(
        self, facility: Facility, steered: Steered, *, store: Store, newest: NewestReadings, history: PowerHistory
    ) -> None:
        self._facility = facility
        self._steered = steered
        self._store = store
        self._newest = newest
        self._history = history
        self._edges = {asset.name: asset.edge for asset in steered.circuit.asset}
        self._devices = {asset.name: asset.device for asset in steered.circuit.asset}
        self._yesterday: dict[tuple[str, str], tuple[int, dict[int, float]]] = {}

    def at(self, now_ms: int, edges_ms: Sequence[int], notes: list[str]) -> tuple[list[Window], list[Tempered], list[str]]:  # fmt: skip
        """Windows that touch the horizon, buildings, and loads of which too little is known to plan them."""
        found: list[Window] = []
        for rule in self._steered.waiting:
            for begin_ms, end_ms in windows(
                rule, now_ms, edges_ms[-1], self._facility.zone, self._steered.tariff.holidays
            ):
                done_kwh = self._done_kwh(rule.asset, begin_ms, now_ms, notes) if begin_ms < now_ms else 0.0
                name = window_name(rule.asset, begin_ms, self._facility.zone)
                found.append(
                    Window(rule.asset, name, begin_ms, end_ms, rule.kwh, done_kwh, rule.most_kw, rule.least_kw)
                )
        tempered, silent = [], []
        for comfort in self._steered.comfort:
            one = self._tempered(comfort, now_ms, edges_ms, notes)
            if one is None:
                silent.append(comfort.asset)
            else:
                tempered.append(one)
        return found, tempered, silent

    def drawn_kw(self, now_ms: int) -> float:
        """What these loads draw now, as far as they say it."""
        return sum(self._drawn_kw(name, now_ms) or 0.0 for name in _names(self._steered))

    def _drawn_kw(self, asset: str, now_ms: int) -> float | None:
        device = self._devices[asset]
        newest = self._reading(self._edges[asset], device, POWER, now_ms, FRESH_MS)
        meter = self._facility.meter(device)
        if newest is None or newest.value is None or meter is None:
            return None
        return newest.value * float(meter.multiplier_at(newest.at_ms))

    def _done_kwh(self, asset: str, from_ms: int, now_ms: int, notes: list[str]) -> float:
        """What is settled since, and the newest time at what is drawn now."""
        rows = self._history.of(self._devices[asset], from_ms, now_ms)
        settled_ms = max((end_ms for _, end_ms, _ in rows), default=from_ms)
        done_kwh, known_ms = sum(kwh for *_, kwh in rows), sum(end_ms - start_ms for start_ms, end_ms, _ in rows)
        drawn_kw = self._drawn_kw(asset, now_ms)
        if drawn_kw is not None and now_ms - settled_ms <= LATE_MS:
            done_kwh += drawn_kw * (now_ms - settled_ms) / HOUR_MS
            known_ms += now_ms - settled_ms
        unknown_ms = now_ms - from_ms - known_ms
        if unknown_ms > LATE_MS:
            at = datetime.fromtimestamp(from_ms / 1000, self._facility.zone)
            notes.append(
                f"{asset}: what it has had in {unknown_ms // MINUTE_MS} min since {at:%H:%M} is not known, taken as 0 kWh"
            )
        return max(done_kwh, 0.0)

    def _tempered(self, rule: Comfort, now_ms: int, edges_ms: Sequence[int], notes: list[str]) -> Tempered | None:
        room = self._reading(self._edges[rule.asset], rule.thermometer, ROOM, now_ms, LATE_MS)
        if room is None or room.value is None:
            notes.append(
                f"{rule.asset}: no temperature from {rule.thermometer} for {LATE_MS // MINUTE_MS} min, it is left out of the plan"
            )
            return None
        outdoors = self._outdoors(rule, now_ms, edges_ms, notes)
        return None if outdoors is None else rule.tempered(room.value, room.at_ms, outdoors)

    def _outdoors(self, rule: Comfort, now_ms: int, edges_ms: Sequence[int], notes: list[str]) -> Series | None:
        """Each hour as it was yesterday, moved by how much warmer it is now."""
        edge, steps = self._edges[rule.asset], len(edges_ms) - 1
        now = self._reading(edge, rule.outdoors, OUTDOOR, now_ms, LATE_MS)
        if now is None or now.value is None:
            if rule.outdoor_degc is None:
                notes.append(f"{rule.asset}: no outdoor temperature from {rule.outdoors}, it is left out of the plan")
                return None
            notes.append(
                f"{rule.asset}: no outdoor temperature from {rule.outdoors}, taken as {rule.outdoor_degc:g} degC"
            )
            return np.full(steps, rule.outdoor_degc)
        hours = self._hours(edge, rule.outdoors, now_ms)
        then = hours.get(now_ms // HOUR_MS % 24)
        if then is None or len(hours) < 24:
            notes.append(
                f"{rule.asset}: no outdoor temperature of a whole day yet, taken as {now.value:g} degC throughout"
            )
            return np.full(steps, now.value)
        middles = [(one + other) // 2 for one, other in pairwise(edges_ms)]
        return np.array([hours[middle // HOUR_MS % 24] + now.value - then for middle in middles])

    def _hours(self, edge: str, device: str, now_ms: int) -> dict[int, float]:
        """Mean temperature of each hour of UTC in the day that ended at the last full hour's begin, as far as it is known."""
        kept = self._yesterday.get((edge, device))
        if kept is None or not 0 <= now_ms - kept[0] < KEEP_MS:
            until_ms = now_ms // HOUR_MS * HOUR_MS
            key = SeriesKey(self._facility.id, edge, device, OUTDOOR)
            rows = self._store.buckets(key, until_ms - DAY_MS, until_ms, HOUR_MS)
            means = {
                int(at) // HOUR_MS % 24: float(mean)
                for at, mean in zip(rows.from_ms, rows.mean, strict=True)
                if not np.isnan(mean)
            }
            self._yesterday[edge, device] = kept = now_ms, means
        return kept[1]

    def _reading(self, edge: str, device: str, quantity: str, now_ms: int, oldest_ms: int) -> Newest | None:
        newest = self._newest.of(SeriesKey(self._facility.id, edge, device, quantity))
        if newest is None or newest.value is None or newest.quality is Quality.BAD or now_ms - newest.at_ms > oldest_ms:
            return None
        return newest
