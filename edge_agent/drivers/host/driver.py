"""Reads the gateway as a meter: load, heat, disk, spool, traffic, flash writes, estimated energy. Not where these stand (see `machine`)."""

import asyncio
import json
from pathlib import Path
from typing import Final

from edge_agent.drivers.driver import Answer, DeviceMisanswered, DeviceUnreachable, Gateway
from edge_agent.drivers.host.declared import EXPONENTS, Bus, HostPlan
from edge_agent.drivers.host.machine import DiskFree, Look, disk_free, look
from edge_agent.drivers.host.power import EnergyCounter, of_board
from wire.block import Block, Shape
from wire.reading import REASON_CODES, Quality

SHORTEST_SPAN_S: Final = 1.0  # over less, a share of processor time says nothing: ticks are 10 ms
_GOOD: Final = (int(Quality.GOOD), 0)
_ABSENT: Final = (int(Quality.BAD), REASON_CODES["not-implemented"])
_NOT_YET: Final = (int(Quality.BAD), REASON_CODES["restart"])
_OUT_OF_RANGE: Final = (int(Quality.BAD), REASON_CODES["out-of-range"])
_FAULTY: Final = (int(Quality.BAD), REASON_CODES["device-fault"])
_ESTIMATED: Final = (int(Quality.UNCERTAIN), REASON_CODES["estimated"])
_ESTIMATES: Final = frozenset({"active_power_kw", "energy_import_kwh", "emitted_kg_co2e"})
_OVER_A_SPAN: Final = frozenset({"host_cpu_percent", "agent_cpu_percent", "active_power_kw"})


class _Machine:
    """What one device needs to remember from read to read."""

    def __init__(self) -> None:
        self.since: Look | None = None  # what spans are measured from
        self.shares: dict[str, float] = {}
        self.energy: EnergyCounter | None = None


class Host:
    """A `Driver` for this machine. `free` tells the space of a directory's file system (see `machine.disk_free`)."""

    listens = False

    def __init__(self, _bus: Bus, gateway: Gateway, free: DiskFree = disk_free) -> None:
        self._gateway = gateway
        self._free = free
        self._machines: dict[str, _Machine] = {}

    async def read(self, device: HostPlan, deadline_s: float | None = None, counters_only: bool = False) -> Answer:
        """See `Driver.read`. One look, whole or not at all: it takes about a millisecond."""
        del deadline_s
        if counters_only and not device.has_counters:
            return Answer()
        disk = device.disk or str(self._gateway.state or Path("/"))
        found = look(Path(device.root), disk, device.sensor, device.flash, self._free)
        at_ms = self._gateway.now_ms()
        if found.up_s is None and found.total_s is None:
            raise DeviceUnreachable(
                f"{device.name}: expected /proc/uptime and /proc/stat under {device.root}, saw neither"
            )
        self._gateway.frame(device.name, False, json.dumps(found.seen).encode())
        machine = self._machines.setdefault(device.name, _Machine())
        values = {**self._own(), **_stock(found), **self._shares(device, machine, found)}
        values |= await self._energy(device, machine, found)
        answer = Answer(requests=1, faults=[DeviceMisanswered(f"{device.name}: {fault}") for fault in found.faults])
        waiting = set() if machine.shares else set(_OVER_A_SPAN)
        if device.power is None and of_board(found.board) is None:
            waiting.discard("active_power_kw")  # it will never come
        answer.blocks.append(_block(device, at_ms, values, waiting, found.broken))
        return answer

    def requests(self, device: HostPlan) -> tuple[str, ...]:
        """The one look."""
        return (f"a look at {device.root.rstrip('/')}/proc and {device.root.rstrip('/')}/sys",)

    async def close(self) -> None:
        """Writes down what was counted, to the joule."""
        for machine in self._machines.values():
            if machine.energy is not None:
                try:
                    await asyncio.to_thread(machine.energy.save, exact=True)
                except OSError:  # the next start adds the reserve instead
                    continue
        self._machines.clear()

    def _own(self) -> dict[str, float]:
        """The agent's figures that are quantities."""
        return {name: figure for name, figure in self._gateway.figures().items() if name in EXPONENTS}

    def _shares(self, device: HostPlan, machine: _Machine, found: Look) -> dict[str, float]:
        """Processor shares and power since the last read; the last ones again where it was hardly ago."""
        since = machine.since
        if since is None or since.boot != found.boot:
            machine.since, machine.shares = found, {}
            return {}
        if found.up_s is None or since.up_s is None or found.up_s - since.up_s < SHORTEST_SPAN_S:
            return machine.shares
        span_s = found.up_s - since.up_s
        shares: dict[str, float] = {}
        busy_s, total_s = _grown(since.busy_s, found.busy_s), _grown(since.total_s, found.total_s)
        own_s = _grown(since.own_s, found.own_s)
        if busy_s is not None and total_s:
            shares["host_cpu_percent"] = min(100.0, 100 * busy_s / total_s)  # iowait can go backwards, says proc(5)
        if own_s is not None:
            shares["agent_cpu_percent"] = 100 * own_s / span_s
        power = device.power or of_board(found.board)
        if power is not None and busy_s is not None:
            shares["active_power_kw"] = power.power_w(busy_s / span_s) / 1000
        machine.since, machine.shares = found, shares
        return shares

    async def _energy(self, device: HostPlan, machine: _Machine, found: Look) -> dict[str, float]:
        power = device.power or of_board(found.board)
        if power is None or not found.boot or found.up_s is None or found.busy_s is None:
            return {}
        counter = machine.energy
        if counter is None:
            state = self._gateway.state
            path = None if state is None else state / f"host-{device.name}.json"
            counter = machine.energy = EnergyCounter(power, found.cores, device.kg_co2e_per_kwh, path)
            if counter.fault:
                found.faults.append(counter.fault)
        counter.advance(found.boot, found.up_s, found.busy_s)
        if counter.must_be_saved:
            try:
                await asyncio.to_thread(counter.save)
            except OSError as error:
                found.faults.append(f"energy: expected a state directory that can be written, saw {error}")
        told = {"energy_import_kwh": counter.energy_kwh}
        if device.kg_co2e_per_kwh is not None:
            told["emitted_kg_co2e"] = counter.emitted_kg
        return told


def _stock(found: Look) -> dict[str, float]:
    """What can be told from one look alone."""
    told: dict[str, float | None] = {
        "host_memory_mib": None if found.memory_kib is None else found.memory_kib / 1024,
        "agent_memory_mib": None if found.own_memory_kib is None else found.own_memory_kib / 1024,
        "host_temperature_degc": None if found.temperature_mdegc is None else found.temperature_mdegc / 1000,
        "flash_written_bytes": found.flash_bytes,
        "agent_written_bytes": found.own_written_bytes,
    }
    if found.disk is not None:
        _, free, used = found.disk
        told["host_disk_free_bytes"] = free
        told["host_disk_used_percent"] = 100 * used / (used + free) if used + free else None  # as df reckons
    return {name: value for name, value in told.items() if value is not None}


def _grown(before_s: float | None, after_s: float | None) -> float | None:
    return None if before_s is None or after_s is None or after_s < before_s else after_s - before_s


def _block(device: HostPlan, at_ms: int, values: dict[str, float], waiting: set[str], broken: set[str]) -> Block:
    columns: list[tuple[int | None]] = []
    quality: list[tuple[int, int]] = []
    for name, (low, high) in zip(device.names, device.bounds, strict=True):
        value = values.get(name)
        if value is None:
            columns.append((None,))
            quality.append(_FAULTY if name in broken else _NOT_YET if name in waiting else _ABSENT)
        elif not low <= value <= high:
            columns.append((None,))
            quality.append(_OUT_OF_RANGE)
        else:
            columns.append((_counts(name, value),))
            quality.append(_ESTIMATED if name in _ESTIMATES else _GOOD)
    shape = Shape(device.names, tuple(EXPONENTS[name] for name in device.names))
    return Block(
        device.name, shape, (at_ms,), tuple(columns), tuple(quality) if any(pair[0] for pair in quality) else ()
    )


def _counts(name: str, value: float) -> int:
    """Whole steps of the quantity; downwards, so that a counter never runs ahead."""
    return int(value * 10 ** -EXPONENTS[name] + 1e-9)


def open_driver(bus: Bus, gateway: Gateway) -> Host:
    """A driver that looks when it is asked."""
    return Host(bus, gateway)
