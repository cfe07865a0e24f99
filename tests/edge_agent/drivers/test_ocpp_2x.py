"""OCPP 2.0.1 and 2.1 against piles of the package `ocpp`: transaction events, late and doubled, and what 2.1 adds."""

from pathlib import Path
from typing import Any

import pytest
from ocpp_bench import DEVICE, Bench
from ocpp_station import ENERGY, T0_MS, Clock, Store, call, energy_2, raw, stamp, station

from edge_agent.drivers.ocpp import commands

BOTH = pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
STATION = {"vendor_name": "Maker", "model": "Model 2", "serial_number": "S-1", "firmware_version": "1.2"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def tell(pile: Any, phase: str, number: int, at_ms: int, *values: dict[str, Any], **more: Any) -> Any:
    """A TransactionEvent of transaction tx-1."""
    about: dict[str, Any] = {"transaction_id": more.pop("transaction_id", "tx-1")}
    about |= {key: more.pop(key) for key in ("charging_state", "stopped_reason") if key in more}
    if values:
        more["meter_value"] = [
            {"timestamp": v["timestamp"], "sampled_value": _snake(v["sampledValue"])} for v in values
        ]
    return await call(
        pile,
        "TransactionEvent",
        event_type=phase,
        timestamp=stamp(at_ms),
        trigger_reason=more.pop("trigger_reason", "MeterValuePeriodic"),
        seq_no=number,
        transaction_info=about,
        evse={"id": 1, "connector_id": 1},
        **more,
    )


def _snake(sampled: list[dict[str, Any]]) -> list[dict[str, Any]]:
    words = {"unitOfMeasure": "unit_of_measure", "signedMeterValue": "signed_meter_value"}
    return [{words.get(key, key): value for key, value in one.items()} for one in sampled]


@BOTH
async def test_a_pile_boots_is_set_up_and_tells_its_state(clock: Clock, version: str) -> None:
    store = Store()
    store.settings = {"SampledDataCtrlr.TxUpdatedInterval": "60", "SmartChargingCtrlr.RateUnit": "A,W"}
    async with Bench(clock) as bench, station(bench.url, version=version, store=store) as pile:
        booted = await call(pile, "BootNotification", charging_station=STATION, reason="PowerUp")
        assert (booted.status, booted.interval, booted.current_time) == ("Accepted", 300, stamp(T0_MS))
        await call(
            pile, "StatusNotification", timestamp=stamp(T0_MS), connector_status="Available", evse_id=1, connector_id=1
        )
        assert await bench.value("operating_state") == (T0_MS, 1)
        configured = await bench.event("pile_configured")
        assert configured.body["rate_units"] == ["W", "A"]
        assert (configured.body["serial"], configured.body["version"]) == ("S-1", "1.2")
    assert store.settings["AlignedDataCtrlr.Interval"] == "900"
    assert store.settings["SampledDataCtrlr.TxEndedMeasurands"] == ENERGY
    assert "SampledDataCtrlr.TxUpdatedInterval" not in {told["key"] for told in store.said("SetVariables")}


@BOTH
async def test_a_session_comes_to_the_difference_of_its_begin_and_end(clock: Clock, version: str) -> None:
    async with Bench(clock) as bench, station(bench.url, version=version) as pile:
        await tell(
            pile,
            "Started",
            0,
            T0_MS,
            energy_2(T0_MS, 500_000, context="Transaction.Begin"),
            id_token={"id_token": "TAG-1", "type": "ISO14443"},
        )
        clock.forward(900)
        await tell(pile, "Updated", 1, clock(), energy_2(clock(), 502_500), charging_state="Charging")
        clock.forward(900)
        await tell(
            pile,
            "Ended",
            2,
            clock(),
            energy_2(clock(), 505_250, context="Transaction.End"),
            stopped_reason="EVDisconnected",
        )
        ended = await bench.event("transaction", phase="ended")
    assert (ended.body["energy_kwh"], ended.body["baseline"], ended.body["quality"]) == ("5.25", "meter_start", "good")
    assert (ended.body["id_tag"], ended.body["reason"], ended.body["duration_s"]) == ("TAG-1", "EVDisconnected", 1800)
    assert bench.values("operating_state") == [(T0_MS + 900_000, 3)]
    assert bench.values("energy_import_kwh")[0] == (T0_MS, 500.0)


async def test_events_that_come_twice_or_in_the_wrong_order_count_once(clock: Clock) -> None:
    clock.forward(3600)
    async with Bench(clock) as bench, station(bench.url, version="ocpp2.0.1") as pile:
        sample = energy_2(T0_MS + 60_000, 500_100)
        await tell(pile, "Updated", 1, T0_MS + 60_000, sample, offline=True)
        await tell(pile, "Updated", 1, T0_MS + 60_000, sample, offline=True)
        begin = energy_2(T0_MS, 500_000, context="Transaction.Begin")
        await tell(pile, "Started", 0, T0_MS, begin, offline=True)
        stop = energy_2(T0_MS + 120_000, 500_400, context="Transaction.End")
        for _ in range(2):
            await tell(pile, "Ended", 2, T0_MS + 120_000, stop, offline=True)
        ended = await bench.event("transaction", phase="ended")
    assert len(bench.told("transaction", phase="ended")) == 1
    assert bench.values("energy_import_kwh") == [(T0_MS + 60_000, 500.1), (T0_MS, 500.0), (T0_MS + 120_000, 500.4)]
    assert ended.body["energy_kwh"] == "0.4"
    assert (ended.body["baseline"], ended.body["quality"]) == ("meter_start", "good")


async def test_a_transaction_goes_on_through_a_restart_of_the_agent(clock: Clock, tmp_path: Path) -> None:
    begin = energy_2(T0_MS, 500_000, context="Transaction.Begin")
    async with Bench(clock, tmp_path) as bench, station(bench.url, version="ocpp2.0.1") as pile:
        await tell(pile, "Started", 0, T0_MS, begin)
    clock.forward(600)
    async with Bench(clock, tmp_path) as bench, station(bench.url, version="ocpp2.0.1") as pile:
        await tell(pile, "Started", 0, T0_MS, begin)
        await tell(pile, "Ended", 1, clock(), energy_2(clock(), 501_000, context="Transaction.End"))
        ended = await bench.event("transaction", phase="ended")
    assert (ended.body["energy_kwh"], ended.body["baseline"], ended.body["quality"]) == ("1", "meter_start", "good")


@BOTH
async def test_a_meter_that_counts_finer_than_1_wh_keeps_its_digits(clock: Clock, version: str) -> None:
    async with Bench(clock) as bench, station(bench.url, version=version) as pile:
        await tell(pile, "Started", 0, T0_MS, energy_2(T0_MS, 500_000.5, context="Transaction.Begin"))
        clock.forward(600)
        await tell(pile, "Ended", 1, clock(), energy_2(clock(), 501_000, context="Transaction.End"))
        ended = await bench.event("transaction", phase="ended")
    assert (ended.body["meter_start_wh"], ended.body["meter_stop_wh"]) == ("500000.5", 501_000)
    assert ended.body["energy_kwh"] == "0.9995"


@BOTH
async def test_a_signed_value_is_passed_through_untouched(clock: Clock, version: str) -> None:
    signed = {"signed_meter_data": "AAEC/w==", "signing_method": "", "encoding_method": "OCMF", "public_key": "S0VZ"}
    value = energy_2(T0_MS, 500_000, context="Transaction.Begin", signedMeterValue=signed)
    async with Bench(clock) as bench, station(bench.url, version=version) as pile:
        await tell(pile, "Started", 0, T0_MS, value)
        kept = await bench.event("signed_meter_value")
    assert kept.body["text"] == "AAEC/w=="
    assert (kept.body["encoding_method"], kept.body["public_key"], kept.body["transaction_id"]) == (
        "OCMF",
        "S0VZ",
        "tx-1",
    )


@BOTH
async def test_every_action_that_a_pile_may_send_gets_the_answer_that_its_schema_describes(
    clock: Clock, version: str
) -> None:
    """The package `ocpp` checks each answer against the schema when it arrives."""
    when = stamp(T0_MS)
    event = {
        "event_id": 1,
        "timestamp": when,
        "trigger": "Alerting",
        "actual_value": "1",
        "component": {"name": "Connector"},
        "variable": {"name": "Problem"},
        "event_notification_type": "CustomMonitor",
    }
    needs = {
        "requested_energy_transfer": "DC",
        "dc_charging_parameters": {"ev_max_current": 100, "ev_max_voltage": 900},
    }
    told: list[tuple[str, dict[str, Any]]] = [
        ("Heartbeat", {}),
        ("Authorize", {"id_token": {"id_token": "T", "type": "ISO14443"}}),
        ("DataTransfer", {"vendor_id": "x"}),
        ("FirmwareStatusNotification", {"status": "Installed"}),
        ("LogStatusNotification", {"status": "Uploaded"}),
        ("MeterValues", {"evse_id": 1, "meter_value": [{"timestamp": when, "sampled_value": [{"value": 5}]}]}),
        ("NotifyEvent", {"generated_at": when, "seq_no": 0, "event_data": [event]}),
        ("NotifyEVChargingNeeds", {"evse_id": 1, "charging_needs": needs}),
        ("NotifyReport", {"request_id": 9, "generated_at": when, "seq_no": 0}),
        ("SecurityEventNotification", {"type": "FirmwareUpdated", "timestamp": when}),
        ("NotifyChargingLimit", {"charging_limit": {"charging_limit_source": "EMS"}}),
        ("ClearedChargingLimit", {"charging_limit_source": "EMS"}),
    ]
    async with Bench(clock) as bench, station(bench.url, version=version) as pile:
        for action, payload in told:
            assert await call(pile, action, **payload) is not None, action
        needed = await bench.event("ev_charging_needs")
    assert needed.body["request"]["chargingNeeds"]["dcChargingParameters"]["evMaxCurrent"] == 100  # type: ignore[index,call-overload]


async def test_an_action_of_21_is_answered_in_21_and_unknown_in_201(clock: Clock) -> None:
    async with Bench(clock) as bench:
        async with raw(bench.url, version="ocpp2.1") as pile:
            answer = await pile.ask("PullDynamicScheduleUpdate", {"chargingProfileId": 5})
            assert answer[2] == {"status": "Rejected"}
            assert (
                await pile.ask("NotifyDERStartStop", {"controlId": "c", "started": True, "timestamp": stamp(T0_MS)})
            )[0] == 3
            assert (await pile.ask("VatNumberValidation", {"vatNumber": "1"}))[2] == "NotSupported"
        async with raw(bench.url, version="ocpp2.0.1") as pile:
            assert (await pile.ask("PullDynamicScheduleUpdate", {"chargingProfileId": 5}))[2] == "NotSupported"
            assert (await pile.ask("Reset", {"type": "Immediate"}))[2] == "NotImplemented"


async def test_what_is_no_message_is_answered_to_nobody_in_2x(clock: Clock) -> None:
    async with Bench(clock) as bench, raw(bench.url, version="ocpp2.0.1") as pile:
        await pile.socket.send('[2,"half","Heartbeat"')
        assert (await pile.answer("-1"))[2] == "FormatViolation"
        assert (await pile.ask("Heartbeat", {}))[0] == 3


async def test_a_vehicle_that_can_give_back_is_offered_to(clock: Clock) -> None:
    device = {**DEVICE, "model": "ocpp_v2g_pile", "rated_power_kw": 50.0}
    async with Bench(clock, devices=[device]) as bench, station(bench.url, version="ocpp2.1") as pile:
        authorized = await call(pile, "Authorize", id_token={"id_token": "T", "type": "ISO14443"})
        parameters = {"max_charge_power": 50000, "max_discharge_power": 30000, "ev_min_v2x_energy_request": 10000}
        needs = {
            "requested_energy_transfer": "DC_BPT",
            "v2x_charging_parameters": parameters,
            "control_mode": "DynamicControl",
        }
        await call(pile, "NotifyEVChargingNeeds", evse_id=1, charging_needs=needs)
        needed = await bench.event("ev_charging_needs")
    assert authorized.allowed_energy_transfer == ["DC", "DC_BPT"]
    assert needed.body["request"]["chargingNeeds"]["v2xChargingParameters"]["maxDischargePower"] == 30000  # type: ignore[index,call-overload]


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
async def test_a_pile_can_be_told_what_to_do_in_each_version(clock: Clock, version: str) -> None:
    store = Store()
    async with Bench(clock) as bench, station(bench.url, version=version, store=store):
        await bench.event("pile_configured")
        pile = bench.driver.pile("CP-1")
        answers = [
            await commands.remote_start(pile, 1, "TAG-1"),
            await commands.remote_stop(pile, "5"),
            await commands.unlock(pile, 1),
            await commands.reset(pile, hard=True),
            await commands.change_availability(pile, 0, operative=False),
            await commands.update_firmware(pile, "https://example.com/fw", T0_MS),
            await commands.diagnostics(pile, "https://example.com/logs"),
            await commands.trigger(pile, "MeterValues", 1),
        ]
    assert [answer.get("status") for answer in answers if answer.get("status") not in (None, "Accepted")] == [
        "Unlocked"
    ]


async def test_the_whole_inventory_of_a_pile_can_be_had(clock: Clock) -> None:
    import asyncio

    part = {"component": {"name": "EVSE"}, "variable": {"name": "Power"}, "variable_attribute": [{"value": "22000"}]}
    store = Store()
    async with Bench(clock) as bench, station(bench.url, version="ocpp2.0.1", store=store) as pile:
        await bench.event("pile_configured")
        asking = asyncio.create_task(commands.inventory(bench.driver.pile("CP-1"), 5))
        await bench.until(lambda: store.said("GetBaseReport"))
        number = store.said("GetBaseReport")[0]["request_id"]
        for index, more in enumerate((True, True, False)):
            await call(
                pile,
                "NotifyReport",
                request_id=number,
                generated_at=stamp(T0_MS),
                seq_no=index,
                tbc=more,
                report_data=[part],
            )
        assert len(await asking) == 3
