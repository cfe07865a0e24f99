"""M-Bus codec and driver fed with a minute of spoiled telegrams each: a value, a DriverError or a TelegramFault, and no hang."""

import asyncio
import random
import time
import tomllib
import tracemalloc
from pathlib import Path

import pytest
from far_end import Parts, on_tcp

from edge_agent import meter
from edge_agent.drivers.driver import DriverError, Gateway
from edge_agent.drivers.mbus import frame, telegram
from edge_agent.drivers.mbus.declared import DECLARED, Bus, Device
from edge_agent.drivers.mbus.frame import FrameFault
from edge_agent.drivers.mbus.telegram import TelegramFault
from edge_agent.drivers.table import open_driver

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
FRAMES = Path(__file__).parents[2] / "frames"
MODELS = [name for name in meter.shipped() if meter.load(name).protocol == "mbus"]
GOLDEN = {
    name: bytes.fromhex("".join(tomllib.loads(path.read_text())["exchange"][0]["answer"].split()))
    for name in MODELS
    for path in (FRAMES / name).glob("*.toml")
}
MINUTE_S = 60.0


def spoiled(raw: bytes, chance: random.Random, *, honest_sum: bool) -> bytes:
    """Some bytes changed, doubled, dropped or put in; with an honest sum the frame around them is right again."""
    data = bytearray(raw[4:-2] if honest_sum else raw)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data))
        what = chance.randrange(4)
        if what == 0:
            data[at] = chance.randrange(256)
        elif what == 1:
            del data[at : at + chance.randrange(1, 4)]
        elif what == 2:
            data[at:at] = chance.randbytes(chance.randrange(1, 4))
        else:
            data[at] ^= 1 << chance.randrange(8)
        if len(data) < 4:
            break
    if not honest_sum:
        return bytes(data)
    data = data[:255]
    return bytes([0x68, len(data), len(data), 0x68]) + bytes(data) + bytes([sum(data) % 256, 0x16])


def test_spoiled_telegrams_give_records_or_a_fault_and_no_memory_is_kept() -> None:
    chance, until_s, seen = random.Random(1), time.monotonic() + MINUTE_S, 0
    tracemalloc.start()
    while time.monotonic() < until_s:
        raw = spoiled(chance.choice(list(GOLDEN.values())), chance, honest_sum=chance.random() < 0.9)
        try:
            found = frame.find_answer(raw, acknowledgement=False)
            if found is not None:
                told = frame.parse(raw[found[0] : found[1]])
                assert told.ci is not None
                telegram.parse(told.ci, told.data)
                seen += 1
        except (FrameFault, TelegramFault):
            continue
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen > 100
    assert kept < 5_000_000


async def test_a_driver_at_a_spoiling_line_gives_answers_or_driver_errors_and_recovers() -> None:
    chance, honest, access = random.Random(2), False, 0
    name = "kamstrup_multical_601"
    primary = GOLDEN[name][5]

    def react(request: bytes) -> Parts:
        nonlocal access
        access += 1
        if request[1] == frame.SND_NKE:
            return [(0, b"\xe5")] if honest or chance.random() < 0.8 else [(0, chance.randbytes(3))]
        fresh = bytearray(GOLDEN[name])
        fresh[15] = access % 256
        fresh[-2] = sum(fresh[4:-2]) % 256
        if honest:
            return [(0, bytes(fresh))]
        raw = spoiled(bytes(fresh), chance, honest_sum=chance.random() < 0.6)
        half = chance.randrange(len(raw) + 1)
        return [(0, raw[:half]), (chance.choice((0.0, 0.01, 0.15)), raw[half:])]

    async with on_tcp(react) as end:
        device = Device(name="m", model=name, primary=primary)
        bus = Bus(
            name="b", protocol="mbus", device=[device], host="127.0.0.1", port=end.port, baud=115_200, timeout_s=0.1
        )
        driver = open_driver(bus, Gateway(lambda: 1))
        plan = DECLARED.plan(bus, device, meter.load(name))
        loop = asyncio.get_running_loop()
        until_s, reads = loop.time() + MINUTE_S, 0
        while loop.time() < until_s:
            reads += 1
            try:
                async with asyncio.timeout(5):
                    await driver.read(plan)
            except DriverError:
                continue
        honest = True
        for _ in range(5):
            try:
                answer = await driver.read(plan)
                break
            except DriverError:
                continue
        await driver.close()
    assert reads > 50
    assert answer.blocks
