"""A plan in words and figures for people: what binds when, what one more kWh costs, what it costs against doing without. Not the record that is replayed."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from aggregator.flexibility.modes import Mode, outcome
from aggregator.flexibility.operation.moved import loads, windows_kw
from aggregator.flexibility.operation.rolling import Planned
from aggregator.flexibility.operation.state import Signal
from aggregator.flexibility.operation.tariff import Tariff
from aggregator.flexibility.plan import Plan
from aggregator.flexibility.problem import Currency, Problem, ProblemFault, Series
from aggregator.flexibility.solve import Unsolved

AGAINST: Final[tuple[Mode, ...]] = ("uncontrolled", "rule_based")
LITTLE: Final = 1e-4  # of a dual: below it a limit is said to be free


def summary(planned: Planned, tariff: Tariff, *, compared: bool = True) -> dict[str, Any]:
    """All of it as JSON. `compared` False leaves out what needs the model once more."""
    plan, problem, made_of = planned.plan, planned.posed.problem, planned.made_of
    return {
        "trigger": list(planned.trigger),
        "status": planned.status,
        "why": planned.why,
        "edges_ms": list(made_of.edges_ms),
        "currency": tariff.currency,
        "money": {name: _round(value) for name, value in asdict(plan.money).items()} | {"total": _round(plan.money.paid)},
        "gap": _round(plan.gap),
        "kg": _kg(plan, problem, made_of.signals),
        "peak_kw": _round(float(plan.import_kw.max())),
        "outlook": made_of.outlook.basis,
        "load_kw": _series(problem.load_kw),
        "sun_kw": _series(problem.pv_kw),
        "import_kw": _series(plan.import_kw),
        "export_kw": _series(plan.export_kw),
        "curtailed_kw": _series(plan.curtailed_kw),
        "import_price": _series(problem.import_price),
        "export_price": _series(problem.export_price),
        "marginal_price": _series(plan.marginal_price),
        "assets": {
            name: {
                "asset": planned.posed.asset_of[name],
                "kw": _series(one.charge_kw - one.discharge_kw),
                "kwh": _series(one.energy_kwh),
            }
            for name, one in plan.assets.items()
        }
        | windows_kw(planned),
        "loads": loads(planned),
        "charging_mode": planned.state.charging,
        "stays": [
            {
                "session": one.session, "asset": one.asset, "departs_ms": one.departs_ms, "held_kwh": _round(one.held_kwh),
                "need_kwh": _round(one.need_kwh), "basis": one.basis, "gives_back": one.gives_back,
            }
            for one in planned.state.stays
        ],
        "lacking": [asdict(one) for one in planned.lacking],
        "broken": [asdict(one) for one in plan.broken[:200]],
        "left_out": list(planned.posed.left_out),
        "notes": list(planned.posed.notes),
        "explained": explained(planned, tariff),
        "against": against(problem, plan, made_of.signals) if compared and planned.status != "stale" else {},
    }  # fmt: skip


def explained(planned: Planned, tariff: Tariff) -> list[dict[str, Any]]:
    """Spans of the same reason: [from_ms, until_ms), what one more kWh would cost, which limits bind, and both in words."""
    plan, problem, edges_ms = planned.plan, planned.posed.problem, planned.made_of.edges_ms
    told = problem.carbon
    carbon = np.zeros(problem.steps) if told is None else told.kg_per_kwh * told.price_per_kg
    binding: dict[int, dict[str, Currency]] = {}
    for one in plan.binding:
        if abs(one.money_per_unit) > LITTLE:
            at = binding.setdefault(one.step, {})
            at[one.limit] = at.get(one.limit, 0.0) + abs(one.money_per_unit)
    spans: list[dict[str, Any]] = []
    for step in range(problem.steps):
        price = _round(float(plan.marginal_price[step]))
        limits = sorted(binding.get(step, {}))
        if spans and spans[-1]["binding"] == limits and abs(spans[-1]["marginal_price"] - price) < LITTLE:
            spans[-1]["until_ms"] = edges_ms[step + 1]
            continue
        words = _words(
            price, float(problem.import_price[step]), float(carbon[step]), binding.get(step, {}), tariff.currency,
            curtailed=bool(plan.curtailed_kw[step] > 0.01),
        )  # fmt: skip
        spans.append(
            {"from_ms": edges_ms[step], "until_ms": edges_ms[step + 1], "marginal_price": price, "binding": limits, "words": words}
        )  # fmt: skip
    return spans


def _words(
    price: Currency, energy: Currency, carbon: Currency, worth: dict[str, Currency], currency: str, *, curtailed: bool
) -> str:
    unit = f"{currency} " if currency else ""
    said = f"one more kWh costs {unit}{price:.3f}"
    if worth:
        named = ", ".join(f"{name} (one unit more would save {unit}{worth[name]:.3f})" for name in sorted(worth))
        return f"{said}; what binds: {named}"
    bought = f"energy {energy:.3f}" + (f" and carbon {carbon:.3f}" if carbon else "")
    if abs(price - energy - carbon) < LITTLE:
        return f"{said}: {bought}, and nothing binds"
    if curtailed:
        return f"{said}: sun is thrown away"
    return f"{said}, while {bought} are to be paid: what can store or wait takes it from another time"


def against(problem: Problem, plan: Plan, signals: Sequence[Signal], budget_s: float = 5.0) -> dict[str, Any]:
    """The same horizon uncontrolled and by simple rules: money, kg and peak, and what the plan saves. A mode that cannot be judged is left out."""
    found: dict[str, Any] = {}
    for mode in AGAINST:
        try:
            other = outcome(problem, mode, budget_s).plan
        except (Unsolved, ProblemFault):
            continue
        kg, ours = _kg(other, problem, signals), _kg(plan, problem, signals)
        found[mode] = {
            "money": _round(other.money.paid), "saved_money": _round(other.money.paid - plan.money.paid), "kg": kg,
            "saved_kg": {name: _round(kg[name] - ours[name]) for name in kg}, "peak_kw": _round(float(other.import_kw.max())),
        }  # fmt: skip
    return found


def _kg(plan: Plan, problem: Problem, signals: Sequence[Signal]) -> dict[str, float]:
    """Under each signal that is known, whichever of them was planned with."""
    return {one.name: _round(float((plan.import_kw * one.kg_per_kwh * problem.step_h).sum())) for one in signals}


def _round(value: float) -> float:
    return round(value, 4) + 0.0


def _series(values: Series) -> list[float]:
    return [float(one) for one in np.round(values, 4) + 0.0]
