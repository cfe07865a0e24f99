"""Golden frames of the Modbus models: RTU answers that were made by hand from manuals, recorded or published, read by the driver.

Each file in tests/frames/<model>/ holds questions and answers, byte by byte, and the values that they mean. What the driver asks need not be cut as
they are: the far end answers from the registers that the answers show, and refuses all others.
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


def image(golden: dict[str, Any]) -> dict[tuple[int, int], bytes]:
    """(function, address) -> register, out of the answers; each frame must be whole, sound and the answer to its question."""
    registers: dict[tuple[int, int], bytes] = {}
    for exchange in golden["exchange"]:
        asked, answer = bytes.fromhex(exchange["asked"]), bytes.fromhex(exchange["answer"])
        unit, function, start, count = struct.unpack(">BBHH", asked[:6])
        assert (asked[6:], answer[-2:]) == (checksum(asked[:6]), checksum(answer[:-2]))
        assert answer[:3] == bytes((unit, function, 2 * count))
        assert len(answer) == 5 + 2 * count
        assert Expected.to_read(unit, function, count).find(answer) == answer
        for index in range(count):
            registers[function, start + index] = answer[3 + 2 * index : 5 + 2 * index]
    return registers


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_golden_frame_means_what_it_says(path: Path) -> None:
    golden = tomllib.loads(path.read_text())
    assert golden["source"]
    registers = image(golden)

    def react(request: bytes) -> Parts:
        unit, function, start, count = struct.unpack(">BBHH", request[:6])
        wanted = [(function, at) for at in range(start, start + count)]
        if unit != golden["unit"]:
            return []
        if not all(at in registers for at in wanted):
            body = bytes((unit, function | 0x80, 2))
        else:
            body = bytes((unit, function, 2 * count)) + b"".join(registers[at] for at in wanted)
        return [(0, body + checksum(body))]

    async with on_tcp(react) as end:
        values = await _read(path.parent.name, golden["unit"], end.port)
    assert {name: values.get(name) for name in golden["values"]} == pytest.approx(golden["values"], rel=1e-9)


async def _read(name: str, unit: int, port: int) -> dict[str, float | None]:
    model, spoken = meter.load(name), declared("modbus_rtu")
    device = spoken.device(name="meter", model=name, unit=unit)  # type: ignore[call-arg]
    bus = spoken.bus(name="line", protocol="modbus_rtu", device=[device], host="127.0.0.1", port=port)  # type: ignore[call-arg]
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


def test_the_meters_that_speak_rtu_alone_have_golden_frames() -> None:
    """Those whose registers are tried in `test_meter.py` came before there were frames."""
    tried = {"abb_b23", "acrel_adl400", "carlo_gavazzi_em340", "eastron_sdm120", "eastron_sdm630", "janitza_umg96rm"}
    tried |= {"schneider_iem3155", "schneider_pm5560", "siemens_pac3200"}
    with_frames = {path.parent.name for path in FILES}
    assert {name for name in MODELS if not name.startswith("sunspec")} - tried <= with_frames
