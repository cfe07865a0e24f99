"""Polling: the buses of an edge file, a task each. Not the polling of one bus (see `edge_agent.bus_task`), nor the spool behind it."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from edge_agent.bus_task import BusTask
from edge_agent.drivers.declared import Bus
from edge_agent.drivers.driver import Driver, Gateway, NotWritable, Written
from edge_agent.drivers.table import open_driver
from edge_agent.edge_file import EdgeFile
from edge_agent.polled import DeviceState
from wire.block import Block
from wire.clock import Clock
from wire.reading import Event

OpenDriver = Callable[[Bus, Gateway], Driver[Any]]


class Collection:
    """Reads all devices of an edge file until `stop()`.

    `sink` gets each block as soon as its answer is there, `event` the comings and goings; both return at once. `open_driver` is the
    table of drivers, `gateway` what they may use of this machine, `rejected` is told of answers that were not believed. A read under way at `stop()` is finished: its answers are not thrown away.
    """

    def __init__(
        self,
        edge: EdgeFile,
        clock: Clock,
        sink: Callable[[Block], None],
        event: Callable[[Event], None],
        open_driver: OpenDriver = open_driver,
        seed: int | None = None,
        gateway: Gateway | None = None,
        rejected: Callable[[str, str], None] | None = None,
    ) -> None:
        """Raises ExtraMissing where the installation lacks the library of a protocol."""
        self._clock = clock
        jitter = random.Random(seed)
        gateway = gateway or Gateway(clock.now_ms)
        self._buses = [
            BusTask(bus, clock, sink, event, open_driver(bus, gateway), jitter, rejected or _nobody) for bus in edge.bus
        ]

    async def run(self) -> None:
        """Polls until `stop()`; then closes the connections."""
        async with asyncio.TaskGroup() as tasks:
            for bus in self._buses:
                tasks.create_task(bus.run(), name=f"bus {bus.name}")

    def stop(self) -> None:
        """Lets each bus finish the read that is under way and begin no other."""
        for bus in self._buses:
            bus.stop()

    async def write(self, device: str, point: str, value: float | None, hold_s: float) -> Written:
        """Writes between two reads of the device's bus, before what else is due (see `Controllable.write`). Raises DriverError."""
        for bus in self._buses:
            for polled in bus.devices:
                if polled.device.name == device:
                    return await bus.write(polled, point, value, hold_s)
        raise NotWritable(f"{device}: no device of this edge file")

    def states(self) -> list[DeviceState]:
        """One state per device, in the order of the edge file."""
        return [polled.state for bus in self._buses for polled in bus.devices]


def _nobody(_device: str, _why: str) -> None:
    """Nobody wants to know."""
