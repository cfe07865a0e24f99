"""Browsing serial lines: the meters of an M-Bus line by their secondary addresses, the address of a DL/T 645 line's only meter. Nothing is written."""

from typing import Any

from edge_agent import meter
from edge_agent.browse.listing import Listing, identifier, toml
from edge_agent.drivers.declared import Bus
from edge_agent.drivers.driver import Gateway
from edge_agent.drivers.table import open_driver


async def browse_mbus(bus: Bus, gateway: Gateway) -> tuple[Bus, list[Listing]]:
    """Every meter of the line, one time-out for each digit that no meter has. Raises DriverError."""
    from edge_agent.drivers.mbus.driver import Mbus
    from edge_agent.drivers.mbus.meanings import medium_name

    driver = open_driver(bus, gateway)
    assert isinstance(driver, Mbus)
    try:
        found = await driver.search()
    finally:
        await driver.close()
    listings = []
    for one in found.meters:
        medium = "" if one.medium is None else medium_name(one.medium)
        fitting = _models(one.manufacturer, medium)
        keys: dict[str, Any] = {
            "name": identifier(f"{medium} {one.identification}", one.identification),
            "secondary": one.identification,
            "manufacturer": one.manufacturer,
            "version": one.version,
            "medium": one.medium,
        }
        cells = (one.identification, one.manufacturer or "", str(one.version), medium, " ".join(fitting))
        listings.append(
            Listing(
                f"meter {one.identification}",
                ("secondary", "maker", "version", "medium", "shipped models of this maker"),
                (cells,),
                device=toml("bus.device", keys, fitting[0] if len(fitting) == 1 else ""),
            )
        )
    listings += [
        Listing(f"several meters have the number {number} and answer at once: give one of them another number")
        for number in found.doubled
    ]
    return bus, listings


def _models(manufacturer: str | None, medium: str) -> list[str]:
    """The shipped models of a maker's code; those for the medium alone, where there are such."""
    found = []
    for name in meter.shipped():
        model: Any = meter.load(name)
        if manufacturer is not None and model.protocol == "mbus" and model.manufacturer == manufacturer:
            found.append((name, model.media))
    exact = [name for name, media in found if medium in media]
    return exact or [name for name, _ in found]


async def browse_dlt645(bus: Bus, gateway: Gateway) -> tuple[Bus, list[Listing]]:
    """The only meter of the line: several would answer at once. Raises DriverError."""
    from edge_agent.drivers.dlt645.driver import Dlt645

    driver = open_driver(bus, gateway)
    assert isinstance(driver, Dlt645)
    try:
        address = await driver.only_address()
    finally:
        await driver.close()
    keys = {"name": f"meter-{address.lstrip('0') or '0'}", "address": address}
    return bus, [Listing(f"meter {address}", notes=("2007 edition",), device=toml("bus.device", keys, ""))]
