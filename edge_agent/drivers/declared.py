"""What an edge file and a meter model may say, whatever the protocol; each protocol adds its own words. Nothing is opened or read here.

[[bus]]            Bus      + the protocol's way to the bus        [[bus.device]]   Device + the device's address on it
meters/*.toml      Model    + [[row]] Row + where the value stands                 + [[point]] Point + what may be written
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from edge_agent.drivers.driver import DevicePlan
from wire.quantities import QUANTITIES
from wire.topics import ID

Port = Annotated[int, Meta(ge=1, le=65535)]
Id = Annotated[str, Meta(pattern=f"^{ID.pattern}$")]
Text = Annotated[str, Meta(min_length=1)]
Fault = tuple[str, str, str]  # key, expected, seen

SERIAL_SPEEDS: Final = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity of a model. `low` and `high` narrow what is plausible, in the quantity's unit; `confirmed`: a second source agrees."""

    quantity: str
    low: float | None = None
    high: float | None = None
    page: str = ""
    confirmed: bool = False

    def bounds(self) -> tuple[float, float]:
        """The plausible range, in the quantity's unit."""
        quantity = QUANTITIES[self.quantity]
        return (quantity.low if self.low is None else self.low), (quantity.high if self.high is None else self.high)


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something of a model that may be written, and what the device does when nobody writes any more.

    fallback: `device_timer` (the device reverts by itself), `watchdog` (it watches a heartbeat), `none` (it stays at the last value).
    `safe` is the value that does no harm, in `unit`; None: releasing is the safe state.
    """

    name: str
    unit: str
    low: float | None = None
    high: float | None = None
    safe: float | None = None
    fallback: Literal["device_timer", "watchdog", "none"] = "none"
    page: str = ""
    meaning: str = ""


class Manual(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the rows are from."""

    title: str
    edition: str
    url: str = ""
    second_source: str = ""  # what the rows with `confirmed = true` were checked against


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One product, or one family of them. `modulus_kwh`: where its energy counters roll over, if its manual says so."""

    maker: str
    model: str
    manual: Manual
    row: Sequence[Row]
    protocol: str = "modbus"
    modulus_kwh: Annotated[float, Meta(gt=0)] | None = None
    point: Sequence[Point] = []
    note: str = ""


class Allow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One point of a device that set-points may reach: `[[bus.device.allow]]`. What is not allowed is never written.

    `low`, `high` and `safe` are in the point's unit and lie within what the model allows; `rate_per_s` is the fastest change, in that unit
    per second; `dead_band` a change that is not worth a write. `longest_s` is how long a set-point may last, `hold_s` for how long the device
    may go on without this gateway (its own timer is set to that, and fed), `pause_s` the shortest time between two writes. `harmless`:
    staying at the last value does no harm, which a point without any fallback needs.
    """

    point: Text
    low: float | None = None
    high: float | None = None
    safe: float | None = None
    rate_per_s: Annotated[float, Meta(gt=0)] | None = None
    dead_band: Annotated[float, Meta(ge=0)] = 0.0
    longest_s: Annotated[float, Meta(gt=0, le=691_200)] = 3600.0
    hold_s: Annotated[float, Meta(ge=2, le=86_400)] = 60.0
    pause_s: Annotated[float, Meta(ge=0.1, le=3600)] = 1.0
    harmless: bool = False


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One device on a bus. `model` names a shipped meter model, or a file *.toml beside the edge file.

    `rated_power_kw` bounds what is plausible. `incomer` names the meter upstream, which measures again what this one does; commissioning
    compares the two. `dead_band` overrides the file's, by quantity. Values are spooled as the meter shows them; where it shows secondary ones, the aggregator's
    `multiplier` of this meter makes them primary.
    """

    name: Id
    model: Text
    period_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 1.0
    boundary_poll: bool = True
    boundary_s: Literal[60, 300, 600, 900, 1800, 3600] = 900
    rated_power_kw: Annotated[float, Meta(gt=0, le=2e6)] | None = None
    incomer: Id | None = None
    dead_band: dict[str, Annotated[float, Meta(ge=0)]] = {}
    row: Sequence[Row] = []
    allow: list[Allow] = []


class Bus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Devices that share a way to them and are read in turn. Time-outs are real seconds."""

    name: Id
    protocol: str
    device: Sequence[Device]
    timeout_s: Annotated[float, Meta(ge=0.05, le=60)] = 1.0


class TcpBus(Bus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bus behind one TCP port; another host is another bus."""

    host: Text
    port: Port = 502
    connect_pause_ms: Annotated[float, Meta(ge=0, le=60_000)] = 0.0


class SerialBus(Bus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A serial line: a port of this machine (`serial`), or the TCP port of a transparent serial server (`host`, `port`).

    `turnaround_ms` is how long a device of this line takes before it begins to answer; only bus-time sums use it. `echo`: the adapter
    hands back what is sent. At a serial server `baud` is what its own line runs at.
    """

    serial: Text | None = None
    host: Text | None = None
    port: Port | None = None
    baud: Annotated[int, Meta(ge=300, le=115_200)] = 9600
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1
    turnaround_ms: Annotated[float, Meta(ge=0, le=10_000)] = 20.0
    echo: bool = False

    @property
    def char_s(self) -> float:
        """Seconds on the line per character: start, 8 data, parity, stop bits."""
        return (1 + 8 + (self.parity != "none") + self.stop_bits) / self.baud


@dataclass(frozen=True, slots=True)
class Load:
    """What one poll of a device costs its bus: `busy_ms` of bus time in `requests`; `lines` describe them for people."""

    requests: int
    busy_ms: float
    lines: tuple[str, ...] = ()


def no_faults(_bus: Any) -> Iterator[Fault]:
    """For a protocol whose bus keys say nothing together."""
    return iter(())


def no_point_faults(_model: Any) -> Iterator[tuple[int, str, str]]:
    """For a protocol whose points need no check of their own."""
    return iter(())


def read_only(points: Sequence[Point]) -> Iterator[tuple[int, str, str]]:
    """For a protocol that never writes: every point of a model is a fault."""
    for index, point in enumerate(points):
        yield index, "name", f"expected no point, since nothing is ever written here, saw {point.name!r}"


@dataclass(frozen=True, slots=True)
class Declared:
    """One protocol: its words, and how a device that is described in them is planned.

    `driver` names the module with `open_driver(bus, gateway)`; it is imported when a bus needs it. `family` is what a model file calls
    its protocol. `place` is what no two buses of a file share, `address` what no two devices of a bus share. `files` are the bus's keys
    that name files, counted from the edge file's directory. `model_faults(model, rows, before)` gives (index, key, "expected ..., saw ...")
    for `rows` that stand behind the rows `before`, `point_faults(points)` the same for what may be written. `extra` names the part of the installation that brings the driver's library.
    """

    family: str
    bus: type[Bus]
    device: type[Device]
    model: type[Model]
    driver: str
    plan: Callable[[Any, Any, Any], DevicePlan]
    model_faults: Callable[[Any, Sequence[Any], Sequence[Any]], Iterator[tuple[int, str, str]]]
    place: Callable[[Any], str | None]
    address: Callable[[Any], str | None]
    load: Callable[[Any, Any], Load]
    faults: Callable[[Any], Iterator[Fault]] = no_faults
    point_faults: Callable[[Any], Iterator[tuple[int, str, str]]] = no_point_faults
    files: tuple[str, ...] = ()
    extra: str = "edge"


def serial_faults(bus: SerialBus) -> Iterator[Fault]:
    """A serial line is a port of this machine or a serial server, not both."""
    if (bus.serial is None) == (bus.host is None):
        yield "serial", "either serial, or host and port of a serial server", "both" if bus.serial else "neither"
    if (bus.host is None) != (bus.port is None):
        yield "host", "host and port together", "one without the other"
    if bus.baud is not None and bus.baud not in SERIAL_SPEEDS:
        yield "baud", f"one of {', '.join(map(str, SERIAL_SPEEDS))}", str(bus.baud)


def zone_faults(name: str | None) -> Iterator[Fault]:
    """A time zone that exists, where one is named."""
    if name is None:
        return
    from zoneinfo import ZoneInfo  # 1 MiB that a gateway without time zones can do without

    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        yield "time_zone", "an IANA time zone such as Asia/Shanghai", repr(name)


def serial_place(bus: SerialBus) -> str | None:
    """The port that only one bus can have."""
    if bus.serial is not None:
        return bus.serial
    return None if bus.host is None or bus.port is None else f"{bus.host}:{bus.port}"


def quantity_faults(rows: Sequence[Row], before: Sequence[Row]) -> Iterator[tuple[int, str, str]]:
    """Faults that rows of any protocol can have: unknown or doubled quantities, bounds the wrong way round."""
    seen = {row.quantity for row in before}
    for index, row in enumerate(rows):
        if row.quantity not in QUANTITIES:
            yield index, "quantity", f"expected a quantity of wire.quantities, saw {row.quantity!r}"
            continue
        if row.quantity in seen:
            yield index, "quantity", f"expected each quantity once per device, saw {row.quantity!r} again"
        seen.add(row.quantity)
        low, high = row.bounds()
        if low > high:
            yield index, "low", f"expected at most high ({high}), saw {low}"
