"""An event as it is on record, its states and which may follow which. Not where it is kept (see `record`), nor who moves it on (see `conduct`).

```
received --> accepted --> dispatched --> ended --> settled (again, when intervals were restated)
   |  \\          |  \\________ | _______/ ^   \\-> unsettled (no baseline, or the meter lacks it)
   |   declined  |            |          |
   +-- cancelled-+-- opted_out+----------+       a modification before the begin goes back to received
```
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from aggregator.flexibility.baseline import Rules
from aggregator.flexibility.settlement import Terms

State = Literal[
    "received", "accepted", "declined", "dispatched", "opted_out", "cancelled", "ended", "settled", "unsettled"
]
MAY_FOLLOW: Final[dict[str, tuple[str, ...]]] = {
    "received": ("received", "accepted", "declined", "cancelled"),
    "accepted": ("received", "dispatched", "opted_out", "cancelled", "ended"),
    "declined": ("received",),
    "dispatched": ("received", "dispatched", "opted_out", "cancelled", "ended"),
    "opted_out": ("ended",),
    "cancelled": (),
    "ended": ("settled", "unsettled"),
    "settled": ("settled",),
    "unsettled": ("settled",),
}
STANDS: Final = ("accepted", "dispatched")  # a plan is to deliver it
OVER: Final = ("declined", "cancelled", "unsettled")
LONGEST_MS: Final = 24 * 3_600_000


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an event asks. Net import `target_kw` below (down) or above (up) the baseline over [from_ms, to_ms), measured at `meters` together.

    `source` and `external_id` name it where it came from ("operator", "http", "command", later a programme's server); `priority` 0 is the highest. Rules, terms and
    holidays are in full, so that settings which change later change nothing of it.
    """

    facility: str
    time_zone: str
    interval_s: int
    source: str
    external_id: str
    priority: int
    direction: Literal["down", "up"]
    from_ms: int
    to_ms: int
    target_kw: float
    deadline_ms: int
    meters: list[str]
    rules: Rules
    holidays: list[str]
    terms: Terms
    currency: str
    note: str
    by: str

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def interval_ms(self) -> int:
        return self.interval_s * 1000

    @property
    def hours(self) -> float:
        """How long it is."""
        return (self.to_ms - self.from_ms) / 3_600_000

    def encoded(self) -> bytes:
        """Its one spelling."""
        return msgspec.json.encode(self, order="deterministic")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.encoded()).hexdigest()


@dataclass(frozen=True, slots=True)
class Step:
    """A state that an event came to; `detail` is JSON of what goes with it."""

    seq: int
    version: int
    state: str
    by: str
    reason: str
    at_ms: int
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DemandResponse:
    """An event with all its steps; `said` is its last version."""

    no: int
    version: int
    said: Said
    received_at_ms: int
    steps: tuple[Step, ...]

    @property
    def id(self) -> str:
        return f"DR-{self.no}"

    @property
    def state(self) -> str:
        return self.steps[-1].state

    @property
    def until_ms(self) -> int:
        """Until when it is to be delivered: its end, or the opt-out's or the cancellation's instant."""
        left = self.last("opted_out") or self.last("cancelled")
        return self.said.to_ms if left is None else min(self.said.to_ms, max(left.detail.get("from_ms", left.at_ms), 0))

    @property
    def opt_out(self) -> str:
        """whole, from (an instant of it on), part (an override broke some of it), or ""."""
        left = self.last("opted_out")
        if left is not None:
            return "whole" if self.until_ms <= self.said.from_ms else "from"
        return "part" if any("override" in step.detail for step in self.steps if step.version == self.version) else ""

    def last(self, state: str) -> Step | None:
        """The last step of this version to a state."""
        return next(
            (step for step in reversed(self.steps) if step.state == state and step.version == self.version), None
        )


@dataclass(frozen=True, slots=True)
class Firm:
    """The kW that can be given throughout an event, as offered at `at_ms`; `low_kw` where forecasts turn out badly, None where nobody knows."""

    kw: float
    low_kw: float | None
    at_ms: int
    plan: str = ""
