"""What a plan costs: 96 steps of 15 min with battery, PV and N vehicles with V2G, and a thousand facilities of 10 vehicles one after the other.

The solver has one thread; ties are broken in each. Drawing the problems is within the portfolio's time, not within the others'. The limits are on wall
time; the processor's time stands beside it, and tells how busy the machine was. The same problem goes to cvxpy and FlexMeasures (`planning_peers`).
"""

import resource
import time
from collections.abc import Iterator, Mapping
from typing import Final

import highspy
import numpy as np

from aggregator.flexibility.dispatch import dispatch
from aggregator.flexibility.offers import offers
from aggregator.flexibility.problem import Carbon, DemandCharge, Problem, Session, Storage
from aggregator.flexibility.solve import solve
from aggregator.flexibility.solver import bound_rows, opened, run
from benchmarks.figure import Bound, Effort, Figure
from benchmarks.planning_peers import alike, cvxpy_ms, flexmeasures_ms

STEPS: Final = 96
FLEETS: Final[Mapping[int, Bound | None]] = {10: None, 50: Bound(at_most=50.0), 200: Bound(at_most=500.0)}
FACILITIES: Final = 1000


def site(vehicles: int, seed: int) -> Problem:
    """A workday: people come in the morning and leave in the afternoon, prices by time of use, V2G allowed."""
    draw = np.random.default_rng(seed)
    hour = np.arange(STEPS) / 4
    price = np.where(((hour >= 10) & (hour < 15)) | ((hour >= 18) & (hour < 21)), 1.2, np.where(hour < 8, 0.33, 0.75))
    sun = np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None) * draw.uniform(0.6, 1.0, STEPS)
    sessions = []
    for number in range(vehicles):
        arrival = int(np.clip(draw.normal(34, 4), 0, 70))
        departure = int(np.clip(draw.normal(70, 5), arrival + 8, STEPS))
        start = float(draw.uniform(10, 40))
        sessions.append(
            Session(
                f"ev{number}", arrival, departure, start, min(start + float(draw.uniform(5, 30)), 60.0), 60.0, 7.0, 7.0, reserve_kwh=8.0,
                wear_per_kwh=0.25,
            )
        )  # fmt: skip
    fleet = max(vehicles, 10)
    battery = Storage(
        "battery", 8.0 * fleet, 3.0 * fleet, 2.0 * fleet, 2.0 * fleet, wear_per_kwh=0.10, end_kwh=3.0 * fleet
    )
    return Problem(
        step_h=np.full(STEPS, 0.25), load_kw=(2.0 + draw.uniform(0, 1, STEPS)) * fleet, pv_kw=3.0 * fleet * sun, import_price=price,
        export_price=np.full(STEPS, 0.3), import_limit_kw=8.0 * fleet, export_limit_kw=4.0 * fleet, storage=[battery], sessions=sessions,
        demand=[DemandCharge("month", 1.4, np.ones(STEPS, dtype=bool), 2.5 * fleet)], carbon=Carbon(draw.uniform(0.3, 0.8, STEPS), 0.07),
    )  # fmt: skip


def figures(
    effort: Effort, fleets: Mapping[int, Bound | None] = FLEETS, facilities: int = FACILITIES
) -> Iterator[Figure]:
    """Milliseconds of build and solve, offers, and a portfolio on one core; wall time, with the processor's beside it."""
    repeats = effort.repeats_or(7)
    yield from _portfolio(facilities)
    for vehicles, bound in fleets.items():
        built, solved = _Times(), _Times()
        for seed in range(repeats):
            problem = site(vehicles, seed)
            with built:
                made = dispatch(problem)
            with solved:
                solve(made, 30.0)
        both = solved.after(built)
        yield Figure(f"planning.build.{vehicles}_vehicles", "ms", built.wall_ms, beside={"cpu": built.cpu_ms})
        yield Figure(f"planning.build_and_solve.{vehicles}_vehicles", "ms", both.wall_ms, bound, {"cpu": both.cpu_ms})
    most = min(50, max(fleets))
    taken, again = _Times(), _Times()
    for seed in range(repeats):
        problem = site(most, seed)
        with taken:
            offers(problem, (1.0, 2.0, 4.0), 1.0, ("down",))
        solver, later = _live(problem), site(most, seed + 1000)
        with again:
            _warm(solver, later)
    yield Figure(f"planning.offers.{most}_vehicles", "ms", taken.wall_ms, Bound(at_most=500.0), {"cpu": taken.cpu_ms})
    yield Figure(f"planning.warm_lp.{most}_vehicles", "ms", again.wall_ms, beside={"cpu": again.cpu_ms})
    for vehicles in fleets:
        yield from _beside_others(vehicles, min(repeats, 3))


class _Times:
    """Wall and processor milliseconds of what is run within it, one each time."""

    def __init__(self) -> None:
        self.wall_ms: list[float] = []
        self.cpu_ms: list[float] = []

    def __enter__(self) -> None:
        self._begun_s = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall_ms.append((time.perf_counter() - self._begun_s[0]) * 1000)
        self.cpu_ms.append((time.process_time() - self._begun_s[1]) * 1000)

    def after(self, other: "_Times") -> "_Times":
        made = _Times()
        made.wall_ms = [one + two for one, two in zip(self.wall_ms, other.wall_ms, strict=True)]
        made.cpu_ms = [one + two for one, two in zip(self.cpu_ms, other.cpu_ms, strict=True)]
        return made


def _portfolio(facilities: int) -> Iterator[Figure]:
    each, whole = _Times(), _Times()
    with whole:
        for seed in range(facilities):
            problem = site(10, seed)
            with each:
                solve(dispatch(problem), 30.0)
    seconds = [value / 1000 for value in whole.wall_ms]
    beside = {"cpu": [value / 1000 for value in whole.cpu_ms]}
    yield Figure(f"planning.portfolio.{facilities}_facilities", "s", seconds, Bound(at_most=10.0), beside)
    yield Figure("planning.portfolio.each", "ms", each.wall_ms, beside={"cpu": each.cpu_ms})
    most_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure("planning.memory", "MiB", [most_mib], Bound(at_most=150.0))


def _live(problem: Problem) -> highspy.Highs:
    """A solver that has just solved the problem's LP and is kept."""
    solver = opened(dispatch(problem).model)
    run(solver, 30.0)
    return solver


def _warm(solver: highspy.Highs, problem: Problem) -> None:
    """New prices, load and sun in a kept solver, from where it stood: what a re-solve would save, without its ties."""
    columns = np.arange(STEPS, dtype=np.int32)
    assert problem.carbon is not None
    price = problem.import_price + problem.carbon.kg_per_kwh * problem.carbon.price_per_kg
    residual = problem.load_kw - problem.pv_kw
    solver.changeColsCost(STEPS, columns, problem.step_h * price)
    bound_rows(solver, np.arange(STEPS), residual, residual)
    solver.changeColsBounds(STEPS, (2 * STEPS + columns).astype(np.int32), np.zeros(STEPS), problem.pv_kw)
    run(solver, 30.0)


def _beside_others(vehicles: int, repeats: int) -> Iterator[Figure]:
    """Processor time on what others can say as well, found to cost the same."""
    ours, stated = _Times(), []
    problem = alike(site(vehicles, 0))
    for _ in range(repeats):
        with ours:
            solved = solve(dispatch(problem), 30.0)
        stated.append(cvxpy_ms(problem, solved.money)[1])
    theirs = flexmeasures_ms(problem, solved.money, repeats)[1]
    beside = {"cvxpy": stated} | ({"flexmeasures": theirs} if theirs else {})
    yield Figure(f"planning.alike.{vehicles}_vehicles", "ms", ours.cpu_ms, beside=beside)
