"""Factor packs down and provisional kg up over a real broker, with every part a process of its own; the gateway restarts while the broker is gone."""

import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from whole_system import eventually

from edge_agent.carbon_report import run_carbon
from wattline.system import System, Wanted
from wattline.viewer import get_json
from wire.clock import Clock
from wire.keys import SigningKey
from wire.topics import edge_topic

SPEED = 20.0  # a minute takes 3 s
NOON_MS = 1_520_175_600_000 + 12 * 3_600_000  # 2018-03-05T12:00 in Seoul
SITE = """
[[plant]]
name = "steel"
time_zone = "Asia/Seoul"
load = { kind = "synthetic", base_kw = 200, peak_kw = 200, noise_ratio = 0 }
[[plant.device]]
name = "incomer"
kind = "schneider_pm5560"
measures = "grid"
start_import_kwh = 1000
"""


class MinuteSystem(System):
    """Its facility has intervals of a minute."""

    def _write_aggregator(self) -> None:
        super()._write_aggregator()
        path = self.directory / "aggregator.toml"
        path.write_text(path.read_text().replace('id = "steel"\n', 'id = "steel"\ninterval_s = 60\n', 1))


@pytest.mark.long
def test_gateway_and_books_agree_to_the_last_digit_also_after_a_restart_without_a_broker(
    tmp_path: Path, make_system: Callable[[Wanted, type[System]], System]
) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    system = make_system(
        Wanted(tmp_path / "demo", tmp_path / "site.toml", Clock(NOON_MS, SPEED), gateway_figures=False), MinuteSystem
    )
    assert system.broker is not None
    edge, now_ms = system.edges["gw-steel"], system.wanted.clock

    def compared() -> list[dict[str, Any]]:
        path = f"/api/v1/facilities/steel/edge-carbon?from={NOON_MS}&to={now_ms() + 60_000}"
        found: list[dict[str, Any]] = get_json(system.url + path)["intervals"]
        return found

    def agreed_after(at_ms: int) -> int:
        return sum(each["verdict"] == "agrees" and each["start_ms"] > at_ms for each in compared())

    eventually(lambda: agreed_after(0) >= 2, "two minutes agree", 60)
    system.broker.stop()
    edge.kill()
    edge.start()
    restarted_ms = now_ms()
    key = SigningKey.load(system.directory / "command.sign").public.to_text()

    def shown() -> list[dict[str, Any]]:
        out = io.StringIO()
        topic = edge_topic("steel", "gw-steel", "factors")
        assert run_carbon(system.directory / "gw-steel-spool", key, topic, True, out) == 0
        figures: list[dict[str, Any]] = json.loads(out.getvalue())["figures"]
        return [figure for figure in figures if figure["start_ms"] > restarted_ms and figure["kg"] is not None]

    eventually(lambda: len(shown()) >= 2, "two minutes have a figure at the gateway, without a broker", 60)
    system.restart_broker()
    eventually(lambda: agreed_after(restarted_ms) >= 2, "what was worked out without a broker agrees", 60)
    assert not [each for each in compared() if each["verdict"] == "differs"]
    one = next(each for each in compared() if each["verdict"] == "agrees")
    assert Decimal(one["edge_kg"]) == Decimal(one["book_kg"]) == Decimal(one["edge_kwh"]) * Decimal("0.45848")
    alarms = get_json(f"{system.url}/api/v1/facilities/steel/alarms")["alarms"]
    assert not [alarm for alarm in alarms if alarm["code"] == "edge_carbon"]
