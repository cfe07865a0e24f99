"""The relay to an operator's back end: bytes, order, what happens while it is away, and the least of both limits."""

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from ocpp_back_end import BackEnd, back_end
from ocpp_bench import DEVICE, Bench
from ocpp_station import T0_MS, Clock, Store, call, energy, energy_2, raw, stamp, station
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from edge_agent.drivers.driver import DeviceRefused, DeviceUnreachable


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def operator() -> AsyncIterator[BackEnd]:
    async with back_end() as made:
        yield made


def relay(clock: Clock, operator: BackEnd, state: Path | None = None, **bus: Any) -> Bench:
    return Bench(clock, state, role="local_controller", upstream=operator.url, **({"timeout_s": 2.0} | bus))


async def begin(pile: Any, at_ms: int, meter_start: int = 1000, tag: str = "TAG-1") -> Any:
    return await call(
        pile, "StartTransaction", connector_id=1, id_tag=tag, meter_start=meter_start, timestamp=stamp(at_ms)
    )


async def stop(pile: Any, number: int, at_ms: int, meter_stop: int) -> Any:
    return await call(pile, "StopTransaction", transaction_id=number, meter_stop=meter_stop, timestamp=stamp(at_ms))


async def test_messages_pass_byte_for_byte_in_both_directions(clock: Clock, operator: BackEnd) -> None:
    odd = '[2 , "id-1",\t"DataTransfer", {"vendorId":"\\u00e4\\/", "data":"  1.50 ", "x":1.10}]'
    async with relay(clock, operator) as bench, raw(bench.url) as pile:
        await pile.socket.send(odd)
        answer = await pile.socket.recv()
        while json.loads(answer)[0] == 2:  # a question of ours, which asks what the pile can do
            answer = await pile.socket.recv()
    assert operator.seen == [odd]
    assert answer == '[3,  "id-1", {} ]'


async def test_a_session_is_billed_by_the_operator_and_seen_by_us(clock: Clock, operator: BackEnd) -> None:
    async with relay(clock, operator) as bench, station(bench.url) as pile:
        booted = await call(pile, "BootNotification", charge_point_vendor="Maker", charge_point_model="Model 1")
        started = await begin(pile, T0_MS)
        clock.forward(1800)
        sample = energy(clock(), 4000)
        await call(pile, "MeterValues", connector_id=1, transaction_id=started.transaction_id, meter_value=[sample])
        clock.forward(1800)
        await stop(pile, started.transaction_id, clock(), 8345)
        ended = await bench.event("transaction", phase="ended")
        assert (await bench.value("energy_import_kwh")) == (T0_MS + 1_800_000, 4.0)
    assert booted.interval == 77, "the operator's answer"
    assert operator.bills == {4001: (1000, 8345)}
    assert (ended.body["transaction_id"], ended.body["energy_kwh"], ended.body["quality"]) == ("4001", "7.345", "good")


async def test_an_error_of_the_operator_is_the_piles(clock: Clock, operator: BackEnd) -> None:
    operator.answers["StatusNotification"] = "InternalError"
    async with relay(clock, operator) as bench, raw(bench.url) as pile:
        status = {"connectorId": 1, "status": "Available", "errorCode": "NoError"}
        assert (await pile.ask("StatusNotification", status))[2] == "InternalError"


async def test_commands_reach_the_pile_and_their_answers_the_operator_while_ours_stay_with_us(
    clock: Clock, operator: BackEnd
) -> None:
    store = Store()
    store.settings = {"SupportedFeatureProfiles": "Core,SmartCharging,RemoteTrigger"}
    async with relay(clock, operator) as bench, station(bench.url, store=store):
        await bench.event("pile_configured")
        await operator.until(lambda: operator.pile)
        answer = await operator.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "X"})
        assert answer == [3, "op-1", {"status": "Accepted"}]
    assert store.said("RemoteStartTransaction") == [{"connector_id": 1, "id_tag": "X"}]
    assert store.said("GetConfiguration")
    assert store.said("ChangeConfiguration") == [], "the configuration is the operator's"
    assert [json.loads(message)[1] for message in operator.seen] == ["op-1"]


async def test_the_piles_proof_is_passed_on_and_the_operators_verdict_back(clock: Clock, operator: BackEnd) -> None:
    headers = {"Authorization": "Basic Q1AtMTpzZWNyZXQ="}
    async with relay(clock, operator, security_profile=1) as bench:
        async with station(bench.url, headers=headers) as pile:
            await call(pile, "Heartbeat")
        assert operator.headers[-1]["Authorization"] == headers["Authorization"]
        operator.refuse = HTTPStatus.UNAUTHORIZED
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{bench.url}/CP-1", subprotocols=["ocpp1.6"], additional_headers=headers, proxy=None)
        assert refused.value.response.status_code == 401
        operator.refuse = None
        await operator.stop()
        async with station(bench.url, headers=headers) as pile:  # what was accepted last is accepted while it is away
            await call(pile, "Heartbeat")
        wrong = {"Authorization": "Basic Q1AtMTp3cm9uZw=="}
        with pytest.raises(InvalidStatus):
            await connect(f"{bench.url}/CP-1", subprotocols=["ocpp1.6"], additional_headers=wrong, proxy=None)


async def test_the_operator_chooses_the_version(clock: Clock, operator: BackEnd) -> None:
    async with (
        relay(clock, operator, versions=["ocpp1.6", "ocpp2.0.1"]) as bench,
        connect(f"{bench.url}/CP-1", subprotocols=["ocpp1.6", "ocpp2.0.1", "ocpp2.1"], proxy=None) as socket,
    ):
        assert socket.subprotocol == "ocpp2.0.1"
        assert operator.headers[-1]["Sec-WebSocket-Protocol"] == "ocpp2.0.1, ocpp1.6"


async def away(bench: Bench, operator: BackEnd) -> None:
    """The back end goes, and the relay has noticed."""
    await operator.stop()
    await asyncio.sleep(0.05)


async def test_a_session_goes_on_while_the_operator_is_away_and_is_billed_when_it_is_back(
    clock: Clock, operator: BackEnd
) -> None:
    async with relay(clock, operator, offline_accept="all") as bench, station(bench.url) as pile:
        first = await begin(pile, T0_MS)
        await away(bench, operator)
        clock.forward(600)
        sample = energy(clock(), 2500)
        await call(pile, "MeterValues", connector_id=1, transaction_id=first.transaction_id, meter_value=[sample])
        assert (await call(pile, "Heartbeat")).current_time == stamp(clock())
        await stop(pile, first.transaction_id, clock(), 3000)
        clock.forward(60)
        second = await begin(pile, clock(), 3000)
        assert second.transaction_id >= 2_000_000_000
        clock.forward(600)
        sample = energy(clock(), 3700)
        await call(pile, "MeterValues", connector_id=1, transaction_id=second.transaction_id, meter_value=[sample])
        clock.forward(600)
        await stop(pile, second.transaction_id, clock(), 4321)
        before = len(operator.seen)
        await operator.start()
        await operator.until(lambda: operator.bills.get(4002) == (3000, 4321))
        await call(pile, "Heartbeat")
    calls = [json.loads(message)[2] for message in operator.seen[before:]]
    assert calls == [
        "MeterValues",
        "StopTransaction",
        "StartTransaction",
        "MeterValues",
        "StopTransaction",
        "Heartbeat",
    ]
    assert operator.bills == {4001: (1000, 3000), 4002: (3000, 4321)}
    assert operator.said("MeterValues")[-1]["transactionId"] == 4002
    ended = [(e.body["energy_kwh"], e.body["quality"]) for e in bench.told("transaction", phase="ended")]
    assert ended == [("2", "good"), ("1.321", "good")]


async def test_a_session_that_began_without_the_operator_goes_on_with_it_under_both_numbers(
    clock: Clock, operator: BackEnd, tmp_path: Path
) -> None:
    store = Store()
    await operator.stop()
    async with relay(clock, operator, tmp_path, offline_accept="all") as bench, station(bench.url, store=store) as pile:
        started = await begin(pile, T0_MS)
        local = started.transaction_id
        await operator.start()
        await operator.until(lambda: operator.said("StartTransaction"))
        clock.forward(600)
        await call(pile, "MeterValues", connector_id=1, transaction_id=local, meter_value=[energy(clock(), 1500)])
        await operator.until(lambda: operator.said("MeterValues"))
        assert operator.said("MeterValues")[-1]["transactionId"] == 4001
        assert (await operator.command("RemoteStopTransaction", {"transactionId": 4001}))[2] == {"status": "Accepted"}
        assert store.said("RemoteStopTransaction") == [{"transaction_id": local}]
    async with relay(clock, operator, tmp_path) as bench, station(bench.url, store=store) as pile:
        await stop(pile, local, clock(), 2000)
        await operator.until(lambda: operator.bills[4001] == (1000, 2000))
        ended = await bench.event("transaction", phase="ended")
    assert (ended.body["transaction_id"], ended.body["operator_transaction_id"]) == (str(local), "4001")


async def test_what_waits_for_the_operator_survives_a_restart_of_the_agent(
    clock: Clock, operator: BackEnd, tmp_path: Path
) -> None:
    await operator.stop()
    async with relay(clock, operator, tmp_path, offline_accept="all") as bench, station(bench.url) as pile:
        started = await begin(pile, T0_MS)
        again = await begin(pile, T0_MS)
        assert started.transaction_id == again.transaction_id
        clock.forward(600)
        await stop(pile, started.transaction_id, clock(), 5000)
    await operator.start()
    async with relay(clock, operator, tmp_path) as bench, station(bench.url) as pile:
        await operator.until(lambda: operator.bills.get(4001) == (1000, 5000))
        await call(pile, "StatusNotification", connector_id=1, error_code="NoError", status="Available")
        await operator.until(lambda: operator.said("StatusNotification"))  # behind what waited: that is done
    assert len(operator.said("StartTransaction")) == 1
    async with relay(clock, operator, tmp_path) as bench, station(bench.url) as pile:
        await call(pile, "Heartbeat")
    assert len(operator.said("StopTransaction")) == 1, "delivered once"


async def test_a_stop_that_is_delivered_again_after_a_restart_has_the_operators_number(
    clock: Clock, operator: BackEnd, tmp_path: Path
) -> None:
    """The answer to the stop was lost with the agent; the operator must know the transaction by the number that it gave."""

    def last_answer(_: dict[str, Any]) -> dict[str, Any]:
        operator.silent = True
        return {"transactionId": 4711, "idTagInfo": {"status": "Accepted"}}

    operator.answers = {"StartTransaction": last_answer, "StopTransaction": {}}
    await operator.stop()
    async with relay(clock, operator, tmp_path, offline_accept="all") as bench, station(bench.url) as pile:
        started = await begin(pile, T0_MS)
        clock.forward(600)
        await stop(pile, started.transaction_id, clock(), 5000)
    await operator.start()
    async with relay(clock, operator, tmp_path) as bench, station(bench.url):
        await operator.until(lambda: operator.said("StopTransaction"))
    operator.silent = False
    async with relay(clock, operator, tmp_path) as bench, station(bench.url):
        await operator.until(lambda: len(operator.said("StopTransaction")) == 2)
    assert [told["transactionId"] for told in operator.said("StopTransaction")] == [4711, 4711]


async def test_a_call_whose_answer_is_lost_with_the_operator_is_answered_here_and_told_again(
    clock: Clock, operator: BackEnd
) -> None:
    operator.silent = True
    async with relay(clock, operator, offline_accept="all") as bench, station(bench.url) as pile:
        asking = asyncio.create_task(begin(pile, T0_MS))
        await operator.until(lambda: operator.said("StartTransaction"))
        await operator.stop()
        started = await asking
        assert started.transaction_id >= 2_000_000_000
        operator.silent = False
        await operator.start()
        await operator.until(lambda: len(operator.said("StartTransaction")) == 2)
        identifiers = [json.loads(message)[1] for message in operator.seen if "StartTransaction" in message]
    assert len(set(identifiers)) == 1, "the same message, so that the operator can know it"


async def test_while_the_operator_is_away_only_tags_that_it_knew_may_charge(clock: Clock, operator: BackEnd) -> None:
    operator.answers["Authorize"] = lambda told: {
        "idTagInfo": {"status": "Accepted" if told["idTag"] == "GOOD" else "Blocked"}
    }
    async with relay(clock, operator) as bench, station(bench.url) as pile:
        for tag in ("GOOD", "BAD"):
            await call(pile, "Authorize", id_tag=tag)
        await away(bench, operator)
        statuses = {
            tag: (await call(pile, "Authorize", id_tag=tag)).id_tag_info["status"] for tag in ("GOOD", "BAD", "NEW")
        }
        transferred = await call(pile, "DataTransfer", vendor_id="x")
    assert statuses == {"GOOD": "Accepted", "BAD": "Invalid", "NEW": "Invalid"}
    assert transferred.status == "Rejected"


async def test_a_full_queue_keeps_transactions_and_leaves_the_rest_to_the_pile(clock: Clock, operator: BackEnd) -> None:
    await operator.stop()
    async with relay(clock, operator, offline_accept="all", upstream_queue=10) as bench, station(bench.url) as pile:
        started = await begin(pile, T0_MS)
        for minute in range(1, 16):
            clock.forward(60)
            sample = energy(clock(), 1000 + minute)
            await call(pile, "MeterValues", connector_id=1, transaction_id=started.transaction_id, meter_value=[sample])
        await stop(pile, started.transaction_id, clock(), 1015)
        await operator.start()
        await operator.until(lambda: operator.bills.get(4001) == (1000, 1015))
    kept = [told["meterValue"][0]["sampledValue"][0]["value"] for told in operator.said("MeterValues")]
    assert kept == [str(1000 + minute) for minute in range(8, 16)], "ten in all: the start, the newest eight, the stop"


async def test_a_queued_call_that_the_operator_will_not_have_is_given_up_and_said(
    clock: Clock, operator: BackEnd
) -> None:
    await operator.stop()
    async with relay(clock, operator, offline_accept="all", timeout_s=0.3) as bench, station(bench.url) as pile:
        status = {"connector_id": 1, "error_code": "NoError", "timestamp": stamp(T0_MS)}
        await call(pile, "StatusNotification", status="Preparing", **status)
        await begin(pile, T0_MS)
        operator.answers["StatusNotification"] = "NotSupported"
        await operator.start()
        await operator.until(lambda: operator.said("StartTransaction"))
        refused = await bench.event("upstream_refused")
    assert refused.body == {"identity": "CP-1", "action": "StatusNotification", "code": "NotSupported"}
    assert len(operator.said("StatusNotification")) == 3


async def test_a_session_of_201_goes_on_while_the_operator_is_away(clock: Clock, operator: BackEnd) -> None:
    def event(phase: str, number: int, wh: int, context: str) -> dict[str, Any]:
        return {
            "eventType": phase,
            "timestamp": stamp(clock()),
            "triggerReason": "Authorized",
            "seqNo": number,
            "transactionInfo": {"transactionId": "tx-9"},
            "evse": {"id": 1},
            "meterValue": [energy_2(clock(), wh, context=context)],
        }

    async with relay(clock, operator) as bench, raw(bench.url, version="ocpp2.0.1") as pile:
        assert (await pile.ask("TransactionEvent", event("Started", 0, 1000, "Transaction.Begin")))[0] == 3
        await away(bench, operator)
        clock.forward(600)
        assert (await pile.ask("TransactionEvent", event("Updated", 1, 2000, "Sample.Periodic")))[0] == 3
        clock.forward(600)
        assert (await pile.ask("TransactionEvent", event("Ended", 2, 3000, "Transaction.End")))[0] == 3
        await operator.start()
        await operator.until(lambda: len(operator.said("TransactionEvent")) == 3)
        ended = await bench.event("transaction", phase="ended")
    assert [told["seqNo"] for told in operator.said("TransactionEvent")] == [0, 1, 2]
    assert ended.body["energy_kwh"] == "2"


# ---- the least of both limits


def able(level: str = "8") -> Store:
    store = Store()
    store.settings = {
        "SupportedFeatureProfiles": "Core,SmartCharging",
        "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
        "ChargeProfileMaxStackLevel": level,
    }
    return store


def theirs(watts: float, purpose: str = "TxProfile", level: int = 2, **more: Any) -> dict[str, Any]:
    """A SetChargingProfile of the operator."""
    periods = more.pop("periods", [{"startPeriod": 0, "limit": watts}])
    schedule = {"chargingRateUnit": "W", "chargingSchedulePeriod": periods, "startSchedule": stamp(T0_MS), **more}
    profile = {
        "chargingProfileId": 5,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    }
    return {"connectorId": 1, "csChargingProfiles": profile}


TWO = [DEVICE, {**DEVICE, "name": "cp1b", "connector": 2}]


async def test_the_pile_of_one_connector_takes_the_least_itself(clock: Clock, operator: BackEnd) -> None:
    store = able()
    async with relay(clock, operator) as bench, station(bench.url, store=store) as pile:
        await bench.event("pile_configured")
        await begin(pile, T0_MS)
        await bench.driver.write(bench.plans["cp1"], "charging_limit_kw", 8.0, 3600)
    (ours,) = store.said("SetChargingProfile")
    assert ours["charging_profile_purpose"] == "ChargePointMaxProfile", "another purpose than the operator's"


async def test_a_limit_of_ours_lies_above_the_operators_and_holds_the_least_of_both(
    clock: Clock, operator: BackEnd, tmp_path: Path
) -> None:
    store = able()
    steps = [{"startPeriod": 0, "limit": 11000.0}, {"startPeriod": 300, "limit": 6000.0}]
    async with relay(clock, operator, tmp_path, devices=TWO) as bench, station(bench.url, store=store) as pile:
        await bench.event("pile_configured")
        await begin(pile, T0_MS)
        command = theirs(0, level=8, periods=steps)
        await operator.command("SetChargingProfile", command)
        with pytest.raises(DeviceRefused, match="the operator has the highest one"):
            await bench.driver.write(bench.plans["cp1"], "charging_limit_kw", 8.0, 3600)
        await operator.command("SetChargingProfile", theirs(0, level=2, periods=steps), "op-2")
        written = await bench.driver.write(bench.plans["cp1"], "charging_limit_kw", 8.0, 3600)
    ours = store.said("SetChargingProfile")[-1]
    periods = [(p["start_period"], float(p["limit"])) for p in ours["charging_schedule"]["charging_schedule_period"]]
    assert (ours["charging_profile_purpose"], ours["stack_level"]) == ("TxProfile", 8)
    assert periods == [(0, 8000.0), (300, 6000.0)]
    assert written.after == 8.0
    store.profiles.clear()
    clock.forward(400)
    async with relay(clock, operator, tmp_path, devices=TWO) as bench, station(bench.url, store=store):
        await bench.event("pile_configured")
        await bench.driver.write(bench.plans["cp1"], "charging_limit_kw", 8.0, 3600)
    (period,) = store.said("SetChargingProfile")[-1]["charging_schedule"]["charging_schedule_period"]
    assert float(period["limit"]) == 6000.0, "remembered through a restart, and 400 s later"


async def test_when_the_operator_changes_its_limit_ours_follows(clock: Clock, operator: BackEnd) -> None:
    store = able()
    async with relay(clock, operator, devices=TWO) as bench, station(bench.url, store=store) as pile:
        await bench.event("pile_configured")
        await begin(pile, T0_MS)
        await bench.driver.write(bench.plans["cp1"], "charging_limit_kw", 8.0, 3600)
        await operator.command("SetChargingProfile", theirs(5000.0))

        def last() -> float:
            held = store.said("SetChargingProfile")[-1]
            mine = held["charging_profile_id"] >= 1_900_000_000
            return float(held["charging_schedule"]["charging_schedule_period"][0]["limit"]) if mine else -1

        await bench.until(lambda: last() == 5000.0)
        await operator.command("ClearChargingProfile", {"id": 5}, "op-2")
        await bench.until(lambda: last() == 8000.0)


async def test_a_call_that_comes_before_all_devices_have_been_read_waits_and_is_seen_by_us(
    clock: Clock, operator: BackEnd
) -> None:
    """After a restart of the agent piles are back before their devices have been read once: what they say then is not to be missed."""
    devices = [DEVICE, {**DEVICE, "name": "cp1b", "connector": 2}]
    came: list[bytes] = []
    towards = {"role": "local_controller", "upstream": operator.url}
    bench = Bench(clock, None, devices, lambda _device, sent, text: None if sent else came.append(text), **towards)
    with pytest.raises(DeviceUnreachable):
        await bench.driver.read(bench.plans["cp1"])
    async with raw(bench.url) as pile:
        start = {"connectorId": 1, "idTag": "T", "meterStart": 1000, "timestamp": stamp(T0_MS)}
        asking = asyncio.create_task(pile.ask("StartTransaction", start))
        await operator.until(lambda: came)  # it is there; the other device has not been read yet
        assert operator.said("StartTransaction") == []
        await bench.gather()
        assert (await asking)[2]["transactionId"] == 4001
        started = await bench.event("transaction", phase="started")
    assert (started.body["transaction_id"], started.body["meter_start_wh"]) == ("4001", 1000)
    await bench.driver.close()


async def test_a_call_passes_even_where_a_device_is_never_read(clock: Clock, operator: BackEnd) -> None:
    devices = [DEVICE, {**DEVICE, "name": "cp1b", "connector": 2}]
    bench = Bench(clock, devices=devices, role="local_controller", upstream=operator.url, timeout_s=0.1)
    with pytest.raises(DeviceUnreachable):
        await bench.driver.read(bench.plans["cp1"])
    async with raw(bench.url) as pile:
        assert (await pile.ask("Heartbeat", {}))[0] == 3
    await bench.driver.close()


async def test_a_late_answer_of_the_operator_reaches_the_pile_and_us(clock: Clock, operator: BackEnd) -> None:
    async with relay(clock, operator, timeout_s=0.1) as bench, raw(bench.url) as pile:
        await operator.until(lambda: operator.pile)
        operator.silent = True
        start = {"connectorId": 1, "idTag": "T", "meterStart": 1000, "timestamp": stamp(T0_MS)}
        await pile.socket.send(json.dumps([2, "late-1", "StartTransaction", start]))
        status = {"connectorId": 1, "status": "Charging", "errorCode": "NoError"}
        await pile.socket.send(json.dumps([2, "later-1", "StatusNotification", status]))
        await operator.until(lambda: operator.said("StatusNotification"))  # the relay waits for the first one no more
        assert operator.pile is not None
        await operator.pile.send('[3, "late-1", {"transactionId": 77, "idTagInfo": {"status": "Accepted"}}]')
        assert (await pile.answer("late-1"))[2]["transactionId"] == 77
        started = await bench.event("transaction", phase="started")
    assert started.body["transaction_id"] == "77"
