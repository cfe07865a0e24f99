"""What would flow with every line as it is wanted: the draw that is believed, the power that is proposed, and the channels of each branch at its most and least. Nobody gives way here.

The most counts a charger's order in full, drawn or not (but the least power of one at rest), the least what it takes; a raise is at most 5 %/s after 10 s of calm, down is at once.
"""

from collections.abc import Callable, Sequence
from typing import Final

from edge_agent.limits.bounds import TINY, Bound, excess
from edge_agent.limits.network import POWER, Line, Network
from edge_agent.limits.pending import risen_kw
from edge_agent.limits.state import AssetState, BranchState, State

MARGIN_RATIO: Final = 0.98
RAISE_RATIO_PER_S: Final = 0.05
CALM_MS: Final = 10_000
OFF_MS: Final = 300_000
PAUSES_MOST: Final = 6
IDLE_MS: Final = 60_000  # so long much less than ordered, and others may have it
PV_HELD_RATIO: Final = 0.02  # of its rated power: so near to its cap a PV plant counts as held back by it
IDLE_A: Final = 2.0  # what is left to it above what it takes


def believed_kw(line: Line, asset: AssetState, now_ms: int) -> float:
    """What an asset draws as far as its branch's meter is concerned."""
    order_kw, drawn_kw = asset.order_kw, asset.drawn_kw
    if (
        drawn_kw is None
    ):  # a pile tells as soon as a vehicle comes: until then it draws nothing, and may take up its order at any time
        return 0.0 if line.asset.kind == "charger" else order_kw or 0.0
    if order_kw is None or not asset.online or now_ms < asset.ordered_ms + line.response_ms:
        return drawn_kw
    kind = line.asset.kind
    if kind == "pv":
        return max(drawn_kw, order_kw)  # what it gives beyond its cap is not its order's doing
    if kind == "battery" or order_kw < 0:
        return order_kw
    return min(max(drawn_kw, 0.0), order_kw)


def momentary(branch: BranchState) -> tuple[Bound, ...]:
    """The bounds of the moment: legal limits and those of the schedule."""
    found = []
    if branch.import_kw is not None:
        found.append(Bound("import", POWER, branch.import_kw))
    if branch.export_kw is not None:
        found.append(Bound("export", POWER, branch.export_kw))
    if branch.planned_kw is not None:
        found.append(Bound("import", POWER, branch.planned_kw, money=True))
    return tuple(found)


class Flows:
    """One round's lines and branches. `x` is what each line shall have, `drawn` what it is believed to draw."""

    def __init__(self, network: Network, bounds: Sequence[Sequence[Bound]], state: State, now_ms: int) -> None:
        self.network, self.state, self.now_ms = network, state, now_ms
        self.lines, self.assets = network.lines, state.assets
        pairs = list(zip(self.lines, self.assets, strict=True))
        drawn = [believed_kw(line, asset, now_ms) for line, asset in pairs]
        risen = risen_kw(network, state, drawn, now_ms)
        self.drawn = [told + more for told, more in zip(drawn, risen, strict=True)]
        self.before = [
            drawn if asset.order_kw is None else asset.order_kw
            for asset, drawn in zip(self.assets, self.drawn, strict=True)
        ]
        for index in range(len(self.lines)):  # what it may no longer have it does not keep
            low_kw, high_kw = self._reach(index)
            self.before[index] = min(max(self.before[index], low_kw), high_kw)
        self.x = [self._proposed(index) for index in range(len(self.lines))]
        self.live = [
            place for place, kept in enumerate(network.kept) if not state.branches[place].lost or not kept.branch.meter
        ]
        self.bounds = [(*bounds[place], *momentary(state.branches[place])) for place in range(len(network.kept))]
        self.ratio = [MARGIN_RATIO - branch.noise_ratio for branch in state.branches]
        self.upper = {place: self._channels(place, self._upper) for place in self.live}
        self.lower = {place: self._channels(place, self._lower) for place in self.live}

    # --- what is wanted

    def _proposed(self, index: int) -> float:
        """What a line would have if nothing stood against it: down at once, up slowly."""
        line, asset, before = self.lines[index], self.assets[index], self.before[index]
        if not asset.online:
            return self._lost(index)
        low, high = self._reach(index)
        wanted = min(max(asset.target_kw, low), high)
        if self.state.short and 0 < asset.idle_ms <= self.now_ms - IDLE_MS:
            wanted = min(wanted, max(line.least_kw, self.drawn[index] + IDLE_A * line.step_kw))
        if asset.at_once or (wanted <= before and line.asset.kind != "pv"):
            return wanted
        if line.asset.kind == "pv":
            return wanted if wanted >= before else max(wanted, before - self._most_kw(index))
        raised = min(wanted, before + self._most_kw(index))
        if 0 < raised < line.least_kw:
            raised = line.least_kw if wanted >= line.least_kw and self._most_kw(index) > 0 else 0.0
        return max(raised, min(before, wanted))

    def _most_kw(self, index: int) -> float:
        """By how much a line may be raised now."""
        line, asset, now_ms = self.lines[index], self.assets[index], self.now_ms
        if any(now_ms - self.state.branches[place].over_ms < CALM_MS for place in line.branches):
            return 0.0
        since_s = (now_ms - asset.ordered_ms) / 1000
        if since_s < line.raise_every_s - 0.05:
            return 0.0
        if line.least_kw and self.before[index] == 0 and not self._may_wake(asset):
            return 0.0
        return RAISE_RATIO_PER_S * line.rated_kw * max(line.raise_every_s, 1.0)

    def _may_wake(self, asset: AssetState) -> bool:
        return self.now_ms - asset.off_ms >= OFF_MS and asset.pauses <= PAUSES_MOST

    def _reach(self, index: int) -> tuple[float, float]:
        """Between which powers a line can be ordered: what it does not follow is not asked for again."""
        line, asset = self.lines[index], self.assets[index]
        low, high, order, drawn = asset.low_kw, asset.high_kw, asset.order_kw, asset.drawn_kw
        if line.asset.kind == "battery" and order is not None and drawn is not None:
            seen_ms = asset.ordered_ms + line.response_ms
            slack_kw = 0.05 * line.rated_kw
            if asset.drawn_ms >= seen_ms and abs(drawn) < abs(order) - slack_kw:
                if order < 0:
                    low = max(low, min(drawn, 0.0) - slack_kw)
                else:
                    high = min(high, max(drawn, 0.0) + slack_kw)
        return low, high

    def _lost(self, index: int) -> float:
        """What must be kept free for a line that cannot be reached."""
        drawn = self.drawn[index]
        return max(drawn, self.assets[index].reserve_kw) if self.lines[index].asset.kind == "charger" else drawn

    # --- what flows then

    def _upper(self, index: int) -> float:
        """The most that a line draws with its order."""
        if self._takes_nothing(index):
            return 0.0
        return max(self.drawn[index], self.x[index]) if self.lines[index].asset.kind == "pv" else self.x[index]

    def _takes_nothing(self, index: int) -> bool:
        """A charger at rest at its least power. Should a vehicle come, the branch's meter sees it: where there is none, the order counts."""
        line = self.lines[index]
        return (
            self.assets[index].resting
            and 0 <= self.x[index] <= line.least_kw + TINY
            and all(self.network.kept[place].branch.meter for place in line.branches)
        )

    def _lower(self, index: int) -> float:
        """The least that a line draws with its order."""
        x, drawn = self.x[index], self.drawn[index]
        line = self.lines[index]
        kind = line.asset.kind
        if (
            kind == "pv"
        ):  # one that its cap holds back would give more with a larger one; one that the sun holds back would not
            return x if drawn <= self.before[index] + PV_HELD_RATIO * line.rated_kw else max(drawn, x)
        return min(max(drawn, 0.0), x) if kind != "battery" and x > 0 else x

    def _channels(self, place: int, of: Callable[[int], float]) -> list[complex]:
        kept, branch = self.network.kept[place], self.state.branches[place]
        metered = bool(kept.branch.meter)
        sums = list(branch.channels or (0j, 0j, 0j, 0j, 0j))
        for index in kept.members:
            change = of(index) - (self.drawn[index] if metered else 0.0)
            if change:
                for channel, per_kw in enumerate(kept.per_kw[index]):
                    sums[channel] += change * per_kw
        return sums

    def _seen_by(self, bound: Bound, place: int) -> Sequence[complex]:
        """Against what a bound is held: an import at its most, an export at its least."""
        if bound.kind == "export":
            return self.lower[place]
        upper, lower = self.upper[place], self.lower[place]
        return lower if bound.kind == "norm" and abs(lower[bound.channel]) > abs(upper[bound.channel]) else upper

    def _excess(self, place: int, bound: Bound, bound_ratio: float) -> float:
        return excess(bound, self._seen_by(bound, place), bound_ratio)

    def _is_over(self, place: int, bound_ratio: float) -> bool:
        return any(self._excess(place, bound, bound_ratio) > TINY for bound in self.bounds[place])

    def _move(self, index: int, to_kw: float) -> None:
        """Give a line another order, and work out anew what flows."""
        upper, lower = self._upper(index), self._lower(index)
        self.x[index] = to_kw
        more, less = self._upper(index) - upper, self._lower(index) - lower
        for place in self.lines[index].branches:
            if place in self.upper:
                for channel, per_kw in enumerate(self.network.kept[place].per_kw[index]):
                    self.upper[place][channel] += more * per_kw
                    self.lower[place][channel] += less * per_kw

    def _shift(self, index: int, change_kw: float) -> None:
        """Reckon a line so much higher without another order."""
        for place in self.lines[index].branches:
            if place in self.upper:
                for channel, per_kw in enumerate(self.network.kept[place].per_kw[index]):
                    self.upper[place][channel] += change_kw * per_kw
