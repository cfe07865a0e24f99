"""Golden frames of the M-Bus models: each telegram, sent byte by byte by a plain socket, means what it says.

They are made by hand in the order and coding of telegrams that were recorded from the product (named in each file), with values of our own.
"""

import tomllib
from pathlib import Path

import pytest
from far_end import Parts, on_tcp
from mbus_peer import meterbus

from edge_agent import meter
from edge_agent.drivers.driver import Gateway
from edge_agent.drivers.mbus import frame, telegram
from edge_agent.drivers.mbus.declared import DECLARED, Bus, Device, Model
from edge_agent.drivers.table import open_driver
from wire.block import scaled

FRAMES = Path(__file__).parents[2] / "frames"
MODELS = [name for name in meter.shipped() if meter.load(name).protocol == "mbus"]
FILES = sorted(path for name in MODELS for path in (FRAMES / name).glob("*.toml"))


def test_every_model_has_a_golden_frame() -> None:
    assert {path.parent.name for path in FILES} == set(MODELS)
    assert len(MODELS) >= 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_golden_telegram_means_what_it_says(path: Path) -> None:
    golden, name = tomllib.loads(path.read_text()), path.parent.name
    assert golden["source"]
    (exchange,) = golden["exchange"]
    asked, answer = bytes.fromhex(exchange["asked"]), bytes.fromhex("".join(exchange["answer"].split()))
    model = meter.load(name)
    assert isinstance(model, Model)
    assert len(answer) <= model.frame_bytes

    def react(request: bytes) -> Parts:
        if request[1] == 0x40:
            return [(0, b"\xe5")]
        return [(0, answer)] if request == asked else []

    async with on_tcp(react) as end:
        device = Device(name="m", model=name, primary=asked[2])
        bus = Bus(name="b", protocol="mbus", device=[device], host="127.0.0.1", port=end.port, baud=38400)
        driver = open_driver(bus, Gateway(lambda: 1_700_000_000_000))
        try:
            (block,) = (await driver.read(DECLARED.plan(bus, device, meter.load(name)))).blocks
        finally:
            await driver.close()
    values = {
        quantity: scaled(column[0], exponent)
        for quantity, exponent, column in zip(block.shape.quantities, block.shape.exponents, block.columns, strict=True)
    }
    assert values == {**golden["values"], **dict.fromkeys(golden.get("none", ()))}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_pymeterbus_takes_the_same_number_of_records_from_it(path: Path) -> None:
    (exchange,) = tomllib.loads(path.read_text())["exchange"]
    raw = bytes.fromhex("".join(exchange["answer"].split()))
    seen = frame.parse(raw)
    assert seen.ci is not None
    ours = telegram.parse(seen.ci, seen.data)
    theirs = meterbus().load(raw).body.bodyPayload.records
    assert len(theirs) - (1 if ours.makers or ours.more else 0) == len(ours.records)
