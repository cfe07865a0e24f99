"""Sites drawn at random for planning: small enough to be stated again by an independent model, with every kind of asset and promise."""

from dataclasses import replace

import numpy as np

from aggregator.flexibility.problem import (
    Branch,
    Carbon,
    Contract,
    DemandCharge,
    Goal,
    Problem,
    Response,
    Session,
    Shiftable,
    Storage,
)


def random_site(seed: int, steps: int = 12, cars: int = 3) -> Problem:
    """A feasible or infeasible day; prices are above 0, so that the LP is exact."""
    draw = np.random.default_rng(seed)

    def series(low: float, high: float) -> np.ndarray:  # type: ignore[type-arg]
        return draw.uniform(low, high, steps)

    price = series(0.05, 1.2)
    sessions = []
    for number in range(cars):
        arrival = int(draw.integers(0, steps - 2))
        sessions.append(
            Session(
                f"ev{number}", arrival, int(draw.integers(arrival + 1, steps + 1)), draw.uniform(0, 20), draw.uniform(5, 45), 50.0,
                draw.uniform(3, 22), draw.choice([0.0, 11.0]), 0.93, 0.92, reserve_kwh=draw.uniform(0, 10), wear_per_kwh=draw.uniform(0, 0.3),
                shortfall_price_per_kwh=draw.uniform(2, 6),
            )
        )  # fmt: skip
    storage = [
        Storage(
            "battery", 80.0, draw.uniform(0, 80), draw.uniform(5, 40), draw.uniform(5, 40), 0.95, 0.94, least_kwh=draw.uniform(0, 15),
            loss_per_h_ratio=0.002, wear_per_kwh=draw.uniform(0, 0.1), end_kwh=draw.uniform(0, 60), end_value_per_kwh=draw.uniform(0, 0.2),
            taper=((60.0, 40.0), (80.0, 5.0)),
        )
    ]  # fmt: skip
    first = int(draw.integers(0, steps - 3))
    event = np.zeros(steps, dtype=bool)
    event[first : first + 3] = True
    members = {f"ev{number}": 1000 / 230 * np.exp(2j * np.pi * number / 3) for number in range(cars)}
    return Problem(
        step_h=draw.choice([0.25, 0.5, 1.0], steps), load_kw=series(0, 60), pv_kw=series(0, 50), import_price=price,
        export_price=price * draw.uniform(0, 0.95), import_limit_kw=float(draw.uniform(60, 150)), export_limit_kw=float(draw.uniform(0, 60)),
        storage=storage, sessions=sessions, shiftable=[Shiftable("oven", first, first + 3, draw.uniform(0, 12), 9.0)],
        demand=[DemandCharge("month", draw.uniform(0, 10), event | (series(0, 1) > 0.5), draw.uniform(0, 40))],
        responses=[Response("cut", event, series(20, 80), series(0, 40), draw.uniform(0, 2), draw.uniform(1, 5))],
        contracts=[Contract("grid", series(40, 120), 20.0)],
        branches=[Branch("line", draw.uniform(30, 120), members, (series(0, 20) + 1j * series(-10, 10)))],
        carbon=Carbon(series(0.1, 0.9), draw.uniform(0, 0.5)), curtailable=bool(draw.integers(0, 2)), ramp_price_per_kw=float(draw.choice([0.0, 0.002])),
    )  # fmt: skip


def fuller_site(seed: int) -> Problem:
    """A random site with what fewer sites have: goals on the way, a fee on use, a charge on the highest export, a price on sun given up, a margin, a cold store,
    a vehicle that should be ahead."""
    problem, draw = random_site(seed), np.random.default_rng(seed + 10_000)
    steps = problem.steps
    goals = tuple(
        Goal(int(step), draw.uniform(0, 80), draw.uniform(0.1, 3)) for step in draw.choice(steps, 3, replace=False)
    )
    (battery,) = problem.storage
    feed_in = DemandCharge(
        "feed-in", draw.uniform(0, 3), draw.uniform(0, 1, steps) > 0.3, draw.uniform(0, 10), of="export"
    )
    (branch,) = problem.branches
    battery = replace(battery, goals=goals, use_price=draw.uniform(0, 0.1, steps))
    cold = Storage(
        "cold", 20.0, draw.uniform(0, 20), draw.uniform(4, 12), 0.0, 1.0, 1.0, loss_per_h_ratio=draw.uniform(0, 0.1), end_kwh=0.0,
        shortfall_price_per_kwh=draw.uniform(0.5, 6), use_price=np.zeros(steps), drain_kw=draw.uniform(0, 8, steps),
    )  # fmt: skip
    first, *others = problem.sessions
    first = replace(first, ahead_kwh=draw.uniform(0, 50, steps), ahead_price_per_kwh=draw.uniform(0, 1))
    return replace(
        problem, sessions=[first, *others], storage=[battery, cold], demand=[*problem.demand, feed_in],
        curtailment_price=draw.uniform(0, 0.3, steps), branches=[replace(branch, scalar=draw.uniform(0, 10, steps))],
    )  # fmt: skip
