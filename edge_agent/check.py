"""What can be said of an edge file without touching a device: its faults, its requests, and how busy its buses would be. Nothing is read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from edge_agent import meter
from edge_agent.drivers import coalesce, sunspec
from edge_agent.drivers.coalesce import TCP_COST, Request
from edge_agent.edge_file import Bus, Device, EdgeFile, EdgeFileFaults, Fault, load


@dataclass(frozen=True, slots=True)
class DevicePlanned:
    """One device's share of its bus. `busy_percent` of the period at `answer_ms` per request; `confirmed` rows have a second source."""

    device: str
    model: str
    period_s: float
    rows: int
    confirmed: int
    requests: int
    registers: int
    holes: int
    busy_percent: float


@dataclass(frozen=True, slots=True)
class BusPlanned:
    """One bus. Above 100 % the periods cannot be kept."""

    bus: str
    host: str
    port: int
    answer_ms: float
    busy_percent: float
    devices: tuple[DevicePlanned, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome: `faults` of the file, else its `buses`."""

    faults: tuple[Fault, ...]
    buses: tuple[BusPlanned, ...]

    @property
    def overloaded(self) -> tuple[BusPlanned, ...]:
        """The buses that could not keep their periods."""
        return tuple(bus for bus in self.buses if bus.busy_percent > 100)


def check(path: str | Path) -> Check:
    """Loads the edge file at `path` and plans it. Never raises for what is wrong with the file: that is in `faults`."""
    try:
        edge = load(path)
    except EdgeFileFaults as faults:
        return Check(tuple(faults.faults), ())
    return Check((), planned(edge))


def planned(edge: EdgeFile, answer_ms: float = TCP_COST.fixed_ms) -> tuple[BusPlanned, ...]:
    """Every bus of a sound edge file, with `answer_ms` as the time that a device takes to answer one request."""
    return tuple(_bus(bus, answer_ms) for bus in edge.bus)


def requests(device: Device) -> tuple[Request, ...]:
    """The requests that a read of `device` will take; for SunSpec as if its models stood one behind the other."""
    model = meter.load(device.model)
    fields = meter.fields(model, device.row)
    if any(field.model_block is not None for field in fields):
        fields, _ = sunspec.placed(fields, sunspec.nominal(fields))
    return coalesce.plan(fields, model.limits(), TCP_COST)


def run_check(path: str | Path, as_json: bool, out: TextIO) -> int:
    """Prints the check to `out`. Gives the exit status: 0 sound, 1 a bus is overloaded, 2 the file has faults."""
    outcome = check(path)
    if as_json:
        faults = [asdict(fault) for fault in outcome.faults]
        out.write(json.dumps({"faults": faults, "buses": [asdict(bus) for bus in outcome.buses]}) + "\n")
    elif outcome.faults:
        for fault in outcome.faults:
            out.write(f"{fault}\n")
    else:
        for bus in outcome.buses:
            _print_bus(bus, out)
    if outcome.faults:
        return 2
    return 1 if outcome.overloaded else 0


def _bus(bus: Bus, answer_ms: float) -> BusPlanned:
    devices = tuple(_device(device, answer_ms) for device in bus.device)
    busy = sum(device.busy_percent for device in devices)
    return BusPlanned(bus.name, bus.host, bus.port, answer_ms, round(busy, 1), devices)


def _device(device: Device, answer_ms: float) -> DevicePlanned:
    model = meter.load(device.model)
    plan = requests(device)
    return DevicePlanned(
        device=device.name,
        model=device.model,
        period_s=device.period_s,
        rows=len(model.row) + len(device.row),
        confirmed=sum(row.confirmed for row in model.row),
        requests=len(plan),
        registers=sum(request.count for request in plan),
        holes=sum(request.holes for request in plan),
        busy_percent=round(len(plan) * (answer_ms + model.pause_ms) / (10 * device.period_s), 2),
    )


def _print_bus(bus: BusPlanned, out: TextIO) -> None:
    verdict = "the periods cannot be kept" if bus.busy_percent > 100 else "fits"
    out.write(
        f"bus {bus.bus} ({bus.host}:{bus.port}): {bus.busy_percent} % busy at {bus.answer_ms:g} ms per answer: {verdict}\n"
    )
    for device in bus.devices:
        out.write(
            f"  {device.device}: {device.model}, {device.rows} quantities ({device.confirmed} confirmed by a second source) every "
            f"{device.period_s:g} s in {device.requests} requests, {device.registers} registers, {device.holes} of them holes\n"
        )
