"""MQTT devices through every fault: the driver and its models against the simulator, both at a mosquitto of their own."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent import meter
from edge_agent.drivers.driver import BusUnreachable, DeviceUnreachable, DriverError, Gateway
from edge_agent.drivers.mqtt import declared
from edge_agent.drivers.mqtt.declared import Bus, Device, MqttPlan, Row
from edge_agent.drivers.mqtt.driver import MqttDevices
from wire.reading import Quality, Reading

LIMIT_S = 20.0
MODELS = {
    "tasmota_plug": "tasmota_energy",
    "shelly_pro_3em": "shelly_pro_3em",
    "zigbee_plug": "zigbee2mqtt_plug",
    "opendtu_inverter": "opendtu_inverter",
    "goe_charger": "goe_charger",
}
DEVICES = [
    {"name": "plug", "kind": "tasmota_plug", "measures": "load", "start_import_kwh": 12.5},
    {"name": "main", "kind": "shelly_pro_3em", "measures": "grid", "start_import_kwh": 700},
    {"name": "lamp", "kind": "zigbee_plug", "measures": "load"},
    {"name": "roof", "kind": "opendtu_inverter", "measures": "pv", "start_export_kwh": 90},
    {"name": "box", "kind": "goe_charger", "measures": "load"},
]


@dataclass
class House:
    ready: dict[str, Any]
    log_path: Path
    driver: MqttDevices
    readings: dict[str, list[Reading]] = field(default_factory=dict)
    errors: dict[str, DriverError | None] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    clocks: list[Any] = field(default_factory=list)  # what was told of devices' own clocks

    def plan(self, name: str) -> MqttPlan:
        (place,) = [place for place in self.ready["devices"] if place["device"] == name]
        model = meter.load(MODELS[place["kind"]])
        assert isinstance(model, declared.Model)
        serial = Row(quantity="answer_serial_1", topic=place["serial_topic"], path=place["serial_path"])
        device = Device(name=name, model="m", topic=place["topic"], time_zone="UTC", silent_s=1.0, row=[serial])
        return declared.plan(None, device, model)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ready["control_port"])
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 5))
        writer.close()
        await writer.wait_closed()
        assert answer["ok"], answer
        return answer

    async def fault(self, name: str, **keys: Any) -> None:
        await self.ask({"device": name, **keys})

    async def until(self, so: Callable[[], object], *names: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for name in names:
                self.errors[name] = None
                try:
                    answer = await self.driver.read(self.plan(name))
                except DriverError as error:
                    self.errors[name] = error
                    continue
                self.readings.setdefault(name, []).extend(r for block in answer.blocks for r in block.readings())
                self.faults.setdefault(name, []).extend(map(str, answer.faults))
                self.clocks += [event.body["state"] for event in answer.events if event.kind == "device_clock"]
            if so():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(
            f"not so within {LIMIT_S} s: {self.errors}, {self.faults}, {[r[-2:] for r in self.readings.values()]}"
        )

    def last(self, name: str, quantity: str) -> Reading:
        return next(r for r in reversed(self.readings[name]) if r.quantity == quantity)

    async def fresh(self, *names: str) -> None:
        since = now_ms()
        await self.until(
            lambda: all(
                any(
                    r.at_ms > since and r.quantity == "answer_serial_1" and r.quality is Quality.GOOD
                    for r in self.readings.get(name, [])
                )
                for name in names
            ),
            *names,
        )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
async def house(tmp_path: Path, mosquitto: Any) -> AsyncIterator[House]:
    site: dict[str, Any] = {
        "plant": [
            {
                "name": "house",
                "load": {"kind": "synthetic", "base_kw": 3, "peak_kw": 3, "noise_ratio": 0, "power_factor": 0.95},
                "pv": {"peak_kw": 5, "latitude_deg": 0, "longitude_deg": 0},
                "bus": [{"name": "air", "protocol": "mqtt", "broker_port": mosquitto.port, "update_s": 0.03}],
                "device": [{**device, "bus": "air"} for device in DEVICES],
            }
        ]
    }
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    log_path = tmp_path / "answers.jsonl"
    task = asyncio.create_task(serve(load_site(site), now_ms, log_path, 0, ready.set_result))
    bus = Bus(name="air", protocol="mqtt", host="127.0.0.1", port=mosquitto.port, plain=True, device=[])
    made = House(await asyncio.wait_for(ready, 20), log_path, MqttDevices(bus, Gateway(now_ms)))
    yield made
    await made.driver.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_every_model_shows_what_the_plant_has_counted(house: House) -> None:
    names = [str(device["name"]) for device in DEVICES]
    await house.fresh(*names)
    devices = (await house.ask({"show": "plants"}))["plants"]["house"]["devices"]
    for name, quantity in (
        ("plug", "energy_import_kwh"),
        ("main", "energy_import_kwh"),
        ("lamp", "energy_import_kwh"),
        ("box", "energy_import_kwh"),
        ("roof", "energy_export_kwh"),
    ):
        direction = quantity.split("_")[1]
        counted = float(devices[name][f"{direction}_kwh"])
        assert house.last(name, quantity).value == pytest.approx(counted, abs=0.02), name
    assert house.last("plug", "active_power_kw").value == 3.0
    assert house.last("box", "active_power_kw").value == pytest.approx(3.0)
    phases = [house.last("main", f"active_power_l{n}_kw").value or 0 for n in (1, 2, 3)]
    assert sum(phases) == pytest.approx(house.last("main", "active_power_kw").value or 0, abs=0.001)
    assert (house.last("roof", "active_power_kw").value or 0) <= 0  # generation is negative in the load sign
    for name in names:
        assert all(
            reading.quality is Quality.GOOD for reading in house.readings[name] if reading.quantity == "answer_serial_1"
        )


async def test_every_serial_that_the_broker_took_has_arrived(house: House) -> None:
    await house.fresh("plug", "main", "roof")
    for _ in range(2):
        await house.fresh("plug", "main", "roof")
    logged = [json.loads(line) for line in house.log_path.read_text().splitlines()]
    await house.fresh("plug", "main", "roof")
    for name in ("plug", "main", "roof"):
        mine = [r.value for r in house.readings[name] if r.quantity == "answer_serial_1"]
        expected = [
            e["serial"] for e in logged if e["device"] == name and e["carried"] and e["serial"] >= (mine[0] or 0)
        ]
        assert len(expected) >= 5
        assert [serial for serial in expected if serial not in mine] == []
        assert len(mine) == len(set(mine))


async def test_a_device_without_a_will_is_found_silent(house: House) -> None:
    await house.fresh("box")
    await house.fault("box", fault="silence")
    await house.until(lambda: isinstance(house.errors["box"], DeviceUnreachable), "box")
    assert "within 1 s" in str(house.errors["box"])
    await house.fault("box", clear="all")
    await house.until(lambda: house.errors["box"] is None and house.last("box", "answer_serial_1"), "box")


async def test_late_publications_carry_their_own_instant(house: House) -> None:
    await house.fresh("plug", "main")
    await house.fault("main", fault="delay", delay_s=0.5)
    await house.fresh("main", "plug")
    assert house.last("main", "active_power_kw").quality is Quality.GOOD


async def test_a_damaged_number_without_a_document_around_it_is_no_reading(house: House) -> None:
    await house.fresh("roof")
    known = {r.value for r in house.readings["roof"] if r.quantity == "active_power_kw"} | {None}
    count = len(house.readings["roof"])
    await house.fault("roof", fault="wrong_checksum")
    await house.until(lambda: house.last("roof", "active_power_kw").quality is Quality.BAD, "roof")
    assert {r.value for r in house.readings["roof"][count:] if r.quantity == "active_power_kw"} <= known
    await house.fault("roof", clear="all")
    await house.fresh("roof")


async def test_a_device_whose_clock_jumps_back_is_told_at_our_time(house: House) -> None:
    await house.fresh("plug", "main")
    await house.fault("plug", fault="clock_jump", clock_s=-7200)
    await house.until(lambda: house.last("plug", "active_power_kw").reason == "clock", "plug")
    assert abs(house.last("plug", "active_power_kw").at_ms - now_ms()) < 10_000
    await house.fresh("main")
    await house.fault("plug", clear="all")
    await house.fresh("plug")
    await house.until(lambda: house.clocks == ["behind", "right"], "plug")


async def test_a_broker_that_is_killed_and_started_again_is_found_by_both_sides(house: House, mosquitto: Any) -> None:
    await house.fresh("plug", "main")
    mosquitto.kill()
    await house.until(lambda: isinstance(house.errors["plug"], BusUnreachable), "plug", "main")
    mosquitto.start()
    await house.fresh("plug", "main")
