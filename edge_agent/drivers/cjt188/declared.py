"""What an edge file and a meter model say about CJ/T 188 meters: serial lines, addresses, where a value stands in the answer. Not how they are asked.

An offset counts from 0 behind the serial number of the answer; a format is written as in the standard's tables: "XXXXXX.XX" are four bytes of BCD
with two decimals, "HHHH" a binary word.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta

from edge_agent.drivers import declared
from edge_agent.drivers.cjt188 import frame
from edge_agent.drivers.cjt188.frame import Dimension
from edge_agent.drivers.cjt188.layout import Field, Layout
from edge_agent.drivers.declared import Declared, Load
from edge_agent.drivers.driver import DevicePlan
from wire.quantities import QUANTITIES, Kind

Format = Annotated[str, Meta(pattern=r"^(X{1,12}(\.X{1,6})?|H{2,8})$")]
Order = Literal["901F", "1F90"]

_FRAME_CHARS: Final = 13  # 68 T A0..A6 C L CS 16
_QUESTION_CHARS: Final = 3  # DI0 DI1 SER
_ANSWER_PREAMBLE_CHARS: Final = 4
_SILENT_CHARS: Final = 3.5  # what the line waits for before each question
_DIMENSIONS: Final = {dimension.value: dimension for dimension in Dimension}


class Row(declared.Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity at an `offset`. `unit`: "code" where a unit code stands beside the value, "none" where the format alone says it.

    `mask`: these bits of a binary word (format H).
    """

    offset: Annotated[int, Meta(ge=0, le=96)]
    format: Format
    unit: Literal["code", "none"] = "none"
    mask: Annotated[int, Meta(ge=1, le=0xFFFFFFFF)] | None = None
    scale_exponent: Annotated[int, Meta(ge=-6, le=9)] = 0


class Model(declared.Model, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One product, or a family of them. `type` is the byte T of its frames ("10" cold water), as hexadecimal digits.

    `di_order`: the order in which the two bytes of the data identifier are sent. `unit_place`: on which side of its value a unit code
    stands. `status_offset`: where the status word stands; `battery_mask`: which of its bits say that the battery is low. `echo`: "off" for
    meters that do not repeat the serial number.
    """

    row: list[Row]
    type: Annotated[str, Meta(pattern="^[0-9A-F]{2}$")]
    di_order: Order
    unit_place: Literal["after", "before"] = "after"
    status_offset: Annotated[int, Meta(ge=0, le=96)] | None = None
    battery_mask: Annotated[int, Meta(ge=0, le=0xFFFF)] = frame.BATTERY_LOW
    echo: Literal["on", "off"] = "on"
    preamble: Annotated[int, Meta(ge=0, le=4)] = 4


class Device(declared.Device, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A meter with its address: up to 14 digits, the maker's code in the upper four; shorter ones are filled with zeros in front."""

    address: Annotated[str, Meta(pattern="^[0-9A-F]{1,14}$")]
    row: list[Row] = []


class Bus(declared.SerialBus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A serial line as CJ/T 188-2004 has it: 2400 baud, even parity."""

    device: list[Device]
    baud: Annotated[int, Meta(ge=300, le=115_200)] = 2400
    parity: Literal["none", "even", "odd"] = "even"
    turnaround_ms: Annotated[float, Meta(ge=0, le=10_000)] = 100.0


@dataclass(frozen=True, slots=True)
class Cjt188Plan(DevicePlan):
    """One meter: its type and address, how it is asked, and what its answer holds."""

    type: int
    address: str
    low_first: bool
    layout: Layout
    echoes: bool = True
    preamble: int = 4

    @property
    def has_counters(self) -> bool:
        return any(field.counter for field in self.layout.fields)

    @property
    def quantities(self) -> tuple[str, ...]:
        return tuple(field.quantity for field in self.layout.fields)


def plan(_bus: Bus, device: Device, model: Model) -> Cjt188Plan:
    """The meter as a driver reads it."""
    fields = tuple(_field(model, row) for row in (*model.row, *device.row))
    return Cjt188Plan(
        device.name,
        int(model.type, 16),
        device.address.zfill(14),
        model.di_order == "1F90",
        Layout(fields, model.status_offset, model.battery_mask),
        model.echo == "on",
        model.preamble,
    )


def row_faults(_model: Model, rows: Sequence[Row], before: Sequence[Row] = ()) -> Iterator[tuple[int, str, str]]:
    """What is wrong with `rows` behind the rows `before` of the same device: (index, key, expected and seen)."""
    yield from declared.quantity_faults(rows, before)
    for index, row in enumerate(rows):
        if row.offset is None or row.format is None or row.quantity not in QUANTITIES:
            continue
        code = row.format.startswith("H")
        if sum(char in "XH" for char in row.format) % 2:
            yield index, "format", f"expected whole bytes, two digits each, saw {row.format!r}"
        if (row.mask is not None) != code:
            yield index, "mask", f"expected a mask beside a binary word (HHHH) and only there, saw {row.format!r}"
        if row.unit == "code" and (code or _dimension(row.quantity) is None):
            unit = QUANTITIES[row.quantity].unit
            yield index, "unit", f"expected a unit code beside kWh, kW, m3 or m3/h, saw {row.quantity!r} in {unit}"


def load(bus: Bus, plan: Cjt188Plan) -> Load:
    """Bus time of one poll: the characters of question and answer and the meter's turnaround."""
    asked = plan.preamble + _FRAME_CHARS + _QUESTION_CHARS
    answered = _ANSWER_PREAMBLE_CHARS + _FRAME_CHARS + _QUESTION_CHARS + plan.layout.size
    took_ms = (_SILENT_CHARS + asked + answered) * bus.char_s * 1000 + bus.turnaround_ms
    return Load(1, took_ms, (f"{line(plan)}, {took_ms:.0f} ms",))


def line(plan: Cjt188Plan) -> str:
    """The question for people."""
    kind = frame.METER_TYPES.get(plan.type, f"type {plan.type:02X}")
    return f"{frame.METERING_DATA} of a {kind} meter: {', '.join(plan.quantities)}"


def _dimension(quantity: str) -> Dimension | None:
    return _DIMENSIONS.get(QUANTITIES[quantity].unit)


def _field(model: Model, row: Row) -> Field:
    low, high = row.bounds()
    return Field(
        quantity=row.quantity,
        offset=row.offset,
        size=sum(char in "XH" for char in row.format) // 2,
        exponent=row.scale_exponent - len(row.format.partition(".")[2]),
        low=low,
        high=high,
        counter=QUANTITIES[row.quantity].kind is Kind.COUNTER,
        dimension=_dimension(row.quantity) if row.unit == "code" else None,
        unit_first=model.unit_place == "before",
        mask=row.mask,
    )


DECLARED: Final = Declared(
    family="cjt188",
    bus=Bus,
    device=Device,
    model=Model,
    driver="edge_agent.drivers.cjt188.driver",
    plan=plan,
    model_faults=row_faults,
    place=declared.serial_place,
    address=lambda device: None if device.address is None else device.address.zfill(14),
    load=load,
    faults=declared.serial_faults,
    point_faults=declared.read_only,
)
