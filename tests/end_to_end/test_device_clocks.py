"""Clocks of simulated devices that are late, early and jump: told as an event, while every reading keeps the gateway's instant."""

from pathlib import Path
from typing import Any

import pytest
from building import building
from metered_line import MeteredLine, metered_line

from edge_agent.drivers.driver import Answer

HOUR_MS = 3_600_000


def clocks(answer: Answer) -> list[tuple[Any, Any]]:
    return [(event.body["state"], event.body["offset_s"]) for event in answer.events if event.kind == "device_clock"]


def electricity() -> dict[str, Any]:
    meter = {"name": "incomer", "kind": "dlt645_three_phase", "measures": "load", "bus": "line", "unit": 1}
    return {
        "plant": [
            {
                "name": "works",
                "load": {"kind": "synthetic", "base_kw": 40, "peak_kw": 40, "noise_ratio": 0},
                "bus": [{"name": "line", "protocol": "dlt645"}],
                "device": [{**meter, "address": "000012345678", "utc_offset_minutes": 480}],
            }
        ]
    }


async def jumped(line: MeteredLine, name: str, clock_s: int | None) -> list[tuple[Any, Any]]:
    """What is told when the device's clock is set `clock_s` off (None: right), an hour later."""
    fault = {"clear": "all"} if clock_s is None else {"fault": "clock_jump", "clock_s": clock_s}
    await line.ask({"device": name, **fault})
    line.at_ms += HOUR_MS
    answer = await line.read(name)
    assert {block.at_ms for block in answer.blocks} == {(line.at_ms,)}
    return clocks(answer)


LATE_EARLY_RIGHT = [(-90, "behind"), (86_400, "ahead"), (7200, "ahead"), (None, "right"), (20, None)]


async def test_a_dl_t_645_meter_that_is_late_early_and_jumps_is_told(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"time_zone": "Asia/Shanghai", "timeout_s": 5.0}
    models = {"incomer": "dlt645_three_phase"}
    async with metered_line(tmp_path, electricity(), "dlt645", models, baud=38400, **keys) as line:
        assert clocks(await line.read("incomer")) == []
        for clock_s, state in LATE_EARLY_RIGHT:
            told = await jumped(line, "incomer", clock_s)
            assert told == ([] if state is None else [(state, float(clock_s or 0))])


async def test_it_is_asked_once_an_hour_and_not_by_a_gateway_that_is_wrong_itself(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"time_zone": "Asia/Shanghai", "timeout_s": 5.0}
    models = {"incomer": "dlt645_three_phase"}
    async with metered_line(tmp_path, electricity(), "dlt645", models, baud=38400, **keys) as line:
        line.synced = False
        assert await jumped(line, "incomer", 3600) == []
        line.synced = True
        first = await line.read("incomer")
        again = await line.read("incomer")
        assert (clocks(first), clocks(again)) == ([("ahead", 3600.0)], [])
        assert first.requests == again.requests + 2


def heat() -> dict[str, Any]:
    meter = {"name": "district", "kind": "kamstrup_multical_601", "measures": "heat", "bus": "line", "unit": 1}
    return {
        "plant": [
            {
                "name": "works",
                "load": {"kind": "synthetic", "base_kw": 40, "peak_kw": 40},
                "heat": {"peak_kw": 300},
                "bus": [{"name": "line", "protocol": "mbus"}],
                "device": [{**meter, "primary": 1, "utc_offset_minutes": 60}],
            }
        ]
    }


async def test_an_mbus_meter_that_is_late_early_and_jumps_is_told(tmp_path: Path) -> None:
    """Its record shows whole minutes: it is as late as the end of the minute that it shows."""
    models, keys = {"district": "kamstrup_multical_601"}, {"time_zone": "Europe/Berlin", "timeout_s": 5.0}
    places: dict[str, Any] = {"district": {"primary": 1}}
    async with metered_line(tmp_path, heat(), "mbus", models, None, places, baud=38400, **keys) as line:
        assert clocks(await line.read("district")) == []
        told = [await jumped(line, "district", clock_s) for clock_s in (-180, 86_400, None)]
        assert told == [[("behind", -120.0)], [("ahead", 86_400.0)], [("right", 0.0)]]


@pytest.mark.parametrize("zone", ["UTC"])
async def test_a_bacnet_device_that_is_late_early_and_jumps_is_told(tmp_path: Path, zone: str) -> None:
    async with building(tmp_path, time_zone=zone, timeout_s=5.0) as tower:
        assert clocks(await tower.read("meter")) == []
        for clock_s, state in ((-90, "behind"), (86_400, "ahead"), (None, "right")):
            fault = {"clear": "all"} if clock_s is None else {"fault": "clock_jump", "clock_s": clock_s}
            assert (await tower.ask({"device": "meter", **fault}))["ok"]
            tower.at_ms += HOUR_MS
            ((told, offset_s),) = clocks(await tower.read("meter"))
            assert told == state
            assert offset_s == pytest.approx(clock_s or 0, abs=1.5)


async def test_a_bacnet_device_that_does_not_say_its_offset_from_utc_is_not_judged(tmp_path: Path) -> None:
    async with building(tmp_path, timeout_s=5.0) as tower:
        assert (await tower.ask({"device": "meter", "fault": "clock_jump", "clock_s": 86_400}))["ok"]
        assert clocks(await tower.read("meter")) == []
        assert (await tower.read("meter")).faults == []
