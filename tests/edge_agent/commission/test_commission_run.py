"""Whole commissioning runs against simulated meters: sound ones, and one for each way to install them wrongly."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent.commission.run import Watching, run_commission
from wire.clock import Clock

KIND = "siemens_pac3200"
QUICK = Watching(listen_s=0.2)


class Stepped(Clock):
    """A clock that moves only while somebody sleeps: a busy machine changes no figure."""

    def __init__(self) -> None:
        super().__init__(1_800_000_000_000)
        self.at_ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.at_ms

    __call__ = now_ms

    async def sleep(self, simulated_s: float) -> None:
        self.at_ms += round(1000 * simulated_s)


CLOCK = Stepped()


def device(name: str = "process", kind: str = KIND, **options: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "measures": "load", **options}


@asynccontextmanager
async def plant(
    directory: Path,
    *devices: dict[str, Any],
    bus: dict[str, Any] | None = None,
    noise: float = 0.0,
    fault: dict[str, Any] | None = None,
) -> AsyncIterator[list[dict[str, Any]]]:
    """Serves a plant of 60 kW and gives the places of its devices; `fault` is in force from the beginning."""
    load = {"kind": "synthetic", "base_kw": 60, "peak_kw": 60, "noise_ratio": noise}
    site: dict[str, Any] = {"name": "works", "load": load, "device": list(devices)}
    if bus is not None:
        site["bus"] = [bus]
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve(load_site({"plant": [site]}), CLOCK.now_ms, directory / "answers.jsonl", 0, ready.set_result)
    )
    waiting: set[asyncio.Future[Any]] = {task, ready}
    await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        said = await ready
        if fault is not None:
            reader, writer = await asyncio.open_connection("127.0.0.1", said["control_port"])
            writer.write(json.dumps(fault).encode() + b"\n")
            assert json.loads(await reader.readline())["ok"]
            writer.close()
        yield said["devices"]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def edge_file(directory: Path, *buses: str) -> Path:
    path = directory / "edge.toml"
    head = 'facility = "works"\nedge = "gw"\nmqtt = { host = "localhost", plain = true }\nspool = { directory = "spool" }\n'
    path.write_text(head + "".join(buses))
    return path


def bus(place: dict[str, Any], extra: str = "", protocol: str = "modbus_tcp", model: str = KIND) -> str:
    name = place["device"]
    return (
        f'[[bus]]\nname = "bus-{name}"\nprotocol = "{protocol}"\nhost = "127.0.0.1"\nport = {place["port"]}\n'
        f'timeout_s = 0.3\n[[bus.device]]\nname = "{name}"\nmodel = "{model}"\n{extra}'
    )


async def told(path: Path, watching: Watching = QUICK) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    status = await run_commission(path, True, out, CLOCK, watching)
    return status, json.loads(out.getvalue())


async def test_a_sound_installation_exits_0_and_prints_values_plan_and_bus_time(tmp_path: Path) -> None:
    async with plant(tmp_path, device()) as (place,):
        out = io.StringIO()
        assert await run_commission(edge_file(tmp_path, bus(place)), False, out, CLOCK, QUICK) == 0
    text = out.getvalue()
    assert "process (siemens_pac3200 on bus-process)" in text
    assert "active_power_kw                              60 kW" in text
    assert "request: holding 1..70, 70 registers, 6 of them holes" in text
    assert "word order: high word first, as the model says" in text
    assert "% of the bus" in text
    assert "!" not in text


async def test_what_a_driver_does_not_believe_counts_and_what_a_device_refuses_is_worth_a_look(tmp_path: Path) -> None:
    """The simulated meter keeps the time of China, and has no highest demand (01010000)."""
    meter = device(kind="dlt645_three_phase", address="1")
    results = {}
    async with plant(tmp_path, meter) as (place,):
        for zone in ("Asia/Shanghai", "UTC"):
            words = bus(place, 'address = "1"\n', "dlt645", "dlt645_three_phase")
            words = words.replace("timeout_s = 0.3", f'timeout_s = 0.3\ntime_zone = "{zone}"')
            out = io.StringIO()
            results[zone] = await run_commission(edge_file(tmp_path, words), False, out, CLOCK, QUICK), out.getvalue()
    status, text = results["Asia/Shanghai"]
    assert "  ? process: meter 000000000001, identifier 01010000: refused with" in text
    assert "  !" not in text
    assert (status, "0 findings, " in text) == (0, True)
    status, text = results["UTC"]
    assert "  ! process: expected the meter's clock within 300 s of ours, saw +288" in text.replace("it ", "")
    assert (status, "1 findings, " in text) == (1, True)


async def test_rows_that_stand_at_zero_are_pointed_out_and_programs_get_json(tmp_path: Path) -> None:
    async with plant(tmp_path, device()) as (place,):
        status, seen = await told(edge_file(tmp_path, bus(place)))
    assert (status, seen["status"], seen["findings"]) == (0, 0, [])
    (one,) = seen["devices"]
    rows = {row["quantity"]: row for row in one["rows"]}
    assert rows["energy_export_kwh"]["remark"] == "always 0"
    assert rows["voltage_l1_v"]["remark"] == ""
    assert rows["voltage_l1_v"]["unit"] == "V"
    assert one["polls"] == 3
    assert one["requests"] == [
        "holding 1..70, 70 registers, 6 of them holes",
        "holding 801..836, 36 registers, 12 of them holes",
    ]


@pytest.mark.parametrize(
    ("options", "kind", "quantity"),
    [
        ({"reversed_ct": [2]}, "reversed_ct", "active_power_l2_kw"),
        ({"current_ratio": 0.1}, "power", "active_power_l1_kw"),
        ({"voltage_ratio": 0.75}, "voltage", "voltage_l1_v"),
        ({"frequency_hz": 5.0}, "frequency", "frequency_hz"),
        ({"counts_backwards": True}, "counter_back", "energy_import_kwh"),
        ({"energy_ratio": 1000.0}, "counter_rate", "energy_import_kwh"),
        ({"frozen_voltage_v": 231.0}, "constant", "voltage_l1_v"),
        ({"registers": {"55": [0x477F, 0xFF00]}}, "rejected", "frequency_hz"),  # 65535.0 as a float
        ({"registers": {"13": [0x477F, 0xFF00]}}, "pattern", "current_l1_a"),
        ({"registers": {"1": [0x7FC0, 0x0000]}}, "absent", "voltage_l1_v"),  # NaN
        ({"swap_words": True}, "word_order", ""),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
async def test_each_wrong_installation_is_found(
    tmp_path: Path, options: dict[str, Any], kind: str, quantity: str
) -> None:
    async with plant(tmp_path, device(**options)) as (place,):
        status, seen = await told(edge_file(tmp_path, bus(place)))
    assert (kind, quantity) in [(found["kind"], found["quantity"]) for found in seen["findings"]]
    assert status == (0 if kind == "absent" else 1)
    for found in seen["findings"]:
        assert all(found[key] for key in ("device", "seen", "expected", "cause", "correction"))


async def test_a_rejected_value_is_shown_as_the_device_sent_it(tmp_path: Path) -> None:
    async with plant(tmp_path, device(registers={"55": [0x477F, 0xFF00]})) as (place,):
        _, seen = await told(edge_file(tmp_path, bus(place)))
    (found,) = [one for one in seen["findings"] if one["kind"] == "rejected"]
    assert found["seen"] == "65535 in holding register 55"


async def test_a_rating_that_is_exceeded_exits_1(tmp_path: Path) -> None:
    async with plant(tmp_path, device()) as (place,):
        status, seen = await told(edge_file(tmp_path, bus(place, "rated_power_kw = 40\n")))
    assert status == 1
    assert ("rating", "60.000 kW") in [(found["kind"], found["seen"]) for found in seen["findings"]]


async def test_sub_meters_are_held_against_their_incomer(tmp_path: Path) -> None:
    """The oven's share is 40 % of 60 kW, shown ten times too large: 240 kW behind 60 kW."""
    wrong: dict[str, Any] = {"power_ratio": 10.0, "current_ratio": 10.0, "energy_ratio": 10.0, "share_percent": 40}
    async with plant(tmp_path, device("main"), device("press", share_percent=30), device("oven", **wrong)) as places:
        buses = [bus(place, "" if place["device"] == "main" else 'incomer = "main"\n') for place in places]
        status, seen = await told(edge_file(tmp_path, *buses))
    assert status == 1
    assert [(found["kind"], found["quantity"]) for found in seen["findings"]] == [("sub_meters", "active_power_kw")]
    (found,) = seen["findings"]
    assert (found["device"], found["kind"]) == ("main", "sub_meters")
    (balance,) = seen["balances"]
    assert (round(balance["incomer_kw"], 3), round(balance["subs_kw"], 3)) == (60.0, 258.0)


@pytest.mark.parametrize(("served", "asked"), [("modbus_rtu", "modbus_tcp"), ("modbus_tcp", "modbus_rtu")])
async def test_a_wrong_framing_is_found_where_the_device_is_silent(tmp_path: Path, served: str, asked: str) -> None:
    async with plant(tmp_path, device(bus="line"), bus={"name": "line", "protocol": served}) as (place,):
        status, seen = await told(edge_file(tmp_path, bus(place, protocol=asked)))
    assert status == 1
    (found,) = seen["findings"]
    assert (found["kind"], found["correction"]) == ("framing", f'protocol = "{served}" in bus bus-process')


async def test_a_device_that_does_not_answer_exits_1_and_is_named(tmp_path: Path) -> None:
    async with plant(tmp_path, device()) as (place,):
        status, seen = await told(edge_file(tmp_path, bus(place, "unit = 9\n")))
    assert status == 1
    assert "process: unit 9" in seen["devices"][0]["error"]


async def test_a_device_whose_first_answer_is_spoiled_is_asked_again(tmp_path: Path) -> None:
    spoiled = {"device": "process", "fault": "wrong_checksum", "for_s": 0.5}
    meter = device(kind="dlt645_three_phase", address="1")
    async with plant(tmp_path, meter, fault=spoiled) as (place,):
        words = bus(place, 'address = "1"\n', "dlt645", "dlt645_three_phase")
        status, seen = await told(edge_file(tmp_path, words))
    (process,) = seen["devices"]
    assert not process["error"]
    assert process["polls"] == 2
    assert any("checksum" in fault for fault in process["faults"]), process["faults"]
    assert status == 1


async def test_a_file_with_faults_exits_2_and_asks_no_device(tmp_path: Path) -> None:
    out = io.StringIO()
    path = edge_file(tmp_path, bus({"device": "process", "port": 0}))
    assert await run_commission(path, False, out, CLOCK, QUICK) == 2
    assert "bus[0].port: expected int >= 1, saw 0" in out.getvalue()


METER = {"kind": "dlt645_single_phase", "bus": "line", "address": "000012345678"}


async def test_the_address_of_a_dlt645_meter_is_read_when_asked_for(tmp_path: Path) -> None:
    async with plant(tmp_path, device(**METER), bus={"name": "line", "protocol": "dlt645"}) as (place,):
        text = bus(place, 'address = "12345678"\n', "dlt645", "dlt645_single_phase")
        _, seen = await told(edge_file(tmp_path, text), Watching(reads=1, address=True))
    assert "address: 000012345678, as the file says" in seen["devices"][0]["notes"]


async def test_the_address_of_a_silent_dlt645_meter_is_found_out(tmp_path: Path) -> None:
    async with plant(tmp_path, device(**METER), bus={"name": "line", "protocol": "dlt645"}) as (place,):
        text = bus(place, 'address = "87654321"\n', "dlt645", "dlt645_single_phase")
        status, seen = await told(edge_file(tmp_path, text), Watching(reads=1))
    assert status == 1
    (found,) = seen["findings"]
    assert (found["kind"], found["correction"]) == ("address", 'address = "000012345678" for this device')


async def test_devices_that_send_by_themselves_share_the_time_that_is_waited_for_them(tmp_path: Path) -> None:
    """Nobody is there: each of twenty is silent, and all of them together have cost little more than one wait."""
    text = '[[bus]]\nname = "broker"\nprotocol = "mqtt"\nhost = "127.0.0.1"\nport = 9\nplain = true\ntimeout_s = 0.1\n'
    for number in range(20):
        text += f'[[bus.device]]\nname = "d{number}"\nmodel = "tasmota_energy"\ntopic = "plug{number}"\n'
    begin = asyncio.get_running_loop().time()
    status, seen = await told(edge_file(tmp_path, text), Watching(reads=2, listen_s=1.0))
    assert asyncio.get_running_loop().time() - begin < 15  # not 20 times a second and more
    assert status == 1
    assert all("127.0.0.1:9" in device["error"] for device in seen["devices"])
