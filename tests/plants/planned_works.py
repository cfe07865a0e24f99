"""A small works with a battery, two chargers and the sun, as a state that tests change."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.flexibility.operation.state import Held, Outlook, Signal, State, Stay, edges_from
from aggregator.flexibility.operation.tariff import DemandRule, Period, Tariff, When
from wire import circuit as network

ZONE = ZoneInfo("Asia/Shanghai")
NOON_MS = round(datetime(2026, 11, 20, 12, 0, tzinfo=ZONE).timestamp() * 1000)
QUARTER_MS, HOUR_MS = 900_000, 3_600_000
CHEAP, DEAR = 0.3, 1.2
TARIFF = Tariff(
    (Period("peak", DEAR, When(hours=((16 * 60, 20 * 60),))), Period("flat", CHEAP)),
    demand=(DemandRule("month", 40.0),),
    carbon_price_per_kg=0.1,
)
CIRCUIT = network.of_tree(
    {
        "facility": "works",
        "branch": [
            {"name": "transformer", "limit_kva": 400, "export_limit_kw": 0, "edge": "gw-01"},
            {"name": "garage", "within": "transformer", "limit_a": 63, "edge": "gw-02"},
        ],
        "asset": [
            {"name": "battery", "kind": "battery", "branch": "transformer", "edge": "gw-01", "device": "battery", "point": "active_power_setpoint_kw",
             "charge_kw": 50, "discharge_kw": 50, "capacity_kwh": 100, "least_percent": 10, "charge_ratio": 1.0, "discharge_ratio": 1.0},
            {"name": "pile-1", "kind": "charger", "branch": "garage", "edge": "gw-02", "device": "pile-1", "point": "charging_limit_kw",
             "charge_kw": 11, "discharge_kw": 11, "charge_ratio": 1.0, "discharge_ratio": 1.0},
            {"name": "pile-2", "kind": "charger", "branch": "garage", "edge": "gw-02", "device": "pile-2", "point": "charging_limit_kw",
             "phases": "L1", "charge_kw": 7.36, "charge_ratio": 1.0},
        ],
    }
)  # fmt: skip


def outlook(steps: int, load_kw: float = 100.0, sun_kw: float = 0.0, **said: Any) -> Outlook:
    load, sun = np.full(steps, load_kw), np.full(steps, sun_kw)
    return Outlook(load, said.get("high_load_kw", load), sun, said.get("low_sun_kw", sun), "by hand")


def vehicle(hours: float = 4.0, need_kwh: float = 22.0, **said: Any) -> Stay:
    given: dict[str, Any] = {
        "session": "pile-1-7", "asset": "pile-1", "arrived_ms": NOON_MS, "departs_ms": NOON_MS + round(hours * HOUR_MS), "held_kwh": 0.0,
        "need_kwh": need_kwh, "capacity_kwh": 60.0,
    }  # fmt: skip
    return Stay(**(given | said))


def state(now_ms: int = NOON_MS, load_kw: float = 100.0, **said: Any) -> State:
    edges = said.pop("edges_ms", edges_from(now_ms))
    given: dict[str, Any] = {
        "outlook": outlook(len(edges) - 1, load_kw),
        "held": (Held("battery", 50.0, now_ms),),
        "peaks_kw": {"month": 200.0},
        "signals": (Signal("accounting", np.full(len(edges) - 1, 0.5), "a factor"),),
    }
    return State("works", now_ms, edges, **(given | said))
