"""What holds when something is lost: the states of edge, branch, limit source and asset, as one small function of facts. Pure.

| of | state | when |
|---|---|---|
| edge | plan | a schedule that is valid, at most 15 min old, and broker and aggregator not away for longer than 120 s |
|  | local | else: limits, and vehicles by their departure |
|  | safe | a round could not be worked out: everything at its share (said by the loop itself) |
| branch | kept | its meter has spoken within 5 s |
|  | safe | else, or it shows the same although its assets have changed: each asset at its share |
| limit_source | stated | a limit of 0 or more has been read within its heartbeat |
|  | fail_safe | else, for as long as it is away |
| asset | steered | its device answers |
|  | lost | else: what it takes by itself stays reserved |
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

SCHEDULE_OLD_MS: Final = 900_000
CLOUD_LOST_MS: Final = 120_000
METER_LOST_MS: Final = 5_000


@dataclass(slots=True)
class Facts:
    """What the states follow from, at `now_ms`. None: not at all. `metered`: branch -> the meter's last word; `stated`: source -> (its last limit's instant, its heartbeat)."""

    now_ms: int
    schedule_issued_ms: int | None = None
    schedule_until_ms: int | None = None
    cloud_lost_ms: int | None = None
    metered: Mapping[str, int] = field(default_factory=dict)
    stated: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)  # asset -> why it is lost
    meter_lost_ms: int = METER_LOST_MS  # on a clock that runs faster, no less than a quarter of a real second
    frozen: Collection[str] = ()  # branches whose meters show the same whatever happens


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one thing, and why it is not the better one."""

    of: str
    name: str
    state: str
    reason: str = ""


def edge_state(facts: Facts) -> Standing:
    """Whether the plan is followed."""
    now_ms, issued_ms, until_ms = facts.now_ms, facts.schedule_issued_ms, facts.schedule_until_ms
    reason = ""
    if issued_ms is None or until_ms is None:
        reason = "there is no schedule"
    elif now_ms >= until_ms:
        reason = "the schedule is over"
    elif now_ms - issued_ms > SCHEDULE_OLD_MS:
        reason = f"the schedule is older than {SCHEDULE_OLD_MS // 60_000} min"
    elif facts.cloud_lost_ms is not None and now_ms - facts.cloud_lost_ms > CLOUD_LOST_MS:
        reason = f"broker or aggregator away for more than {CLOUD_LOST_MS // 1000} s"
    return Standing("edge", "", "local" if reason else "plan", reason)


def states(facts: Facts) -> Iterator[Standing]:
    """The state of everything."""
    yield edge_state(facts)
    for name, at_ms in facts.metered.items():
        reason = "its meter shows the same although its assets have changed" if name in facts.frozen else ""
        if facts.now_ms - at_ms > facts.meter_lost_ms:
            reason = f"no reading of its meter for more than {facts.meter_lost_ms // 1000} s"
        yield Standing("branch", name, "safe" if reason else "kept", reason)
    for name, (at_ms, heartbeat_s) in facts.stated.items():
        away = facts.now_ms - at_ms > heartbeat_s * 1000
        reason = f"no limit stated for more than {heartbeat_s:g} s" if away else ""
        yield Standing("limit_source", name, "fail_safe" if away else "stated", reason)
    for name, why in facts.lost.items():
        yield Standing("asset", name, "lost" if why else "steered", why)
