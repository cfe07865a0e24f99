"""Plans whose optimum is known by hand: cases A1 to A7 of the specification of flexibility."""

from typing import Any

import numpy as np
import pytest

from aggregator.flexibility.plan import Plan, plan
from aggregator.flexibility.problem import (
    Branch,
    Carbon,
    Contract,
    DemandCharge,
    Held,
    Problem,
    ProblemFault,
    Response,
    Session,
    Shiftable,
    Storage,
)


def series(value: Any, steps: int) -> Any:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (steps,)).copy()


def problem(steps: int, price: Any, **said: Any) -> Problem:
    """Steps of 1 h; buying costs what selling earns unless it is said otherwise."""
    given: dict[str, Any] = {"load_kw": 0.0, "pv_kw": 0.0, "export_price": price} | said
    for name in ("load_kw", "pv_kw", "export_price"):
        given[name] = series(given[name], steps)
    known = {"import_limit_kw": 1000.0, "export_limit_kw": 1000.0}
    return Problem(step_h=np.ones(steps), import_price=series(price, steps), **(known | given))


def battery(capacity_kwh: float = 100.0, power_kw: float = 50.0, ratio: float = 0.9, **said: Any) -> Storage:
    return Storage("battery", capacity_kwh, **({"start_kwh": 0.0, "charge_kw": power_kw, "discharge_kw": power_kw, "charge_ratio": ratio, "discharge_ratio": ratio} | said))  # fmt: skip


def vehicle(steps: int, need_kwh: float = 10.0, power_kw: float = 6.0, **said: Any) -> Session:
    return Session("ev", 0, steps, **({"start_kwh": 0.0, "need_kwh": need_kwh, "capacity_kwh": 100.0, "charge_kw": power_kw, "charge_ratio": 1.0} | said))  # fmt: skip


def test_a1_a_battery_between_two_prices_earns_61() -> None:
    found = plan(problem(4, [0.2, 0.2, 1, 1], storage=[battery()]))
    assert (found.objective, found.status, found.certain) == (pytest.approx(-61, abs=1e-9), "optimal", True)
    assert found.money.total == pytest.approx(-61, abs=1e-9)


@pytest.mark.parametrize(("size", "peak_kw"), [(100, 200), (200, 500 / 3)])
def test_a2_a_lossless_battery_shaves_a_peak_as_far_as_its_energy_goes(size: float, peak_kw: float) -> None:
    charge = DemandCharge("month", 1.0, np.ones(4, dtype=bool))
    found = plan(problem(4, 0, load_kw=[100, 100, 300, 100], storage=[battery(size, size, 1.0)], demand=[charge]))
    assert found.objective == pytest.approx(peak_kw, abs=1e-9)


def test_a_peak_that_the_period_has_had_costs_nothing_again() -> None:
    charge = DemandCharge("month", 2.0, np.array([True, True, False]), so_far_kw=80.0)
    found = plan(problem(3, 0, load_kw=[70, 90, 500], demand=[charge]))
    assert (found.objective, found.money.demand) == (pytest.approx(20), pytest.approx(20))


def test_a3_a_vehicle_charges_in_the_two_cheapest_hours() -> None:
    assert plan(problem(3, [0.5, 0.1, 0.3], sessions=[vehicle(3)])).objective == pytest.approx(1.8, abs=1e-9)


def test_a4_a_carbon_price_moves_load_where_the_money_price_does_not() -> None:
    carbon = Carbon(np.array([0.9, 0.3, 0.6]), 0.1)
    found = plan(problem(3, 0.5, sessions=[vehicle(3)], carbon=carbon))
    assert found.objective == pytest.approx(5.42, abs=1e-9)
    assert found.kg == pytest.approx(6 * 0.3 + 4 * 0.6)


@pytest.mark.parametrize(("price", "hour"), [(0.124, 0), (0.126, 1)])
def test_a4_the_order_flips_at_the_break_even_price_of_carbon(price: float, hour: int) -> None:
    """0.30 and 0.35 at 0.8 and 0.4 kg: (0.35 - 0.30) / (0.8 - 0.4) = 0.125 per kg."""
    carbon = Carbon(np.array([0.8, 0.4]), price)
    found = plan(problem(2, [0.30, 0.35], sessions=[vehicle(2, 6.0)], carbon=carbon))
    assert found.import_kw.tolist() == pytest.approx([6 * (hour == 0), 6 * (hour == 1)], abs=1e-6)


@pytest.mark.parametrize(("peak", "discharges"), [(0.6310, False), (0.6321, True)])
def test_a5_a_vehicle_gives_back_above_its_break_even_price_only(peak: float, discharges: bool) -> None:
    """0.33 / 0.93^2 + 0.25 = 0.63155."""
    ev = vehicle(2, 0.0, 10.0, discharge_kw=10.0, charge_ratio=0.93, discharge_ratio=0.93, wear_per_kwh=0.25)
    found = plan(problem(2, [0.33, peak], sessions=[ev]))
    assert bool(found.assets["ev"].discharge_kw.sum() > 1) is discharges


@pytest.mark.parametrize(("power_kw", "start_kwh", "kw"), [(200, 380, 161.5), (200, 200, 76.0)])
def test_a6_two_hours_of_response_from_what_the_battery_holds(power_kw: float, start_kwh: float, kw: float) -> None:
    """(380 - 40) x 0.95 / 2 and (200 - 40) x 0.95 / 2."""
    one = battery(400, power_kw, 0.95, start_kwh=start_kwh, least_kwh=40.0, charge_kw=0.0)
    event = Response("cut", np.ones(2, dtype=bool), series(500, 2), series(300, 2), pay_per_kwh=1.0)
    found = plan(problem(2, 0.5, load_kw=500, export_price=0, storage=[one], responses=[event]))
    assert found.responses_kw["cut"].sum() / 2 == pytest.approx(kw, abs=1e-6)
    lacking = sum(broken.amount for broken in found.broken)
    assert lacking == pytest.approx(600 - 2 * kw)
    assert {broken.kind for broken in found.broken} == {"response"}


@pytest.mark.parametrize(
    ("ratio", "wear", "price", "certain"),
    [(0.95, 0.10, -0.925, True), (0.95, 0.10, -0.926, False), (0.93, 0.25, -1.600, True), (0.93, 0.25, -1.601, False)],
)
def test_a7_charging_and_discharging_at_once_pays_below_the_threshold_only(
    ratio: float, wear: float, price: float, certain: bool
) -> None:
    """-wear / (1 / (eta_c eta_d) - 1): -0.92564 for the battery, -1.60048 for the vehicle."""
    full = battery(100, 50, ratio, start_kwh=100.0, wear_per_kwh=wear, end_kwh=100.0)
    found = plan(problem(3, price, load_kw=200, export_price=price - 1, storage=[full]))
    assert found.certain is certain
    overlap = np.minimum(found.assets["battery"].charge_kw, found.assets["battery"].discharge_kw)
    assert overlap.max() < 1e-6


def test_a_promise_that_cannot_be_kept_is_named_with_what_it_lacks_and_the_rest_is_planned() -> None:
    found = plan(problem(2, 0.5, sessions=[vehicle(2, 30.0)]))
    (broken,) = found.broken
    assert (broken.kind, broken.name, broken.step, broken.amount, broken.unit) == (
        "departure",
        "ev",
        1,
        pytest.approx(18),
        "kWh",
    )
    assert broken.cost == pytest.approx(90)
    assert found.assets["ev"].charge_kw.tolist() == pytest.approx([6, 6])


def test_a_load_beyond_the_connection_gives_a_plan_that_says_so() -> None:
    found = plan(problem(1, 0.5, load_kw=1200))
    assert [(b.kind, b.name, b.amount) for b in found.broken] == [("connection", "import", pytest.approx(200))]


@pytest.mark.parametrize(("weight", "charged"), [(0.4, [4, 0, 6, 0]), (0.2, [0, 4, 6, 0])])
def test_a_vehicle_is_charged_ahead_as_far_as_that_costs_less_than_its_weight(
    weight: float, charged: list[float]
) -> None:
    # 10 kWh at 6 kW, cheapest as 4 at 0.4 and 6 at 0.1: 8 kWh behind after the first hour. Each of the 4 costs 0.3 more an hour sooner, each of the 6 0.6.
    ahead = np.array([8.0, 8.0, 8.0, 8.0])
    one = vehicle(4, ahead_kwh=ahead, ahead_price_per_kwh=weight)
    found = plan(problem(4, [0.7, 0.4, 0.1, 0.9], export_price=0, sessions=[one]))
    assert found.assets["ev"].charge_kw.tolist() == pytest.approx(charged, abs=1e-6)


def test_a_load_that_can_wait_takes_the_cheap_hours_of_its_window() -> None:
    washing = Shiftable("washing", 1, 4, 5.0, 3.0)
    found = plan(problem(5, [0.1, 0.5, 0.2, 0.4, 0.1], shiftable=[washing]))
    assert found.shifted_kw["washing"].tolist() == pytest.approx([0, 0, 3, 2, 0], abs=1e-6)


def test_a_load_with_a_least_power_runs_at_it_or_not_at_all_and_rounds_its_last_step_up() -> None:
    # 8 kWh at 3 kW or nothing: three of four hours, the cheapest; the dearest of them is not for 2 kWh at 2 kW.
    pump = Shiftable("pump", 0, 4, 8.0, 3.0, least_kw=3.0)
    found = plan(problem(4, [0.3, 0.1, 0.4, 0.2], export_price=0, shiftable=[pump]))
    assert found.shifted_kw["pump"].tolist() == pytest.approx([3, 3, 0, 3], abs=1e-6)
    assert not found.broken
    with pytest.raises(ProblemFault, match=r"pump: expected 0 <= least_kw <= power_kw, got 5\.0 and 3\.0"):
        plan(problem(4, 0.1, shiftable=[Shiftable("pump", 0, 4, 8.0, 3.0, least_kw=5.0)]))


def test_a_load_that_somebody_holds_takes_that_power() -> None:
    pump = Shiftable("pump", 0, 4, 5.0, 3.0)
    found = plan(problem(4, [0.4, 0.3, 0.2, 0.1], shiftable=[pump], held=[Held("pump", 0, 1, 2.0)]))
    assert found.shifted_kw["pump"].tolist() == pytest.approx([2, 0, 0, 3], abs=1e-6)


def cold(start_kwh: float = 0.0, **said: Any) -> Storage:
    """A cold store of 10 kWh, 5 kW, without losses, of which 2 kW are drawn."""
    steps = said.pop("steps", 4)
    given: dict[str, Any] = {"charge_ratio": 1.0, "discharge_ratio": 1.0, "drain_kw": np.full(steps, 2.0)} | said
    return Storage("cold", 10.0, start_kwh, 5.0, 0.0, **given)


def test_a_cold_store_is_filled_in_the_cheap_hours_and_lasts_through_the_dear_ones() -> None:
    # 8 kWh are drawn in four hours. The first must be fed at once (2 kW); 5 kW fit into the second, of which 3 kWh are left for the third and fourth.
    found = plan(problem(4, [0.9, 0.1, 1.0, 0.8], storage=[cold()]))
    assert found.assets["cold"].charge_kw.tolist() == pytest.approx([2, 5, 0, 1], abs=1e-6)
    assert found.assets["cold"].energy_kwh.tolist() == pytest.approx([0, 3, 1, 0], abs=1e-6)
    assert found.money.total == pytest.approx(2 * 0.9 + 5 * 0.1 + 1 * 0.8)


def test_cold_that_is_stored_warms_up_by_its_loss() -> None:
    # Half of what is held is gone an hour later, so that 1 kWh at the dear end takes 2 kWh an hour before: at 0.1 against 0.3 that pays, at 0.2 it does not.
    drain = np.array([0.0, 1.0])
    for price, charged in ((0.1, [2, 0]), (0.2, [0, 1])):
        store = cold(drain_kw=drain, loss_per_h_ratio=0.5)
        found = plan(problem(2, [price, 0.3], storage=[store]))
        assert found.assets["cold"].charge_kw.tolist() == pytest.approx(charged, abs=1e-6)


def test_cold_that_lacks_is_named_with_its_price() -> None:
    # 7 kW are drawn, 5 kW can be made: 2 kW lack for an hour.
    found = plan(problem(1, 0.5, storage=[cold(drain_kw=np.array([7.0]), shortfall_price_per_kwh=3.0)]))
    (lack,) = found.broken
    assert (lack.kind, lack.name, lack.unit) == ("comfort", "cold", "kW")
    assert (lack.amount, lack.cost) == (pytest.approx(2.0), pytest.approx(6.0))
    assert found.money.total == pytest.approx(5 * 0.5 + 6.0)
    with pytest.raises(ProblemFault, match=r"cold\.drain_kw: expected 0 or above, got -1\.0"):
        plan(problem(1, 0.5, storage=[cold(drain_kw=np.array([-1.0]))]))


def test_a_contract_is_exceeded_only_where_it_must_and_at_its_price() -> None:
    contract = Contract("limit", series(100, 2), 20.0)
    found = plan(
        problem(
            2,
            0.5,
            load_kw=[150, 50],
            export_price=0,
            contracts=[contract],
            storage=[battery(100, 30, 1.0, start_kwh=30.0)],
        )
    )
    assert [(b.kind, b.step, round(b.amount, 6)) for b in found.broken] == [("contract", 0, 20.0)]


def test_a_phase_keeps_its_limit_by_the_phasor_sum_inside_the_circle() -> None:
    """Two single-phase chargers of 230 V at 120 degrees to one another share a neutral of 20 A: the facets lie within 3.5 % of the circle."""
    amps_per_kw = 1000 / 230
    turn = np.exp(2j * np.pi / 3)
    cars = [Session(f"ev{n}", 0, 1, 0.0, 50.0, 50.0, 22.0, charge_ratio=1.0, discharge_ratio=1.0) for n in range(2)]
    neutral = Branch("neutral", 20.0, {"ev0": amps_per_kw, "ev1": amps_per_kw * turn})
    line = Branch("line", 40.0, {"ev0": amps_per_kw})
    found = plan(problem(1, 0.5, sessions=cars, branches=[neutral, line]))
    kw = [float(found.assets[f"ev{n}"].charge_kw[0]) for n in range(2)]
    amps = abs(amps_per_kw * (kw[0] + turn * kw[1]))
    assert 20 * np.cos(np.pi / 12) - 1e-6 <= amps <= 20 + 1e-6
    assert amps_per_kw * kw[0] <= 40


def test_apparent_power_counts_the_reactive_background() -> None:
    """900 kW with 600 kvar is 1,082 kVA: at 1,000 kVA the battery must help although 900 kW would fit."""
    line = Branch("transformer", 1000.0, {"battery": 1.0}, np.array([900 + 600j]))
    one = battery(500, 300, 1.0, start_kwh=500.0, wear_per_kwh=1.0, charge_kw=0.0)
    found = plan(problem(1, 0.5, load_kw=900, export_price=0, storage=[one], branches=[line]))
    discharged = float(found.assets["battery"].discharge_kw[0])
    assert abs(900 - discharged + 600j) <= 1000 + 1e-6
    assert 100 <= discharged <= 160  # 800 + 600j is the circle; the facets ask for a little more
    assert any(bound.limit == "branch transformer" for bound in found.binding)


def test_no_charger_is_left_between_0_and_its_least_power() -> None:
    cars = [Session(f"ev{n}", 0, 6, 0.0, 3.0 + n, 50.0, 11.0, charge_ratio=1.0, least_kw=4.14) for n in range(4)]
    found = plan(problem(6, [0.5, 0.3, 0.4, 0.2, 0.6, 0.1], load_kw=5, import_limit_kw=20.0, sessions=cars))
    power = np.concatenate([asset.charge_kw for asset in found.assets.values()])
    assert not ((power > 1e-6) & (power < 4.14 - 1e-6)).any()
    assert not found.broken


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"import_limit_kw": -1.0}, "import_limit_kw: expected a limit"),
        ({"load_kw": [1.0, 2.0, float("nan")]}, "load_kw: expected 3 finite values, got 3, 1 of them not finite"),
        ({"sessions": [Session("ev", 2, 5, 0, 1, 10, 7)]}, "ev: expected 0 <= arrival < departure <= 3, got 2 and 5"),
        ({"storage": [Storage("b", 10, 11, 1, 1)]}, "b: expected 0 <= start_kwh <= capacity_kwh, got 11 of 10"),
        ({"branches": [Branch("line", 1.0, {"car": 1.0})]}, "branch line: expected members among the assets, got car"),
    ],
)
def test_a_problem_that_contradicts_itself_is_refused_by_name(fault: dict[str, Any], said: str) -> None:
    with pytest.raises(ProblemFault) as refused:
        plan(problem(3, 0.5, **fault))
    assert said in str(refused.value)


def test_the_time_ends_with_a_word_not_with_zeros() -> None:
    from aggregator.flexibility.solve import Unsolved

    with pytest.raises(Unsolved, match="expected a plan within 0 s"):
        plan(problem(3, 0.5), budget_s=0.0)


def test_the_marginal_price_is_the_import_price_where_nothing_binds() -> None:
    found: Plan = plan(problem(3, [0.5, 0.1, 0.3], load_kw=10))
    assert found.marginal_price.tolist() == pytest.approx([0.5, 0.1, 0.3])


def test_an_asset_that_is_held_does_as_it_is_told_as_far_as_it_can() -> None:
    # 30 kW for 3 h into an empty, lossless battery of 50 kWh: 30, then 20; the third hour lacks 30 kW and the second 10, at 50 a kWh.
    held = Held("battery", 0, 3, 30.0)
    found = plan(problem(4, 1.0, export_price=0.0, storage=[battery(50.0, 50.0, 1.0)], held=[held]))
    asset = found.assets["battery"]
    assert (asset.charge_kw - asset.discharge_kw)[:3].sum() == pytest.approx(50.0)
    assert sum(one.amount for one in found.broken) == pytest.approx(40.0)
    assert {(one.kind, one.name, one.unit) for one in found.broken} == {("held", "battery", "kW")}
    assert found.money.promises == pytest.approx(2000.0)


def test_a_response_upwards_takes_more_than_the_baseline() -> None:
    # Baseline 10 kW, 5 kW more asked for 1 h at 2 per kWh; the battery takes them at 0.5: pay 10, energy 7.5 for the load and the charge.
    event = Response("up", np.array([True, False]), series(10, 2), series(5, 2), pay_per_kwh=2.0, up=True)
    found = plan(
        problem(2, 0.5, load_kw=10.0, export_price=0.0, storage=[battery(100.0, 50.0, 1.0)], responses=[event])
    )
    assert found.import_kw[0] == pytest.approx(15.0)
    assert found.money.responses == pytest.approx(-10.0)
    assert found.broken == ()


def test_a_charger_that_goes_up_to_its_least_power_does_not_overfill_its_vehicle() -> None:
    # 10 kWh and room for no more, 16 quarters of an hour: calm charging would be 2.5 kW throughout, below the least 4.157 kW.
    quarter = np.full(16, 0.25)
    steps = {
        "load_kw": series(100, 16),
        "pv_kw": series(0, 16),
        "import_price": series(0.3, 16),
        "export_price": series(0, 16),
    }
    thin = Session("ev", 0, 16, 0.0, 10.0, 10.0, 11.0, charge_ratio=1.0, least_kw=4.157)
    found = plan(
        Problem(quarter, **steps, import_limit_kw=400, export_limit_kw=0, sessions=(thin,), ramp_price_per_kw=0.002)
    )
    power = found.assets["ev"].charge_kw
    assert all(kw == pytest.approx(0.0, abs=1e-6) or kw >= 4.157 - 1e-6 for kw in power)
    assert 10.0 - float(power.sum()) * 0.25 == pytest.approx(sum(one.amount for one in found.broken), abs=1e-6)
    assert sum(one.amount for one in found.broken) < 0.01
