"""Browsing BACnet/IP and OPC UA: devices with their objects, servers with their variables, and rows to start a model from. Nothing is written."""

import json

from edge_agent.browse.listing import Listing, identifier, toml
from edge_agent.drivers.declared import Bus
from edge_agent.drivers.driver import Gateway

_MOST_LINES = 2_000


async def browse_bacnet(bus: Bus, _gateway: Gateway) -> tuple[Bus, list[Listing]]:
    """Who answers a call to all, and the devices that the bus names. Raises DriverError."""
    from edge_agent.drivers.bacnet import browse
    from edge_agent.drivers.bacnet.declared import Bus as BacnetBus

    assert isinstance(bus, BacnetBus)
    named = {device.instance: device for device in bus.device}
    listings = []
    for device in await browse.browse(bus):
        table = tuple(
            (
                one.object,
                one.name,
                one.unit,
                _number(one.value),
                "written" if one.commandable else "",
                one.row.get("quantity", ""),
            )
            for one in device.objects
        )
        rows = [
            "[[row]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in one.row.items()) + "\n"
            for one in device.objects
            if one.row
        ]
        own = named.get(device.instance)
        keys = {"name": identifier(device.name, f"device-{device.instance}"), "instance": device.instance}
        if own is not None and own.host is not None:
            keys |= {"host": own.host, "port": own.port}
        vendor = "" if device.vendor is None else f", vendor {device.vendor}"
        listings.append(
            Listing(
                f"device {device.instance} {device.name} at {device.place}{vendor}",
                ("object", "name", "unit", "value", "may be", "quantity?"),
                table,
                (device.fault,) if device.fault else (),
                "" if device.fault else toml("bus.device", keys, ""),
                "\n".join(rows),
            )
        )
    return bus, listings


async def browse_opcua(bus: Bus, gateway: Gateway) -> tuple[Bus, list[Listing]]:
    """The variables of a server, below the root of each device that the bus names, else all. Raises DriverError."""
    from edge_agent.drivers.opcua import browse
    from edge_agent.drivers.opcua.declared import Bus as OpcUaBus

    assert isinstance(bus, OpcUaBus)
    roots = list(dict.fromkeys(device.root for device in bus.device)) or [""]
    listings = []
    for root in roots:
        found = await browse.browse(bus, gateway, root)
        table = tuple((one.path, one.node, one.type, one.unit, one.value, one.status) for one in found)
        name = identifier(root.rpartition("/")[2].rpartition("=")[2], "machine")
        keys = {"name": name, **({"root": root} if root else {})}
        listings.append(
            Listing(
                f"{bus.url} {root}: {len(found)} variables".replace(" :", ":"),
                ("path", "node", "type", "unit", "value", "status"),
                table[:_MOST_LINES],
                (f"{len(table) - _MOST_LINES} more",) if len(table) > _MOST_LINES else (),
                toml("bus.device", keys, "") if found else "",
                "\n\n".join(one.row for one in found if one.row and 'quantity = ""' not in one.row),
            )
        )
    return bus, listings


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
