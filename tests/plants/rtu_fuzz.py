"""Spoiled Modbus RTU answers for as long as is wanted, seeded. What must hold is asserted here; how long is the caller's choice."""

import random
import struct
import time

from far_end import Parts, on_pty

from edge_agent.drivers.driver import DriverError, Gateway
from edge_agent.drivers.modbus.rtu import RtuLink
from edge_agent.drivers.modbus.rtu_frame import Expected
from edge_agent.drivers.serial_line import Line, Wiring


def checksum(data: bytes) -> bytes:
    """By the letter: MODBUS over Serial Line V1.02, 6.2.2."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return struct.pack("<H", crc)


def answer(unit: int, function: int, data: bytes) -> bytes:
    body = bytes((unit, function, len(data))) + data
    return body + checksum(body)


def spoiled(frame: bytes, chance: random.Random) -> bytes:
    """A frame changed, cut, doubled, between noise, or left alone."""
    kind = chance.randrange(7)
    if kind == 0 and frame:
        at = chance.randrange(len(frame))
        return frame[:at] + bytes((frame[at] ^ 1 << chance.randrange(8),)) + frame[at + 1 :]
    if kind == 1:
        return frame[: chance.randrange(len(frame) + 1)]
    if kind == 2:
        return frame + frame
    if kind == 3:
        return chance.randbytes(chance.randrange(20)) + frame + chance.randbytes(chance.randrange(20))
    if kind == 4:
        return chance.randbytes(chance.randrange(300))
    if kind == 5 and len(frame) > 4:
        at = chance.randrange(len(frame))
        return frame[:at] + chance.randbytes(chance.randrange(1, 4)) + frame[at:]
    return frame


def frames(seconds: float, seed: int) -> int:
    """The parser alone: never another error, and what it finds is whole, ours and sound. Gives the number of inputs."""
    chance, deadline, inputs = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        unit, function, count = chance.randrange(1, 4), chance.choice((3, 4)), chance.randrange(1, 126)
        expected = Expected.to_read(unit, function, count)
        parts = [
            spoiled(
                answer(
                    chance.randrange(1, 4),
                    chance.choice((3, 4, 0x83)),
                    chance.randbytes(2 * chance.choice((count, 1, 5))),
                ),
                chance,
            )
            for _ in range(chance.randrange(4))
        ]
        received = b"".join(parts)
        found, length = expected.find(received), expected.complete(received)
        assert (found is None) == (length is None)
        expected.saw(received)
        if found is not None:
            assert length is not None
            assert received[:length].endswith(found)
            assert found[0] == unit
            assert checksum(found[:-2]) == found[-2:]
            assert (found[1], found[2], len(found)) == (function, 2 * count, 5 + 2 * count) or (
                found[1] == function | 0x80 and len(found) == 5
            )
        inputs += 1
    return inputs


async def line(seconds: float, seed: int) -> tuple[int, int]:
    """The line and the driver's link: only DriverErrors, only right registers, no growing buffer. Gives reads and how many were answered.

    A register holds its own address; a frame may be changed only where its checksum tells.
    """
    chance = random.Random(seed)

    def react(request: bytes) -> Parts:
        if len(request) != 8:
            return []
        unit, function, start, count = struct.unpack(">BBHH", request[:6])
        frame = answer(unit, function, struct.pack(f">{count}H", *range(start, start + count)))
        said = spoiled(frame, chance) if chance.random() < 0.6 else frame
        cut = chance.randrange(len(said) + 1)
        return [(chance.choice((0.0, 0.0, 0.0, 0.01, 0.04)), said[:cut]), (0.0, said[cut:])]

    reads = answered = 0
    async with on_pty(react) as end:
        own = Line(Wiring(serial=end.path, baud=115_200))
        link, deadline = RtuLink(own, Gateway(lambda: 0), 0.03), time.monotonic() + seconds
        while time.monotonic() < deadline:
            start, count = 100 * chance.randrange(5), chance.choice((2, 2, 4, 80))
            reads += 1
            try:
                data = await link.registers("meter", chance.randrange(1, 3), "holding", start, count)
            except DriverError:
                continue
            assert struct.unpack(f">{count}H", data) == tuple(range(start, start + count))
            answered += 1
        link.close()
    return reads, answered
