"""Vehicles as they are: on one phase or three, taking less towards full, offered whole amperes; and the car park that is shipped."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from device_sim.charging_points import ChargingPoint, ChargingPoints, Steering
from device_sim.plan import CsvPlan
from device_sim.plant import Node, Plant
from device_sim.profile import UJ_PER_KWH, NoPower
from device_sim.site import SITES, load_site
from device_sim.site_table import SiteFaults
from device_sim.vehicle_make import MadeVisits, Make
from device_sim.visits import ListedVisits, Visit

HOUR_MS = 3_600_000
KW = 1_000_000  # mW
MONDAY_MS = 1_623_654_000_000  # 2021-06-14T00:00-07:00


def visit(need_kwh: float = 20, max_kw: float = 22, **other: int) -> Visit:
    return Visit(0, 20 * HOUR_MS, round(need_kwh * UJ_PER_KWH), round(max_kw * KW), "TAG", **other)


def one(what: Visit, **point: Any) -> tuple[Plant, ChargingPoint]:
    points = ChargingPoints([ChargingPoint(0, ListedVisits({0: [what]}), 22 * KW, **point)])
    return Plant("p", 0, NoPower(), NoPower(), points), points[0]


def test_constant_voltage_takes_as_long_as_its_steps_sum_up_to() -> None:
    """40 of 60 kWh at 20 kW and 60 kWh full: 8 kWh up to 80 % take 0.4 h, then 20 steps of 0.6 kWh at 20 kW x k / 20: 0.6 h x (1 + ... + 1/20) = 2.15864 h."""
    full = {"capacity_uj": 60 * UJ_PER_KWH, "target_uj": 60 * UJ_PER_KWH, "taper_uj": 48 * UJ_PER_KWH}
    plant, point = one(visit(20, 20, **full))
    plant.advance(round(0.399 * HOUR_MS))
    assert plant.flow(Node.EV).active_mw == 20 * KW
    plant.advance(round(2.555 * HOUR_MS))
    assert plant.flow(Node.EV).active_mw == KW
    plant.advance(round(2.5587 * HOUR_MS))
    assert plant.flow(Node.EV).active_mw == 0
    assert point.import_uj == 20 * UJ_PER_KWH


@pytest.mark.parametrize(("limit_a", "offered_a"), [(5.9, 0), (6.0, 6), (15.99, 15), (16.0, 16), (40.0, 22_000 / 690)])
def test_a_limit_is_offered_in_whole_amperes_from_six_on(limit_a: float, offered_a: float) -> None:
    plant, point = one(visit(), step_ma=1000)
    plant.advance(1000)
    point.steer(Steering(charge_mw=round(limit_a * 690_000)), 1000)
    plant.disturb()
    assert plant.flow(Node.EV).active_mw == round(offered_a * 690_000)


def test_each_point_draws_from_the_phases_that_it_is_wired_to() -> None:
    """A vehicle with one phase uses the first wire of its point, one with three splits its power, and a three-phase load is as uneven as ever."""
    visits = ListedVisits({0: [visit(50, 7.2, phases=1)], 1: [visit(50, 12)], 2: [visit(50, 6, phases=1)]})
    points = ChargingPoints(
        [
            ChargingPoint(0, visits, 7_360_000, 1, wiring=(1,)),
            ChargingPoint(1, visits, 22 * KW, wiring=(2, 0, 1)),
            ChargingPoint(2, visits, 22 * KW, wiring=(2, 0, 1)),
        ]
    )
    built = Plant("p", 0, NoPower(), NoPower(), points, ev_tan_per_mille=0)
    built.advance(1000)
    assert points.phases_mw() == (4 * KW, (4 + 7.2) * KW, (4 + 6) * KW)
    assert sum(points.phases_mw() or ()) == built.flow(Node.EV).active_mw


def test_the_grid_meter_of_the_car_park_sees_each_phase() -> None:
    """By the conservation of power on each phase: what the meter sees less what the piles draw there is the rest's fixed share."""
    plan = load_site(SITES / "car_park.toml").plants[0]
    built = plan.build(MONDAY_MS)
    devices = {device.name: device for _, device in plan.build_devices(built)}
    uneven = 0.0
    for hour in range(4, 24):
        built.advance(MONDAY_MS + hour * HOUR_MS)
        seen = devices["incomer"].view(built.now_ms).measured
        points = built.vehicles
        assert isinstance(points, ChargingPoints)
        drawn = points.phases_mw()
        assert drawn is not None
        rest_w = seen.total_active_w - sum(drawn) / 1000
        for phase, share in enumerate((0.34, 0.33, 0.33)):
            assert seen.active_w[phase] == pytest.approx(drawn[phase] / 1000 + share * rest_w, abs=1e-6)
        assert sum(seen.active_w) == pytest.approx(seen.total_active_w, abs=1e-6)
        uneven = max(uneven, max(seen.current_a) - min(seen.current_a))
    assert uneven > 15  # at least once a pile more on one phase than on another


def test_the_same_visit_always_brings_the_same_vehicle() -> None:
    make = Make(9 * KW, 0.5, 0.8, 0.5, 5 * KW)
    visits = {point: [visit(10 + point, 2)] for point in range(200)}
    first, second = (MadeVisits(ListedVisits(visits), make) for _ in range(2))
    made = [first.next(point, 0) for point in range(200)]
    assert made == [second.next(point, 0) for point in reversed(range(200))][::-1]
    one_phase = [one for one in made if one is not None and one.phases == 1]
    assert 70 <= len(one_phase) <= 130
    assert {one.max_mw for one in one_phase} == {3 * KW}
    assert {one.max_mw for one in made if one is not None and one.phases == 3} == {9 * KW}
    assert 70 <= sum(one.max_discharge_mw > 0 for one in made if one is not None) <= 130


HOURS = "hour_index,load_kwh,pv_kwh_per_kwp\n0,2.5,0.0\n1,1.25,0.5\n"


def home(directory: Path, **pv: object) -> Path:
    (directory / "home.csv").write_text(HOURS)
    site = directory / "home.toml"
    lines = [
        '[[plant]]\nname = "home"',
        '[plant.load]\nkind = "hourly"\nfile = "home.csv"\nfactor = 4\nfirst_row_local = "2021-08-01T00:00"',
        "[plant.pv]\npeak_kw = 8",
        *(f"{key} = {value!r}" for key, value in pv.items()),
        '[[plant.device]]\nname = "m"\nkind = "schneider_pm5560"\nmeasures = "grid"',
    ]
    site.write_text("\n".join(lines))
    return site


def test_measured_hours_are_replayed_scaled_and_over_again(tmp_path: Path) -> None:
    """Load 4 x 2.5 and 4 x 1.25 kWh, PV 8 kWp x 0 and 0.5 kWh: 10 and 1 kWh, 22 in two turns."""
    plan = load_site(home(tmp_path, file="home.csv", first_row_local="2021-08-01T00:00")).plants[0]
    begin_ms = round(datetime.fromisoformat("2021-08-01T00:00+00:00").timestamp() * 1000)
    assert isinstance(plan.load, CsvPlan)
    built = plan.build(begin_ms)
    built.advance(begin_ms + HOUR_MS)
    assert built.tallies[Node.GRID].import_uj == 10 * UJ_PER_KWH
    built.advance(begin_ms + 4 * HOUR_MS)
    assert built.tallies[Node.GRID].import_uj == 22 * UJ_PER_KWH
    assert built.tallies[Node.PV].export_uj == 8 * UJ_PER_KWH


def test_an_hourly_file_that_does_not_fit_is_refused_with_its_line(tmp_path: Path) -> None:
    site = home(tmp_path, file="home.csv", first_row_local="2021-08-01T00:00+02:00")
    with pytest.raises(SiteFaults, match="first_row_local: expected an ISO local time without zone"):
        load_site(site)
    site = home(tmp_path, file="home.csv", first_row_local="2021-08-01T00:00", column="pv")
    with pytest.raises(SiteFaults, match=r"home.csv:1: expected a column 'pv'"):
        load_site(site)
    (tmp_path / "home.csv").write_text(HOURS.replace("0.5", "-0.5"))
    site = home(tmp_path, file="home.csv", first_row_local="2021-08-01T00:00")
    (tmp_path / "home.csv").write_text(HOURS.replace("0.5", "-0.5"))
    with pytest.raises(
        SiteFaults, match=r"home.csv:3: pv_kwh_per_kwp: expected kWh of an hour, at least 0, got '-0.5'"
    ):
        load_site(site)


def test_what_vehicles_cannot_be_is_refused() -> None:
    table = {
        "name": "p",
        "load": {},
        "ev": {"points": 1, "phases": ["L4"]},
        "device": [{"name": "m", "kind": "schneider_pm5560", "measures": "grid"}],
    }
    with pytest.raises(SiteFaults, match=r"ev.phases: expected a list of L1L2L3, .*, got \['L4'\]"):
        load_site({"plant": [table]})


def test_hours_are_exact_to_the_microjoule(tmp_path: Path) -> None:
    from device_sim.hourly import read_hourly

    path = tmp_path / "h.csv"
    path.write_text("x\n0.000000000001\n1\n")
    hours = read_hourly(path, "x", datetime(2021, 8, 1), Decimal(3))  # noqa: DTZ001 - local wall time
    assert hours.energies_uj == (11, 3 * UJ_PER_KWH)
