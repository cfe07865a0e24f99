"""A plan reaches a simulated SunSpec battery: aggregator, broker, edge agent and simulator, each a process of its own; power is judged by the plant's truth."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from whole_system import eventually

from wattline.system import System, Wanted
from wattline.viewer import get_json
from wire.clock import Clock

SPEED = 5.0
NOON_MS = 1_520_175_600_000 + 12 * 3_600_000  # 2018-03-05T12:00 in Seoul
SITE = """
[[plant]]
name = "works"
time_zone = "Asia/Seoul"
load = { kind = "synthetic", base_kw = 100, peak_kw = 100, noise_ratio = 0 }
battery = { capacity_kwh = 200, charge_kw = 50, discharge_kw = 50 }
[[plant.device]]
name = "incomer"
kind = "schneider_pm5560"
measures = "grid"
start_import_kwh = 1000
[[plant.device]]
name = "battery"
kind = "sunspec_der_battery"
"""
CIRCUIT = """
facility = "works"
[[branch]]
name = "connection"
limit_kva = 400
export_limit_kw = 0
edge = "gw-works"
meter = "incomer"
uncontrolled_max_kva = 200
[[asset]]
name = "battery"
kind = "battery"
branch = "connection"
edge = "gw-works"
device = "battery"
point = "active_power_setpoint_kw"
charge_kw = 50
discharge_kw = 50
capacity_kwh = 200
"""
# Dear for the first two hours, cheap from then on: what the battery has goes out now, at full power where that is not more than its energy.
TARIFF = """circuit = "circuit.toml"
[facility.tariff]
currency = "KRW"
period = [{ name = "peak", price_per_kwh = 2.0, hours = ["12:00-14:00"] }, { name = "flat", price_per_kwh = 0.2 }]
"""
PATH = "/api/v1/facilities/works"


class Planned(System):
    """A system whose one facility has a circuit, at the aggregator and at its edge."""

    def _write_aggregator(self) -> None:
        super()._write_aggregator()
        (self.directory / "circuit.toml").write_text(CIRCUIT)
        file = self.directory / "aggregator.toml"
        head, storage, rest = file.read_text().partition("[[facility.storage]]")
        if "[facility.tariff]" not in head:
            head = head.replace("[[facility.meter]]", TARIFF + "[[facility.meter]]", 1)
            file.write_text(head + storage + rest)
        edge = self.directory / "gw-works.toml"
        if "[control]" not in edge.read_text():
            edge.write_text(edge.read_text() + '[control]\ncircuit = "circuit.toml"\n')


def truth_kw(system: System, node: str) -> float:
    with socket.create_connection(("127.0.0.1", system.control_port), timeout=5) as control:
        control.sendall(b'{"show": "plants"}\n')
        answer = json.loads(control.makefile("rb").readline())
    return float(answer["plants"]["works"]["active_power_kw"][node])


@pytest.mark.long
def test_a_plan_is_made_signed_taken_and_followed_by_the_battery(
    tmp_path: Path, make_system: Callable[..., System]
) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    wanted = Wanted(tmp_path / "demo", tmp_path / "site.toml", Clock(NOON_MS, SPEED), poll_s=1.0)
    system = make_system(wanted, Planned)
    current: dict[str, Any] = {}

    def taken() -> bool:
        listed = get_json(f"{system.url}{PATH}/plans")["plans"]
        if not listed:
            return False
        current.update(get_json(f"{system.url}{PATH}/plans/current"))
        battery = current["figures"]["assets"].get("battery")
        return battery is not None and [one["state"] for one in current["schedules"]] == ["taken"]

    eventually(taken, f"a plan with the battery is taken by the edge; it is {current}")
    planned_kw = current["figures"]["assets"]["battery"]["kw"][0]
    assert planned_kw < -20, "it gives while energy is dear"
    eventually(lambda: abs(truth_kw(system, "battery") - planned_kw) < 1.0, "the battery follows the plan")
    assert current["figures"]["against"]["uncontrolled"]["saved_money"] > 0
    eventually(lambda: get_json(f"{system.url}{PATH}/offers")["offers"] is not None, "offers are made beside the plan")
