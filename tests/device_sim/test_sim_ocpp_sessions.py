"""Sessions of simulated piles: what is sent and when, over outages and reboots, with the quirks of real piles."""

from itertools import pairwise
from typing import Any

import pytest
from central_system import CentralSystem, central_system
from pile_park import Park, park

VERSIONS = ("1.6", "2.0.1", "2.1")


def energies(system: CentralSystem, identity: str) -> list[tuple[str, str, str]]:
    """Context, value and unit of each energy register that came within meter values of any message."""
    found = []
    for frame in system.came[identity]:
        if frame[0] != 2:
            continue
        for meter_value in [*frame[3].get("meterValue", []), *frame[3].get("transactionData", [])]:
            for value in meter_value["sampledValue"]:
                if value["measurand"] == "Energy.Active.Import.Register":
                    unit = value.get("unit") or value.get("unitOfMeasure", {}).get("unit", "-")
                    found.append((value["context"], str(value["value"]), unit))
    return found


def begun(system: CentralSystem, identity: str) -> list[dict[str, Any]]:
    """The messages that open a transaction."""
    events = [told for told in system.calls(identity, "TransactionEvent") if told["eventType"] == "Started"]
    return [*system.calls(identity, "StartTransaction"), *events]


def ended(system: CentralSystem, identity: str) -> list[dict[str, Any]]:
    """The messages that close a transaction."""
    events = [told for told in system.calls(identity, "TransactionEvent") if told["eventType"] == "Ended"]
    return [*system.calls(identity, "StopTransaction"), *events]


def reason(message: dict[str, Any]) -> str:
    return str(message.get("reason") or message["transactionInfo"]["stoppedReason"])


@pytest.mark.parametrize("version", VERSIONS)
async def test_samples_come_at_their_interval_with_the_meters_own_count(run_site: Any, version: str) -> None:
    pile = {"name": "P", "version": version, "sample_s": 60, "aligned_s": 0, "start_import_kwh": 1}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(system.url)
        await piles.vehicle("P", need_kwh=11, max_kw=6, stay_s=200)
        await piles.charging("P")
        served.clock.forward(200)
        await piles.ended("P")
        await system.until(lambda: ended(system, "P"))
        served_log = served.log()
    # 6 kW for 60 s are 100 Wh; the vehicle leaves after 200 s with 333 Wh.
    counted = [int(value) for context, value, _ in energies(system, "P") if context == "Sample.Periodic"]
    assert counted == [1100, 1200, 1300]
    assert [value for context, value, _ in energies(system, "P") if context == "Transaction.End"] == ["1333"]
    logged = [line for line in served_log if line["context"] == "Sample.Periodic"]
    assert [line["import_wh"] for line in logged] == counted
    assert all(after["serial"] > before["serial"] for before, after in pairwise(served_log))


@pytest.mark.parametrize("version", VERSIONS)
async def test_clock_aligned_readings_come_within_and_between_sessions(run_site: Any, version: str) -> None:
    pile = {"name": "P", "version": version, "sample_s": 0, "aligned_s": 900}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(system.url)
        await piles.until("P", lambda t: t["accepted"])
        served.clock.forward(905)
        await system.until(lambda: len(energies(system, "P")) == 1)
        await piles.vehicle("P", need_kwh=50, max_kw=4, stay_s=7200)
        await piles.charging("P")
        served.clock.forward(900)
        await system.until(
            lambda: any(context == "Sample.Clock" and value != "0" for context, value, _ in energies(system, "P"))
        )
    idle = system.calls("P", "MeterValues")[0]
    assert "transactionId" not in idle
    assert idle["meterValue"][0]["timestamp"] == "2018-03-04T15:15:00.000Z"
    # 4 kW from 15:15:05 on: at 15:30:00 that is 895 s, 994 Wh.
    assert [value for context, value, _ in energies(system, "P") if context == "Sample.Clock"] == ["0", "994"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_happens_during_an_outage_is_told_later_with_its_own_time(run_site: Any, version: str) -> None:
    pile = {"name": "P", "version": version, "sample_s": 600}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.vehicle("P", need_kwh=11, max_kw=11, stay_s=1800)
        await piles.until("P", lambda t: t["state"] == "Charging")
        served.clock.forward(1800)
        await piles.until("P", lambda t: t["sessions"] and t["sessions"][-1]["end_ms"])
        served.clock.forward(3600)
        await piles.connect(system.url)
        session = await piles.ended("P")
        (start,) = begun(system, "P")
        (end,) = await system.until(lambda: ended(system, "P"))
    assert (session["energy_wh"], session["offline"]) == (5500, True)
    assert start["timestamp"] == "2018-03-04T15:00:00.000Z"
    assert end["timestamp"] == "2018-03-04T15:30:00.000Z"
    if version == "1.6":
        assert (end["meterStop"] - start["meterStart"], end["transactionId"]) == (5500, 1)
        told = [frame[2] for frame in system.came["P"] if frame[0] == 2]
        inner = [action for action in told if action in ("StartTransaction", "MeterValues", "StopTransaction")]
        assert inner[0] == "StartTransaction"
        assert inner[-1] == "StopTransaction"
    else:
        events = system.calls("P", "TransactionEvent")
        assert [event["seqNo"] for event in events] == list(range(len(events)))
        assert all(event["offline"] for event in events)


async def test_a_lost_connection_costs_no_sample_of_a_session(run_site: Any) -> None:
    pile = {"name": "P", "version": "1.6", "sample_s": 60, "aligned_s": 0}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(system.url)
        await piles.vehicle("P", need_kwh=11, max_kw=6, stay_s=600)
        await piles.charging("P")
        for minute in range(10):
            if minute % 3 == 0:
                await system.hang_up("P")
            served.clock.forward(60)
            await piles.until("P", lambda t: t["accepted"] and not t["backlog"])
        await piles.ended("P")
    # A call whose answer was lost with the connection is sent again: twice the same, never fewer.
    counted = [int(value) for context, value, _ in energies(system, "P") if context == "Sample.Periodic"]
    assert sorted(set(counted)) == [100 * minute for minute in range(1, 10)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resumes", [False, True])
async def test_a_reboot_in_mid_session(run_site: Any, version: str, resumes: bool) -> None:
    pile = {"name": "P", "version": version, "resumes": resumes}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(system.url)
        await piles.vehicle("P", need_kwh=30, max_kw=11, stay_s=4 * 3600)
        await piles.charging("P")
        served.clock.forward(1800)
        assert (await served.ask({"device": "P", "fault": "reboot", "for_s": 60}))["ok"]
        await piles.until("P", lambda t: not t["connected"] and t["power_kw"] == 0)
        served.clock.forward(60)
        await piles.until("P", lambda t: t["boots"] == 1 and t["accepted"] and t["power_kw"] == 11)
        served.clock.forward(1800)
        await piles.leave("P")
        await piles.ended("P")
        sessions = (await piles.truth("P"))["sessions"]
        ends = await system.until(lambda: len(ended(system, "P")) == len(sessions) and ended(system, "P"))
    if resumes:
        assert [(session["energy_wh"], session["reason"]) for session in sessions] == [(11_000, "EVDisconnected")]
    else:
        assert [session["energy_wh"] for session in sessions] == [5500, 5500]
        assert [reason(end) for end in ends] == ["PowerLoss", "EVDisconnected"]
        assert ends[0]["timestamp"] == "2018-03-04T15:30:00.000Z"
    boots = system.calls("P", "BootNotification")
    assert len(boots) == 2
    if version != "1.6":
        assert [boot["reason"] for boot in boots] == ["PowerUp", "PowerUp"]


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
@pytest.mark.parametrize(
    ("quirk", "periodic"),
    [
        ("session_relative", ("500", "Wh")),
        ("kwh", ("1000.5", "kWh")),
        ("no_unit", ("1000500", "-")),
        ("multiplier", ("1000.5", "Wh")),
        ("no_begin", ("1000500", "Wh")),
    ],
)
async def test_the_quirks_of_real_piles(run_site: Any, version: str, quirk: str, periodic: tuple[str, str]) -> None:
    pile = {
        "name": "P",
        "version": version,
        "quirks": [quirk],
        "sample_s": 300,
        "start_import_kwh": 1000,
        "aligned_s": 0,
    }
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(system.url)
        await piles.vehicle("P", need_kwh=5, max_kw=6, stay_s=3600)
        await piles.charging("P")
        served.clock.forward(300)
        await system.until(lambda: [told for told in energies(system, "P") if told[0] == "Sample.Periodic"])
        start = begun(system, "P")[0]
    if version == "1.6" and quirk == "multiplier":  # 1.6 has no multiplier
        periodic = ("1000500", "Wh")
    assert [told[1:] for told in energies(system, "P") if told[0] == "Sample.Periodic"] == [periodic]
    if version == "1.6":
        assert start["meterStart"] == (0 if quirk == "no_begin" else 1_000_000)
    else:
        assert ("meterValue" in start) is (quirk != "no_begin")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_pile_that_is_not_accepted_asks_again_and_says_nothing_else(run_site: Any, version: str) -> None:
    async with central_system() as system, run_site(park({"name": "P", "version": version})) as served:
        system.overrides["BootNotification"] = {
            "status": "Pending",
            "interval": 0,
            "currentTime": "2018-03-04T15:00:00Z",
        }
        piles = Park(served)
        await piles.connect(system.url)
        await system.until(lambda: len(system.calls("P", "BootNotification")) >= 2)
        assert {frame[2] for frame in system.came["P"]} == {"BootNotification"}
        del system.overrides["BootNotification"]
        await piles.until("P", lambda t: t["accepted"])
        await system.until(lambda: system.calls("P", "StatusNotification"))


async def test_a_lifetime_register_that_is_reset_in_mid_session_shows_in_the_messages_not_in_the_truth(
    run_site: Any,
) -> None:
    pile = {"name": "P", "version": "1.6", "start_import_kwh": 77}
    async with central_system() as system, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(system.url)
        await piles.vehicle("P", need_kwh=6, max_kw=6, stay_s=3600)
        await piles.charging("P")
        served.clock.forward(600)
        await piles.truth("P")
        assert (await served.ask({"device": "P", "fault": "reset"}))["ok"]
        served.clock.forward(3000)
        session = await piles.ended("P")
        (stop,) = await system.until(lambda: ended(system, "P"))
    assert stop["meterStop"] == 5000  # 3000 s at 6 kW after the reset
    assert session["energy_uj"] == 6000 * 3_600_000_000


async def test_a_register_that_wraps_in_mid_session(run_site: Any) -> None:
    async with central_system() as system, run_site(park({"name": "P", "version": "1.6"})) as served:
        piles = Park(served)
        await piles.connect(system.url)
        assert (await served.ask({"device": "P", "fault": "rollover", "below_kwh": 2}))["ok"]
        await piles.vehicle("P", need_kwh=6, max_kw=6, stay_s=3600)
        await piles.charging("P")
        served.clock.forward(3600)
        await piles.ended("P")
        (start,), (stop,) = begun(system, "P"), await system.until(lambda: ended(system, "P"))
    # Nine digits of Wh: 10^9.
    assert (start["meterStart"], stop["meterStop"]) == (999_998_000, 4000)


async def test_a_recorded_week_is_billed_as_it_was_delivered(run_site: Any) -> None:
    garage = [
        {"name": f"P{index}", "version": VERSIONS[index % 3], "start": "free", "sample_s": 0, "aligned_s": 0}
        for index in range(19)
    ]
    table = park(*garage, ev={"visits": "recorded", "max_kw": 1000})
    table["plant"][0]["time_zone"] = "Asia/Seoul"
    async with central_system() as system, run_site(table) as served:
        piles = Park(served)
        await piles.connect(system.url)
        for pile in garage:
            await piles.until(pile["name"], lambda t: t["accepted"])
        for _ in range(7):
            served.clock.forward(24 * 3600)
            truths = [await piles.until(pile["name"], lambda t: not t["backlog"]) for pile in garage]
        stops = [stop for pile in garage for stop in ended(system, pile["name"])]
    sessions = [session for truth in truths for session in truth["sessions"]]
    # The shipped file: 103 sessions, the sum of their column energy_kwh is 1,437.767.
    assert (len(sessions), len(stops)) == (103, 103)
    assert sum(session["energy_uj"] for session in sessions) == 1_437_767 * 3_600_000_000


async def test_a_pile_needs_a_point_and_an_identity_of_its_own(run_site: Any) -> None:
    for other, expected in (
        ({"name": "Q", "version": "1.6", "point": 0}, "point 0 for itself"),
        ({"name": "Q", "version": "1.6", "identity": "P"}, "identity 'P' for itself"),
        ({"name": "Q", "version": "1.6", "point": 7}, "one of the plant's 2 points"),
        ({"name": "Q", "version": "1.6", "quirks": ["odd"]}, "quirks"),
    ):
        with pytest.raises(ValueError, match=expected):
            async with run_site(park({"name": "P", "version": "1.6"}, other)):
                pass
