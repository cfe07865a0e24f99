"""The cells inside a battery: voltages, temperatures and cycles that follow what the battery stores and passes. Not the battery's power, not a BMS.

All cells sit in one string and carry the same current. Each differs a little from the mean, drawn from the seed: in charge, in resistance and in
cooling. Nothing here acts back on the plant.
"""

import math
import random
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

from device_sim.profile import UJ_PER_KWH

PPM: Final = 1_000_000

# Rest voltage of an iron phosphate cell over its charge in %: the usual flat shape, of no particular maker.
_CHARGE_PERCENT: Final = (0, 5, 10, 20, 30, 50, 70, 90, 97, 100)
_REST_V: Final = (2.60, 3.00, 3.18, 3.24, 3.27, 3.29, 3.32, 3.34, 3.38, 3.45)
_FULL_RATE_DROP_V: Final = 0.10  # what a cell's resistance takes at one capacity per hour
_FULL_RATE_WARMS_K: Final = (
    18.0  # how much warmer than the room a cell settles at one capacity per hour; with the square of the current
)
_WARMING_MS: Final = 1_800_000  # after which 63 % of a change of temperature is done
_CYCLES_TO_80_PERCENT: Final = 6000


@dataclass(frozen=True, slots=True)
class _Cell:
    """How one cell differs from the mean."""

    charge_percent: float
    resistance_ratio: float
    cooling_ratio: float


@dataclass(slots=True)
class Cells:
    """The string of one battery. `passed`: stored and taken energy so far, both counted, in uJ x ppm at the cells (DC)."""

    count: int
    capacity_kwh: float
    room_degc: float
    seed: int
    passed: int = 0
    warmth_k: float = 0.0
    _each: tuple[_Cell, ...] = field(init=False)

    def __post_init__(self) -> None:
        chance = random.Random(f"cells:{self.seed}")
        self._each = tuple(
            _Cell(chance.uniform(-1.0, 1.0), chance.uniform(0.9, 1.15), chance.uniform(0.9, 1.2))
            for _ in range(self.count)
        )

    @property
    def cycle_count(self) -> float:
        """Equivalent full cycles: a cycle is the whole capacity once in and once out."""
        return self.passed / (2 * self.capacity_kwh * UJ_PER_KWH * PPM)

    @property
    def state_of_health_percent(self) -> float:
        """Falls straight to 80 % over 6,000 cycles and stays above 0."""
        return max(0.0, 100.0 - 20.0 * self.cycle_count / _CYCLES_TO_80_PERCENT)

    def follow(self, dc_uj_ppm: int, duration_ms: int) -> None:
        """Books what went in (positive) or out at the cells during a time of constant power, uJ x ppm, and warms them."""
        self.passed += abs(dc_uj_ppm)
        if duration_ms > 0:
            hourly_rate = dc_uj_ppm / PPM / UJ_PER_KWH / self.capacity_kwh * 3_600_000 / duration_ms
            settles_k = _FULL_RATE_WARMS_K * hourly_rate * hourly_rate
            self.warmth_k = settles_k + (self.warmth_k - settles_k) * math.exp(-duration_ms / _WARMING_MS)

    def voltages_v(self, state_of_charge_percent: float, dc_power_w: float) -> tuple[float, ...]:
        """Each cell's voltage, V, in the order of the string; charging power positive."""
        hourly_rate = dc_power_w / 1000 / self.capacity_kwh
        return tuple(
            _rest_v(state_of_charge_percent + cell.charge_percent)
            + _FULL_RATE_DROP_V * cell.resistance_ratio * hourly_rate
            for cell in self._each
        )

    def temperatures_degc(self) -> tuple[float, ...]:
        """Each cell's temperature, °C, in the order of the string."""
        return tuple(self.room_degc + self.warmth_k * cell.cooling_ratio for cell in self._each)


def _rest_v(charge_percent: float) -> float:
    charge = min(max(charge_percent, 0.0), 100.0)
    right = min(bisect_right(_CHARGE_PERCENT, charge), len(_CHARGE_PERCENT) - 1)
    low, high = _CHARGE_PERCENT[right - 1], _CHARGE_PERCENT[right]
    return _REST_V[right - 1] + (_REST_V[right] - _REST_V[right - 1]) * (charge - low) / (high - low)
