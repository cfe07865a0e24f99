"""The loop over a garage in virtual time: limits kept through steps, wishes followed at their time, what is lost, and back again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from virtual_garage import NOON_MS, Garage, battery, pile, tree

from wire.command import Result
from wire.keys import SigningKey
from wire.schedule import Schedule, Wish, seal
from wire.topics import edge_topic


def piles(count: int, **more: Any) -> list[dict[str, Any]]:
    return [pile(f"p{number}", **more) for number in range(count)]


def test_a_step_of_the_load_is_cut_within_a_second_by_the_battery_and_given_back_when_the_piles_have_followed() -> None:
    garage = Garage(tree(battery(), *piles(4)))
    garage.load_kw = {"works": 60.0}
    garage.run(120)
    assert max(abs(current) for current in garage.currents("garage")) <= 98.0  # 100 A x 0.98
    garage.load_kw["works"] = 150.0
    above_s = 0

    def look() -> None:
        nonlocal above_s
        above_s += garage.power_kw("works") > 200.0

    garage.run(12, look)
    assert above_s <= 2  # the meter's second and the battery's
    assert garage.machines["battery"].power_kw < -10
    garage.run(120)
    assert garage.power_kw("works") <= 196.0
    assert garage.machines["battery"].power_kw == pytest.approx(0, abs=2.0)


def test_a_wish_is_carried_out_at_its_time_and_the_higher_authority_decides() -> None:
    garage = Garage(tree(battery(), pile("p0", branch="works")))
    plan = [Wish("battery", 20.0, NOON_MS + 30_000, NOON_MS + 300_000)]
    override = [Wish("battery", -10.0, NOON_MS + 100_000, NOON_MS + 200_000, "override")]
    assert garage.schedule(wishes=plan + override) == ""
    garage.run(25)
    assert garage.told("battery") == 0.0
    garage.run(55)  # 5 %/s of 50 kW: 20 kW after 8 s
    assert garage.told("battery") == pytest.approx(20.0, abs=0.6)
    garage.run(22)
    assert garage.told("battery") == pytest.approx(-10.0, abs=0.6)
    garage.run(150)
    assert garage.told("battery") == pytest.approx(20.0, abs=1.0)  # and what the ramps have cost its charge comes back


def test_a_schedule_survives_a_restart_and_is_refused_for_another_circuit_or_an_old_number(tmp_path: Path) -> None:
    key, topic = SigningKey.generate(), edge_topic("works", "gw-01", "schedule")
    answers: list[Result] = []
    keyed: dict[str, Any] = {"key": key.public, "topic": topic, "answer": answers.append, "state": tmp_path}
    garage = Garage(tree(battery()), **keyed)
    at_ms = garage.clock.at_ms

    def frame(number: int, signer: SigningKey = key, **more: Any) -> bytes:
        fields: dict[str, Any] = {
            "circuit": garage.circuit.sha256,
            "wishes": [Wish("battery", 10.0, at_ms, at_ms + 600_000)],
            **more,
        }
        return seal(Schedule(f"s-{number}", "cloud", number, at_ms, at_ms + 600_000, **fields), topic, signer)

    garage.loop.schedule(frame(7))
    garage.loop.schedule(frame(6))
    garage.loop.schedule(frame(8, circuit="0" * 64))
    garage.loop.schedule(frame(9, wishes=[Wish("pile", 1.0, at_ms, at_ms + 1)]))
    garage.loop.schedule(frame(10, signer=SigningKey.generate()))
    garage.loop.schedule(frame(7))
    assert [answer.id for answer in answers] == ["s-7", "s-6", "s-8", "s-9", "s-7"]  # a forger is not answered
    assert [answer.reason.partition(":")[0] for answer in answers] == ["", "number", "circuit", "wishes[0].asset", ""]
    again = Garage(tree(battery()), **keyed)
    again.run(60)
    assert again.told("battery") == pytest.approx(10.0)
    assert [event.body["state"] for event in garage.events if event.kind == "schedule"] == [
        "taken", "refused", "refused", "refused", "forged",
    ]  # fmt: skip


async def test_a_round_that_cannot_be_worked_out_puts_everything_at_its_share() -> None:
    garage = Garage(tree(battery(), *piles(4)))
    garage.run(60)
    assert garage.told("p3") > 20
    loop = asyncio.create_task(garage.loop.run())
    garage.clock.pass_by = lambda _seconds: None
    garage.loop.state.branches.clear()  # what no state should ever be
    async with asyncio.timeout(5):
        while garage.loop.figures()["control"] != "safe":
            await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    # (100 A - 5 kVA / (sqrt 3 x 400 V)) / 4 = 23.2 A of 400 V on three phases
    assert [garage.told(f"p{number}") for number in range(4)] == [pytest.approx(16.07, abs=0.01)] * 4
    assert garage.states()[-1] == ("edge", "safe")


def test_a_lost_meter_puts_each_pile_at_its_share_and_it_is_back_at_once() -> None:
    garage = Garage(tree(battery(), *piles(4)))
    garage.run(60)
    garage.meters_off = {"garage"}
    garage.run(10)
    # (100 A - 5 kVA / (sqrt 3 x 400 V)) / 4 = 23.2 A -> 23 A x 0.69 kW
    assert [garage.told(f"p{number}") for number in range(4)] == [pytest.approx(15.87, abs=0.01)] * 4
    assert garage.states()[-1] == ("branch garage", "safe")
    garage.meters_off = set()
    garage.run(1)
    assert garage.states()[-1] == ("branch garage", "kept")
