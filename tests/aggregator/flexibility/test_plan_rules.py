"""Rules beyond the linear, each by a case whose optimum is known by hand: one-way storage, least powers, goals, demands until full, curtailment."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aggregator.flexibility.dispatch import dispatch
from aggregator.flexibility.plan import Plan, plan, told
from aggregator.flexibility.problem import DemandCharge, Goal, Problem, ProblemFault, Session, Storage, Wanted
from aggregator.flexibility.solve import solve


def site(price: list[float], **said: Any) -> Problem:
    """Hours; selling earns nothing unless it is said."""
    steps = len(price)
    known: dict[str, Any] = {"load_kw": [0.0] * steps, "pv_kw": [0.0] * steps, "export_price": [0.0] * steps}
    given = {
        name: np.array(value, dtype=np.float64)
        if isinstance(value, list) and name not in ("storage", "sessions", "demand")
        else value
        for name, value in (known | said).items()
    }
    limits = {"import_limit_kw": 100.0, "export_limit_kw": 100.0}
    return Problem(step_h=np.ones(steps), import_price=np.array(price, dtype=np.float64), **(limits | given))


def battery(**said: Any) -> Storage:
    given = {
        "capacity_kwh": 10.0,
        "start_kwh": 0.0,
        "charge_kw": 10.0,
        "discharge_kw": 10.0,
        "charge_ratio": 1.0,
        "discharge_ratio": 1.0,
    }
    return Storage("battery", **(given | said))


def proved(problem: Problem) -> Plan:
    made = dispatch(problem)
    return told(made, solve(made, money_gap=1e-9))


def test_a_battery_that_may_not_charge_from_the_grid_waits_for_the_sun() -> None:
    """Buying at 0.1 to use at 1 would save 0.9 a kWh; only the 4 kWh of sun beyond the load may be stored."""
    problem = site([0.1, 0.1, 1.0], load_kw=[2, 2, 8], pv_kw=[0, 6, 0], storage=[battery(wear_per_kwh=0.01)])
    assert proved(problem).objective == pytest.approx(0.2 + 0.4 + 0.08)  # 4 kWh bought at 0.1 beside the load's 2
    found = proved(replace(problem, storage=[battery(from_grid=False, wear_per_kwh=0.01)]))
    assert found.objective == pytest.approx(0.1 * 2 + 1.0 * 4 + 0.04)
    assert found.assets["battery"].charge_kw.tolist() == pytest.approx([0, 4, 0], abs=1e-6)


def test_a_battery_that_may_not_discharge_to_the_grid_serves_the_load_only() -> None:
    """10 kWh, selling at 2 against 1 saved: it would sell 7 in one hour and buy 3 in the other; it may only carry the load of 3 in each."""
    problem = site(
        [1.0, 1.0], load_kw=[3, 3], export_price=[2.0, 2.0], storage=[battery(start_kwh=10.0, charge_kw=0.0)]
    )
    assert proved(problem).objective == pytest.approx(3 - 2 * 7)
    found = proved(replace(problem, storage=[battery(start_kwh=10.0, charge_kw=0.0, to_grid=False)]))
    assert found.export_kw.max() == pytest.approx(0, abs=1e-6)
    assert found.objective == pytest.approx(0, abs=1e-6)


def test_a_vehicle_may_charge_from_the_sun_alone() -> None:
    ev = Session("ev", 0, 3, 0.0, 6.0, 50.0, 10.0, charge_ratio=1.0, from_grid=False, shortfall_price_per_kwh=3.0)
    found = proved(site([0.1, 0.1, 0.1], load_kw=[1, 1, 1], pv_kw=[0, 3, 2], sessions=[ev]))
    assert found.assets["ev"].charge_kw.tolist() == pytest.approx([0, 2, 1], abs=1e-6)
    assert [(one.kind, round(one.amount, 6)) for one in found.broken] == [("departure", 3.0)]


@pytest.mark.parametrize(("exact", "money"), [(True, 0.4 * 4 + 0.1 * 4), (False, None)])
def test_least_powers_are_proved_where_the_problem_asks_for_it(exact: bool, money: float | None) -> None:
    """8 kWh in two hours at 0.4 and 0.1, 5 kW at most and 4 at least: 5 + 3 is not allowed, so 4 + 4; by the dive it may cost more, never less."""
    ev = Session("ev", 0, 2, 0.0, 8.0, 50.0, 5.0, charge_ratio=1.0, least_kw=4.0, shortfall_price_per_kwh=50.0)
    found = proved(site([0.4, 0.1], sessions=[ev], exact_least=exact))
    power = found.assets["ev"].charge_kw
    assert not ((power > 1e-6) & (power < 4 - 1e-6)).any()
    assert found.objective >= 2.0 - 1e-6
    if money is not None:
        assert found.objective == pytest.approx(money)
        assert power.tolist() == pytest.approx([4, 4], abs=1e-6)


def test_a_goal_on_the_way_is_met_or_its_lack_named() -> None:
    one = battery(charge_kw=3.0, discharge_kw=0.0, goals=(Goal(0, 5.0, 1.0), Goal(2, 4.0, 9.0)))
    found = proved(site([0.5, 0.1, 0.2], storage=[one]))
    # hour 0 gives 3 of 5 kWh at 0.5 against a lack at 1; the other goal needs 1 more, at 0.1
    assert found.assets["battery"].charge_kw.tolist() == pytest.approx([3, 1, 0], abs=1e-6)
    assert [(b.kind, b.step, round(b.amount, 6), round(b.cost, 6)) for b in found.broken] == [("goal", 0, 2.0, 2.0)]
    assert found.objective == pytest.approx(3 * 0.5 + 0.1 + 2)


def test_what_is_wanted_is_charged_until_it_is_full_and_then_no_more() -> None:
    """4 kW wanted in each hour, 10 kWh to go: 4, 4, 2 (below the least power of 3, since it becomes full) and nothing after, with nothing lacking."""
    wanted = Wanted(np.full(4, 4.0), np.full(4, 9.0))
    one = battery(charge_kw=4.0, discharge_kw=0.0, least_kw=3.0, wanted=wanted)
    found = proved(site([1.0, 1.0, 1.0, 0.1], storage=[one], exact_least=True))
    assert found.assets["battery"].charge_kw.tolist() == pytest.approx([4, 4, 2, 0], abs=1e-6)
    assert not found.broken
    lacking = proved(site([1.0, 1.0], storage=[one_hour(one, 20.0)], exact_least=True))
    assert not lacking.broken
    short = replace(one, wanted=Wanted(np.full(2, 4.0), np.full(2, 0.5)))
    refused = proved(site([1.0, 1.0], storage=[short], exact_least=True))
    assert [(b.kind, b.amount) for b in refused.broken] == [("wanted", pytest.approx(4)), ("wanted", pytest.approx(4))]


def one_hour(one: Storage, capacity_kwh: float) -> Storage:
    return replace(one, capacity_kwh=capacity_kwh, wanted=Wanted(np.full(2, 4.0), np.full(2, 9.0)))


def test_a_fee_on_use_counts_both_ways_and_a_preference_orders_like_batteries() -> None:
    """0.2 of fee each way: 1.0 - 0.5 - 0.4 saves 0.1 a kWh; with 0.3 it is left alone."""
    for fee, kwh in ((0.2, 5.0), (0.3, 0.0)):
        found = proved(site([0.5, 1.0], load_kw=[0, 5], storage=[battery(use_price=np.full(2, fee))]))
        assert found.assets["battery"].charge_kw.sum() == pytest.approx(kwh, abs=1e-6)
        assert found.money.use == pytest.approx(2 * fee * kwh)
        assert found.money.total == pytest.approx(found.objective)


def test_a_charge_on_the_highest_export_levels_the_feed_in() -> None:
    """6 kWh of sun to store of 4, 8, 6 kW: sold at nothing, so that the highest of what is left is (18 - 6) / 3 = 4."""
    charge = DemandCharge("feed-in", 1.0, np.ones(3, dtype=bool), of="export")
    found = proved(
        site(
            [1.0] * 3,
            pv_kw=[4, 8, 6],
            curtailable=False,
            demand=[charge],
            storage=[battery(capacity_kwh=6.0, discharge_kw=0.0)],
        )
    )
    assert found.export_kw.tolist() == pytest.approx([4, 4, 4], abs=1e-6)
    assert (found.money.demand, found.objective) == (pytest.approx(4), pytest.approx(4))


def test_curtailing_has_its_price_and_may_be_bound_to_the_limit() -> None:
    """Selling costs 0.2: at a price of 0.1 the sun is given up, unless only what exceeds the limit of 3 kW can be."""
    problem = site([1.0], pv_kw=[5], export_price=[-0.2], export_limit_kw=3.0, curtailment_price=np.array([0.1]))
    found = proved(problem)
    assert (found.curtailed_kw.tolist(), found.objective) == (pytest.approx([5]), pytest.approx(0.5))
    assert found.money.curtailment == pytest.approx(0.5)
    bound = proved(replace(problem, curtailed_at_limit=True))
    assert (bound.curtailed_kw.tolist(), bound.export_kw.tolist()) == (pytest.approx([2]), pytest.approx([3]))
    assert bound.objective == pytest.approx(0.2 + 0.6)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (battery(least_kw=11.0), "battery: expected 0 <= least_kw <= charge_kw, got 11.0 and 10.0"),
        (battery(goals=(Goal(3, 1.0),)), "battery: expected a goal's step from 0 to 2, got 3"),
        (battery(use_price=np.ones(2)), "battery.use_price: expected 3 finite values, got 2"),
        (battery(wanted=Wanted(np.ones(3), np.full(3, np.nan))), "battery.wanted.price: expected 3 finite values"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused_by_name(one: Storage, said: str) -> None:
    with pytest.raises(ProblemFault) as refused:
        plan(site([0.1, 0.1, 0.1], storage=[one]))
    assert said in str(refused.value)
