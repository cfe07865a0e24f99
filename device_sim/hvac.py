"""A building and what heats or cools it: its temperature, a thermostat, a limit from outside, and how long it was not comfortable. Not the protocol.

One heat capacity C, one loss G to the outside, constant gains: C dT/dt = gains + G (outdoor - T) -+ COP x electric power. The temperature is found anew at
each full minute of UTC from the electric energy of the minute before, in whole millionths of a kelvin: so nobody's asking changes it.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from device_sim.profile import DAY_MS, MINUTE_MS

_UK: Final = 1_000_000  # millionths of a kelvin in one
_WHOLE: Final = 10_000  # hundredths of a percent
_HYSTERESIS_UK: Final = 300_000


class Task(StrEnum):
    """Which way it moves the temperature."""

    COOLING = "cooling"
    HEATING = "heating"


@dataclass(slots=True)
class Hvac:
    """One building. `set_udegc` is the thermostat's, `limit` the most of `power_mw` that it may take, in hundredths of a percent.

    It is on from 0.3 K on the wrong side of its set temperature until 0.3 K beyond it. `discomfort_ms`: time outside of the comfort band;
    `discomfort_kelvin_ms`: by how much, in millionths of a kelvin x ms.
    """

    power_mw: int
    cop_per_mille: int
    capacity_uj_per_k: int
    loss_uw_per_k: int
    gains_uw: int
    low_udegc: int
    high_udegc: int
    outdoor_udegc: int
    swing_udegc: int
    task: Task
    temperature_udegc: int = field(init=False)
    set_udegc: int = field(init=False)
    limit: int = _WHOLE
    running: bool = False
    discomfort_ms: int = 0
    discomfort_kelvin_ms: int = 0
    used_uj: int = 0
    until_ms: int | None = None

    def __post_init__(self) -> None:
        self.temperature_udegc = self.set_udegc = self.rest_udegc

    @classmethod
    def build(
        cls,
        power_kw: float,
        cop_ratio: float,
        capacity_kwh_per_k: float,
        loss_kw_per_k: float,
        gains_kw: float,
        low_degc: float,
        high_degc: float,
        outdoor_degc: float,
        swing_k: float,
        task: Task,
    ) -> "Hvac":
        """A building in the middle of its comfort band, in the units of a site file."""
        return cls(
            round(power_kw * 1e6), round(cop_ratio * 1000), round(capacity_kwh_per_k * 3.6e12), round(loss_kw_per_k * 1e9), round(gains_kw * 1e9),
            round(low_degc * _UK), round(high_degc * _UK), round(outdoor_degc * _UK), round(swing_k * _UK), task,
        )  # fmt: skip

    @property
    def rest_udegc(self) -> int:
        """What the thermostat is set to when nobody says otherwise: the middle of the comfort band."""
        return (self.low_udegc + self.high_udegc) // 2

    def outside_udegc(self, at_ms: int) -> int:
        """The outdoor temperature of the minute of an instant: coldest at 3 o'clock of UTC, warmest at 15."""
        turn = (at_ms // MINUTE_MS * MINUTE_MS % DAY_MS) / DAY_MS - 0.375
        return self.outdoor_udegc + round(self.swing_udegc * math.sin(2 * math.pi * turn))

    def power(self, now_ms: int) -> tuple[int, int]:
        """The electric power from now on, mW, and until when it holds. Instants must not go backwards."""
        if self.until_ms is None:
            self.until_ms = (now_ms // MINUTE_MS + 1) * MINUTE_MS
        elif now_ms >= self.until_ms:
            self._minute(now_ms)
            self.until_ms = (now_ms // MINUTE_MS + 1) * MINUTE_MS
        self._switch()
        return self.drawn_mw(), self.until_ms

    def drawn_mw(self) -> int:
        """What it takes as it stands."""
        return self.power_mw * self.limit // _WHOLE if self.running else 0

    def use(self, energy_uj: int) -> None:
        """Books what it has taken."""
        self.used_uj += energy_uj

    def command(self, limit: int, set_udegc: int | None) -> bool:
        """A limit and a set temperature (None: its own) from outside, the latter within the comfort band; whether that changed anything."""
        wanted = self.rest_udegc if set_udegc is None else min(max(set_udegc, self.low_udegc), self.high_udegc)
        limit = min(max(limit, 0), _WHOLE)
        changed = (limit, wanted) != (self.limit, self.set_udegc)
        self.limit, self.set_udegc = limit, wanted
        return changed

    def _minute(self, now_ms: int) -> None:
        sign = -1 if self.task is Task.COOLING else 1
        outside = self.outside_udegc(now_ms - MINUTE_MS)
        passive_uw = self.gains_uw + self.loss_uw_per_k * (outside - self.temperature_udegc) // _UK
        heat_uj = passive_uw * (MINUTE_MS // 1000) + sign * self.used_uj * self.cop_per_mille // 1000
        self.used_uj = 0
        self.temperature_udegc += heat_uj * _UK // self.capacity_uj_per_k
        beyond = max(self.low_udegc - self.temperature_udegc, self.temperature_udegc - self.high_udegc, 0)
        if beyond:
            self.discomfort_ms += MINUTE_MS
            self.discomfort_kelvin_ms += beyond * MINUTE_MS

    def _switch(self) -> None:
        sign = 1 if self.task is Task.COOLING else -1
        above = sign * (self.temperature_udegc - self.set_udegc)
        if above >= _HYSTERESIS_UK:
            self.running = True
        elif above <= -_HYSTERESIS_UK:
            self.running = False
