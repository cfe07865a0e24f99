"""The circuit of a facility: its branches with their limits and its assets, as one description that plan, edge and audit share. Not who decides what.

```toml
facility = "works"

[[branch]]                       # the one without `within` is the connection
name = "transformer"
limit_kva = 400
export_limit_kw = 100
edge = "gw-01"                   # whose loop keeps this branch; it reads the meter
meter = "incomer"
uncontrolled_max_kva = 250       # the most of what nobody steers: the share of assets when the meter is lost

[[branch]]
name = "garage"
within = "transformer"
limit_a = 160                    # of each phase
neutral_limit_a = 160
edge = "gw-01"
meter = "garage"
uncontrolled_max_kva = 5

[[asset]]
name = "pile-01"
kind = "charger"
branch = "garage"
edge = "gw-01"
device = "pile-01"
point = "charging_limit_kw"
phases = "L1"
charge_kw = 7.36
```
Phasors: the current of a phase in A per kW, positive sequence, L1 at 0 degrees, voltages at their nominal value (`nominal_v` between lines).
"""

import cmath
import hashlib
import math
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from wire.topics import ID

Id = Annotated[str, Meta(pattern=f"^{ID.pattern}$")]
Positive = Annotated[float, Meta(gt=0, le=1e9)]
NotNegative = Annotated[float, Meta(ge=0, le=1e9)]
Ratio = Annotated[float, Meta(gt=0, le=1)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Phase = Literal["L1", "L2", "L3"]
PHASES: Final[tuple[Phase, ...]] = ("L1", "L2", "L3")
AssetKind = Literal["battery", "charger", "pv", "load"]
_LARGEST: Final = 4 << 20
_TURN: Final[Mapping[str, complex]] = {
    phase: cmath.rect(1.0, -2 * math.pi * index / 3) for index, phase in enumerate(PHASES)
}


class Branch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A conductor, feeder or transformer. `limit_kva` bounds the whole, `limit_a` each phase; `unbalance_limit_a` the difference between two phases.

    `export_limit_kw` of the connection: None: as much as `limit_kva` lets. `uncontrolled_max_kva`: the most that is drawn below it and steered by nobody.
    """

    name: Id
    within: str = ""
    limit_kva: Positive | None = None
    limit_a: Positive | None = None
    neutral_limit_a: Positive | None = None
    unbalance_limit_a: Positive | None = None
    export_limit_kw: NotNegative | None = None
    nominal_v: Positive = 400.0
    edge: str = ""
    meter: str = ""
    uncontrolled_max_kva: Positive | None = None


class Asset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What can be steered, by writing `point` of `device` at `edge`. Powers at its AC side, not negative, whatever the sign of the point.

    `phases`: "L1L2L3", one of them, or two (between two lines). `least_a`: a charger's smallest current other than 0 (IEC 61851: 6 A).
    `safe_kw`: what it may draw (a PV plant: give) when plan, meter and limits are lost, above the share of its branch; None: 0, a PV plant all that it has.
    """

    name: Id
    kind: AssetKind
    branch: Id
    edge: Id
    device: Id
    point: Id
    phases: Literal["L1L2L3", "L1", "L2", "L3", "L1L2", "L2L3", "L1L3"] = "L1L2L3"
    charge_kw: NotNegative = 0.0
    discharge_kw: NotNegative = 0.0
    charge_ratio: Ratio = 0.95
    discharge_ratio: Ratio = 0.95
    capacity_kwh: Positive | None = None
    least_percent: Percent = 0.0
    wear_per_kwh: NotNegative = 0.0
    least_a: NotNegative = 6.0
    cos_phi: Ratio = 1.0
    safe_kw: NotNegative | None = None


class LimitSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a legal limit of a branch comes from on site: a quantity of a device, in kW. Without a reading for `heartbeat_s` the `fail_safe_kw` hold."""

    branch: Id
    edge: Id
    device: Id
    direction: Literal["import", "export"]
    quantity: str
    fail_safe_kw: NotNegative
    heartbeat_s: Annotated[float, Meta(ge=2, le=3600)] = 120.0


class Circuit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A facility's circuit. `checked` holds what types alone cannot."""

    facility: Id
    branch: list[Branch]
    asset: list[Asset] = []
    limit_source: list[LimitSource] = []

    @property
    def connection(self) -> Branch:
        """The branch that is within none."""
        return next(branch for branch in self.branch if not branch.within)

    @property
    def sha256(self) -> str:
        """Names this description in plans, schedules and the audit."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    def named(self, name: str) -> Branch:
        """Raises KeyError."""
        for branch in self.branch:
            if branch.name == name:
                return branch
        raise KeyError(name)

    def path(self, name: str) -> tuple[Branch, ...]:
        """The branch and all that it is within, from itself to the connection."""
        found = [self.named(name)]
        while found[-1].within:
            found.append(self.named(found[-1].within))
        return tuple(found)

    def below(self, name: str) -> tuple[Asset, ...]:
        """The assets on a branch or on one that is within it."""
        return tuple(asset for asset in self.asset if any(branch.name == name for branch in self.path(asset.branch)))


class CircuitFaults(ValueError):
    """Everything that is wrong with a circuit file: (key, expected, seen), one a line."""

    def __init__(self, file: str, faults: list[tuple[str, str, str]]) -> None:
        super().__init__("\n".join(f"{file}: {key}: expected {expected}, got {seen}" for key, expected, seen in faults))
        self.faults = faults


def load(path: Path) -> Circuit:
    """The circuit of a TOML file. Raises CircuitFaults with all its faults."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise CircuitFaults(str(path), [("file", f"at most {_LARGEST >> 20} MiB", "more")])
        return of_tree(tomllib.loads(raw.decode()), str(path))
    except OSError as error:
        raise CircuitFaults(str(path), [("file", "a readable file", error.strerror or repr(error))]) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise CircuitFaults(str(path), [("file", "TOML", str(error))]) from error


def of_tree(tree: Mapping[str, Any], file: str = "circuit") -> Circuit:
    """The circuit of a parsed file. Raises CircuitFaults."""
    found: list[tuple[str, str, str]] = []
    for key, kind in (("branch", Branch), ("asset", Asset), ("limit_source", LimitSource)):
        rows = tree.get(key, [])
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            try:
                msgspec.convert(row, kind)
            except msgspec.ValidationError as error:
                found.append(_typed(f"{key}[{index}]", error))
    if not found:
        try:
            circuit = msgspec.convert(dict(tree), Circuit)
        except msgspec.ValidationError as error:
            found.append(_typed("", error))
        else:
            found.extend(_faults(circuit))
            if not found:
                return circuit
    raise CircuitFaults(file, found)


def _typed(key: str, error: msgspec.ValidationError) -> tuple[str, str, str]:
    text, _, place = str(error).partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    whole = ".".join(part for part in (key, place) if part) or "file"
    expected, comma, seen = text.removeprefix("Expected ").partition(", got ")
    if comma:
        return whole, expected, seen
    if text.startswith("Expected "):
        return whole, expected, "another value"
    return whole, "the keys of a circuit", text[:1].lower() + text[1:]


def _faults(circuit: Circuit) -> Iterator[tuple[str, str, str]]:
    names = [branch.name for branch in circuit.branch]
    yield from _twice("branch", names)
    yield from _twice("asset", [asset.name for asset in circuit.asset])
    roots = [branch.name for branch in circuit.branch if not branch.within]
    if len(roots) != 1:
        yield "branch", "exactly one without within: the connection", ", ".join(roots) or "none"
    known = f"one of {', '.join(names)}"
    for index, branch in enumerate(circuit.branch):
        here = f"branch[{index}]"
        if branch.within and branch.within not in names:
            yield f"{here}.within", known, repr(branch.within)
        elif _circle(circuit, branch):
            yield f"{here}.within", "a tree", f"a circle through {branch.name}"
        yield from ((f"{here}{key}", expected, seen) for key, expected, seen in _branch(branch))
    for index, asset in enumerate(circuit.asset):
        if asset.branch not in names:
            yield f"asset[{index}].branch", known, repr(asset.branch)
        yield from ((f"asset[{index}]{key}", expected, seen) for key, expected, seen in _asset(asset))
    for index, source in enumerate(circuit.limit_source):
        if source.branch not in names:
            yield f"limit_source[{index}].branch", known, repr(source.branch)


def _branch(branch: Branch) -> Iterator[tuple[str, str, str]]:
    if branch.limit_kva is None and branch.limit_a is None:
        yield "", "limit_kva or limit_a (never unlimited)", "neither"
    if branch.limit_a is None and (branch.neutral_limit_a or branch.unbalance_limit_a):
        yield ".limit_a", "a limit of each phase beside those of neutral and unbalance", "none"
    if branch.meter and not branch.edge:
        yield ".edge", "the edge that reads the meter", "none"
    if branch.meter and branch.uncontrolled_max_kva is None:
        yield ".uncontrolled_max_kva", "the most that nobody steers, for when the meter is lost", "none"


def _asset(asset: Asset) -> Iterator[tuple[str, str, str]]:
    if asset.kind == "battery" and asset.capacity_kwh is None:
        yield ".capacity_kwh", "a battery's capacity", "none"
    if asset.charge_kw == 0 and asset.discharge_kw == 0:
        yield "", "charge_kw or discharge_kw above 0", "neither"
    if asset.kind == "pv" and asset.charge_kw:
        yield ".charge_kw", "nothing: a PV plant's power is its discharge_kw", f"{asset.charge_kw:g}"


def _twice(key: str, names: list[str]) -> Iterator[tuple[str, str, str]]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield key, "each name once", f"{name!r} again"


def _circle(circuit: Circuit, branch: Branch) -> bool:
    within = {one.name: one.within for one in circuit.branch}
    seen = {branch.name}
    at = branch.within
    while at:
        if at in seen:
            return True
        seen.add(at)
        at = within.get(at, "")
    return False


def amps_per_kw(asset: Asset, phase: Phase, nominal_v: float = 400.0) -> complex:
    """The phasor of an asset's current in a phase for 1 kW drawn, A (RMS); 0 where it is not connected to it.

    One phase: 1000 W / (V / sqrt 3). Two: 1000 W / V, along their line voltage. Three: a third of the power in each. A lagging `cos_phi` turns it back.
    """
    lines = [asset.phases[at : at + 2] for at in range(0, len(asset.phases), 2)]
    if phase not in lines:
        return 0j
    lag = cmath.rect(1 / asset.cos_phi, -math.acos(asset.cos_phi))
    if len(lines) == 2:
        first, second = lines
        across = _TURN[first] - _TURN[second]
        along = across / abs(across) * lag * 1000 / nominal_v
        return along if phase == first else -along
    return _TURN[phase] * lag * 1000 / (nominal_v / math.sqrt(3)) / len(lines)
