"""The table [plant.dc_bus] of a site file. Not the bus itself (`dc_bus`)."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from device_sim.battery import Battery, Unasked
from device_sim.dc_bus import DcBus
from device_sim.profile import NoPower, Segment, SyntheticLoad
from device_sim.site_table import Table
from device_sim.sun import Sun


@dataclass(frozen=True, slots=True)
class DcBusPlan:
    """A building's direct-current bus as configured."""

    converter_kw: float
    efficiency_ratio: float
    pv_peak_kw: float
    latitude_deg: float
    longitude_deg: float
    base_kw: float
    peak_kw: float
    storage_kwh: float
    storage_kw: float
    state_of_charge_percent: float
    seed: int

    def build(self, zone: ZoneInfo) -> DcBus:
        """The bus as it stands when the simulation begins."""
        sun: Segment = NoPower()
        if self.pv_peak_kw:
            sun = Sun(self.pv_peak_kw, self.latitude_deg, self.longitude_deg, self.seed)
        storage = None
        if self.storage_kwh:
            storage = Battery.build(
                self.storage_kwh, self.storage_kw, self.storage_kw, 0.97, 0.97, self.state_of_charge_percent, 10, Unasked.REST
            )  # fmt: skip
        load = SyntheticLoad(self.base_kw, self.peak_kw, 0.05, self.seed, zone)
        return DcBus(sun, load, storage, round(self.converter_kw * 1e6), round(self.efficiency_ratio * 1e6))


def dc_bus_plan(plant: Table) -> DcBusPlan | None:
    """The bus that a plant's table names."""
    table = plant.table("dc_bus")
    if table is None:
        return None
    base_kw = table.number("base_kw", 5.0, 0, 1e5)
    storage_kwh = table.number("storage_kwh", 0.0, 0, 1e6)
    plan = DcBusPlan(
        table.number("converter_kw", None, 0.1, 1e5),
        table.number("efficiency_ratio", 0.97, 0.5, 1),
        table.number("pv_peak_kw", 0.0, 0, 1e5),
        table.number("latitude_deg", 30.0, -90, 90),
        table.number("longitude_deg", 0.0, -180, 180),
        base_kw,
        table.number("peak_kw", 3 * base_kw, 0, 1e5),
        storage_kwh,
        table.number("storage_kw", storage_kwh / 2, 0, 1e5),
        table.number("state_of_charge_percent", 50, 0, 100),
        table.whole("seed", 1, 0, 2**31),
    )
    table.finish()
    return plan
