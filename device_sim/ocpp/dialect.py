"""The seam between a pile and its version of the protocol: states, and what a version must be able to say. Neither of the two itself."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol

from device_sim.ocpp.link import Outgoing, Payload
from device_sim.ocpp.meter_values import Context, Reading
from device_sim.ocpp.session import Session


class State(StrEnum):
    """What a connector is doing, in the words of 1.6."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    UNAVAILABLE = "Unavailable"


class Dialect(Protocol):
    """What one version of the protocol makes of a pile's life. Each function queues messages on the pile's link."""

    def boot(self) -> Outgoing: ...
    def booted(self) -> None: ...
    def heartbeat(self) -> None: ...
    def state(self, state: State) -> None: ...
    def authorize(self, id_tag: str, answered: Callable[[bool | None], None]) -> None: ...
    def begun(self, session: Session) -> None: ...
    def sampled(self, session: Session | None, reading: Reading, context: Context) -> None: ...
    def ended(self, session: Session) -> None: ...
    def resumed(self, session: Session) -> None: ...
    def carry_out(self, action: str, payload: dict[str, Any]) -> Payload: ...
