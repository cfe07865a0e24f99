"""An asset's power as the value of its point: kW, A of each phase, or per cent of its rated power. Not what it shall be."""

from collections.abc import Sequence
from typing import Final

from edge_agent.limits.network import ampere_kw
from wire.circuit import Asset

UNITS: Final[Sequence[str]] = ("_kw", "_a", "_percent")


def point_value(asset: Asset, kw: float) -> float:
    """What is written for an order of `kw` (load sign). A limit of what is generated or given back is a positive number."""
    point = asset.point
    if point.endswith("_percent"):
        rated_kw = asset.discharge_kw if asset.kind == "pv" else asset.charge_kw
        return round(min(100.0, 100 * abs(kw) / rated_kw), 4)
    if asset.kind == "pv" and not point.startswith("active_power"):
        kw = abs(kw)
    return round(kw / ampere_kw(asset), 4) if point.endswith("_a") else kw


def gives_back(asset: Asset) -> bool:
    """Whether its point can make an asset discharge: a set-point of power, not a limit."""
    return asset.kind == "pv" or (asset.discharge_kw > 0 and "setpoint" in asset.point)
