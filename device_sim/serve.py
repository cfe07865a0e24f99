"""Runs a site: plants, their devices on Modbus TCP ports, the answer log and the control interface, until it is cancelled. No command line."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from device_sim.answer_log import AnswerLog
from device_sim.control import ControlServer
from device_sim.device import Device
from device_sim.modbus_tcp import ModbusTcpServer
from device_sim.plan import DevicePlan, Site


async def serve(
    site: Site,
    clock: Callable[[], int],
    answer_log: Path,
    control_port: int,
    ready: Callable[[dict[str, Any]], None],
    host: str = "127.0.0.1",
) -> None:
    """Serves until cancelled. `clock` gives UTC ms; the plants begin at its first instant.

    Once all ports listen, `ready` is called with {"control_port", "answer_log", "started_at_ms", "devices": [{"plant", "device", "kind", "measures",
    "bus", "host", "port", "unit", "table", "serial_addresses"}]}; serials lie in `table`. An existing answer log is continued, serials included. Raises OSError when a port or
    the log cannot be opened.
    """
    origin_ms = clock()
    async with AsyncExitStack() as stack:
        log = stack.enter_context(AnswerLog(answer_log))
        buses: dict[tuple[str, str], list[tuple[DevicePlan, Device]]] = {}
        plants = []
        for plan in site.plants:
            plant = plan.build(origin_ms)
            devices = plan.build_devices(plant)
            plants.append((plant, [device for _, device in devices]))
            for device_plan, device in devices:
                device.serial = log.last_serials.get((plan.name, device.name), 0)
                buses.setdefault((plan.name, device_plan.bus), []).append((device_plan, device))
        listed = []
        for (plant_name, bus), members in buses.items():
            units = {device.unit: device for _, device in members}
            server = await stack.enter_async_context(ModbusTcpServer(units, clock, log, host, members[0][0].port))
            listed += [
                {
                    "plant": plant_name,
                    "device": device.name,
                    "kind": device.kind.name,
                    "measures": device.node.value,
                    "bus": bus,
                    "host": host,
                    "port": server.port,
                    "unit": device.unit,
                    "table": "holding" if 3 in device.kind.functions else "input",
                    "serial_addresses": list(device.kind.serial_addresses),
                }
                for _, device in members
            ]
        control = await stack.enter_async_context(ControlServer(plants, clock, control_port))
        ready(
            {"control_port": control.port, "answer_log": str(answer_log), "started_at_ms": origin_ms, "devices": listed}
        )
        await asyncio.get_running_loop().create_future()
