"""Plans that follow each other: when one is due, what stands where none comes, and what edges are told. Expected numbers by hand."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planned_works import CIRCUIT, HOUR_MS, NOON_MS, QUARTER_MS, TARIFF, ZONE, outlook, state, vehicle

from aggregator.flexibility.asked import Asked, Overridden
from aggregator.flexibility.operation.rolling import NoPlan, Rolling, expected_kwh
from aggregator.flexibility.operation.state import Held, LegalLimit, State, edges_from
from aggregator.flexibility.operation.tariff import ToldPrices
from aggregator.flexibility.plan import Plan, plan
from aggregator.flexibility.problem import Problem
from aggregator.flexibility.record import decode_record, encode_record, replay
from aggregator.flexibility.solve import Unsolved

MINUTE_MS = 60_000


@pytest.fixture
def rolling() -> Rolling:
    return Rolling(CIRCUIT, TARIFF, ZONE)


def on_plan(rolling: Rolling, now_ms: int, **said: Any) -> State:
    """A state in which the battery holds what the plan has it hold."""
    assert rolling.last is not None
    kwh = expected_kwh(rolling.last, "battery", now_ms)
    given: dict[str, Any] = {"held": (Held("battery", kwh, now_ms),)}
    return state(now_ms, **(given | said))


def test_what_goes_by_the_plan_needs_no_new_one_within_the_quarter(rolling: Rolling) -> None:
    assert rolling.due(state()) == ("first",)
    rolling.replan(state())
    for minutes in (5, 10):
        assert rolling.due(on_plan(rolling, NOON_MS + minutes * MINUTE_MS)) == ()
    assert (rolling.solved, rolling.unchanged) == (1, 2)
    assert rolling.due(on_plan(rolling, NOON_MS + QUARTER_MS)) == ("time",)


def test_each_change_is_named(rolling: Rolling) -> None:
    rolling.replan(state(stays=(vehicle(),)))
    now_ms = NOON_MS + MINUTE_MS
    event = Asked("e1", "works", NOON_MS, NOON_MS + HOUR_MS, 30.0, "down", 2.0, (100.0,))
    word = Overridden("o1", "works", "battery", None, NOON_MS, NOON_MS + HOUR_MS, "anna", "maintenance")
    there = rolling.last.plan.assets["pile-1-7"].charge_kw[0] / 60 if rolling.last else 0.0
    same = {"stays": (vehicle(held_kwh=there),)}
    for changed, word_said in (
        ({"stays": ()}, "unplug"),
        ({"stays": (*same["stays"], vehicle(session="pile-2-1", asset="pile-2"))}, "plug-in"),
        ({"stays": (replace(same["stays"][0], departs_ms=NOON_MS + HOUR_MS),)}, "departure"),
        (same | {"asked": (event,)}, "event"),
        (same | {"overridden": (word,)}, "override"),
        (same | {"limits": (LegalLimit("transformer", "import", 300.0),)}, "limit"),
        (same | {"peaks_kw": {"month": 230.0}}, "peak"),
        (same | {"held": (Held("battery", 20.0, now_ms),)}, "energy"),
        (same | {"outlook": outlook(len(edges_from(now_ms)) - 1, 130.0)}, "forecast"),
    ):
        assert rolling.due(on_plan(rolling, now_ms, **changed)) == (word_said,)
    assert rolling.due(on_plan(rolling, now_ms, **same)) == ()


def test_a_departure_that_cannot_be_met_is_announced_at_plug_in_and_not_again(rolling: Rolling) -> None:
    # 22 kWh in one hour at 11 kW: half of it is lacking.
    hurried = vehicle(hours=1.0, need_kwh=22.0)
    planned, _ = rolling.replan(state(stays=(hurried,)))
    (lacking,) = planned.announced
    assert (lacking.session, lacking.asset, lacking.likely) == ("pile-1-7", "pile-1", False)
    assert lacking.kwh == pytest.approx(11.0)
    again, _ = rolling.replan(state(NOON_MS + QUARTER_MS, stays=(replace(hurried, held_kwh=2.75),)))
    assert again.lacking
    assert not again.announced


def test_a_departure_that_only_more_load_would_break_is_told_as_likely(rolling: Rolling) -> None:
    # The connection has 400 kW: with 100 kW of load the vehicle gets all, with 396 kW only 4 of 11 kW for two hours.
    steps = len(edges_from(NOON_MS)) - 1
    seen = outlook(steps, 100.0, high_load_kw=np.full(steps, 396.0))
    planned, _ = rolling.replan(
        state(outlook=seen, stays=(vehicle(hours=2.0),), held=(Held("battery", 10.0, NOON_MS),))
    )
    assert [one.likely for one in planned.lacking] == [True]
    assert not planned.plan.broken


def test_what_was_promised_is_kept_before_those_who_come_later(rolling: Rolling) -> None:
    # The connection leaves about 10 kW, the battery is at its least: 18 kWh in two hours can be promised. A quarter later another vehicle wants 4 kWh by the
    # same time, and there are not 15.75 and 4 left. A kWh is dearer where little lacks, and yet it is the later one that will lack, and hears it at plug-in.
    def there(now_ms: int) -> dict[str, Any]:
        steps = len(edges_from(now_ms)) - 1
        return {"outlook": outlook(steps, 366.0), "held": (Held("battery", 10.0, now_ms),)}

    first = vehicle(hours=2.0, need_kwh=18.0)
    planned, _ = rolling.replan(state(stays=(first,), **there(NOON_MS)))
    assert not planned.lacking
    now_ms = NOON_MS + QUARTER_MS
    later = vehicle(session="pile-2-1", asset="pile-2", hours=2.0, need_kwh=4.0)
    planned, _ = rolling.replan(state(now_ms, stays=(replace(first, held_kwh=2.25), later), **there(now_ms)))
    assert [one.session for one in planned.announced] == ["pile-2-1"]
    assert planned.announced[0].kwh > 1.0
    assert planned.lacking == planned.announced


@pytest.mark.parametrize(("price", "kw"), [(0.6, 11.0), (1.2, 0.0)])
def test_a_vehicle_at_risk_is_charged_ahead_where_that_costs_little(rolling: Rolling, price: float, kw: float) -> None:
    # An hour and two cheap ones (0.3) for 22 kWh at 11 kW: it can wait for the cheap ones. If the load comes to 395 of 400 kW then, they give 5 kW each, so that
    # 11 + 10 kWh are the most it can be sure of by now. A kWh sooner costs 0.3 or 0.9; a tenth of what a promise of 5 is worth is 0.5.
    steps = len(edges_from(NOON_MS)) - 1
    high_kw = np.full(steps, 100.0)
    high_kw[4:12] = 395.0
    rows = ((NOON_MS, NOON_MS + HOUR_MS, price, None), (NOON_MS + HOUR_MS, NOON_MS + 3 * HOUR_MS, 0.3, None))
    given: dict[str, Any] = {
        "outlook": outlook(steps, 100.0, high_load_kw=high_kw),
        "told_prices": ToldPrices("hours", rows),
        "held": (),
    }
    planned, told = rolling.replan(state(stays=(vehicle(hours=3.0),), **given))
    course = planned.plan.assets["pile-1-7"]
    assert course.charge_kw[:4].tolist() == pytest.approx([kw] * 4)
    assert course.energy_kwh[11] == pytest.approx(22.0)
    assert [(one.likely, one.kwh) for one in planned.lacking] == [(True, pytest.approx(1.0))]
    assert next(wish.kw for wish in told["gw-02"].wishes if wish.asset == "pile-1") == pytest.approx(kw)
    said = [note for note in planned.posed.notes if "charged ahead" in note]
    assert len(said) == 1
    kept = decode_record(encode_record(planned.posed.problem, planned.plan))
    assert (replay(kept).differences, replay(kept).exact) == ((), True)
    money = planned.plan.money
    assert (money.total - money.paid, money.caution) == pytest.approx((0.5 * (11.0 - kw), 0.5 * (11.0 - kw)))


def test_without_a_plan_in_time_the_one_before_goes_on_and_is_called_stale() -> None:
    answers: list[bool] = [True, False]

    def solver(problem: Problem, budget_s: float) -> Plan:
        if not answers.pop(0):
            raise Unsolved("expected a plan within 5 s, the solver was not done")
        return plan(problem, budget_s)

    rolling = Rolling(CIRCUIT, TARIFF, ZONE, solver=solver)
    first, told = rolling.replan(state())
    later_ms = NOON_MS + 20 * MINUTE_MS
    later = state(
        later_ms, stays=(vehicle(),), held=(Held("battery", expected_kwh(first, "battery", later_ms), later_ms),)
    )
    second, still = rolling.replan(later)
    assert (first.status, second.status, second.why) == (
        "optimal",
        "stale",
        "expected a plan within 5 s, the solver was not done",
    )
    assert second.plan.status == "stale"
    ends = [
        {wish.until_ms: wish.kw for wish in told["gw-01"].wishes if later_ms < wish.until_ms < NOON_MS + 20 * HOUR_MS}
        for told in (told, still)
    ]
    assert ends[0] == pytest.approx(ends[1], abs=0.01)
    assert len(ends[0]) >= 2
    assert second.unplanned == ("pile-1-7",)
    assert not [wish for wish in still["gw-02"].wishes if wish.asset == "pile-1"]
    assert [stay.asset for stay in still["gw-02"].stays] == [
        "pile-1"
    ]  # the vehicle that no plan knows charges by the edge's own rules
    assert "time" in rolling.due(later)  # it is tried again


def test_the_first_plan_that_fails_is_no_plan() -> None:
    def solver(_problem: Problem, _budget_s: float) -> Plan:
        raise Unsolved("expected a plan, the solver says infeasible")

    with pytest.raises(NoPlan, match="infeasible"):
        Rolling(CIRCUIT, TARIFF, ZONE, solver=solver).replan(state())


def test_edges_are_told_set_points_of_batteries_limits_of_chargers_and_the_peak_to_keep(rolling: Rolling) -> None:
    planned, told = rolling.replan(state(stays=(vehicle(hours=2.0, need_kwh=22.0),)))
    assert set(told) == {"gw-01", "gw-02"}
    battery = told["gw-01"].wishes
    assert battery[0].from_ms == NOON_MS
    assert all(one.until_ms == two.from_ms for one, two in itertools.pairwise(battery))
    assert battery[-1].until_ms == planned.made_of.edges_ms[-1]
    assert not any(wish.cap for wish in battery)
    (pile,) = [
        wish for wish in told["gw-02"].wishes if wish.asset == "pile-1"
    ]  # 22 kWh in 2 h: 11 kW throughout, told as one
    assert (pile.kw, pile.cap, pile.from_ms, pile.until_ms) == (11.0, True, NOON_MS, NOON_MS + 2 * HOUR_MS)
    (stay,) = told["gw-02"].stays
    assert (stay.departs_ms, stay.need_kwh, stay.gives_back) == (NOON_MS + 2 * HOUR_MS, 22.0, False)
    month = [limit for limit in told["gw-01"].limits if limit.window_s]
    assert next((limit.import_kw, limit.window_s) for limit in month) == (
        200.0,
        900,
    )  # the month's peak so far is never passed
    schedule = told["gw-01"].schedule("s-1", "store-1", 1, NOON_MS, planned.made_of.edges_ms[-1], CIRCUIT.sha256)
    assert schedule.valid_until_ms > planned.made_of.edges_ms[-1]


def test_authority_reason_and_gaps_tell_who_decides(rolling: Rolling) -> None:
    event = Asked("e1", "works", NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS, 30.0, "down", 2.0, (100.0,))
    hold = Overridden("o1", "works", "battery", -5.0, NOON_MS, NOON_MS + QUARTER_MS, "anna", "trial")
    out = Overridden("o2", "works", "battery", None, NOON_MS + 4 * HOUR_MS, NOON_MS + 5 * HOUR_MS, "ben", "cleaning")
    _, told = rolling.replan(state(asked=(event,), overridden=(hold, out)))
    wishes = told["gw-01"].wishes
    assert (wishes[0].kw, wishes[0].authority, wishes[0].reason) == (-5.0, "override", "trial (anna)")
    inside = [wish for wish in wishes if wish.authority == "event"]
    assert (inside[0].from_ms, inside[-1].until_ms, inside[0].kw) == (NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS, -30.0)
    assert not [wish for wish in wishes if wish.from_ms < out.until_ms and wish.until_ms > out.from_ms]
    kept = [
        limit for limit in told["gw-01"].limits if limit.authority == "event"
    ]  # 100 kW less 30, also when the load is another
    assert (kept[0].from_ms, kept[-1].until_ms) == (event.from_ms, event.until_ms)
    assert {(limit.branch, limit.import_kw, limit.window_s) for limit in kept} == {("transformer", 70.0, 300)}
