"""Which module speaks which protocol. Modules are imported when a bus needs them, so that a gateway loads only what it speaks."""

from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

from edge_agent.drivers.driver import Driver, Endpoint

PROTOCOLS: Final[dict[str, str]] = {
    "modbus_tcp": "edge_agent.drivers.modbus_tcp",
}


def open_driver(protocol: str, endpoint: Endpoint, clock: Callable[[], int]) -> Driver:
    """A driver for one bus; connects at the first read. Raises KeyError for a protocol that is not in the table."""
    module = import_module(PROTOCOLS[protocol])
    return cast("Driver", module.open_driver(endpoint, clock))
