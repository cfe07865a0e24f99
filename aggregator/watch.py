"""What is watched for on the live state: silent devices and edges, meters that do not add up, a missing factor. Not the alarms' states (`aggregator.alarms`)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aggregator.alarms import Alarms
from aggregator.live import EdgeState, LiveState

RESIDUAL_RATIO: Final = 0.02  # of what flows; below it the meters' own accuracy explains the difference
RESIDUAL_FOR_MS: Final = 30_000  # meters are read one after another: a ramp alone gives a residual for seconds
RESIDUAL_LEAST_KW: Final = 0.5
START_MS: Final = 60_000  # devices may be silent for so long after the start of the aggregator


class Watch:
    """Raises and clears alarms from the live state of `facilities`; `edges` gives the present state of a facility's edges."""

    def __init__(
        self,
        facilities: Sequence[str],
        live: LiveState,
        alarms: Alarms,
        clock: Callable[[], int],
        *,
        speed: float = 1.0,
        edges: Callable[[str], Mapping[str, EdgeState]] = lambda _: {},
    ) -> None:
        self._facilities = facilities
        self._live = live
        self._alarms = alarms
        self._clock = clock
        self._speed = speed
        self._edges = edges
        self._started_at_ms = clock()
        self._apart_since_ms: dict[str, int] = {}

    async def run(self, every_s: float = 1.0) -> None:
        """Looks every `every_s` real seconds until cancelled."""
        while True:
            for facility in self._facilities:
                self.look(facility)
            await asyncio.sleep(every_s)

    def look(self, facility: str) -> None:
        """One look at one facility."""
        for edge, state in self._edges(facility).items():
            self._live.edge(facility, edge, state)
        settled = self._clock() - self._started_at_ms > START_MS * self._speed
        edges = self._live.edges(facility)
        for edge, state in edges.items():
            if state.online is not None or settled:
                self._alarms.set(not state.online, facility, "edge_offline", edge)
        for (edge, device), word in self._live.device_states(facility).items():
            # A silent edge is one alarm, not one for each device behind it.
            if edges[edge].online is False or (edge in edges and edges[edge].online is None and word == "offline"):
                self._alarms.clear(facility, "device_offline", device)
            elif word == "online" or settled:
                self._alarms.set(word == "offline", facility, "device_offline", device, edge)
        self._alarms.set(self._live.lacks_factor(facility), facility, "factor_missing", facility)
        self._look_at_balance(facility)

    def _look_at_balance(self, facility: str) -> None:
        balance = self._live.balance(facility)
        now_ms = self._clock()
        if balance is None or abs(balance[0]) <= max(RESIDUAL_LEAST_KW, RESIDUAL_RATIO * balance[1]):
            self._apart_since_ms.pop(facility, None)
            self._alarms.clear(facility, "residual", facility)
        elif now_ms - self._apart_since_ms.setdefault(facility, now_ms) >= RESIDUAL_FOR_MS * self._speed:
            self._alarms.raise_alarm(facility, "residual", facility, f"{balance[0]:.1f}", f"{balance[1]:.1f}")
