"""What flows on the kept branches and what may flow there now: meters, legal limits, limits and demand windows of the schedule, noise. Not who gives way."""

from collections.abc import Mapping, Sequence
from typing import Final

from edge_agent.limits.bounds import bounds_of
from edge_agent.limits.exceeded import Exceeded
from edge_agent.limits.flows import momentary
from edge_agent.limits.frozen import FrozenMeters
from edge_agent.limits.measure import Newest, channels_of
from edge_agent.limits.modes import Standing
from edge_agent.limits.network import PHASE_V, POWER, KeptBranch, Network
from edge_agent.limits.state import LONG_AGO_MS, BranchState, State
from edge_agent.limits.windows import Windows
from wire.circuit import LimitSource
from wire.reading import Event
from wire.schedule import BranchLimit

NOISE_MOST_RATIO: Final = 0.03
NOISE_KEPT: Final = 0.9  # of the noise of the round before


class KeptBranches:
    """The branches of an edge with what it remembers of them. `sources`: the legal limits on site, each with its name."""

    def __init__(self, network: Network, newest: Newest, sources: Sequence[tuple[str, LimitSource]]) -> None:
        self._network, self._newest, self._sources = network, newest, sources
        self.bounds = [bounds_of(kept.branch) for kept in network.kept]
        self._windows, self._exceeded, self._frozen = Windows(), Exceeded(), FrozenMeters()
        self._background_kva: list[float | None] = [None] * len(network.kept)

    def frozen(self, now_ms: int) -> list[str]:
        """The branches whose meters show the same whatever their batteries and PV plants do."""
        found = []
        for kept in self._network.kept:
            shows = self._newest.channels(kept.branch) if kept.branch.meter else None
            if shows is None:
                continue
            devices = [
                self._network.lines[index].asset.device
                for index in kept.members
                if self._network.lines[index].asset.kind in ("battery", "pv")
            ]
            drawn_kw = sum(self._newest.value(device, "active_power_kw") or 0.0 for device in devices)
            if self._frozen.is_frozen(kept.branch.name, shows, drawn_kw, limit_kva_of(kept), now_ms):
                found.append(kept.branch.name)
        return found

    def stated_ms(self, source: LimitSource) -> int:
        """When a limit of 0 or more was last stated."""
        value = self._newest.value(source.device, source.quantity)
        return self._newest.at_ms(source.device, source.quantity) if value is not None and value >= 0 else LONG_AGO_MS

    def tell(
        self, state: State, now_ms: int, stood: Mapping[tuple[str, str], Standing], limits: Sequence[BranchLimit]
    ) -> list[Event]:
        """Puts what flows and what may flow into the state, branch by branch; gives the events of limits that were exceeded. `limits`: the schedule's, of now."""
        windows, events = set(), []
        for place, (kept, branch) in enumerate(zip(self._network.kept, state.branches, strict=True)):
            if kept.branch.meter:
                branch.lost = stood["branch", kept.branch.name].state == "safe"
                branch.channels = None if branch.lost else self._newest.channels(kept.branch)
                branch.lost = branch.channels is None
            else:
                branch.channels = _uncontrolled(kept)
            least, planned_kw = self._legal_kw(kept, stood), None
            for limit in limits:
                if limit.branch != kept.branch.name:
                    continue
                for direction, most_kw in (("import", limit.import_kw), ("export", limit.export_kw)):
                    if most_kw is None:
                        continue
                    if limit.window_s:
                        key = (place, limit.window_s, direction)
                        windows.add(key)
                        power_kw = branch.channels[POWER].real if branch.channels is not None else 0.0
                        if direction == "export":
                            power_kw = -power_kw
                        most_kw = self._windows.allowed_kw(key, most_kw, power_kw, now_ms)
                    if limit.authority == "plan" and direction == "import":
                        planned_kw = most_kw if planned_kw is None else min(most_kw, planned_kw)
                    else:
                        least[direction] = min(most_kw, least.get(direction, most_kw))
            branch.import_kw, branch.export_kw, branch.planned_kw = least.get("import"), least.get("export"), planned_kw
            self._noise(place, kept, branch, state)
            if kept.branch.meter:
                bounds = (*self.bounds[place], *momentary(branch))
                event = self._exceeded.look(kept.branch.name, bounds, branch.channels, now_ms)
                if event is not None:
                    events.append(event)
        self._windows.keep(windows)
        return events

    def _legal_kw(self, kept: KeptBranch, stood: Mapping[tuple[str, str], Standing]) -> dict[str, float]:
        """What the limit sources on site say, or their fail-safe, by direction."""
        least: dict[str, float] = {}
        for name, source in self._sources:
            if source.branch == kept.branch.name:
                value = self._newest.value(source.device, source.quantity)
                stated = stood["limit_source", name].state == "stated"
                limit_kw = value if stated and value is not None else source.fail_safe_kw
                least[source.direction] = min(limit_kw, least.get(source.direction, limit_kw))
        return least

    def _noise(self, place: int, kept: KeptBranch, branch: BranchState, state: State) -> None:
        """How much what nobody steers swings from one reading to the next, as a part of the limit."""
        if branch.channels is None or not kept.branch.meter:
            return
        background_kva = abs(
            branch.channels[POWER]
            - sum((state.assets[index].drawn_kw or 0.0) * kept.per_kw[index][POWER] for index in kept.members)
        )
        before_kva, self._background_kva[place] = self._background_kva[place], background_kva
        if before_kva is None:
            return
        swing_ratio = 2 * abs(background_kva - before_kva) / limit_kva_of(kept)
        noise_ratio = NOISE_KEPT * branch.noise_ratio + (1 - NOISE_KEPT) * swing_ratio
        branch.noise_ratio = min(NOISE_MOST_RATIO, noise_ratio)


def limit_kva_of(kept: KeptBranch) -> float:
    """The branch's limit in kVA, from its amperes where it states none."""
    return kept.branch.limit_kva or 3 * PHASE_V * (kept.branch.limit_a or 1.0) / 1000


def _uncontrolled(kept: KeptBranch) -> tuple[complex, complex, complex, complex, complex]:
    """What flows where no meter says it: the most that nobody steers."""
    channels = channels_of({"active_power_kw": kept.branch.uncontrolled_max_kva or 0.0}, kept.branch.nominal_v)
    assert channels is not None
    return channels
