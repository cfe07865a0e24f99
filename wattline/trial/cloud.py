"""The aggregator's part of a trial: what is known every few minutes and at once on news, the rolling plan of it, and its schedule on the way to the edge. No store."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from aggregator.flexibility.operation.network import Background
from aggregator.flexibility.operation.rolling import Rolling
from aggregator.flexibility.operation.schedules import Draft
from aggregator.flexibility.operation.state import HOUR_MS, Held, Signal, State, edges_from, leaving
from aggregator.flexibility.operation.tariff import DemandRule, Period, Tariff, ToldPrices
from aggregator.flexibility.problem import Currency
from wattline.trial.gateway import EDGE, TrialGateway
from wattline.trial.grid import Grid
from wattline.trial.outlook import History
from wattline.trial.vehicles import CarPark
from wattline.trial.watch import Watch
from wire.circuit import Circuit

LOOK_EVERY_MS: Final = 300_000
ISSUER: Final = "trial"
_PEAK: Final = "peak"
_SPARE_RATIO: Final = 0.08  # of the connection: what the edge keeps free of it, and what load moves within a quarter
# Far above what a kWh can cost in energy and peak: 1 kWh more within a quarter is 4 kW of demand, within five minutes 12 kW.
_UNSERVED_PER_KWH: Final = 500.0


def tariff_of(grid: Grid, demand_price_per_kw: Currency, carbon_price_per_kg: Currency) -> Tariff:
    """Prices are told hour by hour, so the period is only what would hold without them."""
    period = Period("told hour by hour", sum(grid.prices) / len(grid.prices))
    demand = (DemandRule(_PEAK, demand_price_per_kw),) if demand_price_per_kw else ()
    return Tariff(
        (period,),
        grid.currency,
        demand=demand,
        carbon_price_per_kg=carbon_price_per_kg,
        unserved_per_kwh=_UNSERVED_PER_KWH,
    )


class Cloud:
    """Plans for one car park, handed over to its gateway."""

    def __init__(
        self, circuit: Circuit, tariff: Tariff, grid: Grid, history: History, park: CarPark, gateway: TrialGateway, watch: Watch,
    ) -> None:  # fmt: skip
        self._circuit, self._grid, self._history, self._park, self._gateway = circuit, grid, history, park, gateway
        self._watch = watch
        connection = circuit.connection
        limit_kva = connection.limit_kva or (connection.limit_a or 0.0) * connection.nominal_v * math.sqrt(3) / 1000
        self._spare_kva = _SPARE_RATIO * limit_kva
        self.rolling = Rolling(circuit, tariff, park.simulated.plan.zone)
        self.triggers: dict[str, int] = {}
        self.number = 0

    def consider(self, now_ms: int) -> None:
        """Plans anew where the last plan is no longer right. Raises NoPlan, ProblemFault."""
        state = self._state(now_ms)
        due = self.rolling.due(state)
        if not due:
            return
        for word in due:
            self.triggers[word] = self.triggers.get(word, 0) + 1
        planned, drafts = self.rolling.replan(state, due)
        announced = {
            one.session: one.kwh for one in planned.announced
        }  # surely, or with the load and the sun of one day in ten
        for session in planned.new_sessions:
            self._park.known[session].announced_kwh = announced.get(session, 0.0)
        self.number += 1
        draft = drafts.get(EDGE, Draft())
        until_ms = state.edges_ms[-1]
        self._gateway.hand_over(
            draft.schedule(f"plan-{self.number}", ISSUER, self.number, now_ms, until_ms, self._circuit.sha256)
        )

    def _state(self, now_ms: int) -> State:
        stays = self._park.stays(now_ms)
        edges_ms = edges_from(now_ms, cuts=leaving(stays, now_ms))
        held, silent = self._held()
        return State(
            self._circuit.facility, now_ms, edges_ms, self._history.outlook(edges_ms), held, stays,
            background={self._circuit.connection.name: Background(spare_kva=self._spare_kva)},
            peaks_kw={_PEAK: self._watch.peak_kw}, told_prices=self._told(edges_ms), silent=silent,
            signals=(Signal("accounting", np.array([self._grid.kg(at_ms) for at_ms in edges_ms[:-1]]), self._grid.source),),
        )  # fmt: skip

    def _held(self) -> tuple[list[Held], list[str]]:
        """What the batteries hold, by their own word; those that say nothing are silent."""
        held, silent = [], []
        for asset in self._circuit.asset:
            if asset.kind != "battery":
                continue
            told = self._gateway.latest(asset.device, "state_of_charge_percent")
            if told is None or asset.capacity_kwh is None:
                silent.append(asset.name)
            else:
                held.append(Held(asset.name, told[1] / 100 * asset.capacity_kwh, told[0]))
        return held, silent

    def _told(self, edges_ms: Sequence[int]) -> ToldPrices:
        first_ms = edges_ms[0] // HOUR_MS * HOUR_MS
        hours = range(first_ms, edges_ms[-1] + HOUR_MS, HOUR_MS)
        return ToldPrices(
            self._grid.source, tuple((at_ms, at_ms + HOUR_MS, self._grid.price(at_ms), None) for at_ms in hours)
        )
