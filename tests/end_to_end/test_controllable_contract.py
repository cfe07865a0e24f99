"""What every driver that writes must keep to, one test over all of them: the simulator's device is steered through the agent's own bus task and control.

A driver joins by a row in CASES: a device of the simulator, its point, two values that it takes, and the quantity in which the device itself
shows what it does.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent import allow, edge_file, meter
from edge_agent.collect import Collection
from edge_agent.control import Control
from edge_agent.drivers.driver import DriverError
from wattline.demo_edge import bus_lines
from wire.block import Block, scaled
from wire.clock import Clock
from wire.command import Command, Outcome, Result, SetPoint, State, seal
from wire.keys import SigningKey
from wire.reading import Event
from wire.topics import edge_topic

SPEED = 20.0
NOON_MS = 1_520_175_600_000 + 12 * 3_600_000
TOPIC = edge_topic("works", "gw-01", "command")
KEY = SigningKey.generate()


@dataclass(frozen=True)
class Case:
    """One device. `shows` is the quantity that follows the point, `factor` what it shows of a value, `exact` how near."""

    kind: str
    point: str
    low: float
    high: float
    first: float
    second: float
    beyond: float
    shows: str  # empty: the device has no reading that follows, what is read back counts alone
    factor: float = 1.0
    exact: float = 0.05
    bus: dict[str, Any] = field(default_factory=lambda: {"protocol": "modbus_tcp"})
    more: dict[str, Any] = field(default_factory=dict)


POWER = ("active_power_setpoint_kw", -50.0, 50.0, 20.0, -35.0, 50.5, "active_power_kw")
LIMIT = ("active_power_limit_percent", 0.0, 100.0, 10.0, 5.0, 100.5, "active_power_kw", -2.5)  # % of 250 kW, generating
CASES = {
    "modbus_tcp, SunSpec 124": Case("sunspec_battery", *POWER),
    "modbus_tcp, SunSpec 704": Case("sunspec_der_battery", *POWER),
    "modbus_tcp, SunSpec 123": Case("sunspec_pv", *LIMIT),
    "modbus_rtu, SunSpec 704": Case("sunspec_der_pv", *LIMIT, bus={"protocol": "modbus_rtu", "serial": True}),
    "opcua, variable": Case(
        "opcua_machine",
        "power_limit",
        0,
        500,
        120.0,
        80.5,
        501,
        "",
        bus={"protocol": "opcua"},
        more={"measures": "load"},
    ),
    "bacnet_ip, commandable": Case(
        "bacnet_lighting",
        "light_level",
        0,
        90,
        35.0,
        60.0,
        91,
        "light_level_percent",
        bus={"protocol": "bacnet_ip"},
        more={"measures": "load"},
    ),
}


def site(case: Case) -> dict[str, Any]:
    device = {"name": "dut", "kind": case.kind, "bus": "field", **case.more}
    return {
        "plant": [
            {
                "name": "works",
                "time_zone": "Asia/Seoul",
                "load": {"kind": "synthetic", "base_kw": 100, "peak_kw": 100, "noise_ratio": 0},
                "pv": {"peak_kw": 250, "latitude_deg": 35, "longitude_deg": 127.7},
                "battery": {"capacity_kwh": 200, "charge_kw": 50, "discharge_kw": 50},
                "bus": [{"name": "field", **case.bus}],
                "device": [device],
            }
        ]
    }


@dataclass
class Bench:
    """A simulated device, and collection and control as an agent has them."""

    case: Case
    clock: Clock
    edge: edge_file.EdgeFile
    collection: Collection
    control: Control
    shown: dict[str, float | None]
    results: dict[str, Result]
    events: list[Event]
    control_port: int
    counter: int = 0

    async def ask(self, request: dict[str, Any]) -> None:
        """Tell the simulator."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.control_port)
        writer.write(json.dumps(request).encode() + b"\n")
        assert json.loads(await asyncio.wait_for(reader.readline(), 5))["ok"]
        writer.close()
        await writer.wait_closed()

    def send(self, value: float | None, for_s: float, **more: Any) -> str:
        now_ms = self.clock()
        self.counter += 1
        wanted = SetPoint("dut", self.case.point, value, now_ms, now_ms + round(for_s * 1000))
        command = Command(f"c-{self.counter}", "contract", self.counter, now_ms, now_ms + 60_000, [wanted], **more)
        self.control.message(seal(command, TOPIC, KEY))
        return command.id

    def outcome(self, command: str) -> Outcome | None:
        result = self.results.get(command)
        return None if result is None else result.outcomes[0]

    async def becomes(self, command: str, state: State) -> Outcome:
        outcome: Outcome | None = None
        async with asyncio.timeout(40):
            while outcome is None or outcome.state != state:
                await asyncio.sleep(0.01)
                outcome = self.outcome(command)
        return outcome

    async def shows(self, met: Callable[[float], bool]) -> float:
        """What the device itself shows, once it is so."""
        if not self.case.shows:
            return 0.0
        async with asyncio.timeout(15):
            while (value := self.shown.get(self.case.shows)) is None or not met(value):
                await asyncio.sleep(0.01)
        return value

    async def follows(self, value: float) -> None:
        wanted = value * self.case.factor
        await self.shows(lambda shown: abs(shown - wanted) <= self.case.exact)

    async def read(self) -> None:
        """Until the device has been read."""
        async with asyncio.timeout(15):
            while not self.shown:
                await asyncio.sleep(0.01)

    def states(self) -> list[str]:
        return [str(event.body["state"]) for event in self.events if event.kind == "set_point"]


@asynccontextmanager
async def bench_of(case: Case, directory: Path) -> AsyncIterator[Bench]:
    clock = Clock(NOON_MS, SPEED)
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(load_site(site(case)), clock, directory / "answers.jsonl", 0, ready.set_result))
    done, _ = await asyncio.wait({serving, ready}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    if serving in done:
        await serving
    listed = (await ready)["devices"]
    lines = ['facility = "works"', 'edge = "gw-01"', 'mqtt = { host = "127.0.0.1", plain = true }']
    lines += ['spool = { directory = "spool" }', *bus_lines("field", listed, 2.0, keys={"timeout_s": 0.5})]
    if "[[bus.device.allow]]" in lines:
        del lines[lines.index("[[bus.device.allow]]") :]
    lines += ["[[bus.device.allow]]", f'point = "{case.point}"', f"low = {case.low}", f"high = {case.high}"]
    lines += ["harmless = true", "pause_s = 0.2"]
    (directory / "edge.toml").write_text("\n".join(lines))
    edge = edge_file.load(directory / "edge.toml")
    shown: dict[str, float | None] = {}
    results: dict[str, Result] = {}
    events: list[Event] = []

    def block(read: Block) -> None:
        for index, quantity in enumerate(read.shape.quantities):
            shown[quantity] = scaled(read.columns[index][-1], read.shape.exponents[index])

    def answer(result: Result) -> None:
        results[result.id] = result

    collection = Collection(edge, clock, block, events.append)
    (device,) = edge.bus[0].device
    control = Control(
        allow.allowed(device, meter.load(device.model)), KEY.public, TOPIC, clock, collection.write, events.append, answer, directory,
        retry_s=0.3,
    )  # fmt: skip
    control.link(True)
    tasks = [asyncio.create_task(collection.run()), asyncio.create_task(control.run())]
    try:
        yield Bench(case, clock, edge, collection, control, shown, results, events, (await ready)["control_port"])
    finally:
        collection.stop()
        await asyncio.wait([tasks[0]], timeout=10)
        for task in (*tasks, serving):
            task.cancel()
        await asyncio.gather(*tasks, serving, return_exceptions=True)


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_of(request.param, tmp_path) as made:
        yield made


async def test_a_driver_that_writes_keeps_the_whole_contract(bench: Bench) -> None:
    case = bench.case
    await bench.read()
    at_rest = await bench.shows(lambda _: True)

    # in range: delivered, with what was before and what is now; the device itself follows
    first = bench.send(case.first, 600)
    delivered = await bench.becomes(first, State.DELIVERED)
    assert delivered.after == pytest.approx(case.first, abs=0.01)
    await bench.follows(case.first)

    # another one takes its place without a release between
    second = bench.send(case.second, 600)
    delivered = await bench.becomes(second, State.DELIVERED)
    assert (delivered.before, delivered.after) == (
        pytest.approx(case.first, abs=0.01),
        pytest.approx(case.second, abs=0.01),
    )
    outcome = bench.outcome(first)
    assert outcome is not None
    assert outcome.state == State.SUPERSEDED
    await bench.follows(case.second)

    # beyond the range: refused with the reason, and nothing moves
    refused = await bench.becomes(bench.send(case.beyond, 600), State.REFUSED)
    assert "expected" in refused.reason
    await bench.follows(case.second)

    # released: back to what the device does unasked
    released = await bench.becomes(bench.send(None, 600), State.DELIVERED)
    assert released.before == pytest.approx(case.second, abs=0.01)
    await bench.shows(lambda shown: abs(shown - at_rest) <= max(3.0, case.exact))  # the sun moves a little

    # expired: the same, without being asked
    third = bench.send(case.first, 12)
    await bench.becomes(third, State.DELIVERED)
    await bench.becomes(third, State.EXPIRED)
    await bench.shows(lambda shown: abs(shown - at_rest) <= max(3.0, case.exact))
    assert bench.states()[-3:] == ["accepted", "delivered", "expired"]

    # stopped while in force: let go of
    fourth = bench.send(case.second, 600)
    await bench.becomes(fourth, State.DELIVERED)
    assert await bench.control.close(10)
    await bench.becomes(fourth, State.REVERTED)
    await bench.shows(lambda shown: abs(shown - at_rest) <= max(3.0, case.exact))


async def test_an_unknown_point_is_an_error_of_the_driver_that_asking_again_does_not_help(bench: Bench) -> None:
    with pytest.raises(DriverError) as raised:
        await bench.collection.write("dut", "no_such_point", 1.0, 10)
    assert raised.value.retry is False
    with pytest.raises(DriverError, match="no device of this edge file"):
        await bench.collection.write("nobody", bench.case.point, 1.0, 10)


async def test_a_silent_device_is_tried_again_and_reached_when_it_is_back(bench: Bench) -> None:
    await bench.read()
    await bench.ask({"device": "dut", "fault": "silence"})
    command = bench.send(bench.case.first, 3000)
    async with asyncio.timeout(20):
        while (outcome := bench.outcome(command)) is None or "not yet" not in outcome.reason:
            await asyncio.sleep(0.02)
    await bench.ask({"device": "dut", "clear": "all"})
    await bench.becomes(command, State.DELIVERED)
    await bench.follows(bench.case.first)
