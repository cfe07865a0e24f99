"""A value is rejected on site, the recorder's dump is served again, and the agent rejects the same value for the same reason."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from device_sim import dump
from device_sim.replay import Record, Replay
from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent.collect import Collection
from edge_agent.drivers.driver import Gateway
from edge_agent.edge_file import load
from edge_agent.forensics import Forensics
from wattline.replay import snippet
from wire.block import Block
from wire.clock import Clock
from wire.reading import Event

DEADLINE_S = 30


@dataclass
class Site:
    """A simulated device, how the edge file names it, and what makes its values wrong."""

    protocol: str
    kind: str
    measures: str
    address: str
    fault: dict[str, Any] | None
    options: dict[str, Any] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)


OUT_OF_RANGE = {"registers": {"55": [0x477F, 0xFF00]}}  # 65535.0 Hz
SITES = {
    "out-of-range": Site("modbus_tcp", "siemens_pac3200", "load", "unit = 1", None, OUT_OF_RANGE),
    "modbus_tcp": Site("modbus_tcp", "siemens_pac3200", "load", "unit = 1", {"fault": "wrong_unit"}),
    "modbus_rtu": Site("modbus_rtu", "siemens_pac3200", "load", "unit = 1", {"fault": "wrong_checksum"}),
    "dlt645": Site(
        "dlt645",
        "dlt645_single_phase",
        "load",
        'address = "000012345678"',
        {"fault": "wrong_unit"},
        {"address": "000012345678"},
    ),
    "cjt188": Site(
        "cjt188",
        "cjt188_cold_water",
        "cold_water",
        'address = "00000012345678"',
        {"fault": "wrong_checksum"},
        {"address": "00000012345678"},
        {"water": {"cold_peak_m3_per_h": 2.0}},
    ),
    "mbus": Site(
        "mbus",
        "kamstrup_multical_601",
        "heat",
        "primary = 7",
        {"fault": "wrong_unit"},
        {"primary": 7},
        {"heat": {"peak_kw": 50}},
    ),
}


@asynccontextmanager
async def served(directory: Path, site: Site) -> AsyncIterator[dict[str, Any]]:
    device = {"name": "meter", "kind": site.kind, "measures": site.measures, "bus": "line", **site.options}
    plant = {
        "name": "works",
        "load": {"kind": "synthetic", "base_kw": 60, "peak_kw": 60},
        "device": [device],
        "bus": [{"name": "line", "protocol": site.protocol}],
        **site.table,
    }
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve(load_site({"plant": [plant]}), Clock().now_ms, directory / "answers.jsonl", 0, ready.set_result)
    )
    waiting: set[asyncio.Future[Any]] = {task, ready}
    await asyncio.wait(waiting, timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield await ready
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def control(port: int, request: dict[str, Any]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(json.dumps(request).encode() + b"\n")
    assert json.loads(await asyncio.wait_for(reader.readline(), DEADLINE_S))["ok"]
    writer.close()
    await writer.wait_closed()


class Reader:
    """The agent's reading half with its forensics: what it took, and what it told."""

    def __init__(self, directory: Path, bus: str) -> None:
        directory.mkdir()
        path = directory / "edge.toml"
        head = 'facility = "works"\nedge = "gw"\nmqtt = { host = "localhost", plain = true }\nspool = { directory = "spool" }\n'
        path.write_text(head + bus)
        edge, clock = load(path), Clock()
        self.blocks: list[Block] = []
        self.events: list[Event] = []
        self._changed = asyncio.Event()
        self._forensics = Forensics(edge, directory / "frames", clock, self._event)
        gateway = Gateway(clock.now_ms, frame=self._forensics.frame)
        self._collection = Collection(
            edge, clock, self._block, self._event, gateway=gateway, rejected=self._forensics.rejected
        )

    def _block(self, block: Block) -> None:
        self.blocks.append(block)
        self._forensics.look(block)
        self._changed.set()

    def _event(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, seen: Callable[[], bool], meanwhile: Callable[[], Any] | None = None) -> None:
        """Reads until `seen`; `meanwhile` is awaited once, after the first block."""
        task = asyncio.create_task(self._collection.run())
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not seen():
                    if meanwhile is not None and self.blocks:
                        await meanwhile()
                        meanwhile = None
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            self._collection.stop()
            async with asyncio.timeout(DEADLINE_S):
                await task

    @property
    def rejected(self) -> list[Event]:
        return [event for event in self.events if event.kind == "frames"]


def bus(site: Site, port: int, address: str) -> str:
    return (
        f'[[bus]]\nname = "line"\nprotocol = "{site.protocol}"\nhost = "127.0.0.1"\nport = {port}\ntimeout_s = 0.4\n'
        f'[[bus.device]]\nname = "meter"\nmodel = "{site.kind}"\nperiod_s = 0.2\nboundary_poll = false\n{address}\n'
    )


@pytest.mark.parametrize("name", SITES)
async def test_the_replayed_dump_is_rejected_for_the_same_reason(tmp_path: Path, name: str) -> None:
    site = SITES[name]
    async with served(tmp_path, site) as ready:
        there = Reader(tmp_path / "site", bus(site, ready["devices"][0]["port"], site.address))

        async def begin() -> None:
            if site.fault is not None:
                await control(ready["control_port"], {"device": "meter", **site.fault})

        await there.until(lambda: bool(there.rejected), begin)
    (told,) = there.rejected
    (file,) = (tmp_path / "site" / "frames").iterdir()
    record = Record(dump.load(file))
    async with Replay(record) as replay:
        here = Reader(tmp_path / "home", bus(site, replay.place["port"], site.address))
        await here.until(lambda: bool(here.rejected))
    (again,) = here.rejected
    assert again.body["reason"] == told.body["reason"]
    assert here.blocks  # what was good before the fault is good again
    shown = [(block.shape, block.columns, block.quality) for block in here.blocks]
    assert shown[0] == (there.blocks[0].shape, there.blocks[0].columns, there.blocks[0].quality)


async def test_the_event_serves_as_well_as_the_file_and_the_snippet_names_the_device(tmp_path: Path) -> None:
    site = SITES["out-of-range"]
    async with served(tmp_path, site) as ready:
        there = Reader(tmp_path / "site", bus(site, ready["devices"][0]["port"], site.address))
        await there.until(lambda: bool(there.rejected))
    event = there.rejected[0]
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"device": event.device, "kind": event.kind, "body": event.body}))
    loaded = dump.load(path)
    assert (loaded.device, loaded.protocol, loaded.reason) == (
        "meter",
        "modbus_tcp",
        "frequency_hz: rejected as out of range",
    )
    record = Record(loaded)
    assert record.listed() == {"unit": 1}
    async with Replay(record) as replay:
        port = replay.place["port"]
        text = snippet("meter", loaded.protocol, record.listed(), port).replace(
            'model = ""', 'model = "siemens_pac3200"'
        )
        here = Reader(tmp_path / "home", text)
        await here.until(lambda: bool(here.rejected))
    assert here.rejected[0].body["reason"] == event.body["reason"]
