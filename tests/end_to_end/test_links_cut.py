"""Each link of a steered works is cut, and what the limits' page says holds: at the plant by the simulator's truth, in the edge's own status, and back at once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from steered_works import PILES, Works, steered_works

from wire.drill import verified
from wire.keys import SigningKey
from wire.schedule import Wish

SPEED = 20.0


async def charging(works: Works) -> None:
    """Two vehicles at their piles, a plan in force, everything as it should be."""
    for name in PILES:
        await works.ask(bus="piles", plant="works", pile=name, vehicle={"need_kwh": 90, "max_kw": 22, "stay_s": 80_000})
    now_ms = works.clock()
    await works.send(1, wishes=[Wish("battery", 10.0, now_ms, now_ms + 3_600_000)])
    await works.says(lambda says: says.get("control") == "plan" and not says["control_amiss"])
    await works.until_kw("ev", lambda kw: kw > 35)
    await works.until_kw("battery", lambda kw: abs(kw - 10) < 1.5)


async def test_meter_limit_source_and_pile_are_lost_and_back(tmp_path: Path, mosquitto: Any) -> None:
    async with steered_works(tmp_path, mosquitto.port, SPEED, 20) as works:
        await charging(works)

        # the meter: (100 kVA - 80 kVA) / 2 = 10 kW a pile, 14 A of 0.69 kW = 9.66; the battery rests
        await works.ask(device="incomer", fault="silence")
        await works.says(lambda says: says["control_amiss"].get("branch works") == "safe")
        await works.until_kw("ev", lambda kw: kw <= 2 * 9.66 + 0.05)
        await works.until_kw("battery", lambda kw: abs(kw) < 0.5)
        await works.ask(device="incomer", clear="all")
        await works.says(lambda says: "branch works" not in says["control_amiss"])
        await works.until_kw("battery", lambda kw: abs(kw - 10) < 1.5)

        # the grid operator's box: 40 kW as long as it is away
        await works.ask(device="gridbox", fault="silence")
        await works.says(lambda says: says["control_amiss"].get("limit_source works-import-1") == "fail_safe")
        await works.until_kw("grid", lambda kw: kw <= 40)
        await works.ask(device="gridbox", clear="all")
        await works.says(lambda says: not says["control_amiss"])
        await works.until_kw("grid", lambda kw: kw > 60)

        # a pile: known as lost, steered again when it is back
        await works.ask(bus="piles", plant="works", pile="pile-1", connect=None)
        await works.says(lambda says: "asset pile-1" in says["control_amiss"])
        url = f"ws://127.0.0.1:{_port(tmp_path)}"
        await works.ask(bus="piles", plant="works", pile="pile-1", connect=url)
        await works.says(lambda says: not says["control_amiss"])


@pytest.mark.long
async def test_broker_and_aggregator_are_lost_and_back(tmp_path: Path, mosquitto: Any) -> None:
    async with steered_works(tmp_path, mosquitto.port, 10.0, 20) as works:
        await charging(works)
        # the aggregator goes: the plan's 10 kW end after 120 s, the vehicles charge on within the limits
        await works.aggregator(online=False)
        cut_ms = works.clock()
        await works.says(lambda says: says["control"] == "local" and "broker or aggregator" in says["control_reason"])
        assert works.clock() - cut_ms >= 119_000
        await works.until_kw("battery", lambda kw: abs(kw) < 0.5)
        await works.until_kw("ev", lambda kw: kw > 35)
        await works.aggregator(online=True)
        await works.says(lambda says: says["control"] == "plan")
        await works.until_kw("battery", lambda kw: abs(kw - 10) < 1.5)
        # the broker goes
        mosquitto.kill()
        await works.until_kw("battery", lambda kw: abs(kw) < 0.5)
        mosquitto.start()
        await works.back()
        await works.says(lambda says: says["control"] == "plan")
        await works.until_kw("battery", lambda kw: abs(kw - 10) < 1.5, 60)


async def test_a_drill_times_each_device_and_signs_the_sheet(tmp_path: Path, mosquitto: Any) -> None:
    async with steered_works(tmp_path, mosquitto.port, SPEED, 20) as works:
        await charging(works)
        assert works.agent is not None
        said: list[str] = []
        leave_out = frozenset({"limit_source", "cloud", "gateway"})
        sheet = await works.agent.drill(asyncio.Event(), "Li Wei", leave_out, said.append)
    key = SigningKey.load(tmp_path / "edge.sign").public
    verified(sheet, key)
    assert sheet.drilled == {"battery", *PILES}, said
    took = {row.asset: row.took_s for row in sheet.rows}
    assert 5 <= (took["battery"] or 0) <= 10  # 5 s without the meter, then 2 s of response and as much again


async def test_a_step_above_the_limit_is_cut_within_the_piles_response_and_two_seconds(
    tmp_path: Path, mosquitto: Any
) -> None:
    async with steered_works(tmp_path, mosquitto.port, 5.0, 20) as works:
        await charging(works)
        await works.ask(set={"plant": "works", "load_kw": 70, "for_s": 600})
        stepped_ms = works.clock()
        assert await works.power_kw() > 100
        await works.until_kw("grid", lambda kw: kw <= 100)
        assert works.clock() - stepped_ms <= 10_000  # a pile's 8 s + 2 s


def _port(directory: Path) -> int:
    lines = (directory / "edge.toml").read_text().splitlines()
    at = lines.index('protocol = "ocpp"')
    return int(next(line for line in lines[at:] if line.startswith("port = ")).removeprefix("port = "))
