"""Spoiled Modbus TCP answers, and SunSpec chains of any shape, seeded, for as long as is wanted. What must hold is asserted here."""

import asyncio
import random
import struct
import time

from far_end import Parts, on_tcp
from spoilt_bytes import spoilt

from edge_agent import meter
from edge_agent.drivers.driver import DriverError, Gateway
from edge_agent.drivers.modbus import sunspec
from edge_agent.drivers.modbus.declared import ModbusPlan, fields
from edge_agent.drivers.modbus.registers import Field
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp

NUMBER = Field("answer_serial_1", "holding", 100, "uint32")
PLAN = ModbusPlan("m", 1, (NUMBER,))
TRUE = 123_456
MOST_READS = 3 + 64 + 1  # three places for the mark, the longest chain, its end
SUNSPEC = fields(meter.load("sunspec"))


def answered(request: bytes) -> bytes:
    """What an honest device says to a question for registers: each pair of them is the number."""
    transaction, _, _, unit, function, _, count = struct.unpack(">HHHBBHH", request[:12])
    data = (struct.pack(">I", TRUE) * count)[: 2 * count]
    return struct.pack(">HHHBBB", transaction, 0, 3 + len(data), unit, function, len(data)) + data


async def answers(seconds: float, seed: int) -> tuple[int, int]:
    """A driver at a device that spoils six answers of ten: readings tried, and how many gave the right number. It recovers at once."""
    chance, honest = random.Random(seed), False

    def react(request: bytes) -> Parts:
        if len(request) < 12:
            return []
        raw = answered(request)
        if honest or chance.random() < 0.4:
            return [(0, raw)]
        raw = spoilt(raw, chance) + (raw if chance.random() < 0.2 else b"")
        half = chance.randrange(len(raw) + 1)
        return [(0, raw[:half]), (chance.choice((0.0, 0.0, 0.01, 0.06)), raw[half:])]

    reads = right = 0
    async with on_tcp(react) as end:
        driver = ModbusTcp(Endpoint("127.0.0.1", end.port, timeout_s=0.05), Gateway(lambda: 1))
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            reads += 1
            try:
                async with asyncio.timeout(10):
                    answer = await driver.read(PLAN)
            except DriverError:
                continue
            right += bool(answer.blocks) and answer.blocks[0].columns[0][0] == TRUE
        honest, blocks = True, []
        for _ in range(20):
            try:
                blocks = (await driver.read(PLAN)).blocks
                break
            except DriverError:
                continue
        await driver.close()
    assert blocks[0].columns == ((TRUE,),)
    return reads, right


def chain(chance: random.Random) -> None:
    """One walk along a chain with wrong marks, lengths, ids, silences, loops and short answers: a chain or a DriverError, soon."""
    memory = dict.fromkeys(range(40_000, 40_400), 0xFFFF)
    address = 40_000
    for word in struct.unpack(">2H", b"SunS"):
        memory[address] = word
        address += 1
    for _ in range(chance.randrange(12)):
        length = chance.choice((66, 50, 105, 2, 0, 1, 200, chance.randrange(0x10000)))
        memory[address], memory[address + 1] = chance.choice((1, 103, 203, 701, chance.randrange(0x10000))), length
        for at in range(address + 2, address + 2 + min(length, 300)):
            memory[at & 0xFFFF] = chance.randrange(0x10000)
        address = (address + 2 + length) & 0xFFFF
    for _ in range(chance.randrange(3)):
        memory[chance.choice(list(memory))] = chance.randrange(0x10000)
    reads = 0

    async def read(start: int, count: int) -> bytes:
        nonlocal reads
        reads += 1
        assert reads <= MOST_READS, "the walk does not end"
        assert 0 <= start <= 0xFFFF
        assert start + count <= 0x10000
        if chance.random() < 0.01:
            raise DriverError("out of order")
        return b"".join(memory.get(at, 0).to_bytes(2, "big") for at in range(start, start + count))

    try:
        found = asyncio.run(_walked(read))
    except DriverError:
        return
    assert len(found.models) <= 64
    there, _ = sunspec.placed(SUNSPEC, found)
    for one in there:
        place = next(
            (place for place in found.models.values() if place.address <= one.address < place.address + place.end), None
        )
        assert one.model_block is None or place is not None
    sunspec.identity(chance.randbytes(chance.randrange(2 * sunspec.IDENTITY_WORDS + 1)))


async def _walked(read: sunspec.ReadRegisters) -> sunspec.Chain:
    return await sunspec.walk(read, "pv")
