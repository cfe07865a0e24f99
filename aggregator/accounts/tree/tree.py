"""Energies on the meter tree: what each meter has measured, its own part, and what nobody measured further, at every roll-up.

Only mains make the total. Each interval is divided by itself, and sums are sums of divided intervals, so that at every roll-up
    total = sum of the own parts of all meters inside + unmetered + undivided        (exactly)
where `undivided` is the energy of intervals in which a meter inside has no figure. Not where the meters lie (see `meter_tree`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from aggregator.accounts.period import Intervals
from aggregator.accounts.tree.slots import FLOWS, NORMAL_GAS, ZERO, RollUp, Slot, slots_of, spans, summed
from aggregator.facility import Facility
from aggregator.intervals.meter import Role
from aggregator.meter_tree import MeterTree, Node, meter_tree
from wire.quantities import QUANTITIES
from wire.reading import Quality

USUAL_ACCURACY_PERCENT: Final = Decimal(2)  # of a meter whose class nobody stated; the live balance allows as much


@dataclass(slots=True)
class NodeSum:
    """A meter over a span. `energy` is in - out over its `intervals` with a figure (None: there are none), `own` what no meter inside it
    has measured, over `divided` intervals; `allowed` how far below 0 the accuracies of the meters involved may bring it.
    """

    node: Node
    depth: int
    energy: Decimal | None = None
    exported: Decimal = ZERO
    own: Decimal | None = None
    allowed: Decimal = ZERO
    intervals: int = 0
    divided: int = 0
    substituted: int = 0
    provisional: int = 0

    @property
    def too_small(self) -> bool:
        """Whether the meters inside measure more than this one, by more than their accuracies explain. Where there are none, what is
        below 0 is what it sends back, and no fault.
        """
        return bool(self.node.children) and self.own is not None and self.own < -self.allowed


@dataclass(slots=True)
class CheckSum:
    """A check meter beside the meter it checks, over the intervals that both have. `limit_percent`: both classes together."""

    device: str
    checks: str
    energy: Decimal | None = None
    checked: Decimal | None = None
    intervals: int = 0
    limit_percent: Decimal = ZERO

    @property
    def apart_percent(self) -> Decimal | None:
        """By how much the check meter shows more, in % of the meter it checks."""
        if self.energy is None or self.checked is None or not self.checked:
            return None
        return (self.energy - self.checked) * 100 / abs(self.checked)

    @property
    def too_far(self) -> bool:
        return self.apart_percent is not None and abs(self.apart_percent) > self.limit_percent


@dataclass(slots=True)
class TreeSums:
    """The tree over [from_ms, to_ms). `total` is what the mains measured; None where none has a figure. `expected` intervals lie in the span."""

    from_ms: int
    to_ms: int
    expected: int
    total: Decimal | None = None
    unmetered: Decimal | None = None
    undivided: Decimal = ZERO
    nodes: dict[str, NodeSum] = field(default_factory=dict)
    apart: dict[str, NodeSum] = field(default_factory=dict)
    checks: list[CheckSum] = field(default_factory=list)

    @property
    def faulty(self) -> bool:
        """Whether the meters contradict each other by more than their accuracies explain."""
        return any(line.too_small for line in self.nodes.values()) or any(check.too_far for check in self.checks)


@dataclass(slots=True)
class Division:
    """One interval divided: `own` of every meter whose inside is known, by device; `mains` has those of the mains apart."""

    total: Decimal | None
    own: dict[str, Decimal]
    mains: dict[str, Decimal]
    unmetered: Decimal | None
    undivided: Decimal


def divide(tree: MeterTree, value: Mapping[str, Decimal]) -> Division:
    """Divides one interval among the meters of the tree; `value` has the energy of each meter with a figure.

    What a meter without a figure would have had to divide stays with the nearest meter around it that has one.
    """
    inside: dict[str, Decimal] = {}  # what the outermost meters with a figure inside each have measured
    whole: dict[str, bool] = {}  # whether all directly inside it have a figure
    own: dict[str, Decimal] = {}
    undivided = ZERO
    for device in reversed(tree.nodes):  # children before their parents
        node = tree.nodes[device]
        inside[device] = sum((value[child] if child in value else inside[child] for child in node.children), ZERO)
        whole[device] = all(child in value for child in node.children)
    known = [main for main in tree.mains if main in value]
    if not known:
        return Division(None, {}, {}, None, ZERO)
    counted = set(known) if len(known) < len(tree.mains) else {*known, *tree.loose}
    complete, top = len(known) == len(tree.mains), ZERO
    mains: dict[str, Decimal] = {}
    for device, node in tree.nodes.items():
        if node.parent in counted:
            counted.add(device)
        if device not in counted:
            continue
        is_main = node.role is Role.MAIN
        if is_main or device in tree.loose:
            outermost = inside[device] if is_main or device not in value else value[device]
            top += outermost
            complete = complete and (whole[device] if is_main else device in value)
        if device not in value:
            continue
        rest = value[device] - inside[device]
        if is_main:
            if whole[device]:
                mains[device] = rest
        elif whole[device]:
            own[device] = rest
        else:
            undivided += rest
    total = sum((value[main] for main in known), ZERO)
    remainder = total - top
    if complete:
        return Division(total, own, mains, remainder, undivided)
    return Division(total, own, mains, None, undivided + remainder)


class Metered:
    """The energies of one carrier's meters in one span, interval by interval."""

    def __init__(self, facility: Facility, carrier: str, intervals: Intervals, from_ms: int, to_ms: int) -> None:
        """Raises ValueError where the meters' places contradict each other, KeyError for a carrier without a counter of energy."""
        self.facility = facility
        self.tree = meter_tree(facility, carrier)
        self.from_ms, self.to_ms = from_ms, to_ms
        real = [node for node in (*self.tree.nodes.values(), *self.tree.checks) if node.role is not Role.VIRTUAL]
        flows = FLOWS[carrier]
        if carrier == "gas" and any(intervals(node.device, NORMAL_GAS[0]) for node in real):
            flows = NORMAL_GAS
        self.unit = QUANTITIES[flows[0]].unit
        self.slots: dict[str, dict[int, Slot]] = {
            node.device: slots_of(intervals, node.device, flows, facility.interval_ms, from_ms, to_ms) for node in real
        }
        self._terms = {meter.device: meter.terms for meter in facility.virtual_meters if meter.carrier == carrier}
        for device in self._terms:
            self._add_virtual(device)

    def _add_virtual(self, device: str) -> None:
        if device in self.slots:
            return
        terms = self._terms[device]
        for term, _ in terms:
            if term in self._terms:
                self._add_virtual(term)
        shared = set.intersection(*(set(self.slots[term]) for term, _ in terms))
        self.slots[device] = {
            at_ms: summed((self.slots[term][at_ms], sign) for term, sign in terms) for at_ms in sorted(shared)
        }

    def starts(self) -> list[int]:
        """The starts (UTC ms) of the intervals in which any meter of the tree has a figure."""
        return sorted({at_ms for device in self.tree.nodes for at_ms in self.slots[device]})

    def division(self, at_ms: int) -> Division:
        """The interval that starts there, divided."""
        return divide(
            self.tree,
            {device: slots[at_ms].net for device, slots in self.slots.items() if at_ms in slots},
        )

    def roll_up(self, roll_up: RollUp) -> Iterator[TreeSums]:
        """The tree over each span of a kind: local days and months as far as they lie in the span."""
        starts = self.starts()
        at = 0
        for from_ms, to_ms in spans(roll_up, self.from_ms, self.to_ms, self.facility):
            end = at
            while end < len(starts) and starts[end] < to_ms:
                end += 1
            yield self._sums(from_ms, to_ms, starts[at:end])
            at = end

    def _sums(self, from_ms: int, to_ms: int, starts: Sequence[int]) -> TreeSums:
        found = TreeSums(from_ms, to_ms, (to_ms - from_ms) // self.facility.interval_ms)
        found.nodes = {name: NodeSum(node, self.tree.depth(name)) for name, node in self.tree.nodes.items()}
        found.apart = {node.device: NodeSum(node, 0) for node in self.tree.apart}
        for at_ms in starts:
            division = self.division(at_ms)
            for device, line in found.nodes.items():
                slot = self.slots[device].get(at_ms)
                if slot is None:
                    continue
                _take(line, slot)
                own = division.own.get(device, division.mains.get(device))
                if own is not None:
                    line.own = own if line.own is None else line.own + own
                    line.divided += 1
                    line.allowed += sum((self._doubt(name, at_ms) for name in (device, *line.node.children)), ZERO)
            if division.total is not None:
                found.total = division.total if found.total is None else found.total + division.total
                found.undivided += division.undivided
            if division.unmetered is not None:
                found.unmetered = (found.unmetered or ZERO) + division.unmetered
        for device, line in found.apart.items():
            for at_ms, slot in self.slots[device].items():
                if from_ms <= at_ms < to_ms:
                    _take(line, slot)
        found.checks = [self._check(node, from_ms, to_ms) for node in self.tree.checks]
        return found

    def _doubt(self, device: str, at_ms: int) -> Decimal:
        """How wrong a meter may be in an interval; of a virtual one, what its terms may be together."""
        if device in self._terms:
            return sum((self._doubt(term, at_ms) for term, _ in self._terms[device]), ZERO)
        return abs(self.slots[device][at_ms].net) * self._accuracy(device) / 100

    def _accuracy(self, device: str) -> Decimal:
        stated = self.tree.nodes[device].accuracy_percent if device in self.tree.nodes else None
        return USUAL_ACCURACY_PERCENT if stated is None else stated

    def _check(self, node: Node, from_ms: int, to_ms: int) -> CheckSum:
        stated = USUAL_ACCURACY_PERCENT if node.accuracy_percent is None else node.accuracy_percent
        found = CheckSum(node.device, node.parent, limit_percent=stated + self._accuracy(node.parent))
        beside = self.slots.get(node.parent, {})
        for at_ms, slot in self.slots[node.device].items():
            if from_ms <= at_ms < to_ms and (at_ms in beside or not node.parent):
                found.energy = (found.energy or ZERO) + slot.net
                found.intervals += 1
                if node.parent:
                    found.checked = (found.checked or ZERO) + beside[at_ms].net
        return found


def _take(line: NodeSum, slot: Slot) -> None:
    line.energy = slot.net if line.energy is None else line.energy + slot.net
    line.exported += slot.outgoing
    line.intervals += 1
    line.substituted += slot.grade.quality is Quality.SUBSTITUTED
    line.provisional += not slot.final
