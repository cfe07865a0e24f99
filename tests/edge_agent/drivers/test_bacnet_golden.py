"""Golden exchanges of the BACnet models: each file's answers, given to the driver's questions over a socket, become the values of its manual."""

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edge_agent import meter
from edge_agent.drivers.bacnet import declared
from edge_agent.drivers.bacnet.declared import Bus, Device, Model
from edge_agent.drivers.bacnet.driver import open_driver
from edge_agent.drivers.driver import Gateway
from wire.block import scaled

FRAMES = Path(__file__).parents[2] / "frames"
PRODUCTS = [name for name in meter.shipped() if isinstance(model := meter.load(name), Model) and model.maker != "any"]


class Replayer(asyncio.DatagramProtocol):
    """Answers each known question (service and parameters) with its recorded answer, under the invoke id that was asked with."""

    def __init__(self, exchanges: list[dict[str, str]]) -> None:
        self._answers = {bytes.fromhex(one["asked"]): bytes.fromhex(one["answered"]) for one in exchanges}
        self.unknown: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        apdu = data[6:]  # behind BVLC (4) and a local NPDU (2)
        answer = self._answers.get(apdu[3:])
        if answer is None:
            self.unknown.append(apdu.hex(" "))
            return
        frame = b"\x01\x00" + answer[:1] + apdu[2:3] + answer[1:]
        self._transport.sendto(b"\x81\x0a" + (len(frame) + 4).to_bytes(2, "big") + frame, addr)


def test_every_product_has_a_golden_exchange() -> None:
    assert len(PRODUCTS) >= 3
    assert [name for name in PRODUCTS if not (FRAMES / name / "recorded.toml").is_file()] == []


@pytest.mark.parametrize("name", PRODUCTS)
async def test_a_golden_exchange_gives_the_values_of_the_manual(name: str) -> None:
    golden = tomllib.loads((FRAMES / name / "recorded.toml").read_text(encoding="utf-8"))
    loop = asyncio.get_running_loop()
    transport, replayer = await loop.create_datagram_endpoint(
        lambda: Replayer(golden["exchange"]), local_addr=("127.0.0.1", 0)
    )
    device = Device(name="d", model=name, instance=1001, host="127.0.0.1", port=transport.get_extra_info("sockname")[1])
    bus = Bus(name="b", protocol="bacnet_ip", device=[device], interface="127.0.0.1", port=0, timeout_s=1.0)
    driver = open_driver(bus, Gateway(lambda: 1, synced=lambda: False))  # asks nobody for the time
    try:
        model = meter.load(name)
        assert isinstance(model, Model)
        answer = await driver.read(declared.plan(bus, device, model))
    finally:
        await driver.close()
        transport.close()
    assert replayer.unknown == []
    assert answer.faults == []
    values = {
        quantity: scaled(block.columns[index][0], block.shape.exponents[index])
        for block in answer.blocks
        for index, quantity in enumerate(block.shape.quantities)
    }
    assert values == golden["values"]
