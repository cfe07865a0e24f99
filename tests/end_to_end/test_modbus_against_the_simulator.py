"""The agent's driver and meter models against the simulator, whose register maps were written from the manuals by other hands.

What the simulator says is true (over its control interface) must be what the agent reads, quantity by quantity.
"""

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
from edge_agent.drivers.driver import Answer, Gateway
from edge_agent.drivers.modbus.declared import ModbusPlan, Row, fields
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp
from wire.block import scaled

NOON_MS = 1_520_175_600_000 + 12 * 3_600_000  # 2018-03-05T12:00 in Seoul
MODELS = {
    "schneider_pm5560": "schneider_pm5560",
    "siemens_pac3200": "siemens_pac3200",
    "eastron_sdm630": "eastron_sdm630",
    "sunspec_pv": "sunspec_103",
    "sunspec_battery": "sunspec_802",
}
WORKS: dict[str, Any] = {
    "plant": [
        {
            "name": "works",
            "time_zone": "Asia/Seoul",
            "load": {"kind": "synthetic", "base_kw": 100, "peak_kw": 100, "noise_ratio": 0},
            "pv": {"peak_kw": 250, "latitude_deg": 35, "longitude_deg": 127.7},
            "battery": {"capacity_kwh": 200, "charge_kw": 50, "discharge_kw": 50, "without_set_point": "self_consumption"},
            "ev": {"points": 4, "max_kw": 11},
            "device": [
                {"name": "incomer", "kind": "schneider_pm5560", "measures": "grid", "bus": "meters", "unit": 1, "start_import_kwh": 184230.5},
                {"name": "process", "kind": "siemens_pac3200", "measures": "load", "bus": "meters", "unit": 2, "start_import_kwh": 91422},
                {"name": "charging", "kind": "eastron_sdm630", "measures": "ev", "bus": "meters", "unit": 3, "start_import_kwh": 1000},
                {"name": "pv", "kind": "sunspec_pv", "unit": 1},
                {"name": "battery", "kind": "sunspec_battery", "unit": 1},
            ],
        }
    ]
}  # fmt: skip


@dataclass
class Served:
    """A running site, its clock, and one driver per port."""

    ready: dict[str, Any]
    log_path: Path
    at_ms: int = NOON_MS
    drivers: dict[int, ModbusTcp] = field(default_factory=dict)

    async def read(self, name: str, counters_only: bool = False) -> Answer:
        (place,) = [place for place in self.ready["devices"] if place["device"] == name]
        driver = self.drivers.setdefault(
            place["port"], ModbusTcp(Endpoint("127.0.0.1", place["port"], timeout_s=0.4), Gateway(lambda: self.at_ms))
        )
        model = meter.load(MODELS[place["kind"]])
        serials = [
            Row(quantity=f"answer_serial_{number}", type="uint32", address=address)
            for number, address in enumerate(place["serial_addresses"], 1)
        ]
        plan = ModbusPlan(name, place["unit"], fields(model, serials), model.limits())
        return await driver.read(plan, counters_only=counters_only)

    async def values(self, name: str) -> dict[str, float | None]:
        answer = await self.read(name)
        assert answer.faults == []
        return {
            quantity: scaled(block.columns[index][0], block.shape.exponents[index])
            for block in answer.blocks
            for index, quantity in enumerate(block.shape.quantities)
        }

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ready["control_port"])
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 5))
        writer.close()
        await writer.wait_closed()
        return answer

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Served]:
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    served: list[Served] = []
    log_path = directory / "answers.jsonl"
    task = asyncio.create_task(
        serve(load_site(WORKS), lambda: served[0].at_ms if served else NOON_MS, log_path, 0, ready.set_result)
    )
    served.append(Served(await asyncio.wait_for(ready, 10), log_path))
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


async def test_every_device_shows_the_energies_that_the_plant_has_counted(works: Served) -> None:
    truth = (await works.ask({"show": "plants"}))["plants"]["works"]["devices"]
    for name in ("incomer", "process"):
        values = await works.values(name)
        for direction in ("import", "export"):
            assert values[f"energy_{direction}_kwh"] == pytest.approx(float(truth[name][f"{direction}_kwh"]), abs=0.001)
    charging = await works.values("charging")
    assert charging["energy_import_kwh"] == pytest.approx(float(truth["charging"]["import_kwh"]), rel=1e-6)
    assert (await works.values("pv"))["energy_export_kwh"] == pytest.approx(float(truth["pv"]["export_kwh"]), abs=0.001)


async def test_powers_read_from_five_devices_balance_in_the_load_sign(works: Served) -> None:
    power = {
        name: (await works.values(name))["active_power_kw"]
        for name in ("incomer", "process", "charging", "pv", "battery")
    }
    assert all(value is not None for value in power.values())
    parts = [value or 0.0 for name, value in power.items() if name != "incomer"]
    assert power["incomer"] == pytest.approx(sum(parts), abs=0.1)
    assert power["process"] == pytest.approx(100, abs=0.1)
    assert (power["pv"] or 0.0) < -50  # noon in March
    assert (power["battery"] or 0.0) != 0.0


async def test_the_battery_charges_positive_on_both_sides_of_its_inverter(works: Served) -> None:
    """Driven both ways: surplus of the sun charges it, an evening without sun discharges it."""
    for hour, sign in ((0, 1), (5, -1)):
        works.at_ms = NOON_MS + 3_600_000 + hour * 3_600_000
        values = await works.values("battery")
        assert (values["active_power_kw"] or 0.0) * sign > 0
        assert (values["dc_power_kw"] or 0.0) * sign > 0
        assert (values["dc_current_a"] or 0.0) * sign > 0
        assert 0 < (values["state_of_charge_percent"] or 0.0) <= 100


async def test_no_quantity_of_any_device_is_refused_or_out_of_range(works: Served) -> None:
    for name in ("incomer", "process", "charging"):
        for quantity, value in (await works.values(name)).items():
            assert value is not None, f"{name}: {quantity}"


async def test_voltage_current_and_power_factor_give_the_power(works: Served) -> None:
    for name in ("process", "charging"):
        values = await works.values(name)
        for phase in ("l1", "l2", "l3"):
            voltage_v, current_a, power_kw = (
                values[key] or 0.0 for key in (f"voltage_{phase}_v", f"current_{phase}_a", f"active_power_{phase}_kw")
            )
            factor = values[f"power_factor_{phase}_ratio"] or 0.0
            assert voltage_v * current_a * factor / 1000 == pytest.approx(power_kw, abs=0.05)


async def test_each_serial_that_an_answer_carried_was_read(works: Served) -> None:
    seen: set[tuple[str, int]] = set()
    for _ in range(3):
        works.at_ms += 1000
        for name in ("incomer", "process", "charging", "pv", "battery"):
            for block in (await works.read(name)).blocks:
                for quantity, column in zip(block.shape.quantities, block.columns, strict=True):
                    if quantity.startswith("answer_serial") and isinstance(column[0], int):
                        seen.add((block.device, column[0]))
    carried = {(line["device"], line["serial"]) for line in works.log() if line["carried"]}
    assert carried
    assert seen == carried


async def test_every_block_of_the_meters_carries_a_serial(works: Served) -> None:
    for name in ("incomer", "process", "charging"):
        for block in (await works.read(name)).blocks:
            assert any(quantity.startswith("answer_serial") for quantity in block.shape.quantities)


async def test_the_poll_for_counters_reads_the_energies_in_one_request(works: Served) -> None:
    answer = await works.read("process", counters_only=True)
    quantities = {quantity for block in answer.blocks for quantity in block.shape.quantities}
    assert {"energy_import_kwh", "energy_export_kwh"} <= quantities
