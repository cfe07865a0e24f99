"""What an edge file and a model say about BACnet/IP devices: own address, instances, objects, priorities. Not how objects are read.

A row finds its value by object ("analog-input,3") or by the object's name, which is what an integrator keeps equal over many devices.
"""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError
from typing import Annotated, Final, Literal

from msgspec import Meta

from edge_agent.drivers import declared
from edge_agent.drivers.bacnet import units
from edge_agent.drivers.bacnet.objects import MAX_INSTANCE, PRESENT_VALUE, WRITTEN_AS, object_id, property_id
from edge_agent.drivers.declared import Declared, Fault, Load, Port, Text
from edge_agent.drivers.driver import DevicePlan
from wire.quantities import QUANTITIES, Kind

PORT: Final = 47808  # 0xBAC0, clause J.1.2
DEFAULT_PRIORITY: Final = 12
Instance = Annotated[int, Meta(ge=0, le=MAX_INSTANCE)]
# 1 to 8 are life safety, equipment safety, minimum times and the operator's hand (clause 19.2, table 19-1): never ours.
Priority = Annotated[int, Meta(ge=9, le=16)]
Priorities = tuple[int, ...]

_LONGEST_APDU: Final = 1476  # clause J.1.1, what BACnet/IP carries
_ANSWER_MS: Final = 20.0  # what a controller takes to answer, for bus-time sums
_MIN_LIFETIMES: Final = 3


class Row(declared.Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity: `object` or `object_name`, and of it `property`.

    The value in the quantity's unit is `sign` x value x 10^`scale_exponent`, converted from the object's own unit; `unit` is the
    standard's name of the unit of an object that does not say one. `cov`: changes are subscribed to beside the polls, with
    `cov_increment` (in the object's unit) where the device lets a subscriber choose.
    """

    object: str | None = None
    object_name: str | None = None
    property: str = "present-value"
    scale_exponent: Annotated[int, Meta(ge=-18, le=18)] = 0
    sign: Literal[1, -1] = 1
    unit: str | None = None
    cov: bool = False
    cov_increment: Annotated[float, Meta(gt=0)] | None = None


class Point(declared.Point, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An object's present-value that may be written, at `priority`. Its `unit` is one of wire.quantities; the object's is converted to."""

    object: str | None = None
    object_name: str | None = None
    priority: Priority = DEFAULT_PRIORITY


class Model(declared.Model, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One product, or one building's convention of object names. `max_apdu`: the bytes a device can answer, where it says too many."""

    row: list[Row]
    point: list[Point] = []
    protocol: str = "bacnet"
    max_apdu: Annotated[int, Meta(ge=50, le=_LONGEST_APDU)] = _LONGEST_APDU
    multiple: bool = True  # false: one property a request, for devices that say they can read several and cannot


class Device(declared.Device, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device by its instance. With `host` it is asked there, otherwise it is looked for by broadcast.

    `priority` takes the place of the model's for all points.
    """

    instance: Instance
    host: Text | None = None
    port: Port = PORT
    period_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 10.0
    priority: Priority | None = None
    row: list[Row] = []


class Bus(declared.Bus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One BACnet/IP network, seen from one address of this machine.

    `interface` is that address, with its prefix ("10.0.0.5/24") where devices are looked for by broadcast; "0.0.0.0" takes any. `port` 0
    lets the system choose, for networks without broadcasts. `instance` is our own number on the network. `bbmd_host` registers us as a
    foreign device there. `timeout_s` is the whole time for an answer; the request is repeated once after half of it. `time_zone` (IANA name)
    is the devices' own, where they do not say how far their clocks are from UTC.
    """

    device: list[Device]
    interface: Text = "0.0.0.0"
    port: Annotated[int, Meta(ge=0, le=65535)] = PORT
    instance: Instance = 4_194_000
    timeout_s: Annotated[float, Meta(ge=0.05, le=60)] = 3.0
    bbmd_host: Text | None = None
    bbmd_port: Port = PORT
    bbmd_lifetime_s: Annotated[int, Meta(ge=10, le=65_535)] = 300
    cov_lifetime_s: Annotated[int, Meta(ge=2, le=86_400)] = 300
    cov_confirmed: bool = False
    time_zone: Text | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One row, planned. `object` is None where only the name is known; `unit` is the BACnet number assumed where the object says none."""

    quantity: str
    object: tuple[int, int] | None
    object_name: str | None
    property: int
    exponent: int
    sign: int
    unit: int | None
    low: float
    high: float
    counter: bool
    cov: bool
    cov_increment: float | None


@dataclass(frozen=True, slots=True)
class PointPlan:
    """One writable point, planned."""

    name: str
    object: tuple[int, int] | None
    object_name: str | None
    unit: str
    priority: int
    safe: float | None


@dataclass(frozen=True, slots=True)
class BacnetPlan(DevicePlan):
    """One device: where it is, what is read of it and what may be written."""

    instance: int
    host: str | None
    port: int
    items: tuple[Item, ...]
    points: tuple[PointPlan, ...]
    max_apdu: int
    multiple: bool
    lifetime_s: int

    @property
    def has_counters(self) -> bool:
        return any(item.counter for item in self.items)

    @property
    def quantities(self) -> tuple[str, ...]:
        return tuple(item.quantity for item in self.items)


def plan(bus: Bus, device: Device, model: Model) -> BacnetPlan:
    """The device as a driver reads it. A subscription lives at least three polls."""
    return BacnetPlan(
        device.name,
        device.instance,
        device.host,
        device.port,
        tuple(_item(row) for row in (*model.row, *device.row)),
        tuple(_point(point, device.priority) for point in model.point),
        model.max_apdu,
        model.multiple,
        max(bus.cov_lifetime_s, int(_MIN_LIFETIMES * device.period_s) + 1),
    )


def _item(row: Row) -> Item:
    low, high = row.bounds()
    return Item(
        row.quantity,
        None if row.object is None else object_id(row.object),
        row.object_name,
        property_id(row.property) or PRESENT_VALUE,
        row.scale_exponent,
        row.sign,
        None if row.unit is None else units.NUMBERS[row.unit],
        low,
        high,
        QUANTITIES[row.quantity].kind is Kind.COUNTER,
        row.cov,
        row.cov_increment,
    )


def _point(point: Point, priority: int | None) -> PointPlan:
    identifier = None if point.object is None else object_id(point.object)
    return PointPlan(point.name, identifier, point.object_name, point.unit, priority or point.priority, point.safe)


def row_faults(model: Model, rows: Sequence[Row], before: Sequence[Row] = ()) -> Iterator[tuple[int, str, str]]:
    """What is wrong with `rows` of a device of `model` that has the rows `before` already: (index, key, expected and seen)."""
    yield from declared.quantity_faults(rows, before)
    del model
    for index, row in enumerate(rows):
        if (row.object is None) == (row.object_name is None):
            yield index, "object", "expected object or object_name, saw neither or both"
        elif row.object is not None and object_id(row.object) is None:
            yield index, "object", f'expected "type,instance" such as "analog-input,3", saw {row.object!r}'
        elif row.object_name == "":
            yield index, "object_name", "expected a name, saw nothing"
        if property_id(row.property) is None:
            yield index, "property", f"expected a property's name or number, saw {row.property!r}"
        if row.cov and property_id(row.property) != PRESENT_VALUE:
            yield index, "cov", f"expected the property present-value beside cov, saw {row.property!r}"
        if row.unit is not None:
            yield from _unit_faults(index, row)


def _unit_faults(index: int, row: Row) -> Iterator[tuple[int, str, str]]:
    quantity = QUANTITIES.get(row.quantity)
    if row.unit not in units.NUMBERS:
        yield index, "unit", f"expected a unit of the standard such as kilowatts, saw {row.unit!r}"
    elif quantity is not None and units.conversion(units.NUMBERS[row.unit], quantity.unit) is None:
        yield index, "unit", f"expected one of {', '.join(units.convertible_to(quantity.unit))}, saw {row.unit!r}"


def point_faults(points: Sequence[Point]) -> Iterator[tuple[int, str, str]]:
    """What is wrong with a model's points: (index, key, expected and seen)."""
    for index, point in enumerate(points):
        if (point.object is None) == (point.object_name is None):
            yield index, "object", "expected object or object_name, saw neither or both"
        elif point.object is not None:
            identifier = object_id(point.object)
            if identifier is None or identifier[0] not in WRITTEN_AS:
                yield (
                    index,
                    "object",
                    f'expected an object that can be written such as "analog-value,3", saw {point.object!r}',
                )
        if not units.convertible_to(point.unit):
            yield index, "unit", f"expected a unit of wire.quantities, saw {point.unit!r}"


def own_address(bus: Bus) -> IPv4Interface:
    """The bus's own address and network. Raises ValueError."""
    return IPv4Interface(bus.interface)


def bus_faults(bus: Bus) -> Iterator[Fault]:
    """Faults between the keys of a bus: an address that is none, and devices to be looked for where nobody can be called."""
    yield from declared.zone_faults(bus.time_zone)
    try:
        own = None if bus.interface is None else own_address(bus)
    except (AddressValueError, NetmaskValueError, ValueError):
        yield (
            "interface",
            'an IPv4 address of this machine, with a prefix for broadcasts ("10.0.0.5/24")',
            repr(bus.interface),
        )
        return
    reaches_all = bus.bbmd_host is not None or (own is not None and own.network.prefixlen < 31 and bus.port != 0)
    for index, device in enumerate(bus.device or []):
        if device.instance is not None and device.instance == bus.instance:
            yield f"device[{index}].instance", "another instance than our own on the bus", str(device.instance)
        if device.host is None and not reaches_all:
            yield (
                f"device[{index}].host",
                'a host, or an interface with a prefix ("10.0.0.5/24") and a port, or bbmd_host to look for the device through',
                "none of them",
            )


def _place(bus: Bus) -> str | None:
    if bus.interface is None or bus.port is None or bus.port == 0:
        return None
    return f"{bus.interface.partition('/')[0]}:{bus.port}"


def broadcast_of(bus: Bus) -> IPv4Address | None:
    """Where everybody on the own network hears us; None where the network has no broadcasts."""
    own = own_address(bus)
    return own.network.broadcast_address if own.network.prefixlen < 31 and bus.port else None


async def resolved(host: str, port: int) -> tuple[str, int]:
    """The IPv4 address and port of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    address = found[0][4]
    return str(address[0]), int(address[1])


REQUEST_BYTES: Final = 4 + 6  # header of a request and of an answer, and room for the device's own status
_ASKED_BYTES: Final = 5 + 2 + 2 * 2  # identifier, brackets, present-value and status-flags
_ANSWERED_BYTES: Final = 5 + 2 + (2 + 2 + 9) + (2 + 2 + 3)  # as long as a double


def objects_a_request(max_apdu: int) -> int:
    """How many objects one request may ask for so that question and answer stay within `max_apdu` bytes; at least 1."""
    return max(1, (max_apdu - REQUEST_BYTES) // max(_ASKED_BYTES, _ANSWERED_BYTES))


def _load(_bus: Bus, planned: BacnetPlan) -> Load:
    a_request = objects_a_request(planned.max_apdu) if planned.multiple else 1
    count = -(-len(planned.items) // a_request)
    line = f"{len(planned.items)} objects of device {planned.instance}, up to {a_request} a request"
    return Load(count, count * _ANSWER_MS, (line,))


DECLARED: Final = Declared(
    family="bacnet",
    bus=Bus,
    device=Device,
    model=Model,
    driver="edge_agent.drivers.bacnet.driver",
    plan=plan,
    model_faults=row_faults,
    place=_place,
    address=lambda device: None if device.instance is None else str(device.instance),
    load=_load,
    faults=bus_faults,
    point_faults=point_faults,
    extra="bacnet",
)
