"""One mode of a trial from begin to end, in virtual time: plant, gateway, and where it is steered the planner. Not what is made of it (`table`)."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from aggregator.flexibility.problem import Currency
from device_sim.cells import PPM
from device_sim.plan import PlantPlan
from device_sim.plant import Node
from device_sim.profile import UJ_PER_KWH
from wattline.demo_edge import piles_call
from wattline.trial import virtual_time
from wattline.trial.cloud import LOOK_EVERY_MS, Cloud, tariff_of
from wattline.trial.gateway import CIRCUIT_FILE, TrialGateway, edge_text
from wattline.trial.grid import Grid
from wattline.trial.outlook import History
from wattline.trial.plants import Simulated
from wattline.trial.vehicles import CarPark
from wattline.trial.virtual_time import VirtualClock
from wattline.trial.watch import QUARTER_MS, Watch
from wire.circuit import Circuit
from wire.reading import Event

Cycles: TypeAlias = float  # equivalent full ones
Mode = Literal["uncontrolled", "ordered", "two_way"]
MODES: Final[tuple[Mode, ...]] = ("uncontrolled", "ordered", "two_way")
_CONNECT_MS: Final = 30_000  # until all piles have called and all devices are read
_TOLD_EVERY_S: Final = 21_600


@dataclass(frozen=True, slots=True)
class Wanted:
    """A trial: what is simulated, from when (UTC ms, a quarter's begin) and how long, and what the grid asks. `circuit_text`: the circuit's file."""

    plan: PlantPlan
    circuit: Circuit
    circuit_text: bytes
    grid: Grid
    begin_ms: int
    quarters: int
    demand_price_per_kw: Currency
    carbon_price_per_kg: Currency


@dataclass(frozen=True, slots=True)
class Ran:
    """What one mode came to. `writes`: orders of the edge per device; `flash_writes`: what of them wore a pile. `cycles`: of the battery, equivalent full ones.

    `stored_kwh`: what the battery holds more at the end than at the begin (DC). `took_s`: processor time.
    """

    mode: Mode
    begin_ms: int
    watch: Watch
    park: CarPark
    writes: dict[str, int]
    flash_writes: dict[str, int]
    refused: dict[str, int]
    cycles: Cycles
    stored_kwh: float
    plans: int
    triggers: dict[str, int]
    took_s: float


def run_mode(wanted: Wanted, mode: Mode, progress: Callable[[str], None]) -> Ran:
    """Runs it. Raises ValueError, OSError where the plant cannot be served, EdgeFileFaults, NoPlan, ProblemFault."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / CIRCUIT_FILE).write_bytes(wanted.circuit_text)
        return virtual_time.run(
            lambda clock: _run(wanted, mode, clock, Path(directory), progress), wanted.begin_ms - _CONNECT_MS
        )


async def _run(
    wanted: Wanted, mode: Mode, clock: VirtualClock, directory: Path, progress: Callable[[str], None]
) -> Ran:
    began_s = time.process_time()
    circuit, steered = wanted.circuit, mode != "uncontrolled"
    events: list[Event] = []
    async with Simulated(wanted.plan, clock) as simulated:
        text = edge_text(circuit, simulated.listed, steered=steered)
        gateway = TrialGateway(text, circuit, directory, clock, events.append)
        park = CarPark(circuit, simulated, gateway, mode == "two_way")
        watch = Watch(simulated.plant, circuit, wanted.grid, wanted.demand_price_per_kw)
        tariff = tariff_of(wanted.grid, wanted.demand_price_per_kw, wanted.carbon_price_per_kg)
        history = History(wanted.plan, wanted.plan.zone, wanted.begin_ms)
        cloud = Cloud(circuit, tariff, wanted.grid, history, park, gateway, watch)
        async with gateway:
            _connect(simulated)
            await asyncio.sleep((wanted.begin_ms - clock()) / 1000)
            simulated.settle()
            watch.begin()
            before_kwh, written = _stored_kwh(simulated), simulated.profile_writes()
            for second in range(wanted.quarters * QUARTER_MS // 1000):
                now_ms = clock()
                simulated.settle()
                watch.second()
                park.judge(now_ms)
                if second and now_ms % QUARTER_MS < 1000:
                    watch.quarter(now_ms - QUARTER_MS)
                fresh = [park.take(event) for event in events]
                events.clear()
                if steered and (any(fresh) or now_ms % LOOK_EVERY_MS < 1000):
                    cloud.consider(now_ms)
                if second % _TOLD_EVERY_S == 0:
                    progress(f"{mode}: hour {second // 3600} of {wanted.quarters / 4:g}")
                await asyncio.sleep(1.0)
            simulated.settle()
            watch.quarter(clock() - QUARTER_MS)
            stored_kwh = _stored_kwh(simulated) - before_kwh
            flash = {name: count - written[name] for name, count in simulated.profile_writes().items()}
            writes = dict(gateway.writes)
    took_s = time.process_time() - began_s
    return Ran(
        mode, wanted.begin_ms, watch, park, writes, flash, dict(gateway.refused), _cycles(simulated), stored_kwh, cloud.rolling.solved,
        dict(cloud.triggers), took_s,
    )  # fmt: skip


def _connect(simulated: Simulated) -> None:
    """Piles call the gateway."""
    for name, devices in simulated.listed.items():
        if devices[0]["protocol"] == "ocpp":
            host, port = piles_call(devices[0])
            simulated.call(name, f"ws://{host}:{port}/")


def _stored_kwh(simulated: Simulated) -> float:
    battery = simulated.plant.battery
    return 0.0 if battery is None else battery.stored / PPM / UJ_PER_KWH


def _cycles(simulated: Simulated) -> Cycles:
    """What the battery has given, at its cells, over its capacity."""
    battery = simulated.plant.battery
    if battery is None:
        return 0.0
    given = simulated.plant.tallies[Node.BATTERY].export_uj * battery.discharge_ppm / PPM
    return float(given / UJ_PER_KWH / battery.capacity_kwh)
