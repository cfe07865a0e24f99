"""FlexMeasures' own device scheduler on a problem of ours: run by a Python that has it, with the problem on standard input. Nothing of ours is imported.

`python flexmeasures_peer.py REPEATS < problem.json` prints one line of JSON: the least money it finds, and milliseconds (wall, processor) of each run, model
building within them. No database and no server of FlexMeasures is involved. Its solver is HiGHS as well, by its direct path.
"""

import importlib
import json
import sys
import time
from typing import Any

COLUMNS = (
    "min", "max", "equals", "derivative min", "derivative max", "derivative equals", "efficiency", "stock delta",
    "derivative down efficiency", "derivative up efficiency",
)  # fmt: skip


def frame(pandas: Any, index: Any, **columns: Any) -> Any:
    return pandas.DataFrame({name: columns.get(name.replace(" ", "_")) for name in COLUMNS}, index=index, dtype=float)


def stored(
    pandas: Any,
    numpy: Any,
    index: Any,
    one: dict[str, Any],
    there: tuple[int, int],
    least_kwh: float,
    need_kwh: float,
    per_h: float,
) -> Any:
    """Stock in units of a step's power, from 0; powers are 0 outside `there`."""
    first, last = there
    here = numpy.zeros(len(index))
    here[first:last] = 1.0
    low = numpy.full(len(index), (min(least_kwh, one["start_kwh"]) - one["start_kwh"]) * per_h)
    low[last - 1] = max(low[last - 1], (need_kwh - one["start_kwh"]) * per_h)
    return frame(
        pandas, index, min=low, max=numpy.full(len(index), (one["capacity_kwh"] - one["start_kwh"]) * per_h),
        derivative_min=-one["discharge_kw"] * here, derivative_max=one["charge_kw"] * here,
        derivative_down_efficiency=numpy.full(len(index), one["discharge_ratio"]), derivative_up_efficiency=numpy.full(len(index), one["charge_ratio"]),
    )  # fmt: skip


def run(problem: dict[str, Any]) -> tuple[float, str]:
    numpy, pandas = importlib.import_module("numpy"), importlib.import_module("pandas")
    planning = importlib.import_module("flexmeasures.data.models.planning")
    optimisation = importlib.import_module("flexmeasures.data.models.planning.linear_optimization")
    step_h = problem["step_h"][0]
    index = pandas.date_range("2026-01-05", periods=len(problem["step_h"]), freq=pandas.Timedelta(hours=step_h))
    fixed = numpy.array(problem["load_kw"]) - numpy.array(problem["pv_kw"])
    devices = [frame(pandas, index, derivative_equals=fixed)]
    whole, per_h = len(index), 1 / step_h
    devices += [
        stored(pandas, numpy, index, one, (0, whole), one["least_kwh"], one["end_kwh"], per_h)
        for one in problem["storage"]
    ]
    devices += [
        stored(
            pandas, numpy, index, one, (one["arrival"], one["departure"]), one["reserve_kwh"], one["need_kwh"], per_h
        )
        for one in problem["sessions"]
    ]
    connection = pandas.DataFrame(
        {"derivative max": problem["import_limit_kw"], "derivative min": -problem["export_limit_kw"]}, index=index
    )
    energy = planning.FlowCommitment(
        name="energy", index=index, quantity=pandas.Series(0.0, index=index),
        upwards_deviation_price=pandas.Series(numpy.array(problem["import_price"]) * step_h, index=index),
        downwards_deviation_price=pandas.Series(numpy.array(problem["export_price"]) * step_h, index=index),
    )  # fmt: skip
    _, money, results, _ = optimisation.device_scheduler(devices, connection, commitments=[energy], initial_stock=0)
    return float(money), str(results.solver.termination_condition)


def main() -> None:
    flask = importlib.import_module("flask")
    app = flask.Flask("peer")
    app.config.update(FLEXMEASURES_LP_SOLVER="highspy", LOGGING_LEVEL="WARNING", FLEXMEASURES_LP_SOLVER_OPTIONS={})
    problem = json.load(sys.stdin)
    wall, cpu, money, said = [], [], 0.0, ""
    with app.app_context():
        for _ in range(int(sys.argv[1]) + 1):  # the first one imports
            begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
            money, said = run(problem)
            wall.append((time.perf_counter() - begun_s) * 1000)
            cpu.append((time.process_time() - begun_cpu_s) * 1000)
    print(json.dumps({"money": money, "said": said, "wall_ms": wall[1:], "cpu_ms": cpu[1:]}))


if __name__ == "__main__":
    main()
