"""A safe-state drill: each link is cut in turn, and the time is taken until each device is seen in its safe state. Devices that are not seen to leave another state are not drilled.

```
meter         its readings are kept from the loop       -> each asset below at its share, batteries 0 kW
limit_source  its readings are kept from the loop       -> the branch at the fail-safe limit
cloud         the loop is told that it is gone, 120 s   -> batteries rest
gateway       nothing is written any more               -> each device back by its own timer
```
Before each cut batteries charge (a nearly full one discharges) at a fifth of their power and chargers take what they can. The links are cut here, not in the field: nobody unplugs anything.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.limits.loop import LimitLoop
from edge_agent.limits.measure import ASSET, METER, Newest
from edge_agent.limits.modes import CLOUD_LOST_MS, METER_LOST_MS
from edge_agent.limits.network import POWER, Line, Network
from edge_agent.limits.shares import safe_shares
from wire.block import Block
from wire.circuit import LimitSource
from wire.clock import Clock
from wire.drill import Row, Sheet, SheetUnusable, decoded
from wire.schedule import Schedule, Wish

log = logging.getLogger(__name__)

FILE: Final = "drill.json"  # the last sheet, in the agent's state
LINKS: Final = ("meter", "limit_source", "cloud", "gateway")
AFTER_S: Final = 2.0  # rule: the response time and so much more
OWN_TIMER_S: Final = 20.0  # by which devices overrun their own timers: 60 s were 80 s in the field
SETTLE_S: Final = 180.0  # how long devices may take to leave their safe state before a cut: what is left unused is given to others after a minute
STEADY_S: Final = 3.0
_STEP_S: Final = 1.0
_NEAR_RATIO: Final = 0.02


@dataclass(frozen=True, slots=True)
class Seen:
    """How one device of a cut is judged: `holds` says whether what is measured is the safe state."""

    line: Line
    safe: str
    within_s: float
    holds: Callable[[], bool]


class Drill:
    """One drill over a running loop. `look` is given every block, cut or not; `mute` stops and starts the writing of orders; `say` tells people how far it is.

    `sees_s`: how often each device's power is seen; `timer_s`: each device's own timer.
    """

    def __init__(
        self,
        loop: LimitLoop,
        clock: Clock,
        mute: Callable[[bool], None],
        sees_s: Mapping[str, float],
        timer_s: Mapping[str, float],
        say: Callable[[str], None],
    ) -> None:
        self._loop, self._clock, self._mute, self._say = loop, clock, mute, say
        self._sees_s, self._timer_s = sees_s, timer_s
        network = loop.network
        wanted = {line.asset.device: set(ASSET) for line in network.lines}
        for kept in network.kept:
            if kept.branch.meter:
                wanted.setdefault(kept.branch.meter, set()).update(METER)
        self._newest = Newest(wanted)
        self._number = clock()
        self._rows: list[Row] = []

    def look(self, block: Block) -> None:
        """What a device has said, whatever the loop is let know."""
        self._newest.look(block, self._clock())

    async def run(self, by: str = "", leave_out: frozenset[str] = frozenset()) -> Sheet:
        """Cuts every link that is not left out, and gives the sheet, not signed yet."""
        begun_ms = self._clock()
        self._loop.begin_drill()
        try:
            for link, name, seen in self._cuts(leave_out):
                await self._cut(link, name, seen)
        finally:
            self._loop.end_drill()
            self._mute(False)
        network = self._loop.network
        return Sheet(
            f"drill-{begun_ms}", network.circuit.facility, network.edge, network.circuit.sha256, begun_ms, self._clock(),
            self._rows, by,
        )  # fmt: skip

    # --- which links, and what shall follow

    def _cuts(self, leave_out: frozenset[str]) -> Iterator[tuple[str, str, list[Seen]]]:
        network = self._loop.network
        shares = safe_shares(network.circuit, self._clock())
        if "meter" not in leave_out:
            for place, kept in enumerate(network.kept):
                if kept.branch.meter:
                    lines = [line for line in network.lines if place in line.branches]
                    seen = [self._at_share(line, shares[line.asset.name]) for line in lines if _gives_way(line, shares)]
                    yield "meter", kept.branch.name, seen
        if "limit_source" not in leave_out:
            for name, source in self._loop.sources:
                yield "limit_source", name, self._at_fail_safe(source)
        if "cloud" not in leave_out:
            lines = [line for line in network.lines if line.asset.kind == "battery"]
            yield "cloud", "", [self._at_rest(line, CLOUD_LOST_MS / 1000, "0 kW: no plan") for line in lines]
        if "gateway" not in leave_out:
            yield "gateway", "", [self._by_itself(line) for line in network.lines]

    def _at_share(self, line: Line, share_kw: float) -> Seen:
        if line.asset.kind == "battery":
            return self._at_rest(line, METER_LOST_MS / 1000, "0 kW")
        if line.asset.kind == "pv":
            text, within = (
                f"at most {-share_kw:.3g} kW given",
                lambda: self._power_kw(line) >= share_kw - self._near_kw(line),
            )
        else:
            text, within = f"at most {share_kw:.3g} kW", lambda: self._power_kw(line) <= share_kw + self._near_kw(line)
        return Seen(line, text, METER_LOST_MS / 1000 + self._follows_s(line), within)

    def _at_rest(self, line: Line, after_s: float, text: str) -> Seen:
        return Seen(
            line, text, after_s + self._follows_s(line), lambda: abs(self._power_kw(line)) <= self._near_kw(line)
        )

    def _at_fail_safe(self, source: LimitSource) -> list[Seen]:
        """The branch's own meter shows it; every asset that can give way is drilled with it."""
        network = self._loop.network
        place = next(at for at, kept in enumerate(network.kept) if kept.branch.name == source.branch)
        lines = [line for line in network.lines if place in line.branches]
        slowest_s = max((self._follows_s(line) for line in lines), default=0.0)

        def holds() -> bool:
            channels = self._newest.channels(network.kept[place].branch)
            power_kw = 0.0 if channels is None else channels[POWER].real
            return (power_kw if source.direction == "import" else -power_kw) <= source.fail_safe_kw

        text = f"{source.branch}: at most {source.fail_safe_kw:g} kW {source.direction}"
        return [Seen(line, text, source.heartbeat_s + slowest_s, holds) for line in lines]

    def _by_itself(self, line: Line) -> Seen:
        own_s = self._timer_s.get(line.asset.device, 60.0) + OWN_TIMER_S + self._sees_s.get(line.asset.device, 1.0)
        order_kw = self._order_kw(line)

        def holds() -> bool:
            if line.asset.kind == "battery":
                return abs(self._power_kw(line)) <= self._near_kw(line)
            return abs(self._power_kw(line) - order_kw()) > self._near_kw(line) or self._released(line)

        return Seen(line, "its own fallback" if line.asset.kind != "battery" else "0 kW by its own timer", own_s, holds)

    def _order_kw(self, line: Line) -> Callable[[], float]:
        asset = self._loop.state.assets[self._loop.network.lines.index(line)]
        return lambda: asset.order_kw or 0.0

    def _released(self, line: Line) -> bool:
        """A charger without our profile takes its default: at most its share where it was set up so."""
        share_kw = safe_shares(self._loop.network.circuit, self._clock())[line.asset.name]
        return line.asset.kind == "charger" and self._power_kw(line) <= share_kw + self._near_kw(line)

    def _follows_s(self, line: Line) -> float:
        return line.response_ms / 1000 + AFTER_S + self._sees_s.get(line.asset.device, 1.0)

    def _power_kw(self, line: Line) -> float:
        return self._newest.value(line.asset.device, "active_power_kw") or 0.0

    @staticmethod
    def _near_kw(line: Line) -> float:
        return max(0.05, _NEAR_RATIO * line.rated_kw)

    # --- one cut

    async def _cut(self, link: str, name: str, seen: list[Seen]) -> None:
        """Cuts a link, and again for devices that found no room beside the others to leave their safe state."""
        told, left = f"{link} {name}".rstrip(), seen
        while left:
            self._say(f"{told}: devices leave their safe states")
            self._want({each.line.asset.name for each in left})
            still = await self._leave(left)
            moved = [each for each in left if each.line.asset.name not in still]
            if not moved:
                break
            self._say(f"{told}: cut")
            self._apply(link, name, cut=True)
            begun_ms, first = self._clock(), await self._watch(moved)
            for each in moved:
                self._tell(self._row(link, name, each, begun_ms, first.get(each.line.asset.name)))
            self._apply(link, name, cut=False)
            self._say(f"{told}: back")
            left = [each for each in left if each.line.asset.name in still]
        for each in left:
            asset, note = each.line.asset, "not seen in any other state: nothing was shown"
            self._tell(Row(link, name, asset.name, asset.device, each.safe, round(each.within_s, 1), None, False, note))

    def _tell(self, row: Row) -> None:
        self._rows.append(row)
        self._say(_line(row))

    async def _watch(self, seen: list[Seen]) -> dict[str, int]:
        """When each came to its safe state and stayed there, UTC ms."""
        begun_ms, first = self._clock(), dict[str, int]()
        longest_s = max(each.within_s for each in seen) + STEADY_S
        while self._clock() - begun_ms <= longest_s * 1000:
            await self._clock.sleep(_STEP_S)
            for each in seen:
                if each.holds():
                    first.setdefault(each.line.asset.name, self._clock())
                else:
                    first.pop(each.line.asset.name, None)
            if all(self._clock() - first.get(each.line.asset.name, 2**62) >= STEADY_S * 1000 for each in seen):
                break
        return first

    def _row(self, link: str, name: str, seen: Seen, begun_ms: int, first_ms: int | None) -> Row:
        asset = seen.line.asset
        took_s = None if first_ms is None else round((first_ms - begun_ms) / 1000, 1)
        note = "" if took_s is not None else f"not there after {seen.within_s:g} s: {self._power_kw(seen.line):.3g} kW"
        passed = took_s is not None and took_s <= seen.within_s
        return Row(link, name, asset.name, asset.device, seen.safe, round(seen.within_s, 1), took_s, passed, note)

    def _want(self, first: set[str]) -> None:
        """Wishes under which the safe state is not the state anyway: for those that come first; other chargers take their least."""
        now_ms, wishes = self._clock(), []
        for line in self._loop.network.lines:
            if line.asset.kind == "battery":
                full = (self._newest.value(line.asset.device, "state_of_charge_percent") or 0.0) > 90
                kw = line.low_kw / 5 if full else line.high_kw / 5
            else:
                kw = line.low_kw if line.asset.kind == "pv" else line.high_kw
                if line.asset.kind == "charger" and line.asset.name not in first:
                    kw = line.least_kw
            wishes.append(Wish(line.asset.name, kw, now_ms, now_ms + 3_600_000, "plan"))
        self._number = max(self._number + 1, now_ms)
        network = self._loop.network
        self._loop.take(
            Schedule(f"drill-{self._number}", "drill", self._number, now_ms, now_ms + 3_600_000, network.circuit.sha256, wishes)
        )  # fmt: skip

    async def _leave(self, seen: list[Seen]) -> frozenset[str]:
        """Waits until each device is out of what will be its safe state; gives the assets that never were."""
        begun_ms = self._clock()
        still = {each.line.asset.name for each in seen}
        while still and self._clock() - begun_ms < SETTLE_S * 1000:
            await self._clock.sleep(_STEP_S)
            still = {each.line.asset.name for each in seen if each.holds()}
        return frozenset(still)

    def _apply(self, link: str, name: str, *, cut: bool) -> None:
        if link == "cloud":
            self._loop.cloud_in_drill(not cut)
        elif link == "gateway":
            self._mute(cut)
        else:
            self._loop.keep_from(self._device(link, name), cut)

    def _device(self, link: str, name: str) -> str:
        if link == "meter":
            return next(kept.branch.meter for kept in self._loop.network.kept if kept.branch.name == name)
        return next(source.device for label, source in self._loop.sources if label == name)


def kept_responses_s(path: Path, network: Network) -> dict[str, float]:
    """How long assets took to follow in the drill kept at `path`, if it was held for this circuit; nothing where there is none.

    By the cut of a meter: what came after the 5 s in which it is missed. At least a second, at most a minute.
    """
    try:
        sheet = decoded(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, SheetUnusable) as error:
        log.warning("drill sheet left aside file=%s reason=%s", path, error)
        return {}
    if (sheet.circuit, sheet.edge) != (network.circuit.sha256, network.edge):
        return {}
    found: dict[str, float] = {}
    for row in sheet.rows:
        if row.link == "meter" and row.took_s is not None:
            response_s = min(60.0, max(1.0, row.took_s - METER_LOST_MS / 1000))
            found[row.asset] = max(response_s, found.get(row.asset, 0.0))
    return found


def _gives_way(line: Line, shares: Mapping[str, float]) -> bool:
    """Whether the safe state without a meter takes anything away from a line at all."""
    share_kw = shares[line.asset.name]
    return line.asset.kind == "battery" or (
        share_kw > line.low_kw if line.asset.kind == "pv" else share_kw < line.high_kw
    )


def _line(row: Row) -> str:
    """A row for people."""
    took = "not reached" if row.took_s is None else f"{row.took_s:g} s"
    verdict = "passed" if row.passed else "FAILED"
    what = f"{row.link} {row.name}".rstrip()
    return f"{verdict}  {what}  {row.asset} ({row.device}): {row.safe}: {took} of {row.within_s:g} s{'; ' + row.note if row.note else ''}"
