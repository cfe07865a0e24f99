"""What a plan costs: 96 steps of 15 min with battery, PV and N vehicles with V2G, and a thousand facilities of 10 vehicles one after the other.

The solver has one thread; ties are broken in each. Drawing the problems is within the portfolio's time, not within the others'.
"""

import resource
import time
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from aggregator.flexibility.dispatch import dispatch
from aggregator.flexibility.offers import offers
from aggregator.flexibility.problem import Carbon, DemandCharge, Problem, Session, Storage
from aggregator.flexibility.solve import solve
from benchmarks.figure import Bound, Effort, Figure

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
    """Milliseconds of build and solve, and a portfolio on one core."""
    repeats = effort.repeats or 7
    for vehicles, bound in fleets.items():
        built, both = [], []
        for seed in range(repeats):
            problem = site(vehicles, seed)
            begun_s = time.perf_counter()
            made = dispatch(problem)
            built.append((time.perf_counter() - begun_s) * 1000)
            solve(made, 30.0)
            both.append((time.perf_counter() - begun_s) * 1000)
        yield Figure(f"planning.build.{vehicles}_vehicles", "ms", built)
        yield Figure(f"planning.build_and_solve.{vehicles}_vehicles", "ms", both, bound)
    taken = []
    for seed in range(repeats):
        problem = site(min(50, max(fleets)), seed)
        begun_s = time.perf_counter()
        offers(problem, (1.0, 2.0, 4.0), 1.0, ("down",))
        taken.append((time.perf_counter() - begun_s) * 1000)
    yield Figure(f"planning.offers.{min(50, max(fleets))}_vehicles", "ms", taken, Bound(at_most=500.0))
    each = []
    begun_s = time.perf_counter()
    for seed in range(facilities):
        started_s = time.perf_counter()
        solve(dispatch(site(10, seed)), 30.0)
        each.append((time.perf_counter() - started_s) * 1000)
    yield Figure(
        f"planning.portfolio.{facilities}_facilities", "s", [time.perf_counter() - begun_s], Bound(at_most=10.0)
    )
    yield Figure("planning.portfolio.each", "ms", each)
    yield Figure(
        "planning.memory", "MiB", [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024], Bound(at_most=150.0)
    )
