"""What must be known of a device before it can be read: where it is, what it can answer, which object is which row and in what unit.

Not the reading itself. Nothing a device says here is believed for longer than an hour where a part of it was missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from edge_agent.drivers.bacnet import services, units
from edge_agent.drivers.bacnet.ask import TOO_MUCH, UNKNOWN_SERVICE, Asker, RefusedAs, error_name
from edge_agent.drivers.bacnet.declared import BacnetPlan, Item, PointPlan, objects_a_request
from edge_agent.drivers.bacnet.objects import (
    ACCUMULATOR,
    COV_INCREMENT,
    DEVICE,
    HAVE_UNITS,
    MAX_APDU,
    OBJECT_LIST,
    OBJECT_NAME,
    PRIORITY_ARRAY,
    RESTARTED_AT,
    SCALE,
    SERVICES_SUPPORTED,
    SHARE_UNITS,
    UNITS,
    WRITTEN_AS,
    object_text,
)
from edge_agent.drivers.bacnet.reading import Meaning
from edge_agent.drivers.bacnet.services import Malformed, ObjectId, Reference
from edge_agent.drivers.bacnet.units import Conversion
from edge_agent.drivers.driver import DeviceMisanswered, DriverError, NotWritable
from edge_agent.drivers.modbus.registers import shortest_float32
from wire.quantities import QUANTITIES

_CAN_READ_SEVERAL: Final = 14  # bit of protocol-services-supported, clause 21, BACnetServicesSupported
_MOST_OBJECTS: Final = 20_000  # of an object list; a device that says more is not believed
_SMALLEST_APDU: Final = 50


class AnotherDevice(DeviceMisanswered):
    """At the address of a device there is another one."""


@dataclass(slots=True)
class Column:
    """One row of a device as it was found there. `fault` says why it cannot be read; `units_wrong` that its unit is why."""

    item: Item
    object: ObjectId | None = None
    meaning: Meaning = field(default_factory=Meaning)
    fault: str = ""
    units_wrong: bool = False
    cov_increment: float = 0.0  # as the object has it, in its own unit


@dataclass(slots=True)
class Target:
    """A writable point as it was found. `tag` is what its value is encoded as."""

    point: PointPlan
    object: ObjectId
    tag: int
    conversion: Conversion
    has_priorities: bool


@dataclass(slots=True)
class Learned:
    """A device as it described itself."""

    columns: list[Column]
    max_apdu: int
    multiple: bool
    restarted_at: bytes | None = None  # None: it does not say when it started

    @property
    def complete(self) -> bool:
        """Whether every row was found."""
        return not any(column.fault for column in self.columns)


async def learn(asker: Asker, plan: BacnetPlan, max_apdu: int | None = None) -> Learned:
    """Asks a device for all that its plan needs. Raises DriverError where it does not answer or is another device."""
    me = (DEVICE, plan.instance)
    if max_apdu is None:
        max_apdu = await _whole(asker, me, MAX_APDU) or _SMALLEST_APDU
    learned = Learned(
        [Column(item, item.object) for item in plan.items],
        max(_SMALLEST_APDU, min(max_apdu, plan.max_apdu)),
        plan.multiple and await _reads_several(asker, me),
    )
    await _same_device(asker, me)
    learned.restarted_at = await _optional(asker, me, RESTARTED_AT)
    await _find_names(asker, learned, me)
    await _find_units(asker, learned)
    return learned


async def _same_device(asker: Asker, me: ObjectId) -> None:
    """A device that is asked for its own object under our instance and does not know it is another one."""
    try:
        found = await asker.values(me, OBJECT_NAME)
    except RefusedAs as error:
        if error.name == "unknown-object":
            raise AnotherDevice(
                f"{asker.name}: expected device {me[1]} at {asker.peer.text}, saw another one"
            ) from error
        raise
    if not found:
        raise DeviceMisanswered(f"{asker.name}: expected a name of device {me[1]}, saw nothing")


async def _optional(asker: Asker, object_id: ObjectId, prop: int) -> bytes | None:
    """A property that an object need not have. A device that is silent is."""
    try:
        return await asker.encoded(object_id, prop)
    except RefusedAs:
        return None


async def _whole(asker: Asker, object_id: ObjectId, prop: int) -> int | None:
    try:
        found = await asker.values(object_id, prop)
    except RefusedAs as error:
        if error.name == "unknown-object":
            await _same_device(asker, object_id)
        return None
    value = found[0].value if found else None
    return value if isinstance(value, int) else None


async def _reads_several(asker: Asker, me: ObjectId) -> bool:
    """What the device says of ReadPropertyMultiple; where it says nothing it is tried."""
    try:
        found = await asker.values(me, SERVICES_SUPPORTED)
    except RefusedAs:
        return True
    bits = found[0].value if found else ()
    return not isinstance(bits, tuple) or len(bits) <= _CAN_READ_SEVERAL or bool(bits[_CAN_READ_SEVERAL])


# ---- many properties, in as few requests as the device bears


async def each(
    asker: Asker, learned: Learned, wanted: Sequence[tuple[ObjectId, Reference]]
) -> dict[tuple[ObjectId, int], bytes | str]:
    """The encoded property of each object, or the name of the error in its place."""
    found: dict[tuple[ObjectId, int], bytes | str] = {}
    at_once = objects_a_request(learned.max_apdu)
    waiting = [list(wanted[at : at + at_once]) for at in range(0, len(wanted), at_once)]
    while waiting:
        batch = waiting.pop(0)
        if learned.multiple:
            try:
                answer = await asker.several(
                    ((object_id, (reference,)) for object_id, reference in batch), f"{len(batch)} objects"
                )
            except RefusedAs as error:
                if error.name == UNKNOWN_SERVICE:
                    learned.multiple = False
                    waiting.insert(0, batch)
                    continue
                if error.name not in TOO_MUCH:
                    raise
                if len(batch) > 1:
                    waiting[:0] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
                    continue
            else:
                for result in answer:
                    said = result.encoded if result.error is None else error_name(result.error)
                    found[result.object, result.property] = said
                continue
        for object_id, (prop, index) in batch:
            try:
                found[object_id, prop] = await asker.encoded(object_id, prop, index)
            except RefusedAs as error:
                found[object_id, prop] = error.name
    return found


# ---- names


async def _find_names(asker: Asker, learned: Learned, me: ObjectId) -> None:
    nameless = [column for column in learned.columns if column.object is None]
    if not nameless:
        return
    named = await names(asker, learned, me)
    for column in nameless:
        column.object = named.get(column.item.object_name or "")
        if column.object is None:
            column.fault = f"expected an object named {column.item.object_name!r}, saw none"


async def names(asker: Asker, learned: Learned, me: ObjectId) -> dict[str, ObjectId]:
    """All objects of a device by their names. Raises DriverError."""
    objects = await object_list(asker, me)
    found = await each(asker, learned, [(object_id, (OBJECT_NAME, None)) for object_id in objects])
    named: dict[str, ObjectId] = {}
    for (object_id, _), said in found.items():
        if isinstance(said, bytes):
            text = _text(said)
            if text:
                named.setdefault(text, object_id)
    return named


def _text(encoded: bytes) -> str:
    try:
        found = services.values(encoded)
    except Malformed:
        return ""
    return found[0].value if found and isinstance(found[0].value, str) else ""


async def object_list(asker: Asker, me: ObjectId) -> list[ObjectId]:
    """The objects of a device: in one answer (of several segments), or one by one where that is too much. Raises DriverError."""
    try:
        return [value.value for value in await asker.values(me, OBJECT_LIST) if _is_object(value)]  # type: ignore[misc]
    except RefusedAs as error:
        if error.name not in TOO_MUCH:
            raise
    found = await asker.values(me, OBJECT_LIST, 0)
    count = found[0].value if found else 0
    if not isinstance(count, int) or not 0 <= count <= _MOST_OBJECTS:
        raise DeviceMisanswered(f"{asker.name}: expected a count of objects up to {_MOST_OBJECTS}, saw {count!r}")
    objects: list[ObjectId] = []
    for index in range(1, count + 1):
        objects += [v.value for v in await asker.values(me, OBJECT_LIST, index) if _is_object(v)]  # type: ignore[misc]
    return objects


def _is_object(value: services.Value) -> bool:
    return value.tag == services.OBJECT


# ---- units


async def _find_units(asker: Asker, learned: Learned) -> None:
    wanted: list[tuple[ObjectId, Reference]] = []
    for column in learned.columns:
        if column.object is None:
            continue
        if column.object[0] in HAVE_UNITS and column.item.property in SHARE_UNITS:
            wanted.append((column.object, (UNITS, None)))
        else:  # an object without units is still asked whether it is there
            wanted.append((column.object, (OBJECT_NAME, None)))
        if column.object[0] == ACCUMULATOR:
            wanted.append((column.object, (SCALE, None)))
        if column.item.cov and column.object[0] in HAVE_UNITS:
            wanted.append((column.object, (COV_INCREMENT, None)))
    found = await each(asker, learned, list(dict.fromkeys(wanted)))
    for column in learned.columns:
        if column.object is not None:
            _understand(column, column.object, found)


def _understand(column: Column, object_id: ObjectId, found: dict[tuple[ObjectId, int], bytes | str]) -> None:
    item = column.item
    said = found.get((object_id, UNITS), found.get((object_id, OBJECT_NAME), "no answer"))
    if said == "unknown-object":
        column.fault = f"expected object {object_text(object_id)}, saw none of that kind and number"
        return
    number = _first_whole(found.get((object_id, UNITS)))
    conversion = conversion_of(number, item.unit, QUANTITIES[item.quantity].unit)
    if isinstance(conversion, str):
        column.fault = f"object {object_text(object_id)}: {conversion}"
        column.units_wrong = True
        return
    exponent, factor = _scale(found.get((object_id, SCALE)))
    column.meaning = Meaning(conversion, exponent, factor)
    column.cov_increment = _increment(found.get((object_id, COV_INCREMENT)))


def conversion_of(number: int | None, assumed: int | None, unit: str) -> Conversion | str:
    """From the unit that an object says (None: it says none) to `unit`; or what was expected and what was seen."""
    if number is None or number == units.NO_UNITS:
        number = assumed
    if number is None:  # states and positions have no unit in BACnet
        return (
            Conversion() if unit == "1" else f"expected a unit that becomes {unit}, saw none (say it with unit = ...)"
        )
    found = units.conversion(number, unit)
    if found is None:
        expected = ", ".join(units.convertible_to(unit))
        return f"expected one of {expected or 'no unit of BACnet'}, saw {units.name(number)}"
    return found


def _first_whole(said: bytes | str | None) -> int | None:
    if not isinstance(said, bytes):
        return None
    try:
        found = services.values(said)
    except Malformed:
        return None
    value = found[0].value if found else None
    return value if isinstance(value, int) else None


def _increment(said: bytes | str | None) -> float:
    if not isinstance(said, bytes):
        return 0.0
    try:
        found = services.values(said)
    except Malformed:
        return 0.0
    value = found[0].value if found else None
    return abs(float(value)) if isinstance(value, int | float) else 0.0


def _scale(said: bytes | str | None) -> tuple[int, Fraction]:
    """The scale of an accumulator (clause 12.1, BACnetScale): [0] a factor, or [1] a power of ten."""
    if not isinstance(said, bytes):
        return 0, Fraction(1)
    try:
        found = services.values(said)
        if len(found) == 1 and isinstance(found[0].value, bytes):
            content = found[0].value
            if found[0].tag == services.CONTEXT + 1:
                exponent = int.from_bytes(content, "big", signed=True)
                return (exponent, Fraction(1)) if -18 <= exponent <= 18 else (0, Fraction(1))
            if found[0].tag == services.CONTEXT and len(content) == 4:
                return _power(services.real(content))
    except (Malformed, ValueError):
        pass
    return 0, Fraction(1)


def _power(factor: float) -> tuple[int, Fraction]:
    """A factor as a power of ten where it is one."""
    exact = Fraction(repr(shortest_float32(factor)))
    for exponent in range(-9, 10):
        if exact == Fraction(10) ** exponent:
            return exponent, Fraction(1)
    return (0, exact) if exact > 0 else (0, Fraction(1))


# ---- points


async def find_target(asker: Asker, learned: Learned, plan: BacnetPlan, name: str) -> Target:
    """A point that may be written, as the device describes it. Raises DriverError."""
    point = next((point for point in plan.points if point.name == name), None)
    if point is None:
        known = ", ".join(point.name for point in plan.points) or "none"
        raise NotWritable(f"{plan.name}: expected a point of its model ({known}), saw {name!r}")
    object_id = point.object
    if object_id is None:
        object_id = (await names(asker, learned, (DEVICE, plan.instance))).get(point.object_name or "")
        if object_id is None:
            raise DriverError(f"{plan.name}: point {name}: expected an object named {point.object_name!r}, saw none")
    tag = WRITTEN_AS.get(object_id[0])
    if tag is None:
        raise DriverError(
            f"{plan.name}: point {name}: expected an object that can be written, saw {object_text(object_id)}"
        )
    number = _first_whole(await _optional(asker, object_id, UNITS)) if object_id[0] in HAVE_UNITS else None
    conversion = Conversion() if number in (None, units.NO_UNITS) else conversion_of(number, None, point.unit)
    if isinstance(conversion, str):
        raise DriverError(f"{plan.name}: point {name}: object {object_text(object_id)}: {conversion}")
    try:
        await asker.encoded(object_id, PRIORITY_ARRAY)
        has_priorities = True
    except RefusedAs as error:
        if error.name != "unknown-property":
            raise
        has_priorities = False
    return Target(point, object_id, tag, conversion, has_priorities)


def batches(learned: Learned, columns: Iterable[Column]) -> list[list[Column]]:
    """The columns that can be read, cut to what one request may ask; those with counters first, so that few requests hold them all."""
    readable = [column for column in columns if not column.fault]
    ordered = sorted(readable, key=lambda column: not column.item.counter)
    at_once = objects_a_request(learned.max_apdu) if learned.multiple else 1
    return [ordered[at : at + at_once] for at in range(0, len(ordered), at_once)]
