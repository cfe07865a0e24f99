"""An operator's way through an event over HTTP, with every part a process of its own: asked for, delivered by the battery, overridden, settled, proven.

The plant's own truth and the meter judge what was delivered; nothing of the planner's word is taken for it.
"""

import json
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from whole_system import eventually

from device_sim.site import SITES
from wattline.command import main
from wattline.system import System, Wanted
from wattline.viewer import get_json
from wire.clock import Clock

SPEED = 20.0
INTERVAL_MS = 300_000  # of the hub
PATH = "/api/v1/facilities/hub/demand-response"
TARGET_KW = 20.0


class Hub:
    """The system with what an operator would do."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.clock = system.wanted.clock

    def get(self, path: str) -> Any:
        return get_json(self.system.url + path)

    def post(self, path: str, **body: Any) -> Any:
        headers = {"content-type": "application/json", "x-wattline-write": "1"}
        request = urllib.request.Request(self.system.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def ask(self, intervals: int) -> Any:
        """An event from the next boundary on that leaves two minutes to answer."""
        begin_ms = ((self.clock() + 120_000) // INTERVAL_MS + 1) * INTERVAL_MS
        return self.post(PATH, from_ms=begin_ms, to_ms=begin_ms + intervals * INTERVAL_MS, target_kw=TARGET_KW)

    def event(self, event_id: str) -> Any:
        return self.get(f"{PATH}/{event_id}")

    def taken(self, event_id: str) -> Any:
        """Seconds from the acceptance to the gateway's answer to the first plan that the event brought about."""
        traced = self.event(event_id)["trace"]
        planned = next(
            (at for at, each in enumerate(traced) if each["kind"] == "plan" and "event" in each["text"]), len(traced)
        )
        answers = [each for each in traced[planned:] if each["kind"] == "answer" and each["text"] == "gw-hub, taken"]
        return answers[0]["after_s"] if answers else None

    def battery_kw(self) -> float:
        """As the plant has it, charging positive."""
        with socket.create_connection(("127.0.0.1", self.system.control_port), timeout=5) as control:
            control.sendall(b'{"show": "plants"}\n')
            answer = json.loads(control.makefile("rb").readline())
        return float(answer["plants"]["hub"]["active_power_kw"]["battery"])

    def until(self, at_ms: int) -> None:
        while self.clock() < at_ms:
            time.sleep(0.1)


def _lacking_kwh(settled: dict[str, Any]) -> float:
    """Of each interval what is below its target: more in another one does not make up for it."""
    both = zip(settled["target_kwh"], settled["delivered_kwh"], strict=True)
    return float(sum(max(0.0, target - delivered) for target, delivered in both))


@pytest.mark.long
@pytest.mark.timeout(420)
def test_an_event_is_delivered_overridden_settled_and_proven(
    make_system: Any, system_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Hub(make_system(Wanted(system_directory, SITES / "hub.toml", Clock(speed=SPEED), poll_s=2.0)))
    began_ms = hub.clock()
    eventually(lambda: hub.get("/api/v1/facilities/hub/flexibility")["plan"] is not None, "there is a plan", 60)
    hub.until(began_ms + 5 * INTERVAL_MS)  # the baseline is the quarter of an hour before

    event = hub.ask(2)
    eventually(lambda: hub.event(event["id"])["state"] == "dispatched", "the event is dispatched", 30)
    eventually(
        lambda: hub.taken(event["id"]) is not None, "the gateway has the schedule that the event brought about", 30
    )
    assert hub.taken(event["id"]) / SPEED < 5  # real seconds, from the acceptance to a gateway that has it
    before_kw = hub.battery_kw()
    hub.until(event["from_ms"] + INTERVAL_MS)
    assert before_kw - hub.battery_kw() > 0.8 * TARGET_KW
    moved = next(each for each in hub.event(event["id"])["trace"] if each["kind"] == "moved")
    # What is kept is a mean of five minutes: a battery that the plan has discharge already need not move at the begin.
    assert (moved["id"], moved["after_s"] < INTERVAL_MS / 1000) == ("battery", True)
    eventually(lambda: hub.event(event["id"])["state"] == "settled", "the event is settled", 90)
    settled = hub.event(event["id"])["settlements"][-1]["result"]
    asked_kwh = TARGET_KW * 2 * INTERVAL_MS / 3_600_000
    assert sum(settled["delivered_kwh"]) > 0.85 * asked_kwh  # more where the tariff wants it as well
    assert settled["money"] == pytest.approx(3.0 * sum(settled["paid_kwh"]) - 1.0 * _lacking_kwh(settled))
    saved = {each["profile"]: each for each in settled["saved_kg"]}
    # Jiangsu 2023, Announcement No. 47 of 2025 of the Ministry of Ecology and Environment and the National Bureau of Statistics.
    assert float(saved["OPS"]["kg"]) == pytest.approx(sum(settled["delivered_kwh"]) * 0.5827, rel=1e-6)

    broken = hub.ask(2)
    eventually(lambda: hub.event(broken["id"])["state"] == "dispatched", "the second event is dispatched", 30)
    hub.until(broken["from_ms"] + 30_000)
    until_ms = broken["to_ms"] + INTERVAL_MS
    override = {
        "scope": "asset",
        "name": "battery",
        "what": "hold",
        "kw": 30.0,
        "until_ms": until_ms,
        "reason": "capacity test",
    }
    hub.post("/api/v1/facilities/hub/overrides", **override)
    eventually(lambda: abs(hub.battery_kw() - 30) < 1, "the battery holds what the operator wants", 30)
    eventually(lambda: hub.event(broken["id"])["opt_out"] == "part", "the event says that an override breaks it", 30)
    alarms = hub.get("/api/v1/facilities/hub/alarms")["alarms"]
    assert ("response_short", broken["id"]) in {(alarm["code"], alarm["source"]) for alarm in alarms}
    plan = hub.get("/api/v1/facilities/hub/flexibility")["plan"]
    assert {one["kind"] for one in plan["broken"]} == {"response"}

    file = tmp_path / "event.zip"
    words = ["event", "bundle", event["id"], "--url", hub.system.url, "--facility", "hub", "--out", str(file)]
    assert main(words) == 0
    assert main(["verify", str(file)]) == 0
    assert "worked out again" in capsys.readouterr().out
