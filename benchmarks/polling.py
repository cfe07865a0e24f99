"""What reading a meter costs: the agent's coalesced requests beside one request per quantity, from the simulator over loopback.

The agent's own driver polls an Eastron SDM630 of `device_sim` (a process of its own, so that processor time here is the reader's alone) as
often as it can, one request at a time: first planned by the cost model, then with `one_request_per_field`. `answers` is how many quantities a
second come out; over loopback an answer takes a fraction of a millisecond, on a real meter 20 ms, so that on a bus the ratio of requests is
what counts.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.figure import Effort, Figure
from benchmarks.processes import Process, running
from edge_agent import meter
from edge_agent.drivers.driver import Gateway
from edge_agent.drivers.modbus.declared import ModbusPlan, Model, fields
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp
from wire.clock import Clock

MODEL: Final = "eastron_sdm630"
UNIT: Final = 1
STRETCH_S: Final = 2.0
SITE: Final = f"""
[[plant]]
name = "works"
[plant.load]
base_kw = 50
[[plant.device]]
name = "meter"
kind = "{MODEL}"
measures = "grid"
unit = {UNIT}
"""


async def _polled(port: int, plan: ModbusPlan, seconds: float) -> dict[str, float]:
    """Read for `seconds`."""
    driver = ModbusTcp(Endpoint("127.0.0.1", port), Gateway(Clock().now_ms))
    await driver.read(plan)  # connects
    begun, cpu_ns = time.perf_counter(), time.process_time_ns()
    requests = quantities = registers = polls = 0
    while time.perf_counter() - begun < seconds:
        answer = await driver.read(plan)
        polls += 1
        requests += answer.requests
        quantities += sum(len(block.columns) for block in answer.blocks)
        registers += sum(request.count for request in driver.planned(plan))
    wall_s, cpu_us = time.perf_counter() - begun, (time.process_time_ns() - cpu_ns) / 1000
    await driver.close()
    return {
        "requests_per_poll": requests / polls,
        "requests_per_s": requests / wall_s,
        "registers_per_s": registers / wall_s,
        "answers_per_s": quantities / wall_s,
        "cpu_us_per_request": cpu_us / requests,
        "cpu_us_per_answer": cpu_us / quantities,
    }


def figures(effort: Effort) -> Iterator[Figure]:
    """`polling.*`."""
    model = meter.load(MODEL)
    assert isinstance(model, Model)
    together = ModbusPlan("meter", UNIT, fields(model), model.limits())
    singly = replace(together, limits=replace(model.limits(), one_request_per_field=True))
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
        site = Path(name) / "site.toml"
        site.write_text(SITE)
        words = ("sim", "run", str(site), "--answer-log", f"{name}/answers.jsonl")
        with running(Process.python("simulator", Path(name), "wattline.command", *words)) as simulator:
            port = simulator.said()["devices"][0]["port"]
            found, beside = [], []
            for _ in range(effort.repeats_or(3)):
                found.append(asyncio.run(_polled(port, together, effort.seconds_or(STRETCH_S))))
                beside.append(asyncio.run(_polled(port, singly, effort.seconds_or(STRETCH_S))))
    units = {
        "requests_per_poll": "1",
        "requests_per_s": "1/s",
        "registers_per_s": "1/s",
        "answers_per_s": "1/s",
        "cpu_us_per_request": "us",
        "cpu_us_per_answer": "us",
    }
    for key, unit in units.items():
        theirs = {"one_request_per_quantity": [each[key] for each in beside]}
        yield Figure(f"polling.{key}", unit, [each[key] for each in found], beside=theirs)
