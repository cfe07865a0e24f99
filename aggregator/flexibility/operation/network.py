"""A circuit as the planner's branches: phasors per phase, neutral and unbalance, apparent power, with what nobody steers. Not who measures it.

Domain rule 27: background with its angle is a phasor; where only its magnitude is known it is added as a scalar.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.flexibility.problem import Branch, Phasors, Series
from wire import circuit as network
from wire.circuit import PHASES, Asset, Circuit, Phase, amps_per_kw

COS_PHI: Final = 0.95  # of a load whose reactive power nobody has measured, lagging


@dataclass(frozen=True, slots=True)
class Background:
    """What is drawn on a branch and steered by nobody, per step: kW with kvar, or kVA of which the angle is not known. `spare_kva` is kept free on top."""

    kw: Series | None = None
    kvar: Series | None = None
    kva: Series | None = None
    spare_kva: float = 0.0


def branches(
    circuit: Circuit, background: Mapping[str, Background], members: Mapping[str, Sequence[str]], steps: int
) -> list[Branch]:
    """The planner's branches. `members`: which storage or sessions stand behind each asset now; an asset without any draws nothing."""
    found: list[Branch] = []
    for branch in circuit.branch:
        drawn = background.get(branch.name, Background())
        assets = [(asset, name) for asset in circuit.below(branch.name) for name in members.get(asset.name, ())]
        if branch.limit_kva is not None:
            shares = {name: _apparent(asset) for asset, name in assets}
            found.append(
                Branch(branch.name, branch.limit_kva, shares, _power(drawn, steps), _scalar(drawn, 1.0, steps))
            )
        if branch.limit_a is not None:
            found += _phases(branch, drawn, assets, steps)
    return found


def _phases(branch: network.Branch, drawn: Background, assets: Sequence[tuple[Asset, str]], steps: int) -> list[Branch]:
    assert branch.limit_a is not None
    nominal_v = branch.nominal_v
    shares = {
        phase: {name: amps_per_kw(asset, phase, nominal_v) for asset, name in assets if phase in _lines(asset)}
        for phase in PHASES
    }
    amps = {phase: _current(drawn, phase, nominal_v, steps) for phase in PHASES}
    scalar = _scalar(drawn, 1000 / (math.sqrt(3) * nominal_v), steps)
    found = [Branch(f"{branch.name} {phase}", branch.limit_a, shares[phase], amps[phase], scalar) for phase in PHASES]
    if branch.neutral_limit_a is not None:
        together = {name: sum((shares[phase].get(name, 0j) for phase in PHASES), 0j) for _, name in assets}
        found.append(Branch(f"{branch.name} N", branch.neutral_limit_a, _there(together)))  # balanced load has none
    if branch.unbalance_limit_a is not None:
        found += _unbalance(branch, branch.unbalance_limit_a, shares, assets)
    return found


def _unbalance(
    branch: network.Branch, limit_a: float, shares: Mapping[Phase, Mapping[str, complex]], assets: Sequence[tuple[Asset, str]]
) -> list[Branch]:  # fmt: skip
    """| |I1| - |I2| | is at most the difference of the two turned into one direction, which a plan can bound."""
    found = []
    for first, second in (("L1", "L2"), ("L2", "L3"), ("L3", "L1")):
        turns = [np.conj(_turn(first)), np.conj(_turn(second))]  # type: ignore[arg-type]
        apart = {
            name: complex(shares[first].get(name, 0j) * turns[0] - shares[second].get(name, 0j) * turns[1])  # type: ignore[index]
            for _, name in assets
        }
        found.append(Branch(f"{branch.name} {first}-{second}", limit_a, _there(apart)))
    return found


def _there(shares: Mapping[str, complex]) -> dict[str, complex]:
    return {name: share for name, share in shares.items() if abs(share) > 1e-9}


def _lines(asset: Asset) -> list[str]:
    return [asset.phases[at : at + 2] for at in range(0, len(asset.phases), 2)]


def _apparent(asset: Asset) -> complex:
    """kVA of an asset for 1 kW drawn: P + jQ."""
    return complex(1.0, math.tan(math.acos(asset.cos_phi)))


def _turn(phase: Phase) -> complex:
    return complex(np.exp(-2j * math.pi * PHASES.index(phase) / 3))


def _power(drawn: Background, steps: int) -> Phasors | None:
    """P + jQ of what is known with its angle."""
    if drawn.kw is None:
        return None
    kvar = np.abs(drawn.kw) * math.tan(math.acos(COS_PHI)) if drawn.kvar is None else drawn.kvar
    return np.broadcast_to(drawn.kw + 1j * kvar, (steps,)).copy()


def _current(drawn: Background, phase: Phase, nominal_v: float, steps: int) -> Phasors | None:
    """The current of a balanced load in a phase, A."""
    power = _power(drawn, steps)
    return None if power is None else np.conj(power) * _turn(phase) * 1000 / (math.sqrt(3) * nominal_v)


def _scalar(drawn: Background, per_kva: float, steps: int) -> Series | None:
    known = np.zeros(steps) if drawn.kva is None else np.broadcast_to(drawn.kva, (steps,))
    total = (known + drawn.spare_kva) * per_kva
    return total if total.any() else None
