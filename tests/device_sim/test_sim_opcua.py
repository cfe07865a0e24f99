"""The simulated OPC UA server as a plain client of asyncua sees it: objects, units, acknowledged serials; and what browsing it suggests."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client
from asyncua import ua as _ua

from device_sim.serve import serve
from device_sim.site import SiteFaults, load_site
from edge_agent.drivers.driver import DriverError, Gateway
from edge_agent.drivers.opcua.browse import Found, browse, suggested
from edge_agent.drivers.opcua.declared import Bus

pytestmark = pytest.mark.asyncio(loop_scope="module")
ua: Any = _ua
LINE = "urn:wattline:simulator:line"
SITE: dict[str, Any] = {
    "plant": [
        {
            "name": "works",
            "load": {"kind": "synthetic", "base_kw": 50, "peak_kw": 50, "noise_ratio": 0},
            "bus": [
                {
                    "name": "line",
                    "protocol": "opcua",
                    "update_s": 0.05,
                    "username": "op",
                    "password": "secret",
                }
            ],
            "device": [
                {"name": "press", "kind": "opcua_machine", "measures": "load", "bus": "line", "start_import_kwh": 7},
                {"name": "main", "kind": "opcua_ecm_meter", "measures": "load", "bus": "line"},
            ],
        }
    ]
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Served:
    url: str
    log_path: Path
    control_port: int

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.control_port)
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 5))
        writer.close()
        await writer.wait_closed()
        return answer


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    log_path = tmp_path_factory.mktemp("opcua") / "answers.jsonl"
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(load_site(SITE), now_ms, log_path, 0, ready.set_result))
    told = await asyncio.wait_for(ready, 30)
    yield Served(told["devices"][0]["url"], log_path, told["control_port"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture(loop_scope="module")
async def client(served: Served) -> AsyncIterator[Any]:
    made = Client(served.url)
    made.set_user("op")
    made.set_password("secret")
    async with made:
        yield made


async def test_each_machine_is_an_object_with_units(served: Served, client: Any) -> None:
    index = await client.get_namespace_index(LINE)
    power = client.get_node(f"ns={index};s=press.ActivePower")
    assert await power.read_value() == 50_000.0
    (unit,) = await power.get_properties()
    assert (await unit.read_value()).UnitId == 5723220  # UN/CEFACT WTT, as OPC 34100 writes it
    energy = client.get_node(f"ns={index};s=press.EnergyImport")
    assert await energy.read_value() >= 7000
    machine = await client.nodes.objects.get_child([f"{index}:Line", f"{index}:press"])
    names = {(await node.read_browse_name()).Name for node in await machine.get_children()}
    assert {"ActivePower", "EnergyImport", "State", "PartsProduced", "AnswerSerial", "SerialNumber"} <= names


async def test_a_wrong_password_is_turned_away(served: Served) -> None:
    stranger = Client(served.url)
    stranger.set_user("op")
    stranger.set_password("guess")
    with pytest.raises(ua.UaError):
        await stranger.connect()


async def test_only_the_limit_can_be_written(served: Served, client: Any) -> None:
    index = await client.get_namespace_index(LINE)
    limit = client.get_node(f"ns={index};s=press.PowerLimit")
    await limit.write_value(ua.DataValue(ua.Variant(12.5, ua.VariantType.Double)))
    assert await limit.read_value() == 12.5
    with pytest.raises(ua.UaError):
        await client.get_node(f"ns={index};s=press.ActivePower").write_value(
            ua.DataValue(ua.Variant(1.0, ua.VariantType.Double))
        )


async def test_a_serial_is_in_the_log_when_it_has_been_acknowledged(served: Served, client: Any) -> None:
    index = await client.get_namespace_index(LINE)
    node = client.get_node(f"ns={index};s=press.AnswerSerial")
    seen: list[int] = []

    class Handler:
        def datachange_notification(self, _node: Any, value: int, _data: Any) -> None:
            seen.append(value)

    subscription = await client.create_subscription(50, Handler())
    await subscription.subscribe_data_change(node, queuesize=100)
    deadline = time.monotonic() + 15
    while len(seen) < 10 and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    await subscription.delete()
    logged = [json.loads(line) for line in served.log_path.read_text().splitlines()]
    serials = [entry["serial"] for entry in logged if entry["device"] == "press"]
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert serials
    assert set(serials) <= set(seen)
    assert all(entry["carried"] and entry["fault"] is None for entry in logged)


async def test_the_control_interface_counts_sessions(served: Served, client: Any) -> None:
    assert (await served.ask({"bus": "line", "sessions": True}))["sessions"] >= 1
    assert "error" in await served.ask({"bus": "line", "what": 1})


async def test_a_certificate_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    site = {"plant": [{**SITE["plant"][0], "bus": [{"name": "line", "protocol": "opcua", "certificate": "/nowhere"}]}]}
    with pytest.raises((ValueError, SiteFaults)):
        await asyncio.wait_for(serve(load_site(site), now_ms, tmp_path / "log", 0, lambda _ready: None), 20)


async def test_browsing_lists_the_variables_with_type_unit_and_row(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTLINE_OPCUA_PASSWORD", "secret")
    bus = Bus(name="line", protocol="opcua", url=served.url, username="op", device=[])
    found = {one.path: one for one in await browse(bus, Gateway(now_ms))}
    power = found["Line/press/ActivePower"]
    assert (power.type, power.unit, power.status, power.value) == ("Double", "W", "Good", "50000.0")
    assert power.node == f"nsu={LINE};s=press.ActivePower"
    assert power.row == (
        f'[[row]]\nquantity = "active_power_kw"\nnode = "nsu={LINE};s=press.ActivePower"\nengineering_units = true'
    )
    assert 'quantity = "energy_export_kwh"' in found["Line/press/EnergyExport"].row
    assert 'quantity = "voltage_l2_v"' in found["Line/press/VoltageL2"].row
    assert 'quantity = ""' in found["Line/press/PartsProduced"].row
    assert found["Meters/main/AcVoltagePe"].row == ""  # a structure is for a person to look at
    assert not any(path.startswith("Server/") for path in found)
    below = await browse(bus, Gateway(now_ms), f"nsu={LINE};s=press")
    assert all(isinstance(one, Found) and one.path.count("/") == 0 for one in below)
    with pytest.raises(DriverError, match="expected a node at"):
        await browse(bus, Gateway(now_ms), "nsu=urn:nobody;s=x")


@pytest.mark.parametrize(
    ("path", "code", "quantity"),
    [
        ("a/AcActiveEnergyTotalExportHp", b"WHR", "energy_export_kwh"),
        ("a/U_L1-L2", b"VLT", "voltage_l1_l2_v"),
        ("a/Current_L3", b"AMP", "current_l3_a"),
        ("a/Energy", b"MWH", "energy_import_kwh"),
        ("a/Mass", b"KGM", ""),
    ],
)
async def test_unit_and_name_suggest_a_quantity(path: str, code: bytes, quantity: str) -> None:
    assert suggested(path, int.from_bytes(code, "big"), "") == quantity
