"""The tables [plant.heat], [plant.cooling], [plant.water], [plant.gas], [plant.oil] and [plant.wind] of a site file. Not the physics behind them."""

from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from device_sim.carriers import Carrier, CoolingDemand, HeatDemand, Source, Stream, VolumeDemand
from device_sim.site_table import Table
from device_sim.wind import Wind

_SEED_MAX: Final = 2**31


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One carrier of a plant; `peak` in kW for heat and cooling, in m3/h for the rest."""

    carrier: Carrier
    peak: float
    noise_ratio: float
    seed: int

    def build(self, origin_ms: int, zone: ZoneInfo) -> Stream:
        """The stream as it stands when the simulation begins."""
        return Stream(self.carrier, self._source(zone), origin_ms)

    def _source(self, zone: ZoneInfo) -> Source:
        if self.carrier is Carrier.HEAT:
            return HeatDemand(self.peak, self.noise_ratio, self.seed, zone)
        if self.carrier is Carrier.COOLING:
            return CoolingDemand(self.peak, self.noise_ratio, self.seed, zone)
        return VolumeDemand(self.carrier, self.peak, self.noise_ratio, self.seed, zone)


@dataclass(frozen=True, slots=True)
class WindPlan:
    """A wind turbine, in the order of `Wind`."""

    rated_kw: float
    mean_m_per_s: float
    cut_in_m_per_s: float
    rated_m_per_s: float
    cut_out_m_per_s: float
    seed: int

    def build(self) -> Wind:
        """The turbine."""
        return Wind(
            self.rated_kw,
            self.mean_m_per_s,
            self.cut_in_m_per_s,
            self.rated_m_per_s,
            self.cut_out_m_per_s,
            self.seed,
        )


def stream_plans(plant: Table) -> tuple[StreamPlan, ...]:
    """The carriers that a plant's table names; faults are noted in the table."""
    plans: list[StreamPlan] = []
    for key, peaks in (
        ("heat", {"peak_kw": Carrier.HEAT}),
        ("cooling", {"peak_kw": Carrier.COOLING}),
        ("water", {"cold_peak_m3_per_h": Carrier.COLD_WATER, "hot_peak_m3_per_h": Carrier.HOT_WATER}),
        ("gas", {"peak_m3_per_h": Carrier.GAS}),
        ("oil", {"peak_l_per_h": Carrier.OIL}),
    ):
        table = plant.table(key)
        if table is None:
            continue
        noise_ratio, seed = table.number("noise_ratio", 0.05, 0, 0.5), table.whole("seed", 1, 0, _SEED_MAX)
        for peak_key, carrier in peaks.items():
            peak = table.number(peak_key, 0.0 if len(peaks) > 1 else None, 0, 1e6)
            if carrier is Carrier.OIL:
                peak /= 1000
            if peak or len(peaks) == 1:
                plans.append(StreamPlan(carrier, peak, noise_ratio, seed))
        table.finish()
    return tuple(plans)


def wind_plan(plant: Table) -> WindPlan | None:
    """The wind turbine that a plant's table names."""
    table = plant.table("wind")
    if table is None:
        return None
    plan = WindPlan(
        table.number("rated_kw", None, 0.001, 1e6),
        table.number("mean_m_per_s", 6.5, 0.1, 30),
        table.number("cut_in_m_per_s", 3.0, 0, 30),
        table.number("rated_m_per_s", 12.0, 0.1, 40),
        table.number("cut_out_m_per_s", 25.0, 0.1, 60),
        table.whole("seed", 1, 0, _SEED_MAX),
    )
    if not plan.cut_in_m_per_s < plan.rated_m_per_s < plan.cut_out_m_per_s:
        table.fault("rated_m_per_s", "a speed between cut_in_m_per_s and cut_out_m_per_s", f"{plan.rated_m_per_s:g}")
    table.finish()
    return plan
