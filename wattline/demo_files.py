"""Writes what the demo's parts are configured with: edge files, keys, the aggregator's file. Not the processes."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from wattline.demo_circuit import assets, circuit_text, tariff_lines
from wattline.demo_edge import bus_lines, gateway_lines
from wire.keys import SigningKey

SHOWN: Final = {"grid": "grid", "load": "load", "ev": "ev", "pv": "pv", "battery": "storage"}
NAMES: Final = {
    "works": ("Riverside Works", "CN-JS"),
    "depot": ("North Depot", "CN-YN"),
    "steel": ("Steel plant", ""),
    "city-block": ("City block", "CN-SH"),
    "hub": ("Logistics hub", "CN-JS"),
}
COMMAND_KEY: Final = "command.sign"
STEEL: Final = "steel"
IDLE_W_PER_CORE: Final = Decimal("0.74")  # Cloud Carbon Footprint, methodology, "Compute": averages for AWS
BUSY_W_PER_CORE: Final = Decimal("3.5")
RATED_KW: Final = 1000
SIMULATED_RATIO: Final = 0.95  # of a simulated battery that states no efficiency, each way
STEEL_FACTOR: Final = "0.45848"  # the data set's own implied factor, kg CO2 per kWh: test data, not an official factor
PLANNED_INTERVAL_S: Final = 300


@dataclass(frozen=True, slots=True)
class Gateway:
    """One edge of the demo: its plant's devices as the simulator has listed them."""

    facility: str
    edge: str
    devices: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What all parts must agree on. Periods in simulated seconds."""

    directory: Path
    broker_host: str
    broker_port: int
    http_port: int
    poll_s: float
    influxdb_url: str = ""
    gateway_figures: bool = True


def gateways(ready: Mapping[str, Any]) -> list[Gateway]:
    """One gateway per simulated plant."""
    plants: dict[str, list[Mapping[str, Any]]] = {}
    for device in ready["devices"]:
        plants.setdefault(device["plant"], []).append(device)
    return [Gateway(plant, f"gw-{plant}", devices) for plant, devices in plants.items()]


def write_edge(plan: Plan, gateway: Gateway, site: Path) -> Path:
    """The edge file of a gateway, with a signing key of its own, and its circuit where the plant is planned."""
    steered = assets(_plants(site)[gateway.facility], gateway.devices)
    if steered:
        meter = next(device["device"] for device in gateway.devices if device["measures"] == "grid")
        text = circuit_text(gateway.facility, gateway.edge, meter, steered)
        (plan.directory / _circuit_name(gateway)).write_text(text)
    key_path = plan.directory / f"{gateway.edge}.sign"
    if not key_path.exists():
        SigningKey.generate().save(key_path)
    buses: dict[str, list[Mapping[str, Any]]] = {}
    for device in gateway.devices:
        buses.setdefault(device["bus"], []).append(device)
    lines = [
        f'facility = "{gateway.facility}"',
        f'edge = "{gateway.edge}"',
        f'mqtt = {{ host = "{plan.broker_host}", port = {plan.broker_port}, plain = true }}',
        f'spool = {{ directory = "{gateway.edge}-spool" }}',
        f'signing = {{ key = "{key_path.name}" }}',
        f'aggregator = {{ store_id = "demo", command_key = "{_command_key(plan.directory)}" }}',
        *([f'control = {{ circuit = "{_circuit_name(gateway)}" }}'] if steered else []),
    ]
    allowed = {name: asset.allowed() for name, asset in steered.items()}
    for name, devices in buses.items():
        lines += bus_lines(name, devices, plan.poll_s, (plan.broker_host, plan.broker_port), steered=allowed)
    if plan.gateway_figures:
        lines += gateway_lines(gateway.edge, plan.poll_s)
    path = plan.directory / f"{gateway.edge}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _command_key(directory: Path) -> str:
    """The public half of the key that signs set-points, made at its first use."""
    path = directory / COMMAND_KEY
    if not path.exists():
        SigningKey.generate().save(path)
    return SigningKey.load(path).public.to_text()


def write_aggregator(plan: Plan, gateways: Sequence[Gateway], site: Path) -> Path:
    """The aggregator's file for these gateways."""
    plants = _plants(site)
    body: list[str] = []
    for gateway in gateways:
        key = SigningKey.load(plan.directory / f"{gateway.edge}.sign").public.to_text()
        plant = plants[gateway.facility]
        body += [
            "",
            "[[edge]]",
            f'facility = "{gateway.facility}"',
            f'edge = "{gateway.edge}"',
            f'public_key = "{key}"',
        ]
        planned = bool(assets(plant, gateway.devices))
        body += _facility(gateway, plant["time_zone"], planned) + _storage(gateway, plant.get("battery", {}))
        body += tariff_lines() if planned else []
    _command_key(plan.directory)
    path = plan.directory / "aggregator.toml"
    path.write_text("\n".join([*_head(plan), *body]) + "\n")
    return path


def _plants(site: Path) -> dict[str, dict[str, Any]]:
    return {plant["name"]: plant for plant in tomllib.loads(site.read_text())["plant"]}


def _circuit_name(gateway: Gateway) -> str:
    return f"{gateway.facility}-circuit.toml"


def _head(plan: Plan) -> list[str]:
    lines = [
        "[aggregator]",
        'store_id = "demo"',
        'data_directory = "aggregator"',
        f'http = {{ host = "127.0.0.1", port = {plan.http_port} }}',
        "",
        "[mqtt]",
        f'host = "{plan.broker_host}"',
        f"port = {plan.broker_port}",
        "plain = true",
        "",
        "[commands]",
        f'key = "{COMMAND_KEY}"',
        "",
        *_footprint(),
        "",
        "[store]",
    ]
    if plan.influxdb_url:
        return [
            *lines,
            'kind = "influxdb"',
            f'url = "{plan.influxdb_url}"',
            'database = "wattline_demo"',
            'dialect = "v1"',
        ]
    return [*lines, 'kind = "duckdb"']


def _footprint() -> list[str]:
    """This machine by a model, so that the demo's own footprint is shown: nobody has metered it."""
    cores = os.cpu_count() or 1
    return [
        "[footprint]",
        f'hardware = "{cores} virtual cores, not metered"',
        f'idle_w = "{IDLE_W_PER_CORE * cores}"',
        f'core_w = "{BUSY_W_PER_CORE - IDLE_W_PER_CORE}"',
        'power_source = "Cloud Carbon Footprint methodology, averages for AWS: 0.74 W at rest, 3.5 W busy per virtual core"',
        'place = "CN"',
        'time_zone = "Asia/Shanghai"',
    ]


def _facility(gateway: Gateway, time_zone: str, planned: bool) -> list[str]:
    name, place = NAMES.get(gateway.facility, (gateway.facility, ""))
    lines = [
        "",
        "[[facility]]",
        f'id = "{gateway.facility}"',
        f'name = "{name}"',
        f'time_zone = "{time_zone}"',
        f'place = "{place}"',
        # Short intervals, so that an event can begin within minutes.
        *([f"interval_s = {PLANNED_INTERVAL_S}", f'circuit = "{_circuit_name(gateway)}"'] if planned else []),
    ]
    if gateway.facility == STEEL:
        lines += [
            "[facility.factor]",
            f'kg_per_kwh = "{STEEL_FACTOR}"',
            'source = "test data"',
            'marks = ["test data"]',
        ]
    shown = set[str]()
    # A pile is silent while nobody is there: where a meter sees them all, it stands for them.
    for device in sorted(gateway.devices, key=lambda device: bool(device["protocol"] == "ocpp")):
        if device["measures"] not in SHOWN:  # other carriers are stored, and not yet settled
            continue
        role = "main" if device["measures"] == "grid" else "sub"
        # Of several meters at a node the first stands for it on the page: the others see shares of the same power.
        show = "" if device["measures"] in shown else SHOWN[device["measures"]]
        shown.add(device["measures"])
        lines += [
            "[[facility.meter]]",
            f'device = "{device["device"]}"',
            f'edge = "{gateway.edge}"',
            f'role = "{role}"',
            f"rated_power_kw = {RATED_KW}",
            *([f'show = "{show}"'] if show else []),
        ]
    return lines


def _storage(gateway: Gateway, battery: Mapping[str, Any]) -> list[str]:
    """What stands behind the battery's meter, as the simulator has it."""
    named = next((device["device"] for device in gateway.devices if device["measures"] == "battery"), None)
    if named is None:
        return []
    stated = ("charge_efficiency_ratio", "discharge_efficiency_ratio")
    return [
        "[[facility.storage]]",
        f'meter = "{named}"',
        *(f"{name} = {battery.get(name, SIMULATED_RATIO)}" for name in stated),
        *([f"capacity_kwh = {battery['capacity_kwh']}"] if "capacity_kwh" in battery else []),
    ]
