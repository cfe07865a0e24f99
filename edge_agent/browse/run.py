"""`wattline edge browse`: the bus of an edge file, or one said on the command line, and whose way of browsing it takes. Only reads."""

import asyncio
import json
import tomllib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from edge_agent.browse.listing import Listing, NotBrowsable, print_listings
from edge_agent.drivers.declared import Bus
from edge_agent.drivers.driver import DriverError, Gateway
from edge_agent.drivers.table import PROTOCOLS, ExtraMissing, declared, naming_extra
from edge_agent.edge_file import EdgeFileFaults, load
from edge_agent.toml_structs import Checker, Fault
from wire.clock import Clock

TIMEOUT_S: Final = 300.0  # an M-Bus line of thirty meters takes that long at 2400 baud
_INSTEAD: Final = {
    "ocpp": "charging piles call the gateway: give them its address (ws://gateway:port/identity) and read what they say by `wattline edge run`",
    "mqtt": "devices publish by themselves: look at the broker's topics with a client such as `mosquitto_sub -v -t '#'`",
    "cjt188": "the address is printed on the meter and lines carry many meters: write it into the edge file and run `wattline edge commission`",
}
_FIRST_KEYS: Final = ("name", "protocol", "host", "port", "serial", "baud", "parity", "url", "interface")


async def run_browse(
    place: str,
    words: Sequence[str],
    bus_name: str | None,
    as_json: bool,
    out: TextIO,
    clock: Clock,
    timeout_s: float = TIMEOUT_S,
) -> int:
    """Prints what is found at `place`: an edge file, or a protocol whose bus is said by `words` (key=value; device.key=value).

    Exit status: 0 something was found, 1 nothing, 2 the words or the file cannot be used, or the protocol has nothing to browse.
    """
    try:
        bus = _from_file(place, bus_name) if place not in PROTOCOLS else from_words(place, words)
        browse = _browser(bus)
    except (EdgeFileFaults, NotBrowsable) as fault:
        out.write(f"{fault}\n")
        return 2
    try:
        async with asyncio.timeout(timeout_s):
            with naming_extra(bus):
                bus, found = await browse(bus, Gateway(clock.now_ms))
    except ExtraMissing as missing:
        out.write(f"{missing}\n")
        return 2
    except DriverError as fault:
        out.write(f"bus {bus.name}: {fault}\n")
        return 1
    except TimeoutError:
        out.write(f"bus {bus.name}: expected an end within {timeout_s:g} s, saw none: more time by --timeout-s\n")
        return 1
    if not found:
        out.write(f"bus {bus.name}: nobody answered\n")
        return 1
    print_listings(found, snippet(bus), as_json, out)
    return 0


# Gives the bus as it turned out to be, and what is on it.
Browse = Callable[[Bus, Gateway], Awaitable[tuple[Bus, list[Listing]]]]


def _browser(bus: Bus) -> Browse:
    """Raises NotBrowsable."""
    if bus.protocol in ("modbus_tcp", "modbus_rtu"):
        from edge_agent.browse.modbus import browse

        return browse
    if bus.protocol in ("bacnet_ip", "opcua"):
        from edge_agent.browse import building

        return building.browse_bacnet if bus.protocol == "bacnet_ip" else building.browse_opcua
    if bus.protocol in ("mbus", "dlt645"):
        from edge_agent.browse import lines

        return lines.browse_mbus if bus.protocol == "mbus" else lines.browse_dlt645
    instead = _INSTEAD.get(bus.protocol, "there is nothing to look for on it")
    raise NotBrowsable(f"bus {bus.name}: {bus.protocol} cannot be browsed: {instead}")


def _from_file(place: str, bus_name: str | None) -> Bus:
    """Raises EdgeFileFaults, NotBrowsable."""
    if not place.endswith(".toml") and not Path(place).exists():
        raise NotBrowsable(f"expected an edge file or one of {', '.join(sorted(PROTOCOLS))}, saw {place!r}")
    buses = load(place).bus
    named = [bus for bus in buses if bus_name in (None, bus.name)]
    if len(named) != 1:
        names = ", ".join(bus.name for bus in buses)
        raise NotBrowsable(f"--bus: expected one of {names}, saw {'nothing' if bus_name is None else repr(bus_name)}")
    return named[0]


def from_words(protocol: str, words: Sequence[str]) -> Bus:
    """The bus that the words describe. Raises EdgeFileFaults, NotBrowsable for a protocol that has nothing to browse."""
    if protocol in _INSTEAD:
        raise NotBrowsable(f"{protocol} cannot be browsed: {_INSTEAD[protocol]}")
    tree: dict[str, Any] = {"name": protocol, "protocol": protocol, "device": []}
    device: dict[str, Any] = {}
    faults: list[Fault] = []
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            faults.append(Fault("command line", word, "key=value", repr(word)))
        elif key.startswith("device."):
            device[key.removeprefix("device.")] = _value(text)
        else:
            tree[key] = _value(text)
    if device:
        tree["device"] = [{"name": "found", "model": "unknown", **device}]
    spoken = declared(protocol)
    bus: Any = Checker("command line", faults, lambda kind, _: kind).struct(spoken.bus, tree, "")
    if not faults:
        faults += [Fault("command line", key, expected, seen) for key, expected, seen in spoken.faults(bus)]
    if faults:
        raise EdgeFileFaults(faults)
    found: Bus = bus
    return found


def _value(text: str) -> Any:
    """A value as TOML would read it, or else the text itself: nobody likes to quote host names twice."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def snippet(bus: Bus) -> str:
    """The bus as an edge file would say it, without its devices."""
    tree = msgspec.structs.asdict(bus)
    usual = {field.name: field.default for field in msgspec.structs.fields(bus)}
    lines = [
        f"{key} = {json.dumps(value)}"
        for key, value in sorted(tree.items(), key=lambda pair: _order(pair[0]))
        if key != "device" and value is not None and (key in ("name", "protocol") or value != usual[key])
    ]
    return "\n".join(["[[bus]]", *lines]) + "\n"


def _order(key: str) -> tuple[int, str]:
    return (_FIRST_KEYS.index(key) if key in _FIRST_KEYS else len(_FIRST_KEYS), key)
