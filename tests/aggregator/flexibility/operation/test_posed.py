"""A facility's state as the planner's problem. Expected numbers by hand."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from planned_works import CHEAP, CIRCUIT, DEAR, HOUR_MS, NOON_MS, QUARTER_MS, TARIFF, ZONE, outlook, state, vehicle

from aggregator.flexibility.asked import Asked, Overridden
from aggregator.flexibility.operation.posed import problem_of
from aggregator.flexibility.operation.state import LegalLimit, Signal, edges_from, leaving
from aggregator.flexibility.operation.tariff import Tariff
from aggregator.flexibility.plan import plan


def test_steps_begin_now_go_on_by_quarters_and_end_by_hours() -> None:
    edges = edges_from(NOON_MS + 300_000)
    assert edges[:3] == (NOON_MS + 300_000, NOON_MS + QUARTER_MS, NOON_MS + 2 * QUARTER_MS)
    assert len(edges) == 1 + 96 + 12
    assert edges[-1] - edges[-2] == HOUR_MS
    assert edges_from(NOON_MS + QUARTER_MS - 59_000)[0] == NOON_MS + QUARTER_MS  # a minute's rest is no step


def test_a_vehicle_that_leaves_within_the_step_is_planned_for_until_then_and_no_longer() -> None:
    # Four minutes at 11 kW are 0.733 kWh, whatever the quarter has left.
    hurried = vehicle(hours=4 / 60, need_kwh=3.0)
    cuts = leaving([hurried], NOON_MS)
    assert cuts == [NOON_MS + 240_000]
    edges = edges_from(NOON_MS, cuts=cuts)
    planned = plan(problem_of(CIRCUIT, TARIFF, state(stays=(hurried,), edges_ms=edges), ZONE).problem)
    assert [one.amount for one in planned.broken if one.kind == "departure"] == [pytest.approx(3.0 - 11 * 4 / 60)]
    later = [vehicle(session=f"pile-1-{n}", hours=n / 12) for n in range(1, 30)]
    assert leaving(later, NOON_MS) == [NOON_MS + 300_000 * n for n in range(1, 9)], (
        "no more than eight, within the hour"
    )


def test_steps_are_cut_where_an_event_begins_and_ends() -> None:
    minute_ms = 60_000
    event = Asked("e1", "works", NOON_MS + 5 * minute_ms, NOON_MS + 20 * minute_ms, 30.0, "down", 2.0, (100.0,))
    edges = edges_from(
        NOON_MS, cuts=[event.from_ms, event.until_ms, NOON_MS + 30 * minute_ms + 59_000, NOON_MS - minute_ms]
    )
    assert [(edge - NOON_MS) // minute_ms for edge in edges[:5]] == [
        0,
        5,
        15,
        20,
        30,
    ]  # 59 s behind a quarter is too near
    (response,) = problem_of(CIRCUIT, TARIFF, state(edges_ms=edges, asked=(event,)), ZONE).problem.responses
    assert np.flatnonzero(response.steps).tolist() == [1, 2]


def test_the_problem_has_the_tariffs_prices_the_peak_so_far_and_the_batterys_energy() -> None:
    problem = problem_of(CIRCUIT, TARIFF, state(), ZONE).problem
    assert problem.import_price[:16] == pytest.approx([CHEAP] * 16)
    assert problem.import_price[16:32] == pytest.approx([DEAR] * 16)
    assert (problem.import_limit_kw, problem.export_limit_kw) == (400, 0)
    (battery,), (month,) = problem.storage, problem.demand
    assert (battery.start_kwh, battery.least_kwh, battery.end_kwh) == (50.0, 10.0, 50.0)
    assert (month.price_per_kw, month.so_far_kw) == (40.0, 200.0)


def test_a_constant_intensity_is_said_to_move_nothing() -> None:
    posed = problem_of(CIRCUIT, TARIFF, state(), ZONE)
    assert posed.notes == ("carbon: the accounting intensity is 0.5 kg/kWh throughout: its price cannot move load",)
    assert posed.problem.carbon is not None
    assert posed.problem.carbon.price_per_kg == 0.1
    steps = posed.problem.steps
    moving = state(signals=(Signal("accounting", np.linspace(0.3, 0.6, steps), "hours"),))
    assert problem_of(CIRCUIT, TARIFF, moving, ZONE).notes == ()


def test_without_the_signal_that_is_asked_for_the_plan_goes_by_money_and_says_so() -> None:
    posed = problem_of(CIRCUIT, replace(TARIFF, carbon_signal="marginal"), state(), ZONE)
    assert posed.problem.carbon is None
    assert posed.notes == (
        "carbon: no marginal intensity is known (accounting); the plan goes by money alone",
    )  # fmt: skip


def test_a_vehicle_that_has_agreed_to_nothing_never_gives_back() -> None:
    one = vehicle(gives_back=False)
    (session,) = problem_of(CIRCUIT, TARIFF, state(stays=(one,)), ZONE).problem.sessions
    assert (session.discharge_kw, session.charge_kw, session.departure) == (0.0, 11.0, 16)
    assert session.least_kw == pytest.approx(6 * 3 * 400 / math.sqrt(3) / 1000)  # 6 A on three phases: 4.157 kW
    agreed = vehicle(gives_back=True, reserve_kwh=5.0)
    (session,) = problem_of(CIRCUIT, TARIFF, state(stays=(agreed,)), ZONE).problem.sessions
    assert (session.discharge_kw, session.reserve_kwh) == (11.0, 5.0)


def test_a_departure_within_a_quarter_counts_from_its_begin() -> None:
    for minutes, steps in ((60, 4), (74, 4), (75, 5), (5, 1)):
        posed = problem_of(CIRCUIT, TARIFF, state(stays=(vehicle(minutes / 60),)), ZONE)
        assert posed.problem.sessions[0].departure == steps


def test_an_event_is_a_response_in_its_steps_and_an_override_holds_its_asset() -> None:
    event = Asked("e1", "works", NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS, 30.0, "down", 2.0, (100.0, 120.0))
    word = Overridden("o1", "works", "battery", -20.0, NOON_MS, NOON_MS + HOUR_MS, "anna", "test of the battery")
    posed = problem_of(CIRCUIT, TARIFF, state(asked=(event,), overridden=(word,)), ZONE)
    (response,), held = posed.problem.responses, posed.problem.held
    assert np.flatnonzero(response.steps).tolist() == [4, 5, 6, 7]
    assert response.baseline_kw[4:6].tolist() == [100.0, 120.0]
    assert [(one.first, one.last, one.kw) for one in held] == [(0, 1, -20.0), (1, 2, -20.0), (2, 4, -20.0)]
    course = plan(posed.problem).assets["battery"]
    assert (course.charge_kw - course.discharge_kw)[:4] == pytest.approx([-20.0] * 4)


def test_what_cannot_be_held_for_ever_is_held_from_now_on_as_long_as_it_can_be() -> None:
    """50 kWh of room, charged with 20 kW at 95 %: 2.63 h, so that ten quarters are held in full, whatever another time would pay."""
    word = Overridden("o1", "works", "battery", 20.0, NOON_MS, NOON_MS + 20 * HOUR_MS, "anna", "test of the battery")
    posed = problem_of(CIRCUIT, TARIFF, state(overridden=(word,)), ZONE)
    course = plan(posed.problem).assets["battery"]
    assert (course.charge_kw - course.discharge_kw)[:10] == pytest.approx([20.0] * 10)


def test_what_an_operator_leaves_out_is_not_planned() -> None:
    word = Overridden("o1", "works", "battery", None, NOON_MS, NOON_MS + HOUR_MS, "anna", "maintenance")
    posed = problem_of(CIRCUIT, TARIFF, state(overridden=(word,)), ZONE)
    assert (posed.left_out, posed.problem.storage) == (("battery",), ())


def test_legal_limits_bind_what_is_imported_and_exported() -> None:
    limits = (LegalLimit("transformer", "import", 110.0), LegalLimit("transformer", "export", 10.0))
    wide = msgspec.structs.replace(CIRCUIT.connection, export_limit_kw=None)
    circuit = type(CIRCUIT)(CIRCUIT.facility, [wide, CIRCUIT.branch[1]], CIRCUIT.asset)
    seen = outlook(len(edges_from(NOON_MS)) - 1)
    seen.load_kw[:4] = 130.0  # for an hour, of which the battery takes 20 kW
    problem = problem_of(circuit, TARIFF, state(limits=limits, outlook=seen), ZONE).problem
    assert problem.export_limit_kw == 10.0
    assert [(one.limit_kw[0], one.price_per_kwh) for one in problem.contracts] == [(110.0, 1000.0)]
    assert plan(problem).import_kw.max() == pytest.approx(110.0)


def test_the_cautious_problem_has_more_load_less_sun_and_the_likely_need() -> None:
    steps = len(edges_from(NOON_MS)) - 1
    seen = outlook(steps, sun_kw=30.0, high_load_kw=np.full(steps, 130.0), low_sun_kw=np.full(steps, 5.0))
    guessed = vehicle(basis="assumed", likely_need_kwh=33.0)
    posed = problem_of(CIRCUIT, TARIFF, state(outlook=seen, stays=(guessed,)), ZONE)
    assert (posed.problem.load_kw[0], posed.problem.pv_kw[0], posed.problem.sessions[0].need_kwh) == (100, 30, 22)
    assert (posed.cautious.load_kw[0], posed.cautious.pv_kw[0], posed.cautious.sessions[0].need_kwh) == (130, 5, 33)


def test_no_peak_is_saved_at_a_vehicles_cost() -> None:
    # The last kWh of a vehicle within a quarter is 4 kW of a peak at 40 per kW: 160 money, which a promise of 5 would not outweigh.
    free = replace(TARIFF, demand=(replace(TARIFF.demand[0], price_per_kw=40.0),))
    hurried = state(stays=(vehicle(hours=1.0, need_kwh=11.0),), peaks_kw={"month": 100.0}, held=())
    assert plan(problem_of(CIRCUIT, replace(free, unserved_per_kwh=5.0), hurried, ZONE).problem).broken
    assert not plan(problem_of(CIRCUIT, free, hurried, ZONE).problem).broken
    assert (free.lack_per_kwh, Tariff(()).lack_per_kwh) == (485.0, 5.0)


def test_a_legal_limit_of_a_branch_bounds_what_is_below_it() -> None:
    limited = state(limits=(LegalLimit("garage", "import", 5.0),), stays=(vehicle(need_kwh=60.0),))
    found = plan(problem_of(CIRCUIT, TARIFF, limited, ZONE).problem)
    # The polygon of a branch lies within its circle: 5 kW x cos(pi/12).
    assert found.assets["pile-1-7"].charge_kw.max() == pytest.approx(5 * math.cos(math.pi / 12))
    assert found.assets["battery"].charge_kw.max() > 5
