"""The gateway of a trial: its edge file, and the agent's own collection, limit loop and control without broker and spool. What it has read last can be asked for."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edge_agent import allow, edge_file, meter
from edge_agent.collect import Collection
from edge_agent.control import Control
from edge_agent.drivers.driver import Gateway, Written
from edge_agent.limits.loop import LimitLoop
from edge_agent.limits.network import network_of
from wattline.demo_edge import MODELS, bus_lines, piles_call
from wattline.trial.virtual_time import VirtualClock
from wire.block import Block, scaled
from wire.circuit import Circuit
from wire.command import Result
from wire.keys import SigningKey
from wire.reading import Event
from wire.schedule import Schedule, seal
from wire.topics import edge_topic

EDGE: Final = "gw"
LIMIT_PERIOD_S: Final = 2.0  # of the meters of branches; the slowest that a limit may be kept with (domain rule 26)
_ASSET_PERIOD_S: Final = 10.0
_OTHER_PERIOD_S: Final = 60.0
CIRCUIT_FILE: Final = "circuit.toml"
_SAMPLE_S: Final = 20  # in transactions; the limit loop goes by what a pile has last said
_SAFE_A: Final = 6  # what a pile lets flow without a word from us
_PROFILE_S: Final = 3600
_DEAD_BAND_A: Final = 2.0  # a profile wears a pile's flash: what is less is not worth one of its hundred writes a day
_REMEMBERED: Final = frozenset({"energy_import_kwh", "energy_export_kwh", "state_of_charge_percent"})
_HOLD_S: Final = {"charger": 900, "battery": 60, "pv": 60, "load": 60}


def edge_text(circuit: Circuit, listed: Mapping[str, Sequence[Mapping[str, Any]]], *, steered: bool) -> str:
    """The edge file. Not `steered`: nothing may be written, and piles have no default of ours."""
    lines = [
        f'facility = "{circuit.facility}"', f'edge = "{EDGE}"', 'mqtt = { host = "127.0.0.1", plain = true }',
        'spool = { directory = "spool" }', *([f'control = {{ circuit = "{CIRCUIT_FILE}" }}'] if steered else []),
    ]  # fmt: skip
    for name, devices in listed.items():
        if devices[0]["protocol"] == "ocpp":
            lines += _pile_lines(circuit, name, devices, steered=steered)
        else:
            lines += _others(circuit, name, devices, steered=steered)
    return "\n".join(lines) + "\n"


def _others(circuit: Circuit, name: str, devices: Sequence[Mapping[str, Any]], *, steered: bool) -> list[str]:
    meters, assets = {branch.meter for branch in circuit.branch}, {asset.device for asset in circuit.asset}
    names = {str(device["device"]) for device in devices}
    period_s = LIMIT_PERIOD_S if names & meters else _ASSET_PERIOD_S if names & assets else _OTHER_PERIOD_S
    found = []
    for line in bus_lines(name, devices, period_s):
        if line == "[[bus.device.allow]]" and not steered:
            break
        found.append(line)
    return found


def _pile_lines(circuit: Circuit, name: str, devices: Sequence[Mapping[str, Any]], *, steered: bool) -> list[str]:
    host, port = piles_call(devices[0])
    lines = [
        "[[bus]]", f'name = "{name}"', 'protocol = "ocpp"', f'host = "{host}"', f"port = {port}", "security_profile = 0",
        'accept = "all"', f"sample_s = {_SAMPLE_S}",
    ]  # fmt: skip
    assets = {asset.device: asset for asset in circuit.asset}
    for device in devices:
        lines += [
            "[[bus.device]]", f'name = "{device["device"]}"', f'model = "{MODELS[device["kind"]]}"', f"period_s = {_ASSET_PERIOD_S:g}",
            f'identity = "{device["identity"]}"', f"profile_s = {_PROFILE_S}",
            f"dead_band_a = {_DEAD_BAND_A:g}",
        ]  # fmt: skip
        asset = assets.get(device["device"])
        if asset is None:
            continue
        phases = len(asset.phases) // 2
        lines += [f"phases = {phases}", f"rated_power_kw = {max(asset.charge_kw, asset.discharge_kw):g}"]
        if steered:
            lines += [
                f"safe_current_a = {_SAFE_A}", "[[bus.device.allow]]", f'point = "{asset.point}"', f"low = {-asset.discharge_kw:g}",
                f"high = {asset.charge_kw:g}", f"hold_s = {_HOLD_S[asset.kind]}",
            ]  # fmt: skip
    return lines


class TrialGateway:
    """Collection, limits and control of one edge file. `key` signs what is handed over to it, as an aggregator's would."""

    def __init__(
        self, text: str, circuit: Circuit, directory: Path, clock: VirtualClock, event: Callable[[Event], None]
    ) -> None:
        """Raises EdgeFileFaults."""
        path = directory / "edge.toml"
        path.write_text(text, encoding="utf-8")
        self.edge = edge_file.load(path)
        self.writes: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.key = SigningKey.generate()
        self._latest: dict[tuple[str, str], tuple[int, float]] = {}
        self._event = event
        self._collection = Collection(
            self.edge, clock, self._take, self._tell, seed=1, gateway=Gateway(clock.now_ms, directory)
        )
        self._schedule_topic = edge_topic(self.edge.facility, self.edge.edge, "schedule")
        network = network_of(circuit, EDGE)
        self.control = Control(
            [
                entry
                for bus in self.edge.bus
                for device in bus.device
                if device.allow
                for entry in allow.allowed(device, meter.load(device.model))
            ],
            None,
            edge_topic(self.edge.facility, self.edge.edge, "command"),
            clock,
            self._write,
            self._tell,
            lambda _result: None,
            local={(line.asset.device, line.asset.point) for line in network.lines},
        )
        self._limits: LimitLoop | None = None
        if self.edge.control.circuit:
            self._limits = LimitLoop(
                network,
                clock,
                self.control.follow,
                self._tell,
                self._answer,
                None,
                self.key.public,
                self._schedule_topic,
            )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "TrialGateway":
        self.control.link(True)
        self._tasks = [asyncio.create_task(self._collection.run()), asyncio.create_task(self.control.run())]
        if self._limits is not None:
            self._limits.link(True)
            self._tasks.append(asyncio.create_task(self._limits.run()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._collection.stop()
        await asyncio.wait(self._tasks[:1], timeout=60)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for task in self._tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def hand_over(self, schedule: Schedule) -> None:
        """A schedule as it would come over the broker: sealed bytes."""
        if self._limits is not None:
            self._limits.schedule(seal(schedule, self._schedule_topic, self.key))

    def figures(self) -> dict[str, Any]:
        """What the limit loop says of itself."""
        return {} if self._limits is None else self._limits.figures()

    def latest(self, device: str, quantity: str) -> tuple[int, float] | None:
        """The instant (UTC ms) and value of a device's last good reading; None: there has been none."""
        return self._latest.get((device, quantity))

    def _take(self, block: Block) -> None:
        if self._limits is not None:
            self._limits.look(block)
        exponents = block.shape.exponents
        for column, quantity in enumerate(block.shape.quantities):
            value = block.columns[column][-1]
            if quantity in _REMEMBERED and value is not None and (not block.quality or block.quality[column][0] == 0):
                self._latest[block.device, quantity] = block.at_ms[-1], scaled(value, exponents[column]) or 0.0

    def _tell(self, event: Event) -> None:
        if self._limits is not None:
            self._limits.heard(event)
        self._event(event)

    async def _write(self, device: str, point: str, value: float | None, hold_s: float) -> Written:
        self.writes[device] += 1
        return await self._collection.write(device, point, value, hold_s)

    def _answer(self, result: Result) -> None:
        if result.reason:
            self.refused[result.reason] += 1
