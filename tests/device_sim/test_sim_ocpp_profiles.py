"""Charging profiles: which one counts, for how long, what survives a reboot, and power asked for in both directions."""

from decimal import Decimal
from typing import Any

import pytest
from central_system import CentralSystem, central_system
from pile_park import Park, park

from device_sim.charging_points import Steering
from device_sim.ocpp.charging_profiles import Period, Profile, Profiles, composite, steering

HOUR_MS = 3_600_000
T0 = 1_520_175_600_000  # 2018-03-04T15:00:00Z


def profile(number: int, limit: float, purpose: str = "TxDefaultProfile", level: int = 0, **other: Any) -> Profile:
    periods = (Period(0, Decimal(str(limit))),)
    return Profile(
        number, level, purpose, **{"kind": "Absolute", "unit": "W", "periods": periods, "arrived_ms": T0, **other}
    )


def limit_w(profiles: Profiles, at_ms: int, session_ms: int | None = T0, transaction: str | None = "t") -> float | None:
    in_force, _ = profiles.in_force(at_ms, session_ms, transaction)
    charge = steering(in_force, 3).charge_mw
    return None if charge is None else charge / 1000


def installed(*several: Profile) -> Profiles:
    profiles = Profiles(10)
    for one in several:
        assert profiles.install(one)
    return profiles


def test_the_highest_stack_level_counts_and_the_next_when_it_has_ended() -> None:
    # OCPP 1.6 3.13.2: among profiles of a purpose the highest stack level that is valid now.
    profiles = installed(profile(1, 9000), profile(2, 7000, level=1, start_ms=T0, duration_s=600))
    assert limit_w(profiles, T0 + 599_999) == 7000
    assert limit_w(profiles, T0 + 600_000) == 9000


def test_a_transactions_own_profile_replaces_the_default_and_the_stations_maximum_bounds_both() -> None:
    profiles = installed(
        profile(1, 5000), profile(2, 8000, "TxProfile"), profile(3, 6000, "ChargingStationMaxProfile", connector=0)
    )
    assert limit_w(profiles, T0) == 6000
    assert profiles.clear(purpose="ChargingStationMaxProfile") == 1
    assert limit_w(profiles, T0) == 8000  # not 5000: the default no longer counts
    profiles.end_transaction()
    assert limit_w(profiles, T0) == 5000


def test_a_profile_of_another_transaction_does_not_count() -> None:
    profiles = installed(profile(1, 5000), profile(2, 8000, "TxProfile", transaction="other"))
    assert limit_w(profiles, T0) == 5000


def test_a_connectors_default_counts_before_the_stations_default() -> None:
    profiles = installed(profile(1, 5000, connector=0, level=3), profile(2, 8000, connector=1))
    assert limit_w(profiles, T0) == 8000


def test_validity_begins_and_ends_to_the_millisecond() -> None:
    profiles = installed(profile(1, 5000, valid_from_ms=T0 + 10, valid_to_ms=T0 + 20))
    assert [limit_w(profiles, T0 + at) for at in (9, 10, 19, 20)] == [None, 5000, 5000, None]
    assert profiles.in_force(T0, T0, "t")[1] == T0 + 10
    assert profiles.in_force(T0 + 10, T0, "t")[1] == T0 + 20


def test_a_relative_schedule_counts_from_the_transactions_begin() -> None:
    periods = (Period(0, Decimal(9000)), Period(60, Decimal(4000)))
    profiles = installed(profile(1, 0, kind="Relative", periods=periods))
    assert limit_w(profiles, T0 + HOUR_MS, None) is None
    assert limit_w(profiles, T0 + HOUR_MS + 59_999, T0 + HOUR_MS) == 9000
    assert limit_w(profiles, T0 + HOUR_MS + 60_000, T0 + HOUR_MS) == 4000


@pytest.mark.parametrize(("recurrency", "days"), [("Daily", 1), ("Weekly", 7)])
def test_a_recurring_schedule_begins_again(recurrency: str, days: int) -> None:
    periods = (Period(0, Decimal(3000)), Period(7200, Decimal(11_000)))
    profiles = installed(profile(1, 0, kind="Recurring", recurrency=recurrency, start_ms=T0, periods=periods))
    later = T0 + 5 * days * 24 * HOUR_MS
    assert limit_w(profiles, later + 7_199_999) == 3000
    assert limit_w(profiles, later + 7_200_000) == 11_000
    assert limit_w(profiles, T0 - 1) in (None, 11_000)


def test_amperes_count_per_phase() -> None:
    # 16 A x 230 V x 3 = 11,040 W; on one phase 3,680 W.
    in_amperes = Period(0, Decimal(16))
    assert steering([(profile(1, 0, unit="A"), in_amperes)], 3) == Steering(11_040_000)
    assert steering([(profile(1, 0, unit="A"), in_amperes)], 1) == Steering(3_680_000, phases=1)
    one_phase = Period(0, Decimal(16), phases=1)
    assert steering([(profile(1, 0, unit="A"), one_phase)], 3) == Steering(3_680_000, phases=1)


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        (Period(0, mode="Idle"), Steering(0)),
        (Period(0, Decimal(7000), mode="ChargingOnly", set_point=Decimal(-5000)), Steering(7_000_000)),
        (Period(0, set_point=Decimal(-5000), mode="CentralSetpoint"), Steering(None, 5_000_000, -5_000_000)),
        (
            Period(0, Decimal(7000), None, Decimal(-3000), Decimal(-5000), "CentralSetpoint"),
            Steering(7_000_000, 3_000_000, -5_000_000),
        ),
        (Period(0, Decimal(7000), None, Decimal(-3000), None, "ExternalLimits"), Steering(7_000_000, 3_000_000)),
        (Period(0, Decimal(0)), Steering(0)),  # a limit of 0 is a pause, never a discharge
    ],
)
def test_operation_modes_of_2_1(period: Period, expected: Steering) -> None:
    assert steering([(profile(1, 0, "TxProfile"), period)], 3) == expected


def test_the_composite_schedule_shows_every_change() -> None:
    profiles = installed(
        profile(1, 5000),
        profile(2, 7000, level=1, start_ms=T0 + 600_000, duration_s=600),
        profile(3, 6000, "ChargingStationMaxProfile", connector=0),
    )
    assert composite(profiles, T0, 3600, T0, "t", 22_000_000, 3) == [
        (0, 5_000_000, 3),
        (600, 6_000_000, 3),
        (1200, 5_000_000, 3),
    ]


def test_writes_to_flash_are_counted_and_none_for_profiles_in_ram() -> None:
    for in_ram, writes in ((False, 3), (True, 0)):
        profiles = Profiles(2, in_ram)
        assert profiles.install(profile(1, 5000))
        assert profiles.install(profile(1, 6000))
        assert profiles.clear(1) == 1
        assert profiles.clear(1) == 0
        assert profiles.flash_writes == writes


def test_no_more_profiles_than_there_is_room_for() -> None:
    profiles = Profiles(2)
    assert [profiles.install(profile(number, 1, level=number)) for number in range(3)] == [True, True, False]
    assert profiles.install(profile(9, 1, level=1))  # in place of the one with its level


def wanted(
    version: str, limit: float, purpose: str = "TxDefaultProfile", unit: str = "W", **other: Any
) -> dict[str, Any]:
    """The payload of SetChargingProfile."""
    schedule = {"chargingRateUnit": unit, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    told = {"stackLevel": 0, "chargingProfileKind": "Absolute", "chargingProfilePurpose": purpose, **other}
    if version == "1.6":
        return {"connectorId": 1, "csChargingProfiles": {"chargingProfileId": 5, **told, "chargingSchedule": schedule}}
    return {"evseId": 1, "chargingProfile": {"id": 5, **told, "chargingSchedule": [{"id": 1, **schedule}]}}


async def status(system: CentralSystem, action: str, payload: dict[str, Any]) -> str:
    answer = await system.call("P", action, payload)
    return str(answer[2]["status"] if answer[0] == 3 else answer[2])


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_a_profile_limits_the_power_after_the_piles_own_delay_and_survives_a_reboot(
    run_site: Any, version: str
) -> None:
    pile = {"name": "P", "version": version, "start": "free", "delay_s": [4, 4]}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(system.url)
        await piles.vehicle("P", need_kwh=50, max_kw=11, stay_s=8 * 3600)
        await piles.charging("P")
        assert await status(system, "SetChargingProfile", wanted(version, 6000)) == "Accepted"
        served.clock.forward(3.999)
        assert (await piles.truth("P"))["power_kw"] == 11
        served.clock.forward(0.001)
        assert (await piles.truth("P"))["power_kw"] == 6
        assert (await served.ask({"device": "P", "fault": "reboot", "for_s": 10}))["ok"]
        await piles.until("P", lambda t: not t["connected"])
        served.clock.forward(20)
        await piles.until("P", lambda t: t["accepted"] and t["boots"] == 1)
        served.clock.forward(10)
        truth = await piles.until("P", lambda t: t["power_kw"] == 6)
        assert (truth["profiles"], truth["flash_writes"]) == (1, 1)
        schedule = {"duration": 60, ("connectorId" if version == "1.6" else "evseId"): 1, "chargingRateUnit": "W"}
        shown = (await system.call("P", "GetCompositeSchedule", schedule))[2]
        periods = (shown["chargingSchedule"] if version == "1.6" else shown["schedule"])["chargingSchedulePeriod"]
        assert periods == [{"startPeriod": 0, "limit": 6000, "numberPhases": 3}]
        assert (
            await status(system, "ClearChargingProfile", {"id": 5} if version == "1.6" else {"chargingProfileId": 5})
            == "Accepted"
        )
        served.clock.forward(4)
        assert (await piles.truth("P"))["power_kw"] == 11


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_what_a_pile_cannot_hold_it_refuses(run_site: Any, version: str) -> None:
    pile = {"name": "P", "version": version, "rate_units": ["A"], "highest_level": 2, "most_periods": 1}
    async with central_system() as system, run_site(park(pile)) as served:
        await Park(served).connect(system.url)
        await Park(served).until("P", lambda t: t["accepted"])
        good = wanted(version, 16, unit="A")
        assert await status(system, "SetChargingProfile", good) == "Accepted"
        for bad in (
            wanted(version, 16, unit="W"),
            wanted(version, 16, unit="A", stackLevel=3),
            wanted(version, 16, "TxProfile", unit="A"),  # no transaction
            wanted(version, 16, unit="A", chargingProfileKind="Recurring"),
            good | ({"connectorId": 2} if version == "1.6" else {"evseId": 2}),
        ):
            assert await status(system, "SetChargingProfile", bad) == "Rejected"
        assert (await Park(served).truth("P"))["flash_writes"] == 1


async def test_a_1_6_limit_with_two_decimals_breaks_the_schema(run_site: Any) -> None:
    async with central_system() as system, run_site(park({"name": "P", "version": "1.6"})) as served:
        await Park(served).connect(system.url)
        await Park(served).until("P", lambda t: t["accepted"])
        assert await status(system, "SetChargingProfile", wanted("1.6", 5000.55)) == "PropertyConstraintViolation"
        assert await status(system, "SetChargingProfile", wanted("1.6", 5000.5)) == "Accepted"


def v2x_profile(mode: str, **numbers: float) -> dict[str, Any]:
    period = {"startPeriod": 0, "operationMode": mode, **numbers}
    schedule = [{"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [period]}]
    told = {"id": 5, "stackLevel": 0, "chargingProfileKind": "Absolute", "chargingProfilePurpose": "TxDefaultProfile"}
    return {"evseId": 1, "chargingProfile": {**told, "chargingSchedule": schedule}}


async def test_a_2_1_vehicle_says_what_it_needs_and_discharges_when_asked(run_site: Any) -> None:
    pile = {
        "name": "P",
        "version": "2.1",
        "v2x": True,
        "sampled": "Energy.Active.Export.Register,Power.Active.Export,SoC",
    }
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(system.url)
        await piles.vehicle("P", need_kwh=30, max_kw=11, stay_s=8 * 3600, max_discharge_kw=8, capacity_kwh=60)
        await piles.charging("P")
        (needs,) = await system.until(lambda: system.calls("P", "NotifyEVChargingNeeds"))
        assert await status(system, "SetChargingProfile", v2x_profile("CentralSetpoint", setpoint=-5000)) == "Accepted"
        served.clock.forward(1)
        truth = await piles.truth("P")
        assert truth["power_kw"] == -5
        served.clock.forward(3600)
        truth = await piles.truth("P")
        assert truth["export_uj"] == 5000 * 3_600_000_000
        served.clock.forward(9)
        updates = [told for told in system.calls("P", "TransactionEvent") if told["eventType"] == "Updated"]
        await piles.leave("P")
        session = await piles.ended("P")
    assert needs["chargingNeeds"]["requestedEnergyTransfer"] == "AC_BPT"
    assert needs["chargingNeeds"]["availableEnergyTransfer"] == ["AC_three_phase", "AC_BPT"]
    parameters = needs["chargingNeeds"]["v2xChargingParameters"]
    # 54 kWh is the target, 30 are missing: 24 stored, floor 12, capacity 60.
    assert parameters == {
        "minChargePower": 0,
        "maxChargePower": 11_000,
        "minDischargePower": 0,
        "maxDischargePower": 8000,
        "evTargetEnergyRequest": 30_000,
        "evMinEnergyRequest": -12_000,
        "evMaxEnergyRequest": 36_000,
        "targetSoC": 90,
    }
    assert session["export_wh"] == 5012  # 3609 s at 5 kW
    values = updates[-1]["meterValue"][0]["sampledValue"]
    assert [value["measurand"] for value in values] == ["Energy.Active.Export.Register", "Power.Active.Export", "SoC"]
    assert values[1]["value"] == 5000


async def test_a_dynamic_schedule_is_updated_and_pulled_without_a_write_to_flash(run_site: Any) -> None:
    async with central_system() as system, run_site(park({"name": "P", "version": "2.1", "v2x": True})) as served:
        piles = Park(served)
        await piles.connect(system.url)
        await piles.vehicle("P", need_kwh=30, max_kw=11, stay_s=8 * 3600, max_discharge_kw=8)
        await piles.charging("P")
        dynamic = v2x_profile("CentralSetpoint", setpoint=9000)
        dynamic["chargingProfile"] |= {"chargingProfileKind": "Dynamic", "dynUpdateInterval": 30}
        assert await status(system, "SetChargingProfile", dynamic) == "Accepted"
        update = {"chargingProfileId": 5, "scheduleUpdate": {"setpoint": -4000}}
        assert await status(system, "UpdateDynamicSchedule", update) == "Accepted"
        assert await status(system, "UpdateDynamicSchedule", update | {"chargingProfileId": 6}) == "Rejected"
        served.clock.forward(1)
        assert (await piles.truth("P"))["power_kw"] == -4
        system.overrides["PullDynamicScheduleUpdate"] = {"status": "Accepted", "scheduleUpdate": {"setpoint": 7000}}
        served.clock.forward(29)
        await system.until(lambda: system.calls("P", "PullDynamicScheduleUpdate"))
        await piles.until("P", lambda t: t["backlog"] == 0)
        served.clock.forward(2)
        truth = await piles.until("P", lambda t: t["power_kw"] == 7)
        assert truth["flash_writes"] == 1


async def test_a_dynamic_profile_that_is_installed_again_is_still_pulled_once_an_interval(run_site: Any) -> None:
    async with central_system() as system, run_site(park({"name": "P", "version": "2.1", "v2x": True})) as served:
        piles = Park(served)
        await piles.connect(system.url)
        await piles.vehicle("P", need_kwh=30, max_kw=11, stay_s=8 * 3600, max_discharge_kw=8)
        await piles.charging("P")
        dynamic = v2x_profile("CentralSetpoint", setpoint=9000)
        dynamic["chargingProfile"] |= {"chargingProfileKind": "Dynamic", "dynUpdateInterval": 30}
        backwards = {**dynamic, "chargingProfile": {**dynamic["chargingProfile"], "dynUpdateInterval": -1}}
        assert await status(system, "SetChargingProfile", backwards) == "Rejected"
        for _ in range(20):
            assert await status(system, "SetChargingProfile", dynamic) == "Accepted"
        for pulls in (1, 2):
            served.clock.forward(30)
            await piles.until("P", lambda t: t["backlog"] == 0)
            assert len(system.calls("P", "PullDynamicScheduleUpdate")) == pulls


async def test_a_pile_without_v2x_refuses_operation_modes(run_site: Any) -> None:
    async with central_system() as system, run_site(park({"name": "P", "version": "2.1"})) as served:
        await Park(served).connect(system.url)
        await Park(served).until("P", lambda t: t["accepted"])
        assert await status(system, "SetChargingProfile", v2x_profile("CentralSetpoint", setpoint=-5000)) == "Rejected"
