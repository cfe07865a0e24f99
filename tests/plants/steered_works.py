"""A works whose limits an agent keeps: simulated meter, battery, piles and grid box, the agent, a broker, and somebody who plays the aggregator. All but the broker in one process."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from device_sim.serve import serve
from device_sim.site import load_site
from edge_agent import edge_file
from edge_agent.agent import Agent
from wire.circuit import load as load_circuit
from wire.clock import Clock
from wire.command import Result, decode_result
from wire.keys import SigningKey
from wire.messages import AggregatorStatus, EdgeStatus, decode_edge_status, encode
from wire.mqtt import Broker, MqttError, MqttSession
from wire.schedule import Schedule, seal
from wire.topics import AGGREGATOR_STATUS, edge_topic

NOON_MS = 1_795_248_000_000
TOPIC = edge_topic("works", "gw-01", "schedule")
CIRCUIT = """
facility = "works"
[[branch]]
name = "works"
limit_kva = 100
export_limit_kw = 0
edge = "gw-01"
meter = "incomer"
uncontrolled_max_kva = 80
[[asset]]
name = "battery"
kind = "battery"
branch = "works"
edge = "gw-01"
device = "battery"
point = "active_power_setpoint_kw"
charge_kw = 50
discharge_kw = 50
capacity_kwh = 100
{piles}
[[limit_source]]
branch = "works"
edge = "gw-01"
device = "gridbox"
direction = "import"
quantity = "active_power_kw"
fail_safe_kw = 40
heartbeat_s = 10
"""
PILE = """[[asset]]
name = "{name}"
kind = "charger"
branch = "works"
edge = "gw-01"
device = "{name}"
point = "charging_limit_kw"
charge_kw = 22
"""
PILES = ("pile-1", "pile-2")


def site(load_kw: float) -> dict[str, Any]:
    still = {"kind": "synthetic", "noise_ratio": 0}
    meter = {"kind": "schneider_pm5560"}
    pile = {
        "kind": "ocpp16_pile",
        "measures": "ev",
        "bus": "piles",
        "sample_s": 10,
        "aligned_s": 900,
        "delay_s": [1, 1],
    }
    return {
        "plant": [
            {
                "name": "works",
                "load": {**still, "base_kw": load_kw, "peak_kw": load_kw},
                "battery": {"capacity_kwh": 100, "charge_kw": 50, "discharge_kw": 50, "state_of_charge_percent": 60},
                "ev": {"points": len(PILES), "max_kw": 22, "visits": "none"},
                "bus": [{"name": "piles", "protocol": "ocpp", "tick_s": 0.02, "reconnect_s": [0.05, 0.2]}],
                "device": [
                    {"name": "incomer", "measures": "grid", **meter},
                    {"name": "battery", "kind": "sunspec_der_battery"},
                    *({"name": name, **pile} for name in PILES),
                ],
            },
            {  # what the grid operator's box says, in kW
                "name": "grid",
                "load": {**still, "base_kw": 90, "peak_kw": 90},
                "device": [{"name": "gridbox", "measures": "load", **meter}],
            },
        ]
    }  # fmt: skip


def edge_lines(listed: list[dict[str, Any]], broker_port: int, piles_port: int, key: SigningKey) -> str:
    places = {device["device"]: device for device in listed}
    lines = [
        'facility = "works"', 'edge = "gw-01"', f'mqtt = {{ host = "127.0.0.1", port = {broker_port}, plain = true }}',
        'spool = { directory = "spool" }', 'signing = { key = "edge.sign" }', 'clock = { kept_by = "the test" }',
        f'aggregator = {{ command_key = "{key.public.to_text()}" }}', 'control = { circuit = "circuit.toml" }',
    ]  # fmt: skip
    for name, model in (("incomer", "schneider_pm5560"), ("gridbox", "schneider_pm5560"), ("battery", "sunspec")):
        place = places[name]
        lines += [
            "[[bus]]", f'name = "to-{name}"', 'protocol = "modbus_tcp"', f'host = "{place["host"]}"', f"port = {place['port']}",
            "timeout_s = 1", "[[bus.device]]", f'name = "{name}"', f'model = "{model}"', "period_s = 1", f"unit = {place['unit']}",
        ]  # fmt: skip
        if name == "battery":
            lines += ["[[bus.device.allow]]", 'point = "active_power_setpoint_kw"', "low = -50", "high = 50"]
    lines += [
        "[[bus]]", 'name = "piles"', 'protocol = "ocpp"', 'host = "127.0.0.1"', f"port = {piles_port}", "security_profile = 0",
        'accept = "all"', "sample_s = 10",
    ]  # fmt: skip
    for name in PILES:
        lines += [
            "[[bus.device]]", f'name = "{name}"', 'model = "ocpp_ac_pile"', f'identity = "{name}"', "rated_power_kw = 22.0",
            "[[bus.device.allow]]", 'point = "charging_limit_kw"', "high = 22", "hold_s = 900",
        ]  # fmt: skip
    return "\n".join(lines)


class Works:
    """The running works, and what a test may do to it."""

    def __init__(self, directory: Path, clock: Clock, control_port: int, key: SigningKey, broker: Broker) -> None:
        self.directory, self.clock, self.control_port, self.key, self._broker = (
            directory,
            clock,
            control_port,
            key,
            broker,
        )
        self.circuit = load_circuit(directory / "circuit.toml")
        self.status: EdgeStatus | None = None
        self.results: list[Result] = []
        self.session: MqttSession | None = None
        self.agent: Agent | None = None

    async def ask(self, **request: Any) -> dict[str, Any]:
        """One request to the simulator."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.control_port, limit=2**22)
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 10))
        writer.close()
        await writer.wait_closed()
        assert answer["ok"], answer
        return answer

    async def power_kw(self, node: str = "grid") -> float:
        return float((await self.ask(show="plants"))["plants"]["works"]["active_power_kw"][node])

    async def until_kw(self, node: str, holds: Callable[[float], bool], timeout_s: float = 30) -> float:
        seen = 0.0
        try:
            async with asyncio.timeout(timeout_s):
                while not holds(seen := await self.power_kw(node)):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{node} stands at {seen} kW; the edge says {self.figures()}") from None
        return seen

    def figures(self) -> dict[str, Any]:
        return (
            {}
            if self.status is None
            else {k: v for k, v in self.status.figures.items() if k.startswith(("control", "sched"))}
        )

    async def says(self, holds: Callable[[dict[str, Any]], bool], timeout_s: float = 30) -> None:
        """Until the edge's status says so."""
        try:
            async with asyncio.timeout(timeout_s):
                while not holds(self.figures()):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"the edge says {self.figures()}") from None

    async def send(self, number: int, **rows: Any) -> None:
        """A schedule of the aggregator."""
        now_ms = self.clock()
        rows.setdefault("valid_until_ms", now_ms + 3_600_000)
        schedule = Schedule(f"s-{number}", "cloud", number, now_ms, circuit=self.circuit.sha256, **rows)
        assert self.session is not None
        await self.session.publish(TOPIC, seal(schedule, TOPIC, self.key))
        async with asyncio.timeout(20):
            while not any(result.id == schedule.id for result in self.results):
                await asyncio.sleep(0.01)

    async def aggregator(self, online: bool) -> None:
        """The aggregator comes or goes; the broker stays."""
        assert self.session is not None
        state = AggregatorStatus("s-1", "online" if online else "offline", self.clock())
        await self.session.publish(AGGREGATOR_STATUS, encode(state), retain=True)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Plays the aggregator."""
        loop = asyncio.get_running_loop()

        def message(topic: str, payload: bytes, _retained: bool) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._message, topic, payload)

        topics = [edge_topic("works", "gw-01", kind) for kind in ("status", "result")]
        async with MqttSession(self._broker, "aggregator", subscriptions=topics, on_message=message) as session:
            self.session = session
            await self.back()
            yield

    async def back(self) -> None:
        """Says that the aggregator is there, as soon as the broker is."""
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(MqttError):
                    await self.aggregator(online=True)
                    return
                await asyncio.sleep(0.05)

    def _message(self, topic: str, payload: bytes) -> None:
        if topic.endswith("/result"):
            self.results.append(decode_result(payload))
        elif payload:
            self.status = decode_edge_status(payload)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@asynccontextmanager
async def steered_works(directory: Path, broker_port: int, speed: float, load_kw: float) -> AsyncIterator[Works]:
    clock = Clock(NOON_MS, speed)
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(load_site(site(load_kw)), clock, directory / "answers.jsonl", 0, ready.set_result)
    )
    waited: set[asyncio.Future[Any]] = {serving, ready}
    done, _ = await asyncio.wait(waited, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    if serving in done:
        await serving
    served = await ready
    key, piles_port = SigningKey.generate(), _free_port()
    SigningKey.generate().save(directory / "edge.sign")
    (directory / "circuit.toml").write_text(CIRCUIT.format(piles="".join(PILE.format(name=name) for name in PILES)))
    (directory / "edge.toml").write_text(edge_lines(served["devices"], broker_port, piles_port, key))
    agent = Agent(edge_file.load(directory / "edge.toml"), clock, "test")
    works = Works(directory, clock, served["control_port"], key, Broker("127.0.0.1", broker_port))
    works.agent = agent
    stop = asyncio.Event()
    running = asyncio.create_task(agent.run(stop, drain_s=0.2))
    try:
        async with works.connected():
            await works.ask(bus="piles", plant="works", connect=f"ws://127.0.0.1:{piles_port}")
            yield works
    finally:
        stop.set()
        await asyncio.wait([running], timeout=30)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await running
