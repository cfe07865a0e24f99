"""Runs a site: plants, their devices on their buses, the answer log and the control interface, until it is cancelled. No command line."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from device_sim.answer_log import AnswerLog
from device_sim.bus import Bus
from device_sim.control import ControlServer
from device_sim.device import Device
from device_sim.plan import Site
from device_sim.plant import Plant
from device_sim.table import module_of


async def serve(
    site: Site,
    clock: Callable[[], int],
    answer_log: Path,
    control_port: int,
    ready: Callable[[dict[str, Any]], None],
    host: str = "127.0.0.1",
) -> None:
    """Serves until cancelled. `clock` gives UTC ms; the plants begin at its first instant.

    Once all buses listen, `ready` is called with {"control_port", "answer_log", "started_at_ms", "devices": [{"plant", "device", "kind",
    "measures", "bus", "protocol", the bus's place, what its kind lists}]}. An existing answer log is continued, serials included. Raises
    OSError when a port or the log cannot be opened, ValueError where a bus cannot serve its devices.
    """
    origin_ms = clock()
    async with AsyncExitStack() as stack:
        log = stack.enter_context(AnswerLog(answer_log))
        plants = list[tuple[Plant, Sequence[Device]]]()
        listed, buses = list[dict[str, Any]](), dict[tuple[str, str], Bus]()
        # First of all: where its port is taken, nothing has been published or called yet.
        control = await stack.enter_async_context(ControlServer(plants, clock, control_port, buses))
        for plan in site.plants:
            plant = plan.build(origin_ms)
            devices = plan.build_devices(plant)
            plants.append((plant, [device for _, device in devices]))
            members: dict[str, list[Device]] = {}
            for device_plan, device in devices:
                device.serial = log.last_serials.get((plan.name, device.name), 0)
                members.setdefault(device_plan.bus, []).append(device)
            for bus_plan in plan.buses:
                own = members[bus_plan.name]
                opened = module_of(bus_plan.protocol).open_bus(own, clock, log, host, bus_plan.options)
                bus = buses[plan.name, bus_plan.name] = await stack.enter_async_context(opened)
                listed += [
                    {
                        "plant": plan.name,
                        "device": device.name,
                        "kind": device.kind.name,
                        "measures": device.node.value,
                        "bus": bus_plan.name,
                        "protocol": bus_plan.protocol,
                        **bus.place,
                        **device.kind.listed(device),
                    }
                    for device in own
                ]
        ready(
            {"control_port": control.port, "answer_log": str(answer_log), "started_at_ms": origin_ms, "devices": listed}
        )
        await asyncio.get_running_loop().create_future()
