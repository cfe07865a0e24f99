"""What serves the devices of one bus, whatever the protocol. Not a protocol itself."""

from collections.abc import Mapping
from typing import Any, Protocol, Self


class Bus(Protocol):
    """A running bus; `async with` starts and stops it. Each simulator module has `open_bus(members, clock, log, host, options) -> Bus`.

    members: its devices. clock: UTC ms. log: every answer is noted there. host: where to listen. options: the keys of [[plant.bus]] that
    the module names in OPTIONS. Raises ValueError where members or options do not fit, OSError where it cannot listen.
    """

    @property
    def place(self) -> Mapping[str, Any]:
        """How a client reaches it, JSON: {"host", "port"}, {"serial"} or what the protocol needs. Known once it is started."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...
    def control(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carries out a request of the control interface that concerns the whole bus. Raises ValueError for one it does not know."""
        ...
