"""Simulated MQTT devices as a subscriber that we did not write hears them: Debian's mosquitto_sub, with its own view of retained words and wills."""

import asyncio
import json
import shutil
import time
from typing import Any

import pytest

LIMIT_S = 30.0


def site(broker_port: int) -> dict[str, Any]:
    return {
        "plant": [
            {
                "name": "house",
                "load": {"kind": "synthetic", "base_kw": 3, "peak_kw": 3, "noise_ratio": 0},
                "bus": [{"name": "air", "protocol": "mqtt", "broker_port": broker_port, "update_s": 0.05}],
                "device": [
                    {"name": "plug", "kind": "tasmota_plug", "measures": "load", "bus": "air", "start_import_kwh": 12.5}
                ],
            }
        ]
    }


async def heard(port: int, topic: str, count: int) -> list[str]:
    """The next messages on a topic, by mosquitto_sub."""
    program = shutil.which("mosquitto_sub")
    if program is None:
        pytest.skip("peer mosquitto_sub (Debian, mosquitto-clients) is missing")
    arguments = ("-h", "127.0.0.1", "-p", str(port), "-t", topic, "-C", str(count), "-W", str(int(LIMIT_S)), "-q", "1")
    process = await asyncio.create_subprocess_exec(program, *arguments, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), LIMIT_S + 10)
    return out.decode().splitlines()


async def test_mosquitto_sub_hears_the_figures_and_the_will_of_a_device_that_vanishes(
    run_site: Any, mosquitto: Any
) -> None:
    async with run_site(site(mosquitto.port)) as served:
        listening = asyncio.create_task(heard(mosquitto.port, "tele/plug/SENSOR", 2))
        deadline_s = time.monotonic() + LIMIT_S
        while not listening.done() and time.monotonic() < deadline_s:
            served.clock.forward(3600)  # 3 kWh
            await asyncio.sleep(0.1)
        first, second = (json.loads(line)["ENERGY"] for line in await listening)
        assert (first["Power"], second["Power"]) == (3000, 3000)
        assert second["Total"] - first["Total"] == pytest.approx(3 * round((second["Total"] - first["Total"]) / 3))
        assert first["Total"] >= 12.5
        assert await heard(mosquitto.port, "tele/plug/LWT", 1) == ["Online"]
        assert (await served.ask({"device": "plug", "fault": "silence"}))["ok"]
        words: list[str] = []
        while words != ["Offline"] and time.monotonic() < deadline_s:
            words = await heard(mosquitto.port, "tele/plug/LWT", 1)
        assert words == ["Offline"]
