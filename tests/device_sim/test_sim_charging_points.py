"""Charging points one by one: their sum is the plant's node, vehicles get what they need, set-points hold to the millisecond."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest

from device_sim.charging_points import ChargingPoint, ChargingPoints, Happening, Steering
from device_sim.plant import Node, Plant
from device_sim.profile import UJ_PER_KWH, UJ_PER_WH, NoPower
from device_sim.site import PROFILES
from device_sim.vehicles import Pattern, Vehicles
from device_sim.visits import (
    DrawnVisits,
    ListedVisits,
    RecordedVisits,
    RoundTheClockVisits,
    Visit,
    Visits,
    read_sessions,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SEOUL = ZoneInfo("Asia/Seoul")
KW = 1_000_000  # mW


def visit(arrives_h: float, departs_h: float, need_kwh: float = 10, max_kw: float = 11, **other: int) -> Visit:
    return Visit(
        round(arrives_h * HOUR_MS),
        round(departs_h * HOUR_MS),
        round(need_kwh * UJ_PER_KWH),
        round(max_kw * KW),
        "TAG",
        **other,
    )


def points(visits: Visits, count: int = 1, by_itself: bool = True, max_kw: float = 22) -> ChargingPoints:
    return ChargingPoints(
        [
            ChargingPoint(i, visits, round(max_kw * KW), max_discharge_mw=round(max_kw * KW), by_itself=by_itself)
            for i in range(count)
        ]
    )


def plant(several: ChargingPoints, origin_ms: int = 0) -> Plant:
    return Plant("p", origin_ms, NoPower(), NoPower(), several)


def one(visits: Sequence[Visit], by_itself: bool = True) -> tuple[Plant, ChargingPoint]:
    several = points(ListedVisits({0: visits}), by_itself=by_itself)
    return plant(several), several[0]


def steer(built: Plant, point: ChargingPoint, steering: Steering, delay_ms: int = 0) -> None:
    point.steer(steering, built.now_ms + delay_ms)
    built.disturb()


def test_unsteered_points_draw_what_the_same_vehicles_draw_as_a_load() -> None:
    vehicles = Vehicles(7, 11, 20, Pattern.WORKPLACE, 5, SEOUL)
    origin = 1_520_175_600_000
    as_load = Plant("a", origin, NoPower(), NoPower(), vehicles)
    single = points(DrawnVisits(vehicles, SEOUL), 7, max_kw=11)
    as_points = plant(single, origin)
    for quarter in range(1, 3 * 96):
        for each in (as_load, as_points):
            each.advance(origin + quarter * 900_000)
        # A vehicle stops within the last ms: the load leaves that ms out, the points carry it.
        gap = as_points.tallies[Node.EV].import_uj - as_load.tallies[Node.EV].import_uj
        assert 0 <= gap < 7 * 3 * 11 * KW
    assert as_load.tallies[Node.EV].import_uj > 7 * 20 * UJ_PER_KWH


def test_the_node_of_the_plant_is_the_sum_of_its_points_also_when_steered() -> None:
    vehicles = Vehicles(6, 22, 30, Pattern.DEPOT, 3, SEOUL)
    several = points(DrawnVisits(vehicles, SEOUL, 1.0, 10 * KW), 6)
    built = plant(several, 1_520_175_600_000)
    chance = Random(4)
    now = built.now_ms
    for _ in range(2000):
        now += chance.randrange(1, 120_000)
        built.advance(now)
        point = several[chance.randrange(6)]
        wanted = chance.choice([None, -5 * KW, 3 * KW, 9 * KW, 0])
        steer(built, point, Steering(chance.choice([None, 7 * KW]), 8 * KW, wanted), chance.randrange(0, 9000))
        assert built.flow(Node.EV).active_mw == sum(point.power_mw for point in several)
    tally = built.tallies[Node.EV]
    energies = [point.energies(built.now_ms) for point in several]
    assert tally.import_uj - tally.export_uj == sum(gone_in - gone_out for gone_in, gone_out in energies)
    assert sum(gone_out for _, gone_out in energies) > 0


def test_a_vehicle_gets_exactly_what_it_needs() -> None:
    built, point = one([visit(1, 9, need_kwh=7.123457, max_kw=11)])
    built.advance(DAY_MS)
    assert point.import_uj == round(7.123457 * UJ_PER_KWH)
    assert point.power_mw == 0


def test_a_vehicle_that_leaves_early_takes_what_there_was_time_for() -> None:
    built, point = one([visit(1, 3, need_kwh=50, max_kw=11)])
    built.advance(DAY_MS)
    assert point.energies(built.now_ms) == (22 * UJ_PER_KWH, 0)


def test_what_happened_is_told_with_the_count_of_that_instant() -> None:
    built, point = one([visit(1, 3, need_kwh=50), visit(5, 6, need_kwh=50)])
    built.advance(DAY_MS)
    assert [(note.what, note.at_ms, note.import_uj) for note in point.notes] == [
        (Happening.ARRIVED, HOUR_MS, 0),
        (Happening.DEPARTED, 3 * HOUR_MS, 22 * UJ_PER_KWH),
        (Happening.ARRIVED, 5 * HOUR_MS, 22 * UJ_PER_KWH),
        (Happening.DEPARTED, 6 * HOUR_MS, 33 * UJ_PER_KWH),
    ]


def test_nothing_flows_before_the_pile_closes_its_contactor() -> None:
    built, point = one([visit(1, 9, need_kwh=50)], by_itself=False)
    built.advance(2 * HOUR_MS)
    assert point.energies(built.now_ms) == (0, 0)
    point.close(True, built.now_ms)
    built.disturb()
    built.advance(3 * HOUR_MS)
    point.close(False, built.now_ms)
    built.disturb()
    built.advance(5 * HOUR_MS)
    assert point.energies(built.now_ms) == (11 * UJ_PER_KWH, 0)


def test_a_limit_takes_force_at_its_instant_and_a_later_order_replaces_it() -> None:
    built, point = one([visit(0, 9, need_kwh=50)])
    steer(built, point, Steering(charge_mw=7 * KW), HOUR_MS)
    steer(built, point, Steering(charge_mw=5 * KW), 2 * HOUR_MS)
    built.advance(3 * HOUR_MS)
    assert point.energies(built.now_ms)[0] == (11 + 7 + 5) * UJ_PER_KWH
    steer(built, point, Steering(charge_mw=9 * KW), 2 * HOUR_MS)
    steer(built, point, Steering(), HOUR_MS)
    built.advance(6 * HOUR_MS)
    assert point.energies(built.now_ms)[0] == (23 + 5 + 11 + 11) * UJ_PER_KWH


@pytest.mark.parametrize(
    ("limit_mw", "phases", "expected_mw"),
    [
        (None, 3, 11_000_000),
        (4_140_000, 3, 4_140_000),  # 6 A x 230 V x 3
        (4_139_999, 3, 0),  # less than 6 A on three phases
        (1_380_000, 1, 1_380_000),
        (4_130_000, 1, 3_666_666),  # one phase of the vehicle's three
        (0, 3, 0),
    ],
)
def test_below_six_amperes_nothing_is_offered(limit_mw: int | None, phases: int, expected_mw: int) -> None:
    built, point = one([visit(0, 9, need_kwh=50)])
    steer(built, point, Steering(limit_mw, phases=phases))
    assert built.flow(Node.EV).active_mw == point.offered_mw() == expected_mw


def test_a_vehicle_discharges_down_to_its_floor_and_not_when_it_may_not() -> None:
    both_ways = {"max_discharge_mw": 10 * KW}
    built, point = one([visit(0, 20, need_kwh=30, **both_ways)])
    # 54 kWh target, 30 kWh missing: 24 kWh stored, 12 above the floor.
    steer(built, point, Steering(discharge_mw=6 * KW, set_point_mw=-8 * KW))
    assert built.flow(Node.EV).active_mw == -6 * KW
    built.advance(HOUR_MS)
    assert point.state_of_charge_percent(built.now_ms) == pytest.approx(100 * 18 / 60)
    built.advance(10 * HOUR_MS)
    assert point.energies(built.now_ms) == (0, 12 * UJ_PER_KWH)
    assert built.tallies[Node.EV].export_uj == 12 * UJ_PER_KWH
    built, point = one([visit(0, 20, need_kwh=30)])
    steer(built, point, Steering(discharge_mw=6 * KW, set_point_mw=-8 * KW))
    assert built.flow(Node.EV).active_mw == 0


def test_a_discharged_vehicle_is_charged_up_to_its_target_again() -> None:
    built, point = one([visit(0, 20, need_kwh=30, max_discharge_mw=10 * KW)])
    steer(built, point, Steering(discharge_mw=10 * KW, set_point_mw=-10 * KW))
    built.advance(HOUR_MS)
    steer(built, point, Steering())
    built.advance(19 * HOUR_MS)
    assert point.energies(built.now_ms) == (40 * UJ_PER_KWH, 10 * UJ_PER_KWH)
    assert point.state_of_charge_percent(built.now_ms) == pytest.approx(90)


def test_a_visit_that_began_before_the_plant_is_as_far_as_it_would_be() -> None:
    several = points(ListedVisits({0: [visit(0, 9, need_kwh=22)]}))
    built = plant(several, HOUR_MS)
    built.advance(9 * HOUR_MS)
    assert several[0].import_uj == 11 * UJ_PER_KWH


def test_a_vehicle_can_be_sent_and_driven_away() -> None:
    built, point = one([])
    built.advance(HOUR_MS)
    point.come(visit(1, 30, need_kwh=50))
    built.disturb()
    built.advance(2 * HOUR_MS)
    point.leave(built.now_ms)
    built.disturb()
    built.advance(5 * HOUR_MS)
    assert point.energies(built.now_ms) == (11 * UJ_PER_KWH, 0)
    assert [note.what for note in point.notes] == [Happening.ARRIVED, Happening.DEPARTED]


def test_the_recorded_week_delivers_its_own_energies_on_the_same_days() -> None:
    sessions = read_sessions(PROFILES / "charging_sessions_week.csv")
    stations = len({session.station for session in sessions})
    monday = 1_520_175_600_000  # 2018-03-05T00:00 in Seoul
    several = points(RecordedVisits(sessions, SEOUL), stations, max_kw=1000)
    built = plant(several, monday)
    built.advance(monday + 7 * DAY_MS)
    assert sum(point.import_uj for point in several) == sum(session.energy_uj for session in sessions)
    # The sum of the column energy_kwh of the shipped file: 1,437.767 kWh.
    assert sum(session.energy_uj for session in sessions) // UJ_PER_WH == 1_437_767
    departures = [note for point in several for note in point.notes if note.what is Happening.DEPARTED]
    assert len(departures) == len(sessions)
    built.advance(monday + 14 * DAY_MS)
    assert sum(point.import_uj for point in several) == 2 * sum(session.energy_uj for session in sessions)


def test_more_points_than_stations_replay_the_week_too() -> None:
    sessions = read_sessions(PROFILES / "charging_sessions_week.csv")
    stations = len({session.station for session in sessions})
    visits = RecordedVisits(sessions, SEOUL)
    assert visits.next(0, 1_520_175_600_000) is not None
    first, later = visits.next(0, 0), visits.next(stations, 0)
    assert first is not None
    assert later is not None
    assert (first.need_uj, first.arrives_ms % DAY_MS) == (later.need_uj, later.arrives_ms % DAY_MS)


def test_visits_of_one_point_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        ListedVisits({0: [visit(0, 2), visit(1, 3)]})


@pytest.mark.parametrize("hour", [0, 3, 8, 13, 19, 23])
def test_round_the_clock_each_point_is_visited_in_every_turn_at_any_hour(hour: int) -> None:
    origin = 1_795_219_200_000 + hour * HOUR_MS  # 2026-11-21T00:00:00Z
    several = points(RoundTheClockVisits(45_000, 11 * KW, 23), 50, max_kw=11)
    built = plant(several, origin)
    built.advance(origin + 60_000)
    told = [[note.what for note in point.notes] for point in several]
    assert all(Happening.ARRIVED in notes for notes in told)
    assert sum(Happening.DEPARTED in notes for notes in told) >= 35
    built.advance(origin + 600_000)
    assert built.tallies[Node.EV].import_uj == sum(point.energies(built.now_ms)[0] for point in several)


def test_short_visits_follow_each_other_and_need_more_or_less_than_there_is_time_for() -> None:
    visits = RoundTheClockVisits(45_000, 11 * KW, 5)
    after, seen = 1_795_219_200_000, []
    for _ in range(200):
        found = visits.next(3, after)
        assert found is not None
        assert found == visits.next(3, found.departs_ms - 1)  # whoever is asked for again is the same
        seen.append(found)
        after = found.departs_ms
    free = [other.arrives_ms - one.departs_ms for one, other in pairwise(seen)]
    assert min(free) >= 4_500
    assert max(other.arrives_ms - one.arrives_ms for one, other in pairwise(seen)) < 90_000
    early = sum(visit.need_uj > visit.max_mw * (visit.departs_ms - visit.arrives_ms) for visit in seen)
    assert 50 < early < 150
    assert len({visit.id_tag for visit in seen}) == 200
