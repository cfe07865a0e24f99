"""What an edge file and a meter model say about Modbus devices: buses, unit ids, registers. Not how registers are read.

A model is data with its source: the maker's manual, edition and page for each block of rows, and the second source that confirmed it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final, Literal

from msgspec import Meta

from edge_agent.drivers import declared
from edge_agent.drivers.declared import Declared, Load
from edge_agent.drivers.driver import DevicePlan
from edge_agent.drivers.modbus import coalesce, points, sunspec
from edge_agent.drivers.modbus.coalesce import (
    MODBUS_MAX_REGISTERS,
    NO_LIMITS,
    TCP_COST,
    Cost,
    Limits,
    Request,
    impossible,
)
from edge_agent.drivers.modbus.points import Point
from edge_agent.drivers.modbus.registers import TYPES, Address, Field, TypeName
from edge_agent.drivers.serial_line import Wiring
from wire.quantities import QUANTITIES, Kind

# MODBUS over Serial Line V1.02, 2.2: 0 is everybody and never answers, 248 to 255 are reserved
FIRST_UNIT: Final = 1
LAST_UNIT: Final = 247

Table = Literal["holding", "input"]


_TCP_LOAD: Final = Cost(20.0, 0.0)  # what a simple meter takes to answer; on TCP a register costs nothing beside it


class Row(declared.Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity. The value in the quantity's unit is `sign` x register x 10^`scale_exponent` (x 10^scale factor).

    `address` counts from 0 as on the wire; in a row with `model_block` the addresses count from that SunSpec model's id register and
    are called `offset` and `scale_offset`.
    """

    type: TypeName
    address: Address | None = None
    table: Table | None = None
    scale_exponent: Annotated[int, Meta(ge=-18, le=18)] = 0
    sign: Literal[1, -1] = 1
    word_order: Literal["high_first", "low_first"] | None = None
    not_implemented: list[int] = []
    model_block: Annotated[int, Meta(ge=1, le=65534)] | None = None
    offset: Annotated[int, Meta(ge=2, le=65535)] | None = None
    scale_offset: Annotated[int, Meta(ge=2, le=65535)] | None = None


class Model(declared.Model, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One product, or one SunSpec model with its companions. `alternatives`: of several rows of a quantity the first counts whose model is there."""

    row: list[Row]
    point: list[Point] = []
    table: Table = "holding"
    word_order: Literal["high_first", "low_first"] = "high_first"
    max_registers: Annotated[int, Meta(ge=1, le=MODBUS_MAX_REGISTERS)] = MODBUS_MAX_REGISTERS
    one_request_per_field: bool = False
    no_read: list[tuple[Address, Address]] = []
    pause_ms: Annotated[float, Meta(ge=0, le=10_000)] = 0.0
    alternatives: bool = False

    def limits(self) -> Limits:
        """What one request to this model may read."""
        return Limits(self.max_registers, tuple(self.no_read), self.one_request_per_field, self.pause_ms)


class Device(declared.Device, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device with its unit id; `row` adds rows to its model's."""

    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    row: list[Row] = []


class TcpBus(declared.TcpBus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Modbus TCP."""

    device: list[Device]


class RtuBus(declared.SerialBus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Modbus RTU on a serial line, or through a transparent serial server. `connect_pause_ms`: how long such a server wants to be left alone."""

    device: list[Device]
    connect_pause_ms: Annotated[float, Meta(ge=0, le=60_000)] = 0.0


@dataclass(frozen=True, slots=True)
class ModbusPlan(DevicePlan):
    """One device: its unit id, its fields and what a request to it may read."""

    unit: int
    fields: tuple[Field, ...]
    limits: Limits = NO_LIMITS
    points: tuple[Point, ...] = ()
    low_word_first: bool = False  # in points of several registers
    alternatives: bool = False  # of several fields of a quantity the first counts whose model is there

    @property
    def has_counters(self) -> bool:
        return any(field.counter for field in self.fields)

    @property
    def quantities(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(field.quantity for field in self.fields if field.quantity))

    @property
    def in_models(self) -> bool:
        """Whether only the device's own chain of SunSpec models tells the addresses."""
        return any(field.model_block is not None for field in self.fields)


def plan(_bus: object, device: Device, model: Model) -> ModbusPlan:
    """The device as a driver reads it."""
    return ModbusPlan(
        device.name,
        device.unit,
        fields(model, device.row),
        model.limits(),
        tuple(model.point),
        model.word_order == "low_first",
        model.alternatives,
    )


def fields(model: Model, extra: Sequence[Row] = ()) -> tuple[Field, ...]:
    """The fields of a device of this model, with the edge file's own rows behind. Equal devices share them."""
    return _shared(tuple(_field(model, row) for row in (*model.row, *extra)))


@lru_cache(maxsize=256)
def _shared(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return fields


def row_faults(model: Model, rows: Sequence[Row], before: Sequence[Row] = ()) -> Iterator[tuple[int, str, str]]:
    """What is wrong with `rows` of a device of `model` that has the rows `before` already: (index, key, expected and seen)."""
    wrong = [
        fault
        for fault in declared.quantity_faults(rows, before)
        if not (model.alternatives and fault[2].endswith(" again") and rows[fault[0]].model_block is not None)
    ]
    yield from wrong
    nameless = {index for index, key, _ in wrong if key == "quantity"}
    for index, row in enumerate(rows):
        if index in nameless and row.quantity not in QUANTITIES:
            continue
        if row.model_block is None:
            if row.address is None or row.offset is not None or row.scale_offset is not None:
                yield index, "address", "expected an address (or model_block with offset), saw neither or both"
                continue
            if row.address + TYPES[row.type].words > 0x10000:
                yield index, "address", f"expected the last register at 65535 or below, saw {row.type} at {row.address}"
        elif row.offset is None or row.address is not None:
            yield index, "offset", "expected an offset beside model_block and no address, saw neither or both"
            continue
        if impossible([_field(model, row)], model.limits()):
            yield (
                index,
                "address",
                f"expected registers that one request may read (limits of the model), saw {row.address}",
            )


def requests(plan: ModbusPlan, cost: Cost = TCP_COST) -> tuple[Request, ...]:
    """The requests that a read will take; for SunSpec as if its models stood one behind the other."""
    members = plan.fields
    if plan.in_models:
        members, _ = sunspec.placed(members, sunspec.nominal(members))
    return coalesce.plan(members, plan.limits, cost)


def line(request: Request) -> str:
    """A request for people."""
    last = request.start + request.count - 1
    return f"{request.table} {request.start}..{last}, {request.count} registers, {request.holes} of them holes"


def load(plan: ModbusPlan, cost: Cost) -> Load:
    """Bus time of one poll at a cost per request."""
    planned = requests(plan, cost if cost.register_ms else TCP_COST)
    busy_ms = sum(cost.of(request.count) + plan.limits.pause_ms for request in planned)
    return Load(len(planned), busy_ms, tuple(map(line, planned)))


def _field(model: Model, row: Row) -> Field:
    low, high = row.bounds()
    sentinel = TYPES[row.type].absent
    if row.not_implemented:
        absent = tuple(row.not_implemented)
    else:
        absent = (sentinel,) if row.model_block is not None and sentinel is not None else ()
    address = row.address if row.model_block is None else row.offset
    assert address is not None
    return Field(
        quantity=row.quantity,
        table=row.table or model.table,
        address=address,
        type=row.type,
        exponent=row.scale_exponent,
        sign=row.sign,
        low_word_first=(row.word_order or model.word_order) == "low_first",
        absent=absent,
        low=low,
        high=high,
        counter=QUANTITIES[row.quantity].kind is Kind.COUNTER,
        model_block=row.model_block,
        scale_address=row.scale_offset,
    )


def _tcp_place(bus: TcpBus) -> str | None:
    return None if bus.host is None or bus.port is None else f"{bus.host}:{bus.port}"


def unit_address(device: Device) -> str | None:
    """What no two devices of a bus share: the unit, but of a SunSpec chain each model, for an inverter and the meter behind it are two devices."""
    if device.unit is None:
        return None
    chain = device.model is not None and device.model.startswith("sunspec")
    return f"{device.unit} {device.model}" if chain else str(device.unit)


TCP: Final = Declared(
    family="modbus",
    bus=TcpBus,
    device=Device,
    model=Model,
    driver="edge_agent.drivers.modbus.tcp",
    plan=plan,
    model_faults=row_faults,
    place=_tcp_place,
    address=unit_address,
    load=lambda _bus, planned: load(planned, _TCP_LOAD),
    point_faults=points.faults,
)


def rtu_cost(bus: RtuBus) -> Cost:
    """Bus time of a request on a serial line."""
    wiring = Wiring.of(bus)
    return coalesce.line_cost(wiring.char_s, wiring.silence_s, bus.turnaround_ms)


def _rtu_faults(bus: RtuBus) -> Iterator[declared.Fault]:
    yield from declared.serial_faults(bus)
    for index, device in enumerate(bus.device or []):
        if device.unit is not None and not FIRST_UNIT <= device.unit <= LAST_UNIT:
            yield f"device[{index}].unit", f"from {FIRST_UNIT} to {LAST_UNIT} on a serial line", str(device.unit)


RTU: Final = Declared(
    family="modbus",
    bus=RtuBus,
    device=Device,
    model=Model,
    driver="edge_agent.drivers.modbus.rtu",
    plan=plan,
    model_faults=row_faults,
    place=declared.serial_place,
    address=unit_address,
    load=lambda bus, planned: load(planned, rtu_cost(bus)),
    faults=_rtu_faults,
    point_faults=points.faults,
)
