"""What an event is measured by: its commitment, its baseline, what it delivers and what it is settled to. Moves no event on (see `conduct`)."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from aggregator.accounts.compile import Accounts
from aggregator.facility import Facility
from aggregator.flexibility.baseline import LOOK_BACK_DAYS, Days, NoBaseline, Series
from aggregator.flexibility.events.commitment import (
    committed,
    day_of,
    days_before,
    lines_of,
    loads_of,
    question,
    result,
    rows_of,
    settled_outcome,
    sha256,
)
from aggregator.flexibility.events.delivery import Delivery, Metering, day_start_ms, delivery
from aggregator.flexibility.events.event import DemandResponse
from aggregator.flexibility.events.planner import Planner
from aggregator.flexibility.events.record import Commitment, EventRecord, canonical
from aggregator.flexibility.events.saved_kg import saved_kg
from aggregator.flexibility.events.trace import Traced, steered_in, trace
from aggregator.measured_load import HOUR_MS, start_ms
from aggregator.stores.store import Store

QUARTER_MS: Final = 900_000
KEPT: Final = 64  # events whose days before are kept in memory


@dataclass(frozen=True, slots=True)
class Made:
    """A settlement before it is on record: the leaf but for its number, the result as canonical JSON, the day's intervals, and what a list shows of it."""

    leaf: Mapping[str, Any]
    result: str
    metered: bytes
    detail: Mapping[str, Any]


class Measuring:
    """Of one aggregator. `planner` gives who plans now. Any thread may call. Raises RecordsBusy, LedgerError, StoreError."""

    def __init__(
        self, record: EventRecord, accounts: Accounts, store: Store, clock: Callable[[], int], planner: Callable[[], Planner]
    ) -> None:  # fmt: skip
        self._record = record
        self._accounts = accounts
        self._store = store
        self._metering = Metering(accounts.ledger, store)
        self._clock = clock
        self._planner = planner
        self._lock = threading.Lock()
        self._before: OrderedDict[int, Days] = OrderedDict()  # by number of the commitment

    def facility(self, name: str) -> Facility:
        """As the settings have it."""
        return self._accounts.facilities[name]

    def fixed(self, event: DemandResponse) -> Commitment:
        """The commitment of this version: made once, from what is known now."""
        kept = self._record.commitment(event.no, event.version)
        if kept is not None:
            return kept
        facility, now_ms, day = self.facility(event.said.facility), self._clock(), day_of(event.said)
        begin_ms = start_ms(day - timedelta(days=5 * LOOK_BACK_DAYS), facility)
        inputs = self._metering.intervals(event, facility, begin_ms, start_ms(day, facility), now_ms)
        firm = self._planner().firm(event)
        leaf = committed(event.said, event.id, event.version, inputs, self._days_of_events(event), firm, now_ms)
        return self._record.commit(event.no, event.version, leaf, lines_of(inputs), now_ms)

    def _days_of_events(self, event: DemandResponse) -> list[str]:
        """Local days before it on which another event was delivered."""
        day, back_ms = day_of(event.said), 5 * LOOK_BACK_DAYS * 86_400_000
        others = self._record.events(event.said.facility, event.said.from_ms - back_ms, event.said.from_ms)
        days: set[date] = {
            day_of(other.said) for other in others if other.state not in ("received", "declined", "cancelled")
        }
        return sorted(each.isoformat() for each in days if each < day)

    def _days_before(self, event: DemandResponse, kept: Commitment) -> Days:
        """Loads of the days before, as they were committed to."""
        with self._lock:
            found = self._before.get(kept.no)
        if found is None:
            found = days_before(event.said, rows_of(self._record.inputs(kept.no)))
            with self._lock:
                self._before[kept.no] = found
                while len(self._before) > KEPT:
                    self._before.popitem(last=False)
        return found

    def baseline(self, event: DemandResponse) -> tuple[Series | None, str]:
        """As far as it is known, and why it is not the last word."""
        kept, said = self.fixed(event), event.said
        facility, now_ms = self.facility(said.facility), self._clock()
        begin_ms = day_start_ms(event, facility)
        today = self._metering.intervals(event, facility, begin_ms, begin_ms + 2 * 86_400_000)
        loads = {**self._days_before(event, kept), **_of_day(event, loads_of(said, today))}
        try:
            return question(said, kept.at_ms, _event_days(kept)).baseline(loads).settled_kw, ""
        except NoBaseline as error:
            if said.rules.days or now_ms > said.from_ms + said.interval_ms:
                return None, str(error)
            until_ms = min(now_ms, said.from_ms)
            kw = self._metering.mean_kw(event, facility, until_ms - QUARTER_MS, until_ms)
            if kw is None:
                return None, str(error)
            intervals = (said.to_ms - said.from_ms) // said.interval_ms
            return np.full(intervals, kw), "estimated from the power of the last 15 minutes"

    def delivery(self, event: DemandResponse) -> Delivery:
        """What it comes to now."""
        baseline_kw, note = self.baseline(event)
        facility, planned_kw = self.facility(event.said.facility), self._planner().planned_kw(event)
        return delivery(event, facility, self._metering, baseline_kw, note, self._clock(), planned_kw)

    def trace(self, event: DemandResponse) -> list[Traced]:
        """What happened for it, from acceptance on."""
        planner = self._planner()
        return trace(event, planner.sent(event), self._store, planner.circuit(event.said.facility))

    def settlement(self, event: DemandResponse) -> Made:
        """From what was fixed and the day's intervals. Raises NoBaseline, ValueError while an interval lacks."""
        kept, said = self.fixed(event), event.said
        facility, begin_ms = self.facility(said.facility), day_start_ms(event, self.facility(said.facility))
        end_ms = start_ms(day_of(said) + timedelta(days=1), facility)
        metered = self._metering.intervals(event, facility, begin_ms, end_ms)
        moved = self._moved(event)
        before = self._days_before(event, kept)
        found = settled_outcome(said, before, loads_of(said, metered), _event_days(kept), kept.at_ms, moved=moved)
        saved = saved_kg(self._accounts, facility, said.from_ms, found.settled.delivered_kwh.tolist())
        text, lines = canonical(result(found, said, saved, moved=moved)), lines_of(metered)
        leaf = {
            "event": event.id, "version": event.version, "commitment": kept.no, "commitment_sha256": sha256(kept.leaf.encode()),
            "metered_sha256": sha256(lines), "result_sha256": sha256(text.encode()), "at_ms": self._clock(),
        }  # fmt: skip
        detail = {"delivered_kwh": float(found.settled.delivered_kwh.sum()), "money": found.settled.money}
        return Made(leaf, text, lines, detail)

    def _moved(self, event: DemandResponse) -> bool:
        """Whether assets that we steer moved in the adjustment's window: set-points on record, or their own meters."""
        rules, facility = event.said.rules, event.said.facility
        if rules.adjustment == "none":
            return False
        end_ms = min(event.said.from_ms - round(rules.gap_h * HOUR_MS), event.received_at_ms)
        begin_ms = end_ms - round(rules.window_h * HOUR_MS)
        circuit = self._planner().circuit(facility)
        if self._store.events(facility, begin_ms, end_ms, "set_point"):
            return True
        return circuit is not None and any(
            steered_in(self._store, facility, asset, begin_ms, end_ms) for asset in circuit.asset
        )


def _of_day(event: DemandResponse, loads: Days) -> Days:
    day = day_of(event.said)
    return {at: load for at, load in loads.items() if at == day}


def _event_days(kept: Commitment) -> list[str]:
    days: list[str] = json.loads(kept.leaf)["event_days"]
    return days
