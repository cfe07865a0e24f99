"""What a network has to offer, for commissioning: devices, their objects, units and values, and a row to start from. Nothing is written.

A suggestion is a guess from unit, type and name; a person decides.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.bacnet import learn, services, units
from edge_agent.drivers.bacnet.ask import Asker
from edge_agent.drivers.bacnet.declared import Bus, Device, broadcast_of, own_address, resolved
from edge_agent.drivers.bacnet.learn import Learned
from edge_agent.drivers.bacnet.objects import (
    ACCUMULATOR,
    DESCRIPTION,
    DEVICE,
    HAVE_UNITS,
    MAX_INSTANCE,
    OBJECT_NAME,
    PRESENT_VALUE,
    PRIORITY_ARRAY,
    TYPE_NAMES,
    UNITS,
    WRITTEN_AS,
    object_text,
)
from edge_agent.drivers.bacnet.services import Malformed, ObjectId
from edge_agent.drivers.bacnet.stack import Stack
from edge_agent.drivers.driver import BusUnreachable, DriverError

_APDU: Final = 480  # what every device on IP and MS/TP can answer


@dataclass(frozen=True, slots=True)
class FoundObject:
    """One object. `value` is as the device shows it, in `unit` (the standard's name; empty: it says none). `row` suggests how to read it."""

    object: str
    name: str
    description: str
    unit: str
    value: float | None
    commandable: bool
    row: dict[str, str]


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """One device and its objects; `fault` says why they could not be read."""

    instance: int
    place: str
    name: str
    vendor: int | None
    objects: tuple[FoundObject, ...]
    fault: str = ""


async def browse(bus: Bus) -> list[FoundDevice]:
    """Every device that is named in the bus, and every other one that answers a call to all, with its objects. Raises BusUnreachable."""
    broadcast = broadcast_of(bus)
    own = (str(own_address(bus).ip), bus.port)
    stack = Stack(
        own,
        None if broadcast is None else str(broadcast),
        bus.instance,
        bus.timeout_s,
        lambda _place, _sent, _data: None,
        lambda _source, _data: None,
    )
    try:
        bbmd = None if bus.bbmd_host is None else await resolved(bus.bbmd_host, bus.bbmd_port)
        await stack.open(bbmd, bus.bbmd_lifetime_s)
    except OSError as error:
        raise BusUnreachable(
            f"bus {bus.name}: expected {own[0]}:{own[1]} to be free and an address of this machine, saw {error.strerror or error}"
        ) from error
    try:
        return await _browse(stack, bus)
    finally:
        stack.close()


async def _browse(stack: Stack, bus: Bus) -> list[FoundDevice]:
    found: dict[int, FoundDevice] = {}
    if broadcast_of(bus) is not None or bus.bbmd_host is not None:
        for said in await stack.who_is(0, MAX_INSTANCE, bus.timeout_s):
            stack.know(said)
            asker = Asker(stack, f"device {said.instance}", said.peer, said.instance, bus.timeout_s)
            found[said.instance] = await _device(asker, said.vendor)
    for device in bus.device:
        if device.instance not in found and device.host is not None:
            found[device.instance] = await _named(stack, bus, device)
    return [found[instance] for instance in sorted(found)]


async def _named(stack: Stack, bus: Bus, device: Device) -> FoundDevice:
    assert device.host is not None
    try:
        place = await resolved(device.host, device.port)
    except OSError as error:
        return FoundDevice(device.instance, device.host, device.name, None, (), error.strerror or str(error))
    peer = stack.peer(*place)
    return await _device(Asker(stack, device.name, peer, device.instance, bus.timeout_s), None)


async def _device(asker: Asker, vendor: int | None) -> FoundDevice:
    me = (DEVICE, asker.instance)
    learned = Learned([], _APDU, True)
    try:
        name = _text(await asker.encoded(me, OBJECT_NAME))
        objects = [one for one in await learn.object_list(asker, me) if one[0] != DEVICE]
        known = [one for one in objects if one[0] in TYPE_NAMES]
        wanted = [(one, (prop, None)) for one in known for prop in _properties(one)]
        said = await learn.each(asker, learned, wanted)
    except DriverError as error:
        return FoundDevice(asker.instance, asker.peer.text, asker.name, vendor, (), str(error))
    return FoundDevice(asker.instance, asker.peer.text, name, vendor, tuple(_object(one, said) for one in known))


def _properties(object_id: ObjectId) -> Sequence[int]:
    """What is asked of an object."""
    properties = [OBJECT_NAME, DESCRIPTION, PRESENT_VALUE]
    if object_id[0] in HAVE_UNITS:
        properties.append(UNITS)
    if object_id[0] in WRITTEN_AS:
        properties.append(PRIORITY_ARRAY)
    return properties


def _object(object_id: ObjectId, said: dict[tuple[ObjectId, int], bytes | str]) -> FoundObject:
    name, description = (_text(said.get((object_id, prop))) for prop in (OBJECT_NAME, DESCRIPTION))
    number = _number(said.get((object_id, UNITS)))
    unit = "" if number is None or number == units.NO_UNITS else units.name(int(number))
    commandable = isinstance(said.get((object_id, PRIORITY_ARRAY)), bytes)
    row: dict[str, str] = {}
    quantity = suggested(object_id, f"{name} {description}", unit)
    if quantity:
        row = {"quantity": quantity, "object": object_text(object_id)}
    return FoundObject(
        object_text(object_id), name, description, unit, _number(said.get((object_id, PRESENT_VALUE))), commandable, row
    )


def _text(said: bytes | str | None) -> str:
    if not isinstance(said, bytes):
        return ""
    try:
        found = services.values(said)
    except Malformed:
        return ""
    return found[0].value if found and isinstance(found[0].value, str) else ""


def _number(said: bytes | str | None) -> float | None:
    if not isinstance(said, bytes):
        return None
    try:
        found = services.values(said)
    except Malformed:
        return None
    value = found[0].value if found else None
    return float(value) if isinstance(value, int | float) else None


# ---- suggestions: the first line whose unit can be converted and whose words stand in the name

_PHASES: Final = r"\b(?:l|phase ?|ph ?)([123])\b|\bphase ?([abc])\b|\b([abc])\b"
_WORDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("kWh", r"export|deliver|generat|negative", "energy_export_kwh"),
    ("kWh", r"cool|chilled|cold", "cooling_energy_kwh"),
    ("kWh", r"heat|thermal|btu", "heat_energy_kwh"),
    ("kWh", r"", "energy_import_kwh"),
    ("kW", r"cooling power|cooling load|cold", "cooling_power_kw"),
    ("kW", r"heating power|heat", "heat_power_kw"),
    ("kW", r"demand", "demand_kw"),
    ("kW", r"", "active_power_{phase}kw"),
    ("kvar", r"", "reactive_power_{phase}kvar"),
    ("kVA", r"", "apparent_power_{phase}kva"),
    ("kvarh", r"", "reactive_energy_import_kvarh"),
    ("kVAh", r"", "apparent_energy_kvah"),
    ("V", r"dc|bus", "dc_voltage_v"),
    ("V", r"", "voltage_{phase}v"),
    ("A", r"neutral", "current_neutral_a"),
    ("A", r"", "current_{phase}a"),
    ("Hz", r"", "frequency_hz"),
    ("degC", r"set ?-?point|setpt|stpt", "temperature_setpoint_degc"),
    ("degC", r"supply air|discharge air|\bsat\b|\bdat\b", "supply_air_temperature_degc"),
    ("degC", r"return air|\brat\b", "return_air_temperature_degc"),
    ("degC", r"out(door|side)|ambient|\boat\b", "outdoor_temperature_degc"),
    ("degC", r"chilled.*(supply|leaving)|(supply|leaving).*chilled|chws|lvg.?evap", "cooling_supply_temperature_degc"),
    (
        "degC",
        r"chilled.*(return|entering)|(return|entering).*chilled|chwr|ent.?evap",
        "cooling_return_temperature_degc",
    ),
    ("degC", r"(room|zone|space)", "room_temperature_degc"),
    ("m3/h", r"air|fan", "air_flow_m3_per_h"),
    ("m3/h", r"chilled|cool", "cooling_flow_m3_per_h"),
    ("m3/h", r"gas", "gas_flow_m3_per_h"),
    ("m3/h", r"water", "water_flow_m3_per_h"),
    ("m3", r"gas", "gas_volume_m3"),
    ("m3", r"water", "water_volume_m3"),
    ("Pa", r"duct|static|air", "duct_pressure_pa"),
    ("ppm", r"co2|carbon", "co2_ppm"),
    ("lx", r"", "illuminance_lx"),
    ("%", r"humid", "humidity_percent"),
    ("%", r"fan|speed", "fan_speed_percent"),
    ("%", r"valve", "valve_position_percent"),
    ("%", r"damper", "damper_position_percent"),
    ("%", r"light|dim", "light_level_percent"),
    ("%", r"capacity", "capacity_percent"),
    ("1", r"power factor|\bpf\b", "power_factor_{phase}ratio"),
)


def suggested(object_id: ObjectId, words: str, unit: str) -> str:
    """The quantity that an object most likely is; empty where nothing speaks for one."""
    number = units.NUMBERS.get(unit)
    if number is None:
        return ""
    words = words.lower().replace("_", " ")
    for ours, pattern, quantity in _WORDS:
        if units.conversion(number, ours) is None or not re.search(pattern, words):
            continue
        if ours in ("kWh", "kvarh", "kVAh", "m3") and object_id[0] != ACCUMULATOR and "setpoint" in words:
            continue
        return quantity.format(phase=_phase(words)) if "{phase}" in quantity else quantity
    return ""


def _phase(words: str) -> str:
    found = re.search(_PHASES, words)
    if found is None:
        return ""
    said = next(group for group in found.groups() if group)
    return f"l{said if said in '123' else 'abc'.index(said) + 1}_"
