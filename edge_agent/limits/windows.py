"""Demand windows: what a branch may take now so that the mean of the window can still be kept. Not the limits of an instant."""

from typing import Final

LEAST_REST_S: Final = 30.0  # what is left of a window counts as at least this: its last seconds shall not swing


class Windows:
    """The energy of each running window by (branch, seconds, direction). Powers are those of the direction, not below 0 where nothing flows that way."""

    def __init__(self) -> None:
        self._running: dict[tuple[int, int, str], tuple[int, float, int]] = {}  # start, kWs, up to

    def allowed_kw(self, key: tuple[int, int, str], mean_kw: float, power_kw: float, now_ms: int) -> float:
        """What may flow from now to the window's end for its mean to be `mean_kw`; never below 0. What flowed before the first look counts as flowing now."""
        length_ms = key[1] * 1000
        start_ms = now_ms - now_ms % length_ms
        running = self._running.get(key)
        if running is None or running[0] != start_ms:
            running = (start_ms, power_kw * (now_ms - start_ms) / 1000, now_ms)
        else:
            running = (start_ms, running[1] + power_kw * max(0, now_ms - running[2]) / 1000, max(now_ms, running[2]))
        self._running[key] = running
        rest_s = max(LEAST_REST_S, (start_ms + length_ms - now_ms) / 1000)
        return max(0.0, (mean_kw * key[1] - running[1]) / rest_s)

    def keep(self, keys: set[tuple[int, int, str]]) -> None:
        """Forgets the others."""
        for key in self._running.keys() - keys:
            del self._running[key]
