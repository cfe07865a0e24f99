"""What an edge file and a meter model say about OPC UA servers: their address, their security, and where a quantity stands. Nothing is opened here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from edge_agent.drivers import declared
from edge_agent.drivers.arrivals import Window
from edge_agent.drivers.declared import Declared, Load, Text, quantity_faults
from edge_agent.drivers.driver import DevicePlan
from edge_agent.drivers.opcua.address import Address, AddressFault, located
from wire.quantities import QUANTITIES, Kind

DEFAULT_PORT: Final = 4840  # registered for OPC UA TCP; OPC 10000-6, 7.2

Milliseconds = Annotated[float, Meta(ge=10, le=3_600_000)]
FieldType = Literal["float32", "float64", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


class Row(declared.Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity. The value in the quantity's unit is `sign` x variable x 10^`scale_exponent`.

    `node` (a node id) or `path` (a browse path behind the device's root) says where it stands. `engineering_units`: the power of ten comes
    from the variable's EngineeringUnits property. `element`: of a variable that is an array. `offset`: of a variable that is a structure, where in its encoded
    body the value of `type` begins. `dead_band`, in the quantity's unit, is kept by the server. `sampling_ms` as for the bus.
    """

    node: Text | None = None
    path: Text | None = None
    scale_exponent: Annotated[int, Meta(ge=-18, le=18)] = 0
    sign: Literal[1, -1] = 1
    engineering_units: bool = False
    element: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    offset: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    type: FieldType = "float32"
    dead_band: Annotated[float, Meta(ge=0)] = 0.0
    sampling_ms: Milliseconds | None = None


class Point(declared.Point, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A variable that may be written; its data type is the server's."""

    node: Text | None = None
    path: Text | None = None
    scale_exponent: Annotated[int, Meta(ge=-18, le=18)] = 0


class Model(declared.Model, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One product, or one information model that many products share. `namespaces`: prefix -> URI; "" is for names without a prefix."""

    row: list[Row]
    point: list[Point] = []
    namespaces: dict[str, str] = {}


class Device(declared.Device, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One device within a server: `root` is where the model's rows begin (node id or browse path), or what `{root}` in them stands for.

    `namespaces` replaces the model's of the same prefix, where this server calls them otherwise.
    """

    root: str = ""
    namespaces: dict[str, str] = {}
    row: list[Row] = []


class Bus(declared.Bus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One OPC UA server. The password comes from WATTLINE_OPCUA_PASSWORD (or ..._<name of the bus>), never from the file.

    Files may be PEM or DER, whatever they are called. A secured server is trusted by `server_certificate` (this one), by `server_ca` (any that
    this authority has issued), or with `trust_first_use` by what it showed at the first connection. `publishing_ms`, `sampling_ms`,
    `queue_size` are asked of the server; `keepalive_s`: how long it may have nothing to say. A stamp of the server's is believed up to
    `max_age_s` before and `max_ahead_s` after our clock. A value that does not change is told again after `restate_s`.
    """

    url: Text
    security: Literal["None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"] = "None"
    mode: Literal["Sign", "SignAndEncrypt"] = "SignAndEncrypt"
    certificate: Text | None = None
    key: Text | None = None
    server_certificate: Text | None = None
    server_ca: Text | None = None
    trust_first_use: bool = False
    username: Text | None = None
    access: Literal["subscribe", "poll"] = "subscribe"
    publishing_ms: Milliseconds = 1000.0
    sampling_ms: Milliseconds | None = None
    queue_size: Annotated[int, Meta(ge=1, le=10_000)] = 10
    keepalive_s: Annotated[float, Meta(ge=0.1, le=600)] = 5.0
    max_age_s: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    max_ahead_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 5.0
    restate_s: Annotated[float, Meta(ge=1, le=86_400)] = 30.0
    timeout_s: Annotated[float, Meta(ge=0.05, le=60)] = 4.0
    device: list[Device]

    @property
    def window(self) -> Window:
        """Which stamps of the server's are believed."""
        return Window(round(1000 * self.max_age_s), round(1000 * self.max_ahead_s))


@dataclass(frozen=True, slots=True)
class Item:
    """One variable to watch."""

    quantity: str
    address: Address
    exponent: int
    sign: int
    low: float
    high: float
    counter: bool
    engineering_units: bool = False
    element: int | None = None
    offset: int | None = None
    type: str = "float32"
    dead_band: Annotated[float, "in the quantity's unit"] = 0.0
    sampling_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Writable:
    """One variable that may be written."""

    name: str
    address: Address
    exponent: int
    safe: Annotated[float | None, "in the point's unit"]


@dataclass(frozen=True, slots=True)
class OpcUaPlan(DevicePlan):
    """One device: what to watch and what may be written."""

    items: tuple[Item, ...]
    points: tuple[Writable, ...] = ()

    @property
    def has_counters(self) -> bool:
        return any(item.counter for item in self.items)

    @property
    def quantities(self) -> tuple[str, ...]:
        return tuple(item.quantity for item in self.items)


def plan(_bus: object, device: Device, model: Model) -> OpcUaPlan:
    """The device as the driver watches it."""
    namespaces = {**model.namespaces, **(device.namespaces or {})}
    return OpcUaPlan(
        device.name,
        tuple(_item(row, device.root, namespaces) for row in (*model.row, *device.row)),
        tuple(
            Writable(
                point.name,
                located(point.node, point.path, device.root, namespaces),
                point.scale_exponent,
                point.safe,
            )
            for point in model.point
        ),
    )


def _item(row: Row, root: str, namespaces: Mapping[str, str]) -> Item:
    low, high = row.bounds()
    return Item(
        quantity=row.quantity,
        address=located(row.node, row.path, root, namespaces),
        exponent=row.scale_exponent,
        sign=row.sign,
        low=low,
        high=high,
        counter=QUANTITIES[row.quantity].kind is Kind.COUNTER,
        engineering_units=row.engineering_units,
        element=row.element,
        offset=row.offset,
        type=row.type,
        dead_band=row.dead_band,
        sampling_ms=row.sampling_ms,
    )


def row_faults(model: Model, rows: Sequence[Row], before: Sequence[Row] = ()) -> Iterator[tuple[int, str, str]]:
    """What is wrong with `rows` behind the rows `before`: (index, key, expected and seen)."""
    yield from quantity_faults(rows, before)
    for index, row in enumerate(rows):
        try:
            located(row.node, row.path, "", model.namespaces)
        except AddressFault as fault:
            yield index, "node" if row.node is not None else "path", str(fault)
        if row.element is not None and row.offset is not None:
            yield index, "element", "expected either element (array) or offset (structure), saw both"


class _AnyPrefix(dict[str, str]):
    """For a root without its model at hand: any prefix may be the model's."""

    def __contains__(self, key: object) -> bool:
        return True


def faults(bus: Bus) -> Iterator[declared.Fault]:
    """What is wrong between the keys of a bus."""
    if bus.url is not None:
        try:
            parts = urlsplit(bus.url)
            good = parts.scheme == "opc.tcp" and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
        if not good:
            yield "url", "opc.tcp://host:port", repr(bus.url)
        elif "@" in parts.netloc:
            yield "url", "no user or password (username, and the password in the environment)", "both in the address"
    for index, device in enumerate(bus.device or []):
        try:
            if device.root:
                located(None, "x", device.root, _AnyPrefix())
        except AddressFault as fault:
            expected, _, seen = str(fault).removeprefix("expected ").partition(", saw ")
            yield f"device[{index}].root", expected, seen
    secured = bus.security not in (None, "None")
    if secured and (bus.certificate is None or bus.key is None):
        yield "certificate", f"certificate and key of ours for {bus.security}", "not both"
    if (
        secured
        and sum((bus.server_certificate is not None, bus.server_ca is not None, bus.trust_first_use is True)) != 1
    ):
        yield "server_certificate", "one of server_certificate, server_ca and trust_first_use = true", "none or several"
    if not secured and bus.username is not None and not _is_loopback(bus.url):
        yield "username", "a security policy that hides the password, or a server on this machine", 'security = "None"'


def _is_loopback(url: str | None) -> bool:
    try:
        host = urlsplit(url or "").hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def place(bus: Bus) -> str | None:
    """The server that only one bus can have."""
    try:
        parts = urlsplit(bus.url or "")
        return f"{parts.hostname}:{parts.port or DEFAULT_PORT}{parts.path.rstrip('/')}" if parts.hostname else None
    except ValueError:
        return None


def load(bus: Bus, planned: OpcUaPlan) -> Load:
    """A subscription takes no turn on the bus."""
    sampling_ms = bus.sampling_ms or bus.publishing_ms
    return Load(
        0,
        0.0,
        (
            f"{len(planned.items)} monitored items, sampled every {sampling_ms:g} ms, told every {bus.publishing_ms:g} ms",
        ),
    )


DECLARED: Final = Declared(
    family="opcua",
    bus=Bus,
    device=Device,
    model=Model,
    driver="edge_agent.drivers.opcua.driver",
    plan=plan,
    model_faults=row_faults,
    place=place,
    address=lambda _device: None,
    load=load,
    faults=faults,
    files=("certificate", "key", "server_certificate", "server_ca"),
    extra="opcua",
)
