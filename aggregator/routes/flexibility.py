"""What the page of storage, vehicles and grid events shows at once: assets as measured, the newest plan in words and figures, offers. Makes none of it."""

from typing import Any, Final

from fastapi import APIRouter, Depends

from aggregator.routes.demand_response import Conducted, kept
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Reader
from aggregator.routes.query import Answer, no_parameters
from aggregator.services import Services
from aggregator.stores.store import SeriesKey
from wire.circuit import Asset
from wire.reading import Quality

router = APIRouter(prefix="/api/v1/facilities/{facility}/flexibility", tags=["demand response"], dependencies=[Reader, Depends(no_parameters)])  # fmt: skip
_POWERS: Final = ("active_power_kw", "dc_power_kw")


class AssetAnswer(Answer):
    """What can be steered, with what its device says now; null where it says nothing."""

    name: str
    kind: str
    branch: str
    edge: str
    device: str
    charge_kw: float
    discharge_kw: float
    capacity_kwh: float | None
    measured_kw: float | None
    soc_percent: float | None
    held_kwh: float | None


class BranchAnswer(Answer):
    """A branch of the circuit; `within`: the one that it is part of, "" for the connection."""

    name: str
    within: str
    limit_kva: float | None
    limit_a: float | None


class FlexibilityAnswer(Answer):
    """`plan` is the newest one as `…/plans` has it, null where there is none; `offers` likewise. `accept`: who answers events, by the facility's policy."""

    facility: str
    at_ms: int
    accept: str
    assets: list[AssetAnswer]
    branches: list[BranchAnswer]
    plan: dict[str, Any] | None
    offers: dict[str, Any] | None


@router.get("")
def flexibility(given: Given, conduct: Conducted, named: Named) -> FlexibilityAnswer:
    """The facility as its planner sees it."""
    circuit = conduct.planner.circuit(named.id)
    plan = kept(lambda: conduct.planner.plan(named.id))
    return FlexibilityAnswer(
        facility=named.id, at_ms=given.clock(), accept=named.demand_response.accept,
        assets=[] if circuit is None else [_asset(given, named.id, asset) for asset in circuit.asset],
        branches=[]
        if circuit is None
        else [BranchAnswer(name=one.name, within=one.within, limit_kva=one.limit_kva, limit_a=one.limit_a) for one in circuit.branch],
        plan=plan, offers=kept(lambda: conduct.planner.offers(named.id)),
    )  # fmt: skip


def _asset(given: Services, facility: str, asset: Asset) -> AssetAnswer:
    kw = next((kw for name in _POWERS if (kw := _newest(given, facility, asset, name)) is not None), None)
    percent = _newest(given, facility, asset, "state_of_charge_percent")
    held = None if percent is None or asset.capacity_kwh is None else percent / 100 * asset.capacity_kwh
    return AssetAnswer(
        name=asset.name, kind=asset.kind, branch=asset.branch, edge=asset.edge, device=asset.device, charge_kw=asset.charge_kw,
        discharge_kw=asset.discharge_kw, capacity_kwh=asset.capacity_kwh, measured_kw=kw, soc_percent=percent, held_kwh=held,
    )  # fmt: skip


def _newest(given: Services, facility: str, asset: Asset, quantity: str) -> float | None:
    found = given.newest.of(SeriesKey(facility, asset.edge, asset.device, quantity))
    return None if found is None or found.quality is Quality.BAD else found.value
