"""A simulated building on BACnet/IP and the agent's own driver, each device on a port of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent import meter
from edge_agent.drivers.bacnet import declared
from edge_agent.drivers.bacnet.declared import BacnetPlan, Bus, Device, Row
from edge_agent.drivers.bacnet.driver import BacnetDriver, open_driver
from edge_agent.drivers.driver import Answer, Gateway, Written
from wire.block import scaled

NOON_MS = 1_520_175_600_000 + 12 * 3_600_000  # 2018-03-05T12:00 in Seoul
TIMEOUT_S = 0.4
KINDS = {"meter": "bacnet_meter", "ahu": "bacnet_ahu", "chiller": "bacnet_chiller", "lighting": "bacnet_lighting"}
SITE: dict[str, Any] = {
    "plant": [
        {
            "name": "tower",
            "time_zone": "Asia/Seoul",
            "load": {"kind": "synthetic", "base_kw": 100, "peak_kw": 300, "noise_ratio": 0},
            "bus": [{"name": "building", "protocol": "bacnet_ip", "cov_s": 0.1}],
            "device": [
                {"name": name, "kind": kind, "measures": "load", "bus": "building", "instance": 1000 + number}
                for number, (name, kind) in enumerate(KINDS.items(), 1)
            ]
            + [{"name": "hvac", "kind": "bacnet_hvac", "bus": "building", "instance": 1010}],
            "hvac": {"power_kw": 40, "capacity_kwh_per_k": 10, "loss_kw_per_k": 2, "gains_kw": 60},
        }
    ]
}


@dataclass
class Building:
    """What is served, the driver that reads it, and a clock moved by hand."""

    ready: dict[str, Any]
    log_path: Path
    at_ms: int = NOON_MS
    driver: BacnetDriver = field(init=False)
    plans: dict[str, BacnetPlan] = field(default_factory=dict)

    def listed(self, name: str) -> dict[str, Any]:
        """What the simulator says of a device."""
        (found,) = [place for place in self.ready["devices"] if place["device"] == name]
        return dict(found)

    def port(self, name: str) -> int:
        """Where a device listens."""
        return int(self.listed(name)["ports"][name])

    def now_ms(self) -> int:
        """The clock, that never says the same twice."""
        self.at_ms += 1
        return self.at_ms

    def open(self, **keys: Any) -> None:
        """Opens the driver; every device is read with the shipped model of its kind, and its answer serial."""
        serial = Row(quantity="answer_serial_1", object="positive-integer-value,9000")
        devices = [
            Device(
                name=place["device"],
                model=place["kind"],
                instance=place["instance"],
                host="127.0.0.1",
                port=place["ports"][place["device"]],
                row=[serial],
            )
            for place in self.ready["devices"]
        ]
        known = {"interface": "127.0.0.1", "port": 0, "timeout_s": TIMEOUT_S, **keys}
        bus = Bus(name="building", protocol="bacnet_ip", device=devices, **known)
        self.driver = open_driver(bus, Gateway(self.now_ms))
        self.plans = {d.name: declared.plan(bus, d, meter.load(d.model)) for d in devices}  # type: ignore[arg-type]

    async def read(self, name: str) -> Answer:
        return await self.driver.read(self.plans[name])

    async def values(self, name: str) -> dict[str, float | None]:
        """All quantities of a device; whatever is at fault fails the test."""
        answer = await self.read(name)
        assert answer.faults == []
        return {
            quantity: scaled(block.columns[index][-1], block.shape.exponents[index])
            for block in answer.blocks
            for index, quantity in enumerate(block.shape.quantities)
        }

    async def write(self, name: str, point: str, value: float | None) -> Written:
        return await self.driver.write(self.plans[name], point, value, 60.0)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request to the simulator's control interface."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ready["control_port"])
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 5))
        writer.close()
        await writer.wait_closed()
        return answer

    async def truth(self) -> dict[str, Any]:
        """What the plant has counted, by device."""
        devices: dict[str, Any] = (await self.ask({"show": "plants"}))["plants"]["tower"]["devices"]
        return devices

    def log(self) -> list[dict[str, Any]]:
        """The answers that the simulator says it has given."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]


@asynccontextmanager
async def building(directory: Path, **keys: Any) -> AsyncIterator[Building]:
    """A running building."""
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    served: list[Building] = []
    log_path = directory / "answers.jsonl"
    clock = lambda: served[0].at_ms if served else NOON_MS  # noqa: E731
    task = asyncio.create_task(serve(load_site(SITE), clock, log_path, 0, ready.set_result))
    await asyncio.wait([task, ready], timeout=10, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        task.result()
    served.append(Building(ready.result(), log_path))
    served[0].open(**keys)
    try:
        yield served[0]
    finally:
        await served[0].driver.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
