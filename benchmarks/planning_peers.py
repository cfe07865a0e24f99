"""The same problem given to others in the same run: cvxpy (with HiGHS) here, and FlexMeasures where WATTLINE_FLEXMEASURES names a Python that has it.

`alike` is what all three can say: storage, vehicles that give back, prices by time of use, hard limits; no wear, no demand charge, nothing curtailed. Each
must find the same least money, or its time counts for nothing.
"""

import importlib
import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from aggregator.flexibility.problem import Problem
from aggregator.flexibility.record import encode_problem

TIME_OUT_S: Final = 300.0


def alike(problem: Problem) -> Problem:
    """Without what one of the others cannot say."""
    return replace(
        problem, demand=[], carbon=None, curtailable=False, export_limit_kw=1e5, storage=[replace(one, wear_per_kwh=0.0) for one in problem.storage],
        sessions=[replace(one, wear_per_kwh=0.0) for one in problem.sessions],
    )  # fmt: skip


def cvxpy_ms(problem: Problem, money: float) -> tuple[float, float]:
    """Wall and processor milliseconds of stating and solving, arrays over all assets at once."""
    cp: Any = importlib.import_module("cvxpy")
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    assets: list[Any] = [*problem.storage, *problem.sessions]
    steps, count, dt = problem.steps, len(assets), problem.step_h[0]
    first = np.array([getattr(one, "arrival", 0) for one in assets])
    last = np.array([getattr(one, "departure", steps) for one in assets])
    at = np.arange(steps)[:, None]
    here = (at >= first) & (at < last)
    start = np.array([one.start_kwh for one in assets])
    low = np.array([min(getattr(one, "reserve_kwh", getattr(one, "least_kwh", 0.0)), one.start_kwh) for one in assets])
    floor = np.tile(low, (steps, 1))
    need = np.array([getattr(one, "need_kwh", getattr(one, "end_kwh", 0.0)) for one in assets])
    floor[last - 1, np.arange(count)] = np.maximum(low, need)
    charge, discharge = cp.Variable((steps, count), nonneg=True), cp.Variable((steps, count), nonneg=True)
    bought, sold = cp.Variable(steps, nonneg=True), cp.Variable(steps, nonneg=True)
    into, out = (np.array([getattr(one, name) for one in assets]) for name in ("charge_ratio", "discharge_ratio"))
    held = cp.Variable((steps, count))
    change = cp.multiply(charge, np.tile(into * dt, (steps, 1))) - cp.multiply(discharge, np.tile(dt / out, (steps, 1)))
    rules = [
        held[0] == start + change[0], held[1:] == held[:-1] + change[1:], held >= floor,
        held <= np.tile([one.capacity_kwh for one in assets], (steps, 1)), charge <= here * [one.charge_kw for one in assets],
        discharge <= here * [one.discharge_kw for one in assets], bought <= problem.import_limit_kw, sold <= problem.export_limit_kw,
        bought - sold == problem.load_kw - problem.pv_kw + cp.sum(charge - discharge, axis=1),
    ]  # fmt: skip
    asked = cp.Problem(cp.Minimize(dt * (problem.import_price @ bought - problem.export_price @ sold)), rules)
    asked.solve(solver=cp.HIGHS)
    wall_ms, cpu_ms = (time.perf_counter() - begun_s) * 1000, (time.process_time() - begun_cpu_s) * 1000
    _same("cvxpy", float(asked.value), money)
    return wall_ms, cpu_ms


def flexmeasures_ms(problem: Problem, money: float, repeats: int) -> tuple[list[float], list[float]]:
    """Wall and processor milliseconds of each run; none where it is not there."""
    python = os.environ.get("WATTLINE_FLEXMEASURES")
    if python is None:
        return [], []
    script = Path(__file__).with_name("flexmeasures_peer.py")
    ran = subprocess.run(
        [python, str(script), str(repeats)],
        input=encode_problem(problem),
        capture_output=True,
        timeout=TIME_OUT_S,
        check=True,
    )
    told = json.loads(ran.stdout.splitlines()[-1])
    _same("FlexMeasures", told["money"], money)
    return told["wall_ms"], told["cpu_ms"]


def _same(who: str, theirs: float, ours: float) -> None:
    if abs(theirs - ours) > 1e-5 * max(1.0, abs(ours)):
        raise RuntimeError(f"{who}: expected the same least money of the same problem, {ours}, got {theirs}")
