"""Golden frames of the Modbus models: answers that were made by hand from manuals, recorded or published, read by the driver.

Each file in tests/frames/<model>/ holds questions and answers, byte by byte (RTU with its checksum, or with `framing = "tcp"` behind the header of
Modbus TCP), the values that they mean, and in `absent` what the device says that it has not. What the driver asks need not be cut as they are: the
far end answers from the registers that the answers show, and refuses all others.
"""

import struct
import tomllib
from pathlib import Path
from typing import Any

import pytest
from far_end import Parts, on_tcp

from edge_agent import meter
from edge_agent.drivers.driver import Gateway
from edge_agent.drivers.modbus.rtu_frame import Expected
from edge_agent.drivers.table import declared, open_driver
from wire.block import scaled

FRAMES = Path(__file__).parents[2] / "frames"
MODELS = [name for name in meter.shipped() if meter.load(name).protocol == "modbus"]
FILES = sorted(path for name in MODELS for path in (FRAMES / name).glob("*.toml"))


def checksum(data: bytes) -> bytes:
    """MODBUS over Serial Line V1.02, 6.2.2."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return struct.pack("<H", crc)


def unframed(frame: bytes, framing: str) -> bytes:
    """Unit, function and data of a frame that must be whole and sound."""
    if framing == "tcp":  # MODBUS Messaging on TCP/IP V1.0b, 3.1.3: transaction, protocol 0, length
        assert struct.unpack(">HH", frame[2:6]) == (0, len(frame) - 6)
        return frame[6:]
    assert frame[-2:] == checksum(frame[:-2])
    return frame[:-2]


def image(golden: dict[str, Any], framing: str) -> dict[tuple[int, int], bytes]:
    """(function, address) -> register, out of the answers; each frame must be whole, sound and the answer to its question."""
    registers: dict[tuple[int, int], bytes] = {}
    for exchange in golden["exchange"]:
        sent, received = bytes.fromhex(exchange["asked"]), bytes.fromhex(exchange["answer"])
        asked, answer = unframed(sent, framing), unframed(received, framing)
        unit, function, start, count = struct.unpack(">BBHH", asked)
        assert unit == golden["unit"]
        assert answer[:3] == bytes((unit, function, 2 * count))
        assert len(answer) == 3 + 2 * count
        if framing == "tcp":
            assert sent[:2] == received[:2], "the answer has the question's transaction number"
        else:
            assert Expected.to_read(unit, function, count).find(received) == received
        for index in range(count):
            registers[function, start + index] = answer[3 + 2 * index : 5 + 2 * index]
    return registers


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_golden_frame_means_what_it_says(path: Path) -> None:
    golden = tomllib.loads(path.read_text())
    assert golden["source"]
    framing = golden.get("framing", "rtu")
    registers = image(golden, framing)

    def react(request: bytes) -> Parts:
        header, request = (request[:6], request[6:]) if framing == "tcp" else (b"", request)
        unit, function, start, count = struct.unpack(">BBHH", request[:6])
        wanted = [(function, at) for at in range(start, start + count)]
        if unit != golden["unit"]:
            return []
        if not all(at in registers for at in wanted):
            body = bytes((unit, function | 0x80, 2))
        else:
            body = bytes((unit, function, 2 * count)) + b"".join(registers[at] for at in wanted)
        if framing == "tcp":
            return [(0, header[:4] + struct.pack(">H", len(body)) + body)]
        return [(0, body + checksum(body))]

    async with on_tcp(react) as end:
        values = await _read(path.parent.name, framing, golden["unit"], end.port)
    assert {name: values.get(name) for name in golden["values"]} == pytest.approx(golden["values"], rel=1e-9)
    absent = golden.get("absent", [])
    assert {name: values.get(name) for name in absent} == dict.fromkeys(absent)


async def _read(name: str, framing: str, unit: int, port: int) -> dict[str, float | None]:
    model, spoken = meter.load(name), declared(f"modbus_{framing}")
    device = spoken.device(name="meter", model=name, unit=unit)  # type: ignore[call-arg]
    bus = spoken.bus(name="line", protocol=f"modbus_{framing}", device=[device], host="127.0.0.1", port=port)  # type: ignore[call-arg]
    driver = open_driver(bus, Gateway(lambda: 1_800_000_000_000))
    try:
        answer = await driver.read(spoken.plan(bus, device, model))
    finally:
        await driver.close()
    return {
        quantity: scaled(block.columns[index][0], block.shape.exponents[index])
        for block in answer.blocks
        for index, quantity in enumerate(block.shape.quantities)
    }
