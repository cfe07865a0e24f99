"""The BACnet driver before a device that shares no line of code with it, on a network with broadcasts, and killed while it holds a point."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bacnet_peer import LibraryDevice, commandable_value, free_udp_port
from node_bacnet_peer import line, node

from edge_agent.drivers.bacnet import declared
from edge_agent.drivers.bacnet.declared import Bus, Device, Model, Point, Row
from edge_agent.drivers.bacnet.driver import BacnetDriver, open_driver
from edge_agent.drivers.declared import Manual
from edge_agent.drivers.driver import Gateway
from wire.block import scaled

MODEL = Model(
    maker="any",
    model="any",
    manual=Manual(title="", edition=""),
    row=[
        Row(quantity="active_power_kw", object="analog-input,1", cov=True),
        Row(quantity="temperature_setpoint_degc", object="analog-value,1"),
    ],
    point=[Point(name="setpoint", object="analog-value,1", unit="degC")],
)
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def opened() -> AsyncIterator[list[BacnetDriver]]:
    made: list[BacnetDriver] = []
    yield made
    for driver in made:
        await driver.close()


def driver_of(port: int, made: list[BacnetDriver]) -> tuple[BacnetDriver, declared.BacnetPlan]:
    device = Device(name="d", model="any", instance=4711, host="127.0.0.1", port=port)
    bus = Bus(name="b", protocol="bacnet_ip", device=[device], interface="127.0.0.1", port=0, timeout_s=2.0)
    made.append(open_driver(bus, Gateway(lambda: 1_800_000_000_000)))
    return made[-1], declared.plan(bus, device, MODEL)


async def test_a_device_of_node_bacnet_is_read_one_by_one_and_written_by_priority(opened: list[BacnetDriver]) -> None:
    port = free_udp_port()
    async with node("node_bacnet_device.js", port, 4711) as process:
        assert (await line(process))["listening"]
        driver, plan = driver_of(port, opened)
        for _ in range(2):
            answer = await driver.read(plan)
            values = {
                quantity: scaled(block.columns[index][0], block.shape.exponents[index])
                for block in answer.blocks
                for index, quantity in enumerate(block.shape.quantities)
            }
            assert values == {"active_power_kw": 1.2345, "temperature_setpoint_degc": 18.5}
        assert driver._devices["d"].subscriptions.refusals()  # it knows no SubscribeCOV
        written = await driver.write(plan, "setpoint", 21.5, 60.0)
        assert (written.delivered, written.before, written.after) == (True, 18.5, 21.5)
        assert await line(process) == {"priority": 12, "value": 21.5}
        released = await driver.write(plan, "setpoint", None, 60.0)
        assert (released.delivered, released.after) == (True, 18.5)
        assert await line(process) == {"priority": 12, "value": None}


# ---- a network with broadcasts

INSIDE = """
import asyncio, json, subprocess, sys
sys.path[:0] = [{root!r}, {plants!r}]
run = lambda *words: subprocess.run(words, check=True)
run("ip", "link", "set", "lo", "up")
run("ip", "link", "add", "bac0", "type", "veth", "peer", "name", "bac1")
run("ip", "addr", "add", "10.99.0.1/24", "dev", "bac0")
run("ip", "link", "set", "bac0", "up")
there = subprocess.Popen(["unshare", "-n", sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"], stdout=subprocess.PIPE)
there.stdout.readline()
run("ip", "link", "set", "bac1", "netns", str(there.pid))
inside = ["nsenter", "-t", str(there.pid), "-n"]
run(*inside, "ip", "addr", "add", "10.99.0.2/24", "dev", "bac1")
run(*inside, "ip", "link", "set", "bac1", "up")
device = subprocess.Popen([*inside, sys.executable, "-c", {device!r}], stdout=subprocess.PIPE)
device.stdout.readline()

from edge_agent.drivers.bacnet import declared
from edge_agent.drivers.bacnet.declared import Bus, Device, Model, Row
from edge_agent.drivers.bacnet.driver import open_driver
from edge_agent.drivers.declared import Manual
from edge_agent.drivers.driver import DeviceUnreachable, Gateway

async def main():
    devices = [Device(name=name, model="any", instance=instance) for name, instance in (("here", 4711), ("nowhere", 4712))]
    bus = Bus(name="b", protocol="bacnet_ip", device=devices, interface="10.99.0.1/24", timeout_s=2.0)
    assert not list(declared.bus_faults(bus))
    model = Model(maker="a", model="b", manual=Manual(title="", edition=""), row=[Row(quantity="active_power_kw", object="analog-input,1")])
    driver = open_driver(bus, Gateway(lambda: 1))
    found = await driver.read(declared.plan(bus, devices[0], model))
    try:
        await driver.read(declared.plan(bus, devices[1], model))
        missed = ""
    except DeviceUnreachable as error:
        missed = str(error)
    await driver.close()
    print(json.dumps({{"value": found.blocks[0].columns[0][0], "missed": missed}}), flush=True)

try:
    asyncio.run(main())
finally:
    device.kill(); there.kill(); device.wait(); there.wait()
"""

DEVICE = """
import asyncio
from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.analog import AnalogInputObject
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import IPv4Address

async def main():
    app = NormalApplication(DeviceObject(objectIdentifier=("device", 4711), objectName="d", vendorIdentifier=999), IPv4Address("10.99.0.2/24:47808"))
    app.add_object(AnalogInputObject(objectIdentifier=("analog-input", 1), objectName="p", presentValue=77.5, units="kilowatts", eventState="normal", outOfService=False, covIncrement=1.0))
    await app.normal.server._local_transport_ready.wait()
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def _namespaces() -> bool:
    """Whether this machine lets us make a network of our own."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return False
    return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(
    not _namespaces(), reason="no network namespaces here: unshare, nsenter or ip is missing or forbidden"
)
def test_a_device_is_found_by_its_instance_on_a_network_with_broadcasts() -> None:
    script = textwrap.dedent(INSIDE).format(root=str(ROOT), plants=str(ROOT / "tests" / "plants"), device=DEVICE)
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["value"] == 77.5
    assert "device 4712: nobody says to be it" in told["missed"]


# ---- kill -9

HOLDS = """
import asyncio, sys
sys.path[:0] = [{root!r}, {plants!r}, {here!r}]
from test_bacnet_peers import driver_of

async def main():
    driver, plan = driver_of({port}, [])
    written = await driver.write(plan, "setpoint", 25.0, 60.0)
    print(written.delivered, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_what_a_killed_agent_has_written_stays_until_the_next_one_gives_it_back(
    opened: list[BacnetDriver],
) -> None:
    """BACnet has no timer of its own: fallback "none", so such a point is only for what is harmless at its last value."""
    device = await LibraryDevice(4711, [commandable_value(1, 18.0, "degrees-celsius")]).settle()
    here = str(Path(__file__).parent)
    script = HOLDS.format(root=str(ROOT), plants=str(ROOT / "tests" / "plants"), here=here, port=device.port)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"True\n"
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert device.thing("value 1").presentValue == 25.0
        driver, plan = driver_of(device.port, opened)
        (released,) = await driver.release_all(plan)
        assert (released.delivered, released.before, released.after) == (True, 25.0, 18.0)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        device.close()
