"""Plans of all steered facilities while the aggregator runs: each minute, and at once when something happens. Not what a plan is made of, nor how it is sent.

```
every minute, or a nudge -> state -> is anything not as the last plan has it? -> no: counted, nothing is solved
                                                                             -> yes: plan -> record, alarms -> schedules -> offers
```
An edge leaves a plan that it has not heard of for 15 minutes: what still stands goes out again every five.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aggregator.accounts.record_file import RecordsBusy
from aggregator.alarms import Alarms
from aggregator.flexibility.operation.moved import loads
from aggregator.flexibility.operation.posed import problem_of
from aggregator.flexibility.operation.rolling import NoPlan, Planned, Rolling
from aggregator.flexibility.operation.schedules import Draft
from aggregator.flexibility.operation.summary import summary
from aggregator.flexibility.problem import ProblemFault
from aggregator.flexibility.solve import Unsolved
from aggregator.forecasts.issued import ForecastsUnusable
from aggregator.ledger import LedgerError
from aggregator.planning.gather import Gathered
from aggregator.planning.offering import beside, offered
from aggregator.planning.plan_book import PlanBook
from aggregator.planning.sending import Sending
from aggregator.stores.store import StoreError
from wire.clock import Clock

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0  # of the injected clock
SHORTEST_S: Final = 1.0  # real; an accelerated clock shall not turn this into a busy loop
OFFER_MS: Final = 300_000
REFRESH_MS: Final = 300_000
FORGET_EVERY: Final = 100  # plans
SHORT: Final = "departure_short"
LOAD_SHORT: Final = "load_short"
LITTLE_KWH: Final = 0.05
STALE: Final = "plan_stale"
OVER: Final = "plan_over_limit"
HARD: Final = ("connection", "branch")
_FAILS = (LedgerError, StoreError, ForecastsUnusable, RecordsBusy, ProblemFault, NoPlan, Unsolved, sqlite3.Error)


@dataclass(slots=True)
class Line:
    """One facility's planning: how its state is found, its plans, the last one's number, when offers were made and on which assets (None: all)."""

    gathered: Gathered
    rolling: Rolling
    plan: int = 0
    offered_ms: int = 0
    sent_ms: int = 0
    failed: str = ""
    drilled: frozenset[str] | None = None


class PlanRounds:
    """All facilities. `nudge` may come from any thread."""

    def __init__(
        self, lines: Mapping[str, Line], book: PlanBook, sending: Sending, alarms: Alarms, clock: Clock
    ) -> None:
        self.lines = dict(lines)
        self.book = book
        self.sending = sending
        self._alarms = alarms
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nudged: dict[str, asyncio.Event] = {}

    def nudge(self, facility: str) -> None:
        """Something has happened there: its plan is looked at now."""
        event, loop = self._nudged.get(facility), self._loop
        if event is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(event.set)

    async def run(self) -> None:
        """For ever; cancel to stop."""
        self._loop = asyncio.get_running_loop()
        self._nudged = {facility: asyncio.Event() for facility in self.lines}
        async with asyncio.TaskGroup() as group:
            for facility in self.lines:
                group.create_task(self._facility(facility), name=f"plans of {facility}")
            group.create_task(self._watch(), name="schedules")

    async def _facility(self, facility: str) -> None:
        nudged = self._nudged[facility]
        while True:
            await self.look(facility)
            await asyncio.sleep(SHORTEST_S)  # what comes in one burst is one change
            try:
                async with asyncio.timeout(self._clock.real_s(LOOK_S)):
                    await nudged.wait()
            except TimeoutError:
                pass
            nudged.clear()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(max(self._clock.real_s(LOOK_S), SHORTEST_S))
            try:
                await self.sending.watch()
            except RecordsBusy as error:
                log.warning("schedules not looked after, tried again reason=%s", error)

    async def look(self, facility: str) -> Planned | None:
        """One look: the plan that was made, if one was due. What fails is logged, told once, and tried again."""
        line = self.lines[facility]
        try:
            found = await asyncio.to_thread(self._plan, line)
            told = found or self._standing(line)
            if told is not None:
                planned, drafts = told
                until_ms = planned.made_of.edges_ms[-1]
                if until_ms > self._clock():
                    line.sent_ms = self._clock()
                    sha256 = line.rolling.circuit.sha256
                    await self.sending.issue(line.plan, facility, drafts, until_ms, sha256)
            await asyncio.to_thread(self._offer, line, changed=found is not None)
        except _FAILS as error:
            if str(error) != line.failed:
                log.warning("no plan facility=%s reason=%s", facility, error)
            line.failed = str(error)
            self._alarms.raise_alarm(facility, STALE, facility, str(error)[:200])
            return None
        except Exception as error:  # one facility must not end the plans of all; what it was stands in the log
            log.exception("no plan facility=%s", facility)
            self._alarms.raise_alarm(facility, STALE, facility, repr(error)[:200])
            return None
        line.failed = ""
        return None if found is None else found[0]

    def _plan(self, line: Line) -> tuple[Planned, dict[str, Draft]] | None:
        state = line.gathered.state(self._clock())
        trigger = line.rolling.due(state)
        if not trigger:
            return None
        planned, drafts = line.rolling.replan(state, trigger)
        told = summary(planned, line.rolling.tariff)
        line.plan = self.book.add(planned, told, line.rolling.circuit.sha256, line.rolling.budget_s)
        log.info(
            "plan made facility=%s id=plan-%d status=%s trigger=%s took_ms=%.0f", planned.facility, line.plan, planned.status,
            ",".join(trigger), planned.plan.solve_s * 1000,
        )  # fmt: skip
        self._tell(planned)
        if line.plan % FORGET_EVERY == 0:
            self.book.forget(self._clock())
        return planned, drafts

    def _standing(self, line: Line) -> tuple[Planned, dict[str, Draft]] | None:
        """The plan that stands, where the edges have not heard of it for a while."""
        planned = line.rolling.last
        if planned is None or self._clock() - line.sent_ms < REFRESH_MS:
            return None
        return planned, line.rolling.told(planned)

    def _tell(self, planned: Planned) -> None:
        """Alarms: vehicles that will lack energy, limits that even the plan cannot keep, plans that were not found."""
        facility = planned.facility
        self._alarms.set(planned.status == "stale", facility, STALE, facility, planned.why[:200])
        short = {one.asset: one for one in planned.lacking if not one.likely}
        for asset in self.lines[facility].rolling.circuit.asset:
            one = short.get(asset.name)
            self._alarms.set(one is not None, facility, SHORT, asset.name, "" if one is None else f"{one.kwh:.1f}")
        lacking: dict[str, float] = {}
        for load in loads(planned):
            lacking[load["asset"]] = lacking.get(load["asset"], 0.0) + load["lacking_kwh"]
        for name, kwh in lacking.items():
            self._alarms.set(kwh > LITTLE_KWH, facility, LOAD_SHORT, name, f"{kwh:.1f}")
        over = sorted({f"{one.kind} {one.name}" for one in planned.plan.broken if one.kind in HARD})
        self._alarms.set(bool(over), facility, OVER, facility, ", ".join(over)[:200])

    def _offer(self, line: Line, *, changed: bool) -> None:
        planned, now_ms = line.rolling.last, self._clock()
        if planned is None or not (changed or now_ms - line.offered_ms >= OFFER_MS):
            return
        state = planned.made_of if changed else line.gathered.state(now_ms)
        posed = None if changed else problem_of(line.rolling.circuit, line.rolling.tariff, state, line.rolling.zone)
        line.drilled = line.gathered.drilled(now_ms)
        line.offered_ms = now_ms
        told = offered(beside(planned, posed, state.edges_ms), line.drilled)
        self.book.offer(planned.facility, line.plan, now_ms, told)
