"""What is wanted of a connector, point by point, as one charging rate. Pure; how it gets into the pile is `steering`'s."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from edge_agent.drivers.ocpp import charging
from edge_agent.drivers.ocpp.charging import Unit
from edge_agent.drivers.ocpp.declared import PilePlan


@dataclass(frozen=True, slots=True)
class Wanted:
    """A value of one point until an instant (UTC ms)."""

    value: Decimal
    until_ms: int


@dataclass(frozen=True, slots=True)
class Order:
    """All points of a connector as one charging rate, in `unit`; `setpoint` and `discharge` in W. `why` says what was changed on the way."""

    limit: Decimal
    unit: Unit
    setpoint: Decimal | None = None
    discharge: Decimal | None = None
    why: str = ""
    held_off: bool = False


def order_of(wanted: Mapping[str, Wanted], unit: Unit, plan: PilePlan) -> Order | None:
    """What is wanted now, None where nothing is."""
    if not wanted:
        return None
    limits = []
    if (kw := wanted.get("charging_limit_kw")) is not None:
        limits.append(charging.in_unit(kw.value, unit, plan))
    if (amperes := wanted.get("charging_limit_a")) is not None:
        limits.append(charging.from_amperes(amperes.value, unit, plan))
    setpoint = wanted.get("active_power_setpoint_kw")
    if not limits and setpoint is None:
        return None
    most = plan.rated_power_kw
    limit = min(limits) if limits else charging.in_unit(Decimal(str(most or 1000)), unit, plan)
    if setpoint is None:
        least = charging.from_amperes(Decimal(str(plan.quirks.minimum_current_a)), unit, plan)
        if plan.quirks.current == "ac" and 0 < limit < least and plan.connector:
            return Order(Decimal(0), unit, why=f"below the least of {least} {unit}: off")
        return Order(limit, unit)
    target = charging.rounded_down(setpoint.value * 1000)
    watts = charging.rounded_down(charging.kilowatts(limit, unit, plan) * 1000)
    discharge = wanted.get("discharging_limit_kw")
    floor = None if discharge is None else -charging.rounded_down(discharge.value * 1000)
    why = ""
    if target > watts or (floor is not None and target < floor):
        target = min(target, watts) if floor is None else max(min(target, watts), floor)
        why = "set-point held within the limits"
    return Order(watts, "W", target, floor, why)
