"""How warm a battery is: its losses heat it, the room cools it, and above a temperature it may do less. Not its cells one by one (`cells`).

The temperature is found anew at each full minute of UTC, from the energy lost in the minute before, in whole millionths of a kelvin: so it
does not depend on when somebody asks. Between two minutes it stands.
"""

from dataclasses import dataclass, field
from typing import Final

from device_sim.cells import PPM
from device_sim.profile import MINUTE_MS

_MINUTE_S: Final = MINUTE_MS // 1000
_UK: Final = 1_000_000  # millionths of a kelvin in one
WHOLE: Final = 10_000  # a share in hundredths of a percent


@dataclass(slots=True)
class Warmth:
    """One battery's temperature. `lost`: what became heat since the last full minute, uJ x ppm.

    Heat capacity C and loss to the room G make T of T: C (T' - T) = lost - G (T - room) x 60 s. Between `derate_from` and `derate_to` what it
    may do falls straight from all to nothing.
    """

    room_udegc: int
    capacity_uj_per_k: int
    loss_uw_per_k: int
    derate_from_udegc: int
    derate_to_udegc: int
    temperature_udegc: int = field(init=False)
    lost: int = 0
    until_ms: int | None = None

    def __post_init__(self) -> None:
        self.temperature_udegc = self.room_udegc

    @classmethod
    def build(
        cls, room_degc: float, capacity_kj_per_k: float, loss_w_per_k: float, from_degc: float, to_degc: float
    ) -> "Warmth":
        """A battery as warm as its room, in the units of a site file."""
        return cls(
            round(room_degc * _UK),
            round(capacity_kj_per_k * 1e9),
            round(loss_w_per_k * 1e6),
            round(from_degc * _UK),
            round(to_degc * _UK),
        )

    @property
    def temperature_degc(self) -> float:
        """As of the last full minute, °C."""
        return self.temperature_udegc / _UK

    @property
    def share(self) -> int:
        """What the battery may do of its rated power, in hundredths of a percent."""
        above = self.temperature_udegc - self.derate_from_udegc
        if above <= 0:
            return WHOLE
        return max(0, WHOLE - WHOLE * above // (self.derate_to_udegc - self.derate_from_udegc))

    def settle(self, now_ms: int) -> int:
        """Finds the temperature of a full minute, once, and gives the instant of the next one. To be called at each."""
        if self.until_ms is not None and now_ms >= self.until_ms:
            cooled_uj = self.loss_uw_per_k * (self.temperature_udegc - self.room_udegc) // _UK * _MINUTE_S
            self.temperature_udegc += (self.lost // PPM - cooled_uj) * _UK // self.capacity_uj_per_k
            self.lost = 0
        if self.until_ms is None or now_ms >= self.until_ms:
            self.until_ms = (now_ms // MINUTE_MS + 1) * MINUTE_MS
        return self.until_ms
