"""Energy that a facility imported since an instant, from its main meters' newest counter values. An estimate until the interval is settled."""

from collections import deque
from typing import Final

_STEP_MS: Final = 5_000  # spacing of the values that are kept
_KEPT: Final = 4_096  # 5.7 hours of them: an interval is settled long before


class ImportMeter:
    """The sum of a facility's import counters over the last hours, as this process has seen it."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, float]] = deque(maxlen=_KEPT)

    def seen(self, at_ms: int, total_kwh: float) -> None:
        """The counters stand at `total_kwh` together. A sum that falls begins anew: the ledger will say what happened."""
        if self._kept and total_kwh < self._kept[-1][1]:
            self._kept.clear()
        if self._kept and at_ms <= self._kept[-1][0]:
            return
        # The newest value always stands last; the one before it stays only when it is a step away from its predecessor.
        if len(self._kept) > 1 and self._kept[-1][0] < self._kept[-2][0] + _STEP_MS:
            self._kept.pop()
        self._kept.append((at_ms, total_kwh))

    def since(self, from_ms: int) -> float | None:
        """kWh imported from `from_ms` (interpolated) to the newest value; None before anything was seen.

        Where nothing older than `from_ms` was seen, it is the energy since the first value.
        """
        while len(self._kept) > 1 and self._kept[1][0] <= from_ms:
            self._kept.popleft()
        if not self._kept:
            return None
        (start_ms, start_kwh), (_, end_kwh) = self._kept[0], self._kept[-1]
        if start_ms < from_ms:
            if len(self._kept) == 1:
                return 0.0
            next_ms, next_kwh = self._kept[1]
            start_kwh += (next_kwh - start_kwh) * (from_ms - start_ms) / (next_ms - start_ms)
        return end_kwh - start_kwh
