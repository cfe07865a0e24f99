"""A simulated plant in this process, on its real protocols: the same devices and buses as `wattline sim run`, with the plant's truth at hand."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from device_sim.answer_log import AnswerLog
from device_sim.bus import Bus
from device_sim.charging_points import ChargingPoint, ChargingPoints
from device_sim.device import Device
from device_sim.plan import PlantPlan
from device_sim.plant import Plant
from device_sim.table import module_of

_TICK_S = 60.0  # how often a pile looks at its clock by itself: `settle` moves the plant, and with it all that is due


class _NoLog(AnswerLog):
    """The trial is judged by the plant itself, not by what its devices have answered."""

    def __init__(self) -> None:
        self.last_serials = {}

    def write(self, *_said: Any, **_more: Any) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """There is no file."""


class Simulated:
    """`async with` opens the plant's buses. `listed`: per bus what a reader must know of each device, as the simulator's own `ready` line has it."""

    def __init__(self, plan: PlantPlan, clock: Callable[[], int]) -> None:
        self.plan = plan
        self._clock = clock
        self.plant: Plant = plan.build(clock())
        self.devices: list[Device] = [device for _, device in plan.build_devices(self.plant)]
        self.listed: dict[str, list[dict[str, Any]]] = {}
        self._buses: dict[str, Bus] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises ValueError, OSError as `device_sim.serve` does."""
        members: dict[str, list[Device]] = {}
        for device_plan, device in zip(self.plan.devices, self.devices, strict=True):
            members.setdefault(device_plan.bus, []).append(device)
        for bus in self.plan.buses:
            options = dict(bus.options) | ({"tick_s": _TICK_S} if bus.protocol == "ocpp" else {})
            own = members[bus.name]
            opened = module_of(bus.protocol).open_bus(own, self._clock, _NoLog(), "127.0.0.1", options)
            opened = self._buses[bus.name] = await self._stack.enter_async_context(opened)
            self.listed[bus.name] = [self._listed(device, bus.name, bus.protocol, opened) for device in own]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _listed(self, device: Device, bus: str, protocol: str, opened: Bus) -> dict[str, Any]:
        said = {"plant": self.plan.name, "device": device.name, "kind": device.kind.name, "measures": device.node.value}
        return {**said, "bus": bus, "protocol": protocol, **opened.place, **device.kind.listed(device)}

    def call(self, bus: str, url: str) -> None:
        """Lets the piles of a bus call their central system."""
        self._buses[bus].control({"connect": url})

    def point(self, device: str) -> ChargingPoint | None:
        """The charging point of a pile."""
        return next(one.point for one in self.devices if one.name == device)

    @property
    def points(self) -> Sequence[ChargingPoint]:
        """All charging points."""
        return tuple(self.plant.vehicles) if isinstance(self.plant.vehicles, ChargingPoints) else ()

    def profile_writes(self) -> dict[str, int]:
        """How often each pile has written its flash so far: charging profiles, and settings at its first boot."""
        found: dict[str, int] = {}
        for plan in self.plan.buses:
            if plan.protocol == "ocpp":
                shown = self._buses[plan.name].control({"show": "piles"})["piles"]
                found |= {name: truth["flash_writes"] for name, truth in shown.items()}
        return found

    def settle(self) -> None:
        """Brings the plant to the present instant."""
        self.plant.advance(self._clock())
