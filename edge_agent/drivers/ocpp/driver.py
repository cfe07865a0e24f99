"""The driver's seam for OCPP: what has come is handed over, what is to be written goes to the pile. Not the listener (`server`).

The installation needs the packages `ocpp` and `websockets`; they are imported with this module and not before.
"""

import asyncio

from edge_agent.drivers.driver import Answer, DeviceRefused, DeviceUnreachable, Gateway, Written
from edge_agent.drivers.ocpp.declared import Bus, PilePlan
from edge_agent.drivers.ocpp.pile import Pile
from edge_agent.drivers.ocpp.server import Listener


class OcppDriver:
    """One listener and its piles. The port is opened with the first read."""

    listens = True

    def __init__(self, bus: Bus, gateway: Gateway) -> None:
        self._bus = bus
        self._listener = Listener(bus, gateway)
        self._started = False

    @property
    def port(self) -> int:
        """What piles connect to, 0 before the first read."""
        return self._listener.port

    def pile(self, identity: str) -> Pile:
        """A pile of the edge file; see `edge_agent.drivers.ocpp.commands` for what it can be asked."""
        return self._listener.piles[identity]

    async def read(
        self,
        device: PilePlan,
        deadline_s: float | None = None,  # noqa: ARG002 - nothing is asked
        counters_only: bool = False,  # noqa: ARG002
    ) -> Answer:
        """What a connector has told since the last read. Raises DeviceUnreachable where it is silent and nothing is left to tell."""
        await self._start()
        pile = self.pile(device.identity)
        pile.plan(device)
        blocks, events = pile.told.take(device)
        if not blocks and not events:
            await self._alive(pile, device)
        return Answer(blocks, events)

    async def _start(self) -> None:
        if not self._started:
            await self._listener.start()
            self._started = True

    async def _alive(self, pile: Pile, device: PilePlan) -> None:
        if not pile.connected:
            raise DeviceUnreachable(f"{device.name}: pile {device.identity} is not connected to port {self.port}")
        silent_s = asyncio.get_running_loop().time() - pile.heard_s
        if silent_s > self._bus.silent_s and pile.link is not None:
            await pile.link.close(1001, "silent for too long")
            raise DeviceUnreachable(f"{device.name}: pile {device.identity} has said nothing for {silent_s:.0f} s")

    def requests(self, device: PilePlan) -> tuple[str, ...]:
        """What the pile was asked to send, as far as it agreed."""
        able = self.pile(device.identity).capabilities
        taken = [f"{key} = {value}" for key, value in able.accepted.items()]
        return tuple(taken + [f"refused: {key}: {why}" for key, why in able.refused.items()])

    async def write(self, device: PilePlan, point: str, value: float | None, hold_s: float) -> Written:
        """See `Controllable.write`. The pile's own timer is set to `hold_s`, or to the profile's life if that is shorter and renewed."""
        await self._start()
        pile = self.pile(device.identity)
        pile.plan(device)
        steering = pile.steerings[device.connector]
        try:
            async with asyncio.timeout(4 * self._bus.timeout_s), pile.busy:
                return await steering.write(point, value, hold_s)
        except TimeoutError as error:
            raise DeviceUnreachable(f"{device.name}: {point}: no end within {4 * self._bus.timeout_s} s") from error
        finally:
            pile.wake.set()

    async def close(self) -> None:
        """Closes the port and all connections; piles keep what they cannot send."""
        await self._listener.close()


def open_driver(bus: Bus, gateway: Gateway) -> OcppDriver:
    """A driver for one listener. Raises DeviceRefused where the bus has no devices."""
    if not bus.device:
        raise DeviceRefused(f"bus {bus.name}", "empty", "expected at least one pile")
    return OcppDriver(bus, gateway)
