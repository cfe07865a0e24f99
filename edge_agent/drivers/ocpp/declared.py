"""What an edge file and a pile's model say about OCPP: the listener, identities, measurands, quirks. Nothing is opened here.

A bus is one listener, which the piles connect to; a device is one connector (1.6) or EVSE (2.x) of a pile, 0 is the pile as a whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from edge_agent.drivers import declared
from edge_agent.drivers.declared import Declared, Fault, Load, Text
from edge_agent.drivers.driver import DevicePlan
from wire.quantities import QUANTITIES, Kind

Version = Literal["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]
VERSIONS: Final[tuple[Version, ...]] = ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")  # best first

Identity = Annotated[str, Meta(pattern=r"^[A-Za-z0-9*|:=@+.,()_\-]{1,48}$")]
Watts = Annotated[float, Meta(gt=0, le=10_000_000)]

STATUS_QUANTITIES: Final = ("operating_state", "profile_writes")  # what no measurand gives

POINT_UNITS: Final = {
    "charging_limit_kw": "kW",
    "charging_limit_a": "A",
    "discharging_limit_kw": "kW",
    "active_power_setpoint_kw": "kW",
}


class Row(declared.Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity. The value is `measurand` less `minus`, of this phase and location; units are the message's own.

    Without a phase the value for all phases together is meant; where a pile sends only the phases of a power or an energy, their sum.
    Rows without a measurand (operating_state, profile_writes) come from messages of their own.
    """

    measurand: str = ""
    minus: str = ""
    phase: Literal["", "L1", "L2", "L3", "N", "L1-L2", "L2-L3", "L3-L1"] = ""
    location: Literal["Outlet", "Inlet", "EV", "Body", "Cable", "any"] = "Outlet"


class Point(declared.Point, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A limit or set-point; the names are fixed, see `POINT_UNITS`."""


class Model(declared.Model, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One product, with its quirks.

    session_relative: energies within a transaction count from 0 at its start, not on the meter's line.
    energy_unit: what energies without a unit are in (the standard says Wh).
    measurands: what it is asked to send, best first; where that many are refused, the last are left out one by one.
    rate_unit: the unit that its charging profiles must have; empty: as it says, W before A.
    profile_kind, profile_purpose, stack_level: what its charging profiles must be.
    ram_profiles: its profiles do not wear flash, so that the write budget does not bind.
    """

    protocol: str = "ocpp"
    row: list[Row]
    point: list[Point] = []
    current: Literal["ac", "dc"] = "ac"
    phases: Literal[1, 2, 3] = 3
    nominal_voltage_v: Annotated[float, Meta(gt=0, le=2000)] = 230.0
    rated_power_kw: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    minimum_current_a: Annotated[float, Meta(ge=0, le=1000)] = (
        6.0  # IEC 61851-1, table A.5: a pilot signal knows none below
    )
    measurands: list[str] = []
    sample_s: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    session_relative: bool = False
    energy_unit: Literal["Wh", "kWh"] = "Wh"
    rate_unit: Literal["", "W", "A"] = ""
    profile_kind: Literal["Absolute", "Relative"] = "Absolute"
    profile_purpose: Literal["TxProfile", "TxDefaultProfile"] = "TxProfile"
    stack_level: Annotated[int, Meta(ge=0, le=1000)] | None = None
    ram_profiles: bool = False
    bidirectional: bool = False


class Device(declared.Device, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One connector or EVSE. `safe_current_a` (or `safe_power_kw`) is kept in the pile as its default profile, for when the link is lost."""

    identity: Identity
    connector: Annotated[int, Meta(ge=0, le=64)] = 1
    row: list[Row] = []
    phases: Literal[1, 2, 3] | None = None
    safe_current_a: Annotated[float, Meta(ge=0, le=5000)] | None = None
    safe_power_kw: Annotated[float, Meta(ge=0, le=10_000)] | None = None
    profile_s: Annotated[int, Meta(ge=60, le=86_400)] = 900
    dead_band_a: Annotated[float, Meta(ge=0, le=100)] = 0.5
    writes_per_day: Annotated[int, Meta(ge=1, le=100_000)] = 100


class Bus(declared.Bus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One listener. `timeout_s` is for one answer of a pile. `host` and `port` are what piles connect to; port 0: any free one.

    role: `csms` is the central system itself; `local_controller` relays to the one at `upstream` and looks on.
    accept: whose id tags may charge, where nobody else decides: those in `id_tags`, or all.
    passwords: a file with a line for each pile, see `edge_agent.drivers.ocpp.security`.
    """

    device: list[Device]
    host: Text
    port: Annotated[int, Meta(ge=0, le=65535)] = 9000
    role: Literal["csms", "local_controller"] = "csms"
    versions: list[Version] = msgspec.field(default_factory=lambda: list(VERSIONS))
    security_profile: Literal[0, 1, 2, 3] = 2
    certificate: Text | None = None
    key: Text | None = None
    client_ca: Text | None = None
    passwords: Text | None = None
    timeout_s: Annotated[float, Meta(ge=0.05, le=60)] = 10.0
    accept: Literal["listed", "all"] = "listed"
    id_tags: list[Text] = []
    hide_id_tags: bool = False
    heartbeat_s: Annotated[int, Meta(ge=10, le=86_400)] = 300
    sample_s: Annotated[int, Meta(ge=1, le=86_400)] = 60
    silent_s: Annotated[float, Meta(gt=0, le=86_400)] = 600.0
    upstream: Text | None = None
    upstream_ca: Text | None = None
    upstream_certificate: Text | None = None
    upstream_key: Text | None = None
    offline_accept: Literal["known", "listed", "all"] = "known"
    upstream_queue: Annotated[int, Meta(ge=10, le=1_000_000)] = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """One quantity of a device and how it is found among sampled values; bounds in the quantity's unit."""

    quantity: str
    measurand: str
    minus: str
    phase: str
    location: str
    low: float
    high: float
    counter: bool


@dataclass(frozen=True, slots=True)
class PilePlan(DevicePlan):
    """One connector of a pile: what it measures, what it may be told, and its quirks (see `Model`, `Device`)."""

    identity: str
    connector: int
    columns: tuple[Column, ...]
    quirks: Model
    rated_power_kw: float | None
    phases: int
    sample_s: int
    safe_current_a: float | None
    safe_power_kw: float | None
    profile_s: int
    dead_band_a: float
    writes_per_day: int

    @property
    def has_counters(self) -> bool:
        """Never: piles send at the boundaries by themselves (ClockAlignedDataInterval)."""
        return False

    @property
    def quantities(self) -> tuple[str, ...]:
        """All rows'."""
        return tuple(column.quantity for column in self.columns)

    @property
    def point_names(self) -> frozenset[str]:
        """What may be written."""
        return frozenset(point.name for point in self.quirks.point)


def plan(bus: Bus, device: Device, model: Model) -> PilePlan:
    """What the driver must know of one connector."""
    columns = []
    for row in (*model.row, *device.row):
        low, high = row.bounds()
        counter = QUANTITIES[row.quantity].kind is Kind.COUNTER
        columns.append(Column(row.quantity, row.measurand, row.minus, row.phase, row.location, low, high, counter))
    return PilePlan(
        name=device.name,
        identity=device.identity,
        connector=device.connector,
        columns=tuple(columns),
        quirks=model,
        rated_power_kw=device.rated_power_kw or model.rated_power_kw,
        phases=device.phases or model.phases,
        sample_s=max(bus.sample_s, model.sample_s or 0),
        safe_current_a=device.safe_current_a,
        safe_power_kw=device.safe_power_kw,
        profile_s=device.profile_s,
        dead_band_a=device.dead_band_a,
        writes_per_day=device.writes_per_day,
    )


def row_faults(_model: Model, rows: Sequence[Row], before: Sequence[Row]) -> Iterator[tuple[int, str, str]]:
    """Rows without a source, beside what rows of any protocol can have."""
    yield from declared.quantity_faults(rows, before)
    for index, row in enumerate(rows):
        if not row.measurand and row.quantity not in STATUS_QUANTITIES:
            yield index, "measurand", "expected a measurand, saw none"
        if row.minus and not row.measurand:
            yield index, "minus", "expected a measurand beside minus, saw none"


def model_faults(model: Model, rows: Sequence[Row], before: Sequence[Row]) -> Iterator[tuple[int, str, str]]:
    """Those of the rows, and of a whole model also those of its points."""
    yield from row_faults(model, rows, before)
    if rows is model.row:
        for index, point in enumerate(model.point):
            if point.unit != POINT_UNITS.get(point.name):
                names = ", ".join(POINT_UNITS)
                yield index, "point", f"expected one of {names} in its unit, saw {point.name!r} in {point.unit!r}"


def bus_faults(bus: Bus) -> Iterator[Fault]:
    """Keys that are missing or too many for the security profile and the role."""
    if bus.security_profile in (2, 3):
        for name in ("certificate", "key"):
            if getattr(bus, name) is None:
                yield name, f"a PEM file for security profile {bus.security_profile}", "nothing"
    if bus.security_profile == 3 and bus.client_ca is None:
        yield "client_ca", "the authority of the piles' certificates for security profile 3", "nothing"
    if bus.role == "csms":
        if bus.security_profile in (1, 2) and bus.passwords is None:
            yield "passwords", f"a file for security profile {bus.security_profile}", "nothing"
        if bus.upstream is not None:
            yield "upstream", "nothing for role csms", bus.upstream
    elif bus.upstream is None:
        yield "upstream", "the operator's back end (ws:// or wss://) for role local_controller", "nothing"
    elif not bus.upstream.startswith(("ws://", "wss://")):
        yield "upstream", "an address that begins with ws:// or wss://", bus.upstream
    if bus.versions is not None and not bus.versions:
        yield "versions", "at least one version", "none"


def _lines(bus: Bus, plan: PilePlan) -> Load:
    wanted = f"asked for {', '.join(plan.quirks.measurands) or 'what it sends by itself'}"
    kind = "the whole pile" if plan.connector == 0 else f"connector {plan.connector}"
    return Load(0, 0.0, (f"{plan.identity}, {kind}: {wanted}, every {plan.sample_s} s in a transaction; {bus.role}",))


DECLARED: Final = Declared(
    family="ocpp",
    bus=Bus,
    device=Device,
    model=Model,
    driver="edge_agent.drivers.ocpp.driver",
    plan=plan,
    model_faults=model_faults,
    place=lambda bus: f"{bus.host}:{bus.port}" if bus.host is not None and bus.port else None,
    address=lambda device: None if device.identity is None else f"{device.identity}/{device.connector}",
    load=_lines,
    faults=bus_faults,
    files=("certificate", "key", "client_ca", "passwords", "upstream_ca", "upstream_certificate", "upstream_key"),
    extra="ocpp",
)
