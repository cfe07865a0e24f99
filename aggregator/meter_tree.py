"""How the meters of a facility lie inside each other: which part of which, which one checks which. Not their energies (see `accounts.tree`).

incomer (main)                    total = the mains
├── A (sub)                       own part of A = A - A1
│   └── A1 (sub)
└── B (sub)                       unmetered = total - A - B
second (check of incomer)         compared, never added
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from aggregator.facility import Facility
from aggregator.intervals.meter import MeterSpec, Role, VirtualMeter


@dataclass(frozen=True, slots=True)
class Node:
    """A meter in its place. `children` are the devices measured inside it; `stated`: the settings say where it is."""

    device: str
    role: Role
    parent: str
    children: tuple[str, ...] = ()
    terms: tuple[tuple[str, int], ...] = ()
    accuracy_percent: Decimal | None = None
    stated: bool = False


@dataclass(frozen=True, slots=True)
class MeterTree:
    """The meters of one carrier. `nodes` holds parents before their children; `mains` add up to the total.

    `loose` are subs of no one main: they are inside the total. `apart` are virtual meters that are part of nothing; `checks` the
    check meters with the meter that each compares with ("" where that is not stated).
    """

    carrier: str
    nodes: dict[str, Node]
    mains: tuple[str, ...]
    loose: tuple[str, ...] = ()
    apart: tuple[Node, ...] = ()
    checks: tuple[Node, ...] = ()

    def depth(self, device: str) -> int:
        """How many meters it lies inside of."""
        return len(self.around(device))

    def around(self, device: str) -> tuple[str, ...]:
        """The meters that it lies inside of, the nearest first."""
        found: list[str] = []
        parent = self.nodes[device].parent
        while parent:
            found.append(parent)
            parent = self.nodes[parent].parent
        return tuple(found)

    def stated(self) -> bool:
        """Whether the settings say of any meter where it is."""
        return any(node.stated for node in self.nodes.values())


def meter_tree(facility: Facility, carrier: str) -> MeterTree:
    """The tree of a carrier. A sub without a parent lies inside the only main, else inside the total. Raises ValueError for a contradiction."""
    faults = [f"{thing}: expected {expected}, got {seen}" for thing, expected, seen in tree_faults(facility)]
    if faults:
        raise ValueError(f"facility {facility.id}: {'; '.join(faults)}")
    meters = [meter for meter in facility.meters if meter.carrier == carrier]
    virtual = [meter for meter in facility.virtual_meters if meter.carrier == carrier]
    mains = tuple(meter.device for meter in meters if meter.role is Role.MAIN)
    usual = mains[0] if len(mains) == 1 else ""
    placed: dict[str, Node] = {}
    for meter in meters:
        if meter.role in (Role.MAIN, Role.SUB):
            inside = "" if meter.role is Role.MAIN else meter.parent or usual
            placed[meter.device] = _node(meter, inside)
    for part in virtual:
        if part.parent:
            placed[part.device] = _virtual(part)
    children: dict[str, list[str]] = {}
    for node in placed.values():
        children.setdefault(node.parent, []).append(node.device)
    return MeterTree(
        carrier,
        _ordered(placed, children),
        mains,
        tuple(device for device in children.get("", []) if device not in mains),
        tuple(_virtual(part) for part in virtual if not part.parent),
        tuple(_node(meter, meter.parent) for meter in meters if meter.role is Role.CHECK),
    )


def carriers(facility: Facility) -> tuple[str, ...]:
    """Those of which a facility has meters, in their order."""
    return tuple(dict.fromkeys(meter.carrier for meter in facility.meters))


def _node(meter: MeterSpec, inside: str) -> Node:
    return Node(meter.device, meter.role, inside, accuracy_percent=meter.accuracy_percent, stated=bool(meter.parent))


def _virtual(meter: VirtualMeter) -> Node:
    return Node(meter.device, Role.VIRTUAL, meter.parent, terms=meter.terms, stated=bool(meter.parent))


def _ordered(placed: Mapping[str, Node], children: Mapping[str, Sequence[str]]) -> dict[str, Node]:
    """Parents before their children, and these in the order of the settings."""
    found: dict[str, Node] = {}
    todo = list(reversed(children.get("", ())))
    while todo:
        node = placed[todo.pop()]
        inside = tuple(children.get(node.device, ()))
        found[node.device] = replace(node, children=inside)
        todo += reversed(inside)
    return found


@dataclass(frozen=True, slots=True)
class _Named:
    key: str
    meter: MeterSpec | VirtualMeter
    role: Role = Role.VIRTUAL


def tree_faults(facility: Facility) -> Iterator[tuple[str, str, str]]:
    """(key, expected, seen) of what contradicts in the meters' places, e.g. ("meter[1].parent", "another meter", "'A'")."""
    named = {meter.device: _Named(f"meter[{at}]", meter, meter.role) for at, meter in enumerate(facility.meters)}
    named |= {meter.device: _Named(f"virtual_meter[{at}]", meter) for at, meter in enumerate(facility.virtual_meters)}
    for device, entry in named.items():
        yield from _parent_faults(device, entry, named)
        if isinstance(entry.meter, VirtualMeter):
            for at, (term, _) in enumerate(entry.meter.terms):
                yield from _term_faults(f"{entry.key}.formula[{at}].device", term, entry.meter, named)
            if _circular(device, {name: _terms(other) for name, other in named.items()}):
                yield f"{entry.key}.formula", "a sum that does not lead back to itself", repr(device)


def _parent_faults(device: str, entry: _Named, named: Mapping[str, _Named]) -> Iterator[tuple[str, str, str]]:
    key, parent = f"{entry.key}.parent", entry.meter.parent
    if not parent:
        return
    if entry.role is Role.MAIN:
        yield key, "nothing: a main meter lies inside no other", repr(parent)
    elif parent == device or parent not in named:
        others = [name for name in named if name != device]
        yield key, f"one of {', '.join(others[:20]) or 'the facility`s other meters (there are none)'}", repr(parent)
    elif named[parent].meter.carrier != entry.meter.carrier:
        yield key, f"a meter for {entry.meter.carrier}", f"{parent!r}, which is for {named[parent].meter.carrier}"
    elif named[parent].role is Role.CHECK:
        yield key, "a meter that counts", f"{parent!r}, which is a check meter"
    elif isinstance(above := named[parent].meter, VirtualMeter) and not above.parent:
        yield key, "a meter that is part of the total", f"{parent!r}, a virtual meter without a parent"
    elif _circular(device, {name: (other.meter.parent,) for name, other in named.items() if other.meter.parent}):
        yield key, "a meter that does not lie inside this one", repr(parent)


def _term_faults(
    key: str, term: str, meter: VirtualMeter, named: Mapping[str, _Named]
) -> Iterator[tuple[str, str, str]]:
    if term not in named:
        yield key, f"one of {', '.join([name for name in named if name != meter.device][:20])}", repr(term)
    elif named[term].meter.carrier != meter.carrier:
        yield key, f"a meter for {meter.carrier}", f"{term!r}, which is for {named[term].meter.carrier}"
    elif named[term].role is Role.CHECK:
        yield key, "a meter that counts", f"{term!r}, which is a check meter"


def _terms(entry: _Named) -> tuple[str, ...]:
    return tuple(term for term, _ in entry.meter.terms) if isinstance(entry.meter, VirtualMeter) else ()


def _circular(device: str, leads: Mapping[str, Sequence[str]]) -> bool:
    """Whether the ways that `leads` gives come back to the device."""
    seen: set[str] = set()
    todo = list(leads.get(device, ()))
    while todo:
        name = todo.pop()
        if name == device:
            return True
        if name not in seen:
            seen.add(name)
            todo += leads.get(name, ())
    return False
