"""`wattline edge browse` against one simulated site with all protocols: what is found, and that its snippets are edge files that read."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent.browse.run import run_browse
from edge_agent.commission.run import Watching, run_commission
from wire.clock import Clock

pytestmark = pytest.mark.asyncio(loop_scope="module")


def device(name: str, kind: str, bus: str, measures: str = "load", **keys: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "bus": bus, "measures": measures, **keys}


SITE = {
    "plant": [
        {
            "name": "works",
            "load": {"kind": "synthetic", "base_kw": 60, "peak_kw": 60, "noise_ratio": 0},
            "pv": {"peak_kw": 30},
            "heat": {"peak_kw": 300},
            "water": {"cold_peak_m3_per_h": 6},
            "bus": [
                {"name": "line", "protocol": "modbus_rtu"},
                {"name": "meters", "protocol": "mbus"},
                {"name": "supply", "protocol": "dlt645"},
                {"name": "building", "protocol": "bacnet_ip"},
                {"name": "machines", "protocol": "opcua"},
            ],
            "device": [
                device("eastron", "eastron_sdm630", "line", unit=7),
                device("pv", "sunspec_pv", "pv", "pv"),
                device("heat", "kamstrup_multical_601", "meters", "heat", unit=1, secondary="12345678"),
                device("cold", "elster_falcon_water", "meters", "cold_water", unit=2, secondary="92400001"),
                device("incomer", "dlt645_three_phase", "supply", address="000012345678"),
                device("ahu", "bacnet_ahu", "building", instance=1001),
                device("press", "opcua_machine", "machines"),
            ],
        }
    ]
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def places(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, dict[str, Any]]]:
    log = tmp_path_factory.mktemp("sim") / "answers.jsonl"
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(load_site(SITE), Clock().now_ms, log, 0, ready.set_result))
    waiting: set[asyncio.Future[Any]] = {task, ready}
    await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    yield {place["device"]: place for place in (await ready)["devices"]}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def found(protocol: str, *words: str) -> tuple[list[dict[str, Any]], str]:
    """The listings and the snippet of a browse that finds something."""
    out = io.StringIO()
    status = await run_browse(protocol, words, None, True, out, Clock(), 60.0)
    assert status == 0, out.getvalue()
    told = json.loads(out.getvalue())
    return told["found"], told["edge_file"]


async def reads(directory: Path, snippet: str, model: str = "") -> bool:
    """Whether the snippet, with its model named, is an edge file whose devices answer."""
    path = directory / "edge.toml"
    head = 'facility = "works"\nedge = "gw"\nmqtt = { host = "localhost", plain = true }\nspool = { directory = "spool" }\n'
    path.write_text(head + snippet.replace('model = ""', f'model = "{model}"'))
    out = io.StringIO()
    assert await run_commission(path, True, out, Clock(), Watching(reads=1)) in (0, 1), out.getvalue()
    return all(not seen["error"] for seen in json.loads(out.getvalue())["devices"])


def at(place: dict[str, Any], *words: str) -> tuple[str, ...]:
    return ("host=127.0.0.1", f"port={place['port']}", "timeout_s=0.4", *words)


async def test_a_sunspec_device_shows_its_models_and_who_made_it(places: dict[str, Any], tmp_path: Path) -> None:
    (listing,), snippet = await found("modbus_tcp", *at(places["pv"]))
    assert listing["title"].startswith("unit 1: SunSpec, Wattline PV inverter")
    models = {row[0]: row[1] for row in listing["table"]}
    assert models["103"] == "inverter, three phases"
    assert models["123"] == "immediate controls"
    assert await reads(tmp_path, snippet)


async def test_a_modbus_meter_shows_its_framing_and_word_order_also_where_the_framing_was_wrong(
    places: dict[str, Any], tmp_path: Path
) -> None:
    (listing,), snippet = await found("modbus_tcp", *at(places["eastron"], "device.unit=7"))
    notes = "\n".join(listing["notes"])
    assert "speaks Modbus RTU" in notes
    assert "input registers 0..79: floats with the high word first" in notes
    assert 'protocol = "modbus_rtu"' in snippet
    assert await reads(tmp_path, snippet, "eastron_sdm630")


async def test_an_mbus_line_shows_its_meters_and_the_models_of_their_makers(
    places: dict[str, Any], tmp_path: Path
) -> None:
    listings, snippet = await found("mbus", *at(places["heat"], "baud=38400"))
    meters = {listing["table"][0][0]: listing["table"][0] for listing in listings}
    assert sorted(meters) == ["12345678", "92400001"]
    assert meters["12345678"][1] == "KAM"
    assert "kamstrup_multical_601" in meters["12345678"][4]
    assert 'secondary = "92400001"' in snippet
    heat_only = snippet[: snippet.index('[[bus.device]]\nname = "', snippet.index("12345678"))]
    assert await reads(tmp_path, heat_only, "kamstrup_multical_601")


async def test_a_dlt645_line_shows_the_address_of_its_meter(places: dict[str, Any], tmp_path: Path) -> None:
    (listing,), snippet = await found("dlt645", *at(places["incomer"], "baud=38400"))
    assert listing["title"] == "meter 000012345678"
    assert await reads(tmp_path, snippet, "dlt645_three_phase")


async def test_a_bacnet_device_shows_its_objects_with_units_and_rows(places: dict[str, Any], tmp_path: Path) -> None:
    port = places["ahu"]["ports"]["ahu"]
    words = ("device.host=127.0.0.1", f"device.port={port}", "device.instance=1001")
    (listing,), snippet = await found("bacnet_ip", "interface=127.0.0.1", "port=0", *words)
    objects = {row[1]: row for row in listing["table"]}
    assert objects["Supply Air Temperature"][2] == "degrees-celsius"
    assert objects["Supply Air Temperature"][5] == "supply_air_temperature_degc"
    assert 'quantity = "supply_air_temperature_degc"' in listing["rows"]
    assert await reads(tmp_path, snippet, "bacnet_ahu")


async def test_an_opcua_server_shows_its_variables_with_types_and_units(places: dict[str, Any]) -> None:
    (listing,), snippet = await found("opcua", f"url={places['press']['url']}")
    by_path = {row[0].rpartition("/")[2]: row for row in listing["table"]}
    assert any(row[3] == "kW" and row[2] in ("Float", "Double") for row in by_path.values())
    assert 'quantity = "active_power_kw"' in listing["rows"]
    assert snippet.startswith('[[bus]]\nname = "opcua"\nprotocol = "opcua"\nurl = ')


async def test_a_browse_that_takes_too_long_is_ended(places: dict[str, Any]) -> None:
    out = io.StringIO()
    words = at(places["heat"], "baud=300")
    assert await run_browse("mbus", words, None, False, out, Clock(), 0.5) == 1
    assert "expected an end within 0.5 s" in out.getvalue()
