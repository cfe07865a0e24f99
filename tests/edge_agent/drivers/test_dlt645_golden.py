"""Golden frames of the DL/T 645 and CJ/T 188 models: what was recorded, published or made by hand is asked and understood, byte by byte.

Each file in tests/frames/<model>/ holds questions and answers and the values that they mean. Whatever else a driver asks is refused.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from far_end import Parts, on_tcp

from edge_agent import meter
from edge_agent.drivers.driver import DeviceRefused, Gateway
from edge_agent.drivers.table import declared, open_driver
from wire.block import scaled

FRAMES = Path(__file__).parents[2] / "frames"
ON_LINES = [name for name in meter.shipped() if meter.load(name).protocol in {"dlt645", "cjt188"}]
FILES = sorted(path for name in ON_LINES for path in (FRAMES / name).glob("*.toml"))


def summed(frame: bytes) -> bytes:
    return frame + bytes((sum(frame) % 256, 0x16))


def dlt645_refusal(asked: bytes) -> bytes:
    """D1 (1997: C1) with "no such data"."""
    bare = asked.lstrip(b"\xfe")
    return summed(bare[:8] + bytes((bare[8] | 0xC0, 1, 0x02 + 0x33)))


def cjt188_refusal(asked: bytes) -> bytes:
    """C1 with the serial number of the question and a status word."""
    bare = asked.lstrip(b"\xfe")
    return summed(bare[:9] + bytes((0xC1, 3, bare[13], 0, 0)))


REFUSALS: dict[str, Callable[[bytes], bytes]] = {"dlt645": dlt645_refusal, "cjt188": cjt188_refusal}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_golden_frame_is_asked_for_and_means_what_it_says(path: Path) -> None:
    golden = tomllib.loads(path.read_text())
    assert golden["source"]
    answers = {bytes.fromhex(e["asked"]): bytes.fromhex(e["answer"]) for e in golden["exchange"]}
    model = meter.load(path.parent.name)
    spoken = declared(model.protocol)
    asked: set[bytes] = set()

    def react(request: bytes) -> Parts:
        asked.add(request)
        return [(0, answers.get(request) or REFUSALS[model.protocol](request))]

    async with on_tcp(react) as end:
        values = await read_all(spoken, model.protocol, path.parent.name, golden["address"], end.port)
    assert answers.keys() <= asked
    assert {name: values[name] for name in golden["values"]} == golden["values"]


async def read_all(spoken: Any, protocol: str, model: str, address: str, port: int) -> dict[str, float | None]:
    """All values of a model; a CJ/T 188 question is asked again until its serial number is the golden one."""
    device = spoken.device(name="meter", model=model, address=address)
    bus = spoken.bus(
        name="line", protocol=protocol, device=[device], host="127.0.0.1", port=port, baud=115200, timeout_s=1
    )
    driver = open_driver(bus, Gateway(lambda: 1_800_000_000_000))
    plan = spoken.plan(bus, device, meter.load(model))
    try:
        for _ in range(3):
            try:
                answer = await driver.read(plan)
            except DeviceRefused:
                continue
            return {
                quantity: scaled(block.columns[index][0], block.shape.exponents[index])
                for block in answer.blocks
                for index, quantity in enumerate(block.shape.quantities)
            }
    finally:
        await driver.close()
    raise AssertionError("every question was refused")


@pytest.mark.parametrize("name", ON_LINES)
def test_every_model_on_a_line_has_a_golden_frame(name: str) -> None:
    assert list((FRAMES / name).glob("*.toml"))
