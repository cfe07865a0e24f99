"""A clock moved by hand, and a site served on real ports with a log and a control interface."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from device_sim.serve import serve
from device_sim.site import load_site

# 2018-03-05T00:00 in Seoul (UTC+9): the first row of the shipped week.
MONDAY_MS = 1_520_175_600_000


class HandClock:
    """UTC ms that move only when a test says so."""

    def __init__(self, at_ms: int = MONDAY_MS) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms

    def forward(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)


@dataclass
class Served:
    """A running site: where its devices listen, its clock, its log."""

    clock: HandClock
    log_path: Path
    ready: dict[str, Any]
    clients: dict[int, AsyncModbusTcpClient] = field(default_factory=dict)

    def place(self, device: str, plant: str | None = None) -> dict[str, Any]:
        (found,) = [d for d in self.ready["devices"] if d["device"] == device and plant in (None, d["plant"])]
        return found

    async def client(self, port: int, timeout_s: float = 2.0) -> AsyncModbusTcpClient:
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=timeout_s, retries=0, reconnect_delay=0)
        assert await client.connect()
        self.clients[id(client)] = client
        return client

    async def read(self, device: str, address: int, count: int, function: int = 3, timeout_s: float = 2.0) -> Any:
        place = self.place(device)
        client = await self.client(place["port"], timeout_s)
        call = client.read_holding_registers if function == 3 else client.read_input_registers
        try:
            return await call(address, count=count, device_id=place["unit"])
        finally:
            client.close()

    async def write(self, device: str, address: int, values: list[int]) -> Any:
        place = self.place(device)
        client = await self.client(place["port"])
        try:
            return await client.write_registers(address, values, device_id=place["unit"])
        finally:
            client.close()

    async def ask(self, request: dict[str, Any] | bytes) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ready["control_port"], limit=2**26)
        writer.write((request if isinstance(request, bytes) else json.dumps(request).encode()) + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 5))
        writer.close()
        await writer.wait_closed()
        return answer

    async def truth(self, plant: str) -> dict[str, Any]:
        answer = await self.ask({"show": "plants"})
        truth: dict[str, Any] = answer["plants"][plant]
        return truth

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]


@pytest.fixture
def run_site(tmp_path: Path) -> Callable[..., Any]:
    """`async with run_site(table) as served`: serves until the block ends, then proves that nothing was left running."""

    @asynccontextmanager
    async def run(table: dict[str, Any] | Path, at_ms: int = MONDAY_MS) -> AsyncIterator[Served]:
        clock, log_path = HandClock(at_ms), tmp_path / "answers.jsonl"
        ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve(load_site(table), clock, log_path, 0, ready.set_result))
        done, _ = await asyncio.wait({task, ready}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            await task
        served = Served(clock, log_path, await ready)
        try:
            yield served
        finally:
            for client in served.clients.values():
                client.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return run


@pytest.fixture
def steel() -> dict[str, Any]:
    """One incomer behind the shipped week."""
    return {
        "plant": [
            {
                "name": "steel",
                "time_zone": "Asia/Seoul",
                "load": {"kind": "csv", "file": "shipped:steel_plant_week.csv"},
                "device": [{"name": "incomer", "kind": "schneider_pm5560", "measures": "grid"}],
            }
        ]
    }


@pytest.fixture
def works() -> dict[str, Any]:
    """A plant of constant load with all five devices; 100 kW of load, a battery at rest, PV of 250 kW peak."""
    return {
        "plant": [
            {
                "name": "works",
                "time_zone": "Asia/Seoul",
                "load": {"kind": "synthetic", "base_kw": 100, "peak_kw": 100, "noise_ratio": 0},
                "pv": {"peak_kw": 250, "latitude_deg": 35, "longitude_deg": 127.7},
                "battery": {"capacity_kwh": 200, "charge_kw": 50, "discharge_kw": 50},
                "ev": {"points": 4, "max_kw": 11},
                "device": [
                    {"name": "incomer", "kind": "schneider_pm5560", "measures": "grid", "bus": "meters", "unit": 1},
                    {"name": "process", "kind": "siemens_pac3200", "measures": "load", "bus": "meters", "unit": 2},
                    {"name": "charging", "kind": "eastron_sdm630", "measures": "ev", "bus": "meters", "unit": 3},
                    {"name": "pv", "kind": "sunspec_pv"},
                    {"name": "battery", "kind": "sunspec_battery"},
                ],
            }
        ]
    }
