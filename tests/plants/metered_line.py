"""A simulated plant with meters on one serial line, and the agent's own driver at the other end, built as the edge file would build it."""

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
from edge_agent.drivers.driver import Answer, DevicePlan, Driver, Gateway
from edge_agent.drivers.table import declared, open_driver
from wire.block import scaled

NOON_MS = 1_520_175_600_000 + 12 * 3_600_000  # 2018-03-05T12:00 in Seoul


@dataclass
class MeteredLine:
    """What is served, the driver that reads it, and a clock moved by hand."""

    ready: dict[str, Any]
    log_path: Path
    at_ms: int = NOON_MS
    synced: bool | None = None  # what the gateway says of its own clock
    driver: Driver[Any] = field(init=False)
    plans: dict[str, DevicePlan] = field(default_factory=dict)
    frames: list[tuple[str, bool, bytes]] = field(default_factory=list)

    def open(
        self,
        protocol: str,
        models: dict[str, str],
        rows: dict[str, list[dict[str, Any]]],
        keys: dict[str, Any],
        addresses: dict[str, dict[str, Any]],
    ) -> None:
        """Opens the driver with `models` by device; `rows` are added to a device's own, `keys` to the bus.

        `addresses`: the address keys of devices; without them the `address` that the simulator lists.
        """
        spoken = declared(protocol)
        place = self.ready["devices"][0]
        where = {"serial": place["serial"]} if "serial" in place else {"host": place["host"], "port": place["port"]}
        row = spoken.device.__annotations__["row"].__args__[0]
        devices = [
            spoken.device(
                name=name,
                model=model,
                **(addresses.get(name) or {"address": self.listed(name)["address"]}),
                row=[row(**one) for one in rows.get(name, [])],
            )
            for name, model in models.items()
        ]
        bus = spoken.bus(name="line", protocol=protocol, device=devices, **{"timeout_s": 0.4, **where, **keys})
        self.driver = open_driver(bus, Gateway(lambda: self.at_ms, frame=self._frame, synced=lambda: self.synced))
        self.plans = {device.name: spoken.plan(bus, device, meter.load(device.model)) for device in devices}

    def _frame(self, device: str, sent: bool, raw: bytes) -> None:
        self.frames.append((device, sent, raw))

    def listed(self, name: str) -> dict[str, Any]:
        """What the simulator says of a device."""
        (found,) = [place for place in self.ready["devices"] if place["device"] == name]
        return dict(found)

    async def read(self, name: str, counters_only: bool = False) -> Answer:
        return await self.driver.read(self.plans[name], counters_only=counters_only)

    async def values(self, name: str) -> dict[str, float | None]:
        """What one read without a fault gives."""
        answer = await self.read(name)
        assert answer.faults == []
        return values_of(answer)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request of the simulator's control interface."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ready["control_port"])
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 5))
        writer.close()
        await writer.wait_closed()
        assert answer["ok"], answer
        return answer

    def log(self) -> list[dict[str, Any]]:
        """The simulator's own account of its answers."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]


def values_of(answer: Answer) -> dict[str, float | None]:
    """Quantity by quantity."""
    return {
        quantity: scaled(block.columns[index][0], block.shape.exponents[index])
        for block in answer.blocks
        for index, quantity in enumerate(block.shape.quantities)
    }


@asynccontextmanager
async def metered_line(
    directory: Path,
    site: dict[str, Any],
    protocol: str,
    models: dict[str, str],
    rows: dict[str, list[dict[str, Any]]] | None = None,
    addresses: dict[str, dict[str, Any]] | None = None,
    **keys: Any,
) -> AsyncIterator[MeteredLine]:
    """Serves `site` (one plant, one line) and opens the driver for the devices of `models`."""
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    served: list[MeteredLine] = []
    log_path = directory / "answers.jsonl"
    task = asyncio.create_task(
        serve(load_site(site), lambda: served[0].at_ms if served else NOON_MS, log_path, 0, ready.set_result)
    )
    done, _ = await asyncio.wait({task, ready}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    if task in done:
        await task
    line = MeteredLine(await ready, log_path)
    served.append(line)
    try:
        line.open(protocol, models, rows or {}, keys, addresses or {})
        yield line
    finally:
        if hasattr(line, "driver"):
            await line.driver.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
