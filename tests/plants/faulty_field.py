"""Two simulated devices on a bus of every protocol, and the agent's own driver for each bus, built as an edge file would. Not what must hold.

The clock is the machine's own: servers' and devices' stamps are judged against it. The load is steady, so that a wrong value shows.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent import edge_file, meter
from edge_agent.drivers.driver import DevicePlan, Driver, DriverError, Gateway
from edge_agent.drivers.table import declared, open_driver
from wattline.demo_edge import bus_lines, piles_call
from wire.reading import Quality, Reading

LIMIT_S = 30.0
LOAD_KW = 400.0
COUNTED = "energy_import_kwh"
SERIAL = "answer_serial_1"


@dataclass(frozen=True)
class Link:
    """One way to a device. `bus` and `device` are the simulator's options, `edge` the keys of the bus in the edge file.

    `coarse`: the counter's last digit in its unit; `full`: where its digits end, if that can be reached; `longest_s`: what one read may
    take, whatever the device does.
    """

    protocol: str
    kind: str
    bus: Mapping[str, Any] = field(default_factory=dict)
    device: Mapping[str, Any] = field(default_factory=dict)
    edge: Mapping[str, Any] = field(default_factory=dict)
    measures: str = "load"
    counted: str = COUNTED
    fresh: str = SERIAL
    coarse: float = 0.01
    full: float = 1e30
    longest_s: float = 1.0


QUICK = {"timeout_s": 0.3}
PILE = Link(
    "ocpp", "", {"tick_s": 0.05, "reconnect_s": [0.05, 0.2], "call_timeout_s": 0.5}, {"sample_s": 1, "aligned_s": 0, "delay_s": [0, 0]},
    {"sample_s": 1, "silent_s": 2.0, "timeout_s": 0.5}, "ev", fresh=COUNTED, coarse=0.001, longest_s=1.5,
)  # fmt: skip
LINKS: dict[str, Link] = {
    "modbus_tcp": Link("modbus_tcp", "siemens_pac3200", edge=QUICK, coarse=0.001),
    "modbus_rtu": Link("modbus_rtu", "eastron_sdm630", {"serial": True}, edge=QUICK, coarse=0.5),
    "modbus_rtu_tcp": Link("modbus_rtu", "siemens_pac3200", edge=QUICK, coarse=0.001),
    "sunspec": Link("modbus_tcp", "sunspec_meter", edge=QUICK, coarse=0.01),
    "dlt645": Link("dlt645", "dlt645_three_phase", device={"share_percent": 20.0}, edge=QUICK),
    "cjt188": Link("cjt188", "cjt188_cold_water", edge=QUICK, measures="cold_water", counted="water_volume_m3", full=1e6),
    "mbus": Link("mbus", "itron_cyble_water", edge=QUICK, measures="cold_water", counted="water_volume_m3", full=1e6),
    "bacnet_ip": Link("bacnet_ip", "bacnet_meter", {"cov_s": 0.1}, edge={"timeout_s": 0.4}),
    "opcua": Link(
        "opcua", "opcua_machine", {"update_s": 0.05}, coarse=0.1, longest_s=2.0,
        edge={"publishing_ms": 50.0, "keepalive_s": 0.3, "timeout_s": 0.8, "queue_size": 100},
    ),
    "ocpp_16": PILE,
    "ocpp_201": PILE,
    "ocpp_21": PILE,
    "mqtt": Link("mqtt", "tasmota_plug", {"update_s": 0.05}, {"share_percent": 0.75}, {"plain": True, "timeout_s": 1.0}, coarse=0.001),
}  # fmt: skip
MODELS = {"tasmota_plug": "tasmota_energy"}
PILES = {"ocpp_16": "ocpp16_pile", "ocpp_201": "ocpp201_pile", "ocpp_21": "ocpp21_pile"}


def now_ms() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


def names(link: str) -> tuple[str, str]:
    """The device that has the faults, and its neighbour."""
    stem = link.replace("_", "-").replace(".", "")
    return f"{stem}-a", f"{stem}-b"


def site(broker_port: int) -> dict[str, Any]:
    """A hall with all meters, and a park with all piles."""
    plants: dict[str, dict[str, Any]] = {
        "hall": {
            "load": {"kind": "synthetic", "base_kw": LOAD_KW, "peak_kw": LOAD_KW, "noise_ratio": 0},
            "water": {"cold_peak_m3_per_h": 3600, "hot_peak_m3_per_h": 1},
        },
        "park": {
            "load": {"kind": "synthetic", "base_kw": 0, "peak_kw": 0, "noise_ratio": 0},
            "ev": {"points": 2 * len(PILES), "max_kw": 22, "visits": "none"},
        },
    }
    for number, (name, link) in enumerate(LINKS.items(), 1):
        plant = plants["park" if link.protocol == "ocpp" else "hall"]
        options = {**link.bus, **({"broker_port": broker_port} if link.protocol == "mqtt" else {})}
        plant.setdefault("bus", []).append({"name": name, "protocol": link.protocol, **options})
        for unit, device in enumerate(names(name), 1):
            own: dict[str, Any] = {"unit": unit}
            if link.protocol == "mbus":
                own["secondary"] = f"2000{number:02d}{unit:02d}"
            if link.protocol == "bacnet_ip":
                own = {"instance": 1000 + unit}
            if link.protocol in ("opcua", "mqtt"):
                own = {}
            if link.protocol == "ocpp":
                own = {"point": len(plant.get("device", []))}
            if link.measures != "cold_water":
                own["start_import_kwh"] = 1000.0 * unit + number
            kind = PILES.get(name, link.kind)
            plant.setdefault("device", []).append(
                {"name": device, "kind": kind, "measures": link.measures, "bus": name, **own, **link.device}
            )
    return {"plant": [{"name": name, **plant} for name, plant in plants.items()]}


def edge_lines(ready: Mapping[str, Any]) -> list[str]:
    """The edge file for all that the simulator has listed."""
    lines = ['facility = "works"', 'edge = "gw-01"', 'mqtt = { host = "127.0.0.1", plain = true }']
    lines.append('spool = { directory = "spool" }')
    for name, link in LINKS.items():
        listed = [device for device in ready["devices"] if device["bus"] == name]
        keys = {key: value for key, value in link.edge.items() if key != "sample_s"}
        own = _mqtt(name, listed, keys) if link.protocol == "mqtt" else bus_lines(name, listed, 1.0, keys=keys)
        if "[[bus.device.allow]]" in own:
            raise AssertionError(f"{name}: expected devices that are only read")
        lines += [line.replace("sample_s = 10", "sample_s = 1") for line in own]
    return lines


def _mqtt(name: str, listed: list[dict[str, Any]], keys: Mapping[str, Any]) -> list[str]:
    lines = ["[[bus]]", f'name = "{name}"', 'protocol = "mqtt"', 'host = "127.0.0.1"', f"port = {listed[0]['port']}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    for device in listed:
        lines += [
            "[[bus.device]]",
            f'name = "{device["device"]}"',
            f'model = "{MODELS.get(device["kind"], device["kind"])}"',
            "silent_s = 1.0",
        ]
        lines += [f'topic = "{device["topic"]}"', 'time_zone = "UTC"', "[[bus.device.row]]", f'quantity = "{SERIAL}"']
        lines += [f'topic = "{device["serial_topic"]}"', f'path = "{device["serial_path"]}"']
    return lines


@dataclass
class Heard:
    """All that one device has given since somebody began to listen."""

    readings: list[Reading] = field(default_factory=list)
    errors: list[DriverError] = field(default_factory=list)
    longest_s: float = 0.0
    in_a_row: int = 0  # readings with a good value and without an error, up to the last one

    def good(self, quantity: str, since_ms: int = 0) -> list[float]:
        """The good values of a quantity, in their order."""
        return [
            reading.value
            for reading in self.readings
            if reading.quantity == quantity
            and reading.quality is Quality.GOOD
            and reading.value is not None
            and reading.at_ms > since_ms
        ]

    def reasons(self) -> set[str]:
        """Why values were not good."""
        return {reading.reason for reading in self.readings if reading.quality is not Quality.GOOD}


class Field:
    """What is served, and a driver for each bus."""

    def __init__(self, ready: dict[str, Any], directory: Path) -> None:
        self.ready = ready
        (directory / "edge.toml").write_text("\n".join(edge_lines(ready)))
        self.edge = edge_file.load(directory / "edge.toml")
        self.drivers: dict[str, Driver[Any]] = {}
        self.plans: dict[str, DevicePlan] = {}
        self._directory = directory
        for bus in self.edge.bus:
            self.drivers[bus.name] = self.another_driver(bus.name)
            for device in bus.device:
                plan = declared(bus.protocol).plan(bus, device, meter.load(device.model))
                self.plans[device.name] = plan

    def another_driver(self, link: str) -> Driver[Any]:
        """One more driver for a bus: a second client."""
        (bus,) = [bus for bus in self.edge.bus if bus.name == link]
        return open_driver(bus, Gateway(now_ms))

    async def ask(self, **request: Any) -> dict[str, Any]:
        """One request of the simulator's control interface."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ready["control_port"], limit=2**22)
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), LIMIT_S))
        writer.close()
        await writer.wait_closed()
        assert answer["ok"], answer
        return answer

    async def truth(self, device: str) -> float:
        """What a device's counter has counted by now: kWh, or m3 of water."""
        plants = (await self.ask(show="plants"))["plants"]
        (shown,) = [plant["devices"][device] for plant in plants.values() if device in plant["devices"]]
        return shown["volume_nl"] / 1e12 if shown["measures"] == "cold_water" else float(shown["import_kwh"])

    async def read(self, link: str, device: str, heard: Heard) -> None:
        """Reads once and notes what came of it."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            answer = await self.drivers[link].read(self.plans[device])
        except DriverError as error:
            heard.errors.append(error)
            heard.in_a_row = 0
        else:
            fresh = Heard([reading for block in answer.blocks for reading in block.readings()])
            heard.errors += answer.faults
            heard.readings += fresh.readings
            if answer.faults:
                heard.in_a_row = 0
            elif fresh.good(LINKS[link].fresh):
                heard.in_a_row += 1
        heard.longest_s = max(heard.longest_s, loop.time() - begun_s)

    async def until(self, link: str, so: Callable[[], object], heard: Mapping[str, Heard], what: str) -> None:
        """Reads the devices in turn until something is so."""
        deadline_s = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline_s:
            for device, one in heard.items():
                await self.read(link, device, one)
            if so():
                return
            await asyncio.sleep(0.02)
        last = {device: (one.readings[-6:], one.errors[-3:]) for device, one in heard.items()}
        raise AssertionError(f"{link}: {what}: not so within {LIMIT_S:g} s: {last}")

    async def fresh(self, link: str, *devices: str) -> dict[str, Heard]:
        """Until each device has given a good value that is newer than now; what was heard meanwhile."""
        since_ms, heard = now_ms(), {device: Heard() for device in devices}
        quantity = LINKS[link].fresh
        await self.until(
            link, lambda: all(one.good(quantity, since_ms) for one in heard.values()), heard, "good values again"
        )
        return heard


@asynccontextmanager
async def faulty_field(directory: Path, broker_port: int) -> AsyncIterator[Field]:
    """Serves all buses in this process, and opens a driver for each; a vehicle charges at each pile."""
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    table = load_site(site(broker_port))
    task = asyncio.create_task(serve(table, now_ms, directory / "answers.jsonl", 0, ready.set_result))
    done, _ = await asyncio.wait({task, ready}, timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
    if task in done:
        await task
    made = Field(await ready, directory)
    try:
        for link in PILES:
            await asyncio.gather(*(made.read(link, device, Heard()) for device in names(link)))
            (place,) = [device for device in made.ready["devices"] if device["device"] == names(link)[0]]
            host, port = piles_call(place)
            await made.ask(bus=link, connect=f"ws://{host}:{port}")
            for device in names(link):
                await made.ask(bus=link, pile=device, vehicle={"need_kwh": 900, "max_kw": 22, "stay_s": 80_000})
        yield made
    finally:
        await asyncio.gather(*(driver.close() for driver in made.drivers.values()))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
