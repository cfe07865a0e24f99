"""The agent's BACnet driver and its models against the simulated building, through every fault that the simulator knows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from building import Building, building

from edge_agent.drivers.driver import DeviceUnreachable


@pytest.fixture
async def tower(tmp_path: Path) -> AsyncIterator[Building]:
    async with building(tmp_path) as served:
        served.at_ms += 3_600_000  # counters have moved
        yield served


async def eventually(done: Callable[[], Any], within_s: float = 6.0) -> None:
    deadline = asyncio.get_running_loop().time() + within_s
    while not done():
        assert asyncio.get_running_loop().time() < deadline, "not within the time"
        await asyncio.sleep(0.02)


async def test_every_device_shows_the_energy_that_the_plant_has_counted(tower: Building) -> None:
    truth = await tower.truth()
    for name, tolerance_kwh in (("meter", 0.001), ("ahu", 0.01), ("chiller", 0.001), ("lighting", 0.01)):
        values = await tower.values(name)
        assert values["energy_import_kwh"] == pytest.approx(float(truth[name]["import_kwh"]), abs=tolerance_kwh)
        assert None not in values.values()


async def test_a_chiller_gives_the_cold_that_its_flow_and_temperatures_carry(tower: Building) -> None:
    values = await tower.values("chiller")
    power, flow, supply, back = (
        values[name] or 0.0
        for name in (
            "cooling_power_kw",
            "cooling_flow_m3_per_h",
            "cooling_supply_temperature_degc",
            "cooling_return_temperature_degc",
        )
    )
    # 4.195 kJ/(kg K), 1 kg a litre
    assert power == pytest.approx(flow / 3.6 * 4.195 * (back - supply), rel=1e-4)


async def test_a_set_point_acts_and_is_given_back(tower: Building) -> None:
    written = await tower.write("ahu", "supply_air_setpoint", 20.0)
    assert (written.delivered, written.before, written.after) == (True, 16.0, 20.0)
    values = await tower.values("ahu")
    assert values["temperature_setpoint_degc"] == 20.0
    assert values["supply_air_temperature_degc"] == pytest.approx(20.0, abs=0.31)
    assert (await tower.write("ahu", "supply_air_setpoint", None)).after == 16.0
    assert (await tower.write("lighting", "light_level", 35.0)).delivered
    assert (await tower.values("lighting"))["light_level_percent"] == 35.0


async def test_a_building_takes_no_more_than_its_limit_and_cools_ahead_when_it_is_told(tower: Building) -> None:
    """60 kW of gains and a warm day against 40 kW x 3.5: it runs once it is 0.3 K too warm."""
    tower.at_ms += 3_600_000
    await tower.truth()
    assert (await tower.write("hvac", "zone_temperature_setpoint", 22.0)).delivered
    assert (await tower.values("hvac"))["active_power_kw"] == pytest.approx(40.0)
    assert (await tower.write("hvac", "active_power_limit_percent", 25.0)).after == 25.0
    values = await tower.values("hvac")
    assert values["active_power_kw"] == pytest.approx(10.0)
    assert values["active_power_limit_percent"] == 25.0
    assert (await tower.write("hvac", "active_power_limit_percent", 0.0)).delivered
    assert (await tower.values("hvac"))["active_power_kw"] == 0.0
    assert (await tower.write("hvac", "active_power_limit_percent", None)).after == 100.0
    assert (await tower.values("hvac"))["active_power_kw"] == pytest.approx(40.0)


async def test_changes_come_between_the_polls(tower: Building) -> None:
    await tower.read("ahu")
    await tower.read("ahu")
    subscriptions = tower.driver._devices["ahu"].subscriptions
    subscriptions.take()
    await tower.write("ahu", "supply_air_setpoint", 24.0)
    await eventually(lambda: subscriptions.waiting)
    changed = [b for b in (await tower.read("ahu")).blocks if len(b.shape.quantities) == 1]
    assert any(
        block.shape.quantities == ("temperature_setpoint_degc",) and block.columns == ((24.0,),) for block in changed
    )


async def test_every_carried_answer_is_read_and_every_number_read_is_in_the_log(tower: Building) -> None:
    read = {name: [] for name in tower.plans}  # type: dict[str, list[float | None]]
    for _ in range(5):
        for name in tower.plans:
            read[name].append((await tower.values(name))["answer_serial_1"])
    for name, serials in read.items():
        carried = [entry["serial"] for entry in tower.log() if entry["device"] == name and entry["carried"]]
        assert serials == carried


# ---- faults


async def test_a_rebooted_device_is_subscribed_to_again_and_has_forgotten_its_set_points(tower: Building) -> None:
    await tower.write("ahu", "supply_air_setpoint", 24.0)
    await tower.read("ahu")
    await tower.ask({"device": "ahu", "fault": "reboot", "for_s": 3600})
    with pytest.raises(DeviceUnreachable):
        await tower.read("ahu")
    await tower.ask({"device": "ahu", "clear": "all"})
    assert (await tower.values("ahu"))["temperature_setpoint_degc"] == 16.0
    await tower.read("ahu")
    counted = await tower.ask({"bus": "building", "plant": "tower", "subscriptions": "ahu"})
    assert counted["subscriptions"] == 4  # the four rows of the model that listen


async def test_subscriptions_that_a_device_drops_are_noticed_from_the_polls(tower: Building) -> None:
    await tower.read("ahu")
    await tower.read("ahu")
    dropped = await tower.ask({"bus": "building", "plant": "tower", "forget_subscriptions": "ahu"})
    assert dropped["subscriptions"] == 0
    for value in (18.0, 20.0, 22.0, 24.0):
        await tower.write("ahu", "supply_air_setpoint", value)
        await tower.read("ahu")
    counted = await tower.ask({"bus": "building", "plant": "tower", "subscriptions": "ahu"})
    assert counted["subscriptions"] > 0


async def test_two_devices_of_a_bus_may_not_have_one_instance() -> None:
    from device_sim.bacnet.bus import open_bus
    from device_sim.bacnet.kinds import KINDS
    from device_sim.device import Device

    def device(name: str) -> Device:
        kind = KINDS["bacnet_meter"]
        return Device(name, kind, 1, None, None, kind.modulus_uj, options={"instance": 7})  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="expected one that a does not have"):
        open_bus([device("a"), device("b")], lambda: 0, None, "127.0.0.1", {})  # type: ignore[arg-type]
