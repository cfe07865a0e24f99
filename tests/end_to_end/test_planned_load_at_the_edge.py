"""A load that can wait, from the aggregator's plan to the gateway's loop: off before its window, on in its cheap hours, cut by a limit, free without a plan."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from virtual_garage import Garage, tree

from aggregator.flexibility.operation.rolling import Rolling
from aggregator.flexibility.operation.state import Outlook, State, Window, edges_from
from aggregator.flexibility.operation.tariff import Period, Tariff, When

ZONE = ZoneInfo("Asia/Shanghai")
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BEGIN_MS = round(datetime(2026, 11, 20, 14, 0, tzinfo=ZONE).timestamp() * 1000)
PUMP = {
    "name": "pump", "kind": "load", "branch": "works", "edge": "gw-01", "device": "pump", "point": "active_power_limit_kw", "charge_kw": 10.0,
}  # fmt: skip


def test_a_planned_load_runs_when_the_plan_says_and_never_beyond_a_limit() -> None:
    """20 kWh from 14 to 22 h at 10 kW, dear from 16 to 20 h: 14 to 16 h."""
    garage = Garage(tree(PUMP, limit_kva=50.0))
    pump = garage.machines["pump"]
    now_ms = garage.clock.at_ms = BEGIN_MS - 2 * MINUTE_MS
    edges = edges_from(now_ms)
    load_kw = np.full(len(edges) - 1, 20.0)
    outlook = Outlook(load_kw, load_kw, np.zeros(len(load_kw)), np.zeros(len(load_kw)))
    window = Window("pump", "pump 11-20 14:00", BEGIN_MS, BEGIN_MS + 8 * HOUR_MS, 20.0, 0.0, 10.0)
    state = State("works", now_ms, edges, outlook, waiting=("pump",), windows=(window,))
    tariff = Tariff((Period("peak", 1.2, When(hours=((960, 1200),))), Period("flat", 0.3)))
    _, told = Rolling(garage.circuit, tariff, ZONE).replan(state)
    draft = told["gw-01"]
    garage.load_kw = {"works": 20.0}
    assert garage.schedule(wishes=draft.wishes, limits=draft.limits, valid_s=1200) == ""
    garage.run(110)
    assert pump.power_kw == 0.0
    garage.run(90)
    assert pump.told[-1][1] == pytest.approx(10.0)
    assert garage.power_kw("works") == pytest.approx(30.0)
    garage.load_kw = {"works": 45.0}  # 98 % of 50 kVA leave 4 kW
    garage.run(30)
    assert garage.power_kw("works") <= 49.0
    assert 2.0 < pump.power_kw <= 4.0
    garage.clock.at_ms = BEGIN_MS + 30 * MINUTE_MS  # the schedule is over: what is there may be used
    garage.load_kw = {"works": 20.0}
    garage.run(120)
    assert pump.power_kw == pytest.approx(10.0)
