"""What simulated BACnet devices show: objects with names, units and values. Not the network that they are read over.

A meter, an air handling unit, a chiller, a lighting controller and a building's HVAC, with object names as integrators give them. Unit names are the
standard's (ANSI/ASHRAE 135-2016, clause 21, BACnetEngineeringUnits). Set-points act on the device's own temperatures and levels; only those of the
HVAC act on the plant.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from device_sim.device import Device
from device_sim.electrical import View
from device_sim.plant import Node
from device_sim.profile import UJ_PER_KWH, UJ_PER_WH

SERIAL: Final = ("positive-integer-value", 9000)  # the answer serial stands here
FIRST_INSTANCE: Final = 1000  # a device without an instance of its own has this plus its unit
_MOST_ROOMS: Final = 500
_ACCUMULATED_WH: Final = 1_000_000_000  # nine digits, which an unsigned of 32 bits holds
_DAY_S: Final = 86_400
_COP: Final = (9, 2)  # cooling over electrical energy of the chiller, as a fraction so that its counters stay whole
_COP_RATIO: Final = _COP[0] / _COP[1]
_AHU_NOMINAL_W: Final = 15_000
_CHILLER_NOMINAL_W: Final = 120_000

ObjectId = tuple[str, int]
Image = dict[ObjectId, float | int]


class Thing(NamedTuple):
    """One object. `rest` is the relinquish-default of a commandable one, `scale` the power of ten of an accumulator."""

    name: str
    units: str = ""
    cov_increment: float = 0.0
    rest: float | None = None
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class BacnetKind:
    """One device model: what objects it has, and their values at an instant. `options`: `instance`, and `rooms` of an air handling unit."""

    name: str
    model: str
    objects: Callable[[Mapping[str, Any]], dict[ObjectId, Thing]]
    draw: Callable[[View], Image]
    options: frozenset[str] = frozenset({"instance"})
    own_node: Node | None = None  # what only sits at one node
    act: Callable[[Device], None] | None = None  # what is commanded now acts on the plant
    family: str = "bacnet"
    modulus_uj: int = _ACCUMULATED_WH * UJ_PER_WH

    def image(self, view: View) -> Image:
        """The values of this instant, without the serial and without what is commanded."""
        return self.draw(view)

    def listed(self, device: Device) -> Mapping[str, Any]:
        """The device's number on the network and where its answer serial stands."""
        return {"instance": instance_of(device), "serial_object": f"{SERIAL[0]},{SERIAL[1]}"}


def instance_of(device: Device) -> int:
    """The device's number on the network. Raises ValueError for one that cannot be."""
    instance = device.options.get("instance", FIRST_INSTANCE + device.unit)
    if not isinstance(instance, int) or isinstance(instance, bool) or not 0 <= instance <= 4_194_302:
        raise ValueError(f"device {device.name}: instance: expected a whole number from 0 to 4194302, saw {instance!r}")
    return instance


def rooms_of(options: Mapping[str, Any]) -> int:
    """How many rooms an air handling unit knows the temperature of. Raises ValueError."""
    rooms = options.get("rooms", 0)
    if not isinstance(rooms, int) or isinstance(rooms, bool) or not 0 <= rooms <= _MOST_ROOMS:
        raise ValueError(f"rooms: expected a whole number from 0 to {_MOST_ROOMS}, saw {rooms!r}")
    return rooms


def _wave(at_ms: int, period_s: float, later_s: float = 0.0) -> float:
    """-1 to 1 over a period; not physics, but never the same twice in a row."""
    return math.sin(2 * math.pi * (at_ms / 1000 - later_s) / period_s)


def commanded(view: View, name: str, rest: float) -> float:
    """What a commandable object holds now: written values are kept in thousandths."""
    return view.written[name] / 1000 if name in view.written else rest


# ---- an energy meter


def _meter_objects(_options: Mapping[str, Any]) -> dict[ObjectId, Thing]:
    electrical = {
        1: Thing("Active Power Total", "kilowatts", 0.5),
        2: Thing("Active Power L1", "kilowatts", 0.5),
        3: Thing("Active Power L2", "kilowatts", 0.5),
        4: Thing("Active Power L3", "kilowatts", 0.5),
        5: Thing("Reactive Power Total", "kilovolt-amperes-reactive", 0.5),
        6: Thing("Apparent Power Total", "kilovolt-amperes", 0.5),
        7: Thing("Power Factor Total", "power-factor", 0.01),
        8: Thing("Voltage L1-N", "volts", 1.0),
        9: Thing("Voltage L2-N", "volts", 1.0),
        10: Thing("Voltage L3-N", "volts", 1.0),
        11: Thing("Current L1", "amperes", 1.0),
        12: Thing("Current L2", "amperes", 1.0),
        13: Thing("Current L3", "amperes", 1.0),
        14: Thing("Frequency", "hertz", 0.01),
    }
    objects: dict[ObjectId, Thing] = {("analog-input", number): thing for number, thing in electrical.items()}
    objects["accumulator", 1] = Thing("Active Energy Import", "kilowatt-hours", scale=-3)
    objects["accumulator", 2] = Thing("Active Energy Export", "kilowatt-hours", scale=-3)
    return objects


def _meter(view: View) -> Image:
    m = view.measured
    values = (
        m.total_active_w / 1000,
        *(power / 1000 for power in m.active_w),
        m.total_reactive_var / 1000,
        m.total_apparent_va / 1000,
        m.total_power_factor,
        *m.voltage_v,
        *m.current_a,
        m.frequency_hz,
    )
    image: Image = {("analog-input", number): value for number, value in enumerate(values, 1)}
    image["accumulator", 1] = view.counters.import_uj // UJ_PER_WH
    image["accumulator", 2] = view.counters.export_uj // UJ_PER_WH
    return image


# ---- an air handling unit


def room_temperature_degc(room: int, at_ms: int) -> float:
    """Rooms are as many as a device's options say, so they are not part of its image."""
    return 21.5 + 1.2 * _wave(at_ms, 5400 + 13 * room, 60 * room)


def _ahu_objects(options: Mapping[str, Any]) -> dict[ObjectId, Thing]:
    objects: dict[ObjectId, Thing] = {
        ("analog-input", 1): Thing("Supply Air Temperature", "degrees-celsius", 0.2),
        ("analog-input", 2): Thing("Return Air Temperature", "degrees-celsius", 0.2),
        ("analog-input", 3): Thing("Outdoor Air Temperature", "degrees-celsius", 0.2),
        ("analog-input", 4): Thing("Supply Fan Speed", "percent", 1.0),
        ("analog-input", 5): Thing("Supply Fan Power", "kilowatts", 0.1),
        ("analog-input", 6): Thing("Cooling Valve Position", "percent", 1.0),
        ("analog-input", 7): Thing("Outdoor Air Damper Position", "percent", 1.0),
        ("analog-input", 8): Thing("Supply Air Flow", "cubic-meters-per-hour", 50.0),
        ("analog-input", 9): Thing("Supply Duct Pressure", "pascals", 5.0),
        ("analog-input", 10): Thing("Return Air CO2", "parts-per-million", 20.0),
        ("analog-input", 11): Thing("Supply Fan Energy", "kilowatt-hours", 1.0),
        ("binary-input", 1): Thing("Supply Fan Status"),
        ("analog-value", 1): Thing("Supply Air Temperature Setpoint", "degrees-celsius", 0.1, rest=16.0),
        ("analog-output", 1): Thing("Supply Fan Speed Command", "percent", 1.0, rest=70.0),
    }
    for room in range(1, rooms_of(options) + 1):
        objects["analog-input", 100 + room] = Thing(f"Room {room} Temperature", "degrees-celsius", 0.2)
    return objects


def _ahu(view: View) -> Image:
    at_ms, power_w = view.at_ms, abs(view.measured.total_active_w)
    supply_degc = commanded(view, "Supply Air Temperature Setpoint", 16.0) + 0.3 * _wave(at_ms, 97)
    fan = min(100.0, 100 * (power_w / _AHU_NOMINAL_W) ** (1 / 3))  # fan power goes with the cube of its speed
    back_degc = 24.0 + 1.5 * _wave(at_ms, _DAY_S)
    image: Image = {
        ("analog-input", 1): supply_degc,
        ("analog-input", 2): back_degc,
        ("analog-input", 3): 18.0 + 8.0 * _wave(at_ms, _DAY_S, 28_800),
        ("analog-input", 4): fan,
        ("analog-input", 5): power_w / 1000,
        ("analog-input", 6): max(0.0, min(100.0, 12.5 * (back_degc - supply_degc))),
        ("analog-input", 7): 30.0 + 10.0 * _wave(at_ms, 7200),
        ("analog-input", 8): 120.0 * fan,
        ("analog-input", 9): 0.04 * fan * fan,
        ("analog-input", 10): 600.0 + 150.0 * _wave(at_ms, 10_800),
        ("analog-input", 11): view.counters.import_uj / UJ_PER_KWH,
        ("binary-input", 1): int(power_w >= 1),
    }
    return image


# ---- a chiller


def _chiller_objects(_options: Mapping[str, Any]) -> dict[ObjectId, Thing]:
    return {
        ("analog-input", 1): Thing("Chiller Power", "kilowatts", 1.0),
        ("analog-input", 2): Thing("Cooling Power", "kilowatts", 2.0),
        ("analog-input", 3): Thing("Chilled Water Supply Temperature", "degrees-celsius", 0.2),
        ("analog-input", 4): Thing("Chilled Water Return Temperature", "degrees-celsius", 0.2),
        ("analog-input", 5): Thing("Chilled Water Flow", "liters-per-second", 0.5),
        ("analog-input", 6): Thing("Chiller Capacity", "percent", 1.0),
        ("accumulator", 1): Thing("Chiller Energy", "kilowatt-hours", scale=-3),
        ("accumulator", 2): Thing("Cooling Energy", "kilowatt-hours", scale=-3),
        ("multi-state-value", 1): Thing("Chiller State"),
        ("analog-value", 1): Thing("Chilled Water Setpoint", "degrees-celsius", 0.1, rest=7.0),
        ("analog-value", 2): Thing("Capacity Limit Setpoint", "percent", 1.0, rest=100.0),
    }


def _chiller(view: View) -> Image:
    m = view.measured
    if view.passing is None:  # an electrical node: what it draws, times its coefficient of performance, is cold
        power_w, cooling_w = abs(m.total_active_w), _COP_RATIO * abs(m.total_active_w)
        supply_degc = commanded(view, "Chilled Water Setpoint", 7.0) + 0.2 * _wave(view.at_ms, 211)
        flow_l_per_s = _CHILLER_NOMINAL_W / 4195 / 5 * _COP_RATIO  # at the nominal power 5 K warmer
        back_degc = supply_degc + cooling_w / (4195 * flow_l_per_s)
        electrical_uj, cooling_uj = view.counters.import_uj, view.counters.import_uj * _COP[0] // _COP[1]
    else:
        cooling_w = abs(m.total_active_w)
        power_w = cooling_w / _COP_RATIO
        supply_degc, back_degc = view.passing.supply_millidegc / 1000, view.passing.back_millidegc / 1000
        flow_l_per_s = view.passing.flow_ul_per_s / 1e6
        cooling_uj = view.counters.import_uj
        electrical_uj = cooling_uj * _COP[1] // _COP[0]
    capacity = min(commanded(view, "Capacity Limit Setpoint", 100.0), 100 * power_w / _CHILLER_NOMINAL_W)
    return {
        ("analog-input", 1): power_w / 1000,
        ("analog-input", 2): cooling_w / 1000,
        ("analog-input", 3): supply_degc,
        ("analog-input", 4): back_degc,
        ("analog-input", 5): flow_l_per_s,
        ("analog-input", 6): capacity,
        ("accumulator", 1): electrical_uj // UJ_PER_WH % _ACCUMULATED_WH,
        ("accumulator", 2): cooling_uj // UJ_PER_WH % _ACCUMULATED_WH,
        ("multi-state-value", 1): 2 if power_w >= 1 else 1,
    }


# ---- lighting


def _lighting_objects(_options: Mapping[str, Any]) -> dict[ObjectId, Thing]:
    return {
        ("analog-input", 1): Thing("Lighting Power", "watts", 10.0),
        ("analog-input", 2): Thing("Lighting Energy", "kilowatt-hours", 0.1),
        ("analog-input", 3): Thing("Light Level Feedback", "percent", 1.0),
        ("analog-input", 4): Thing("Illuminance", "luxes", 10.0),
        ("binary-input", 1): Thing("Occupancy"),
        ("analog-output", 1): Thing("Light Level", "percent", 1.0, rest=80.0),
    }


def _lighting(view: View) -> Image:
    level = commanded(view, "Light Level", 80.0)
    return {
        ("analog-input", 1): abs(view.measured.total_active_w),
        ("analog-input", 2): view.counters.import_uj / UJ_PER_KWH,
        ("analog-input", 3): level,
        ("analog-input", 4): 6.0 * level + 20.0 * _wave(view.at_ms, 300),
        ("binary-input", 1): int(_wave(view.at_ms, 1800) > -0.5),
    }


# ---- a building's heating or cooling


def _hvac_objects(_options: Mapping[str, Any]) -> dict[ObjectId, Thing]:
    return {
        ("analog-input", 1): Thing("HVAC Power", "kilowatts", 0.5),
        ("analog-input", 2): Thing("Zone Temperature", "degrees-celsius", 0.1),
        ("analog-input", 3): Thing("Outdoor Air Temperature", "degrees-celsius", 0.2),
        ("analog-input", 4): Thing("Discomfort Time", "minutes", 1.0),
        ("accumulator", 1): Thing("HVAC Energy", "kilowatt-hours", scale=-3),
        ("binary-input", 1): Thing("Compressor Status"),
        ("analog-value", 1): Thing("Zone Temperature Setpoint", "degrees-celsius", 0.1, rest=24.0),
        ("analog-value", 2): Thing("Power Limit Setpoint", "percent", 1.0, rest=100.0),
    }


def _hvac(view: View) -> Image:
    hvac = view.plant.hvac
    assert hvac is not None
    return {
        ("analog-input", 1): view.measured.total_active_w / 1000,
        ("analog-input", 2): hvac.temperature_udegc / 1e6,
        ("analog-input", 3): hvac.outside_udegc(view.plant.now_ms) / 1e6,
        ("analog-input", 4): hvac.discomfort_ms / 60_000,
        ("accumulator", 1): view.counters.import_uj // UJ_PER_WH % _ACCUMULATED_WH,
        ("binary-input", 1): int(hvac.running),
    }


def _act_on_hvac(device: Device) -> None:
    hvac = device.plant.hvac
    assert hvac is not None
    set_point = device.written.get(
        "Zone Temperature Setpoint"
    )  # in thousandths; without one the middle of the comfort band
    limit = device.written.get("Power Limit Setpoint", 100_000) // 10
    if hvac.command(limit, None if set_point is None else set_point * 1000):
        device.plant.disturb()


KINDS: Final[dict[str, BacnetKind]] = {
    kind.name: kind
    for kind in (
        BacnetKind("bacnet_meter", "Energy meter", _meter_objects, _meter),
        BacnetKind("bacnet_ahu", "Air handling unit", _ahu_objects, _ahu, frozenset({"instance", "rooms"})),
        BacnetKind("bacnet_chiller", "Chiller", _chiller_objects, _chiller),
        BacnetKind("bacnet_lighting", "Lighting controller", _lighting_objects, _lighting),
        BacnetKind("bacnet_hvac", "HVAC of a building", _hvac_objects, _hvac, own_node=Node.HVAC, act=_act_on_hvac),
    )
}
