"""Firm offers beside a plan, and on which assets they stand. Expected numbers by hand: a flat price, so that a plan moves nothing by itself."""

import pytest
from planned_aggregator import Works, at_ms
from planned_works import CIRCUIT, HOUR_MS, NOON_MS, QUARTER_MS, ZONE, state, vehicle

from aggregator.flexibility.operation.rolling import Planned, Rolling
from aggregator.flexibility.operation.tariff import Period, Tariff
from aggregator.planning.offering import NO_DRILL, beside, firm_kw, offered, windows

FLAT = Tariff((Period("flat", 0.5),))


@pytest.fixture(scope="module")
def planned() -> Planned:
    """A battery that rests at 50 of 100 kWh (least 10), and a vehicle on three phases that needs 22 kWh within 4 h at 11 kW."""
    found, _ = Rolling(CIRCUIT, FLAT, ZONE).replan(state(stays=(vehicle(),)))
    return found


def test_windows_begin_now_at_the_next_quarter_and_at_full_hours() -> None:
    edges = [NOON_MS + 300_000, *(NOON_MS + number * QUARTER_MS for number in range(1, 14))]
    found = windows(edges, [0.25, 1.0])
    begins = [edges[first] - NOON_MS for first, _, hours in found if hours == 0.25]
    assert begins == [
        QUARTER_MS,
        HOUR_MS,
        2 * HOUR_MS,
        3 * HOUR_MS,
    ]  # from 12:05 there is no quarter of an hour to an edge
    assert [edges[last] - edges[first] for first, last, hours in found if hours == 1.0] == [HOUR_MS] * 3


def test_an_hour_down_is_what_the_battery_gives_and_what_the_vehicle_can_wait(planned: Planned) -> None:
    begin_ms = NOON_MS  # at once: the battery cannot be filled for it
    firm = firm_kw(beside(planned), "down", begin_ms, begin_ms + HOUR_MS)
    assert firm is not None
    vehicle_kw = float(planned.plan.assets["pile-1-7"].charge_kw[:4].min())
    assert firm[0] == pytest.approx(40.0 + vehicle_kw, abs=0.01)  # 50 - 10 kWh in an hour; both are made good later
    only_battery = firm_kw(beside(planned), "down", begin_ms, begin_ms + HOUR_MS, {"battery"})
    only_vehicle = firm_kw(beside(planned), "down", begin_ms, begin_ms + HOUR_MS, {"pile-1"})
    assert only_battery is not None
    assert only_vehicle is not None
    assert only_battery[0] == pytest.approx(40.0, abs=0.01)
    assert only_vehicle[0] == pytest.approx(vehicle_kw, abs=0.01)
    assert firm_kw(beside(planned), "down", begin_ms, begin_ms + HOUR_MS, ()) == (0.0, 0.0)
    assert firm_kw(beside(planned), "down", NOON_MS + 40 * HOUR_MS, NOON_MS + 41 * HOUR_MS) is None


def test_offers_say_on_which_assets_they_stand(planned: Planned) -> None:
    assert offered(beside(planned))["devices"] == NO_DRILL
    nothing = offered(beside(planned), frozenset())
    assert nothing["devices"] == "drilled: none"
    assert {one["kw"] for one in nothing["offers"]} == {0.0}


def test_the_newest_drill_of_each_edge_with_this_circuit_counts(tmp_path_factory: pytest.TempPathFactory) -> None:
    works = Works(tmp_path_factory.mktemp("works"))
    try:
        works.past(2)
        gathered = works.planning.rounds.lines["works"].gathered
        sha256 = works.planning.steered["works"].circuit.sha256
        works.read(
            "battery",
            "state_of_charge_percent",
            50.0,
            works.event("d1", "drill", {"circuit": "another", "drilled": ["pile"]}),
        )
        assert gathered.drilled(works.now_ms) is None
        works.now_ms += HOUR_MS
        works.read(
            "battery",
            "state_of_charge_percent",
            50.0,
            works.event("d2", "drill", {"circuit": sha256, "drilled": ["battery"]}),
        )
        assert gathered.drilled(works.now_ms) == frozenset({"battery"})
        assert works.look()
        told = works.planning.book.offered("works")
        assert told is not None
        assert told["devices"] == "drilled: battery"
        assert works.now_ms == at_ms(1)
    finally:
        works.aggregator._close()
