"""`wattline plan compare` and `wattline plan pareto`: the same day in every way of charging, and what less carbon costs. Not the modes themselves."""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from aggregator.flexibility.cost_against_kg import break_evens, choices
from aggregator.flexibility.measures import LIFE_CYCLES, LIFE_YEARS, Measures, cycles_allowed, measures
from aggregator.flexibility.modes import MODES, Mode, Outcome, outcome
from aggregator.flexibility.plan import Plan
from aggregator.flexibility.problem import Problem

_SAID: Final[dict[Mode, str]] = {
    "uncontrolled": "uncontrolled",
    "rule_based": "simple rules",
    "one_way": "one-way ordered",
    "rolling": "two-way, rolling",
    "two_way": "two-way ordered",
}
_HEAD: Final = (
    "",
    "cost",
    "penalties",
    "kg CO2e",
    "peak kW",
    "step kW",
    "vehicles kWh",
    "short kWh",
    "over limit h",
    "cycles/day",
)


def compare(problem: Problem, options: argparse.Namespace) -> int:
    """The table of modes; 0. Raises ProblemFault, Unsolved."""
    found = [outcome(problem, mode, options.budget_s) for mode in MODES]
    if options.json:
        print(json.dumps([_record(problem, one) for one in found]))
    else:
        print("\n".join(_table(problem, found)))
    return 0


def counterfactuals(problem: Problem, found: Plan, budget_s: float) -> Iterator[str]:
    """What the plan saves against what would have been. Raises ProblemFault, Unsolved."""
    for mode in ("uncontrolled", "rule_based"):
        would = outcome(problem, mode, budget_s).plan
        cost, kg = _cost(would) - _cost(found), None if would.kg is None or found.kg is None else would.kg - found.kg
        carbon = "" if kg is None else f", {kg:.3f} kg CO2e"
        short = _short_kwh(would)
        lacks = f" (which leaves vehicles {short:.2f} kWh short)" if short else ""
        yield f"  saves       {cost:.4f}{carbon} against {_SAID[mode]}{lacks}"


def counterfactuals_json(problem: Problem, budget_s: float) -> dict[str, Any]:
    """Money by part, kg and measures of what would have been, for programs. Raises ProblemFault, Unsolved."""
    would = {mode: outcome(problem, mode, budget_s) for mode in ("uncontrolled", "rule_based")}
    return {mode: _record(problem, one) for mode, one in would.items()}


def pareto(problem: Problem, options: argparse.Namespace) -> int:
    """Cost against kg at a series of carbon prices; 0. Raises ProblemFault, Unsolved."""
    found = choices(problem, options.prices, options.budget_s)
    between = break_evens(problem)
    if options.json:
        print(json.dumps({"choices": [asdict(one) for one in found], "break_even_per_kg": between}))
        return 0
    print(_row(("carbon price/kg", "cost without it", "kg CO2e", "short kWh", "")))
    for one in found:
        note = "" if one.best else "  beaten by another"
        print(_row((f"{one.price_per_kg:g}", f"{one.money:.2f}", f"{one.kg:.2f}", f"{one.shortfall_kwh:.2f}", note)))
    if between is None:
        print("no dearer hour of the grid is cleaner: no carbon price moves load from one hour to another")
    else:
        print(f"dearer, cleaner hours take over from {between[0]:.4f} per kg on, half of them by {between[1]:.4f}")
    return 0


def _table(problem: Problem, found: Sequence[Outcome]) -> Iterator[str]:
    yield _row(_HEAD)
    each = [(one, measures(problem, one.plan)) for one in found]
    for one, figures in each:
        plan = one.plan
        yield _row((
            _SAID[one.mode], f"{_cost(plan):.2f}", f"{plan.money.promises:.2f}", _number(plan.kg, 2), f"{figures.peak_kw:.1f}",
            f"{figures.largest_step_kw:.1f}", f"{figures.delivered_kwh:.1f}", f"{figures.shortfall_kwh:.1f}", f"{figures.limit_h:g}",
            _number(figures.cycles_per_day, 2),
        ))  # fmt: skip
    yield ""
    yield _row(("", "in PV hours", "in wind hours", "in either", "PV self-use", "zero-carbon h", "battery years"))
    for one, figures in each:
        yield _row((
            _SAID[one.mode], *(_percent(value) for value in (
                figures.pv_hours_percent, figures.wind_hours_percent, figures.either_percent, figures.pv_self_use_percent)),
            f"{figures.zero_carbon_h:g}", _years(figures),
        ))  # fmt: skip
    yield ""
    yield "cost: all money but penalties. rolling: each vehicle known from its plug-in on only. In PV or wind hours: of the vehicles' charge."
    if problem.storage:
        allowed = cycles_allowed()
        yield f"battery: {LIFE_CYCLES} cycles in {LIFE_YEARS} years allow {allowed:.2f} a day"


def _record(problem: Problem, one: Outcome) -> dict[str, Any]:
    plan = one.plan
    return {
        "mode": one.mode, "status": plan.status, "cost": _cost(plan), "money": asdict(plan.money), "money_total": plan.money.total, "kg": plan.kg,
        "measures": asdict(measures(problem, plan)), "broken": [asdict(lack) for lack in plan.broken],
    }  # fmt: skip


def _cost(found: Plan) -> float:
    return found.money.total - found.money.promises


def _short_kwh(found: Plan) -> float:
    return sum((one.amount for one in found.broken if one.kind == "departure"), 0.0)


def _years(figures: Measures) -> str:
    if figures.life_years is None:
        return "-"
    return f"{figures.life_years:.1f}" + ("" if figures.life_years >= LIFE_YEARS else " !")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"


def _row(cells: Sequence[str]) -> str:
    return f"{cells[0]:<17}" + "".join(f"{cell:>14}" for cell in cells[1:])
