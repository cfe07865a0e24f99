"""What goes wrong on the way: each fault gives a clear error or does no harm, costs no other pile anything, and passes by itself."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from ocpp_bench import DEVICE, Bench
from ocpp_station import T0_MS, Clock, Raw, call, energy, raw, stamp, station

from edge_agent.drivers.driver import DeviceRefused, DeviceUnreachable, DriverError
from edge_agent.drivers.ocpp import commands

TWO = [DEVICE, {**DEVICE, "name": "cp2", "identity": "CP-2"}]


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def asked(pile: Raw, action: str) -> list[Any]:
    """The next call of ours for an action; others are answered with an error, as by a pile that knows little."""
    async with asyncio.timeout(10):
        while True:
            message = json.loads(await pile.socket.recv())
            if message[0] == 2 and message[2] == action:
                return list(message)
            if message[0] == 2:
                await pile.socket.send(json.dumps([4, message[1], "NotSupported", "", {}]))


async def test_a_silent_pile_is_unreachable_in_time_and_costs_no_other_anything(clock: Clock) -> None:
    async with Bench(clock, devices=TWO, timeout_s=0.5) as bench, raw(bench.url), station(bench.url, "CP-2") as other:
        begin = time.monotonic()
        silent = asyncio.create_task(commands.unlock(bench.driver.pile("CP-1"), 1))
        assert (await commands.unlock(bench.driver.pile("CP-2"), 1))["status"] == "Unlocked"
        assert await call(other, "Heartbeat")
        assert not silent.done()
        with pytest.raises(
            DeviceUnreachable, match=r"UnlockConnector: no answer within 0\.5 s|an earlier call has no answer"
        ):
            await silent
        assert time.monotonic() - begin < 5


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(clock: Clock) -> None:
    async with Bench(clock, timeout_s=0.3) as bench, raw(bench.url) as pile:
        driver = bench.driver.pile("CP-1")
        first = asyncio.create_task(commands.unlock(driver, 1))
        late = await asked(pile, "UnlockConnector")
        with pytest.raises(DeviceUnreachable):
            await first
        second = asyncio.create_task(commands.reset(driver))
        now = await asked(pile, "Reset")
        await pile.socket.send(json.dumps([3, late[1], {"status": "UnlockFailed"}]))
        await pile.socket.send(json.dumps([3, now[1], {"status": "Accepted"}]))
        assert await second == {"status": "Accepted"}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda call_id: json.dumps([3, "somebody-else", {"status": "Accepted"}]),
        lambda call_id: json.dumps([3, call_id + "0", {"status": "Accepted"}]),
        lambda call_id: '[3,"' + call_id + '",{"status":"Acce',
        lambda call_id: "",
        lambda call_id: "null",
    ],
)
async def test_an_answer_with_a_foreign_id_or_half_of_one_is_none(clock: Clock, wrong: Any) -> None:
    async with Bench(clock, timeout_s=0.3) as bench, raw(bench.url) as pile:
        asking = asyncio.create_task(commands.reset(bench.driver.pile("CP-1")))
        question = await asked(pile, "Reset")
        await pile.socket.send(wrong(question[1]))
        with pytest.raises(DeviceUnreachable, match=r"no answer within 0\.3 s"):
            await asking
        assert (await pile.ask("Heartbeat", {}))[0] == 3


async def test_an_error_that_comes_back_is_an_error(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url) as pile:
        asking = asyncio.create_task(commands.reset(bench.driver.pile("CP-1")))
        question = await asked(pile, "Reset")
        await pile.socket.send(json.dumps([4, question[1], "InternalError", "relay stuck", {}]))
        with pytest.raises(DeviceRefused, match=r"Reset: refused with InternalError \(relay stuck\)"):
            await asking


async def test_a_pile_that_goes_away_in_the_middle_is_unreachable_at_once(clock: Clock) -> None:
    async with Bench(clock, timeout_s=10) as bench:
        async with raw(bench.url) as pile:
            asking = asyncio.create_task(commands.reset(bench.driver.pile("CP-1")))
            await asked(pile, "Reset")
        with pytest.raises(DeviceUnreachable, match="the connection was closed"):
            async with asyncio.timeout(5):
                await asking
        with pytest.raises(DeviceUnreachable, match="not connected"):
            await bench.driver.read(bench.plans["cp1"])


async def test_half_a_message_costs_that_message(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url) as pile:
        await pile.socket.send('[2,"x","StatusNotification",{"connectorId":1,"status":"Char')
        assert (await pile.ask("Heartbeat", {}))[0] == 3
        assert bench.driver.pile("CP-1").link.unreadable == 1  # type: ignore[union-attr]


async def test_a_pile_that_sends_rubbish_without_end_is_sent_away(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url) as pile:
        for _ in range(60):
            await pile.socket.send("rubbish")
        async with asyncio.timeout(5):
            await pile.socket.wait_closed()
        assert pile.socket.close_code == 1007
        async with raw(bench.url) as again:
            assert (await again.ask("Heartbeat", {}))[0] == 3


async def test_a_message_beyond_all_measure_ends_the_connection_and_not_the_listener(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url) as pile:
        await pile.socket.send("[" + " " * (2 << 20))
        async with asyncio.timeout(5):
            await pile.socket.wait_closed()
        async with raw(bench.url) as again:
            assert (await again.ask("Heartbeat", {}))[0] == 3


async def test_one_answer_twice_is_one_answer(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url) as pile:
        driver = bench.driver.pile("CP-1")
        asking = asyncio.create_task(commands.reset(driver))
        question = await asked(pile, "Reset")
        for _ in range(2):
            await pile.socket.send(json.dumps([3, question[1], {"status": "Accepted"}]))
        assert await asking == {"status": "Accepted"}
        again = asyncio.create_task(commands.reset(driver))
        question = await asked(pile, "Reset")
        await pile.socket.send(json.dumps([3, question[1], {"status": "Rejected"}]))
        assert await again == {"status": "Rejected"}


async def test_readings_that_are_told_twice_are_kept_once(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        for _ in range(3):
            await call(pile, "MeterValues", connector_id=1, meter_value=[energy(T0_MS, 1000)])
        await bench.value("energy_import_kwh")
        await bench.gather()
    assert bench.values("energy_import_kwh") == [(T0_MS, 1.0)]


async def test_a_clock_that_stands_still_is_not_believed(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        for wh in (1000, 1010, 1020):
            await call(pile, "MeterValues", connector_id=1, meter_value=[energy(T0_MS, wh)])
            clock.forward(60)
        await bench.until(lambda: len(bench.values("energy_import_kwh")) == 3)
    instants = [(at, value, quality) for _, name, at, value, quality in bench.readings if name == "energy_import_kwh"]
    assert instants == [(T0_MS, 1.0, 0), (T0_MS + 60_000, 1.01, 1), (T0_MS + 120_000, 1.02, 1)]


async def test_a_clock_that_is_ahead_is_not_believed(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        await call(pile, "MeterValues", connector_id=1, meter_value=[energy(T0_MS + 3_600_000, 1000)])
        await bench.value("energy_import_kwh")
    assert [(at, quality) for _, name, at, _, quality in bench.readings if name == "energy_import_kwh"] == [(T0_MS, 1)]


async def test_a_clock_that_jumps_back_while_we_listen_is_not_believed(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        await call(pile, "MeterValues", connector_id=1, meter_value=[energy(clock(), 1000)])
        clock.forward(60)
        await call(pile, "MeterValues", connector_id=1, meter_value=[energy(clock() - 3_600_000, 1010)])
        await bench.until(lambda: len(bench.values("energy_import_kwh")) == 2)
    assert [(at, quality) for _, name, at, _, quality in bench.readings if name == "energy_import_kwh"] == [
        (T0_MS, 0),
        (T0_MS + 60_000, 1),
    ]


async def test_a_clock_of_1970_is_not_believed(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        started = await call(
            pile, "StartTransaction", connector_id=1, id_tag="T", meter_start=0, timestamp="1970-01-01T00:00:07Z"
        )
        clock.forward(600)
        await call(
            pile,
            "StopTransaction",
            transaction_id=started.transaction_id,
            meter_stop=2000,
            timestamp="1970-01-01T00:10:07Z",
        )
        ended = await bench.event("transaction", phase="ended")
    assert (ended.at_ms, ended.body["duration_s"], ended.body["energy_kwh"]) == (T0_MS + 600_000, 600, "2")


async def test_a_counter_that_is_reset_in_a_session_is_told_as_it_is_and_the_session_says_so(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        started = await call(
            pile, "StartTransaction", connector_id=1, id_tag="T", meter_start=900_000, timestamp=stamp(clock())
        )
        for wh in (903_000, 0, 300, 600):
            clock.forward(600)
            values = [energy(clock(), wh)]
            await call(pile, "MeterValues", connector_id=1, transaction_id=started.transaction_id, meter_value=values)
        clock.forward(600)
        await call(
            pile, "StopTransaction", transaction_id=started.transaction_id, meter_stop=1000, timestamp=stamp(clock())
        )
        ended = await bench.event("transaction", phase="ended")
    assert [value for _, value in bench.values("energy_import_kwh")] == [903.0, 0.0, 0.3, 0.6]
    assert (ended.body["energy_kwh"], ended.body["quality"]) == ("4", "uncertain"), "3 kWh before, 1 kWh since"


async def test_a_pile_that_counts_each_session_from_zero_gives_a_counter_that_goes_on(clock: Clock) -> None:
    devices = [{**DEVICE, "model": "ocpp_abb_terra_ac"}]
    async with Bench(clock, devices=devices) as bench, station(bench.url) as pile:
        for meter_start in (900_000, 903_000):
            started = await call(
                pile, "StartTransaction", connector_id=1, id_tag="T", meter_start=meter_start, timestamp=stamp(clock())
            )
            for wh in (1000, 3000):
                clock.forward(600)
                values = [energy(clock(), wh)]
                await call(
                    pile, "MeterValues", connector_id=1, transaction_id=started.transaction_id, meter_value=values
                )
            clock.forward(60)
            await call(
                pile,
                "StopTransaction",
                transaction_id=started.transaction_id,
                meter_stop=meter_start + 3000,
                timestamp=stamp(clock()),
            )
        await bench.until(lambda: len(bench.told("transaction", phase="ended")) == 2)
    assert [value for _, value in bench.values("energy_import_kwh")] == [901.0, 903.0, 904.0, 906.0]
    assert [e.body["energy_kwh"] for e in bench.told("transaction", phase="ended")] == ["3", "3"]


async def test_a_connection_on_which_nothing_is_said_for_long_is_given_up(clock: Clock) -> None:
    async with Bench(clock, silent_s=0.2) as bench, raw(bench.url) as pile:
        assert (await pile.ask("Heartbeat", {}))[0] == 3
        said = ""
        async with asyncio.timeout(5):
            while "nothing for" not in said:
                await asyncio.sleep(0.02)
                try:
                    await bench.driver.read(bench.plans["cp1"])
                except DeviceUnreachable as error:
                    said = str(error)
        assert said.startswith("cp1: pile CP-1 has said nothing for")
        async with asyncio.timeout(5):
            await pile.socket.wait_closed()


async def test_what_cannot_be_kept_is_refused_so_that_the_pile_keeps_it(clock: Clock, tmp_path: Path) -> None:
    async with Bench(clock, tmp_path) as bench, raw(bench.url) as pile:
        journal = tmp_path / "ocpp-piles.journal"
        journal.unlink(missing_ok=True)
        journal.mkdir()
        start = {"connectorId": 1, "idTag": "T", "meterStart": 5, "timestamp": stamp(T0_MS)}
        refused = await pile.ask("StartTransaction", start)
        assert (refused[0], refused[2]) == (4, "InternalError")
        journal.rmdir()
        first, again = await pile.ask("StartTransaction", start), await pile.ask("StartTransaction", start)
        assert first[2]["transactionId"] == again[2]["transactionId"]


async def test_a_days_queue_sent_at_once_is_answered_in_order_and_keeps_no_other_waiting(clock: Clock) -> None:
    async with Bench(clock, devices=TWO) as bench, raw(bench.url) as pile, raw(bench.url, "CP-2") as other:
        answered: list[str] = []

        async def hear() -> None:
            while len(answered) < 300:
                message = json.loads(await pile.socket.recv())
                if message[0] == 3:
                    answered.append(message[1])

        hearing = asyncio.create_task(hear())
        for number in range(300):
            values = {"connectorId": 1, "meterValue": [energy(T0_MS + number, number)]}
            await pile.socket.send(json.dumps([2, f"n{number}", "MeterValues", values]))
        assert (await other.ask("Heartbeat", {}))[0] == 3
        assert len(answered) < 300
        async with asyncio.timeout(20):
            await hearing
    assert answered == [f"n{number}" for number in range(300)]


async def test_what_is_not_read_for_long_is_bounded(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url) as pile:
        for batch in range(6):
            entries = [energy(T0_MS + 1000 * (500 * batch + number), number) for number in range(500)]
            clock.at_ms = T0_MS + 1000 * 500 * (batch + 1)
            await pile.ask("MeterValues", {"connectorId": 1, "meterValue": entries})
        await bench.gather()
    assert len(bench.values("energy_import_kwh")) == 2000
    assert bench.values("energy_import_kwh")[-1][0] == T0_MS + 2_999_000, "the newest are kept"


async def test_nothing_of_a_librarys_errors_comes_out(clock: Clock) -> None:
    bench = Bench(clock)
    with pytest.raises(DriverError):
        await bench.driver.read(bench.plans["cp1"])
    with pytest.raises(DriverError):
        await commands.reset(bench.driver.pile("CP-1"))
    with pytest.raises(DriverError):
        await bench.driver.write(bench.plans["cp1"], "charging_limit_kw", 1.0, 60)
    await bench.driver.close()
    await bench.driver.close()
