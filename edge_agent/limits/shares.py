"""What each asset may draw while nobody measures: its share of what a branch surely has left. Pure.

```
share = max(0, limit - uncontrolled_max - fixed) / n        fixed: what assets may always draw (`safe_kw`); n: the chargers and loads of the branch
```
The least over an asset's branches holds; in amperes per phase, in kVA by its cos phi, `uncontrolled_max_kva` in equal parts on three phases. Where not everybody could have its
least current, as many as can have it and the others are off, in turns of a quarter of an hour. Batteries rest; a PV plant gives its `safe_kw`, without one all it has.
"""

import math
from collections.abc import Mapping
from typing import Final

from edge_agent.limits.network import ampere_kw
from wire.circuit import PHASES, Asset, Branch, Circuit, amps_per_kw

TURN_MS: Final = 900_000

_Pool = tuple[str, str]  # branch, and phase or "" for the whole


def safe_shares(circuit: Circuit, now_ms: int) -> dict[str, float]:
    """kW of each asset of the circuit, of whatever edge, in load sign (a PV plant's negative)."""
    shares = {asset.name: _alone_kw(asset) for asset in circuit.asset}
    takers = [asset for asset in circuit.asset if asset.kind in ("charger", "load")]
    pools = {pool: room for branch in circuit.branch for pool, room in _rooms(branch)}
    needs = {asset.name: _needs(circuit, asset) for asset in takers}
    for asset in takers:
        for pool, per_kw in needs[asset.name].items():
            pools[pool] -= per_kw * (asset.safe_kw or 0.0)
    pools = {pool: max(0.0, room) for pool, room in pools.items()}
    chosen = _chosen(takers, needs, dict(pools), now_ms // TURN_MS)
    counts: dict[_Pool, int] = {}
    for asset in chosen:
        for pool in needs[asset.name]:
            counts[pool] = counts.get(pool, 0) + 1
    for asset in takers:
        extra = (
            min((pools[pool] / counts[pool] / per_kw for pool, per_kw in needs[asset.name].items()), default=math.inf)
            if asset in chosen
            else 0.0
        )
        shares[asset.name] = min(asset.charge_kw, (asset.safe_kw or 0.0) + extra)
    return shares


def _alone_kw(asset: Asset) -> float:
    if asset.kind == "pv":
        return -(asset.discharge_kw if asset.safe_kw is None else min(asset.safe_kw, asset.discharge_kw))
    return 0.0


def _rooms(branch: Branch) -> list[tuple[_Pool, float]]:
    """What a branch has left for its assets, in kVA and in A of each phase."""
    uncontrolled_kva = branch.uncontrolled_max_kva or 0.0
    rooms: list[tuple[_Pool, float]] = []
    if branch.limit_kva is not None:
        rooms.append(((branch.name, ""), branch.limit_kva - uncontrolled_kva))
    if branch.limit_a is not None:
        uncontrolled_a = uncontrolled_kva * 1000 / (math.sqrt(3) * branch.nominal_v)
        rooms += [((branch.name, phase), branch.limit_a - uncontrolled_a) for phase in PHASES]
    return rooms


def _needs(circuit: Circuit, asset: Asset) -> dict[_Pool, float]:
    """What 1 kW of an asset takes of each pool."""
    found: dict[_Pool, float] = {}
    for branch in circuit.path(asset.branch):
        if branch.limit_kva is not None:
            found[branch.name, ""] = 1 / asset.cos_phi
        if branch.limit_a is not None:
            for phase in PHASES:
                size_a = abs(amps_per_kw(asset, phase, branch.nominal_v))
                if size_a:
                    found[branch.name, phase] = size_a
    return found


def _chosen(
    takers: list[Asset], needs: Mapping[str, Mapping[_Pool, float]], rooms: dict[_Pool, float], turn: int
) -> list[Asset]:
    """Who has a turn: all, where there is room for everybody's least."""
    if not takers:
        return []
    start = turn % len(takers)
    chosen = []
    for asset in takers[start:] + takers[:start]:
        least_kw = asset.least_a * ampere_kw(asset) if asset.kind == "charger" else 0.0
        wants = {
            pool: per_kw * max(0.0, least_kw - (asset.safe_kw or 0.0)) for pool, per_kw in needs[asset.name].items()
        }
        if least_kw <= asset.charge_kw and all(want <= rooms[pool] + 1e-9 for pool, want in wants.items()):
            chosen.append(asset)
            for pool, want in wants.items():
                rooms[pool] -= want
    return chosen
