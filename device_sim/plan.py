"""What a site file asks for, checked: plans of plants and devices, and the objects that are built from them. Not how the file is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from device_sim.battery import Battery, Unasked
from device_sim.carrier_tables import StreamPlan, WindPlan
from device_sim.carriers import Carrier
from device_sim.cells import PPM, Cells
from device_sim.charging_table import ChargingPlan
from device_sim.dc_bus_table import DcBusPlan
from device_sim.device import Device
from device_sim.hourly import MeasuredSunPlan
from device_sim.hvac_table import HvacPlan
from device_sim.plant import Node, Plant
from device_sim.profile import UJ_PER_KWH, AfterEnd, CsvLoad, IntervalEnergies, NoPower, Segment, SyntheticLoad
from device_sim.sun import Sun
from device_sim.table import kinds
from device_sim.vehicles import Pattern, Vehicles
from device_sim.warmth import Warmth


@dataclass(frozen=True, slots=True)
class CsvPlan:
    """A load from a CSV."""

    intervals: IntervalEnergies
    after_end: AfterEnd
    start_local: datetime | None


@dataclass(frozen=True, slots=True)
class SyntheticPlan:
    """A made-up load."""

    base_kw: float
    peak_kw: float
    noise_ratio: float
    seed: int


@dataclass(frozen=True, slots=True)
class SunPlan:
    """A PV plant."""

    peak_kw: float
    latitude_deg: float
    longitude_deg: float
    seed: int


@dataclass(frozen=True, slots=True)
class VehiclePlan:
    """Charging points."""

    points: int
    max_kw: float
    mean_need_kwh: float
    pattern: Pattern
    seed: int
    tan_per_mille: int
    charging: ChargingPlan

    def build(self, zone: ZoneInfo, piles: bool) -> Segment:
        """All points as one load, or one by one where piles stand at them."""
        vehicles = Vehicles(self.points, self.max_kw, self.mean_need_kwh, self.pattern, self.seed, zone)
        if not piles:
            return vehicles
        return self.charging.build(self.points, round(self.max_kw * 1e6), vehicles, zone, self.seed)


@dataclass(frozen=True, slots=True)
class CellsPlan:
    """The cells of a battery."""

    count: int
    room_degc: float
    start_cycles: float
    seed: int

    def build(self, capacity_kwh: float) -> Cells:
        """The cells as they stand when the simulation begins."""
        cells = Cells(self.count, capacity_kwh, self.room_degc, self.seed)
        cells.passed = round(2 * self.start_cycles * capacity_kwh * UJ_PER_KWH) * PPM
        return cells


@dataclass(frozen=True, slots=True)
class WarmthPlan:
    """How a battery warms and what that costs it, in the order of `Warmth.build`."""

    room_degc: float
    capacity_kj_per_k: float
    loss_w_per_k: float
    derate_from_degc: float
    derate_to_degc: float

    def build(self) -> Warmth:
        """A battery as warm as its room."""
        return Warmth.build(
            self.room_degc, self.capacity_kj_per_k, self.loss_w_per_k, self.derate_from_degc, self.derate_to_degc
        )


@dataclass(frozen=True, slots=True)
class BatteryPlan:
    """A battery, in the order of `Battery.build`."""

    capacity_kwh: float
    charge_kw: float
    discharge_kw: float
    charge_efficiency_ratio: float
    discharge_efficiency_ratio: float
    state_of_charge_percent: float
    floor_percent: float
    unasked: Unasked
    cells: CellsPlan | None = None
    taper_from_percent: float = 100.0
    taper_below_percent: float = 0.0
    warmth: WarmthPlan | None = None


@dataclass(frozen=True, slots=True)
class BusPlan:
    """How a bus of a plant is reached: its protocol, and the keys that only the protocol understands."""

    name: str
    protocol: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """A device and the bus on which it is reached."""

    name: str
    kind: str
    measures: Node | Carrier
    unit: int
    bus: str
    start_import_uj: int
    start_export_uj: int
    modulus_uj: int
    share_ppm: int
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlantPlan:
    """One facility as configured."""

    name: str
    zone: ZoneInfo
    load: CsvPlan | SyntheticPlan
    load_tan_per_mille: int
    pv: SunPlan | MeasuredSunPlan | None
    battery: BatteryPlan | None
    ev: VehiclePlan | None
    devices: tuple[DevicePlan, ...]
    buses: tuple[BusPlan, ...]
    streams: tuple[StreamPlan, ...] = ()
    wind: WindPlan | None = None
    hvac: HvacPlan | None = None
    dc_bus: DcBusPlan | None = None

    def build(self, origin_ms: int) -> Plant:
        """The plant as it stands at `origin_ms` (UTC ms), the instant the simulation begins."""
        none = NoPower()
        return Plant(
            self.name,
            origin_ms,
            self._load(origin_ms),
            self._sun(origin_ms),
            self.ev.build(self.zone, any(kinds()[d.kind].family == "ocpp" for d in self.devices)) if self.ev else none,
            round(self.pv.peak_kw * 1e6) if self.pv else 0,
            self._battery(),
            self.load_tan_per_mille,
            self.ev.tan_per_mille if self.ev else 0,
            wind=self.wind.build() if self.wind else none,
            hvac=self.hvac.build() if self.hvac else None,
            dc_bus=self.dc_bus.build(self.zone) if self.dc_bus else None,
            streams={stream.carrier: stream.build(origin_ms, self.zone) for stream in self.streams},
        )

    def _sun(self, origin_ms: int) -> Segment:
        pv = self.pv
        if isinstance(pv, MeasuredSunPlan):
            return CsvLoad(pv.intervals, self.zone, AfterEnd.REPEAT, origin_ms)
        return Sun(pv.peak_kw, pv.latitude_deg, pv.longitude_deg, pv.seed) if pv else NoPower()

    def _load(self, origin_ms: int) -> Segment:
        load = self.load
        if isinstance(load, CsvPlan):
            return CsvLoad(load.intervals, self.zone, load.after_end, origin_ms, load.start_local)
        return SyntheticLoad(load.base_kw, load.peak_kw, load.noise_ratio, load.seed, self.zone)

    def _battery(self) -> Battery | None:
        b = self.battery
        if b is None:
            return None
        battery = Battery.build(
            b.capacity_kwh,
            b.charge_kw,
            b.discharge_kw,
            b.charge_efficiency_ratio,
            b.discharge_efficiency_ratio,
            b.state_of_charge_percent,
            b.floor_percent,
            b.unasked,
        )
        battery.cells = b.cells.build(b.capacity_kwh) if b.cells else None
        battery.taper_from_percent, battery.taper_below_percent = b.taper_from_percent, b.taper_below_percent
        battery.warmth = b.warmth.build() if b.warmth else None
        return battery

    def build_devices(self, plant: Plant) -> list[tuple[DevicePlan, Device]]:
        """The devices of a built plant, each beside its plan."""
        return [
            (
                d,
                Device(
                    d.name,
                    kinds()[d.kind],
                    d.unit,
                    plant,
                    d.measures,
                    d.modulus_uj,
                    d.start_import_uj,
                    d.start_export_uj,
                    share_ppm=d.share_ppm,
                    options=d.options,
                ),
            )
            for d in self.devices
        ]


@dataclass(frozen=True, slots=True)
class Site:
    """All plants that one process simulates."""

    plants: tuple[PlantPlan, ...]
