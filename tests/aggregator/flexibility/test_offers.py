"""Firm offers and their sharing out. Figures by hand from case A6, and an LP for the merit order."""

from dataclasses import replace

import numpy as np
import pytest
from random_site import random_site

from aggregator.flexibility.offers import Direction, Offer, offers
from aggregator.flexibility.plan import plan
from aggregator.flexibility.problem import Problem, Session, Storage
from aggregator.flexibility.virtual_plant import Bid, Share, merit_order


def site(hours: int, **said: object) -> Problem:
    given = {
        "load_kw": np.full(hours, 500.0),
        "pv_kw": np.zeros(hours),
        "import_price": np.full(hours, 0.5),
        "export_price": np.zeros(hours),
    }
    known = {"step_h": np.ones(hours), "import_limit_kw": 1000.0, "export_limit_kw": 0.0}
    return Problem(**(known | given | said))  # type: ignore[arg-type]


def firm(found: list[Offer], direction: Direction, hours: float, first: int = 0) -> float:
    (one,) = [offer for offer in found if (offer.direction, offer.hours, offer.first) == (direction, hours, first)]
    return one.kw


def test_a_battery_offers_what_its_energy_and_its_power_hold_for_so_long() -> None:
    """380 -> 40 kWh at 0.95: 323 kWh; 200 kW for 1 h, 161.5 kW for 2 h, 80.75 kW for 4 h. Up: (400 - 380) / 0.95 kWh. Its wear keeps the plan at rest."""
    battery = Storage("battery", 400, 380, 200, 200, 0.95, 0.95, least_kwh=40, wear_per_kwh=10.0)
    found = offers(site(4, storage=[battery]), hours=(1.0, 2.0, 4.0))
    assert [firm(found, "down", hours) for hours in (1.0, 2.0, 4.0)] == pytest.approx([200, 161.5, 80.75], abs=1e-3)
    assert [firm(found, "up", hours) for hours in (1.0, 2.0, 4.0)] == pytest.approx(
        [20 / 0.95, 10 / 0.95, 5 / 0.95], abs=1e-3
    )


def test_a_vehicle_offers_only_what_its_departure_can_miss() -> None:
    """22 kW for 1 h of 4; it needs 33 kWh, so two hours are spoken for: in any hour it can pause, for two hours it can, for three it cannot."""
    ev = Session("ev", 0, 4, 0.0, 33.0, 100.0, 22.0, charge_ratio=1.0)
    prices = np.array([0.1, 0.2, 0.5, 0.5])
    found = offers(site(4, import_price=prices, sessions=[ev]), hours=(1.0, 2.0, 3.0), directions=("down",))
    assert firm(found, "down", 1.0) == pytest.approx(22, abs=1e-3)  # charged in hours 0 and 1; hour 0 moves to 2
    assert firm(found, "down", 2.0) == pytest.approx(11, abs=1e-3)  # 22 + 11 planned in the window: 11 less in each
    assert firm(found, "down", 3.0) == pytest.approx(0, abs=1e-3)  # nothing is planned in hour 2 that could be less


@pytest.mark.parametrize("seed", range(4))
def test_an_offer_that_is_called_keeps_every_promise_of_the_plan(seed: int) -> None:
    """The called window as a hard contract: a plan exists, and no promise lacks more than without it."""
    problem = replace(random_site(seed, cars=2), step_h=np.ones(12), ramp_price_per_kw=0.0)
    before = plan(problem)
    base = before.import_kw - before.export_kw
    lacking = {(one.kind, one.name, one.step): one.amount for one in before.broken}
    for offer in offers(problem, hours=(2.0,), every_h=4.0, directions=("down",)):
        if offer.kw < 1:
            continue
        inside = np.zeros(12, dtype=bool)
        inside[offer.first : offer.last] = True
        from aggregator.flexibility.problem import Contract

        called = Contract("called", np.where(inside, base - offer.kw + 1e-4, 1e5), 1e5)
        lax = [replace(one, price_per_kwh=one.price_per_kwh * 100) for one in problem.contracts]
        sessions = [replace(one, shortfall_price_per_kwh=one.shortfall_price_per_kwh * 100) for one in problem.sessions]
        after = plan(replace(problem, contracts=[*lax, called], sessions=sessions))
        assert not [one for one in after.broken if one.name == "called"]
        for one in after.broken:
            if one.kind in ("departure", "branch", "connection"):
                assert one.amount <= lacking.get((one.kind, one.name, one.step), 0.0) + 1e-3


def test_the_cheapest_give_first_and_when_one_fails_the_others_take_its_part() -> None:
    bids = [Bid("a", 100, 0.5), Bid("b", 80, 0.3), Bid("c", 60, 0.9), Bid("a", 50, 0.6)]
    made = merit_order(bids, 200)
    assert made.shares == (Share("a", 120), Share("b", 80))
    assert (made.cost_per_h, made.marginal_price, made.lacking_kw) == (
        pytest.approx(80 * 0.3 + 100 * 0.5 + 20 * 0.6),
        0.6,
        0,
    )
    again = merit_order(bids, 200, failed=["b"])
    assert again.shares == (Share("a", 150), Share("c", 50))
    assert merit_order(bids, 400).lacking_kw == 110
    assert merit_order([], 10).marginal_price is None


@pytest.mark.parametrize("seed", range(5))
def test_merit_order_costs_what_an_lp_finds(seed: int) -> None:
    from scipy.optimize import linprog

    draw = np.random.default_rng(seed)
    bids = [Bid(f"f{n % 20}", float(draw.uniform(0, 50)), float(draw.uniform(0.1, 2))) for n in range(60)]
    target = 0.6 * sum(bid.kw for bid in bids)
    solved = linprog(
        [bid.price_per_kwh for bid in bids], A_eq=[[1] * len(bids)], b_eq=[target], bounds=[(0, bid.kw) for bid in bids]
    )
    assert merit_order(bids, target).cost_per_h == pytest.approx(solved.fun, rel=1e-9)
