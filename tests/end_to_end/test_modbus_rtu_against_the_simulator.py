"""Modbus RTU end to end, and the simulator's whole list of faults over every Modbus link: each gives a clear fault or does no harm.

A neighbour on the same bus is read all the while: it must answer whatever its fellow does, and the fellow must come back by itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent import meter
from edge_agent.drivers.driver import (
    Answer,
    DeviceUnreachable,
    Driver,
    DriverError,
    Gateway,
)
from edge_agent.drivers.modbus.declared import ModbusPlan, Row, fields
from edge_agent.drivers.table import declared, open_driver
from wire.block import scaled

NOON_MS = 1_520_175_600_000 + 12 * 3_600_000  # 2018-03-05T12:00 in Seoul
TIMEOUT_S = 0.3
LINKS = {
    "tcp": ("modbus_tcp", {}),
    "rtu_on_a_serial_port": ("modbus_rtu", {"serial": True}),
    "rtu_behind_a_serial_server": ("modbus_rtu", {}),
}


def site(protocol: str, options: dict[str, Any]) -> dict[str, Any]:
    meters = [
        ("incomer", "schneider_pm5560", "grid"),
        ("process", "siemens_pac3200", "load"),
        ("charging", "eastron_sdm630", "ev"),
    ]
    return {
        "plant": [
            {
                "name": "works",
                "time_zone": "Asia/Seoul",
                "load": {"kind": "synthetic", "base_kw": 100, "peak_kw": 100, "noise_ratio": 0},
                "ev": {"points": 4, "max_kw": 11},
                "bus": [{"name": "meters", "protocol": protocol, **options}],
                "device": [
                    {"name": name, "kind": kind, "measures": measures, "bus": "meters", "unit": unit, "start_import_kwh": 1000 * unit}
                    for unit, (name, kind, measures) in enumerate(meters, 1)
                ],
            }
        ]
    }  # fmt: skip


@dataclass
class Works:
    """A running plant and the agent's driver for its bus."""

    ready: dict[str, Any]
    log_path: Path
    protocol: str
    at_ms: int = NOON_MS
    driver: Driver[Any] | None = None

    def open_driver(self) -> Driver[Any]:
        place = self.ready["devices"][0]
        keys = {key: place[key] for key in ("serial", "host", "port") if key in place}
        bus = declared(self.protocol).bus(name="b", protocol=self.protocol, device=[], timeout_s=TIMEOUT_S, **keys)
        return open_driver(bus, Gateway(lambda: self.at_ms))

    def plan(self, name: str) -> ModbusPlan:
        (place,) = [place for place in self.ready["devices"] if place["device"] == name]
        model = meter.load(place["kind"])
        serials = [
            Row(quantity=f"answer_serial_{number}", type="uint32", address=address)
            for number, address in enumerate(place["serial_addresses"], 1)
        ]
        return ModbusPlan(name, place["unit"], fields(model, serials), model.limits())

    async def read(self, name: str) -> Answer:
        assert self.driver is not None
        self.at_ms += 1000
        return await self.driver.read(self.plan(name))

    async def values(self, name: str) -> dict[str, float | None]:
        answer = await self.read(name)
        assert answer.faults == []
        return {
            quantity: scaled(block.columns[index][0], block.shape.exponents[index])
            for block in answer.blocks
            for index, quantity in enumerate(block.shape.quantities)
        }

    async def ask(self, **request: Any) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ready["control_port"])
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 5))
        writer.close()
        await writer.wait_closed()
        assert answer["ok"], answer
        return answer

    async def truth(self) -> dict[str, Any]:
        devices: dict[str, Any] = (await self.ask(show="plants"))["plants"]["works"]["devices"]
        return devices

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]


@asynccontextmanager
async def running(directory: Path, link: str) -> AsyncIterator[Works]:
    protocol, options = LINKS[link]
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    served: list[Works] = []
    log_path = directory / "answers.jsonl"
    clock: Callable[[], int] = lambda: served[0].at_ms if served else NOON_MS  # noqa: E731
    task = asyncio.create_task(serve(load_site(site(protocol, options)), clock, log_path, 0, ready.set_result))
    served.append(Works(await asyncio.wait_for(ready, 10), log_path, protocol))
    served[0].driver = served[0].open_driver()
    try:
        yield served[0]
    finally:
        await served[0].driver.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(params=sorted(LINKS))
async def works(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Works]:
    async with running(tmp_path, request.param) as served:
        yield served


@pytest.fixture(params=[link for link in LINKS if link.startswith("rtu")])
async def rtu(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Works]:
    async with running(tmp_path, request.param) as served:
        yield served


async def test_the_counters_read_over_a_serial_line_are_those_of_the_plant(rtu: Works) -> None:
    rtu.at_ms += 3_600_000
    for name in ("incomer", "process", "charging"):
        values = await rtu.values(name)
        truth = (await rtu.truth())[name]
        relative = 1e-6 if name == "charging" else 0.0  # the SDM630 counts in float32
        expected = pytest.approx(float(truth["import_kwh"]), abs=0.001 + relative * 4000)
        assert values["energy_import_kwh"] == expected


async def test_each_serial_that_an_answer_carried_over_a_serial_line_was_read(rtu: Works) -> None:
    seen: set[tuple[str, int]] = set()
    for _ in range(3):
        for name in ("incomer", "process", "charging"):
            for block in (await rtu.read(name)).blocks:
                for quantity, column in zip(block.shape.quantities, block.columns, strict=True):
                    if quantity.startswith("answer_serial") and isinstance(column[0], int):
                        seen.add((block.device, column[0]))
    carried = {(line["device"], line["serial"]) for line in rtu.log() if line["carried"]}
    assert carried
    assert seen == carried


async def test_a_unit_that_is_not_there_is_silent_on_a_serial_line(rtu: Works) -> None:
    assert rtu.driver is not None
    nobody = ModbusPlan("nobody", 9, rtu.plan("process").fields)
    with pytest.raises(DeviceUnreachable, match="no answer within"):
        await rtu.driver.read(nobody)
    assert (await rtu.read("process")).faults == []


async def _recovered(works: Works, name: str) -> None:
    """What was wrong may cost one more read: an answer that is still owed. Then values are whole again."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 10
    while True:
        try:
            answer = await works.read(name)
            if not answer.faults:
                return
        except DriverError:
            pass
        assert loop.time() < deadline, f"{name} did not come back"


async def test_a_late_answer_of_one_request_is_not_taken_for_the_next_of_the_same_meter(works: Works) -> None:
    """The PAC3200 takes several requests; while it is late, whatever is read of it must still be within its true bounds."""
    healthy = await works.values("process")
    await works.ask(device="process", fault="delay", delay_s=1.5 * TIMEOUT_S, for_s=3600)
    for _ in range(4):
        try:
            answer = await works.read("process")
        except DriverError:
            continue
        for block in answer.blocks:
            for index, quantity in enumerate(block.shape.quantities):
                value = scaled(block.columns[index][0], block.shape.exponents[index])
                if not quantity.startswith("answer_serial"):
                    assert value == pytest.approx(healthy[quantity], rel=0.1, abs=1.0), quantity
    await works.ask(device="process", clear="all")
    await _recovered(works, "process")
