"""Faults of simulated piles as a central system sees them, and that each ends by itself."""

import json
from typing import Any

import pytest
from central_system import central_system
from pile_park import Park, park

VERSIONS = ("1.6", "2.0.1", "2.1")


def ask_for(version: str, what: str = "Heartbeat") -> tuple[str, dict[str, Any]]:
    return "TriggerMessage", {"requestedMessage": what}


async def ready(piles: Park, url: str) -> None:
    await piles.connect(url)
    await piles.vehicle("P", need_kwh=40, max_kw=6, stay_s=8 * 3600)
    await piles.charging("P")


def samples(system: Any) -> list[dict[str, Any]]:
    """Payloads of periodic meter values."""
    found = []
    for payload in system.calls("P", "MeterValues", "TransactionEvent"):
        values = [value for told in payload.get("meterValue", []) for value in told["sampledValue"]]
        if any(value.get("context") == "Sample.Periodic" for value in values):
            found.append(payload)
    return found


def count(payload: dict[str, Any]) -> int:
    return int(payload["meterValue"][0]["sampledValue"][0]["value"])


def transaction(payload: dict[str, Any]) -> Any:
    return payload.get("transactionId") or payload.get("transactionInfo", {}).get("transactionId")


async def fault(served: Any, kind: str, **other: Any) -> None:
    answer = await served.ask({"device": "P", "fault": kind, **other})
    assert answer["ok"], answer


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_silent_pile_keeps_its_socket_and_tells_all_of_the_session_afterwards(
    run_site: Any, version: str
) -> None:
    pile = {"name": "P", "version": version, "sample_s": 60, "aligned_s": 0}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await ready(piles, system.url)
        before = len(system.came["P"])
        await fault(served, "silence", for_s=200)
        with pytest.raises(TimeoutError):
            await system.call("P", *ask_for(version), timeout_s=0.3)
        served.clock.forward(190)
        await piles.until("P", lambda t: t["backlog"] >= 3)
        assert len(system.came["P"]) == before
        served.clock.forward(10)
        await piles.until("P", lambda t: not t["backlog"])
        assert len(system.sockets["P"]) == 1
        assert [count(payload) for payload in samples(system)] == [100, 200, 300]


async def test_a_late_pile_answers_after_its_delay(run_site: Any) -> None:
    async with central_system() as system, run_site(park({"name": "P", "version": "1.6"})) as served:
        piles = Park(served)
        await ready(piles, system.url)
        await fault(served, "delay", delay_s=0.4)
        with pytest.raises(TimeoutError):
            await system.call("P", *ask_for("1.6"), timeout_s=0.2)
        assert (await system.call("P", *ask_for("1.6"), timeout_s=5))[0] == 3


@pytest.mark.parametrize("version", VERSIONS)
async def test_half_a_frame_is_no_json_and_the_message_comes_again(run_site: Any, version: str) -> None:
    pile = {"name": "P", "version": version, "sample_s": 60, "aligned_s": 0, "retry_s": 0, "attempts": 50}
    async with central_system() as system, run_site(park(pile, bus={"call_timeout_s": 0.2})) as served:
        piles = Park(served)
        await ready(piles, system.url)
        await fault(served, "half_frame")
        served.clock.forward(60)
        (broken,) = await system.until(lambda: [text for text in system.raw["P"] if not text.endswith("]")][:1])
        assert not samples(system)
        assert (await served.ask({"device": "P", "clear": "half_frame"}))["ok"]
        await system.until(lambda: samples(system))
        await piles.until("P", lambda t: not t["backlog"])
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    assert [count(payload) for payload in samples(system)] == [100]


@pytest.mark.parametrize("version", VERSIONS)
async def test_half_an_answer(run_site: Any, version: str) -> None:
    async with central_system() as system, run_site(park({"name": "P", "version": version})) as served:
        piles = Park(served)
        await ready(piles, system.url)
        await fault(served, "half_frame")
        with pytest.raises(TimeoutError):
            await system.call("P", *ask_for(version), timeout_s=0.3)
        assert [text for text in system.raw["P"] if not text.endswith("]")]
        assert (await served.ask({"device": "P", "clear": "all"}))["ok"]
        assert (await system.call("P", *ask_for(version)))[0] == 3


@pytest.mark.parametrize("version", VERSIONS)
async def test_values_of_another_transaction_and_answers_to_another_question(run_site: Any, version: str) -> None:
    pile = {"name": "P", "version": version, "sample_s": 60, "aligned_s": 0}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await ready(piles, system.url)
        await fault(served, "wrong_unit", for_s=100)
        served.clock.forward(60)
        await system.until(lambda: samples(system))
        with pytest.raises(TimeoutError):
            await system.call("P", *ask_for(version), timeout_s=0.3)
        served.clock.forward(60)
        await system.until(lambda: len(samples(system)) == 2)
        true = (await piles.truth("P"))["sessions"][0]["transaction_id"]
        wrong, right = (str(transaction(payload)) for payload in samples(system))
        assert (await system.call("P", *ask_for(version)))[0] == 3
    assert wrong != true
    assert right == true


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_exception_is_an_error_answer(run_site: Any, version: str) -> None:
    async with central_system() as system, run_site(park({"name": "P", "version": version})) as served:
        piles = Park(served)
        await ready(piles, system.url)
        await fault(served, "exception", for_s=10)
        assert (await system.call("P", *ask_for(version)))[:1] == [4]
        served.clock.forward(10)
        await piles.truth("P")
        assert (await system.call("P", *ask_for(version)))[0] == 3


@pytest.mark.parametrize("version", VERSIONS)
async def test_stale_values_carry_an_old_time_and_frozen_ones_a_new(run_site: Any, version: str) -> None:
    pile = {"name": "P", "version": version, "sample_s": 60, "aligned_s": 0}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await ready(piles, system.url)
        served.clock.forward(60)
        await system.until(lambda: len(samples(system)) == 1)
        await fault(served, "stale", for_s=60)
        served.clock.forward(59)
        await piles.truth("P")
        served.clock.forward(1)
        # the sample of the 60th second is due as the fault ends
        await system.until(lambda: len(samples(system)) == 2)
        await fault(served, "frozen", for_s=121)
        for number in (3, 4):
            served.clock.forward(60)
            await system.until(lambda n=number: len(samples(system)) == n)
        served.clock.forward(60)
        await system.until(lambda: len(samples(system)) == 5)
    counted = [count(payload) for payload in samples(system)]
    assert counted[:2] == [100, 200]
    assert counted[2] == counted[3]
    assert counted[4] == 500


async def test_a_stale_pile_repeats_its_last_answer_and_its_last_values(run_site: Any) -> None:
    pile = {"name": "P", "version": "1.6", "sample_s": 60, "aligned_s": 0}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await ready(piles, system.url)
        served.clock.forward(60)
        await system.until(lambda: len(samples(system)) == 1)
        first = await system.call("P", *ask_for("1.6"))
        await fault(served, "stale")
        with pytest.raises(TimeoutError):
            await system.call("P", *ask_for("1.6"), timeout_s=0.3)
        answers = [frame for frame in system.came["P"] if frame[0] == 3]
        assert answers[-2:] == [first, first]
        served.clock.forward(60)
        await system.until(lambda: len(samples(system)) == 2)
        once, again = samples(system)
        assert once == again


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_clock_that_jumps_shows_in_every_time(run_site: Any, version: str) -> None:
    pile = {"name": "P", "version": version, "sample_s": 60, "aligned_s": 0}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await ready(piles, system.url)
        await fault(served, "clock_jump", clock_s=-86_400)
        served.clock.forward(60)
        await system.until(lambda: samples(system))
    assert samples(system)[0]["meterValue"][0]["timestamp"] == "2018-03-03T15:01:00.000Z"


async def test_a_pile_that_comes_twice_has_two_sockets_with_one_identity(run_site: Any) -> None:
    async with central_system() as system, run_site(park({"name": "P", "version": "1.6"})) as served:
        piles = Park(served)
        await ready(piles, system.url)
        await fault(served, "one_connection")
        await system.call("P", *ask_for("1.6"))
        await system.until(lambda: len(system.sockets["P"]) == 2)
        await system.sockets["P"][0].send(json.dumps([2, "x", *ask_for("1.6")]))  # the first one still answers
        await system.until(lambda: [3, "x", {"status": "Accepted"}] in system.came["P"])
        assert (await served.ask({"device": "P", "clear": "all"}))["ok"]
        await system.until(lambda: system.sockets["P"][1].state.name == "CLOSED")


async def test_a_dead_central_system_is_tried_again_until_it_is_there(run_site: Any) -> None:
    async with run_site(park({"name": "P", "version": "1.6"}, {"name": "Q", "version": "2.1"})) as served:
        piles = Park(served)
        async with central_system() as system:
            await piles.connect(system.url)
            await piles.until("P", lambda t: t["accepted"])
            await piles.until("Q", lambda t: t["accepted"])
        await piles.until("P", lambda t: not t["connected"])
        async with central_system() as other:
            await piles.connect(other.url)
            await piles.until("P", lambda t: t["accepted"] and t["connections"] == 2)
            await piles.until("Q", lambda t: t["accepted"] and t["connections"] == 2)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"connect": "http://127.0.0.1"}, "connect"),
        ({"connect": "ws://127.0.0.1", "pile": "X"}, "pile"),
        ({"show": "plants"}, "show"),
        ({"vehicle": None}, "vehicle"),
        ({"pile": "P", "vehicle": {"need_kwh": -1}}, "need_kwh"),
        ({"pile": "P", "vehicle": {"colour": "red"}}, "vehicle"),
        ({"pile": "P", "vehicle": {"id_tag": ""}}, "id_tag"),
        ({"nothing": 1}, "bus"),
    ],
)
async def test_a_wrong_request_to_the_bus_is_refused_with_what_was_expected(
    run_site: Any, request_: dict[str, Any], expected: str
) -> None:
    async with run_site(park({"name": "P", "version": "1.6"})) as served:
        answer = await served.ask({"bus": "piles", **request_})
    assert not answer["ok"]
    assert expected in answer["error"]
