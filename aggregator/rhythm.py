"""When a device counts as late or offline, judged by the rhythm in which it has been heard. Not why it is silent."""

from dataclasses import dataclass
from typing import Final

LATE_PERIODS: Final = 3
OFFLINE_PERIODS: Final = 10
LATE_MS: Final = 5_000  # a flush, a commit and a tick take up to 3 s
OFFLINE_MS: Final = 30_000


@dataclass(slots=True)
class Rhythm:
    """The period of one device, learnt from the instants of its readings."""

    last_ms: int
    period_ms: float = 0.0

    def heard(self, at_ms: int) -> None:
        """A reading of this instant is the newest one now."""
        if at_ms <= self.last_ms:
            return
        step_ms = float(at_ms - self.last_ms)
        # One outage must not teach a long period: a step counts for at most four times what is known.
        self.period_ms = 0.8 * self.period_ms + 0.2 * min(step_ms, 4 * self.period_ms) if self.period_ms else step_ms
        self.last_ms = at_ms

    def state(self, now_ms: int, speed: float, told_ms: float = 0.0) -> str:
        """online, late or offline. `speed`: how many ms of `now_ms` pass in a real one (delivery takes real time); `told_ms`: the period with
        which its edge says that it is asked, which holds until a rhythm is known (0: it does not say)."""
        age_ms, period_ms = now_ms - self.last_ms, self.period_ms or told_ms
        if age_ms > max(OFFLINE_PERIODS * period_ms, OFFLINE_MS * speed):
            return "offline"
        return "late" if age_ms > max(LATE_PERIODS * period_ms, LATE_MS * speed) else "online"
