"""What is wanted of each asset before the limits cut it: the schedule's wish, the local rules, or its share in a safe state. Pure.

plan, override, event ... -> the wish of the highest authority that stands     nothing said: vehicles as fast as they can, batteries rest, PV gives what it has
a branch without its meter -> at most the share, nothing is given back
"""

from dataclasses import dataclass
from typing import Final

from edge_agent.limits.network import Line
from edge_agent.limits.points import gives_back
from edge_agent.limits.state import AssetState
from wire.schedule import Stay, Wish

RESTORE_S: Final = 300.0  # a third of 15 min: after those, one twentieth of what a battery has lent is left


@dataclass(slots=True)
class Vehicle:
    """What a charger's stay comes to by now: `given_kwh` since the schedule was taken."""

    stay: Stay | None = None
    given_kwh: float = 0.0

    def laxity_h(self, line: Line, now_ms: int) -> float:
        """How long it could wait and still have what it needs; inf where nothing is promised, or nothing can be kept any more."""
        if self.stay is None or self.stay.departs_ms <= now_ms or line.high_kw <= 0:
            return float("inf")
        need_kwh = self.stay.need_kwh - self.given_kwh
        return (self.stay.departs_ms - now_ms) / 3_600_000 - need_kwh / line.high_kw if need_kwh > 0 else float("inf")


def want(
    line: Line,
    asset: AssetState,
    wish: Wish | None,
    vehicle: Vehicle,
    now_ms: int,
    safe_kw: float | None,
    charge_percent: float | None,
    lent_kwh: float,
) -> None:
    """Sets target, range and laxity of an asset. `safe_kw`: its share where a branch of it is in its safe state, else None. `lent_kwh`: what a battery is short of its plan."""
    kind = line.asset.kind
    low_kw, high_kw = line.low_kw, line.high_kw
    if kind == "charger":
        stay = vehicle.stay
        if stay is None or not stay.gives_back or stay.departs_ms <= now_ms or not gives_back(line.asset):
            low_kw = 0.0
        asset.laxity_h = vehicle.laxity_h(line, now_ms)
    elif kind == "battery":
        if charge_percent is not None and charge_percent <= line.asset.least_percent:
            low_kw = 0.0
    elif kind == "load":
        low_kw = 0.0
    if safe_kw is not None:
        low_kw = min(0.0, safe_kw) if kind == "pv" else 0.0
        high_kw = safe_kw if kind in ("charger", "load") else 0.0
    asset.low_kw, asset.high_kw, asset.at_once = low_kw, high_kw, safe_kw is not None
    if wish is not None and wish.cap and kind != "pv":
        target_kw = max(0.0, wish.kw)  # a limit of 0 on charging never makes anything discharge
        if kind == "battery":
            target_kw = 0.0
    elif wish is not None:
        target_kw = wish.kw
    else:
        target_kw = {"charger": high_kw, "load": high_kw, "pv": low_kw, "battery": 0.0}[kind]
    if kind == "battery" and safe_kw is None:
        target_kw += lent_kwh * 3600 / RESTORE_S
    asset.target_kw = min(max(target_kw, low_kw), high_kw)
