"""The OCPP driver on a port of its own, with what an edge file would say, for tests. Not the piles (`ocpp_station`)."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from event_bodies import faults
from ocpp_station import Clock

from edge_agent import meter
from edge_agent.drivers.driver import Answer, DeviceUnreachable, Gateway
from edge_agent.drivers.ocpp.declared import DECLARED, Bus, PilePlan
from edge_agent.drivers.ocpp.driver import OcppDriver, open_driver
from wire.block import scaled
from wire.reading import Event

DEVICE = {"name": "cp1", "model": "ocpp_ac_pile", "identity": "CP-1", "rated_power_kw": 22.0}


class Bench:
    """A driver whose readings and events are gathered. `bus` and `devices` are what the edge file says."""

    def __init__(
        self,
        clock: Clock,
        state: Path | None = None,
        devices: list[dict[str, Any]] | None = None,
        frame: Callable[[str, bool, bytes], None] | None = None,
        **bus: Any,
    ) -> None:
        plain = {"name": "piles", "protocol": "ocpp", "host": "127.0.0.1", "port": 0, "security_profile": 0}
        tree = {**plain, "accept": "all", "timeout_s": 5.0, "device": devices or [DEVICE], **bus}
        self.bus = msgspec.convert(tree, Bus)
        assert list(DECLARED.faults(self.bus)) == []
        more = {} if frame is None else {"frame": frame}
        self.driver: OcppDriver = open_driver(self.bus, Gateway(clock, state, **more))
        self.plans: dict[str, PilePlan] = {
            device.name: DECLARED.plan(self.bus, device, meter.load(device.model)) for device in self.bus.device
        }  # type: ignore[assignment]
        self.events: list[Event] = []
        self.readings: list[tuple[str, str, int, float | None, int]] = []  # device, quantity, instant, value, quality
        self.scheme = "wss" if self.bus.security_profile > 1 else "ws"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.driver.port}"

    async def __aenter__(self) -> "Bench":
        await self.gather()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gather()
        await self.driver.close()

    async def gather(self) -> None:
        """Reads all devices once."""
        for plan in self.plans.values():
            try:
                self._take(await self.driver.read(plan))
            except DeviceUnreachable:
                continue

    def _take(self, answer: Answer) -> None:
        self.events += answer.events
        assert [fault for event in answer.events for fault in faults(event.kind, event.body)] == []
        for block in answer.blocks:
            for column, (quantity, exponent) in enumerate(
                zip(block.shape.quantities, block.shape.exponents, strict=True)
            ):
                quality = block.quality[column][0] if block.quality else 0
                for at_ms, value in zip(block.at_ms, block.columns[column], strict=True):
                    self.readings.append((block.device, quantity, at_ms, scaled(value, exponent), quality))

    async def until(self, holds: Callable[[], Any], timeout_s: float = 10.0) -> Any:
        """Reads until something holds, and gives it."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := holds()):
                    await asyncio.sleep(0.01)
                    await self.gather()
                return found
        except TimeoutError:
            kinds = [(event.kind, event.body.get("phase")) for event in self.events]
            raise AssertionError(f"did not come so far: events {kinds}, readings {self.readings[-5:]}") from None

    def told(self, kind: str, **body: Any) -> list[Event]:
        """The events of a kind whose body says so."""
        return [e for e in self.events if e.kind == kind and all(e.body.get(k) == v for k, v in body.items())]

    async def event(self, kind: str, **body: Any) -> Event:
        """Waits for one, and gives the last."""
        found: list[Event] = await self.until(lambda: self.told(kind, **body))
        return found[-1]

    def values(self, quantity: str, device: str = "cp1") -> list[tuple[int, float | None]]:
        """Instant and value of a quantity, in the order in which they came."""
        return [(at, value) for name, q, at, value, _ in self.readings if name == device and q == quantity]

    async def value(self, quantity: str, device: str = "cp1") -> tuple[int, float | None]:
        """Waits for a value, and gives the last."""
        found: list[tuple[int, float | None]] = await self.until(lambda: self.values(quantity, device))
        return found[-1]
