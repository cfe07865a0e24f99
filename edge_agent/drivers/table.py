"""Which module speaks which protocol. Modules are imported when a bus needs them, so that a gateway loads only what it speaks."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, NamedTuple, cast

from edge_agent.drivers.declared import Bus, Declared
from edge_agent.drivers.driver import Driver, Gateway


class Place(NamedTuple):
    """What model files call a protocol's family, and the module and name of its `Declared`."""

    family: str
    module: str
    name: str = "DECLARED"


# By what the edge file calls the protocol of a bus.
PROTOCOLS: Final[dict[str, Place]] = {
    "modbus_tcp": Place("modbus", "edge_agent.drivers.modbus.declared", "TCP"),
    "modbus_rtu": Place("modbus", "edge_agent.drivers.modbus.declared", "RTU"),
    "dlt645": Place("dlt645", "edge_agent.drivers.dlt645.declared"),
    "cjt188": Place("cjt188", "edge_agent.drivers.cjt188.declared"),
    "mbus": Place("mbus", "edge_agent.drivers.mbus.declared"),
    "bacnet_ip": Place("bacnet", "edge_agent.drivers.bacnet.declared"),
    "mqtt": Place("mqtt", "edge_agent.drivers.mqtt.declared"),
    "opcua": Place("opcua", "edge_agent.drivers.opcua.declared"),
    "ocpp": Place("ocpp", "edge_agent.drivers.ocpp.declared"),
    "host": Place("host", "edge_agent.drivers.host.declared"),
}


class ExtraMissing(Exception):
    """The installation lacks the library of a protocol; the message says what to install."""


@lru_cache(maxsize=64)
def declared(protocol: str) -> Declared:
    """What a protocol lets an edge file say. Raises KeyError for a protocol that is not in the table."""
    place = PROTOCOLS[protocol]
    return cast("Declared", getattr(import_module(place.module), place.name))


@lru_cache(maxsize=64)
def of_family(family: str) -> Declared | None:
    """The protocol whose model files are of this family; None where there is no such family."""
    return next((declared(protocol) for protocol, place in PROTOCOLS.items() if place.family == family), None)


def families() -> list[str]:
    """What a model file may name as its protocol."""
    return sorted({place.family for place in PROTOCOLS.values()})


def open_driver(bus: Bus, gateway: Gateway) -> Driver[Any]:
    """A driver for one bus; connects at the first read. Raises ExtraMissing."""
    with naming_extra(bus):
        module = import_module(declared(bus.protocol).driver)
    return cast("Driver[Any]", module.open_driver(bus, gateway))


@contextmanager
def naming_extra(bus: Bus) -> Iterator[None]:
    """Turns an import that fails for want of the bus's library into ExtraMissing, which says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"edge_agent", "wire"}:
            raise
        extra = declared(bus.protocol).extra
        raise ExtraMissing(
            f"bus {bus.name}: protocol {bus.protocol} needs the package {package}: pip install 'wattline[{extra}]'"
        ) from error
