"""Spoiled M-Bus telegrams for codec and driver, seeded, for as long as is wanted. What must hold is asserted here; how long is the caller's choice."""

import asyncio
import random
import time
import tomllib
from pathlib import Path

from far_end import Parts, on_tcp

from edge_agent import meter
from edge_agent.drivers.driver import DriverError, Gateway
from edge_agent.drivers.mbus import frame, telegram
from edge_agent.drivers.mbus.declared import DECLARED, Bus, Device
from edge_agent.drivers.mbus.frame import FrameFault
from edge_agent.drivers.mbus.telegram import TelegramFault
from edge_agent.drivers.table import open_driver

FRAMES = Path(__file__).parents[1] / "frames"
MODELS = [name for name in meter.shipped() if meter.load(name).protocol == "mbus"]
GOLDEN = {
    name: bytes.fromhex("".join(tomllib.loads(path.read_text())["exchange"][0]["answer"].split()))
    for name in MODELS
    for path in (FRAMES / name).glob("*.toml")
}


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


def telegrams(seconds: float, seed: int) -> int:
    """The codec alone: how many spoiled telegrams were still read to their end."""
    chance, until_s, seen = random.Random(seed), time.monotonic() + seconds, 0
    golden = list(GOLDEN.values())
    while time.monotonic() < until_s:
        raw = spoiled(chance.choice(golden), chance, honest_sum=chance.random() < 0.9)
        try:
            found = frame.find_answer(raw, acknowledgement=False)
            if found is not None:
                told = frame.parse(raw[found[0] : found[1]])
                assert told.ci is not None
                telegram.parse(told.ci, told.data)
                seen += 1
        except (FrameFault, TelegramFault):
            continue
    return seen


async def line(seconds: float, seed: int) -> int:
    """A driver at a spoiling line: answers or driver errors, and it reads again when the line is honest. How many readings were tried."""
    chance, honest, access = random.Random(seed), False, 0
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
        until_s, reads = loop.time() + seconds, 0
        while loop.time() < until_s:
            reads += 1
            try:
                async with asyncio.timeout(10):
                    await driver.read(plan)
            except DriverError:
                continue
        honest, answer = True, None
        for _ in range(20):
            try:
                answer = await driver.read(plan)
                break
            except DriverError:
                continue
        await driver.close()
    assert answer is not None
    assert answer.blocks
    return reads
