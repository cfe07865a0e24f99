"""What a wind turbine gives: seeded wind speeds and the turbine's power curve. Not what the grid takes."""

import math
import random
from typing import Final

from device_sim.profile import MINUTE_MS

_HOUR: Final = 60


class Wind:
    """Available wind power, constant within each minute of UTC.

    Hourly mean speeds are drawn from a Rayleigh distribution (the one that IEC 61400-12-1 takes for the yearly energy) around `mean_m_per_s`,
    straight between the hours, with gusts of up to a tenth each minute. Power rises with the cube of the speed
    from cut-in to rated speed, is flat up to cut-out and nothing above.
    """

    def __init__(
        self,
        rated_kw: float,
        mean_m_per_s: float,
        cut_in_m_per_s: float,
        rated_m_per_s: float,
        cut_out_m_per_s: float,
        seed: int,
    ) -> None:
        self._rated_mw = round(rated_kw * 1e6)
        self._scale = 2 * mean_m_per_s / math.sqrt(math.pi)  # mean of a Rayleigh distribution = scale x sqrt(pi) / 2
        self._cut_in = round(cut_in_m_per_s * 1000)
        self._rated = round(rated_m_per_s * 1000)
        self._cut_out = round(cut_out_m_per_s * 1000)
        self._seed = seed

    def speed_mm_per_s(self, at_ms: int) -> int:
        """Wind speed at hub height in the minute of an instant, mm/s."""
        minute = at_ms // MINUTE_MS
        hour, into = divmod(minute, _HOUR)
        left, right = (self._scale * math.sqrt(-math.log(1.0 - self._draw("hour", h))) for h in (hour, hour + 1))
        gust = 0.9 + 0.2 * self._draw("minute", minute)
        return round(1000 * (left + (right - left) * into / _HOUR) * gust)

    def power(self, at_ms: int) -> tuple[int, int]:
        """What could be generated, mW >= 0, and until when it holds."""
        speed, ends = self.speed_mm_per_s(at_ms), (at_ms // MINUTE_MS + 1) * MINUTE_MS
        if not self._cut_in <= speed < self._cut_out:
            return 0, ends
        if speed >= self._rated:
            return self._rated_mw, ends
        cube = self._cut_in**3
        return self._rated_mw * (speed**3 - cube) // (self._rated**3 - cube), ends

    def _draw(self, what: str, index: int) -> float:
        return random.Random(f"wind:{self._seed}:{what}:{index}").random()
