"""The package dlt645, which others wrote, as meter for our driver and as reader of our simulator.

Its quirks (seen with 3.2.0): it sends an address in the order of the digits, so it is given the digits turned round; it knows no data blocks and
answers them as "no such data"; a question to another address it refuses where a meter would stay silent.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from metered_line import metered_line, values_of

from edge_agent import meter
from edge_agent.drivers.driver import DeviceRefused, Gateway
from edge_agent.drivers.table import declared, open_driver

dlt645 = pytest.importorskip("dlt645.aio", reason="the peer dlt645 is not installed")

ADDRESS = "000012345678"


def turned(address: str) -> str:
    """The digits pair by pair from behind."""
    return bytes.fromhex(address)[::-1].hex()


SHOWN = {
    0x00010000: ("energy_import_kwh", 123456.78),
    0x00020000: ("energy_export_kwh", 0.01),
    0x02010100: ("voltage_l1_v", 231.4),
    0x02020200: ("current_l2_a", 12.345),
    0x02030000: ("active_power_kw", -8.4213),
    0x02040000: ("reactive_power_kvar", 1.0002),
    0x02060000: ("power_factor_ratio", -0.993),
}


async def test_our_driver_reads_the_meter_of_the_package() -> None:
    served = dlt645.AsyncMeterServerService.new_tcp_server("127.0.0.1", 0)
    served.set_address(turned(ADDRESS))
    for identifier, (_, value) in SHOWN.items():
        (served.set_00 if identifier < 0x01000000 else served.set_02)(identifier, value)
    async with served:
        spoken = declared("dlt645")
        device = spoken.device(name="meter", model="dlt645_three_phase", address=ADDRESS)  # type: ignore[call-arg]
        other = spoken.device(name="other", model="dlt645_three_phase", address="1")  # type: ignore[call-arg]
        bus = spoken.bus(  # type: ignore[call-arg]
            name="line",
            protocol="dlt645",
            device=[device, other],
            host="127.0.0.1",
            port=served.server.port,
            baud=115200,
            timeout_s=1.0,
        )
        driver = open_driver(bus, Gateway(lambda: 1_800_000_000_000))
        model = meter.load("dlt645_three_phase")
        try:
            values = values_of(await driver.read(spoken.plan(bus, device, model)))
            assert {name: values[name] for name, _ in SHOWN.values()} == dict(SHOWN.values())
            again = await driver.read(spoken.plan(bus, device, model))
            assert again.faults == []
            with pytest.raises(DeviceRefused, match="other error"):
                await driver.read(spoken.plan(bus, other, model))
        finally:
            await driver.close()


async def test_the_package_reads_our_simulator(tmp_path: Path) -> None:
    site: dict[str, Any] = {
        "plant": [
            {
                "name": "works",
                "load": {"kind": "synthetic", "base_kw": 40, "peak_kw": 40, "noise_ratio": 0},
                "device": [{"name": "incomer", "kind": "dlt645_three_phase", "measures": "grid", "address": ADDRESS}],
            }
        ]
    }
    async with metered_line(tmp_path, site, "dlt645", {"incomer": "dlt645_three_phase"}) as line:
        line.at_ms += 3_600_000
        place = line.listed("incomer")
        client = dlt645.AsyncMeterClientService.new_tcp_client(place["host"], place["port"], timeout=2.0)
        assert client.set_address(turned(ADDRESS))
        async with client:
            energy = await asyncio.wait_for(client.read_00(0x00010000), 5)
            power = await asyncio.wait_for(client.read_02(0x02030000), 5)
            volts = await asyncio.wait_for(client.read_02(0x02010100), 5)
            address = await asyncio.wait_for(client.read_address(), 5)
        assert energy.value == pytest.approx(40.0)
        assert power.value == pytest.approx(40.0)
        assert volts.value == pytest.approx(230, abs=2.5)
        assert turned(address.value) == ADDRESS
