"""The Modbus driver behind a relay that spoils what passes: every fault is a DriverError, and the bus recovers as soon as the relay is honest.

TCP carries no checksum of ours, so a changed value can be read; what must not happen is a hang, another exception, or a device that
stays lost.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent import meter
from edge_agent.drivers.driver import Answer, DriverError, Gateway
from edge_agent.drivers.modbus.declared import ModbusPlan, fields
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
NOW_MS = 1_795_248_000_000
TIMEOUT_S = 0.15
READS = 1_500
SITE: dict[str, Any] = {
    "plant": [
        {
            "name": "works",
            "load": {"kind": "synthetic", "base_kw": 100, "peak_kw": 100, "noise_ratio": 0},
            "device": [
                {"name": "incomer", "kind": "schneider_pm5560", "measures": "grid", "bus": "meters", "unit": 1},
                {"name": "process", "kind": "siemens_pac3200", "measures": "load", "bus": "meters", "unit": 2},
            ],
        }
    ]
}


class SpoilingRelay:
    """A TCP relay that changes, drops, doubles, delays, splits and cuts what passes, by a seeded chance per piece."""

    def __init__(self, port: int, seed: int) -> None:
        self._target = port
        self._chance = random.Random(seed)
        self._pumps: set[asyncio.Task[None]] = set()
        self.share = 0.0  # of pieces that are spoiled
        self.spoiled = 0
        self.port = 0

    async def serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
        pumps = [
            asyncio.create_task(self._pump(near_reader, far, requests=True)),
            asyncio.create_task(self._pump(far_reader, near, requests=False)),
        ]
        self._pumps.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for task in pumps:
            task.cancel()
        for writer in (near, far):
            writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, requests: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await source.read(4096):
                spoil = self._chance.random() < (self.share / 4 if requests else self.share)
                for part in self._parts(piece) if spoil else [piece]:
                    sink.write(part)
                    await sink.drain()
                    if spoil:
                        await asyncio.sleep(self._chance.choice([0, 0, 0.01, TIMEOUT_S * 1.2]))
                if spoil and self._chance.random() < 0.1:
                    return  # hang up in the middle

    def _parts(self, piece: bytes) -> list[bytes]:
        self.spoiled += 1
        chance, raw = self._chance, bytearray(piece)
        at = chance.randrange(len(raw))
        word = chance.choice(
            ["flip", "flip", "header", "drop", "double", "cut", "insert", "split", "rubbish", "nothing", "late"]
        )
        if word == "flip":
            raw[at] ^= chance.randrange(1, 256)
        elif word == "header":
            raw[chance.randrange(min(9, len(raw)))] = chance.randrange(256)
        elif word == "drop":
            del raw[at]
        elif word == "double":
            return [bytes(raw), bytes(raw)]
        elif word == "cut":
            del raw[at:]
        elif word == "insert":
            raw[at:at] = chance.randbytes(chance.randrange(1, 300))
        elif word == "split":
            return [bytes(raw[:at]), bytes(raw[at:])]
        elif word == "rubbish":
            return [chance.randbytes(chance.randrange(1, 600))]
        elif word == "nothing":
            return []
        return [bytes(raw)]

    def close(self) -> None:
        for task in self._pumps:
            task.cancel()


@asynccontextmanager
async def relayed(directory: Path, seed: int) -> AsyncIterator[tuple[SpoilingRelay, dict[str, ModbusPlan]]]:
    """The simulator behind the relay, and what to read there."""
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    site = load_site(SITE)
    serving = asyncio.create_task(serve(site, lambda: NOW_MS, directory / "answers.jsonl", 0, ready.set_result))
    devices = (await asyncio.wait_for(ready, 10))["devices"]
    relay = SpoilingRelay(devices[0]["port"], seed)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    plans = {}
    for device in devices:
        model = meter.load(device["kind"])
        plans[device["device"]] = ModbusPlan(device["device"], device["unit"], fields(model), model.limits())
    try:
        yield relay, plans
    finally:
        relay.close()
        server.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def values(answer: Answer) -> dict[str, float | None]:
    return {reading.quantity: reading.value for block in answer.blocks for reading in block.readings()}


@pytest.mark.parametrize("seed", [1, 2])
async def test_behind_a_relay_that_spoils_every_third_answer_nothing_breaks_and_the_bus_recovers(
    tmp_path: Path, seed: int
) -> None:
    unhandled: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    async with relayed(tmp_path, seed) as (relay, plans):
        driver = ModbusTcp(Endpoint("127.0.0.1", relay.port, timeout_s=TIMEOUT_S), Gateway(lambda: NOW_MS))
        truth = {name: values(await driver.read(plan)) for name, plan in plans.items()}
        faults, right, wrong = 0, 0, 0
        for number in range(READS):
            relay.share = 0.35
            plan = plans["incomer" if number % 2 else "process"]
            try:
                found = values(await asyncio.wait_for(driver.read(plan), 60))
            except DriverError:
                faults += 1
            else:
                wrong += any(found[name] != truth[plan.name][name] for name in found)
                right += all(found[name] == truth[plan.name][name] for name in found)
            if number % 100 == 99:
                await recovers(driver, relay, plans, truth)
        await driver.close()
        print(
            f"\nseed={seed} reads={READS} spoiled={relay.spoiled} refused={faults} right={right} with_a_changed_value={wrong}"
        )
        assert relay.spoiled > READS / 4
        assert faults > 20
        assert right > READS / 4
    assert unhandled == []


async def recovers(
    driver: ModbusTcp, relay: SpoilingRelay, plans: dict[str, ModbusPlan], truth: dict[str, dict[str, float | None]]
) -> None:
    """Within five reads of an honest relay each device answers, and nothing but the truth."""
    relay.share = 0.0
    for plan in plans.values():
        for attempt in range(5):
            with contextlib.suppress(DriverError):
                answer = await asyncio.wait_for(driver.read(plan), 60)
                if not answer.faults:
                    found = values(answer)
                    assert {name: truth[plan.name][name] for name in found} == found
                    assert len(found) > len(truth[plan.name]) / 2, "the device has lost most of its registers"
                    break
            assert attempt < 4, f"{plan.name} does not answer again"
