"""Meter models: TOML files that say which quantity stands in which register of which product. Not how registers are read.

A model is data with its source: the maker's manual, edition and page for each block of rows, and the second source that confirmed it.
"""

import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from edge_agent.drivers.coalesce import MODBUS_MAX_REGISTERS, Limits, impossible
from edge_agent.drivers.registers import TYPES, Field
from wire.quantities import QUANTITIES, Kind

DIRECTORY: Final = Path(__file__).parent / "meters"

Address = Annotated[int, Meta(ge=0, le=0xFFFF)]
Table = Literal["holding", "input"]
TypeName = Literal["uint16", "int16", "uint32", "int32", "uint64", "int64", "acc32", "acc64", "float32", "float64"]


class Manual(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the registers are from."""

    title: str
    edition: str
    url: str = ""
    second_source: str = ""  # what the rows with `confirmed = true` were checked against


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One quantity. The value in the quantity's unit is `sign` x register x 10^`scale_exponent` (x 10^scale factor).

    `address` counts from 0 as on the wire; in a row with `model_block` the addresses count from that SunSpec model's id register and
    are called `offset` and `scale_offset`.
    """

    quantity: str
    type: TypeName
    address: Address | None = None
    table: Table | None = None
    scale_exponent: Annotated[int, Meta(ge=-18, le=18)] = 0
    sign: Literal[1, -1] = 1
    word_order: Literal["high_first", "low_first"] | None = None
    not_implemented: list[int] = []
    low: float | None = None
    high: float | None = None
    page: str = ""
    confirmed: bool = False
    model_block: Annotated[int, Meta(ge=1, le=65534)] | None = None
    offset: Annotated[int, Meta(ge=2, le=65535)] | None = None
    scale_offset: Annotated[int, Meta(ge=2, le=65535)] | None = None


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A register that may be written, as data for whoever steers the device. Nothing here writes it."""

    name: str
    type: TypeName
    unit: str
    model_block: int | None = None
    offset: int | None = None
    scale_offset: int | None = None
    address: Address | None = None
    scale_exponent: int = 0
    low: float | None = None
    high: float | None = None
    fallback: Literal["device_timer", "watchdog", "none"] = "none"
    page: str = ""
    meaning: str = ""


class MeterModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One product, or one SunSpec model with its companions. `modulus_kwh`: where its energy counters roll over, if it says so."""

    maker: str
    model: str
    manual: Manual
    row: list[Row]
    table: Table = "holding"
    word_order: Literal["high_first", "low_first"] = "high_first"
    max_registers: Annotated[int, Meta(ge=1, le=MODBUS_MAX_REGISTERS)] = MODBUS_MAX_REGISTERS
    one_request_per_field: bool = False
    no_read: list[tuple[Address, Address]] = []
    pause_ms: Annotated[float, Meta(ge=0, le=10_000)] = 0.0
    modulus_kwh: Annotated[float, Meta(gt=0)] | None = None
    point: list[Point] = []
    note: str = ""

    def limits(self) -> Limits:
        """What one request to this model may read."""
        return Limits(self.max_registers, tuple(self.no_read), self.one_request_per_field, self.pause_ms)


class ModelFault(Exception):
    """A model that cannot be used; the message names the file, the row, what was expected and what was seen."""


def shipped() -> list[str]:
    """The names of the models that come with the agent."""
    return sorted(path.stem for path in DIRECTORY.glob("*.toml"))


@lru_cache(maxsize=256)
def load(name: str) -> MeterModel:
    """The shipped model `name`, or the one in the file `name` where it ends in `.toml`. Raises ModelFault."""
    path = Path(name) if name.endswith(".toml") else DIRECTORY / f"{name}.toml"
    if not name.endswith(".toml") and name not in shipped():
        raise ModelFault(f"expected a file *.toml or one of {', '.join(shipped())}, saw {name!r}")
    try:
        model = msgspec.convert(tomllib.loads(path.read_text("utf-8")), MeterModel)
    except OSError as error:
        raise ModelFault(f"{path}: expected a readable meter model, saw {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ModelFault(f"{path}: {error}") from error
    faults = list(row_faults(model, model.row))
    if faults:
        raise ModelFault("; ".join(f"{path}: row[{index}].{key}: {message}" for index, key, message in faults))
    return model


def fields(model: MeterModel, extra: Sequence[Row] = ()) -> tuple[Field, ...]:
    """The fields of a device of this model, with the edge file's own rows behind. Equal devices share them."""
    return _shared(tuple(_field(model, row) for row in (*model.row, *extra)))


@lru_cache(maxsize=256)
def _shared(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return fields


def row_faults(model: MeterModel, rows: Sequence[Row], before: Sequence[Row] = ()) -> Iterator[tuple[int, str, str]]:
    """What is wrong with `rows` of a device of `model` that has the rows `before` already: (index, key, expected and seen)."""
    seen = {row.quantity for row in before}
    for index, row in enumerate(rows):
        quantity = QUANTITIES.get(row.quantity)
        if quantity is None:
            yield index, "quantity", f"expected a quantity of wire.quantities, saw {row.quantity!r}"
            continue
        if row.quantity in seen:
            yield index, "quantity", f"expected each quantity once per device, saw {row.quantity!r} again"
        seen.add(row.quantity)
        if row.model_block is None:
            if row.address is None or row.offset is not None or row.scale_offset is not None:
                yield index, "address", "expected an address (or model_block with offset), saw neither or both"
                continue
            if row.address + TYPES[row.type].words > 0x10000:
                yield index, "address", f"expected the last register at 65535 or below, saw {row.type} at {row.address}"
        elif row.offset is None or row.address is not None:
            yield index, "offset", "expected an offset beside model_block and no address, saw neither or both"
            continue
        low, high = _bounds(row)
        if low > high:
            yield index, "low", f"expected at most high ({high}), saw {low}"
        if impossible([_field(model, row)], model.limits()):
            yield (
                index,
                "address",
                f"expected registers that one request may read (limits of the model), saw {row.address}",
            )


def _bounds(row: Row) -> tuple[float, float]:
    quantity = QUANTITIES[row.quantity]
    return (quantity.low if row.low is None else row.low), (quantity.high if row.high is None else row.high)


def _field(model: MeterModel, row: Row) -> Field:
    low, high = _bounds(row)
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
