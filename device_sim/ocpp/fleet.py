"""All piles of one bus: their lines, their common look at the clock, and what the control interface may ask of them. Not a single pile's life."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Self

from device_sim.answer_log import AnswerLog
from device_sim.charging_points import ChargingPoints
from device_sim.device import Device
from device_sim.ocpp.link import Link, LinkOptions
from device_sim.ocpp.options import BusOptions, address, read_bus, read_pile
from device_sim.ocpp.pile import Pile
from device_sim.ocpp.schemas import Schemas
from device_sim.ocpp.truth import truth_of
from device_sim.ocpp.v16 import Dialect16
from device_sim.ocpp.v20 import Dialect20
from device_sim.plant import Node
from device_sim.profile import UJ_PER_KWH
from device_sim.visits import Visit

log = logging.getLogger(__name__)

_VEHICLE_KEYS: Final = frozenset(
    {"need_kwh", "stay_s", "max_kw", "max_discharge_kw", "id_tag", "phases", "capacity_kwh"}
)


class Fleet:
    """A bus of piles; see `device_sim.bus`. Raises ValueError for options that cannot be, or a pile without a charging point."""

    def __init__(
        self, members: Sequence[Device], clock: Callable[[], int], log: AnswerLog, options: Mapping[str, Any]
    ) -> None:
        self._clock = clock
        self.options = read_bus(options)
        self._plant = members[0].plant
        self.piles: dict[str, Pile] = {}
        schemas: dict[str, Schemas] = {}
        taken: dict[str, str] = {}
        for position, device in enumerate(members):
            version = device.kind.version
            known = schemas.setdefault(version, Schemas(version))
            pile = self.piles[device.name] = _pile(device, position, clock, log, known, self.options)
            for what in (f"point {pile.options.point}", f"identity {pile.options.identity!r}"):
                if what in taken:
                    raise ValueError(f"device {device.name}: expected {what} for itself, got {taken[what]} there too")
                taken[what] = device.name
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def place(self) -> Mapping[str, Any]:
        """Where the piles connect to; null: they wait to be told."""
        return {"connects_to": self.options.connect}

    async def __aenter__(self) -> Self:
        self._plant.watchers.append(self)
        self._start(self._look_again_and_again(), "pile-clock")
        for name, pile in self.piles.items():
            self._start(pile.link.run(), f"pile-{name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._plant.watchers.remove(self)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        task.add_done_callback(_ended)

    async def _look_again_and_again(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(self.options.tick_s)

    def due_ms(self) -> int:
        """The next instant at which a pile has something to do; see `device_sim.plant.Watcher`."""
        return min(pile.due_ms() for pile in self.piles.values())

    def act(self, now_ms: int) -> None:
        """Lets the piles act that are due."""
        for pile in self.piles.values():
            if pile.due_ms() <= now_ms:
                pile.step(now_ms)

    def look(self) -> None:
        """Moves the plant up to now, and lets every pile look around."""
        self._plant.advance(self._clock())
        for pile in self.piles.values():
            pile.step(self._plant.now_ms)

    def control(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """{"connect": url or null, "pile": name or nothing for all}, {"show": "piles"}, {"pile": name, "vehicle": {...} or null}."""
        unknown = sorted(request.keys() - {"connect", "show", "pile", "vehicle"})
        if unknown or len(request.keys() & {"connect", "show", "vehicle"}) != 1:
            raise ValueError(f"bus: expected one of 'connect', 'show' and 'vehicle', got {sorted(request)}")
        name = request.get("pile")
        if name is not None and name not in self.piles:
            raise ValueError(f"pile: expected one of {sorted(self.piles)}, got {name!r:.100}")
        chosen = self.piles if name is None else {name: self.piles[name]}
        if "show" in request:
            if request["show"] != "piles":
                raise ValueError(f"show: expected 'piles', got {request['show']!r:.100}")
            self.look()
            return {"piles": {name: truth_of(pile) for name, pile in chosen.items()}}
        if "connect" in request:
            url = address(request["connect"])
            for pile in chosen.values():
                pile.link.point_at(url)
            return {}
        if name is None:
            raise ValueError("vehicle: expected a pile that it comes to, got none")
        self._vehicle(self.piles[name], request["vehicle"])
        return {}

    def _vehicle(self, pile: Pile, wanted: object) -> None:
        """A vehicle comes now, or (null) the one that is here leaves."""
        plant, point = self._plant, pile.point
        plant.advance(self._clock())
        plant.flow(Node.EV)
        if wanted is None:
            point.leave(plant.now_ms)
        else:
            if not isinstance(wanted, Mapping) or wanted.keys() - _VEHICLE_KEYS:
                raise ValueError(
                    f"vehicle: expected an object with some of {sorted(_VEHICLE_KEYS)}, got {wanted!r:.200}"
                )
            if point.visit is not None:
                raise ValueError(f"vehicle: expected a free point, got {point.visit.id_tag} there")
            point.come(_visit(wanted, plant.now_ms, pile.device.name))
        plant.disturb()
        plant.flow(Node.EV)
        pile.step(plant.now_ms)


def _pile(
    device: Device, position: int, clock: Callable[[], int], log: AnswerLog, schemas: Schemas, bus: BusOptions
) -> Pile:
    options, settings = read_pile(device.name, position, device.options)
    points = device.plant.vehicles
    if not isinstance(points, ChargingPoints) or options.point >= len(points):
        there = len(points) if isinstance(points, ChargingPoints) else 0
        raise ValueError(
            f"device {device.name}: point: expected one of the plant's {there} points, got {options.point}"
        )
    device.point = points[options.point]
    pile = Pile(device, device.point, options, settings, clock, log, schemas)
    link_options = LinkOptions(
        schemas.version,
        options.identity,
        bus.ca_file,
        options.certificate_file,
        options.key_file,
        bus.call_timeout_s,
        bus.reconnect_s,
    )
    pile.link = Link(link_options, pile, bus.connect, options.seed)
    pile.dialect = Dialect16(pile) if schemas.version == "1.6" else Dialect20(pile)
    return pile


def _visit(wanted: Mapping[str, Any], now_ms: int, name: str) -> Visit:
    def number(key: str, default: float, low: float, high: float) -> float:
        value = wanted.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"vehicle.{key}: expected a number from {low:g} to {high:g}, got {value!r:.60}")
        return float(value)

    need = round(number("need_kwh", 10, 0, 1000) * UJ_PER_KWH)
    capacity = round(number("capacity_kwh", max(60.0, 1.5 * need / UJ_PER_KWH), 0.1, 10_000) * UJ_PER_KWH)
    target = max(need, capacity * 9 // 10)
    id_tag = wanted.get("id_tag", f"TAG-{name}")
    if not isinstance(id_tag, str) or not 1 <= len(id_tag) <= 20:
        raise ValueError(f"vehicle.id_tag: expected 1 to 20 characters, got {id_tag!r:.60}")
    return Visit(
        now_ms,
        now_ms + max(1, round(1000 * number("stay_s", 3600, 0, 1e7))),
        need,
        max(1, round(number("max_kw", 11, 0.001, 1000) * 1e6)),
        id_tag[:20],
        3 if number("phases", 3, 1, 3) >= 2 else 1,
        capacity,
        target,
        min(capacity // 5, target - need),
        round(number("max_discharge_kw", 0, 0, 1000) * 1e6),
    )


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("pile stopped task=%s", task.get_name(), exc_info=error)
