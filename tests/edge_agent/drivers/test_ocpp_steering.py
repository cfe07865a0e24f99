"""Limits and set-points as charging profiles: units, rounding, life, budget, pauses, and what a pile has when nobody speaks to it."""

from pathlib import Path
from typing import Any

import pytest
from ocpp_bench import DEVICE, Bench
from ocpp_station import T0_MS, Clock, Store, call, stamp, station

from edge_agent import meter
from edge_agent.drivers.driver import Controllable, DeviceRefused, DeviceUnreachable, Written

NO_CHANGE = "unchanged, the pile has it"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def able(unit: str = "Power", level: str = "8") -> Store:
    """A pile that says what it can do."""
    store = Store()
    store.settings = {
        "SupportedFeatureProfiles": "Core,SmartCharging",
        "ChargingScheduleAllowedChargingRateUnit": unit,
        "ChargeProfileMaxStackLevel": level,
    }
    return store


async def ready(bench: Bench, pile: Any, clock: Clock, begin: bool = True) -> int:
    """Boots the pile and begins a transaction."""
    await call(pile, "BootNotification", charge_point_vendor="Maker", charge_point_model="Model 1")
    await bench.event("pile_configured")
    if not begin:
        return 0
    started = await call(
        pile, "StartTransaction", connector_id=1, id_tag="T", meter_start=1000, timestamp=stamp(clock())
    )
    return int(started.transaction_id)


async def write(bench: Bench, point: str, value: float | None, hold_s: float = 3600, device: str = "cp1") -> Written:
    return await bench.driver.write(bench.plans[device], point, value, hold_s)


def limit(profile: dict[str, Any]) -> float:
    return float(profile["charging_schedule"]["charging_schedule_period"][0]["limit"])


async def test_a_limit_is_a_profile_of_the_transaction_and_is_read_back(clock: Clock) -> None:
    store = able()
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        number = await ready(bench, pile, clock)
        written = await write(bench, "charging_limit_kw", 11.0)
        assert isinstance(bench.driver, Controllable)
    (profile,) = store.said("SetChargingProfile")
    assert written == Written(True, None, 11.0, "")
    schedule = profile["charging_schedule"]
    assert (profile["charging_profile_purpose"], profile["transaction_id"], profile["stack_level"]) == (
        "TxProfile",
        number,
        8,
    )
    assert (schedule["charging_rate_unit"], schedule["duration"], limit(profile)) == ("W", 900, 11000)
    assert (schedule["start_schedule"], profile["charging_profile_kind"]) == (stamp(T0_MS), "Absolute")


@pytest.mark.parametrize(
    ("unit", "kw", "expected"),
    [
        ("Power", 5.00055, 5000.5),  # down to the step of 0.1, which the schema demands
        ("Power", 11.03999, 11039.9),
        ("Current", 11.0, 15.9),  # 11,000 W / (3 x 230 V) = 15.94 A
        ("Current", 22.1, 32.0),  # 32.03 A
        ("Current,Power", 7.0, 7000.0),
        ("W", 7.0, 7000.0),  # not a word of the standard, but of piles
        ("Current", 4.14, 6.0),  # 6 A x 3 x 230 V = 4.14 kW
        ("Current", 4.1, 0.0),  # below what a pilot signal can say: off
        ("Power", 0.0, 0.0),
    ],
)
async def test_a_limit_is_rounded_down_in_the_unit_that_the_pile_takes(
    clock: Clock, unit: str, kw: float, expected: float
) -> None:
    store = able(unit)
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        written = await write(bench, "charging_limit_kw", kw)
    (profile,) = store.said("SetChargingProfile")
    assert limit(profile) == expected
    assert written.delivered
    assert written.after is not None
    assert written.after <= kw


async def test_a_limit_in_amperes_is_one_in_each_phase(clock: Clock) -> None:
    store = able("Current")
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        written = await write(bench, "charging_limit_a", 10.0)
    (profile,) = store.said("SetChargingProfile")
    assert (limit(profile), written.after) == (10.0, 10.0)
    assert profile["charging_schedule"]["charging_schedule_period"][0]["number_phases"] == 3


async def test_the_same_limit_again_is_not_written_again(clock: Clock) -> None:
    store = able("Current")
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        await write(bench, "charging_limit_a", 10.0)
        within = await write(bench, "charging_limit_a", 10.4)
        assert within.note == NO_CHANGE
        assert within.after == 10.0, "what the pile has, not what was asked"
        await write(bench, "charging_limit_a", 10.6)
    assert [limit(profile) for profile in store.said("SetChargingProfile")] == [10.0, 10.6]


async def test_a_profile_is_written_again_at_two_thirds_of_its_life_and_not_before(clock: Clock) -> None:
    store = able()
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        await write(bench, "charging_limit_kw", 11.0, 7200)
        clock.forward(599)
        await bench.driver.pile("CP-1").steer()
        assert len(store.said("SetChargingProfile")) == 1
        clock.forward(1)
        await bench.driver.pile("CP-1").steer()
    first, second = store.said("SetChargingProfile")
    assert second["charging_schedule"]["start_schedule"] == stamp(T0_MS + 600_000)
    assert first["charging_profile_id"] == second["charging_profile_id"], "in its place, not beside it"


async def test_a_short_hold_is_the_piles_own_timer(clock: Clock) -> None:
    store = able()
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        await write(bench, "charging_limit_kw", 11.0, 120)
        assert store.said("SetChargingProfile")[0]["charging_schedule"]["duration"] == 120
        clock.forward(121)
        await bench.driver.pile("CP-1").steer()
    assert len(store.said("SetChargingProfile")) == 1, "its time is over: it is not renewed"


async def test_releasing_clears_our_profile_and_no_other(clock: Clock) -> None:
    store = able()
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        await write(bench, "charging_limit_kw", 11.0)
        released = await write(bench, "charging_limit_kw", None)
        again = await write(bench, "charging_limit_kw", None)
    (profile,) = store.said("SetChargingProfile")
    assert store.said("ClearChargingProfile") == [{"id": profile["charging_profile_id"]}]
    assert (released.before, released.note, again.note) == (11.0, "released", "nothing of ours is in the pile")


async def test_a_pile_that_offers_more_than_the_limit_does_not_deliver(clock: Clock) -> None:
    store = able()
    store.composite = {
        "charging_rate_unit": "W",
        "charging_schedule_period": [{"start_period": 0, "limit": 22000.0}],
    }
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        written = await write(bench, "charging_limit_kw", 11.0)
    assert (written.delivered, written.after) == (False, 22.0)
    assert "offers 22000" in written.note


async def test_a_pile_that_refuses_a_profile_is_an_error(clock: Clock) -> None:
    store = able()
    store.profile_status = "Rejected"
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        with pytest.raises(DeviceRefused, match="does not take the profile"):
            await write(bench, "charging_limit_kw", 11.0)


async def test_without_smart_charging_nothing_can_be_written(clock: Clock) -> None:
    store = Store()
    store.settings = {"SupportedFeatureProfiles": "Core"}
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        with pytest.raises(DeviceRefused, match="no smart charging"):
            await write(bench, "charging_limit_kw", 11.0)


async def test_what_is_no_point_or_no_limit_is_refused(clock: Clock) -> None:
    async with Bench(clock) as bench:
        with pytest.raises(DeviceRefused, match="expected a point of its model"):
            await write(bench, "active_power_setpoint_kw", 5.0)
        with pytest.raises(DeviceRefused, match="expected 0 or more"):
            await write(bench, "charging_limit_kw", -5.0)
        with pytest.raises(DeviceUnreachable, match="not connected"):
            await write(bench, "charging_limit_kw", 5.0)


async def test_a_limit_before_the_transaction_is_written_when_it_begins(clock: Clock) -> None:
    store = able()
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock, begin=False)
        written = await write(bench, "charging_limit_kw", 7.4)
        assert written.delivered
        assert "no transaction" in written.note
        assert store.said("SetChargingProfile") == []
        started = await call(
            pile, "StartTransaction", connector_id=1, id_tag="T", meter_start=0, timestamp=stamp(clock())
        )
        await bench.until(lambda: store.said("SetChargingProfile"))
    assert store.said("SetChargingProfile")[0]["transaction_id"] == started.transaction_id


async def test_the_safe_limit_is_put_into_a_pile_once(clock: Clock, tmp_path: Path) -> None:
    store = able("Current")
    devices = [{**DEVICE, "safe_current_a": 8.0}]
    for _ in range(2):
        async with Bench(clock, tmp_path, devices) as bench, station(bench.url, store=store) as pile:
            await ready(bench, pile, clock, begin=False)
            await call(pile, "BootNotification", charge_point_vendor="Maker", charge_point_model="Model 1")
            await bench.until(lambda: len(bench.told("pile_configured")) == 2)
    (profile,) = store.said("SetChargingProfile")
    assert (profile["charging_profile_purpose"], profile["stack_level"], limit(profile)) == ("TxDefaultProfile", 0, 8.0)
    assert "duration" not in profile["charging_schedule"], "for good"


async def test_a_branch_share_is_a_profile_of_the_whole_pile(clock: Clock) -> None:
    store = able()
    whole = {**DEVICE, "name": "cp1_all", "connector": 0, "safe_power_kw": 5.0}
    async with Bench(clock, devices=[DEVICE, whole]) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock, begin=False)
        written = await write(bench, "charging_limit_kw", 15.0, device="cp1_all")
    safe, now = store.said("SetChargingProfile")
    for profile, level, watts in ((safe, 0, 5000), (now, 1, 15000)):
        assert (profile["connector_id"], profile["charging_profile_purpose"]) == (0, "ChargePointMaxProfile")
        assert (profile["stack_level"], limit(profile)) == (level, watts)
    assert written.after == 15.0
    assert ("duration" in safe["charging_schedule"], now["charging_schedule"]["duration"]) == (False, 900)


async def test_the_write_budget_of_a_day_holds_and_is_said_once(clock: Clock, tmp_path: Path) -> None:
    store = able()
    devices = [{**DEVICE, "writes_per_day": 10}]
    async with Bench(clock, tmp_path, devices) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        for kw in range(5, 14):  # nine writes: the tenth is kept for one that lowers
            await write(bench, "charging_limit_kw", float(kw))
        for _ in range(2):
            with pytest.raises(DeviceRefused, match="9 of 10 writes are used up today"):
                await write(bench, "charging_limit_kw", 20.0)
        assert (await write(bench, "charging_limit_kw", 6.0)).after == 6.0
        with pytest.raises(DeviceRefused, match="10 of 10"):
            await write(bench, "charging_limit_kw", 5.0)
        alarm = await bench.event("alarm")
        assert bench.values("profile_writes")[-1][1] == 10
    assert (alarm.body["code"], alarm.body["per_day"]) == ("profile_write_budget", 10)
    assert len(bench.told("alarm")) == 1
    async with Bench(clock, tmp_path, devices) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        with pytest.raises(DeviceRefused, match="10 of 10"):
            await write(bench, "charging_limit_kw", 5.0)
        clock.forward(86_400)
        assert (await write(bench, "charging_limit_kw", 5.0)).delivered


async def test_profiles_that_wear_nothing_have_no_budget(clock: Clock, tmp_path: Path) -> None:
    model = tmp_path / "ram.toml"
    text = (meter.DIRECTORY / "ocpp_ac_pile.toml").read_text()
    model.write_text(text.replace("phases = 3", "phases = 3\nram_profiles = true", 1))
    store = able()
    devices = [{**DEVICE, "model": str(model), "writes_per_day": 1}]
    async with Bench(clock, devices=devices) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        for kw in (5.0, 8.0, 11.0):
            assert (await write(bench, "charging_limit_kw", kw)).delivered
    assert bench.values("profile_writes")[-1][1] == 0


async def test_a_pause_lasts_five_minutes_at_least(clock: Clock) -> None:
    store = able("Current")
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        await write(bench, "charging_limit_a", 16.0)
        await write(bench, "charging_limit_a", 0.0)
        clock.forward(100)
        held = await write(bench, "charging_limit_a", 16.0)
        assert (held.delivered, held.after, held.note) == (False, 0.0, "paused, for 200 s more")
        clock.forward(200)
        await bench.driver.pile("CP-1").steer()
    assert [limit(profile) for profile in store.said("SetChargingProfile")] == [16.0, 0.0, 16.0]


async def test_a_session_that_begins_with_nothing_offered_has_not_been_interrupted(clock: Clock) -> None:
    store = able("Current")
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock, begin=False)
        await write(bench, "charging_limit_a", 0.0)
        await call(pile, "StartTransaction", connector_id=1, id_tag="T", meter_start=2000, timestamp=stamp(clock()))
        await bench.until(lambda: [limit(profile) for profile in store.said("SetChargingProfile")] == [0.0])
        assert (
            await write(bench, "charging_limit_a", 16.0)
        ).delivered  # the vehicle has just come: nothing to wait for
        await write(bench, "charging_limit_a", 0.0)
        assert not (await write(bench, "charging_limit_a", 16.0)).delivered


async def test_after_six_pauses_a_vehicle_is_not_woken_again(clock: Clock) -> None:
    store = able("Current")
    devices = [{**DEVICE, "writes_per_day": 1000}]
    async with Bench(clock, devices=devices) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        for pause in range(7):
            assert (await write(bench, "charging_limit_a", 0.0)).after == 0.0
            clock.forward(300)
            on = await write(bench, "charging_limit_a", 16.0)
            assert on.delivered == (pause < 6), "a limit is always kept to; waking is what ends"
        assert on.note == "6 pauses of this session are used up"
        clock.forward(60)
        await call(pile, "StartTransaction", connector_id=1, id_tag="T", meter_start=2000, timestamp=stamp(clock()))
        await bench.until(lambda: limit(store.said("SetChargingProfile")[-1]) == 16.0)


async def test_a_pile_that_booted_is_told_again(clock: Clock) -> None:
    store = able()
    async with Bench(clock) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        await write(bench, "charging_limit_kw", 11.0)
        await call(pile, "BootNotification", charge_point_vendor="Maker", charge_point_model="Model 1")
        await bench.until(lambda: len(store.said("SetChargingProfile")) == 2)


async def test_quirks_of_a_model_decide_over_what_is_usual(clock: Clock) -> None:
    store = able(level="5")
    devices = [{**DEVICE, "model": "ocpp_wallbox_pulsar"}]
    async with Bench(clock, devices=devices) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        await write(bench, "charging_limit_kw", 3.68)
    (profile,) = store.said("SetChargingProfile")
    assert profile["charging_profile_kind"] == "Relative"
    assert "start_schedule" not in profile["charging_schedule"]
    assert (profile["valid_from"], profile["valid_to"]) == (stamp(T0_MS), stamp(T0_MS + 900_000))


async def test_a_model_that_takes_one_level_gets_that_one(clock: Clock) -> None:
    store = able("Current", level="5")
    devices = [{**DEVICE, "model": "ocpp_abb_terra_ac"}]
    async with Bench(clock, devices=devices) as bench, station(bench.url, store=store) as pile:
        await ready(bench, pile, clock)
        await write(bench, "charging_limit_a", 10.0)
    assert store.said("SetChargingProfile")[0]["stack_level"] == 0


# ---- 2.0.1 and 2.1


V2G = {**DEVICE, "model": "ocpp_v2g_pile", "rated_power_kw": 50.0}


async def ready_2(bench: Bench, pile: Any, clock: Clock) -> None:
    station_facts = {"vendor_name": "Maker", "model": "Model 2"}
    await call(pile, "BootNotification", charging_station=station_facts, reason="PowerUp")
    await bench.event("pile_configured")
    await call(
        pile,
        "TransactionEvent",
        event_type="Started",
        timestamp=stamp(clock()),
        trigger_reason="Authorized",
        seq_no=0,
        transaction_info={"transaction_id": "tx-1"},
        evse={"id": 1},
    )


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
async def test_a_limit_in_2x(clock: Clock, version: str) -> None:
    store = Store()
    store.settings = {"SmartChargingCtrlr.RateUnit": "A,W", "SmartChargingCtrlr.ProfileStackLevel": "3"}
    async with Bench(clock) as bench, station(bench.url, version=version, store=store) as pile:
        await ready_2(bench, pile, clock)
        written = await write(bench, "charging_limit_kw", 11.0)
        released = await write(bench, "charging_limit_kw", None)
    (profile,) = store.said("SetChargingProfile")
    (schedule,) = profile["charging_schedule"]
    assert (profile["transaction_id"], profile["stack_level"], profile["evse_id"]) == ("tx-1", 3, 1)
    assert (schedule["charging_rate_unit"], schedule["charging_schedule_period"]) == (
        "W",
        [{"start_period": 0, "limit": 11000}],
    )
    assert (written.after, released.note) == (11.0, "released")


async def test_a_set_point_of_21_is_a_dynamic_profile_that_is_updated_without_wear(clock: Clock) -> None:
    store = Store()
    devices = [{**V2G, "writes_per_day": 1}]
    async with Bench(clock, devices=devices) as bench, station(bench.url, version="ocpp2.1", store=store) as pile:
        await ready_2(bench, pile, clock)
        first = await write(bench, "active_power_setpoint_kw", -5.00055)
        second = await write(bench, "active_power_setpoint_kw", 7.0)
        assert bench.values("profile_writes")[-1][1] == 0
    (profile,) = store.said("SetChargingProfile")
    (period,) = profile["charging_schedule"][0]["charging_schedule_period"]
    assert profile["charging_profile_kind"] == "Dynamic"
    assert (period["operation_mode"], period["setpoint"], period["limit"]) == ("CentralSetpoint", -5000.5, 50000)
    assert (profile["max_offline_duration"], profile["invalid_after_offline_duration"]) == (60, True)
    (update,) = store.said("UpdateDynamicSchedule")
    assert update["schedule_update"] == {"limit": 50000, "setpoint": 7000}
    assert (first.after, second.after) == (-5.0005, 7.0)


async def test_a_vehicle_may_give_back_before_it_is_asked_to(clock: Clock) -> None:
    """Not every session was authorised here, where the answer allows it: chapter Q lets a running one be told."""
    store = Store()
    async with Bench(clock, devices=[V2G]) as bench, station(bench.url, version="ocpp2.1", store=store) as pile:
        await ready_2(bench, pile, clock)
        await write(bench, "active_power_setpoint_kw", -5.0)
        await write(bench, "active_power_setpoint_kw", -6.0)
    (allowed,) = store.said("NotifyAllowedEnergyTransfer")
    assert allowed == {"transaction_id": "tx-1", "allowed_energy_transfer": ["DC", "DC_BPT"]}
    actions = [action for action, _ in store.asked]
    assert actions.index("NotifyAllowedEnergyTransfer") < actions.index("SetChargingProfile")


async def test_a_discharge_limit_bounds_the_set_point(clock: Clock) -> None:
    store = Store()
    async with Bench(clock, devices=[V2G]) as bench, station(bench.url, version="ocpp2.1", store=store) as pile:
        await ready_2(bench, pile, clock)
        await write(bench, "discharging_limit_kw", 3.0)
        assert store.said("SetChargingProfile") == [], "nothing asks the vehicle to give back"
        written = await write(bench, "active_power_setpoint_kw", -20.0)
    (period,) = store.said("SetChargingProfile")[0]["charging_schedule"][0]["charging_schedule_period"]
    assert (period["setpoint"], period["discharge_limit"]) == (-3000, -3000)
    assert (written.after, written.note) == (-3.0, "set-point held within the limits")


async def test_a_pile_of_201_takes_no_set_point(clock: Clock) -> None:
    async with Bench(clock, devices=[V2G]) as bench, station(bench.url, version="ocpp2.0.1") as pile:
        await ready_2(bench, pile, clock)
        with pytest.raises(DeviceRefused, match=r"set-points need OCPP 2\.1"):
            await write(bench, "active_power_setpoint_kw", -5.0)
