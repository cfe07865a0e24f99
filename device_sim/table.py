"""Which module knows the device models of a family, and which serves a protocol. Neither is opened here."""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Final, NamedTuple

from device_sim.device import Kind

# family -> module with KINDS; light to import
FAMILIES: Final[dict[str, str]] = {
    "modbus": "device_sim.modbus.kinds",
    "ocpp": "device_sim.ocpp.kinds",
    "mqtt": "device_sim.mqtt.kinds",
    "opcua": "device_sim.opcua.kinds",
    "bacnet": "device_sim.bacnet.kinds",
    "dlt645": "device_sim.dlt645.kinds",
    "cjt188": "device_sim.cjt188",
    "mbus": "device_sim.mbus.kinds",
}


class Served(NamedTuple):
    """A protocol: the family of models that speak it, and the module with `open_bus` and OPTIONS."""

    family: str
    module: str


# The first protocol of a family is what a bus of its devices speaks where the site file says nothing.
PROTOCOLS: Final[dict[str, Served]] = {
    "modbus_tcp": Served("modbus", "device_sim.modbus.tcp"),
    "modbus_rtu": Served("modbus", "device_sim.modbus.rtu"),
    "mqtt": Served("mqtt", "device_sim.mqtt.bus"),
    "opcua": Served("opcua", "device_sim.opcua.bus"),
    "bacnet_ip": Served("bacnet", "device_sim.bacnet.bus"),
    "dlt645": Served("dlt645", "device_sim.dlt645.bus"),
    "cjt188": Served("cjt188", "device_sim.cjt188"),
    "mbus": Served("mbus", "device_sim.mbus.bus"),
    "ocpp": Served("ocpp", "device_sim.ocpp.bus"),
}


@cache
def kinds() -> dict[str, Kind]:
    """All device models by name."""
    found: dict[str, Kind] = {}
    for module in FAMILIES.values():
        found.update(import_module(module).KINDS)
    return found


def usual_protocol(family: str) -> str:
    """What a bus of this family speaks unless the site file says otherwise."""
    return next(name for name, served in PROTOCOLS.items() if served.family == family)


def module_of(protocol: str) -> ModuleType:
    """The module that serves a protocol. Raises KeyError for one that nobody serves."""
    return import_module(PROTOCOLS[protocol].module)
