"""Whether a circuit fits the edge file that names it, and what its limits come to, for people. Nothing is read from a device.

What only both together show: assets and meters of this edge are devices of the file, with points that may be written and fall back by themselves; the meter of a kept branch is
read at least every 2 s, or the limits could not be kept and nothing is started.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.allow import Allowed
from edge_agent.drivers.declared import Bus, Device
from edge_agent.limits.points import UNITS, point_value
from edge_agent.limits.shares import safe_shares
from wire.circuit import Asset, Circuit
from wire.quantities import QUANTITIES

METER_PERIOD_S: Final = 2.0
PROFILE_HOLD_S: Final = 900.0  # a charging profile is written anew at two thirds of it, and wears the pile's flash

Fault = tuple[str, str, str]  # key, expected, seen


@dataclass(frozen=True, slots=True)
class Reached:
    """A device of the edge file with the bus that it is on and what may be written."""

    device: Device
    bus: Bus
    allowed: Sequence[Allowed]
    wears: bool = False  # its points are profiles in flash


def faults(circuit: Circuit, facility: str, edge: str, devices: dict[str, Reached]) -> Iterator[Fault]:
    """What of a circuit does not fit an edge."""
    if circuit.facility != facility:
        yield "facility", repr(facility), repr(circuit.facility)
    if not any(branch.edge == edge for branch in circuit.branch) and not any(a.edge == edge for a in circuit.asset):
        yield "branch", f"at least one branch or asset of edge {edge}", "none"
    for index, branch in enumerate(circuit.branch):
        if branch.edge != edge or not branch.meter:
            continue
        reached = devices.get(branch.meter)
        if reached is None:
            yield f"branch[{index}].meter", "a device of the edge file", repr(branch.meter)
        elif reached.device.period_s > METER_PERIOD_S:
            yield (
                f"branch[{index}].meter",
                f"a meter that is read at least every {METER_PERIOD_S:g} s, or limits cannot be kept",
                f"period_s = {reached.device.period_s:g} of {branch.meter}",
            )
    for index, asset in enumerate(circuit.asset):
        if asset.edge == edge:
            yield from ((f"asset[{index}].{key}", expected, seen) for key, expected, seen in _asset(asset, devices))
        elif any(branch.edge == edge for branch in circuit.path(asset.branch)[:1]):
            yield f"asset[{index}].edge", f"{edge}, which keeps its branch {asset.branch}", asset.edge
    yield from _sources(circuit, edge, devices)


def _sources(circuit: Circuit, edge: str, devices: dict[str, Reached]) -> Iterator[Fault]:
    kept = {branch.name for branch in circuit.branch if branch.edge == edge}
    for index, source in enumerate(circuit.limit_source):
        here = f"limit_source[{index}]"
        if source.branch in kept and source.edge != edge:
            yield f"{here}.edge", f"{edge}, which keeps branch {source.branch}", source.edge
        if source.edge != edge:
            continue
        if source.device not in devices:
            yield f"{here}.device", "a device of the edge file", repr(source.device)
        quantity = QUANTITIES.get(source.quantity)
        if quantity is None or quantity.unit != "kW":
            yield f"{here}.quantity", "a quantity in kW", repr(source.quantity)


def _asset(asset: Asset, devices: dict[str, Reached]) -> Iterator[Fault]:
    reached = devices.get(asset.device)
    if reached is None:
        yield "device", "a device of the edge file", repr(asset.device)
        return
    allowed = next((entry for entry in reached.allowed if entry.point == asset.point), None)
    if allowed is None:
        names = ", ".join(entry.point for entry in reached.allowed) or "none"
        yield "point", f"a point that {asset.device} allows ({names})", repr(asset.point)
        return
    if allowed.fallback == "none":
        yield "point", "a point that falls back without this gateway (device_timer or watchdog)", f"{asset.point}: none"
    if not asset.point.endswith(tuple(UNITS)):
        yield "point", f"a point in one of {', '.join(UNITS)}", repr(asset.point)
        return
    if asset.point.endswith("_percent"):
        most = [100.0]
    elif asset.kind == "pv":
        most = [point_value(asset, -asset.discharge_kw)]
    else:
        most = [point_value(asset, asset.charge_kw)]
        if "setpoint" in asset.point and asset.discharge_kw:
            most.append(-asset.discharge_kw)
    for value in (*most, 0.0):
        if not allowed.low - 1e-6 <= value <= allowed.high + 1e-6:
            yield (
                "point",
                f"an allowed range that holds {value:g}",
                f"{allowed.low:g} to {allowed.high:g} {allowed.unit}",
            )
            break
    if reached.wears and allowed.hold_s < PROFILE_HOLD_S:
        yield (
            "point",
            f"hold_s of at least {PROFILE_HOLD_S:g} in the allow of {asset.device} (its charging profiles are written to flash)",
            f"{allowed.hold_s:g}",
        )


def lines(circuit: Circuit, edge: str) -> Iterator[str]:
    """The branches that an edge keeps, its assets, and what each may draw in the safe state."""
    shares = safe_shares(circuit, 0)
    for branch in circuit.branch:
        if branch.edge != edge:
            continue
        limits = [
            f"{value:g} {unit}"
            for value, unit in (
                (branch.limit_kva, "kVA"),
                (branch.limit_a, "A in each phase"),
                (branch.neutral_limit_a, "A in the neutral"),
                (branch.unbalance_limit_a, "A between phases"),
                (branch.export_limit_kw, "kW export"),
            )
            if value is not None
        ]
        within = f" within {branch.within}" if branch.within else ""
        meter = f"meter {branch.meter}" if branch.meter else "no meter: kept by what is ordered"
        yield f"branch {branch.name}{within}: {', '.join(limits)}; {meter}"
    for asset in circuit.asset:
        if asset.edge == edge:
            yield (
                f"asset {asset.name}: {asset.kind} on {asset.branch}, {asset.device}.{asset.point}, {asset.phases}, "
                f"{0.0 - asset.discharge_kw:g} to {asset.charge_kw:g} kW; share without its meter {shares[asset.name]:.3g} kW"
            )
    for source in circuit.limit_source:
        if source.edge == edge:
            yield (
                f"limit of {source.branch} ({source.direction}): {source.quantity} of {source.device}; "
                f"{source.fail_safe_kw:g} kW when not stated for {source.heartbeat_s:g} s"
            )
