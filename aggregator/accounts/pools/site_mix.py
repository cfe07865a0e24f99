"""One interval of a site, solved in order: grid, PV, storage, vehicles, loads. Not how pools keep what reaches them, nor where energies come from.

Export is drawn from what the site itself gives (PV, storage, vehicles) in proportion to its energy, and from the grid only where that is not
enough: grid energy is never exported while local energy is there. What is left of grid and PV charges storage; that and what storage
gives charges vehicles; that and what vehicles give reaches the loads. So no pool ever charges from itself. Every kg that comes in goes out:
the loads take the exact rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.accounts.pools.parcel import KWH_QUANTUM, NOTHING, ZERO, Parcel, share, uncovered
from aggregator.accounts.pools.pool import Pool
from aggregator.emissions.amounts import EXACT

GRID: Final = "grid"
PV: Final = "pv"


@dataclass(frozen=True, slots=True)
class InOut:
    """AC kWh of a storage or vehicle meter in one interval, both 0 or above."""

    charged_kwh: Decimal = ZERO
    discharged_kwh: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Flows:
    """Measured energies of one interval, each 0 or above. `grid` is the import with its kg; `pv` has none unless its certificates are sold."""

    grid: Parcel
    pv: Parcel
    exported_kwh: Decimal
    storage: Mapping[str, InOut]
    vehicles: Mapping[str, InOut]


@dataclass(frozen=True, slots=True)
class Solved:
    """Where one interval's energy came from and went to. AC kWh. `charged`, `delivered` and `exported` by the name of the storage or vehicle;
    `exported` has PV and GRID as well. kg: grid + pv + delivered = charged + exported + loads.

    `reached`: all that reaches vehicles and loads; its kg per kWh is the site's intensity. `short_kwh`: what flowed out beyond what came in.
    """

    grid: Parcel
    pv: Parcel
    charged: Mapping[str, Parcel]
    delivered: Mapping[str, Parcel]
    exported: Mapping[str, Parcel]
    loads: Parcel
    reached: Parcel
    short_kwh: Decimal = ZERO

    @property
    def pv_own_kwh(self) -> Decimal:
        """PV energy that was used or stored on site."""
        return EXACT.subtract(self.pv.kwh, self.exported[PV].kwh)


def solve(flows: Flows, pools: Mapping[str, Pool]) -> Solved:
    """Solves one interval and lets it pass through the pools of its storage and vehicles; without a pool a discharge has no figure."""
    away = _export_shares(flows)
    grid, pv = flows.grid, flows.pv
    exported = dict[str, Parcel]()
    exported[GRID], grid_left = grid.take(away[GRID])
    exported[PV], pv_left = pv.take(away[PV])
    charged, delivered = dict[str, Parcel](), dict[str, Parcel]()
    mixed, short_kwh = grid_left + pv_left, ZERO
    reached = Parcel()
    for tier, is_vehicle in ((flows.storage, False), (flows.vehicles, True)):
        parts, mixed, short = _parted(mixed, [each.charged_kwh for each in tier.values()])
        short_kwh += short
        for name, part in zip(tier, parts, strict=True):
            charged[name] = part
            if is_vehicle:
                reached += part
            if name in pools:
                pools[name].charge(part)
        for name, each in tier.items():
            given = pools[name].discharge(each.discharged_kwh) if name in pools else uncovered(each.discharged_kwh)
            delivered[name] = given
            exported[name], here = given.take(min(away[name], given.kwh))
            mixed += here
    return Solved(grid, pv, charged, delivered, exported, mixed, reached + mixed, short_kwh)


def unsolved(flows: Flows, pools: Mapping[str, Pool]) -> Solved:
    """An interval in which something was not measured: what was measured passes through the pools without a figure, and all kg stay with the loads."""
    charged, delivered = dict[str, Parcel](), dict[str, Parcel]()
    loads = Parcel(ZERO, EXACT.add(flows.grid.kg, flows.pv.kg))
    for name, each in (*flows.storage.items(), *flows.vehicles.items()):
        charged[name] = uncovered(each.charged_kwh)
        if name in pools:
            pools[name].charge(charged[name])
        delivered[name] = (
            pools[name].discharge(each.discharged_kwh) if name in pools else uncovered(each.discharged_kwh)
        )
        loads += Parcel(ZERO, delivered[name].kg)
    exported = {GRID: uncovered(flows.exported_kwh), PV: Parcel()} | {name: Parcel() for name in charged}
    reached = sum((charged[name] for name in flows.vehicles), Parcel())
    return Solved(flows.grid, flows.pv, charged, delivered, exported, loads, reached)


def caused(flows: Flows, pools: Mapping[str, Pool], marginal: Callable[[Decimal], Parcel]) -> Solved:
    """What charging causes, wherever its energy comes from: PV that is stored is not exported. Only `charged` and `delivered` have anything."""
    charged, delivered = dict[str, Parcel](), dict[str, Parcel]()
    for name, each in (*flows.storage.items(), *flows.vehicles.items()):
        charged[name] = marginal(each.charged_kwh)
        if name in pools:
            pools[name].charge(charged[name])
        delivered[name] = (
            pools[name].discharge(each.discharged_kwh) if name in pools else uncovered(each.discharged_kwh)
        )
    return Solved(NOTHING, NOTHING, charged, delivered, {}, NOTHING, NOTHING)


def _export_shares(flows: Flows) -> dict[str, Decimal]:
    """kWh of the export by what gave it."""
    local = {PV: flows.pv.kwh} | {
        name: each.discharged_kwh for tier in (flows.storage, flows.vehicles) for name, each in tier.items()
    }
    given_kwh = sum(local.values(), ZERO)
    out_kwh = flows.exported_kwh
    if out_kwh >= given_kwh:
        beyond_kwh = min(EXACT.subtract(out_kwh, given_kwh), flows.grid.kwh)
        return local | {GRID: beyond_kwh}
    shares = {name: min(kwh, share(out_kwh, kwh, given_kwh, KWH_QUANTUM)) for name, kwh in local.items()}
    # What cutting has left over, a few quanta, goes to whoever has room for it.
    left_kwh = EXACT.subtract(out_kwh, sum(shares.values(), ZERO))
    for name, kwh in local.items():
        moved_kwh = max(-shares[name], min(left_kwh, EXACT.subtract(kwh, shares[name])))
        shares[name] = EXACT.add(shares[name], moved_kwh)
        left_kwh = EXACT.subtract(left_kwh, moved_kwh)
    return shares | {GRID: ZERO}


def _parted(mixed: Parcel, wanted_kwh: Sequence[Decimal]) -> tuple[list[Parcel], Parcel, Decimal]:
    """(what each wants, the rest, kWh that were not there). Where the mixture is not enough each gets its share, and the rest of it has no figure."""
    all_kwh = sum(wanted_kwh, ZERO)
    if not all_kwh:
        return [Parcel() for _ in wanted_kwh], mixed, ZERO
    short_kwh = max(ZERO, EXACT.subtract(all_kwh, mixed.kwh))
    pot, rest = (mixed + uncovered(short_kwh), Parcel()) if short_kwh else mixed.take(all_kwh)
    parts = []
    for kwh in wanted_kwh:
        part, pot = pot.take(kwh)
        parts.append(part)
    return parts, rest, short_kwh
