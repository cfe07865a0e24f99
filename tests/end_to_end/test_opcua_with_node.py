"""OPC UA against an implementation in another language: our driver reads node-opcua's server, node-opcua's client reads our simulator."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import node_opcua_peer
import pytest

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent.drivers.declared import Manual
from edge_agent.drivers.driver import DeviceRefused, DriverError, Gateway
from edge_agent.drivers.opcua import declared
from edge_agent.drivers.opcua.declared import Bus, Device, Model, Point, Row
from edge_agent.drivers.opcua.driver import OpcUa
from wire.reading import Quality, Reading

LIMIT_S = 20.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


MODEL = Model(
    maker="any",
    model="any",
    manual=Manual("t", "e"),
    protocol="opcua",
    namespaces={"": "urn:peer:line"},
    row=[
        Row(quantity="active_power_kw", path="Power", scale_exponent=-3),
        Row(quantity="energy_import_kwh", node="s={root}.Energy", scale_exponent=-3),
        Row(quantity="voltage_v", path="Volts", dead_band=0.5),
    ],
    point=[Point(name="limit", unit="kW", path="Limit"), Point(name="power", unit="kW", path="Power")],
)
PLAN = declared.plan(None, Device(name="press", model="m", root="Press1"), MODEL)


async def until(driver: OpcUa, readings: list[Reading], quantity: str, value: float | None) -> Reading:
    """Reads until a quantity has a value."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            answer = await driver.read(PLAN)
        except DriverError:
            answer = None
        readings += [] if answer is None else [r for block in answer.blocks for r in block.readings()]
        found = [r for r in readings if r.quantity == quantity]
        if found and found[-1].value == value:
            return found[-1]
        await asyncio.sleep(0.02)
    raise AssertionError(f"{quantity} is not {value} within {LIMIT_S} s: {readings[-5:]}")


async def test_our_driver_reads_and_writes_a_server_of_node_opcua() -> None:
    async with node_opcua_peer.running("node_opcua_server.js") as peer:
        listening = await peer.event()
        assert listening["event"] == "listening", listening
        bus = Bus(
            name="b", protocol="opcua", url=f"opc.tcp://127.0.0.1:{listening['port']}", publishing_ms=50.0, device=[]
        )
        driver, readings = OpcUa(bus, Gateway(now_ms)), list[Reading]()
        try:
            await peer.ask(set="Power", value=1500.0)
            await peer.ask(set="Energy", value=123456)
            await until(driver, readings, "active_power_kw", 1.5)
            reading = await until(driver, readings, "energy_import_kwh", 123.456)
            assert reading.quality is Quality.GOOD
            assert abs(reading.at_ms - now_ms()) < 10_000
            await peer.ask(set="Power", value=1750.0, status="BadSensorFailure")
            bad = await until(driver, readings, "active_power_kw", None)
            assert (bad.quality, bad.reason) == (Quality.BAD, "device-fault")
            await peer.ask(set="Power", value=2000.0)
            await until(driver, readings, "active_power_kw", 2.0)
            await peer.ask(set="Volts", value=230.0)
            await until(driver, readings, "voltage_v", 230.0)
            await peer.ask(set="Volts", value=230.3)  # within the dead-band
            await peer.ask(set="Volts", value=231.0)
            await until(driver, readings, "voltage_v", 231.0)
            assert 230.3 not in [r.value for r in readings]
            written = await driver.write(PLAN, "limit", 42.5, 60)
            assert (written.delivered, written.after) == (True, 42.5)
            assert (await peer.ask(get="Limit"))["value"] == 42.5
            with pytest.raises(DeviceRefused, match=r"BadNotWritable|BadUserAccessDenied"):
                await driver.write(PLAN, "power", 1.0, 60)
            assert driver.sessions == 1
        finally:
            await driver.close()


async def test_a_client_of_node_opcua_reads_our_simulator(tmp_path: Path) -> None:
    site: dict[str, Any] = {
        "plant": [
            {
                "name": "works",
                "load": {"kind": "synthetic", "base_kw": 80, "peak_kw": 80, "noise_ratio": 0},
                "bus": [{"name": "line", "protocol": "opcua", "update_s": 0.05}],
                "device": [{"name": "press", "kind": "opcua_machine", "measures": "load", "bus": "line"}],
            }
        ]
    }
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    log = tmp_path / "answers.jsonl"
    task = asyncio.create_task(serve(load_site(site), now_ms, log, 0, ready.set_result))
    try:
        (place,) = (await asyncio.wait_for(ready, 30))["devices"]
        nodes = ("press.ActivePower", "press.AnswerSerial")
        arguments = (place["url"], "urn:wattline:simulator:line", *nodes)
        async with node_opcua_peer.running("node_opcua_client.js", *arguments) as peer:
            serials, power = [], None
            deadline = time.monotonic() + LIMIT_S
            while len(serials) < 10 and time.monotonic() < deadline:
                event = await peer.event()
                assert event["event"] == "value", event
                if event["node"] == "press.AnswerSerial":
                    serials.append(event["value"])
                    assert abs(event["source_ms"] - now_ms()) < 10_000
                else:
                    power = event["value"]
        assert power == 80_000.0
        assert serials == list(range(serials[0], serials[0] + 10))
        # The log names exactly what that client has acknowledged.
        logged = [json.loads(line)["serial"] for line in log.read_text().splitlines()]
        assert logged == sorted(set(logged))
        assert set(logged) <= set(range(serials[0], serials[0] + 1000))
        assert set(serials[:5]) <= set(logged)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
