"""Fuzzing of the OCPP driver: for a time, piles send spoilt messages and answer with spoilt results; the driver must live on."""

import asyncio
import json
import random
import time
from pathlib import Path

from event_bodies import faults
from ocpp_bench import DEVICE, Bench
from ocpp_mutations import ANSWERS, message, spoilt
from ocpp_station import Clock, Raw, raw

from edge_agent.drivers.driver import DriverError
from edge_agent.drivers.ocpp import frames
from edge_agent.drivers.ocpp.frames import FrameUnreadable, Kind
from wire.block import Block
from wire.content import pack  # what cannot be packed would stop the spool


async def calls(version: str, seconds: float, seed: int, state: Path) -> int:
    """Spoilt calls straight into a pile that is connected; how many were answered."""
    chance, clock, answered = random.Random(seed), Clock(), 0
    devices = [DEVICE, {**DEVICE, "name": "cp1b", "connector": 2, "model": "ocpp_v2g_pile"}]
    async with Bench(clock, state, devices, timeout_s=0.2) as bench, raw(bench.url, version=version):
        await bench.until(lambda: bench.driver.pile("CP-1").connected)
        pile = bench.driver.pile("CP-1")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            clock.forward(chance.choice((0, 0.001, 1, 60, 5000)))
            try:
                frame = frames.parse(message(version, chance))
            except FrameUnreadable:
                continue
            answer = await pile.answered(frame)
            if frame.kind is Kind.CALL:
                assert answer is not None
                assert frames.parse(answer).id == frame.id
                answered += 1
            if chance.random() < 0.01:
                await _sound(bench)
        await _sound(bench)
    return answered


async def _sound(bench: Bench) -> None:
    """What was told can be packed for the spool."""
    for plan in bench.plans.values():
        try:
            answer = await bench.driver.read(plan)
        except DriverError:
            continue
        blocks: list[Block] = answer.blocks
        assert all(len(set(block.shape.quantities)) == len(block.shape.quantities) for block in blocks)
        pack(blocks[:500])
        json.dumps([event.body for event in answer.events], allow_nan=False)
        assert [fault for event in answer.events for fault in faults(event.kind, event.body)] == []
        assert all(len(event.id) < 300 and event.kind for event in answer.events)


async def results(version: str, seconds: float, seed: int) -> int:
    """Spoilt results for whatever the driver asks while it sets a pile up and steers it; how many orders were refused or failed."""
    chance, clock, faults = random.Random(seed), Clock(), 0
    devices = [{**DEVICE, "model": "ocpp_v2g_pile", "safe_power_kw": 5.0, "writes_per_day": 100_000}]
    async with Bench(clock, None, devices, timeout_s=0.1) as bench, raw(bench.url, version=version) as spoiling:
        answering = asyncio.create_task(_answer(spoiling, chance))
        await bench.until(lambda: bench.driver.pile("CP-1").connected)
        pile = bench.driver.pile("CP-1")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            clock.forward(chance.choice((0, 1, 700)))
            pile.told.started(f"{chance.randrange(5)}", 1, clock(), "T", None)
            try:
                if chance.random() < 0.5:
                    await pile.set_up()
                point = chance.choice(sorted(bench.plans["cp1"].point_names))
                value = chance.choice((None, 0.0, 3.3, 50.0))
                await bench.driver.write(bench.plans["cp1"], point, value, chance.choice((1, 60, 5000)))
                await pile.steer()
            except DriverError:
                faults += 1
        answering.cancel()
    return faults


async def _answer(spoiling: Raw, chance: random.Random) -> None:
    while True:
        asked = json.loads(await spoiling.socket.recv())
        if asked[0] != 2:
            continue
        answer = [3, asked[1], spoilt(chance.choice(ANSWERS), chance)]
        await spoiling.socket.send(json.dumps(spoilt(answer, chance) if chance.random() < 0.05 else answer))
