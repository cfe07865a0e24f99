"""Takes events through their life: fixed at notice, answered by policy or person, watched while they run, settled after. Not the record, nor the plan.

Every step is on record before anybody is told. Any thread may call; what two do at once, the record decides.
"""

import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aggregator.accounts.compile import Accounts
from aggregator.accounts.record_file import RecordsRefused, RecordsUnusable
from aggregator.alarms import Alarms
from aggregator.emissions.registry import RegistryRefused
from aggregator.facility import Facility
from aggregator.flexibility.asked import Asked, Overridden
from aggregator.flexibility.baseline import NoBaseline, preset
from aggregator.flexibility.events.commitment import calendar_faults
from aggregator.flexibility.events.delivery import SHORT_PERCENT, Delivery
from aggregator.flexibility.events.event import STANDS, DemandResponse, Said
from aggregator.flexibility.events.measuring import QUARTER_MS, Measuring
from aggregator.flexibility.events.overrides import Override, Overrides
from aggregator.flexibility.events.planner import Planner
from aggregator.flexibility.events.record import EventRecord
from aggregator.flexibility.events.reporting import Reports, content, due
from aggregator.flexibility.settlement import REBOUND_H, Terms
from aggregator.ledger import LedgerError
from aggregator.measured_load import HOUR_MS
from aggregator.stores.store import Store, StoreError

log = logging.getLogger(__name__)

POLICY: Final = "policy"
OURSELVES: Final = "wattline"
ALARM_SHORT: Final = "response_short"
SETTLED_WITHIN_MS: Final = 2 * 86_400_000  # so long after its end what lacks to settle an event is waited for
# What one event may fail with in a round, without the others: figures, prices and factors that cannot be read now.
_FAILS: Final = (LedgerError, StoreError, RegistryRefused, RecordsUnusable, sqlite3.Error, OSError, ValueError)
LEAST_SHORTFALL_PRICE: Final = 5.0  # per kWh: what the planner takes for a promise (see `Asked`)


class Conduct:
    """Of one aggregator; it is what the planner asks (`asked.Asks`). Raises RecordsBusy, LedgerError, StoreError."""

    def __init__(
        self, record: EventRecord, accounts: Accounts, store: Store, alarms: Alarms, clock: Callable[[], int], planner: Planner | None = None
    ) -> None:  # fmt: skip
        self.record = record
        self.overrides = Overrides(record)
        self.reports = Reports(record)
        self.planner = planner or Planner()
        self.measuring = Measuring(record, accounts, store, clock, lambda: self.planner)
        self._accounts = accounts
        self._alarms = alarms
        self._clock = clock

    def facility(self, name: str) -> Facility:
        """As the settings have it."""
        return self._accounts.facilities[name]

    # -- what people and programs ask ------------------------------------------------------------------------------

    def said(self, facility: Facility, source: str, by: str, given: Mapping[str, Any]) -> Said:
        """An event in full: what is given, and the facility's policy for the rest. Raises RecordsRefused."""
        policy = facility.demand_response
        named = {**{key: getattr(policy, key) for key in ("pay_per_kwh", "penalty_per_kwh", "dead_band_percent", "cap_percent")}, **given}  # fmt: skip
        main = [meter.device for meter in facility.main_meters() if meter.carrier == "electricity"]
        meters = list(given.get("meters") or policy.meters or main)
        known = [meter.device for meter in facility.meters if meter.carrier == "electricity"]
        faults = [
            f"meters: expected some of {', '.join(known)}, got {device!r}" for device in meters if device not in known
        ]
        if not meters:
            faults.append("meters: expected a measuring point, the facility has no main meter of electricity")
        try:
            rules = preset(given.get("rules") or policy.rules)
        except ValueError as error:
            raise RecordsRefused([str(error)]) from error
        now_ms = self._clock()
        begin_ms = given["from_ms"]
        deadline_ms = given.get("deadline_ms") or min(begin_ms, now_ms + policy.answer_within_s * 1000)
        terms = Terms(
            *(float(named[key]) for key in ("pay_per_kwh", "penalty_per_kwh", "dead_band_percent", "cap_percent"))
        )
        made = Said(
            facility=facility.id, time_zone=facility.time_zone, interval_s=facility.interval_s, source=source,
            external_id=given.get("external_id", ""), priority=given.get("priority", 0), direction=given.get("direction", "down"),
            from_ms=begin_ms, to_ms=given["to_ms"], target_kw=float(given["target_kw"]), deadline_ms=deadline_ms, meters=meters, rules=rules,
            holidays=list(policy.holidays), terms=terms, currency=given.get("currency") or policy.currency, note=given.get("note", ""), by=by,
        )  # fmt: skip
        faults += calendar_faults(made)
        if faults:
            raise RecordsRefused(faults)
        return made

    def ask(self, said: Said) -> DemandResponse:
        """An event is received: fixed at once, and answered where the policy can. Raises RecordsRefused."""
        before = self.record.named(said.facility, said.source, said.external_id)
        event = self.record.add(said, self._clock())
        if before is not None:  # what stood does not any more
            self.planner.asked_anew(said.facility)
        return self.answered(event)

    def accept(self, no: int, by: str, reason: str = "") -> DemandResponse:
        """Raises RecordsRefused, also where it overlaps an event that stands and is not below it."""
        event = self.record.event(no)
        self.measuring.fixed(event)
        for other in self.record.events(event.said.facility, event.said.from_ms, event.said.to_ms):
            if other.no == no or other.state not in STANDS:
                continue
            if other.said.priority <= event.said.priority:
                raise RecordsRefused(
                    [
                        f"{event.id}: expected no event beside it that is as urgent, {other.id} stands with priority {other.said.priority}"
                    ]
                )
            self.opt_out(other.no, None, OURSELVES, f"{event.id} is more urgent")
        detail = {"firm_kw": None if (firm := self.planner.firm(event)) is None else firm.kw}
        event = self.record.step(no, "accepted", by, self._clock(), reason, detail)
        self.planner.asked_anew(event.said.facility)
        return event

    def decline(self, no: int, by: str, reason: str) -> DemandResponse:
        """Raises RecordsRefused."""
        return self.record.step(no, "declined", by, self._clock(), reason)

    def opt_out(
        self, no: int, from_ms: int | None, by: str, reason: str, detail: Mapping[str, Any] | None = None
    ) -> DemandResponse:
        """From an instant on, or now. Raises RecordsRefused."""
        if not reason.strip():
            raise RecordsRefused(["reason: expected words, got nothing"])
        event = self.record.event(no)
        now_ms = self._clock()
        at_ms = max(now_ms, from_ms or 0)
        if at_ms >= event.said.to_ms:
            raise RecordsRefused([f"from_ms: expected before the end ({event.said.to_ms}), got {at_ms}"])
        event = self.record.step(no, "opted_out", by, now_ms, reason, {"from_ms": at_ms, **(detail or {})})
        self._alarms.clear(event.said.facility, ALARM_SHORT, event.id)
        self.planner.asked_anew(event.said.facility)
        return event

    def cancel(self, no: int, by: str, reason: str) -> DemandResponse:
        """Whoever asked takes it back. Raises RecordsRefused."""
        event = self.record.step(no, "cancelled", by, self._clock(), reason)
        self._alarms.clear(event.said.facility, ALARM_SHORT, event.id)
        self.planner.asked_anew(event.said.facility)
        return event

    def override(self, facility: str, given: Mapping[str, Any], by: str) -> Override:
        """Raises RecordsRefused. An event that stands is opted out of where the whole facility is overridden; else the watch says what it breaks."""
        self._known(facility, given["scope"], given["name"])
        made = self.overrides.add(
            facility, given["scope"], given["name"], given["what"], given.get("kw"), given.get("from_ms") or 0, given["until_ms"], given["reason"], by,
            self._clock(),
        )  # fmt: skip
        if made.scope == "facility":
            for event in self.record.events(facility, made.from_ms, made.until_ms):
                if event.state in STANDS:
                    self.opt_out(event.no, made.from_ms, by, f"{made.id}: {made.reason}", {"override": made.id})
        self.planner.asked_anew(facility)
        return made

    def end_override(self, no: int, by: str, reason: str) -> Override:
        """Raises RecordsRefused."""
        ended = self.overrides.end(no, by, reason, self._clock())
        self.planner.asked_anew(ended.facility)
        return ended

    def _known(self, facility: str, scope: str, name: str) -> None:
        circuit = self.planner.circuit(facility)
        if circuit is None or scope == "facility":
            return
        names = [one.name for one in (circuit.asset if scope == "asset" else circuit.branch)]
        if name not in names:
            raise RecordsRefused([f"name: expected one of {', '.join(names)}, got {name!r}"])

    # -- what the planner asks -------------------------------------------------------------------------------------

    def of(self, facility: str, from_ms: int, until_ms: int) -> tuple[Sequence[Asked], Sequence[Overridden]]:
        """Events that stand, with their baselines, and overrides, as far as they touch [from_ms, until_ms)."""
        asked = [
            each
            for event in self.record.events(facility, from_ms, until_ms)
            if event.state in (*STANDS, "opted_out") and event.until_ms > max(from_ms, event.said.from_ms)
            if (each := self._asked(event)) is not None
        ]
        return asked, [each for one in self.overrides.of(facility, from_ms, until_ms) for each in self._overridden(one)]

    def _asked(self, event: DemandResponse) -> Asked | None:
        try:
            baseline_kw, _ = self.measuring.baseline(event)
        except (LedgerError, StoreError) as error:
            log.warning("event not asked event=%s reason=%s", event.id, error)
            return None
        if baseline_kw is None:
            return None
        said = event.said
        per_quarter = max(1, QUARTER_MS // said.interval_ms)
        quarters = [float(baseline_kw[at : at + per_quarter].mean()) for at in range(0, len(baseline_kw), per_quarter)]
        return Asked(
            event.id, said.facility, said.from_ms, event.until_ms, said.target_kw, said.direction, said.terms.pay_per_kwh, tuple(quarters),
            max(LEAST_SHORTFALL_PRICE, said.terms.penalty_per_kwh), said.rules.name,
        )  # fmt: skip

    def _overridden(self, one: Override) -> list[Overridden]:
        circuit = self.planner.circuit(one.facility)
        names = [one.name]
        if one.scope == "branch":
            names = [] if circuit is None else [asset.name for asset in circuit.below(one.name)]
        return [
            Overridden(one.id, one.facility, name, one.held_kw, one.from_ms, one.until_ms, one.by, one.reason)
            for name in names
        ]

    # -- what time brings ------------------------------------------------------------------------------------------

    def look(self) -> None:
        """One round over all events that something may still become of. What fails is logged and tried again."""
        for event in self.record.open(self._clock() - SETTLED_WITHIN_MS):
            try:
                self._advance(event)
            except RecordsRefused as error:
                log.info("event not moved on event=%s reason=%s", event.id, error)
            except _FAILS as error:
                log.warning("event not moved on event=%s reason=%s", event.id, error)

    def _advance(self, event: DemandResponse) -> None:
        now_ms = self._clock()
        if event.state == "received":
            event = self.answered(event)
        if event.state == "accepted" and self.planner.sent_at_ms(event) is not None:
            event = self.record.step(event.no, "dispatched", OURSELVES, now_ms, "", {"sent_at_ms": self.planner.sent_at_ms(event)})  # fmt: skip
        if event.state in STANDS:
            self._watch(event)
        began = event.until_ms > event.said.from_ms
        if event.state in (*STANDS, "opted_out") and began and now_ms >= event.said.to_ms:
            self._alarms.clear(event.said.facility, ALARM_SHORT, event.id)
            event = self.record.step(event.no, "ended", OURSELVES, now_ms)
        if event.state == "ended" or (event.state == "settled" and self._rebound_lacks(event)):
            self.settle(event)

    def settle(self, event: DemandResponse) -> None:
        """From what was fixed and the day's intervals, once they are there. Nothing is added where nothing has changed."""
        try:
            made = self.measuring.settlement(event)
        except NoBaseline as error:
            self._unsettled(event, str(error))
            return
        except ValueError as error:  # an interval is not settled yet
            if self._clock() > event.said.to_ms + SETTLED_WITHIN_MS - HOUR_MS:
                self._unsettled(event, str(error))
            return
        before = self.record.settlements(event.no)
        if not before or before[-1].result != made.result:
            self.record.settle(event.no, made.leaf, made.result, made.metered, self._clock(), made.detail)

    def answered(self, event: DemandResponse) -> DemandResponse:
        """By the policy where it can; nobody's answer until the deadline declines it."""
        self.measuring.fixed(event)
        now_ms = self._clock()
        policy = self.facility(event.said.facility).demand_response
        if policy.accept == "automatic":
            firm = self.planner.firm(event)
            least_kw = None if firm is None else firm.kw if firm.low_kw is None else firm.low_kw
            if least_kw is not None and event.said.target_kw <= least_kw:
                try:
                    return self.accept(event.no, POLICY, f"firm: {least_kw:.1f} kW")
                except RecordsRefused as error:
                    event = self.record.event(event.no)
                    if event.state != "received":  # somebody was first
                        return event
                    log.info("event left to a person event=%s reason=%s", event.id, error)
        if now_ms >= event.said.deadline_ms:
            return self.record.step(event.no, "declined", OURSELVES, now_ms, "nobody has answered until the deadline")
        return event

    def _watch(self, event: DemandResponse) -> None:
        """An alarm where a shortfall above 10 % is expected, and a report where the policy allows it; an override that brings it about is an opt-out of that part."""
        found = self.measuring.delivery(event)
        short_percent = found.short_percent
        short = short_percent is not None and short_percent > SHORT_PERCENT
        expected_kwh = found.expected_kwh or 0.0
        arguments = (f"{expected_kwh:.1f}", f"{found.target_kwh:.1f}", f"{short_percent or 0:.0f}")
        self._alarms.set(short, event.said.facility, ALARM_SHORT, event.id, *arguments)
        self._report(event, found)
        if not short or event.state != "dispatched":
            return
        told = {step.detail.get("override") for step in event.steps}
        for one in self.overrides.of(event.said.facility, max(event.said.from_ms, self._clock()), event.said.to_ms):
            if one.id not in told:
                detail = {"override": one.id, "opt_out": "part", "expected_kwh": round(expected_kwh, 3)}
                self.record.step(event.no, "dispatched", one.by, self._clock(), f"{one.id}: {one.reason}", detail)

    def _report(self, event: DemandResponse, found: Delivery) -> None:
        said = event.said
        if not self.facility(said.facility).demand_response.report_shortfall:
            return
        kind = due(self.reports.of(event), found.short_percent)
        if kind is not None:
            now_ms = self._clock()
            standing = self.overrides.of(said.facility, max(said.from_ms, now_ms), said.to_ms)
            report = self.reports.add(event, kind, content(found, standing), now_ms)
            log.info("event reported event=%s report=%d kind=%s", event.id, report.no, kind)

    def _unsettled(self, event: DemandResponse, why: str) -> None:
        if event.state == "ended":
            self.record.step(event.no, "unsettled", OURSELVES, self._clock(), why)

    def _rebound_lacks(self, event: DemandResponse) -> bool:
        """Whether the hours after it are over and its settlement does not know them yet."""
        found = self.record.settlements(event.no)
        end_ms = event.said.to_ms + round(REBOUND_H * HOUR_MS) + 2 * event.said.interval_ms
        return (
            bool(found)
            and json.loads(found[-1].result)["rebound_kwh"] is None
            and self._clock() > end_ms > found[-1].at_ms
        )
