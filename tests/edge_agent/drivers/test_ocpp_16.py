"""OCPP 1.6 against piles of the package `ocpp`: what they tell becomes readings, states and transactions."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from ocpp_bench import DEVICE, Bench
from ocpp_station import T0_MS, Clock, Store, call, energy, raw, stamp, station

from edge_agent.drivers.driver import DeviceUnreachable


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def begin(pile: Any, at_ms: int, meter_start: int = 7_900_000, tag: str = "TAG-1") -> int:
    started = await call(
        pile, "StartTransaction", connector_id=1, id_tag=tag, meter_start=meter_start, timestamp=stamp(at_ms)
    )
    return int(started.transaction_id)


async def test_a_pile_boots_is_set_up_and_tells_its_state(clock: Clock) -> None:
    store = Store()
    store.settings = {"SupportedFeatureProfiles": "Core,SmartCharging,RemoteTrigger", "MeterValueSampleInterval": "60"}
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        booted = await call(pile, "BootNotification", charge_point_vendor="Maker", charge_point_model="Model 1")
        assert (booted.status, booted.interval, booted.current_time) == ("Accepted", 300, stamp(T0_MS))
        await call(
            pile, "StatusNotification", connector_id=1, error_code="NoError", status="Preparing", timestamp=stamp(T0_MS)
        )
        assert await bench.value("operating_state") == (T0_MS, 2)
        configured = await bench.event("pile_configured")
    assert configured.body["refused"] == {}
    assert store.settings["ClockAlignedDataInterval"] == "900"
    assert store.settings["MeterValuesAlignedData"] == "Energy.Active.Import.Register"
    assert store.settings["MeterValuesSampledData"].split(",")[:2] == [
        "Energy.Active.Import.Register",
        "Power.Active.Import",
    ]
    changed = [told["key"] for told in store.said("ChangeConfiguration")]
    assert "MeterValueSampleInterval" not in changed, "it is 60 already, and writing wears flash"


async def test_a_session_comes_to_the_difference_of_its_meter(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        number = await begin(pile, T0_MS)
        clock.forward(60)
        values = energy(T0_MS + 60_000, 7_900_183)
        values["sampledValue"] += [
            {"value": "11.04", "measurand": "Power.Active.Import", "unit": "kW"},
            {"value": "15.9", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
            {"value": "231.2", "measurand": "Voltage", "unit": "V", "phase": "L1-N"},
        ]
        await call(pile, "MeterValues", connector_id=1, transaction_id=number, meter_value=[values])
        clock.forward(3540)
        await call(
            pile, "StopTransaction", transaction_id=number, meter_stop=7_910_750, timestamp=stamp(T0_MS + 3_600_000)
        )
        started = await bench.event("transaction", phase="started")
        ended = await bench.event("transaction", phase="ended")
    # 7,910,750 Wh - 7,900,000 Wh = 10.75 kWh in an hour at 22 kW rated
    assert ended.body["energy_kwh"] == "10.75"
    assert (ended.body["baseline"], ended.body["quality"], ended.body["missing_bound_kwh"]) == (
        "meter_start",
        "good",
        "0",
    )
    assert (ended.body["meter_start_wh"], ended.body["meter_stop_wh"]) == (7_900_000, 7_910_750)
    assert (ended.body["duration_s"], ended.body["id_tag"], ended.body["reason"]) == (3600, "TAG-1", "Local")
    assert (started.at_ms, ended.at_ms) == (T0_MS, T0_MS + 3_600_000)
    assert bench.values("energy_import_kwh") == [(T0_MS + 60_000, 7900.183)]
    assert bench.values("active_power_kw") == [(T0_MS + 60_000, 11.04)]
    assert bench.values("current_l1_a") == [(T0_MS + 60_000, 15.9)]
    assert bench.values("voltage_l1_v") == [(T0_MS + 60_000, 231.2)]


async def test_a_pile_whose_clock_is_wrong_is_told_once_and_again_when_it_is_right(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        number = await begin(pile, T0_MS)
        for minute, ahead_ms, wh in ((1, 0, 100), (2, 7_200_000, 200), (3, 7_200_000, 300), (4, 0, 400)):
            clock.forward(60)
            entry = energy(T0_MS + 60_000 * minute + ahead_ms, 7_900_000 + wh)
            await call(pile, "MeterValues", connector_id=1, transaction_id=number, meter_value=[entry])
        ahead = await bench.event("device_clock", state="ahead")
        right = await bench.event("device_clock", state="right")
        assert len(bench.told("device_clock")) == 2
    assert (ahead.at_ms, ahead.body["offset_s"], ahead.body["bound_s"]) == (T0_MS + 120_000, 7200.0, 60.0)
    assert (right.at_ms, right.body["offset_s"]) == (T0_MS + 240_000, 0.0)


async def test_a_start_that_is_sent_again_gets_the_same_number(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        first, again = await begin(pile, T0_MS), await begin(pile, T0_MS)
        other = await begin(pile, T0_MS + 60_000, 7_900_100)
        await bench.event("transaction", phase="ended", transaction_id=str(first))
    assert first == again != other
    assert len(bench.told("transaction", phase="started", transaction_id=str(first))) == 1
    assert bench.told("transaction", phase="ended")[0].body["reason"] == "Superseded"


async def test_a_stop_that_is_sent_again_tells_nothing_new(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        number = await begin(pile, T0_MS)
        clock.forward(600)
        for _ in range(2):
            await call(
                pile, "StopTransaction", transaction_id=number, meter_stop=7_901_000, timestamp=stamp(T0_MS + 600_000)
            )
        await bench.event("transaction", phase="ended")
    assert len({event.id for event in bench.told("transaction", phase="ended")}) == 1


async def test_a_transaction_goes_on_through_a_restart_of_the_agent(clock: Clock, tmp_path: Path) -> None:
    async with Bench(clock, tmp_path) as bench, station(bench.url) as pile:
        number = await begin(pile, T0_MS)
        clock.forward(60)
        await call(pile, "MeterValues", connector_id=1, transaction_id=number, meter_value=[energy(clock(), 7_900_200)])
    clock.forward(540)
    async with Bench(clock, tmp_path) as bench, station(bench.url) as pile:
        await call(pile, "MeterValues", connector_id=1, transaction_id=number, meter_value=[energy(clock(), 7_902_000)])
        await call(pile, "StopTransaction", transaction_id=number, meter_stop=7_902_500, timestamp=stamp(clock()))
        ended = await bench.event("transaction", phase="ended")
        assert await begin(pile, clock()) > number
    assert (ended.body["energy_kwh"], ended.body["baseline"], ended.body["quality"]) == ("2.5", "meter_start", "good")


async def test_what_may_not_have_reached_the_spool_is_told_again_with_the_same_name(
    clock: Clock, tmp_path: Path
) -> None:
    async with Bench(clock, tmp_path) as first, station(first.url) as pile:
        number = await begin(pile, T0_MS)
        clock.forward(600)
        await call(pile, "StopTransaction", transaction_id=number, meter_stop=7_901_000, timestamp=stamp(clock()))
        told = await first.event("transaction", phase="ended")
    async with Bench(clock, tmp_path) as second:
        again = await second.event("transaction", phase="ended")
        assert (again.id, again.body) == (told.id, told.body)
        clock.forward(120)
        await second.gather()
    async with Bench(clock, tmp_path) as third:
        assert third.told("transaction") == []


async def test_a_transaction_that_began_before_us_is_counted_from_its_first_sample_and_says_so(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        await call(pile, "MeterValues", connector_id=1, transaction_id=77, meter_value=[energy(clock(), 7_783_903)])
        clock.forward(1800)
        await call(pile, "StopTransaction", transaction_id=77, meter_stop=7_788_903, timestamp=stamp(clock()))
        ended = await bench.event("transaction", phase="ended", transaction_id="77")
    # evcc issue 29654: the whole counter of 7,783.903 kWh was taken for the session's energy here
    assert ended.body["energy_kwh"] == "5"
    assert (ended.body["baseline"], ended.body["quality"]) == ("first_sample", "uncertain")
    assert ended.body["missing_bound_kwh"] is None, "nobody knows how long it had been going on"


async def test_what_a_pile_kept_while_it_was_away_keeps_its_own_instants(clock: Clock) -> None:
    clock.forward(7200)
    async with Bench(clock) as bench, station(bench.url) as pile:
        number = await begin(pile, T0_MS)
        values = [energy(T0_MS + minute * 60_000, 7_900_000 + 100 * minute) for minute in (1, 2, 3)]
        for value in values:
            await call(pile, "MeterValues", connector_id=1, transaction_id=number, meter_value=[value])
        await call(
            pile, "StopTransaction", transaction_id=number, meter_stop=7_900_400, timestamp=stamp(T0_MS + 240_000)
        )
        ended = await bench.event("transaction", phase="ended")
    assert [at for at, _ in bench.values("energy_import_kwh")] == [T0_MS + 60_000, T0_MS + 120_000, T0_MS + 180_000]
    assert ended.at_ms == T0_MS + 240_000
    assert ended.body["energy_kwh"] == "0.4"


async def test_a_pile_that_reboots_in_a_session_and_never_stops_it_loses_no_energy(clock: Clock) -> None:
    async with Bench(clock) as bench:
        async with station(bench.url) as pile:
            number = await begin(pile, T0_MS)
            clock.forward(600)
            sample = energy(clock(), 7_903_000)
            await call(pile, "MeterValues", connector_id=1, transaction_id=number, meter_value=[sample])
        clock.forward(300)
        async with station(bench.url) as pile:
            await call(pile, "BootNotification", charge_point_vendor="Maker", charge_point_model="Model 1")
            await begin(pile, clock(), 7_903_100)
            ended = await bench.event("transaction", phase="ended", transaction_id=str(number))
    assert (ended.body["energy_kwh"], ended.body["quality"], ended.body["reason"]) == ("3", "uncertain", "Superseded")


async def test_a_signed_value_is_passed_through_untouched(clock: Clock) -> None:
    text = 'OCMF|{"FV":"1.0","GI":"Zähler \\"1\\"","RD":[{"RV":7902.5}]}|{"SD":"304502..."}'
    async with Bench(clock) as bench, station(bench.url) as pile:
        number = await begin(pile, T0_MS)
        clock.forward(600)
        signed = {"value": text, "context": "Transaction.End", "format": "SignedData"}
        entry = energy(clock(), 7_902_500, context="Transaction.End")
        entry["sampledValue"].append(signed)
        await call(
            pile,
            "StopTransaction",
            transaction_id=number,
            meter_stop=7_902_500,
            timestamp=stamp(clock()),
            transaction_data=[entry],
        )
        kept = await bench.event("signed_meter_value")
        ended = await bench.event("transaction", phase="ended")
    assert kept.body == {
        "identity": "CP-1",
        "connector": 1,
        "transaction_id": str(number),
        "context": "Transaction.End",
        "text": text,
    }
    assert ended.body["signed"] == [kept.id]


async def test_id_tags_can_be_hidden_and_still_be_told_apart(clock: Clock, tmp_path: Path) -> None:
    tags = []
    for _ in range(2):
        async with Bench(clock, tmp_path, hide_id_tags=True) as bench, station(bench.url) as pile:
            for tag in ("04A2F1C2", "OTHER"):
                number = await begin(pile, clock(), tag=tag)
                told = await bench.event("transaction", phase="started", transaction_id=str(number))
                tags.append(str(told.body["id_tag"]))
                clock.forward(60)
    assert tags[:2] == tags[2:]
    assert tags[0] != tags[1]
    assert not {"04A2F1C2", "OTHER"} & set(tags)
    assert b"04A2F1C2" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


async def test_only_listed_tags_may_charge_where_nobody_else_decides(clock: Clock) -> None:
    async with Bench(clock, accept="listed", id_tags=["TAG-1"]) as bench, station(bench.url) as pile:
        known = await call(pile, "Authorize", id_tag="TAG-1")
        unknown = await call(pile, "Authorize", id_tag="TAG-2")
        started = await call(
            pile, "StartTransaction", connector_id=1, id_tag="TAG-2", meter_start=0, timestamp=stamp(T0_MS)
        )
    assert (known.id_tag_info["status"], unknown.id_tag_info["status"]) == ("Accepted", "Invalid")
    assert started.id_tag_info["status"] == "Invalid"


async def test_the_list_of_tags_is_put_into_a_pile_that_can_keep_it(clock: Clock) -> None:
    store = Store()
    store.settings["SupportedFeatureProfiles"] = "Core,LocalAuthListManagement"
    async with Bench(clock, accept="listed", id_tags=["B", "A"]) as bench, station(bench.url, store=store) as pile:
        await call(pile, "BootNotification", charge_point_vendor="Maker", charge_point_model="Model 1")
        await bench.event("pile_configured")
    (sent,) = store.said("SendLocalList")
    assert [entry["id_tag"] for entry in sent["local_authorization_list"]] == ["A", "B"]


async def test_a_pile_gets_the_longest_list_of_measurands_that_it_takes(clock: Clock) -> None:
    store = Store()
    store.refuses = lambda key, value: key == "MeterValuesSampledData" and value.count(",") > 1
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await call(pile, "BootNotification", charge_point_vendor="Maker", charge_point_model="Model 1")
        configured = await bench.event("pile_configured")
    assert store.settings["MeterValuesSampledData"] == "Energy.Active.Import.Register,Power.Active.Import"
    assert "MeterValuesSampledData" not in configured.body["refused"]


async def test_what_a_pile_refuses_is_recorded(clock: Clock) -> None:
    store = Store()
    store.refuses = lambda key, _value: key == "ClockAlignedDataInterval"
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await call(pile, "BootNotification", charge_point_vendor="Maker", charge_point_model="Model 1")
        configured = await bench.event("pile_configured")
    assert configured.body["refused"] == {"ClockAlignedDataInterval": "900: Rejected"}


async def test_calls_that_only_tell_something_are_answered_and_become_events(clock: Clock) -> None:
    async with Bench(clock) as bench, station(bench.url) as pile:
        await call(pile, "FirmwareStatusNotification", status="Installed")
        await call(pile, "DiagnosticsStatusNotification", status="Uploaded")
        transferred = await call(pile, "DataTransfer", vendor_id="com.example", data="x")
        await call(pile, "Heartbeat")
        await call(
            pile,
            "StatusNotification",
            connector_id=1,
            error_code="GroundFailure",
            status="Faulted",
            timestamp=stamp(T0_MS),
        )
        alarm = await bench.event("alarm")
        assert (await bench.event("pile_firmware_status_notification")).body == {
            "identity": "CP-1",
            "action": "FirmwareStatusNotification",
            "request": {"status": "Installed"},
        }
    assert transferred.status == "UnknownVendorId"
    assert alarm.body == {
        "identity": "CP-1",
        "connector": 1,
        "code": "GroundFailure",
        "detail": "",
        "state": "Faulted",
    }
    assert bench.values("operating_state")[-1] == (T0_MS, 9)


async def test_an_unknown_action_is_refused_and_the_next_call_answered(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url) as pile:
        assert (await pile.ask("MakeCoffee", {}))[
            2
        ] == "NotImplemented"  # 1.6: not known; NotSupported is for what is known
        assert (await pile.ask("TriggerMessage", {"requestedMessage": "Heartbeat"}))[2] == "NotSupported"
        assert (await pile.ask("Heartbeat", {}))[0] == 3


async def test_a_call_with_a_spare_key_is_read_all_the_same(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url) as pile:
        started = await pile.ask(
            "StartTransaction",
            {"connectorId": 1, "idTag": "T", "meterStart": 10, "timestamp": stamp(T0_MS), "vendorThing": {"a": [1]}},
        )
        assert started[0] == 3
        await bench.event("transaction", phase="started")


async def test_a_call_without_what_it_must_have_is_refused(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url) as pile:
        refused = await pile.ask("StatusNotification", {"status": "Charging"})
        assert (refused[0], refused[2]) == (4, "OccurenceConstraintViolation")
        assert (await pile.ask("Heartbeat", {}))[0] == 3


async def test_a_newer_connection_of_the_same_pile_takes_the_place_of_the_older(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url) as older, raw(bench.url) as newer:
        assert (await newer.ask("Heartbeat", {}))[0] == 3
        async with asyncio.timeout(5):
            await older.socket.wait_closed()
        assert (await newer.ask("Heartbeat", {}))[0] == 3


async def test_until_all_its_connectors_are_known_a_pile_is_told_to_wait(clock: Clock) -> None:
    second = {**DEVICE, "name": "cp1b", "connector": 2}
    bench = Bench(clock, devices=[DEVICE, second])
    with pytest.raises(DeviceUnreachable, match="pile CP-1 is not connected"):
        await bench.driver.read(bench.plans["cp1"])
    async with raw(bench.url) as pile:
        boot = {"chargePointVendor": "Maker", "chargePointModel": "Model 1"}
        pending = (await pile.ask("BootNotification", boot))[2]
        assert (pending["status"], pending["interval"]) == (
            "Pending",
            2,
        )  # it asks again so soon, not with the heartbeat
        refused = await pile.ask(
            "StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"}
        )
        assert refused[2] == "InternalError"
        await bench.gather()
        accepted = (await pile.ask("BootNotification", boot))[2]
        assert (accepted["status"], accepted["interval"]) == ("Accepted", 300)
    await bench.driver.close()


async def test_each_connector_is_a_device_of_its_own(clock: Clock) -> None:
    second = {**DEVICE, "name": "cp1b", "connector": 2}
    async with Bench(clock, devices=[DEVICE, second]) as bench, station(bench.url) as pile:
        for number, wh in ((1, 1000), (2, 2000)):
            await call(pile, "MeterValues", connector_id=number, meter_value=[energy(T0_MS, wh)])
        assert await bench.value("energy_import_kwh", "cp1b") == (T0_MS, 2.0)
        assert await bench.value("energy_import_kwh", "cp1") == (T0_MS, 1.0)


async def test_each_message_goes_to_the_flight_recorder(clock: Clock) -> None:
    frames: list[tuple[str, bool, bytes]] = []
    async with Bench(clock, frame=lambda *frame: frames.append(frame)) as bench, raw(bench.url) as pile:
        await pile.ask("Heartbeat", {}, "beat-1")
    assert ("cp1", False, b'[2, "beat-1", "Heartbeat", {}]') in frames
    assert any(sent and raw.startswith(b'[3,"beat-1"') for _, sent, raw in frames)
