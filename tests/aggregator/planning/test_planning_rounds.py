"""A whole aggregator plans a works with a battery and a charger: from its ledger, readings and sessions to signed schedules, records and offers.

Expected numbers by hand: the load is 100 kW all day, dear hours are 16:00 to 20:00, the battery has 100 kWh without losses and is half full.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from planned_aggregator import HOUR_MS, Works, at_ms, plugged_in

from aggregator.flexibility.record import decode_record, replay
from aggregator.planning.logged import take_up_plans
from aggregator.planning.plan_book import PlanBook
from aggregator.planning.stays import Declared
from aggregator.planning.told_book import PriceRow
from wire.command import Result


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Works]:
    made = Works(tmp_path)
    yield made
    made.aggregator._close()


def test_a_plan_becomes_a_signed_schedule_a_record_a_leaf_and_offers(works: Works) -> None:
    works.past(15)
    works.read("battery", "state_of_charge_percent", 50.0)
    assert works.look()
    (schedule,) = works.schedules()
    assert (schedule.issuer, schedule.issued_at_ms, schedule.circuit) == (
        "plant-1",
        at_ms(),
        works.planning.steered["works"].circuit.sha256,
    )
    # Four hours at 1.2 follow four at 0.3: the battery is full at 16:00 and, as it shall end as it began, empty at 20:00 or on the way there.
    taken_kwh = (
        sum(max(wish.kw, 0) * (wish.until_ms - wish.from_ms) for wish in schedule.wishes if wish.until_ms <= at_ms(4))
        / HOUR_MS
    )
    given_kwh = (
        sum(
            -min(wish.kw, 0) * (wish.until_ms - wish.from_ms)
            for wish in schedule.wishes
            if at_ms(4) <= wish.from_ms < at_ms(8)
        )
        / HOUR_MS
    )
    assert taken_kwh == pytest.approx(50.0, abs=0.1)
    assert given_kwh == pytest.approx(100.0, abs=0.1)
    (row,) = works.planning.book.recent("works", 10)
    assert (row.id, row.status, row.trigger) == ("plan-1", "optimal", ("first",))
    told = works.planning.book.summary(row.no)
    assert told["load_kw"][:4] == [100.0] * 4
    # 50 + 50 kWh are moved from 1.2 to 0.3 on each of the two evenings that the horizon touches (36 h from noon): 2 x 100 x 0.9. At its end the battery
    # is full: 50 kWh more at 0.3 and 0.05 for carbon are worth 0.5, the mean of 28 h at 0.3 and 8 h at 1.2. Together 187.5, less ramps.
    saved = told["against"]["uncontrolled"]["saved_money"]
    assert saved == pytest.approx(187.5, abs=1.0)
    assert told["kg"] == {
        "accounting": pytest.approx(
            0.5 * sum(kw * h for kw, h in zip(told["import_kw"], np.diff(told["edges_ms"]) / HOUR_MS, strict=True))
        )
    }
    assert any("cannot move load" in note for note in told["notes"])
    again = replay(decode_record(works.planning.book.record(row.no)))
    assert (again.differences, again.exact) == ((), True)
    take_up_plans(works.planning.book, works.aggregator.audit)
    assert works.aggregator.audit.record("plan", 1).kind == "plan"
    assert json.loads(row.leaf())["plan_sha256"] == row.plan_sha256
    offered = works.planning.book.offered("works")
    assert offered is not None
    hour = next(
        one for one in offered["offers"] if (one["direction"], one["hours"], one["from_ms"]) == ("up", 0.25, at_ms())
    )
    assert hour["kw"] > 0
    assert len(offered["sha256"]) == 64


def test_nothing_is_solved_while_nothing_changes_and_offers_are_made_again_after_five_minutes(works: Works) -> None:
    works.past(15)
    works.read("battery", "state_of_charge_percent", 50.0)
    assert works.look()
    kwh = 50.0
    for minutes in (2, 4, 6):
        works.now_ms = at_ms(minutes / 60)
        course = works.planning.current("works")
        assert course is not None
        kwh = 50.0 + float(course.plan.assets["battery"].charge_kw[0]) * minutes / 60
        works.read("battery", "state_of_charge_percent", kwh)
        assert not works.look()
    rolling = works.planning.rounds.lines["works"].rolling
    assert (rolling.solved, rolling.unchanged) == (1, 3)
    first, second = works.schedules()  # an edge leaves a plan that is older than 15 min: what stands is told again
    assert second.number > first.number
    assert [(wish.kw, wish.until_ms) for wish in second.wishes] == [(wish.kw, wish.until_ms) for wish in first.wishes]
    offered = works.planning.book.offered("works")
    assert offered is not None
    assert offered["made_ms"] == works.now_ms
    works.read("battery", "state_of_charge_percent", kwh - 20.0)  # somebody took 20 kWh
    assert works.look()
    assert works.planning.book.recent("works", 1)[0].trigger == ("energy",)


def test_the_answer_of_an_edge_stands_on_record_and_silence_and_refusal_are_alarms(works: Works) -> None:
    works.past(days=2)
    works.read("battery", "state_of_charge_percent", 50.0)
    works.look()
    (schedule,) = works.schedules()

    def state() -> tuple[str, str]:
        (row,) = works.planning.book.schedules(1)
        return row.state, row.reason

    assert state() == ("sent", "")
    works.now_ms += 61_000
    asyncio.run(works.planning.sending.watch())
    assert (state(), works.alarms(), len(works.wire.sent)) == (("unanswered", ""), ["schedule_unanswered"], 2)
    answer = Result(schedule.id, schedule.issuer, schedule.number, works.now_ms, 1, [], "circuit: expected a, got b")
    assert works.aggregator.commands.others("works", "gw-01", answer)
    assert state() == ("refused", "circuit: expected a, got b")
    assert "schedule_refused" in works.alarms()
    assert works.planning.sending.answered(
        "works", "gw-01", Result(schedule.id, schedule.issuer, schedule.number, works.now_ms, 1, [])
    )
    assert state() == ("taken", "")
    assert not works.planning.sending.answered("works", "gw-01", Result("sp-1", "plant-1", 1, works.now_ms, 1, []))
    sent = len(works.wire.sent)
    asyncio.run(works.planning.sending.again())  # what is answered does not go out again
    assert len(works.wire.sent) == sent


def test_a_vehicle_is_planned_by_what_a_person_declared_else_by_what_is_usual_here_and_its_lack_is_an_alarm(
    works: Works,
) -> None:
    works.past(days=2)
    works.read("battery", "state_of_charge_percent", 50.0, plugged_in(works, "tx-1"))
    works.look()
    told = works.planning.book.summary(1)
    (stay,) = told["stays"]
    assert (stay["session"], stay["basis"], stay["departs_ms"], stay["gives_back"]) == (
        "pile:tx-1",
        "assumed",
        at_ms(4),
        False,
    )
    assert "pile: departure and energy assumed, from no stays here yet" in told["notes"]
    works.planning.told.declare("works", Declared("pile", at_ms(), "anna", at_ms(1), 22.0, gives_back=True))
    works.now_ms += 1000
    assert works.look()
    told = works.planning.book.summary(2)
    assert told["trigger"] == ["departure"]
    (stay,) = told["stays"]
    assert (stay["basis"], stay["departs_ms"], stay["need_kwh"], stay["gives_back"]) == (
        "declared",
        at_ms(1),
        22.0,
        False,
    )
    assert "pile: its owner agreed to give back, but the charger cannot" in told["notes"]
    (lacking,) = told["lacking"]
    assert lacking["kwh"] == pytest.approx(11.0, abs=0.05)  # 11 kW for an hour
    assert works.alarms() == ["departure_short"]


def test_prices_that_are_told_go_before_the_tariffs_and_a_later_version_before_an_earlier_one(works: Works) -> None:
    works.past(days=2)
    works.read("battery", "state_of_charge_percent", 50.0)
    works.planning.told.tell_prices("works", [PriceRow(at_ms(), at_ms(1), 3.0)], "day-ahead", "anna", at_ms())
    works.planning.told.tell_prices("works", [PriceRow(at_ms(), at_ms(1), 2.0)], "intraday", "anna", at_ms() + 1)
    works.look()
    told = works.planning.book.summary(1)
    assert told["import_price"][:5] == [2.0] * 4 + [0.3]
    works.planning.told.tell_prices("works", [PriceRow(at_ms(1), at_ms(2), 0.1)], "late", "anna", at_ms() + 2)
    assert works.look()
    assert works.planning.book.recent("works", 1)[0].trigger == ("price",)


def test_a_battery_that_is_silent_is_left_out_with_a_word_and_an_old_reading_keeps_away_from_both_ends(
    works: Works,
) -> None:
    works.past(days=2)
    works.look()
    assert works.planning.book.summary(1)["left_out"] == ["battery"]
    works.read("battery", "state_of_charge_percent", 50.0)
    works.now_ms += 30 * 60_000
    works.look()
    planned = works.planning.current("works")
    assert planned is not None
    (battery,) = planned.posed.problem.storage
    assert (battery.capacity_kwh, battery.least_kwh) == (75.0, 25.0)  # 30 min at 50 kW
    assert any("30 min old" in note for note in planned.posed.notes)


def test_what_is_older_than_the_book_keeps_is_forgotten(works: Works, tmp_path: Path) -> None:
    works.past(days=2)
    works.look()
    with PlanBook(tmp_path / "data" / "plans.sqlite") as book:
        assert [row.no for row in book.recent("works", 5)] == [1]
        book.forget(at_ms(36 * 24))
        assert book.recent("works", 5) == []


def test_a_nudge_wakes_the_round_at_once(works: Works) -> None:
    works.past(days=2)
    works.read("battery", "state_of_charge_percent", 50.0)

    async def both(until: Callable[[], bool]) -> None:
        running = asyncio.create_task(works.planning.rounds.run())
        async with asyncio.timeout(30):
            while not works.planning.book.last():
                await asyncio.sleep(0.02)
            works.read("battery", "state_of_charge_percent", 50.0, plugged_in(works, "tx-2"))
            while not until():
                await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(both(lambda: works.planning.book.last() == 2))
    assert works.planning.book.recent("works", 1)[0].trigger == ("plug-in",)


def test_an_accepted_event_is_planned_delivered_by_the_schedule_and_known_to_those_who_conduct_it(works: Works) -> None:
    works.past(15)
    works.read("battery", "state_of_charge_percent", 50.0)
    works.look()
    conduct = works.aggregator.conduct
    facility = conduct.facility("works")
    wanted = {"from_ms": at_ms(1), "to_ms": at_ms(2), "target_kw": 30.0, "rules": "last_five", "pay_per_kwh": 2.0}
    event = conduct.ask(conduct.said(facility, "operator", "anna", wanted))
    firm = conduct.planner.firm(event)
    assert firm is not None
    # Down from the plan: the battery gives 50 kW for an hour and is filled again later, and what it would have charged is not drawn either.
    assert firm.kw >= 50.0 - 0.01
    assert firm.plan == "plan-1"
    assert conduct.planner.sent_at_ms(event) is None  # nobody has accepted it yet
    event = conduct.accept(event.no, "anna")
    assert works.look()
    assert works.planning.book.recent("works", 1)[0].trigger == ("event",)
    assert conduct.planner.planned_kw(event) == pytest.approx([30.0] * 4)
    assert conduct.planner.sent_at_ms(event) == works.now_ms
    during = [wish for wish in works.schedules()[-1].wishes if wish.authority == "event"]
    assert (during[0].from_ms, during[-1].until_ms) == (at_ms(1), at_ms(2))
    assert {round(wish.kw, 3) for wish in during} == {-30.0}
