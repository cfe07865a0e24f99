"""Golden values of the OPC UA models: a server of the asyncua library with the variables that a companion specification names, read by the driver.

Each file in tests/frames/<model>/ holds variables (value and type, or the encoded body of a structure as bytes; a unit as UN/CEFACT code), the values that they
mean, and in `absent` what the server does not have.
"""

import asyncio
import time
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Server
from asyncua import ua as _ua

from edge_agent import meter
from edge_agent.drivers.driver import Gateway
from edge_agent.drivers.opcua import declared
from edge_agent.drivers.opcua.declared import Bus, Device, Model
from edge_agent.drivers.opcua.driver import OpcUa

pytestmark = pytest.mark.asyncio(loop_scope="module")
ua: Any = _ua
FRAMES = Path(__file__).parents[2] / "frames"
MODELS = [name for name in meter.shipped() if meter.load(name).protocol == "opcua"]
FILES = sorted(path for name in MODELS for path in (FRAMES / name).glob("*.toml"))
STRUCTURE = 5001  # any id: a client that does not know the type goes by the body
LIMIT_S = 20.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def url() -> AsyncIterator[str]:
    """A server that shows what all the files hold, each below an object of its own."""
    server: Any = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    for path in FILES:
        golden = tomllib.loads(path.read_text(encoding="utf-8"))
        index = await server.register_namespace(golden["namespace"])
        root = await server.nodes.objects.add_object(index, golden["root"])
        for one in golden["variable"]:
            await _show(root, index, f"{path.parent.name}.{path.stem}.{one['name']}", one)
    await server.start()
    yield f"opc.tcp://127.0.0.1:{server.bserver._server.sockets[0].getsockname()[1]}"
    for subscription in list(server.iserver.subscription_service.subscriptions.values()):
        await subscription.stop()
    for session in list(server.iserver._external_sessions.values()):
        await session.close_session(True)
    await server.stop()


async def _show(root: Any, index: int, name: str, one: dict[str, Any]) -> None:
    data_type = None
    if "body" in one:
        data_type = ua.NodeId(ua.ObjectIds.Structure)
        value = ua.ExtensionObject(ua.NodeId(STRUCTURE, index), bytes.fromhex(one["body"]))
        variant = ua.Variant(value, ua.VariantType.ExtensionObject)
    else:
        variant = ua.Variant(one["value"], getattr(ua.VariantType, one["type"]))
    named = ua.QualifiedName(one["name"], index)
    node = await root.add_variable(ua.NodeId(name, index), named, variant, datatype=data_type)
    if "unit" in one:  # OPC 10000-8, 5.6.3.1: the code's characters as a number
        unit = ua.EUInformation(UnitId=int.from_bytes(one["unit"].encode(), "big"))
        await node.add_property(ua.NodeId(f"{name}.unit", index), ua.QualifiedName("EngineeringUnits", 0), unit)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_golden_values_mean_what_the_specification_says(path: Path, url: str) -> None:
    golden = tomllib.loads(path.read_text(encoding="utf-8"))
    assert golden["source"]
    model = meter.load(path.parent.name)
    assert isinstance(model, Model)
    device = Device(name="d", model=path.parent.name, root=golden["root"])
    prefix = next(key for key, uri in model.namespaces.items() if uri == golden["namespace"])
    assert prefix == "", "the root is named without a prefix"
    bus = Bus(name="b", protocol="opcua", url=url, publishing_ms=20.0, timeout_s=4.0, device=[device])
    driver = OpcUa(bus, Gateway(lambda: time.time_ns() // 1_000_000))
    told: dict[str, float | None] = {}
    deadline = time.monotonic() + LIMIT_S
    try:
        while not golden["values"].keys() <= told.keys() and time.monotonic() < deadline:
            answer = await driver.read(declared.plan(bus, device, model))
            told |= {reading.quantity: reading.value for block in answer.blocks for reading in block.readings()}
            await asyncio.sleep(0.01)
    finally:
        await driver.close()
    assert {name: told.get(name) for name in golden["values"]} == pytest.approx(golden["values"], rel=1e-12)
    absent = golden.get("absent", [])
    assert {name: told.get(name) for name in absent} == dict.fromkeys(absent)
