"""A circuit in virtual time: devices with a response time, meters that are read each second, and the loop over them. The physics is written here, not taken from the loop."""

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from event_bodies import faults

from edge_agent.limits.loop import LimitLoop
from edge_agent.limits.network import network_of
from wire.block import Block, Shape
from wire.circuit import Circuit, of_tree
from wire.clock import Clock
from wire.reading import Event
from wire.schedule import BranchLimit, Schedule, Stay, Wish

NOON_MS = 1_795_248_000_000 - 1_795_248_000_000 % 900_000  # begins a quarter of an hour
VOLTS = 400 / math.sqrt(3)
PHASES = ("L1", "L2", "L3")


class Now(Clock):
    """A clock that is set."""

    __slots__ = ("at_ms", "pass_by")

    def __init__(self, at_ms: int = NOON_MS) -> None:
        super().__init__()
        self.at_ms = at_ms
        self.pass_by: Callable[[int], None] = lambda _seconds: None

    async def sleep(self, simulated_s: float) -> None:
        self.pass_by(round(simulated_s))

    def now_ms(self) -> int:
        return self.at_ms

    def __call__(self) -> int:
        return self.at_ms


@dataclass
class Machine:
    """A device: what it takes of what it is told, after `delay_s`. `wants_kw`: what a vehicle takes at most, or the sun gives (negative)."""

    kind: str
    wants_kw: float = 0.0
    delay_s: float = 1.0
    told: list[tuple[int, float]] = field(default_factory=list)
    power_kw: float = 0.0
    online: bool = True
    writes: int = 0
    timer_s: float = 60.0  # its own: not told again for so long, it goes back to `alone_kw`
    alone_kw: float = 0.0
    fed_ms: int = 0
    tells_s: int = 1  # how often it says what it takes

    def tell(self, value: float, now_ms: int) -> None:
        self.fed_ms = now_ms
        if not self.told or self.told[-1][1] != value:
            self.told.append((now_ms, value))
            self.writes += 1

    def step(self, now_ms: int) -> None:
        heard = [value for at_ms, value in self.told if at_ms + self.delay_s * 1000 <= now_ms]
        if now_ms - self.fed_ms > self.timer_s * 1000:
            heard = [self.alone_kw] if self.told else []
        if self.kind == "battery":
            self.power_kw = heard[-1] if heard else 0.0
        elif self.kind == "pv":
            self.power_kw = max(self.wants_kw, heard[-1]) if heard else self.wants_kw
        else:
            most = heard[-1] if heard else 0.0
            self.power_kw = min(self.wants_kw, most) if most >= 0 else most


def phasor(kw: float, phases: str, phase: str) -> complex:
    """The current of a power at cos phi 1, A."""
    names = [phases[at : at + 2] for at in range(0, len(phases), 2)]
    if phase not in names:
        return 0j
    return cmath.rect(kw * 1000 / VOLTS / len(names), -2 * math.pi / 3 * PHASES.index(phase))


class Garage:
    """`circuit` at edge gw-01 with a machine per asset. `load_kw`: what nobody steers, by branch, spread evenly over the phases."""

    def __init__(self, tree: dict[str, Any], **loop: Any) -> None:
        self.circuit: Circuit = of_tree(tree)
        self.clock = Now()
        self.events: list[Event] = []
        self.machines = {
            asset.device: Machine(
                asset.kind,
                asset.charge_kw if asset.kind != "pv" else -asset.discharge_kw,
                {"charger": 4.0, "load": 4.0}.get(asset.kind, 1.0),
            )
            for asset in self.circuit.asset
        }
        self.load_kw: dict[str, float] = {}
        self.meters_off: set[str] = set()
        self.meters_frozen: dict[str, dict[str, float]] = {}
        self.shown: dict[str, dict[str, float]] = {}
        self.extra: dict[str, dict[str, float]] = {}  # device -> quantity -> value, such as a state of charge
        self.loop = LimitLoop(network_of(self.circuit, "gw-01"), self.clock, self.follow, self.heard, **loop)
        self.muted = False
        self.overlook: Callable[[Block], None] = lambda _block: None
        self.clock.pass_by = self.run

    def heard(self, event: Event) -> None:
        assert faults(event.kind, event.body) == []
        self.events.append(event)

    def follow(self, device: str, point: str, value: float) -> None:
        machine = self.machines[device]
        if machine.online and not self.muted:
            machine.tell(value, self.clock.at_ms)

    def schedule(self, number: int = 1, **rows: Any) -> str:
        now_ms = self.clock.at_ms
        valid_s = rows.pop("valid_s", 3600)
        return self.loop.take(
            Schedule(f"s-{number}", "cloud", number, now_ms, now_ms + valid_s * 1000, self.circuit.sha256, **rows)
        )

    def wish(self, asset: str, kw: float, for_s: int = 3600, **more: Any) -> Wish:
        return Wish(asset, kw, self.clock.at_ms, self.clock.at_ms + for_s * 1000, **more)

    def limit(self, branch: str, for_s: int = 3600, **more: Any) -> BranchLimit:
        return BranchLimit(branch, self.clock.at_ms, self.clock.at_ms + for_s * 1000, **more)

    def stay(self, asset: str, hours: float, need_kwh: float, **more: Any) -> Stay:
        return Stay(asset, self.clock.at_ms + int(hours * 3_600_000), need_kwh, **more)

    def power_kw(self, branch: str) -> float:
        inside = [name for name in (b.name for b in self.circuit.branch) if branch in self._path(name)]
        return sum(self.load_kw.get(name, 0.0) for name in inside) + sum(
            self.machines[asset.device].power_kw for asset in self.circuit.below(branch)
        )

    def currents(self, branch: str) -> list[complex]:
        inside = [name for name in (b.name for b in self.circuit.branch) if branch in self._path(name)]
        load_kw = sum(self.load_kw.get(name, 0.0) for name in inside)
        return [
            phasor(load_kw, "L1L2L3", phase)
            + sum(phasor(self.machines[a.device].power_kw, a.phases, phase) for a in self.circuit.below(branch))
            for phase in PHASES
        ]

    def _path(self, name: str) -> list[str]:
        return [branch.name for branch in self.circuit.path(name)]

    def block(self, device: str, values: dict[str, float]) -> None:
        shape = Shape(tuple(values), (None,) * len(values))
        block = Block(device, shape, (self.clock.at_ms,), tuple((value,) for value in values.values()))
        self.overlook(block)
        self.loop.look(block)

    def run(self, seconds: int, each: Callable[[], None] = lambda: None) -> None:
        """So many seconds: the machines move, everything is read, the loop has its round, `each` looks."""
        for _ in range(seconds):
            self.clock.at_ms += 1000
            for machine in self.machines.values():
                machine.step(self.clock.at_ms)
            for branch in self.circuit.branch:
                if branch.meter and branch.meter not in self.meters_off:
                    self._read_meter(branch.name, branch.meter)
            for device, machine in self.machines.items():
                if machine.online and self.clock.at_ms // 1000 % machine.tells_s == 0:
                    self.block(device, {"active_power_kw": machine.power_kw, **self.extra.get(device, {})})
            for device, values in self.extra.items():
                if device not in self.machines:
                    self.block(device, values)
            self.loop.round(self.clock.at_ms)
            each()

    def _read_meter(self, branch: str, meter: str) -> None:
        values = {"active_power_kw": self.power_kw(branch), "reactive_power_kvar": 0.0}
        for phase, current, turn in zip(PHASES, self.currents(branch), range(3), strict=True):
            name = phase.lower()
            along = current * cmath.rect(1, 2 * math.pi / 3 * turn)
            values[f"current_{name}_a"] = abs(current)
            values[f"active_power_{name}_kw"] = along.real * VOLTS / 1000
            values[f"reactive_power_{name}_kvar"] = -along.imag * VOLTS / 1000
        self.block(meter, self.meters_frozen.get(meter, values))
        self.shown[meter] = values

    def told(self, device: str) -> float:
        return self.machines[device].told[-1][1]

    def states(self) -> list[tuple[str, str]]:
        return [
            (f"{e.body['of']} {e.body['name']}".strip(), str(e.body["state"]))
            for e in self.events
            if e.kind == "control_state"
        ]


def pile(name: str, phases: str = "L1L2L3", **more: Any) -> dict[str, Any]:
    return {
        "name": name, "kind": "charger", "branch": "garage", "edge": "gw-01", "device": name, "point": "charging_limit_kw",
        "phases": phases, "charge_kw": 22.08 if len(phases) == 6 else 7.36, **more,
    }  # fmt: skip


def battery(**more: Any) -> dict[str, Any]:
    return {
        "name": "battery", "kind": "battery", "branch": "works", "edge": "gw-01", "device": "battery", "capacity_kwh": 100.0,
        "point": "active_power_setpoint_kw", "charge_kw": 50.0, "discharge_kw": 50.0, "least_percent": 10.0, **more,
    }  # fmt: skip


def tree(*assets: dict[str, Any], garage: dict[str, Any] | None = None, **works: Any) -> dict[str, Any]:
    outer = {
        "name": "works",
        "limit_kva": 200.0,
        "edge": "gw-01",
        "meter": "incomer",
        "uncontrolled_max_kva": 120.0,
        **works,
    }
    inner = {
        "name": "garage",
        "within": "works",
        "limit_a": 100.0,
        "edge": "gw-01",
        "meter": "garage",
        "uncontrolled_max_kva": 5.0,
        **(garage or {}),
    }
    return {"facility": "works", "branch": [outer, inner], "asset": list(assets)}
