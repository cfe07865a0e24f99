"""What coalescing is worth on a serial line: one poll of an Eastron SDM630 at 2400, 9600 and 19200 baud, on a line with real character times.

    agent -- pseudo-terminal -- relay: each character takes 11 bits -- pseudo-terminal -- simulated meter, 20 ms of turnaround

The relay hands a request to the meter 3.5 characters after its last one, as a UART tells that a frame has ended. The map is that of 18 floats
in 0..79 which OpenEMS reads. Beside the agent's own plan: one request for each value, and one for each run without holes. `computed` is
the bus time that the plan itself states.
"""

import asyncio
import os
import select
import statistics
import tempfile
import threading
import time
import tty
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.figure import Effort, Figure
from benchmarks.processes import Process, running
from edge_agent.drivers.driver import Gateway
from edge_agent.drivers.modbus.coalesce import Cost, Limits, serial_cost
from edge_agent.drivers.modbus.declared import ModbusPlan, load
from edge_agent.drivers.modbus.reader import RegisterReader
from edge_agent.drivers.modbus.registers import Field
from edge_agent.drivers.modbus.rtu import RtuLink
from edge_agent.drivers.serial_line import Line, Wiring
from wire.clock import Clock

BAUDS: Final = (2400, 9600, 19200)
TURNAROUND_MS: Final = 20
ADDRESSES: Final = (0, 2, 4, 6, 8, 10, 12, 14, 16, 24, 26, 28, 48, 52, 60, 70, 76, 78)
QUANTITIES: Final = (
    *(f"voltage_l{phase}_v" for phase in (1, 2, 3)),
    *(f"current_l{phase}_a" for phase in (1, 2, 3)),
    *(f"active_power_l{phase}_kw" for phase in (1, 2, 3)),
    *(f"reactive_power_l{phase}_kvar" for phase in (1, 2, 3)),
    *(
        "current_neutral_a",
        "active_power_kw",
        "reactive_power_kvar",
        "frequency_hz",
        "energy_import_kwh",
        "energy_export_kwh",
    ),
)
HOLES_NEVER: Final = Cost(1.0, 1000.0)
HOLES_ALWAYS: Final = Cost(1.0, 0.0)
POLLS: Final = 5
SITE: Final = f"""
[[plant]]
name = "works"
[plant.load]
base_kw = 50
[[plant.bus]]
name = "line"
protocol = "modbus_rtu"
serial = true
turnaround_ms = {TURNAROUND_MS}
[[plant.device]]
name = "meter"
kind = "eastron_sdm630"
measures = "grid"
bus = "line"
unit = 1
"""


class RealLine:
    """Carries characters between the agent and the meter, each in its time. Runs in a thread of its own."""

    def __init__(self, meter: str, char_s: float) -> None:
        self._char_s = char_s
        self._agent, slave = os.openpty()
        self._slave = slave
        tty.setraw(slave)
        self._meter = os.open(meter, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._meter)
        self.path = os.ttyname(slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        for end in (self._agent, self._slave, self._meter):
            os.close(end)

    def _run(self) -> None:
        """Bytes wait in `ways` until their last bit has passed; a request waits until 3.5 characters after its last one."""
        ways: dict[int, tuple[int, deque[tuple[float, int]]]] = {
            self._agent: (self._meter, deque()),
            self._meter: (self._agent, deque()),
        }
        while not self._stop.is_set():
            now = time.monotonic()
            wake = now + 0.05
            for source, (target, waiting) in ways.items():
                if source == self._agent:
                    ready = bool(waiting) and waiting[-1][0] + 3.5 * self._char_s <= now
                    if ready:
                        os.write(target, bytes(byte for _, byte in waiting))
                        waiting.clear()
                    elif waiting:
                        wake = min(wake, waiting[-1][0] + 3.5 * self._char_s)
                    continue
                due = bytearray()
                while waiting and waiting[0][0] <= now:
                    due.append(waiting.popleft()[1])
                if due:
                    os.write(target, due)
                if waiting:
                    wake = min(wake, waiting[0][0])
            readable, _, _ = select.select(list(ways), (), (), max(0.0, wake - time.monotonic()))
            for source in readable:
                waiting = ways[source][1]
                last_s = max(time.monotonic(), waiting[-1][0] if waiting else 0.0)
                for byte in os.read(source, 4096):
                    last_s += self._char_s
                    waiting.append((last_s, byte))


@contextmanager
def _line(baud: int, meter: str) -> Iterator[RealLine]:
    line = RealLine(meter, 11 / baud)
    line.start()
    try:
        yield line
    finally:
        line.stop()


async def _poll_ms(path: str, baud: int, plan: ModbusPlan, cost: Cost, polls: int) -> tuple[float, int]:
    """Median time of one poll that follows another, and its requests."""
    line = Line(Wiring(serial=path, baud=baud, parity="even"))
    driver = RegisterReader(RtuLink(line, Gateway(Clock().now_ms), 2.0), cost)
    requests = (await driver.read(plan)).requests  # opens the port
    took = []
    for _ in range(polls):
        begun = time.perf_counter()
        answer = await driver.read(plan)
        took.append(1000 * (time.perf_counter() - begun))
        assert not answer.faults
        assert len(answer.blocks) == requests
    await driver.close()
    return statistics.median(took), requests


def figures(effort: Effort, bauds: Sequence[int] = BAUDS) -> Iterator[Figure]:
    """`serial_line.*`. A stretch of `--seconds` is as many polls, at least two."""
    fields = tuple(
        Field(quantity, "input", address, "float32") for quantity, address in zip(QUANTITIES, ADDRESSES, strict=True)
    )
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
        site = Path(name) / "site.toml"
        site.write_text(SITE)
        words = ("sim", "run", str(site), "--answer-log", f"{name}/answers.jsonl")
        with running(Process.python("simulator", Path(name), "wattline.command", *words)) as simulator:
            meter = simulator.said()["devices"][0]["serial"]
            for baud in bauds:
                yield from _at(baud, meter, fields, effort)


def _at(baud: int, meter: str, fields: tuple[Field, ...], effort: Effort) -> Iterator[Figure]:
    cost = serial_cost(baud, TURNAROUND_MS)
    whole = ModbusPlan("meter", 1, fields)
    singly = ModbusPlan("meter", 1, fields, Limits(one_request_per_field=True))
    plans = {
        "ours": (whole, cost),
        "one_request": (whole, HOLES_ALWAYS),
        "without_holes": (whole, HOLES_NEVER),
        "one_request_per_value": (singly, cost),
    }
    polls = POLLS if effort.seconds is None else max(2, int(effort.seconds))
    took: dict[str, list[float]] = {name: [] for name in plans}
    requests: dict[str, list[float]] = {name: [] for name in plans}
    with _line(baud, meter) as line:
        for _ in range(effort.repeats_or(1)):
            for name, (plan, by) in plans.items():
                poll_ms, count = asyncio.run(_poll_ms(line.path, baud, plan, by, polls))
                took[name].append(poll_ms)
                requests[name].append(count)
    ours_ms, ours = took.pop("ours"), requests.pop("ours")
    yield Figure(
        f"serial_line.{baud}.poll",
        "ms",
        ours_ms,
        beside={"computed": [load(whole, cost).busy_ms] * len(ours_ms), **took},
    )
    yield Figure(f"serial_line.{baud}.requests", "1", ours, beside=requests)
