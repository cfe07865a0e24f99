"""What else flows through a plant (heat, cooling, water, gas, oil): flows, temperatures and their exact integrals. Not electricity, not a meter.

    heat power = flow x density x specific heat x (warmer - colder)

Everything is an integer: a flow in µL/s for so many ms is a volume in nL (1 m3 = 1e12 nL), temperatures are thousandths of a °C, and energies are
counted in fJ, so that at constant temperatures energy / volume is the same number for ever. Demands are made up, seeded and constant for a minute.
"""

import math
import random
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from device_sim.profile import MINUTE_MS, LocalTime

NL_PER_M3: Final = 1_000_000_000_000
FJ_PER_UJ: Final = 1_000_000_000
_UL_PER_S_OF_M3_PER_H: Final = 1e9 / 3600
_MAX_CHANGES: Final = 20_000_000

# Density (kg/m3) and specific heat (J/(kg K)) of water at 0.1 MPa, rounded: at 50 °C for the return of a heating circuit, at 10 °C for chilled water.
# Source: IAPWS-95 as tabulated in the NIST Chemistry WebBook (Thermophysical Properties of Fluid Systems): 988.0 and 4181; 999.7 and 4195.
_WARM_DENSITY_KG_PER_M3: Final = 988
_WARM_HEAT_J_PER_KG_K: Final = 4181
_COLD_DENSITY_KG_PER_M3: Final = 1000
_COLD_HEAT_J_PER_KG_K: Final = 4195


class Carrier(StrEnum):
    """What a meter that is no electricity meter can measure; each is one stream of the plant."""

    HEAT = "heat"
    COOLING = "cooling"
    COLD_WATER = "cold_water"
    HOT_WATER = "hot_water"
    GAS = "gas"
    OIL = "oil"


# fJ that one nL gives when it changes by one thousandth of a °C: density x specific heat (1e-9 L x 1e-3 K x kg/m3 x J/(kg K) = 1e-15 J).
FJ_PER_NL_MILLIDEGREE: Final = {
    Carrier.HEAT: _WARM_DENSITY_KG_PER_M3 * _WARM_HEAT_J_PER_KG_K,
    Carrier.COOLING: _COLD_DENSITY_KG_PER_M3 * _COLD_HEAT_J_PER_KG_K,
}


@dataclass(frozen=True, slots=True)
class Passing:
    """What passes at one instant. Without an exchange of heat `supply` is the medium's temperature and `back` the same."""

    flow_ul_per_s: int
    supply_millidegc: int
    back_millidegc: int


class Source(Protocol):
    """What passes over time."""

    def passing(self, at_ms: int) -> tuple[Passing, int]:
        """What passes at `at_ms`, and the instant (UTC ms, later than `at_ms`) until which it certainly holds."""


@dataclass(slots=True)
class Stream:
    """One carrier of one plant: what passes now, and the volume and heat that have passed since the plant began. Never reset."""

    carrier: Carrier
    source: Source
    now_ms: int
    volume_nl: int = 0
    energy_fj: int = 0
    _passing: Passing | None = None
    _until_ms: int = 0
    _fj_per_nl_millidegree: int = field(init=False)

    def __post_init__(self) -> None:
        self._fj_per_nl_millidegree = FJ_PER_NL_MILLIDEGREE.get(self.carrier, 0)

    @property
    def energy_uj(self) -> int:
        """Heat or cold delivered so far, uJ, rounded down; 0 for what carries none."""
        return self.energy_fj // FJ_PER_UJ

    @property
    def power_mw(self) -> int:
        """Heat or cold delivered now, mW, rounded down."""
        return self._fj_per_ms(self.passing()) // FJ_PER_UJ

    def passing(self) -> Passing:
        """What passes at the present instant."""
        if self._passing is None or self.now_ms >= self._until_ms:
            self._passing, self._until_ms = self.source.passing(self.now_ms)
        return self._passing

    def advance(self, to_ms: int) -> None:
        """Moves the stream to `to_ms` (UTC ms); an instant that is not later changes nothing."""
        for _ in range(_MAX_CHANGES):
            if to_ms <= self.now_ms:
                return
            passing = self.passing()
            step_ms = min(to_ms, self._until_ms) - self.now_ms
            self.volume_nl += passing.flow_ul_per_s * step_ms
            self.energy_fj += self._fj_per_ms(passing) * step_ms
            self.now_ms += step_ms
        raise RuntimeError(f"{self.carrier}: expected at most {_MAX_CHANGES} changes of flow up to {to_ms}, got more")

    def _fj_per_ms(self, passing: Passing) -> int:
        difference = abs(passing.supply_millidegc - passing.back_millidegc)
        return passing.flow_ul_per_s * difference * self._fj_per_nl_millidegree


def outdoor_degc(local_ms: int) -> float:
    """A temperate year: 10 °C in the mean, 12 °C more in July and less in January, 4 °C more in the afternoon and less before dawn."""
    day = local_ms / 86_400_000
    season = -math.cos(2 * math.pi * (day % 365.2425 - 20) / 365.2425)
    return 10 + 12 * season + 4 * math.cos(2 * math.pi * (day % 1 - 15 / 24))


class _Minutely:
    """Seeded noise and local time for demands that are new every minute."""

    def __init__(self, carrier: Carrier, noise_ratio: float, seed: int, zone: ZoneInfo) -> None:
        self._carrier = carrier
        self._noise_ratio = noise_ratio
        self._seed = seed
        self._local = LocalTime(zone)

    def at(self, at_ms: int) -> tuple[int, float, float, int]:
        """Local ms at the minute's start, hour of the local day, a factor around 1, and when the minute ends (UTC ms)."""
        local_ms = self._local.local_ms(at_ms)
        minute, into_ms = divmod(local_ms, MINUTE_MS)
        factor = 1.0 + self._noise_ratio * random.Random(f"{self._carrier}:{self._seed}:{minute}").uniform(-1.0, 1.0)
        return minute * MINUTE_MS, minute % 1440 / 60, factor, self._local.until(at_ms, MINUTE_MS - into_ms)


class HeatDemand:
    """District heat: proportional to what the outdoor temperature lacks to 18 °C, with a heating curve; a tenth always for hot water."""

    def __init__(self, peak_kw: float, noise_ratio: float, seed: int, zone: ZoneInfo) -> None:
        self._peak_kw = peak_kw
        self._minutely = _Minutely(Carrier.HEAT, noise_ratio, seed, zone)

    def passing(self, at_ms: int) -> tuple[Passing, int]:
        local_ms, hour, factor, ends = self._minutely.at(at_ms)
        share = min(1.0, max(0.1, (18 - outdoor_degc(local_ms)) / 30)) * (1.0 if 6 <= hour < 22 else 0.7)
        supply, back = round(1000 * (65 + 25 * share)), round(1000 * (40 + 10 * share))
        return Passing(_flow(Carrier.HEAT, self._peak_kw * share * factor, supply - back), supply, back), ends


class CoolingDemand:
    """Chilled water, 6 °C out and warmer back: a fifth always (machines), the rest with the outdoor temperature above 14 °C by day."""

    def __init__(self, peak_kw: float, noise_ratio: float, seed: int, zone: ZoneInfo) -> None:
        self._peak_kw = peak_kw
        self._minutely = _Minutely(Carrier.COOLING, noise_ratio, seed, zone)

    def passing(self, at_ms: int) -> tuple[Passing, int]:
        local_ms, hour, factor, ends = self._minutely.at(at_ms)
        warmth = min(1.0, max(0.0, (outdoor_degc(local_ms) - 14) / 14)) * (1.0 if 7 <= hour < 20 else 0.5)
        share = 0.2 + 0.8 * warmth
        supply, back = 6000, round(1000 * (9 + 3 * share))
        return Passing(_flow(Carrier.COOLING, self._peak_kw * share * factor, back - supply), supply, back), ends


# Hours of the local day at which a shape turns, and its height there; straight between.
_HOUSEHOLD: Final = ((0, 0.03), (5, 0.05), (7, 1.0), (9, 0.4), (17, 0.35), (19, 0.8), (22, 0.3), (24, 0.03))
_WORKS: Final = ((0, 0.15), (6, 0.15), (8, 1.0), (12, 0.8), (13, 1.0), (17, 0.9), (19, 0.2), (24, 0.15))
_SHAPES: Final = {
    Carrier.COLD_WATER: _HOUSEHOLD,
    Carrier.HOT_WATER: _HOUSEHOLD,
    Carrier.GAS: _WORKS,
    Carrier.OIL: _WORKS,
}
_TEMPERATURES_DEGC: Final = {
    Carrier.COLD_WATER: 11.0,
    Carrier.HOT_WATER: 55.0,
    Carrier.GAS: 15.0,
    Carrier.OIL: 20.0,
}


class VolumeDemand:
    """Water, gas or oil: a daily shape up to the peak. The medium's temperature is its usual one and follows a tenth of the outdoor swing."""

    def __init__(self, carrier: Carrier, peak_m3_per_h: float, noise_ratio: float, seed: int, zone: ZoneInfo) -> None:
        self._shape = _SHAPES[carrier]
        self._temperature_degc = _TEMPERATURES_DEGC[carrier]
        self._peak_m3_per_h = peak_m3_per_h
        self._minutely = _Minutely(carrier, noise_ratio, seed, zone)

    def passing(self, at_ms: int) -> tuple[Passing, int]:
        local_ms, hour, factor, ends = self._minutely.at(at_ms)
        flow = round(self._peak_m3_per_h * _height(self._shape, hour) * factor * _UL_PER_S_OF_M3_PER_H)
        temperature = round(1000 * (self._temperature_degc + 0.1 * (outdoor_degc(local_ms) - 10)))
        return Passing(max(0, flow), temperature, temperature), ends


def _flow(carrier: Carrier, power_kw: float, difference_millidegc: int) -> int:
    """The flow (µL/s) that delivers a power at a temperature difference; kW = 1e15 fJ per 1000 ms."""
    return max(0, round(power_kw * 1e15 / (difference_millidegc * FJ_PER_NL_MILLIDEGREE[carrier])))


def _height(shape: tuple[tuple[int, float], ...], hour: float) -> float:
    for (left, low), (right, high) in pairwise(shape):
        if hour < right:
            return low + (high - low) * (hour - left) / (right - left)
    return shape[-1][1]
