"""What an edge file and a meter model say about DL/T 645 meters: serial lines, addresses, data identifiers. Not how they are asked.

A row names a data identifier as the standard's tables print it (DI3 first) and its format as they print it: "XXX.X" are two bytes with one decimal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta

from edge_agent.drivers import declared
from edge_agent.drivers.declared import Declared, Fault, Load
from edge_agent.drivers.dlt645 import questions
from edge_agent.drivers.dlt645.questions import Item, Question
from edge_agent.drivers.driver import DevicePlan
from wire.quantities import QUANTITIES, Kind

Identifier = Annotated[str, Meta(pattern="^([0-9A-F]{8}|[0-9A-F]{4})$")]
Block = Annotated[str, Meta(pattern="^[0-9A-F]{4}FF[0-9A-F]{2}$")]
Format = Annotated[str, Meta(pattern=r"^(X{1,12}(\.X{1,6})?|H{2,8})$")]
Edition = Literal["2007", "1997"]

_FRAME_CHARS: Final = 12  # 68 A0..A5 68 C L CS 16
_ANSWER_PREAMBLE_CHARS: Final = 4
_SILENT_CHARS: Final = 3.5  # what the line waits for before each question
COMBINED_ACTIVE: Final = "0000"
IMPORTED: Final = "00010000"
EXPORTED: Final = "00020000"
# Table A.1: what the energy counters of each direction begin with, for all phases together and for each.
_DIRECTIONS: Final = {
    "energy_import": ("0001", "0015", "0029", "003D", "90"),
    "energy_export": ("0002", "0016", "002A", "003E", "90"),
}


class Row(declared.Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity. `format` is the standard's: X a decimal digit, two of them a byte; H a digit of a code whose bits mean something.

    The value is `sign` x number x 10^`scale_exponent`; `signed`: the highest bit is the sign. `bytes`: how long the answer is where the
    value is only its beginning (a maximum demand is followed by its time).
    """

    identifier: Identifier
    format: Format
    signed: bool = False
    sign: Literal[1, -1] = 1
    scale_exponent: Annotated[int, Meta(ge=-6, le=9)] = 0
    bytes: Annotated[int, Meta(ge=1, le=64)] | None = None


class Model(declared.Model, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One product, or a family of them. `blocks`: the data blocks that it is asked for; what it refuses is asked for one by one.

    `daily_freeze_days`: so many days back the meter keeps the energies of midnight (05060101...); 0: it keeps none.
    """

    row: list[Row]
    edition: Edition = "2007"
    blocks: list[Block] = []
    preamble: Annotated[int, Meta(ge=0, le=4)] = 4
    daily_freeze_days: Annotated[int, Meta(ge=0, le=62)] = 0


class Device(declared.Device, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A meter with the address that is printed on it (shorter ones are filled with zeros in front); `row` adds rows to its model's."""

    address: Annotated[str, Meta(pattern="^[0-9]{1,12}$")]
    row: list[Row] = []


class Bus(declared.SerialBus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A serial line as DL/T 645-2007 has it by default: 2400 baud, even parity.

    `time_zone` (IANA name) is the meters' own; their frozen midnights and their clocks are read only where it is given. `broadcast_time`: tell all meters
    of the line the time once a day. They take it over without being asked for a password, so it is off unless asked for.
    """

    device: list[Device]
    baud: Annotated[int, Meta(ge=300, le=115_200)] = 2400
    parity: Literal["none", "even", "odd"] = "even"
    turnaround_ms: Annotated[float, Meta(ge=0, le=10_000)] = 100.0
    time_zone: declared.Text | None = None
    broadcast_time: bool = False


@dataclass(frozen=True, slots=True)
class Dlt645Plan(DevicePlan):
    """One meter: its address (12 digits), how it is spoken to, and what it is asked."""

    address: str
    questions: tuple[Question, ...]
    edition: Edition = "2007"
    preamble: int = 4
    frozen: tuple[Item, ...] = ()  # the counters whose midnights it keeps
    frozen_days: int = 0

    @property
    def has_counters(self) -> bool:
        return any(question.has_counters for question in self.questions)

    @property
    def quantities(self) -> tuple[str, ...]:
        return tuple(item.quantity for question in self.questions for _, item in question.items)


def plan(bus: Bus, device: Device, model: Model) -> Dlt645Plan:
    """The meter as a driver reads it."""
    items = tuple(_item(row) for row in (*model.row, *device.row))
    kept = bool(bus.time_zone) and model.daily_freeze_days > 0
    return Dlt645Plan(
        device.name,
        device.address.zfill(12),
        questions.plan(items, model.blocks),
        model.edition,
        model.preamble,
        tuple(item for item in items if item.identifier in {IMPORTED, EXPORTED}) if kept else (),
        model.daily_freeze_days if kept else 0,
    )


def row_faults(model: Model, rows: Sequence[Row], before: Sequence[Row] = ()) -> Iterator[tuple[int, str, str]]:
    """What is wrong with `rows` of a device of `model` that has the rows `before` already: (index, key, expected and seen)."""
    yield from declared.quantity_faults(rows, before)
    for index, row in enumerate(rows):
        if row.identifier is None or row.format is None:
            continue
        if (len(row.identifier) == 8) != (model.edition == "2007"):
            expected = 8 if model.edition == "2007" else 4
            yield (
                index,
                "identifier",
                f"expected {expected} digits in the {model.edition} edition, saw {row.identifier!r}",
            )
            continue
        if row.quantity not in QUANTITIES:
            continue
        if wrong := _wrong_direction(row):
            yield index, "identifier", wrong
        if sum(char in "XH" for char in row.format) % 2:
            yield index, "format", f"expected whole bytes, two digits each, saw {row.format!r}"
        elif row.bytes is not None and row.bytes < _size(row.format):
            yield index, "bytes", f"expected at least {_size(row.format)}, the value's own, saw {row.bytes}"


def _wrong_direction(row: Row) -> str:
    """Why an identifier cannot be what the quantity says; combined energy is import plus export, or their difference, as the meter is set."""
    for beginning, identifiers in _DIRECTIONS.items():
        if not row.quantity.startswith(beginning):
            continue
        if row.identifier[:4] == COMBINED_ACTIVE and len(row.identifier) == 8:
            return f"expected import (0001...) or export (0002...), saw {row.identifier!r}, the combined energy of both"
        if not row.identifier.startswith(identifiers):
            return f"expected one of {', '.join(identifiers)} in front for {row.quantity}, saw {row.identifier!r}"
    return ""


def load(bus: Bus, plan: Dlt645Plan) -> Load:
    """Bus time of one poll: each question's and answer's characters, the meter's turnaround and the silence between frames."""
    lines = []
    busy_ms = 0.0
    for question in plan.questions:
        identifier = len(question.identifier) // 2
        asked = plan.preamble + _FRAME_CHARS + identifier
        answered = _ANSWER_PREAMBLE_CHARS + _FRAME_CHARS + identifier + question.answer_size
        took_ms = (_SILENT_CHARS + asked + answered) * bus.char_s * 1000 + bus.turnaround_ms
        busy_ms += took_ms
        lines.append(f"{line(question)}, {took_ms:.0f} ms")
    return Load(len(plan.questions), busy_ms, tuple(lines))


def line(question: Question) -> str:
    """A question for people."""
    names = ", ".join(item.quantity for _, item in question.items)
    return f"{'block' if question.block else 'identifier'} {question.identifier}: {names}"


def bus_faults(bus: Bus) -> Iterator[Fault]:
    """A serial line, and a time zone that exists where the time is told."""
    yield from declared.serial_faults(bus)
    if bus.broadcast_time and bus.time_zone is None:
        yield "time_zone", "the time zone of the meters' clocks beside broadcast_time", "nothing"
    yield from declared.zone_faults(bus.time_zone)


def _size(written: str) -> int:
    return sum(char in "XH" for char in written) // 2


def _item(row: Row) -> Item:
    low, high = row.bounds()
    size = _size(row.format)
    return Item(
        quantity=row.quantity,
        identifier=row.identifier,
        size=size,
        exponent=row.scale_exponent - len(row.format.partition(".")[2]),
        signed=row.signed,
        sign=row.sign,
        low=low,
        high=high,
        counter=QUANTITIES[row.quantity].kind is Kind.COUNTER,
        answer_size=row.bytes or size,
        code=row.format.startswith("H"),
    )


DECLARED: Final = Declared(
    family="dlt645",
    bus=Bus,
    device=Device,
    model=Model,
    driver="edge_agent.drivers.dlt645.driver",
    plan=plan,
    model_faults=row_faults,
    place=declared.serial_place,
    address=lambda device: None if device.address is None else device.address.zfill(12),
    load=load,
    faults=bus_faults,
    point_faults=declared.read_only,
)
