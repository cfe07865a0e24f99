"""Whether a device may be asked: it is left alone after a silence, for longer and longer, and then asked once. Not who asks.

Instants are seconds of the event loop's clock; delays run on the injected clock.
"""

import random
from typing import Final

from wire.clock import Clock

BACK_OFF_FIRST_S: Final = 2.0  # 2 s to 5 min: what OpenEMS settled on for defective bus members
BACK_OFF_LAST_S: Final = 300.0
BACK_OFF_ALONE_S: Final = 30.0  # where nobody else waits for the bus, a probe costs nothing
_JITTER: Final = 0.25


class Breaker:
    """Whether a device may be asked. Open after a silence, half open for one probe when its time has come."""

    __slots__ = ("_delay_s", "_jitter", "_longest_s", "bus_down", "open", "probe_at")

    def __init__(self, jitter: random.Random, longest_s: float) -> None:
        self._jitter = jitter
        self._longest_s = longest_s
        self.close()

    def close(self) -> None:
        self.open = False
        self.bus_down = False  # opened because nobody on the bus could be reached
        self._delay_s = BACK_OFF_FIRST_S
        self.probe_at = 0.0

    def trip(self, now_s: float, clock: Clock, spent_s: float) -> None:
        """Opens, or opens again for twice as long. `spent_s` (real) is what the silence has cost the bus.

        The real wait is at least twice that, so that a dead device takes no more than a third of the bus however fast the clock runs.
        """
        wait_s = clock.real_s(self._delay_s * (1 + _JITTER * (2 * self._jitter.random() - 1)))
        self.probe_at = now_s + max(wait_s, 2 * spent_s)
        self._delay_s = min(2 * self._delay_s, self._longest_s)
        self.open = True

    def follow(self, other: "Breaker") -> None:
        """Opens like `other`, so that one probe is enough for a bus that is down."""
        self.open, self.bus_down, self.probe_at, self._delay_s = True, True, other.probe_at, other._delay_s

    def probe_now(self) -> None:
        """Lets the next poll through: another device of the same bus has answered."""
        self.probe_at = 0.0
