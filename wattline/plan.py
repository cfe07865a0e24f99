"""`wattline plan`: solves a planning problem and shows the plan, what could be offered beside it, or whether a plan on record comes out again.

Not the model (`aggregator.flexibility`).
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

import numpy as np

from aggregator.flexibility.offers import offers
from aggregator.flexibility.plan import Plan
from aggregator.flexibility.problem import Problem, ProblemFault, Series
from aggregator.flexibility.problem_file import LARGEST, plan_json, read_problem
from aggregator.flexibility.record import Kept, decode_record, encode_record, plan_of, replay
from aggregator.flexibility.solve import Unsolved
from aggregator.flexibility.stale import plan_or_shifted
from wattline.file_errors import told
from wattline.plan_compare import compare, counterfactuals, counterfactuals_json, pareto
from wattline.plans_kept import kept_record
from wattline.plans_kept import run as of_the_aggregator

_BROKEN_SHOWN: Final = 20
_DIFFERENCES_SHOWN: Final = 20


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (no plan, a promise that it does not keep, or another plan than on record), 2 (bad use, problem or record)."""
    if options.verb in ("list", "show", "prices"):
        return of_the_aggregator(options)
    try:
        if options.verb == "replay" and options.config is not None:
            return _replay(kept_record(options.config, str(options.file)))
        raw = sys.stdin.buffer.read(2 * LARGEST + 1) if str(options.file) == "-" else options.file.read_bytes()
        if options.verb == "replay":
            return _replay(decode_record(raw))
        problem = read_problem(raw)
    except (OSError, ProblemFault) as error:
        print(f"wattline plan: {told(error)}", file=sys.stderr)
        return 2
    try:
        if options.verb == "offers":
            return _offers(problem, options)
        if options.verb == "compare":
            return compare(problem, options)
        if options.verb == "pareto":
            return pareto(problem, options)
        before = None if options.previous is None else plan_of(decode_record(options.previous.read_bytes()))
        found = plan_or_shifted(problem, before, options.steps, options.budget_s)
        if options.keep is not None:
            options.keep.write_bytes(encode_record(problem, found, options.budget_s) + b"\n")
        stale = found.status == "stale"  # there was no time for one plan; there is none for three
        if options.json:
            beside = {} if stale else {"counterfactuals": counterfactuals_json(problem, options.budget_s)}
            said = json.dumps(plan_json(found) | beside)
        else:
            beside_told = () if stale else counterfactuals(problem, found, options.budget_s)
            said = "\n".join([*_told(problem, found), *beside_told])
    except (OSError, ProblemFault) as error:
        print(f"wattline plan: {told(error)}", file=sys.stderr)
        return 2
    except Unsolved as error:
        print(f"wattline plan: {error}", file=sys.stderr)
        return 1
    print(said)
    return 1 if found.broken else 0


def _offers(problem: Problem, options: argparse.Namespace) -> int:
    found = offers(problem, every_h=options.every_h)
    if options.json:
        print(json.dumps([asdict(one) for one in found]))
        return 0
    for one in found:
        print(f"{one.direction:<5} {one.hours:g} h from step {one.first}: {one.kw:.1f} kW")
    return 0


def _replay(kept: Kept) -> int:
    try:
        again = replay(kept)
    except Unsolved as error:
        print(f"wattline plan: {error}", file=sys.stderr)
        return 1
    for line in again.versions:
        print(f"  made by     {line}")
    for line in again.differences[:_DIFFERENCES_SHOWN]:
        print(f"  differs     {line}")
    how = "to the last bit" if again.exact else "to 1e-9"
    count = len(again.differences)
    print(
        f"plan {kept.plan_sha256[:16]} of problem {kept.problem_sha256[:16]}: "
        + (f"{count} numbers differ" if count else f"the same numbers {how}")
    )
    print(f"  proven      no plan costs less than {again.proven:.4f}; this one costs {kept.plan['objective']:.4f}")
    return 1 if again.differences else 0


def _told(problem: Problem, found: Plan) -> Iterator[str]:
    how = "no step needed a binary" if found.certain else f"{found.binaries} binaries"
    yield f"{found.status}: {found.money.total:.4f} in {found.solve_s * 1000:.0f} ms, gap {found.gap:.4f}; {how}"
    parts = {name: getattr(found.money, name) for name in found.money.__dataclass_fields__}
    yield "  money       " + ", ".join(f"{name} {value:.4f}" for name, value in parts.items() if abs(value) > 5e-5)
    if found.kg is not None and problem.carbon is not None:
        yield f"  kg CO2e     {found.kg:.3f} of import, {problem.carbon.signal} intensity"
        kg_per_kwh = problem.carbon.kg_per_kwh
        if problem.carbon.price_per_kg and (kg_per_kwh == kg_per_kwh[0]).all():
            yield f"  carbon      {kg_per_kwh[0]:g} kg/kWh throughout: its price cannot move load"
    yield f"  import kW   {_series(found.import_kw)}"
    if found.export_kw.any():
        yield f"  export kW   {_series(found.export_kw)}"
    for name, asset in found.assets.items():
        yield f"  {name:<11} {_series(asset.charge_kw - asset.discharge_kw)}   ends with {asset.energy_kwh[np.flatnonzero(asset.energy_kwh)[-1]] if asset.energy_kwh.any() else 0:.2f} kWh"
    for name, power in (*found.shifted_kw.items(), *found.responses_kw.items()):
        yield f"  {name:<11} {_series(power)}"
    for one in found.broken[:_BROKEN_SHOWN]:
        yield f"  not kept    {one.kind} {one.name} at step {one.step}: {one.amount:.3f} {one.unit} short, costs {one.cost:.2f}"
    limits = sorted({one.limit for one in found.binding})
    if limits:
        yield f"  binding     {', '.join(limits)}"


def _series(values: Series) -> str:
    return " ".join(f"{value:.1f}" for value in values)
