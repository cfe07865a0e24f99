"""One device in the task of its bus: when it is due, how it is doing, what was stamped last. Not the polling (see `edge_agent.bus_task`).

due ------> breaker closed? --yes--> read --answered--> blocks to the sink, next due = next point of the device's grid
 ^               |no                  |silent
 |               v                    v
 +---- wait until probe <---- breaker opens: 2 s, 4 s, ... 5 min, with jitter; `device_lost` once, `device_back` once
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Final

from edge_agent.breaker import Breaker
from edge_agent.drivers.declared import Device
from edge_agent.drivers.driver import DevicePlan
from wire.block import Block
from wire.clock import Clock
from wire.reading import REASON_CODES, Quality

_BOUNDARY_WINDOW_MS: Final = (
    1000  # a counter read within 1 s of a boundary is the boundary's value; later it still narrows the gap
)
_LIFT_MS: Final = 1000  # an instant moved further than this to keep the order is marked uncertain
_CLOCK: Final = (int(Quality.UNCERTAIN), REASON_CODES["clock"])


@dataclass(slots=True)
class DeviceState:
    """How a device is doing, for the status. Instants in UTC ms, `lateness_ms` in simulated ms behind the grid."""

    device: str
    bus: str
    listens: bool = False  # it speaks when it has something to say
    online: bool | None = None  # None: not asked yet
    since_ms: int = 0
    reason: str = ""
    polls: int = 0
    skipped: int = 0  # polls that fell away because the bus was busy or the breaker open
    left_out: int = 0  # requests for which a poll's deadline left no time
    lateness_ms: float = 0.0
    lateness_max_ms: float = 0.0
    last_answer_ms: int = 0
    blocks: int = 0
    faults: dict[str, int] = field(default_factory=dict)  # by class of error


class Polled:
    """One device in its bus task: when it is due, whether it may be asked, what was stamped last."""

    __slots__ = ("_last_ms", "boundaries", "boundary_ms", "breaker", "device", "due_s", "period_s", "plan", "state")

    def __init__(
        self, device: Device, plan: DevicePlan, state: DeviceState, due_s: float, period_s: float, breaker: Breaker
    ) -> None:
        self.device = device
        self.plan = plan
        self.state = state
        self.due_s = due_s
        self.period_s = period_s
        self.boundaries = device.boundary_poll and plan.has_counters
        self.boundary_ms = 0
        self.breaker = breaker
        self._last_ms: dict[tuple[str, ...], int] = {}

    def next_due(self, now_s: float) -> None:
        """Moves on to the next point of the grid after `now_s`; points that have passed are skipped and counted."""
        passed = int((now_s - self.due_s) / self.period_s)
        if passed > 0:
            self.state.skipped += passed
        self.due_s += (passed + 1) * self.period_s

    def in_order(self, block: Block) -> Block:
        """`block`, moved behind the last one of its quantities where the wall clock has stepped back or the two fell into one ms."""
        at_ms, last_ms = block.at_ms[0], self._last_ms.get(block.shape.quantities, -1)
        if at_ms <= last_ms:
            lift_ms, at_ms = last_ms + 1 - at_ms, last_ms + 1
            quality = block.quality or ((0, 0),) * len(block.columns)
            if lift_ms > _LIFT_MS:
                quality = tuple(pair if pair[0] else _CLOCK for pair in quality)
            block = dataclasses.replace(
                block, at_ms=(at_ms,), quality=quality if any(pair[0] for pair in quality) else ()
            )
        self._last_ms[block.shape.quantities] = at_ms
        return block

    def first_boundary(self, now_ms: int) -> None:
        """Waits for the next boundary."""
        length_ms = self.device.boundary_s * 1000
        self.boundary_ms = (now_ms // length_ms + 1) * length_ms

    def boundary_polled(self) -> None:
        """The extra poll of this boundary is being made."""
        self.boundary_ms += self.device.boundary_s * 1000

    def next_poll(self, now_s: float, now_ms: int, clock: Clock, *, listens: bool) -> tuple[float, bool]:
        """When the device is polled next (loop time), and whether that is its extra poll of counters after a boundary."""
        due, boundary_at = self.due_s, float("inf")
        if self.boundaries and not listens:
            boundary_at = now_s + clock.real_s((self._boundary(now_ms) - now_ms) / 1000)
        if self.breaker.open:
            due = max(due, self.breaker.probe_at)
            boundary_at = max(boundary_at, self.breaker.probe_at)
        return min(due, boundary_at), boundary_at < due

    def _boundary(self, now_ms: int) -> int:
        """The boundary that the device's next extra poll belongs to, UTC ms. One that the ordinary polls have overtaken is given up."""
        length_ms = self.device.boundary_s * 1000
        window_ms = max(_BOUNDARY_WINDOW_MS, self.device.period_s * 1000)
        if now_ms > self.boundary_ms + window_ms or self.boundary_ms - now_ms > length_ms:
            self.first_boundary(now_ms)
        return self.boundary_ms
