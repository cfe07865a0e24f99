"""One round: from what is wanted, drawn and ordered to the orders that keep every branch. Pure: it reads the state and changes nothing of it (`carry_out` does).

```
channel of a branch with everything as ordered = meter - what its assets draw + what they are ordered
  draw: as ordered once a response time has passed, but for a charger that takes less; before that as measured: an order that is not yet seen counts once
1  down to what is wanted at once, up by at most 5 %/s after 10 s of calm     (a charger in steps of 1 A, never between 0 and its least)
2  over 98 % less noise: no raise, then what nobody uses, batteries off charging, chargers to their least, batteries discharge, chargers off
3  batteries carry what the meter still shows above it until the others have followed
```
Among chargers the one that can wait longest gives way first and comes back last; to save money none gives way that can wait no longer. What is ordered counts in full,
drawn or not: a vehicle may take it up at any time. Where there is no vehicle, or a full one, the least power does not count, and nothing above it is ordered.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from edge_agent.limits.bounds import TINY, Bound, step_kw
from edge_agent.limits.flows import IDLE_A, PAUSES_MOST, Flows
from edge_agent.limits.network import POWER, Network
from edge_agent.limits.pending import note_told
from edge_agent.limits.state import State

DEAD_BAND_RATIO: Final = 0.01
DISPLACE_H: Final = 0.5  # who can wait so much longer makes room
URGENT_H: Final = 0.25  # who cannot wait for longer does not wait to save money


@dataclass(slots=True)
class Decision:
    """`orders`: (line, kW) of each that changes. `cut`: kept branches for which something gave way; `over`: those where nothing more could, by how much of the bound."""

    orders: list[tuple[int, float]] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    over: dict[int, float] = field(default_factory=dict)
    short: bool = False


def decide(network: Network, bounds: Sequence[Sequence[Bound]], state: State, now_ms: int) -> Decision:
    """The orders of this round. `bounds`: per kept branch those of its description; those of the moment are in the state."""
    return _Round(network, bounds, state, now_ms).decided()


def carry_out(network: Network, state: State, decision: Decision, now_ms: int) -> None:
    """The state after a decision whose orders have been given."""
    for index, order_kw in decision.orders:
        asset, line = state.assets[index], network.lines[index]
        before_kw = asset.order_kw
        if line.asset.kind == "charger" and order_kw == 0 and before_kw is not None and before_kw > 0:
            asset.off_ms = now_ms
            asset.pauses += 1
        asset.order_kw, asset.ordered_ms = order_kw, now_ms
    for place in decision.cut:
        state.branches[place].over_ms = now_ms
    state.short = decision.short
    note_told(network, state, now_ms)


class _Round(Flows):
    """One round's working: who gives way, in which order, and what of it is told."""

    def __init__(self, network: Network, bounds: Sequence[Sequence[Bound]], state: State, now_ms: int) -> None:
        super().__init__(network, bounds, state, now_ms)
        self.cut: set[int] = set()
        self.denied: set[int] = set()  # lines whose raise had no room

    def decided(self) -> Decision:
        if any(self._is_over(place, self.ratio[place] - DEAD_BAND_RATIO) for place in self.live):
            self._no_raises()
            self._make_room()
            for place in self.live:
                self._relieve(place)
        self._trim()
        decision = Decision(cut=sorted(self.cut), short=bool(self.denied))
        for index, x in enumerate(self.x):
            order_kw = self._rounded(index, x)
            if self._is_news(index, order_kw):
                decision.orders.append((index, order_kw))
        for place in self.live:
            over = max(
                (self._excess(place, bound, 1.0) / max(bound.bound, 1.0) for bound in self.bounds[place]), default=0.0
            )
            if over > TINY:
                decision.over[place] = over
        return decision

    # --- giving way

    def _no_raises(self) -> None:
        """Takes back raises for which there is no room, with a dead-band to spare, least urgent first.

        Room is what others have been seen to give up, and a battery that helps out comes back to 0 before anybody is raised.
        """
        raised = [index for index in range(len(self.x)) if self._is_raise(index)]
        helping = [
            (index, min(self.assets[index].target_kw, 0.0) - self.x[index])
            for index, line in enumerate(self.lines)
            if line.asset.kind == "battery" and self.assets[index].online
        ]
        helping = [(index, back_kw) for index, back_kw in helping if back_kw > TINY]
        helping += self._not_seen_yet()
        for index, back_kw in helping:
            self._shift(index, back_kw)
        self._take_back([index for index in raised if self.lines[index].asset.kind != "battery"])
        for index, back_kw in helping:
            self._shift(index, -back_kw)
        self._take_back(raised)

    def _take_back(self, raised: list[int]) -> None:
        raised = sorted(raised, key=self._waits_longest)
        for place in self.live:
            ratio = self.ratio[place] - DEAD_BAND_RATIO
            for bound in self.bounds[place]:
                for index in raised:
                    towards = -1 if self.x[index] > self.before[index] else 1
                    if self._give_way(place, bound, index, towards, self.before[index], ratio):
                        self.denied.add(index)

    def _make_room(self) -> None:
        """For a battery that has helped out long enough, and for a vehicle that can wait less than others: those go down, not below their least."""
        batteries = [index for index in self.denied if self.lines[index].asset.kind == "battery" and self.x[index] < 0]
        for index in batteries:
            self._displace(index, min(self.assets[index].target_kw, 0.0) - self.x[index], math.inf)
        urgent = [index for index in self.denied if self.assets[index].laxity_h < math.inf]
        for index in sorted(urgent, key=self._waits_longest, reverse=True):
            asset = self.assets[index]
            self._displace(index, min(asset.target_kw, asset.high_kw) - self.x[index], asset.laxity_h + DISPLACE_H)

    def _displace(self, index: int, wants_kw: float, laxity_h: float) -> None:
        """Lowers those that can wait for longer than `laxity_h` (inf: all) until there is room for a line to have so much more."""
        if wants_kw <= TINY:
            return
        self._shift(index, wants_kw)
        others = [
            other
            for other in sorted(range(len(self.lines)), key=self._waits_longest)
            if self.lines[other].asset.kind in ("charger", "load")
            and self.assets[other].online
            and other != index
            and (laxity_h == math.inf or self.assets[other].laxity_h > laxity_h)
        ]
        for place in self.live:
            for bound in self.bounds[place] if place in self.lines[index].branches else ():
                for other in others:
                    least_kw = self.lines[other].least_kw
                    self._give_way(place, bound, other, -1, least_kw, self.ratio[place] - DEAD_BAND_RATIO)
        self._shift(index, -wants_kw)

    def _is_raise(self, index: int) -> bool:
        before, x = self.before[index], self.x[index]
        return x < before - TINY if self.lines[index].asset.kind == "pv" else x > before + TINY

    def _relieve(self, place: int) -> None:
        ratio = self.ratio[place]
        for bound in self.bounds[place]:
            if self._excess(place, bound, ratio) <= TINY:
                continue
            exporting = self._seen_by(bound, place)[POWER].real < 0
            ways = ((1, self._up()), (-1, self._down())) if exporting else ((-1, self._down()), (1, self._up()))
            for towards, steps in ways if bound.kind == "unbalance" or bound.channel != POWER else ways[:1]:
                for index, to_kw in steps:
                    if self._excess(place, bound, ratio) <= TINY:
                        break
                    if self._give_way(place, bound, index, towards, to_kw, ratio):
                        self.cut.add(place)

    def _give_way(self, place: int, bound: Bound, index: int, towards: int, to_kw: float, bound_ratio: float) -> bool:
        """Moves a line towards `to_kw` as far as the bound needs; False where it does not help or need not."""
        if place not in self.lines[index].branches:
            return False
        if self._takes_nothing(index) or (bound.money and towards < 0 and self.assets[index].laxity_h <= URGENT_H):
            return False
        line, x = self.lines[index], self.x[index]
        if line.asset.kind == "pv" and towards > 0:
            x = max(x, self.drawn[index])  # a cap above what it gives holds nothing back
        room_kw = (to_kw - x) * towards
        if room_kw <= TINY:
            return False
        per_kw = self.network.kept[place].per_kw[index]
        need_kw = step_kw(bound, self._seen_by(bound, place), per_kw, towards, bound_ratio)
        if not 0 < need_kw < math.inf:
            return False
        need_kw = max(need_kw, DEAD_BAND_RATIO * line.rated_kw)  # less is not worth a write
        moved = x + towards * min(need_kw, room_kw)
        if line.step_kw and x > 0:
            moved = math.floor(moved / line.step_kw + 1e-6) * line.step_kw
            if moved < line.least_kw - TINY:
                moved = line.least_kw if to_kw >= line.least_kw - TINY else max(to_kw, 0.0)
        self._move(index, moved)
        return True

    def _down(self) -> list[tuple[int, float]]:
        """Who goes down to what, in their order."""
        steps: list[tuple[int, float]] = []
        reachable = [index for index in range(len(self.lines)) if self.assets[index].online]
        sinks = [index for index in reachable if self.lines[index].asset.kind in ("charger", "load")]
        batteries = [index for index in reachable if self.lines[index].asset.kind == "battery"]
        waiting = sorted(sinks, key=self._waits_longest)
        for index in waiting:
            line = self.lines[index]
            spare = max(self.drawn[index], 0.0) + IDLE_A * line.step_kw
            steps.append((index, max(spare, line.least_kw)))
        steps += [(index, 0.0) for index in batteries if self.x[index] > 0]
        steps += [(index, self.lines[index].least_kw) for index in waiting]
        steps += [(index, min(self._reach(index)[0], 0.0)) for index in batteries]
        steps += [(index, 0.0) for index in sorted(waiting, key=self._is_paused_out)]
        return steps

    def _up(self) -> list[tuple[int, float]]:
        """Who gives back less, takes more, or generates less, in their order."""
        steps: list[tuple[int, float]] = []
        reachable = [index for index in range(len(self.lines)) if self.assets[index].online]
        for kind in ("charger", "battery"):
            steps += [(index, 0.0) for index in reachable if self.lines[index].asset.kind == kind and self.x[index] < 0]
        steps += [
            (index, max(self._reach(index)[1], 0.0)) for index in reachable if self.lines[index].asset.kind == "battery"
        ]
        steps += [(index, 0.0) for index in reachable if self.lines[index].asset.kind == "pv"]
        return steps

    def _waits_longest(self, index: int) -> tuple[float, str]:
        return -self.assets[index].laxity_h, self.lines[index].asset.name

    def _is_paused_out(self, index: int) -> bool:
        return self.assets[index].pauses >= PAUSES_MOST

    def _trim(self) -> None:
        """Batteries carry at once what slower lines have been told to give up and still draw."""
        slow = self._not_seen_yet()
        batteries = [
            index
            for index, line in enumerate(self.lines)
            if line.asset.kind == "battery" and self.assets[index].online and not self.assets[index].at_once
        ]
        if not slow or not batteries:
            return
        for index, more_kw in slow:
            self._shift(index, more_kw)
        for place in self.live:
            for bound in self.bounds[place]:
                if bound.kind == "import" or bound.kind == "norm":
                    for index in batteries:
                        if self._give_way(place, bound, index, -1, min(self._reach(index)[0], 0.0), self.ratio[place]):
                            self.cut.add(place)
        for index, more_kw in slow:
            self._shift(index, -more_kw)

    def _not_seen_yet(self) -> list[tuple[int, float]]:
        """Lines that still draw more than they are to have, and by how much."""
        return [
            (index, self.drawn[index] - self.x[index])
            for index, line in enumerate(self.lines)
            if line.asset.kind in ("charger", "load") and self.drawn[index] > self.x[index] + TINY
        ]

    # --- what is told

    def _rounded(self, index: int, kw: float) -> float:
        line = self.lines[index]
        if line.step_kw and kw > 0:
            whole = math.floor(kw / line.step_kw + 1e-6) * line.step_kw
            kw = whole if whole >= line.least_kw - TINY else (line.least_kw if kw >= line.least_kw - TINY else 0.0)
        return round(kw, 4) + 0.0

    def _is_news(self, index: int, order_kw: float) -> bool:
        line, asset = self.lines[index], self.assets[index]
        if not asset.online:
            return False
        if asset.order_kw is None:
            return True
        change_kw = abs(order_kw - asset.order_kw)
        if change_kw <= TINY:
            return False
        dead_kw = DEAD_BAND_RATIO * line.rated_kw
        forced = (
            any(place in self.cut for place in line.branches) or not asset.low_kw <= asset.order_kw <= asset.high_kw
        )
        return change_kw > dead_kw or order_kw == 0 or forced
