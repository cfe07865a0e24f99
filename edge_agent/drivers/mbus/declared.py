"""What an edge file and a meter model say about M-Bus meters: lines, addresses, which record is which quantity. Not how they are asked.

A row names the meaning of the VIF in words of `meanings` ("energy", "volume", "flow_temperature", ...) and where needed storage number, tariff,
subunit and function of the record; units and powers of ten come with the telegram.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta

from edge_agent.drivers import declared
from edge_agent.drivers.declared import Declared, Fault, Load
from edge_agent.drivers.driver import DevicePlan
from edge_agent.drivers.mbus.frame import LAST_PRIMARY, LONGEST_FRAME
from edge_agent.drivers.mbus.meanings import EXTENSION_FB, EXTENSION_FD, MEDIA, PRIMARY
from edge_agent.drivers.mbus.rows import CONVERSIONS, STATUS, Wanted
from edge_agent.drivers.mbus.secondary import Secondary
from wire.quantities import QUANTITIES, Kind

Hex = Annotated[str, Meta(pattern="^([0-9A-F]{2}){1,11}$")]
Maker = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Byte = Annotated[int, Meta(ge=0, le=255)]
Medium = Literal[
    "oil",
    "electricity",
    "gas",
    "heat",
    "steam",
    "warm water",
    "water",
    "compressed air",
    "cooling",
    "cooling, flow",
    "heat, flow",
    "heat and cooling",
    "hot water",
    "cold water",
    "hot and cold water",
    "other",
    "unknown",
]

MOST_TELEGRAMS: Final = 16
WORDS: Final = {STATUS} | {
    meaning.what for table in (PRIMARY, EXTENSION_FB, EXTENSION_FD) for meaning in table.values() if meaning.what
}
_MEDIA: Final = {name: number for number, name in MEDIA.items()}
_SHORT_CHARS: Final = 5
_SELECTION_CHARS: Final = 17
_ACK_CHARS: Final = 1


class Row(declared.Row, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity. `what`: the meaning of the record's VIF, or "status" for the status byte of the header.

    `vib` names VIF and VIFEs as sent instead, for codes of the maker's own; the value is then taken as sent. `vife`: VIFEs that must stand
    behind the meaning, as the standard's tables print them ("3C": negative contributions only), "any" for whatever stands there.
    `nth`: the how many-th of the records that fit. The value is `sign` x number x 10^`scale_exponent`, in the unit that comes with it.
    """

    what: str = ""
    vib: Hex | None = None
    vife: Annotated[str, Meta(pattern="^(any|([0-9A-F]{2}){0,10})$")] = ""
    storage: Annotated[int, Meta(ge=0, lt=2**41)] = 0
    tariff: Annotated[int, Meta(ge=0, lt=2**20)] = 0
    subunit: Annotated[int, Meta(ge=0, lt=2**10)] = 0
    function: Literal["instantaneous", "maximum", "minimum"] = "instantaneous"
    nth: Annotated[int, Meta(ge=1, le=1000)] = 1
    sign: Literal[1, -1] = 1
    scale_exponent: Annotated[int, Meta(ge=-9, le=9)] = 0


class Model(declared.Model, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One product as it is set. A meter of another `manufacturer` or of none of the `media` (names of `meanings.MEDIA`) is not read as this one.

    `frame_bytes`: the length of its longest answer, for bus time. `access_number`: "fixed" for meters that do not count it.
    """

    row: list[Row]
    manufacturer: Maker | None = None
    media: list[Medium] = []
    frame_bytes: Annotated[int, Meta(ge=12, le=LONGEST_FRAME)] = LONGEST_FRAME
    access_number: Literal["counts", "fixed"] = "counts"


class Device(declared.Device, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A meter by its `primary` address, or by its `secondary` one: the 8 digits printed on it, and where needed its maker, version and medium.

    With both, the primary address is used and the answer must come from the meter with the secondary one.
    """

    primary: Annotated[int, Meta(ge=0, le=LAST_PRIMARY)] | None = None
    secondary: Annotated[str, Meta(pattern="^[0-9A-F]{8}$")] | None = None
    manufacturer: Maker | None = None
    version: Byte | None = None
    medium: Byte | None = None
    row: list[Row] = []


class Bus(declared.SerialBus, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A level converter at a serial port or behind a serial server: 2400 baud, even parity, as EN 13757-2 has it by default.

    `time_zone` (IANA name) is the meters' own; the clocks that their telegrams tell are checked only where it is given.
    """

    device: list[Device]
    baud: Annotated[int, Meta(ge=300, le=115_200)] = 2400
    parity: Literal["none", "even", "odd"] = "even"
    turnaround_ms: Annotated[float, Meta(ge=0, le=10_000)] = 100.0
    time_zone: declared.Text | None = None


@dataclass(frozen=True, slots=True)
class MbusPlan(DevicePlan):
    """One meter: how it is addressed, who must answer, and what is wanted of its records."""

    primary: int | None
    secondary: Secondary | None
    rows: tuple[Wanted, ...]
    manufacturer: str | None = None
    media: frozenset[int] = frozenset()
    frame_bytes: int = LONGEST_FRAME
    counts_access: bool = True

    @property
    def has_counters(self) -> bool:
        return any(row.counter for row in self.rows)

    @property
    def quantities(self) -> tuple[str, ...]:
        return tuple(row.quantity for row in self.rows)

    @property
    def address(self) -> str:
        """As messages name it."""
        return f"primary {self.primary}" if self.primary is not None else f"secondary {self.secondary}"


def plan(_bus: Bus, device: Device, model: Model) -> MbusPlan:
    """The meter as a driver reads it."""
    secondary = None
    if device.secondary is not None:
        secondary = Secondary(device.secondary, device.manufacturer, device.version, device.medium)
    return MbusPlan(
        device.name,
        device.primary,
        secondary,
        tuple(_wanted(row) for row in (*model.row, *device.row)),
        model.manufacturer,
        frozenset(_MEDIA[name] for name in model.media),
        model.frame_bytes,
        model.access_number == "counts",
    )


def row_faults(_model: Model, fresh: Sequence[Row], before: Sequence[Row] = ()) -> Iterator[tuple[int, str, str]]:
    """What is wrong with the rows `fresh` behind the rows `before` of the same device: (index, key, expected and seen)."""
    yield from declared.quantity_faults(fresh, before)
    for index, row in enumerate(fresh):
        if (row.vib is None) != bool(row.what):
            yield index, "what", f"expected either what or vib, saw {'both' if row.what else 'neither'}"
        elif row.what and row.what not in WORDS:
            yield index, "what", f"expected one of {', '.join(sorted(WORDS))}, saw {row.what!r}"
        elif row.quantity in QUANTITIES and row.what and not _convertible(row):
            unit = QUANTITIES[row.quantity].unit
            yield index, "what", f"expected something that can be in {unit}, saw {row.what!r}"


def _convertible(row: Row) -> bool:
    unit = QUANTITIES[row.quantity].unit
    if row.what == STATUS:
        return unit == "1"
    kinds = {m.unit for t in (PRIMARY, EXTENSION_FB, EXTENSION_FD) for m in t.values() if m.what == row.what}
    return (unit == "1" and "" in kinds) or any((kind, unit) in CONVERSIONS for kind in kinds)


def bus_faults(bus: Bus) -> Iterator[Fault]:
    """A serial line, an address for each meter, and a time zone that exists where one is named."""
    yield from declared.serial_faults(bus)
    yield from declared.zone_faults(bus.time_zone)
    for index, device in enumerate(bus.device or []):
        if device.primary is None and device.secondary is None:
            yield f"device[{index}].primary", "a primary or a secondary address", "neither"


def load(bus: Bus, plan: MbusPlan) -> Load:
    """Bus time of one poll: the characters of selection, request and answer, and the meter's turnaround for each."""
    char_ms = bus.char_s * 1000
    selection = 0.0
    if plan.primary is None and len(bus.device) > 1:
        selection = (_SELECTION_CHARS + _ACK_CHARS) * char_ms + bus.turnaround_ms
    took_ms = selection + (_SHORT_CHARS + plan.frame_bytes) * char_ms + bus.turnaround_ms
    return Load(2 if selection else 1, took_ms, (f"{line(plan)}, {took_ms:.0f} ms",))


def line(plan: MbusPlan) -> str:
    """The request for people."""
    return f"user data of {plan.address}: {', '.join(plan.quantities)}"


def _address(device: Device) -> str | None:
    if device.primary is not None:
        return f"primary {device.primary}"
    if device.secondary is None:
        return None
    return f"secondary {Secondary(device.secondary, device.manufacturer, device.version, device.medium)}"


def _wanted(row: Row) -> Wanted:
    quantity = QUANTITIES[row.quantity]
    low, high = row.bounds()
    return Wanted(
        row.quantity,
        quantity.unit,
        row.what,
        bytes.fromhex(row.vib or ""),
        None if row.vife == "any" else bytes.fromhex(row.vife),
        row.storage,
        row.tariff,
        row.subunit,
        row.function,
        row.nth,
        row.sign,
        row.scale_exponent,
        low,
        high,
        quantity.kind is Kind.COUNTER,
    )


DECLARED: Final = Declared(
    family="mbus",
    bus=Bus,
    device=Device,
    model=Model,
    driver="edge_agent.drivers.mbus.driver",
    plan=plan,
    model_faults=row_faults,
    place=declared.serial_place,
    address=_address,
    load=load,
    faults=bus_faults,
)
