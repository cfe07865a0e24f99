"""How long and by how much a branch was above a limit by its meter: what rule 31 is judged by. Cuts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.limits.bounds import Bound, excess
from edge_agent.limits.network import PHASE_V, POWER
from wire.reading import Event, Json

KIND: Final = "limit_exceeded"
TOLD_AFTER_MS: Final = 10_000  # while it lasts
SHORTEST_MS: Final = 2_000  # what is over sooner is not told
_NAMES: Final = ("l1", "l2", "l3", "neutral", "power")


@dataclass(slots=True)
class _Running:
    begun_ms: int
    last_ms: int
    bound: str
    worst_ratio: float = 1.0
    over_kwh: float = 0.0
    told: bool = False


class Exceeded:
    """Told what each branch's meter shows, gives the events: `begun` where it lasts longer than 10 s, `ended` with time and energy above."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def look(
        self, branch: str, bounds: Sequence[Bound], channels: Sequence[complex] | None, now_ms: int
    ) -> Event | None:
        """One branch's round. `channels` None: its meter is lost, and so is what it would have shown."""
        worst, over_kw, name = _worst(bounds, channels) if channels is not None else (1.0, 0.0, "")
        running = self._running.get(branch)
        if worst <= 1.0:
            if running is None:
                return None
            del self._running[branch]
            lasted_ms = now_ms - running.begun_ms
            return _event(branch, "ended", running, now_ms) if lasted_ms > SHORTEST_MS else None
        if running is None:
            running = self._running[branch] = _Running(now_ms, now_ms, name)
        running.over_kwh += over_kw * max(0, now_ms - running.last_ms) / 3_600_000
        running.last_ms = now_ms
        if worst > running.worst_ratio:
            running.worst_ratio, running.bound = worst, name
        if running.told or now_ms - running.begun_ms <= TOLD_AFTER_MS:
            return None
        running.told = True
        return _event(branch, "begun", running, now_ms)


def _worst(bounds: Sequence[Bound], channels: Sequence[complex]) -> tuple[float, float, str]:
    """The largest part of a bound that flows, what lies above it in kW, and the bound's name."""
    worst, over_kw, name = 1.0, 0.0, ""
    for bound in bounds:
        above = excess(bound, channels, 1.0)
        if above > 1e-9:
            ratio = 1 + above / max(bound.bound, 1e-3)
            if ratio > worst:
                worst, over_kw = ratio, above if bound.channel == POWER else above * PHASE_V / 1000
                name = f"{bound.kind}_{_NAMES[bound.channel]}"
    return worst, over_kw, name


def _event(branch: str, phase: str, running: _Running, now_ms: int) -> Event:
    body: dict[str, Json] = {
        "phase": phase,
        "branch": branch,
        "bound": running.bound,
        "begun_at_ms": running.begun_ms,
        "duration_s": (now_ms - running.begun_ms) / 1000,
        "worst_ratio": round(min(running.worst_ratio, 1e6), 4),
        "over_kwh": round(running.over_kwh, 6),
    }
    return Event(f"{KIND}-{branch}-{running.begun_ms}-{phase}", now_ms, "", KIND, body)
