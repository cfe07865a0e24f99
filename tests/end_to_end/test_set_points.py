"""A set-point from an HTTP request to a simulated battery and back, with every part a process of its own; power is judged by the plant's truth."""

import json
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.publish as paho
import pytest
from whole_system import eventually

from wattline.system import System, Wanted
from wattline.viewer import get_json
from wire.clock import Clock
from wire.command import Command, SetPoint, seal
from wire.keys import SigningKey
from wire.topics import edge_topic

SPEED = 20.0
NOON_MS = 1_520_175_600_000 + 12 * 3_600_000  # 2018-03-05T12:00 in Seoul
SITE = """
[[plant]]
name = "works"
time_zone = "Asia/Seoul"
load = { kind = "synthetic", base_kw = 100, peak_kw = 100, noise_ratio = 0 }
pv = { peak_kw = 250, latitude_deg = 35, longitude_deg = 127.7 }
battery = { capacity_kwh = 200, charge_kw = 50, discharge_kw = 50 }
[[plant.device]]
name = "incomer"
kind = "schneider_pm5560"
measures = "grid"
start_import_kwh = 1000
[[plant.device]]
name = "pv"
kind = "sunspec_pv"
[[plant.device]]
name = "battery"
kind = "sunspec_der_battery"
"""
PATH = "/api/v1/facilities/works/edges/gw-works/set-points"
HOLD_S = 60.0  # for how long the device goes on without the agent: the default of an edge file


class Plant:
    """The system with what a person would do at it."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.clock = system.wanted.clock
        self.edge = system.edges["gw-works"]

    def truth(self) -> dict[str, Any]:
        with socket.create_connection(("127.0.0.1", self.system.control_port), timeout=5) as control:
            control.sendall(b'{"show": "plants"}\n')
            answer = json.loads(control.makefile("rb").readline())
        found: dict[str, Any] = answer["plants"]["works"]
        return found

    def power_kw(self, node: str = "battery") -> float:
        return float(self.truth()["active_power_kw"][node])

    def ask(self, device: str, point: str, value: float | None, for_s: float, **more: Any) -> dict[str, Any]:
        """POST one set-point; the command as it was accepted."""
        wanted = {"device": device, "point": point, "value": value, "expires_at_ms": self.clock() + round(for_s * 1000)}
        request = urllib.request.Request(
            self.system.url + PATH,
            json.dumps({"set_points": [wanted], "valid_s": 600, **more}).encode(),
            {"Content-Type": "application/json", "X-Wattline-Write": "test"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 202
            answer: dict[str, Any] = json.load(response)
        return answer

    def found(self, command: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = get_json(f"{self.system.url}{PATH}/{command['id']}")
        return answer

    def becomes(self, command: dict[str, Any], state: str) -> dict[str, Any]:
        def is_so() -> bool:
            return bool(self.found(command)["set_points"][0]["state"] == state)

        eventually(is_so, f"{command['id']} becomes {state}; it is {self.found(command)['set_points']}")
        point: dict[str, Any] = self.found(command)["set_points"][0]
        return point


@pytest.fixture
def works(tmp_path: Path, make_system: Callable[[Wanted], System]) -> Plant:
    (tmp_path / "site.toml").write_text(SITE)
    system = make_system(Wanted(tmp_path / "demo", tmp_path / "site.toml", Clock(NOON_MS, SPEED), poll_s=5.0))
    plant = Plant(system)

    def online() -> bool:
        edges = get_json(f"{system.url}/api/v1/facilities/works/edges")["edges"]
        return [edge["state"] for edge in edges] == ["online"]

    eventually(online, "the edge is online")
    return plant


def test_a_set_point_reaches_the_battery_holds_ends_and_is_audited(works: Plant) -> None:
    assert works.power_kw() == 0
    command = works.ask("battery", "active_power_setpoint_kw", -20.0, 120)
    point = works.becomes(command, "delivered")
    assert works.power_kw() == pytest.approx(-20.0, abs=0.001)
    assert (point["before"], point["after"]) == (None, pytest.approx(-20.0))
    truth = works.truth()["active_power_kw"]
    assert truth["grid"] == pytest.approx(truth["load"] + truth["pv"] - 20.0, abs=0.001)
    works.becomes(command, "expired")
    assert works.power_kw() == 0
    eventually(lambda: len(works.found(command)["audit"]) == 3, "the audit has come up in signed batches")
    audit = [entry["body"] for entry in works.found(command)["audit"]]
    assert [body["state"] for body in audit] == ["accepted", "delivered", "expired"]
    assert {body["counter"] for body in audit} == {command["counter"]}
    limit = works.ask("pv", "active_power_limit_percent", 10.0, 60, firm=True)
    works.becomes(limit, "delivered")
    assert works.power_kw("pv") == pytest.approx(-25.0)
    refused = works.ask("battery", "active_power_setpoint_kw", 2000.0, 60)
    assert "expected -1000 to 1000 kW, saw 2000" in works.becomes(refused, "refused")["reason"]


def test_an_agent_that_is_killed_leaves_the_device_to_its_own_timer_and_tidies_up_when_it_is_back(works: Plant) -> None:
    command = works.ask("battery", "active_power_setpoint_kw", 30.0, 3000)
    works.becomes(command, "delivered")
    works.edge.kill()
    killed_ms = works.clock()
    assert works.power_kw() == pytest.approx(30.0, abs=0.001)
    eventually(lambda: works.power_kw() == 0, "the battery reverts by its own timer")
    assert works.clock() - killed_ms <= (HOLD_S + 20) * 1000, "no later than the hold time, and what it takes to look"
    works.edge.start()
    assert "started anew" in works.becomes(command, "reverted")["reason"]


def test_an_agent_that_is_stopped_lets_go_at_once(works: Plant) -> None:
    command = works.ask("battery", "active_power_setpoint_kw", 30.0, 3000)
    works.becomes(command, "delivered")
    works.edge.terminate()
    begun_ms = works.clock()
    eventually(lambda: works.power_kw() == 0, "the battery is let go of")
    assert works.clock() - begun_ms < HOLD_S * 1000, "long before its timer"
    assert works.edge.stop() == 0
    assert works.becomes(command, "reverted")["reason"] == "the agent stops"


def test_forged_repeated_and_retained_commands_move_nothing(works: Plant) -> None:
    topic, port = edge_topic("works", "gw-works", "command"), works.system.plan.broker_port

    def command(counter: int) -> Command:
        now_ms = works.clock()
        wanted = SetPoint("battery", "active_power_setpoint_kw", 40.0, now_ms, now_ms + 600_000)
        return Command(f"c-{counter}", "demo", counter, now_ms, now_ms + 600_000, [wanted])

    def send(frame: bytes, *, retain: bool = False) -> None:
        paho.single(topic, frame, qos=1, retain=retain, hostname="127.0.0.1", port=port)

    true_key = SigningKey.load(works.system.directory / "command.sign")
    send(seal(command(works.clock()), topic, SigningKey.generate()))
    send(b"junk")
    eventually(lambda: "forged command ignored" in works.edge.log.read_text(), "the forgery is noticed")
    honest = works.ask("battery", "active_power_setpoint_kw", 5.0, 20)
    works.becomes(honest, "delivered")
    stale = command(honest["counter"] - 1)  # signed by the right key, but older than what came last
    send(seal(stale, topic, true_key))
    eventually(lambda: "counter: expected more than" in works.edge.log.read_text(), "the old one is refused")
    works.becomes(honest, "expired")
    assert works.power_kw() == 0
