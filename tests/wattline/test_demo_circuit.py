"""The circuit, tariff and edge file of the demo's hub are what aggregator and gateway take. Nothing is started."""

import tomllib
from pathlib import Path
from typing import Any

from aggregator.settings import load
from device_sim.site import SITES
from edge_agent import edge_file
from wattline.demo_files import Gateway, Plan, write_aggregator, write_edge


def listed() -> list[dict[str, Any]]:
    """The hub's devices as a simulator lists them, each at a port of its own."""
    (plant,) = tomllib.loads((SITES / "hub.toml").read_text())["plant"]
    devices = []
    for number, device in enumerate(plant["device"]):
        for at in range(device.get("count", 1)):
            name = device["name"] if "count" not in device else f"{device['name']}-{at + 1:03}"
            protocol = "ocpp" if device["kind"].endswith("_pile") else "modbus_tcp"
            measures = device.get("measures") or {"pv": "pv", "battery": "battery"}[device["name"]]
            devices.append(
                {
                    "plant": "hub", "device": name, "kind": device["kind"], "measures": measures, "bus": device.get("bus", name), "protocol": protocol,
                    "host": "127.0.0.1", "port": 40_000 + number, "unit": device.get("unit", 1), "serial_addresses": [], "identity": name,
                }
            )  # fmt: skip
    return devices


def test_the_hub_is_planned_and_its_gateway_keeps_its_circuit(tmp_path: Path) -> None:
    plan = Plan(tmp_path, "127.0.0.1", 1883, 0, 1.0)
    gateway = Gateway("hub", "gw-hub", listed())
    edge = edge_file.load(write_edge(plan, gateway, SITES / "hub.toml"))
    assert edge.control.circuit == str(tmp_path / "hub-circuit.toml")
    settings = load(write_aggregator(plan, [gateway], SITES / "hub.toml"), {})
    circuit = settings.steered["hub"].circuit
    assert [(asset.kind, asset.discharge_kw) for asset in circuit.asset] == [
        ("battery", 60), ("charger", 11), ("charger", 11), ("charger", 11), ("charger", 0), ("charger", 0), ("charger", 0),
    ]  # fmt: skip
    facility = settings.facilities[0]
    assert (facility.interval_s, facility.demand_response.accept) == (300, "automatic")
    assert [meter.device for meter in facility.shown_as("ev")] == ["charging"]  # a pile is silent while nobody is there
