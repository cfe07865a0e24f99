"""What can be said of an edge file without touching a device: its faults, its requests, and how busy its buses would be. Nothing is read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from edge_agent import allow, meter
from edge_agent.allow import Allowed
from edge_agent.drivers.declared import Bus, Device, SerialBus
from edge_agent.drivers.table import declared
from edge_agent.edge_file import EdgeFile, EdgeFileFaults, Fault, load


@dataclass(frozen=True, slots=True)
class DevicePlanned:
    """One device's share of its bus: `busy_percent` of the period for its `requests`, a line each; `confirmed` rows have a second source."""

    device: str
    model: str
    period_s: float
    rows: int
    confirmed: int
    requests: int
    lines: tuple[str, ...]
    busy_percent: float
    allowed: tuple[str, ...] = ()  # what may be written, a line each


@dataclass(frozen=True, slots=True)
class BusPlanned:
    """One bus. Above 100 % the periods cannot be kept."""

    bus: str
    place: str
    busy_percent: float
    devices: tuple[DevicePlanned, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome: `faults` of the file, else its `buses`."""

    faults: tuple[Fault, ...]
    buses: tuple[BusPlanned, ...]
    circuit: tuple[str, ...] = ()  # what this edge keeps and steers, a line each

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
    return Check((), planned(edge), circuit_lines(edge))


def circuit_lines(edge: EdgeFile) -> tuple[str, ...]:
    """The branches, assets, shares and legal limits of a sound edge file's circuit."""
    if not edge.control.circuit:
        return ()
    from edge_agent.limits import fit
    from wire.circuit import load as load_circuit

    return tuple(fit.lines(load_circuit(Path(edge.control.circuit)), edge.edge))


def planned(edge: EdgeFile) -> tuple[BusPlanned, ...]:
    """Every bus of a sound edge file."""
    return tuple(_bus(bus) for bus in edge.bus)


def not_admitted(edge: EdgeFile) -> str:
    """Why the agent shall not start: serial lines whose characters alone take longer than the periods allow; "" where all fit.

    On a network the answer time of a device is a guess, so a busy bus there is only pointed out by `check`.
    """
    serial = {bus.name for bus in edge.bus if isinstance(bus, SerialBus)}
    return "\n".join(
        f"bus {bus.bus} ({bus.place}): expected at most 100 % of the line's time, saw {bus.busy_percent} %: "
        "longer periods, fewer rows, a higher speed or a second line"
        for bus in planned(edge)
        if bus.bus in serial and bus.busy_percent > 100
    )


def run_check(path: str | Path, as_json: bool, out: TextIO) -> int:
    """Prints the check to `out`. Gives the exit status: 0 sound, 1 a bus is overloaded, 2 the file has faults."""
    outcome = check(path)
    if as_json:
        faults = [asdict(fault) for fault in outcome.faults]
        out.write(
            json.dumps({"faults": faults, "buses": [asdict(bus) for bus in outcome.buses], "circuit": outcome.circuit})
            + "\n"
        )
    elif outcome.faults:
        for fault in outcome.faults:
            out.write(f"{fault}\n")
    else:
        for bus in outcome.buses:
            _print_bus(bus, out)
        out.writelines(f"{line}\n" for line in outcome.circuit)
    if outcome.faults:
        return 2
    return 1 if outcome.overloaded else 0


def _bus(bus: Bus) -> BusPlanned:
    devices = tuple(_device(bus, device) for device in bus.device)
    busy = sum(device.busy_percent for device in devices)
    return BusPlanned(bus.name, declared(bus.protocol).place(bus) or "", round(busy, 1), devices)


def _device(bus: Bus, device: Device) -> DevicePlanned:
    model, spoken = meter.load(device.model), declared(bus.protocol)
    load = spoken.load(bus, spoken.plan(bus, device, model))
    return DevicePlanned(
        device=device.name,
        model=device.model,
        period_s=device.period_s,
        rows=len(model.row) + len(device.row),
        confirmed=sum(row.confirmed for row in model.row),
        requests=load.requests,
        lines=load.lines,
        busy_percent=round(load.busy_ms / (10 * device.period_s), 2),
        allowed=tuple(map(_allowed, allow.allowed(device, model))),
    )


def _allowed(entry: Allowed) -> str:
    """A point that may be written, for people."""
    safe = "let go of" if entry.safe is None else f"{entry.safe:g}"
    return (
        f"may be written: {entry.point}, {entry.low:g} to {entry.high:g} {entry.unit}, at most {entry.longest_s:g} s; "
        f"fallback {entry.fallback}, safe state: {safe}"
    )


def _print_bus(bus: BusPlanned, out: TextIO) -> None:
    verdict = "the periods cannot be kept" if bus.busy_percent > 100 else "fits"
    out.write(f"bus {bus.bus} ({bus.place}): {bus.busy_percent} % busy: {verdict}\n")
    for device in bus.devices:
        out.write(
            f"  {device.device}: {device.model}, {device.rows} quantities ({device.confirmed} confirmed by a second source) every "
            f"{device.period_s:g} s in {device.requests} requests\n"
        )
        out.writelines(f"    {line}\n" for line in (*device.lines, *device.allowed))
