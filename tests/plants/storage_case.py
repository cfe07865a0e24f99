"""Another optimiser's storage cases (evcc-io/optimizer, MIT): its request as our problem, and its own objective, stated a second time.

Its model, as its page on objective terms and its source say it: energies in Wh per step, money per Wh. A schedule's worth is money (import, export, what
the storage holds at the end) less penalties (limits, goals and demands not met) plus preferences (a strategy's small weights); more is better.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aggregator.flexibility.plan import Plan
from aggregator.flexibility.problem import DemandCharge, Goal, Problem, Storage, Wanted

Energies = npt.NDArray[np.float64]
LEVELLED: dict[str, tuple[Literal["import", "export"], ...]] = {
    "attenuate_feedin_peaks": ("export",),
    "attenuate_demand_peaks": ("import",),
    "attenuate_grid_peaks": ("import", "export"),
}


@dataclass
class Case:
    """A request with the weights that its optimiser derives from it."""

    request: dict[str, Any]
    dt_h: Energies = field(init=False)
    base: float = field(init=False)

    def __post_init__(self) -> None:
        series = self.request["time_series"]
        self.dt_h = np.array(series["dt"]) / 3600
        self.load, self.pv = np.array(series["gt"]), np.array(series["ft"])
        self.buy, self.sell = np.array(series["p_N"]), np.array(series["p_E"])
        self.batteries = [
            {"charge_from_grid": False, "discharge_to_grid": False, "c_priority": 0, "s_capacity": one["s_max"]} | one
            for one in self.request["batteries"]
        ]
        self.base = max(self.buy.max(), self.sell.max(), 1e-4, *(one["p_a"] for one in self.batteries))
        self.steps = len(self.dt_h)
        self.left = self.steps - np.arange(self.steps)
        self.ratio_in, self.ratio_out = self.request.get("eta_c", 0.95), self.request.get("eta_d", 0.95)
        self.export_w: float | None = self.request.get("grid", {}).get("p_max_exp")
        assert self.request.get("grid", {}).get("p_max_imp") is None
        strategy = self.request.get("strategy", {})
        cheapest, count = self.buy.min(), len(self.batteries)
        self.export_weight = (
            cheapest * 2e-5 * self.left * count * (strategy.get("charging_strategy") == "charge_before_export")
        )
        self.import_weight = (
            cheapest * 5e-6 * self.left * count * (strategy.get("discharging_strategy") == "discharge_before_import")
        )
        self.use_weight = [cheapest * 5e-5 * self.left * one["c_priority"] for one in self.batteries]
        self.levelled = LEVELLED.get(strategy.get("charging_strategy", ""), ())
        self.demand_price = self.base * 100 * (1 + self.left / self.steps)
        self.lost_price: Energies = self.base * 100 * (1 - np.arange(self.steps) * 1e-5)

    def problem(self) -> Problem:
        """In kW, kWh and money per kWh; preferences are part of the prices."""
        storage = [self._storage(number, one) for number, one in enumerate(self.batteries)]
        most = np.array(
            [
                (self.load / self.dt_h).max() + sum(one["c_max"] for one in self.batteries),
                (self.pv / self.dt_h).max() + sum(one["d_max"] for one in self.batteries),
            ]
        )
        return Problem(
            step_h=self.dt_h, load_kw=self.load / self.dt_h / 1000, pv_kw=self.pv / self.dt_h / 1000,
            import_price=(self.buy + self.import_weight) * 1000, export_price=(self.sell - self.export_weight) * 1000,
            import_limit_kw=most[0] / 1000, export_limit_kw=(most[1] if self.export_w is None else self.export_w) / 1000, storage=storage,
            demand=[DemandCharge(side, self.base * 1e-3 * 1000, np.ones(self.steps, dtype=bool), of=side) for side in self.levelled],
            curtailable=self.export_w is not None, curtailment_price=self.lost_price * 1000, curtailed_at_limit=True, exact_least=True, emergency_price_per_kwh=self.base * 1e7,
        )  # fmt: skip

    def _storage(self, number: int, one: dict[str, Any]) -> Storage:
        wanted = None
        if one.get("p_demand"):
            wanted = Wanted(np.array(one["p_demand"]) / self.dt_h / 1000, self.demand_price * 1000)
        goals = [
            Goal(step, kwh / 1000, self.base * 100 * 1000)
            for step, kwh in enumerate(one.get("s_goal") or [])
            if step and kwh > 0
        ]
        return Storage(
            f"battery {number}", one["s_max"] / 1000, one["s_initial"] / 1000, one["c_max"] / 1000, one["d_max"] / 1000, self.ratio_in, self.ratio_out,
            one["s_min"] / 1000, end_value_per_kwh=one["p_a"] * 1000, shortfall_price_per_kwh=self.base * 1e6 / self.dt_h.max(),
            least_kw=one["c_min"] / 1000, from_grid=one["charge_from_grid"], to_grid=one["discharge_to_grid"], goals=tuple(goals), wanted=wanted,
            use_price=-self.use_weight[number] * 1000 if one["c_priority"] else None,
        )  # fmt: skip

    def of_plan(self, found: Plan) -> "Worth":
        charge = [
            found.assets[f"battery {number}"].charge_kw * self.dt_h * 1000 for number in range(len(self.batteries))
        ]
        discharge = [
            found.assets[f"battery {number}"].discharge_kw * self.dt_h * 1000 for number in range(len(self.batteries))
        ]
        return self.worth(charge, discharge)

    def of_answer(self, answer: dict[str, Any]) -> "Worth":
        return self.worth(
            [np.array(one["charging_power"]) for one in answer["batteries"]],
            [np.array(one["discharging_power"]) for one in answer["batteries"]],
        )

    def worth(self, charge: list[Energies], discharge: list[Energies]) -> "Worth":
        """From charging and discharging alone (Wh of each step): everything else follows."""
        net = self.load - self.pv + sum(charge) - sum(discharge)
        bought, out = np.maximum(net, 0.0), np.maximum(-net, 0.0)
        most = np.full(self.steps, np.inf) if self.export_w is None else self.export_w * self.dt_h
        sold, lost = np.minimum(out, most), np.maximum(out - most, 0.0)
        held = [
            one["s_initial"] + np.cumsum(self.ratio_in * c - d / self.ratio_out)
            for one, c, d in zip(self.batteries, charge, discharge, strict=True)
        ]
        money = float((sold * self.sell - bought * self.buy).sum())
        told = money + sum(float(s[-1] - s[0]) * one["p_a"] for s, one in zip(held, self.batteries, strict=True))
        money += sum(float(s[-1]) * one["p_a"] for s, one in zip(held, self.batteries, strict=True))
        penalty, breaches = float((lost * self.lost_price).sum()), []
        preference = -float((sold * self.export_weight + bought * self.import_weight).sum())
        for side, flow in (("import", bought), ("export", sold + lost)):
            if side in self.levelled:
                preference -= self.base * 1e-3 * float((flow / self.dt_h).max())
        for number, (one, c, d, s) in enumerate(zip(self.batteries, charge, discharge, held, strict=True)):
            preference += float(((c + d) * self.use_weight[number]).sum())
            penalty += (
                self.base * 1000 * float((np.maximum(s - one["s_max"], 0) + np.maximum(one["s_min"] - s, 0)).sum())
            )
            goal = np.array(one.get("s_goal") or np.zeros(self.steps))
            penalty += self.base * 100 * float(np.maximum(goal - s, 0)[1:][goal[1:] > 0].sum())
            wanted = np.minimum(np.array(one.get("p_demand") or np.zeros(self.steps)), one["c_max"] * self.dt_h)
            asked = (wanted > 0) & (s < one["s_max"] - ROUNDED)
            penalty += float((np.maximum(wanted - c, 0) * self.demand_price)[asked].sum())
            breaches += [
                f"battery {number}: {said}"
                for said, broken in self._rules(one, c, d, s, bought, sold, wanted)
                if broken.any()
            ]
        return Worth(told, money - penalty + preference, penalty, breaches)

    def _rules(
        self,
        one: dict[str, Any],
        c: Energies,
        d: Energies,
        s: Energies,
        bought: Energies,
        sold: Energies,
        wanted: Energies,
    ) -> Any:
        least = one["c_min"] * self.dt_h
        topping = (wanted > 0) & (one["s_max"] - s <= least + ROUNDED)
        yield "above its capacity", s > one["s_capacity"] + ROUNDED
        yield "below empty", s < -ROUNDED
        yield "charges too much", c > one["c_max"] * self.dt_h + ROUNDED
        yield "discharges too much", d > one["d_max"] * self.dt_h + ROUNDED
        yield "charges and discharges", np.minimum(c, d) > ROUNDED
        yield "charges below its least", (c > ROUNDED) & (c < least - ROUNDED) & ~topping
        if not one["charge_from_grid"]:
            yield "charges while the site imports", np.minimum(c, bought) > ROUNDED
        if not one["discharge_to_grid"]:
            yield "discharges while the site exports", np.minimum(d, sold) > ROUNDED


ROUNDED = 1.0  # Wh: what the stored answers' rounding may come to, as its own tests allow


@dataclass(frozen=True)
class Worth:
    """`told`: as its answers state it, without penalties and preferences and with what is held after the first step taken off. `whole`: what it maximises."""

    told: float
    whole: float
    penalty: float
    breaches: list[str]
