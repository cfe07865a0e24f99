"""Plans beside ACN-Sim's earliest deadline and least laxity on Caltech's network, judged by that simulator. What the days are stands in tests/peers/acn_sim_days.py."""

import os
from pathlib import Path
from typing import Any

import pytest
from pip_package import answers

SHIPPED = Path(__file__).parents[3] / "device_sim" / "profiles" / "charging_sessions_week.csv"
DATA = Path(os.environ.get("WATTLINE_SHARED", Path(__file__).parents[4] / "shared")) / "data" / "ev_sessions_a.csv"
PACKAGE = "acnportal-0.3.3"


def days(path: Path, kwh: int, transformer_kw: int, *seeds: int, timeout_s: float) -> list[dict[str, Any]]:
    return answers("acn_sim_days.py", PACKAGE, path, kwh, transformer_kw, *seeds, timeout_s=timeout_s)


def test_on_a_small_day_every_demand_is_met_where_the_baselines_leave_one_short() -> None:
    (day,) = days(SHIPPED, 120, 16, 2, timeout_s=100)
    assert day["plan"]["refused"] == 0
    assert day["plan"]["met"] == day["sessions"] > max(day["edf"]["met"], day["llf"]["met"])
    assert day["plan"]["kwh"] > max(day["edf"]["kwh"], day["llf"]["kwh"])


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not DATA.exists(), reason=f"no measured sessions at {DATA}")
def test_on_heavy_days_plans_deliver_more_and_meet_more_than_either_baseline() -> None:
    """757 kWh of demand behind 60 kW, as flexibility.md 0.5; rolling: at each step only vehicles that are plugged in are known."""
    found = days(DATA, 757, 60, 1, 2, 3, 4, 5, 6, 7, timeout_s=1400)
    assert len(found) == 7
    for day in found:
        for baseline in ("edf", "llf"):
            assert day["plan"]["kwh"] > day[baseline]["kwh"], day
            assert day["plan"]["met"] > day[baseline]["met"], day
            assert day["plan"]["nearly_met"] > day[baseline]["nearly_met"], (
                day
            )  # to a quarter of a kWh: not by a step of the pilot
        assert day["plan"]["refused"] == 0
