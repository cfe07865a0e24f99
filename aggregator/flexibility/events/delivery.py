"""An event while it runs: its baseline as far as it is known, what was delivered so far, and what is to be expected at its end. Not the settlement (see `commitment`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.facility import Facility
from aggregator.flexibility.baseline import Series
from aggregator.flexibility.events.commitment import day_of, loads_of
from aggregator.flexibility.events.event import DemandResponse
from aggregator.flexibility.settlement import REBOUND_H
from aggregator.ledger import Ledger
from aggregator.measured_load import HOUR_MS, Measured, measured_of, placed, start_ms
from aggregator.stores.store import SeriesKey, Store
from wire.reading import Quality

POWER: Final = "active_power_kw"
RECENT_MS: Final = 300_000  # over so long what is delivered now is averaged
SHORT_PERCENT: Final = 10.0  # above it a predicted shortfall is an alarm


@dataclass(frozen=True, slots=True)
class Slice:
    """One interval of an event. `metered_kw`: mean up to now; `whole`: it is over and its energy is measured. None where nobody knows."""

    start_ms: int
    baseline_kw: float | None
    metered_kw: float | None
    delivered_kwh: float | None
    target_kwh: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """`delivered_kwh`, `due_kwh`: so far. `expected_kwh`: at the end, if what is delivered now goes on (no more than is planned). None before it is known.

    `note`: why there is no baseline, or that it is not the last word.
    """

    slices: tuple[Slice, ...]
    after: tuple[Slice, ...]
    delivered_kwh: float
    due_kwh: float
    target_kwh: float
    expected_kwh: float | None
    note: str

    @property
    def short_percent(self) -> float | None:
        """How much of what was asked will lack."""
        if self.expected_kwh is None:
            return None
        return max(0.0, (1 - self.expected_kwh / self.target_kwh) * 100) if self.target_kwh else 0.0


class Metering:
    """The measuring point of events: the ledger's intervals, and the power of the interval that is not over. Any thread may call."""

    def __init__(self, ledger: Ledger, store: Store) -> None:
        self._ledger = ledger
        self._store = store

    def intervals(
        self, event: DemandResponse, facility: Facility, from_ms: int, to_ms: int, as_of_ms: int | None = None
    ) -> list[Measured]:
        """Raises LedgerError."""
        return measured_of(self._ledger, facility, event.said.meters, from_ms, to_ms, as_of_ms)

    def mean_kw(self, event: DemandResponse, facility: Facility, from_ms: int, to_ms: int) -> float | None:
        """Mean of the meters' powers together, load sign; None where one of them said nothing. Raises StoreError."""
        total_kw = 0.0
        for device in event.said.meters:
            meter = facility.meter(device)
            if meter is None or to_ms <= from_ms:
                return None
            found = self._store.history(SeriesKey(facility.id, meter.edge, device, POWER), from_ms, to_ms)
            usable = found.value[(found.quality != Quality.BAD) & ~np.isnan(found.value)]
            if not len(usable):
                return None
            total_kw += float(usable.mean()) * float(meter.multiplier_at(from_ms))
        return total_kw


def delivery(
    event: DemandResponse, facility: Facility, metering: Metering, baseline_kw: Series | None, note: str, now_ms: int, planned_kw: Sequence[float] | None = None
) -> Delivery:  # fmt: skip
    """What an event comes to at `now_ms`, and in the hours after it. `planned_kw`: what the plan will deliver in each interval. Raises LedgerError, StoreError."""
    said, step_ms = event.said, event.said.interval_ms
    sign = 1.0 if said.direction == "down" else -1.0
    target_kwh = said.target_kw * step_ms / HOUR_MS
    end_ms = min(now_ms, said.to_ms + round(REBOUND_H * HOUR_MS))
    measured = _by_start(event, facility, metering, said.from_ms, end_ms) if end_ms > said.from_ms else {}
    flat_kw = None if baseline_kw is None else float(baseline_kw[-1])
    slices: list[Slice] = []
    after: list[Slice] = []
    for number, start in enumerate(range(said.from_ms, max(said.to_ms, end_ms), step_ms)):
        during = start < said.to_ms
        base_kw = flat_kw if baseline_kw is None or not during else float(baseline_kw[number])
        until_ms = min(start + step_ms, now_ms)
        metered_kw = measured.get(start)
        whole = metered_kw is not None
        if metered_kw is None and until_ms > start:
            metered_kw = metering.mean_kw(event, facility, start, until_ms)
        delivered = None
        if metered_kw is not None and base_kw is not None:
            delivered = sign * (base_kw - metered_kw) * (until_ms - start) / HOUR_MS
        found = Slice(start, base_kw, metered_kw, delivered, target_kwh if during else 0.0, whole)
        (slices if during else after).append(found)
    so_far = sum(each.delivered_kwh for each in slices if each.delivered_kwh is not None)
    due = sum(said.target_kw * (min(each.start_ms + step_ms, now_ms) - each.start_ms) / HOUR_MS for each in slices if each.start_ms < now_ms)  # fmt: skip
    expected = _expected_kwh(event, facility, metering, slices, so_far, now_ms, planned_kw)
    return Delivery(tuple(slices), tuple(after), so_far, due, target_kwh * len(slices), expected, note)


def _by_start(event: DemandResponse, facility: Facility, metering: Metering, from_ms: int, to_ms: int) -> dict[int, float]:  # fmt: skip
    """Net kW of the whole intervals that are measured, by start."""
    rows = metering.intervals(event, facility, from_ms, to_ms)
    loads = loads_of(event.said, rows)
    found = {}
    for start in {row.start_ms for row in rows if row.start_ms + event.said.interval_ms <= to_ms}:
        day, at = placed(start, event.said.zone, event.said.interval_ms)
        kw = float(loads[day][at]) if day in loads else np.nan
        if not np.isnan(kw):
            found[start] = kw
    return found


def _expected_kwh(
    event: DemandResponse, facility: Facility, metering: Metering, slices: Sequence[Slice], so_far_kwh: float, now_ms: int, planned_kw: Sequence[float] | None
) -> float | None:  # fmt: skip
    """So far, and the rest at the rate of the last minutes, or of the last whole interval; where there is a plan, no more than it says. Before the begin: what the plan says."""
    said, step_ms = event.said, event.said.interval_ms
    sign = 1.0 if said.direction == "down" else -1.0
    left_ms = [max(0, each.start_ms + step_ms - max(now_ms, each.start_ms)) for each in slices]
    if now_ms >= said.to_ms:
        return so_far_kwh if all(each.delivered_kwh is not None for each in slices) else None
    rate_kw = None
    if now_ms > said.from_ms:
        metered_kw = metering.mean_kw(event, facility, max(said.from_ms, now_ms - RECENT_MS), now_ms)
        base_kw = next((each.baseline_kw for each in slices if each.start_ms <= now_ms < each.start_ms + step_ms), None)
        whole = [each for each in slices if each.whole and each.delivered_kwh is not None]
        if metered_kw is not None and base_kw is not None:
            rate_kw = sign * (base_kw - metered_kw)
        elif whole:  # a meter that tells no power, or has been silent
            rate_kw = (whole[-1].delivered_kwh or 0.0) * HOUR_MS / step_ms
    elif planned_kw is None:
        return None
    if rate_kw is None and planned_kw is None:
        return None
    rest = 0.0
    for number, ms in enumerate(left_ms):
        known = [kw for kw in (rate_kw, None if planned_kw is None else planned_kw[number]) if kw is not None]
        rest += min(known) * ms / HOUR_MS
    return so_far_kwh + rest


def day_start_ms(event: DemandResponse, facility: Facility) -> int:
    """The first instant of the event's local day."""
    return start_ms(day_of(event.said), facility)
