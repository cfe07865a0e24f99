"""SunSpec devices found by walking their chain and steered, against the simulator. Power is read back on the AC meter of the incomer, never in the register."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent import meter
from edge_agent.drivers.driver import DeviceUnreachable, DriverError, Gateway, Written
from edge_agent.drivers.modbus.declared import Device, ModbusPlan, plan
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp
from wire.block import scaled

NOON_MS = 1_520_175_600_000 + 12 * 3_600_000  # 2018-03-05T12:00 in Seoul
PLANT: dict[str, Any] = {
    "name": "works",
    "time_zone": "Asia/Seoul",
    "load": {"kind": "synthetic", "base_kw": 100, "peak_kw": 100, "noise_ratio": 0},
    "pv": {"peak_kw": 250, "latitude_deg": 35, "longitude_deg": 127.7},
    "battery": {
        "capacity_kwh": 200,
        "charge_kw": 50,
        "discharge_kw": 50,
        "cells": {"count": 240, "start_cycles": 120, "room_degc": 22},
    },
    "device": [
        {"name": "incomer", "kind": "schneider_pm5560", "measures": "grid", "start_import_kwh": 10_000},
        {"name": "pv-103", "kind": "sunspec_pv"},
        {"name": "pv-101", "kind": "sunspec_pv_single_phase"},
        {"name": "pv-102", "kind": "sunspec_pv_split_phase"},
        {"name": "pv-113", "kind": "sunspec_pv_float"},
        {"name": "pv-701", "kind": "sunspec_der_pv"},
        {"name": "battery-124", "kind": "sunspec_battery"},
        {"name": "battery-704", "kind": "sunspec_der_battery"},
        {
            "name": "meter-203",
            "kind": "sunspec_meter",
            "measures": "grid",
            "start_import_kwh": 7,
            "start_export_kwh": 3,
        },
        {"name": "meter-213", "kind": "sunspec_meter_float", "measures": "grid", "start_import_kwh": 7},
    ],
}


@dataclass
class Served:
    """A running plant, its clock, and a driver per device as the agent has it."""

    ready: dict[str, Any]
    at_ms: int = NOON_MS
    drivers: dict[str, ModbusTcp] = field(default_factory=dict)

    def plan(self, name: str) -> ModbusPlan:
        place = next(place for place in self.ready["devices"] if place["device"] == name)
        model = "schneider_pm5560" if name == "incomer" else "sunspec"
        return plan(None, Device(name=name, model=model, unit=place["unit"]), meter.load(model))  # type: ignore[arg-type]

    def driver(self, name: str) -> ModbusTcp:
        place = next(place for place in self.ready["devices"] if place["device"] == name)
        endpoint = Endpoint("127.0.0.1", place["port"], timeout_s=0.4)
        return self.drivers.setdefault(name, ModbusTcp(endpoint, Gateway(lambda: self.at_ms)))

    async def values(self, name: str) -> dict[str, float | None]:
        answer = await self.driver(name).read(self.plan(name))
        assert answer.faults == []
        return {
            quantity: scaled(block.columns[index][0], block.shape.exponents[index])
            for block in answer.blocks
            for index, quantity in enumerate(block.shape.quantities)
        }

    async def write(self, name: str, point: str, value: float | None, hold_s: float = 60.0) -> Written:
        return await self.driver(name).write(self.plan(name), point, value, hold_s)

    async def grid_kw(self) -> float:
        """What the AC meter of the incomer shows."""
        shown = (await self.values("incomer"))["active_power_kw"]
        assert shown is not None
        return shown

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ready["control_port"])
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 5))
        writer.close()
        await writer.wait_closed()
        return answer

    async def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask({"show": "plants"}))["plants"]["works"]
        return found


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Served]:
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    served: list[Served] = []
    site = load_site({"plant": [PLANT]})
    task = asyncio.create_task(
        serve(site, lambda: served[0].at_ms if served else NOON_MS, directory / "answers.jsonl", 0, ready.set_result)
    )
    served.append(Served(await asyncio.wait_for(ready, 10)))
    try:
        yield served[0]
    finally:
        for driver in served[0].drivers.values():
            await driver.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def works(tmp_path: Path) -> AsyncIterator[Served]:
    async with running(tmp_path) as served:
        served.at_ms += 3_600_000  # counters have moved
        yield served


@pytest.mark.parametrize("name", ["pv-103", "pv-101", "pv-102", "pv-113", "pv-701"])
async def test_every_generation_of_inverter_gives_the_same_power_and_energy_without_an_address(
    works: Served, name: str
) -> None:
    truth, shown = await works.truth(), await works.values(name)
    assert shown["active_power_kw"] == pytest.approx(truth["active_power_kw"]["pv"], abs=0.01)
    exported_kwh = float(truth["energy"]["pv"]["export_kwh"]) + 1  # it starts at 1 kWh
    assert shown["energy_export_kwh"] == pytest.approx(exported_kwh, abs=0.002)
    assert shown["frequency_hz"] == pytest.approx(50, abs=0.1)
    assert shown["voltage_l1_v"] == pytest.approx(230, abs=5)


@pytest.mark.parametrize("name", ["meter-203", "meter-213"])
async def test_a_meter_is_found_and_counts_both_ways(works: Served, name: str) -> None:
    truth, shown = await works.truth(), await works.values(name)
    grid_kw = truth["active_power_kw"]["grid"]
    assert shown["active_power_kw"] == pytest.approx(grid_kw, abs=0.01)
    phases = [shown[f"active_power_l{n}_kw"] for n in (1, 2, 3)]
    assert sum(phase for phase in phases if phase is not None) == pytest.approx(grid_kw, abs=0.02)
    assert shown["energy_import_kwh"] == pytest.approx(float(truth["energy"]["grid"]["import_kwh"]) + 7, abs=0.002)


async def test_a_battery_of_the_new_generation_tells_its_cells(works: Served) -> None:
    shown = await works.values("battery-704")
    assert shown["state_of_charge_percent"] == 50
    assert shown["state_of_energy_kwh"] == 100
    assert shown["cycle_count"] == 120
    assert shown["state_of_health_percent"] == pytest.approx(99.6)  # 20 % in 6,000 cycles
    low_v, high_v = shown["cell_voltage_min_v"], shown["cell_voltage_max_v"]
    assert low_v is not None
    assert high_v is not None
    # 240 cells at half charge, each within 1 % of charge: the flat part of the curve, 3.27 V at 30 % to 3.32 V at 70 %.
    assert 3.27 < low_v <= high_v < 3.32
    assert shown["dc_voltage_v"] == pytest.approx(240 * (low_v + high_v) / 2, rel=0.01)
    assert shown["cell_temperature_max_degc"] == pytest.approx(22, abs=0.1)


@pytest.mark.parametrize("name", ["battery-124", "battery-704"])
async def test_a_battery_is_driven_both_ways_and_let_go_of(works: Served, name: str) -> None:
    rest_kw = await works.grid_kw()
    for wanted_kw in (20.0, -35.0, 0.0):
        written = await works.write(name, "active_power_setpoint_kw", wanted_kw)
        assert (written.delivered, written.note) == (True, "")
        assert written.after == pytest.approx(wanted_kw, abs=0.01)
        assert await works.grid_kw() == pytest.approx(rest_kw + wanted_kw, abs=0.01)
        assert (await works.values(name))["active_power_kw"] == pytest.approx(wanted_kw, abs=0.02)
    await works.write(name, "active_power_setpoint_kw", -10.0)
    written = await works.write(name, "active_power_setpoint_kw", None)
    assert (written.delivered, written.after) == (True, None)
    assert written.before == pytest.approx(-10.0, abs=0.01)
    assert await works.grid_kw() == pytest.approx(rest_kw, abs=0.01)


@pytest.mark.parametrize("name", ["pv-103", "pv-701"])
async def test_pv_is_curtailed_and_let_go_of(works: Served, name: str) -> None:
    free_kw = (await works.truth())["active_power_kw"]["pv"]
    before_kw = await works.grid_kw()
    assert free_kw < -50
    written = await works.write(name, "active_power_limit_percent", 10.0)
    assert (written.delivered, written.before, written.after) == (True, None, 10.0)
    assert await works.grid_kw() == pytest.approx(before_kw - free_kw - 25.0, abs=0.01)  # 10 % of 250 kW
    assert (await works.write(name, "active_power_limit_percent", None)).after is None
    assert await works.grid_kw() == pytest.approx(before_kw, abs=0.01)


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("battery-124", "active_power_setpoint_kw", 30.0),
        ("battery-704", "active_power_setpoint_kw", -30.0),
        ("pv-103", "active_power_limit_percent", 0.0),
        ("pv-701", "active_power_limit_percent", 0.0),
    ],
)
async def test_left_alone_the_device_goes_back_by_its_own_timer_and_feeding_keeps_it(
    works: Served, name: str, point: str, value: float
) -> None:
    free_kw = await works.grid_kw()
    await works.write(name, point, value, hold_s=60)
    steered_kw = await works.grid_kw()
    assert abs(steered_kw - free_kw) > 20
    works.at_ms += 50_000
    await works.write(name, point, value, hold_s=60)
    works.at_ms += 59_000
    assert await works.grid_kw() == pytest.approx(steered_kw, abs=5), "the sun moves a little"
    works.at_ms += 1_000
    assert await works.grid_kw() == pytest.approx(free_kw, abs=5)


async def test_a_device_that_will_not_have_it_says_so_and_nothing_moves(works: Served) -> None:
    free_kw = await works.grid_kw()
    for name in ("battery-124", "battery-704"):
        with pytest.raises(DriverError, match="illegal data value"):
            await works.write(name, "active_power_setpoint_kw", 60.0)  # rated 50 kW
        await works.write(name, "active_power_setpoint_kw", None)
    assert await works.grid_kw() == pytest.approx(free_kw, abs=0.01)


async def test_a_rebooting_inverter_forgets_its_set_point_and_the_next_read_back_shows_it(works: Served) -> None:
    await works.write("battery-124", "active_power_setpoint_kw", 20.0)
    await works.ask({"device": "battery-124", "fault": "reboot", "for_s": 5})
    with pytest.raises(DeviceUnreachable):
        await works.write("battery-124", "active_power_setpoint_kw", 20.0)
    works.at_ms += 5_000
    written = await works.write("battery-124", "active_power_setpoint_kw", 20.0)
    assert (written.before, written.delivered) == (None, True)


@pytest.mark.parametrize("fault", ["silence", "exception", "wrong_unit", "half_frame", "delay"])
async def test_under_every_fault_a_write_ends_in_an_error_and_afterwards_it_works(works: Served, fault: str) -> None:
    for name in ("pv-103", "pv-701"):
        works.driver(name)
        await works.values(name)
        await works.ask({"device": name, "fault": fault, "delay_s": 1})
        with pytest.raises(DriverError, match=name):
            await works.write(name, "active_power_limit_percent", 50.0)
        await works.ask({"device": name, "clear": "all"})
        async with asyncio.timeout(10):
            while True:
                try:
                    written = await works.write(name, "active_power_limit_percent", 50.0)
                    break
                except DriverError:
                    await asyncio.sleep(0.1)
        assert written.delivered
        await works.write(name, "active_power_limit_percent", None)
