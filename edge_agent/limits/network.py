"""The part of a circuit that one edge keeps, laid out for a round each second: assets as lines, branches with what a kW of each line does there.

A branch has five channels: the current phasors of L1, L2, L3 and of the neutral (A), and the power P + jQ (kVA), import positive. What an asset adds to a channel
is linear in its power: `kW x coefficient`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wire.circuit import PHASES, Asset, Branch, Circuit, amps_per_kw

L1, L2, L3, NEUTRAL, POWER = range(5)
CHANNELS: Final = 5
PHASE_V: Final = 230.0  # what a charger's ampere is counted at, as its profiles are (OCPP: nominal voltage of the pile)
RESPONSE_S: Final[Mapping[str, float]] = {"charger": 8.0, "battery": 2.0, "pv": 5.0, "load": 10.0}
RAISE_EVERY_S: Final[Mapping[str, float]] = {"charger": 30.0, "battery": 1.0, "pv": 1.0, "load": 10.0}

Coefficients = tuple[complex, complex, complex, complex, complex]


@dataclass(frozen=True, slots=True)
class Line:
    """An asset as the loop sees it. Powers are its own at the AC side in load sign: charging positive, a PV plant's order is the negative of its cap.

    `least_kw`: its smallest power other than 0; `step_kw`: a step of 1 A, 0 where it has none; `raise_every_s`: the shortest time between two raises.
    """

    asset: Asset
    low_kw: float
    high_kw: float
    least_kw: float
    step_kw: float
    response_ms: int
    raise_every_s: float
    branches: tuple[int, ...]  # of the kept ones, those that it counts on

    @property
    def rated_kw(self) -> float:
        """The larger of both directions."""
        return max(self.high_kw, -self.low_kw)


@dataclass(frozen=True, slots=True)
class KeptBranch:
    """A branch that this edge keeps. `members`: the lines on it; `per_kw`: what a kW of each does to its channels."""

    branch: Branch
    members: tuple[int, ...]
    per_kw: Mapping[int, Coefficients]


@dataclass(frozen=True, slots=True)
class Network:
    """What one edge keeps and steers. `lines` are the assets of this edge, in the circuit's order; `kept` its branches, the deepest first."""

    circuit: Circuit
    edge: str
    lines: tuple[Line, ...]
    kept: tuple[KeptBranch, ...]


def network_of(
    circuit: Circuit,
    edge: str,
    response_s: Mapping[str, float] | None = None,
    raise_every_s: Mapping[str, float] | None = None,
) -> Network:
    """The part of `circuit` that `edge` keeps. `response_s`, `raise_every_s`: by asset, where it is known better than by its kind."""
    response_s, raise_every_s = response_s or {}, raise_every_s or {}
    assets = [asset for asset in circuit.asset if asset.edge == edge]
    branches = [branch for branch in circuit.branch if branch.edge == edge]
    branches.sort(key=lambda branch: -len(circuit.path(branch.name)))
    paths = [{branch.name for branch in circuit.path(asset.branch)} for asset in assets]
    lines = tuple(
        _line(
            asset,
            response_s.get(asset.name, RESPONSE_S[asset.kind]),
            raise_every_s.get(asset.name, RAISE_EVERY_S[asset.kind]),
            tuple(place for place, branch in enumerate(branches) if branch.name in path),
        )
        for asset, path in zip(assets, paths, strict=True)
    )
    kept = tuple(
        KeptBranch(branch, members, {member: coefficients(assets[member], branch.nominal_v) for member in members})
        for branch in branches
        for members in (tuple(index for index, path in enumerate(paths) if branch.name in path),)
    )
    return Network(circuit, edge, lines, kept)


def coefficients(asset: Asset, nominal_v: float) -> Coefficients:
    """What 1 kW of an asset adds to the channels of a branch."""
    first, second, third = (amps_per_kw(asset, phase, nominal_v) for phase in PHASES)
    reactive = math.tan(math.acos(asset.cos_phi))
    return first, second, third, first + second + third, complex(1.0, reactive)


def ampere_kw(asset: Asset) -> float:
    """What an ampere in each of an asset's conductors comes to."""
    lines = len(asset.phases) // 2
    return round((PHASE_V * math.sqrt(3) if lines == 2 else PHASE_V * lines) / 1000, 9)


def _line(asset: Asset, response_s: float, raise_every_s: float, branches: tuple[int, ...]) -> Line:
    charger = asset.kind == "charger"
    return Line(
        asset,
        -asset.discharge_kw,
        asset.charge_kw,
        round(asset.least_a * ampere_kw(asset), 6) if charger else 0.0,
        ampere_kw(asset) if charger else 0.0,
        round(response_s * 1000),
        raise_every_s,
        branches,
    )
