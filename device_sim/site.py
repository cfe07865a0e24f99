"""A site file (TOML) checked as a whole and turned into plans. It builds nothing, opens no port and moves no time."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import sqrt
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from device_sim.battery import Unasked
from device_sim.carrier_tables import stream_plans, wind_plan
from device_sim.carriers import Carrier
from device_sim.charging_table import charging_plan
from device_sim.dc_bus_table import dc_bus_plan
from device_sim.device import WHOLE
from device_sim.hourly import MeasuredSunPlan, hourly_profile
from device_sim.hvac_table import hvac_plan
from device_sim.plan import (
    BatteryPlan,
    BusPlan,
    CellsPlan,
    CsvPlan,
    DevicePlan,
    PlantPlan,
    Site,
    SunPlan,
    SyntheticPlan,
    VehiclePlan,
    WarmthPlan,
)
from device_sim.plant import Node
from device_sim.profile import UJ_PER_KWH, AfterEnd, IntervalEnergies, ProfileFaults, read_intervals
from device_sim.repeated import expanded
from device_sim.site_table import SiteFault, SiteFaults, Table
from device_sim.table import PROTOCOLS, kinds, module_of, usual_protocol
from device_sim.vehicles import Pattern

PROFILES: Final = Path(__file__).parent / "profiles"
SITES: Final = Path(__file__).parent / "sites"
SHIPPED: Final = "shipped:"  # a profile file of this package: "shipped:steel_plant_week.csv"


def load_site(
    source: Path | str | Mapping[str, Any], profile: Path | str | None = None, start_local: datetime | str | None = None
) -> Site:
    """Reads a site file (or the table it would give) and checks all of it.

    `profile` replaces the CSV of every plant whose load comes from a CSV; `start_local` (ISO, local time) is the row that such a plant starts
    with. Raises SiteFaults with every fault found.
    """
    if isinstance(source, Mapping):
        file, directory, content = "site", Path(), source
    else:
        path = Path(source)
        file, directory = str(path), path.parent
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise SiteFaults([SiteFault(file, "", "a readable TOML file", str(error))]) from error
    faults: list[SiteFault] = []
    override = _Override(None if profile is None else Path(profile), _local(start_local, file, faults))
    root = Table(faults, file, "", content)
    plants = [_plant(table, directory, override) for table in root.tables("plant")]
    root.finish()
    _refuse_twice(faults, file, "plant.name", [plan.name for plan in plants])
    _check_ports(faults, file, plants)
    if (
        (profile is not None or start_local is not None)
        and not faults
        and not any(isinstance(plan.load, CsvPlan) for plan in plants)
    ):
        faults.append(
            SiteFault(file, "plant.load.kind", "'csv' in a plant, since a profile was given", "no such plant")
        )
    if faults:
        raise SiteFaults(faults)
    return Site(tuple(plants))


@dataclass(frozen=True, slots=True)
class _Override:
    profile: Path | None
    start_local: datetime | None


def _local(value: datetime | str | None, file: str, faults: list[SiteFault]) -> datetime | None:
    if value is None or (isinstance(value, datetime) and value.tzinfo is None):
        return value
    try:
        parsed = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if parsed.tzinfo is None:
            return parsed
    except ValueError:
        pass
    faults.append(SiteFault(file, "start_local", "an ISO local time without zone", repr(value)))
    return None


def _tan_per_mille(power_factor: float) -> int:
    return round(1000 * sqrt(1 / power_factor**2 - 1))


def _plant(table: Table, directory: Path, override: _Override) -> PlantPlan:
    name = table.name("name")
    zone_name = table.text("time_zone", "UTC")
    try:
        zone = ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = ZoneInfo("UTC")
        table.fault("time_zone", "a name of the time zone database, such as 'Asia/Shanghai'", zone_name)
    load_table = table.required_table("load")
    load = _load(load_table, directory, override)
    tan = _tan_per_mille(load_table.number("power_factor", 0.95, 0.1, 1.0))
    load_table.finish()
    pv, battery, ev = _pv(table, directory), _battery(table), _ev(table, directory)
    streams, wind, hvac = stream_plans(table), wind_plan(table), hvac_plan(table)
    dc_bus = dc_bus_plan(table)
    known: dict[Node, object] = {Node.PV: pv, Node.BATTERY: battery, Node.HVAC: hvac, Node.DC_BUS: dc_bus}
    lacking = frozenset(node for node, there in known.items() if there is None)
    carriers = frozenset(stream.carrier for stream in streams)
    devices = tuple(_device(device, lacking, carriers) for device in table.tables("device", expanded))
    _refuse_twice(table.faults, table.file, table.key("device.name"), [device.name for device in devices])
    buses = _buses(table, devices)
    units = [f"unit {device.unit} on bus {device.bus}" for device in devices if _family(device) == "modbus"]
    _refuse_twice(table.faults, table.file, table.key("device.unit"), units)
    table.finish()
    return PlantPlan(name, zone, load, tan, pv, battery, ev, devices, buses, streams, wind, hvac, dc_bus)


def _family(device: DevicePlan) -> str:
    kind = kinds().get(device.kind)
    return kind.family if kind else ""


def _buses(table: Table, devices: Sequence[DevicePlan]) -> tuple[BusPlan, ...]:
    """The plant's buses: those with a table [[plant.bus]] of their own, and those that only devices name."""
    said = {}
    for bus in table.tables("bus") if table.has("bus") else []:
        name, protocol = bus.name("name"), bus.text("protocol", None, choices=tuple(PROTOCOLS))
        keys = module_of(protocol).OPTIONS if protocol in PROTOCOLS else frozenset()
        if "port" in keys:
            bus.whole("port", 0, 0, 65535)
        said[name] = BusPlan(name, protocol, bus.rest(keys))
        bus.finish()
    families = {device.bus: _family(device) for device in devices}
    for name, family in families.items():
        plan = said.get(name)
        if plan is None:
            said[name] = BusPlan(name, usual_protocol(family), {}) if family else BusPlan(name, "", {})
        elif plan.protocol in PROTOCOLS and PROTOCOLS[plan.protocol].family != family:
            expected = f"devices that speak {plan.protocol} on bus {name!r}"
            table.fault("device.kind", expected, f"one of family {family}")
    for name in said.keys() - families.keys():
        table.fault("bus.name", "a bus that a device names", repr(name))
    return tuple(said.values())


def _load(table: Table, directory: Path, override: _Override) -> CsvPlan | SyntheticPlan:
    kind = table.text("kind", "synthetic", choices=("synthetic", "csv", "hourly"))
    if kind == "hourly":
        hours = hourly_profile(table, directory, "load_kwh", table.number("factor", 1.0, 0, 1e6))
        return CsvPlan(hours or IntervalEnergies("", 0, 1, (0,)), AfterEnd.REPEAT, None)
    if kind == "csv":
        file = table.text("file", None if override.profile is None else "")
        after_end = AfterEnd(table.text("after_end", AfterEnd.REPEAT.value, choices=tuple(AfterEnd)))
        start_text = table.text("start_local", "")
        start = override.start_local or (_local(start_text, table.file, table.faults) if start_text else None)
        path = PROFILES / file.removeprefix(SHIPPED) if file.startswith(SHIPPED) else directory / file
        try:
            intervals = read_intervals(override.profile or path)
        except ProfileFaults as error:
            if file or override.profile:
                table.fault("file", "a profile without faults", str(error))
            intervals = IntervalEnergies("", 0, 1, (0,))
        return CsvPlan(intervals, after_end, start)
    base = table.number("base_kw", 50.0, 0, 1e6)
    return SyntheticPlan(
        base,
        table.number("peak_kw", 4 * base, 0, 1e6),
        table.number("noise_ratio", 0.05, 0, 0.5),
        table.whole("seed", 1, 0, 2**31),
    )


def _pv(table: Table, directory: Path) -> SunPlan | MeasuredSunPlan | None:
    pv = table.table("pv")
    if pv is None:
        return None
    peak_kw = pv.number("peak_kw", None, 0.001, 1e6)
    if pv.has("file"):
        hours = hourly_profile(pv, directory, "pv_kwh_per_kwp", peak_kw)
        pv.finish()
        return MeasuredSunPlan(peak_kw, hours or IntervalEnergies("", 0, 1, (0,)))
    plan = SunPlan(
        peak_kw,
        pv.number("latitude_deg", 30.0, -90, 90),
        pv.number("longitude_deg", 0.0, -180, 180),
        pv.whole("seed", 1, 0, 2**31),
    )
    pv.finish()
    return plan


def _battery(table: Table) -> BatteryPlan | None:
    battery = table.table("battery")
    if battery is None:
        return None
    charge_kw = battery.number("charge_kw", None, 0.001, 1e6)
    plan = BatteryPlan(
        battery.number("capacity_kwh", None, 0.001, 1e7),
        charge_kw,
        battery.number("discharge_kw", charge_kw, 0.001, 1e6),
        battery.number("charge_efficiency_ratio", 0.95, 0.5, 1),
        battery.number("discharge_efficiency_ratio", 0.95, 0.5, 1),
        battery.number("state_of_charge_percent", 50, 0, 100),
        battery.number("floor_percent", 10, 0, 100),
        Unasked(battery.text("without_set_point", Unasked.REST.value, choices=tuple(Unasked))),
        _cells(battery),
        battery.number("taper_from_percent", 100, 50, 100),
        battery.number("taper_below_percent", 0, 0, 50),
        _warmth(battery),
    )
    battery.finish()
    return plan


def _cells(battery: Table) -> CellsPlan | None:
    cells = battery.table("cells")
    if cells is None:
        return None
    plan = CellsPlan(
        cells.whole("count", 240, 1, 10_000),
        cells.number("room_degc", 22.0, -40, 60),
        cells.number("start_cycles", 0.0, 0, 1e6),
        cells.whole("seed", 1, 0, 2**31),
    )
    cells.finish()
    return plan


def _warmth(battery: Table) -> WarmthPlan | None:
    warmth = battery.table("warmth")
    if warmth is None:
        return None
    derate_from_degc = warmth.number("derate_from_degc", 45.0, -20, 80)
    derate_to_degc = warmth.number("derate_to_degc", 60.0, -20, 120)
    if derate_to_degc < derate_from_degc + 1:
        warmth.fault(
            "derate_to_degc", f"at least 1 above derate_from_degc ({derate_from_degc:g})", f"{derate_to_degc:g}"
        )
    plan = WarmthPlan(
        warmth.number("room_degc", 25.0, -40, 60),
        warmth.number("capacity_kj_per_k", None, 1, 1e9),
        warmth.number("loss_w_per_k", None, 0.1, 1e6),
        derate_from_degc,
        derate_to_degc,
    )
    warmth.finish()
    return plan


def _ev(table: Table, directory: Path) -> VehiclePlan | None:
    ev = table.table("ev")
    if ev is None:
        return None
    plan = VehiclePlan(
        ev.whole("points", None, 1, 1000),
        ev.number("max_kw", 11.0, 0.1, 1000),
        ev.number("mean_need_kwh", 20.0, 0.1, 1000),
        Pattern(ev.text("pattern", Pattern.WORKPLACE.value, choices=tuple(Pattern))),
        ev.whole("seed", 1, 0, 2**31),
        _tan_per_mille(ev.number("power_factor", 0.99, 0.1, 1.0)),
        charging_plan(ev, directory),
    )
    ev.finish()
    return plan


def _measures(table: Table, kind: object, own: Node | None, carriers: frozenset[Carrier]) -> Node | Carrier:
    """What a device measures: a node, or for a kind with `carriers` one of those, which the plant must have."""
    possible: tuple[Carrier, ...] = getattr(kind, "carriers", ())
    if not possible:
        return Node(table.text("measures", own.value if own else None, choices=tuple(Node) if own is None else (own,)))
    carrier = Carrier(table.text("measures", possible[0].value if len(possible) == 1 else None, choices=possible))
    if carrier not in carriers:
        table.fault("measures", f"a table of this plant that gives {carrier}", "no such table")
    return carrier


def _device(table: Table, lacking: frozenset[Node], carriers: frozenset[Carrier]) -> DevicePlan:
    name = table.name("name")
    kind_name = table.text("kind", None, choices=tuple(kinds()))
    kind = kinds().get(kind_name)
    own: Node | None = getattr(kind, "own_node", None)  # what only sits at one node
    measures = _measures(table, kind, own, carriers)
    if own in lacking:
        table.fault("kind", f"a table [plant.{measures}] beside a {kind_name}", "no such table")
    modulus_uj = kind.modulus_uj if kind else UJ_PER_KWH
    if own is None:  # an acc32 of SunSpec cannot have another modulus
        modulus_uj = _uj(table.number("modulus_kwh", modulus_uj / UJ_PER_KWH, 1, 1e12))
    # 0 in an acc32 means "not implemented", so a SunSpec counter starts a little later.
    start_kwh = 1.0 if own else 0.0
    highest_kwh = modulus_uj / UJ_PER_KWH
    plan = DevicePlan(
        name,
        kind_name,
        measures,
        table.whole("unit", 1, 1, 247),
        table.text("bus", name),
        _uj(table.number("start_import_kwh", start_kwh, 0, highest_kwh)),
        _uj(table.number("start_export_kwh", start_kwh, 0, highest_kwh)),
        modulus_uj,
        round(table.number("share_percent", 100.0, 0.0001, 100) * WHOLE / 100),
        table.rest(kind.options if kind else ()),
    )
    table.finish()
    return plan


def _uj(kwh: float) -> int:
    return int(Decimal(repr(float(kwh))) * UJ_PER_KWH)


def _refuse_twice(faults: list[SiteFault], file: str, key: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    faults.extend(SiteFault(file, key, "each value once", repr(name)) for name in twice)


def _check_ports(faults: list[SiteFault], file: str, plants: Sequence[PlantPlan]) -> None:
    fixed = [str(bus.options["port"]) for plan in plants for bus in plan.buses if bus.options.get("port")]
    _refuse_twice(faults, file, "plant.bus.port", fixed)
