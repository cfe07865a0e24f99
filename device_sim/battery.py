"""A battery behind an inverter: stored energy, efficiencies, limits and the power window it was told. Not its registers."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from device_sim.cells import PPM, Cells
from device_sim.profile import UJ_PER_KWH
from device_sim.warmth import WHOLE, Warmth

FULL_RATE: Final = 10_000  # a rate in hundredths of a percent
UNHEATED_DEGC: Final = 35.0
_BANDS: Final = (
    200  # within half a percent of charge what a tapering battery may do is constant, so that powers stay so too
)


class Unasked(StrEnum):
    """What the battery does as long as nobody asks for a power."""

    REST = "rest"
    SELF_CONSUMPTION = "self_consumption"


@dataclass(slots=True)
class Window:
    """The written set-point (SunSpec 124): bounds of the discharging power in hundredths of a percent of `charge_max_mw`.

    A bound is in force when its bit of StorCtl_Mod is set: -in_rate <= discharge <= out_rate. A negative rate forces the other
    direction; out_rate = -in_rate is a set-point. `reverts_at_ms` None: stays.
    """

    charge_limited: bool = False
    discharge_limited: bool = False
    in_rate: int = FULL_RATE
    out_rate: int = FULL_RATE
    charge_max_mw: int = 0
    reverts_at_ms: int | None = None


@dataclass(slots=True)
class Battery:
    """State of one battery. Stored energy is counted in uJ x ppm, so that both efficiencies stay exact integers.

    Charging P (AC) for t adds P t x charge_ppm; discharging removes P t x discharge_ppm with discharge_ppm = 1e12 / efficiency. Above a
    charge of `taper_from_percent` the most that it takes falls straight towards full, below `taper_below_percent` the most that it gives
    towards its floor, in steps of half a percent of charge, the last of which is not 0.
    """

    capacity_kwh: float
    charge_mw: int
    discharge_mw: int
    charge_ppm: int
    discharge_ppm: int
    unasked: Unasked
    floor_percent: float
    stored: int = 0
    window: Window = field(default_factory=Window)
    cells: Cells | None = None
    taper_from_percent: float = 100.0
    taper_below_percent: float = 0.0
    warmth: Warmth | None = None

    @classmethod
    def build(
        cls,
        capacity_kwh: float,
        charge_kw: float,
        discharge_kw: float,
        charge_efficiency_ratio: float,
        discharge_efficiency_ratio: float,
        state_of_charge_percent: float,
        floor_percent: float,
        unasked: Unasked,
    ) -> "Battery":
        """A battery in the units of a site file."""
        battery = cls(
            capacity_kwh,
            round(charge_kw * 1e6),
            round(discharge_kw * 1e6),
            round(charge_efficiency_ratio * PPM),
            round(PPM / discharge_efficiency_ratio),
            unasked,
            floor_percent,
        )
        battery.stored = round(battery.full * state_of_charge_percent / 100)
        battery.forget_set_point()
        return battery

    @property
    def full(self) -> int:
        """The stored energy of a full battery, uJ x ppm."""
        return round(self.capacity_kwh * UJ_PER_KWH) * PPM

    @property
    def floor(self) -> int:
        """Below this nothing is discharged, uJ x ppm."""
        return round(self.full * self.floor_percent / 100)

    @property
    def state_of_charge_percent(self) -> float:
        """Stored energy over capacity, %."""
        return 100 * self.stored / self.full

    @property
    def temperature_degc(self) -> float:
        """What its inverter shows as its cabinet's, °C; a constant where nothing is simulated."""
        return UNHEATED_DEGC if self.warmth is None else self.warmth.temperature_degc

    def forget_set_point(self) -> None:
        """Back to what the battery does unasked (revert timer, reboot)."""
        self.window = Window(charge_max_mw=self.charge_mw)

    def power_mw(self, surplus_mw: int) -> int:
        """AC power now, charging positive. `surplus_mw` is what the plant would export without the battery (negative: import)."""
        wanted = surplus_mw if self.unasked is Unasked.SELF_CONSUMPTION else 0
        window = self.window
        most = max(self.charge_mw, self.discharge_mw)  # no bound in force: the battery's own limits decide
        high = window.charge_max_mw * window.in_rate // FULL_RATE if window.charge_limited else most
        low = -(window.charge_max_mw * window.out_rate // FULL_RATE) if window.discharge_limited else -most
        if low > high:  # a contradictory window: nothing moves
            return 0
        power = min(max(wanted, low), high)
        charge_mw, discharge_mw = self.able_mw()
        power = min(max(power, -discharge_mw), charge_mw)
        return 0 if self.lasts_ms(power) == 0 else power

    def able_mw(self) -> tuple[int, int]:
        """The most that it can take and give now, warmth and taper counted in, mW; full and floor are not."""
        charge, discharge = self.charge_mw, self.discharge_mw
        if self.taper_from_percent < 100:
            left = _BANDS - self.stored * _BANDS // self.full  # bands up to full, this one included
            charge = min(charge, round(charge * max(1, left) * 100 / (_BANDS * (100 - self.taper_from_percent))))
        if self.taper_below_percent > self.floor_percent:
            above = -(-(self.stored - self.floor) * _BANDS // self.full)
            width_percent = self.taper_below_percent - self.floor_percent
            discharge = min(discharge, round(discharge * max(1, above) * 100 / (_BANDS * width_percent)))
        share = WHOLE if self.warmth is None else self.warmth.share
        return charge * share // WHOLE, discharge * share // WHOLE

    def lasts_ms(self, power_mw: int) -> int | None:
        """How many whole ms this power is possible before full or floor; None: for ever."""
        if power_mw > 0:
            return max(0, self.full - self.stored) // (power_mw * self.charge_ppm)
        if power_mw < 0:
            return max(0, self.stored - self.floor) // (-power_mw * self.discharge_ppm)
        return None

    def holds_ms(self, power_mw: int) -> int | None:
        """How many whole ms (at least 1) this power can be held before what the battery is able to changes; None: for ever."""
        lasts = self.lasts_ms(power_mw)
        if lasts is None or (self.taper_from_percent >= 100 and self.taper_below_percent <= self.floor_percent):
            return lasts
        band = self.full // _BANDS
        room = band - self.stored % band if power_mw > 0 else (self.stored - self.floor) % band or band
        return min(lasts, -(-room // abs(self.dc_ppm(power_mw))))

    def settle(self, now_ms: int) -> int | None:
        """Brings the temperature up to an instant; when to come again, None: no need."""
        if self.warmth is None:
            return None
        until_ms = self.warmth.settle(now_ms)
        if self.cells is not None:
            self.cells.room_degc = self.warmth.temperature_degc
        return until_ms

    def store(self, energy_uj: int, duration_ms: int) -> None:
        """Books AC energy of a time of constant power, charging positive."""
        dc_uj_ppm = self.dc_ppm(energy_uj)
        self.stored += dc_uj_ppm
        if self.warmth is not None:
            self.warmth.lost += energy_uj * PPM - dc_uj_ppm
        if self.cells is not None:
            self.cells.follow(dc_uj_ppm, duration_ms)

    def dc_ppm(self, ac: int) -> int:
        """What an AC power or energy is at the cells, in the same unit x ppm."""
        return ac * (self.charge_ppm if ac > 0 else self.discharge_ppm)
