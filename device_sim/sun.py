"""What a photovoltaic plant could give: sun height of a latitude, season and hour, under seeded clouds. Not what a curtailed one gives."""

import math
import random
from typing import Final

from device_sim.profile import MINUTE_MS

_QUARTERS: Final = 15


def sun_height_sine(at_ms: int, latitude_deg: float, longitude_deg: float) -> float:
    """Sine of the sun's height over the horizon at a UTC instant; negative at night.

    Declination by Cooper (1969), 23.45 deg x sin(360 deg x (284 + n) / 365); mean solar time, without the equation of time (at most 17 min).
    """
    day = at_ms / 86_400_000
    day_of_year = day % 365.2425
    declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + day_of_year + 1) / 365)
    hour_angle = 2 * math.pi * (day % 1 + longitude_deg / 360 - 0.5)
    latitude = math.radians(latitude_deg)
    return math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(
        hour_angle
    )


class Sun:
    """Available PV power, constant within each minute of UTC."""

    def __init__(self, peak_kw: float, latitude_deg: float, longitude_deg: float, seed: int) -> None:
        self._peak_mw = round(peak_kw * 1e6)
        self._latitude_deg = latitude_deg
        self._longitude_deg = longitude_deg
        self._seed = seed

    def _clearness(self, minute: int) -> float:
        """0.25 to 1, new every quarter hour and straight between."""
        quarter, into = divmod(minute, _QUARTERS)
        left, right = (
            0.25 + 0.75 * math.sqrt(random.Random(f"{self._seed}:{q}").random()) for q in (quarter, quarter + 1)
        )
        return left + (right - left) * into / _QUARTERS

    def power(self, at_ms: int) -> tuple[int, int]:
        """What could be generated, mW >= 0, and until when it holds."""
        minute = at_ms // MINUTE_MS
        sine = sun_height_sine(minute * MINUTE_MS, self._latitude_deg, self._longitude_deg)
        power_mw = round(self._peak_mw * sine * self._clearness(minute)) if sine > 0 else 0
        return power_mw, (minute + 1) * MINUTE_MS
