"""All of an aggregator's planning, put together: what is told, planned, kept, sent and offered. Not one of these by itself."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aggregator.alarms import Alarms
from aggregator.commands import Session
from aggregator.facility import Facility
from aggregator.flexibility.asked import Asks
from aggregator.flexibility.events.event import DemandResponse, Firm
from aggregator.flexibility.events.planner import Planner
from aggregator.flexibility.events.trace import Sent
from aggregator.flexibility.operation.rolling import Planned, Rolling
from aggregator.flexibility.problem import ProblemFault
from aggregator.flexibility.solve import Unsolved
from aggregator.forecasting import Forecasting
from aggregator.ledger import Ledger
from aggregator.newest import NewestReadings
from aggregator.planning.gather import Gathered
from aggregator.planning.offering import beside, firm_kw
from aggregator.planning.plan_book import PLANS_NAME, PlanBook
from aggregator.planning.rounds import Line, PlanRounds
from aggregator.planning.sending import Sending
from aggregator.planning.stays import NEEDS
from aggregator.planning.told_book import ToldFile
from aggregator.sessions import TRANSACTION
from aggregator.settings import Settings
from aggregator.stores.store import Store
from wire.circuit import Circuit
from wire.clock import Clock
from wire.keys import SigningKey
from wire.reading import Event

log = logging.getLogger(__name__)

NEWS: Final = (TRANSACTION, NEEDS)
PLANS_LOOKED_AT: Final = 500
SENT_TRACED: Final = 16  # schedules of an event
BEFORE_MS: Final = 60_000


class Planning:
    """Of one aggregator. Facilities without circuit and tariff are not planned."""

    def __init__(
        self, settings: Settings, *, store: Store, ledger: Ledger, newest: NewestReadings, forecasting: Forecasting,
        flow: Callable[[str], Mapping[str, Any]], asks: Asks, alarms: Alarms, key: SigningKey, store_id: str, clock: Clock,
        session: Callable[[], Session | None],
    ) -> None:  # fmt: skip
        """Raises RecordsUnusable."""
        self.steered = settings.steered
        self.book = PlanBook(settings.data_directory / PLANS_NAME)
        self.told = ToldFile(settings.data_directory / PLANS_NAME)
        self.clock = clock
        edges = {facility: _edges(one.circuit) for facility, one in self.steered.items()}
        self.sending = Sending(self.book, key, store_id, edges, alarms, clock, session)
        lines = {}
        for facility in settings.facilities:
            if facility.id in self.steered:
                gathered = self._gathered(facility, store, ledger, newest, forecasting, flow, asks)
                steered = self.steered[facility.id]
                lines[facility.id] = Line(gathered, Rolling(steered.circuit, steered.tariff, facility.zone))
        self.rounds = PlanRounds(lines, self.book, self.sending, alarms, clock)

    def _gathered(
        self, facility: Facility, store: Store, ledger: Ledger, newest: NewestReadings, forecasting: Forecasting,
        flow: Callable[[str], Mapping[str, Any]], asks: Asks,
    ) -> Gathered:  # fmt: skip
        return Gathered(
            facility, self.steered[facility.id], store=store, ledger=ledger, newest=newest, forecasting=forecasting, flow=flow,
            asks=asks, told=self.told,
        )  # fmt: skip

    def close(self) -> None:
        """Idempotent."""
        self.book.close()
        self.told.close()

    def heard(self, facility: str, events: Sequence[Event]) -> None:
        """Events of a batch: a vehicle that comes, goes or tells its needs is planned at once. From any thread."""
        if any(event.kind in NEWS for event in events):
            self.rounds.nudge(facility)

    def current(self, facility: str) -> Planned | None:
        """The plan that stands; None where there is none."""
        line = self.rounds.lines.get(facility)
        return None if line is None else line.rolling.last

    def planner(self) -> Planner:
        """What those who conduct events ask of the plans."""
        return Planner(
            self.firm, self.delivering_kw, self.sent_at_ms, self._circuit, self.rounds.nudge, self.told_plan, self.told_offers,
            self.sent_for,
        )  # fmt: skip

    def firm(self, event: DemandResponse) -> Firm | None:
        """What is firm throughout an event beside the plan; None without a plan that reaches so far."""
        planned, said = self.current(event.said.facility), event.said
        if planned is None:
            return None
        try:
            drilled = self.rounds.lines[said.facility].drilled
            found = firm_kw(beside(planned), said.direction, said.from_ms, said.to_ms, drilled)
        except (ProblemFault, Unsolved) as error:
            log.warning("nothing is known to be firm facility=%s event=%s reason=%s", said.facility, event.id, error)
            return None
        if found is None:
            return None
        return Firm(round(found[0], 3), round(found[1], 3), planned.made_ms, self._plan_id(said.facility))

    def delivering_kw(self, event: DemandResponse) -> Sequence[float] | None:
        """What the plan delivers in each interval of an event; None where it does not answer it."""
        planned, said = self.current(event.said.facility), event.said
        if planned is None or event.id not in planned.plan.responses_kw:
            return None
        edges_ms, kw = planned.made_of.edges_ms, planned.plan.responses_kw[event.id]
        found = []
        for begin_ms in range(said.from_ms, said.to_ms, said.interval_ms):
            middle_ms = begin_ms + said.interval_ms // 2
            step = next((at for at, edge_ms in enumerate(edges_ms[1:]) if middle_ms < edge_ms), len(kw) - 1)
            found.append(float(kw[step]))
        return found

    def sent_at_ms(self, event: DemandResponse) -> int | None:
        """When schedules that answer an event went out first; None while none has."""
        planned = self.current(event.said.facility)
        if planned is None or event.id not in planned.plan.responses_kw:
            return None
        rows = self.book.schedules(self.rounds.lines[event.said.facility].plan)
        return min((row.issued_at_ms for row in rows if row.state != "not_sent"), default=None)

    def told_plan(self, facility: str) -> dict[str, Any] | None:
        """The newest plan in words and figures, with its id and what kind each asset is; None where there is none."""
        line = self.rounds.lines.get(facility)
        row = None if line is None or not line.plan else self.book.one(line.plan)
        if line is None or row is None:
            return None
        kinds = {asset.name: asset.kind for asset in line.rolling.circuit.asset}
        return {"id": row.id, "made_ms": row.made_ms, "kinds": kinds, **self.book.summary(row.no)}

    def told_offers(self, facility: str) -> dict[str, Any] | None:
        """The newest offers, with when they were made; None where there are none."""
        found = self.book.offered(facility)
        return None if found is None else {"at_ms": found["made_ms"], **found}

    def sent_for(self, event: DemandResponse) -> list[Sent]:
        """The first schedules since an event was accepted, oldest first."""
        accepted = event.last("accepted")
        if accepted is None:
            return []
        rows = self.book.recent(event.said.facility, PLANS_LOOKED_AT)
        begun_ms = accepted.at_ms - BEFORE_MS  # a plan that was begun before may have read that it is accepted
        since = [row for row in reversed(rows) if begun_ms <= row.made_ms < event.said.to_ms]
        found = [
            Sent(
                row.id, row.made_ms, row.trigger, one.id, one.edge, one.issued_at_ms, one.state,
                one.at_ms if one.state in ("taken", "refused") else None,
            )
            for row in since
            for one in self.book.schedules(row.no)
            if one.issued_at_ms >= accepted.at_ms
        ]  # fmt: skip
        return found[:SENT_TRACED]

    def _circuit(self, facility: str) -> Circuit | None:
        steered = self.steered.get(facility)
        return None if steered is None else steered.circuit

    def _plan_id(self, facility: str) -> str:
        return f"plan-{self.rounds.lines[facility].plan}"


def _edges(circuit: Circuit) -> list[str]:
    return sorted({asset.edge for asset in circuit.asset} | {branch.edge for branch in circuit.branch if branch.edge})
