"""What the three versions have in common for the rest of the driver: answers, facts, commands. Not their words (v16, v201, v21)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from edge_agent.drivers.ocpp import schemas
from edge_agent.drivers.ocpp.charging import Profile, Unit
from edge_agent.drivers.ocpp.frames import Payload

if TYPE_CHECKING:
    from edge_agent.drivers.ocpp.observed import Observed
    from edge_agent.drivers.ocpp.pile import Pile

Call: TypeAlias = tuple[str, dict[str, Any]]  # action and payload

# operating_state: one numbering for all versions. OCPP 1.6, section 7.7 ChargePointStatus; OCPP 2.0.1 Part 2, ConnectorStatusEnumType
# and ChargingStateEnumType.
STATES: Final[Mapping[str, int]] = {
    "Available": 1,
    "Preparing": 2,
    "EVConnected": 2,
    "Charging": 3,
    "SuspendedEVSE": 4,
    "SuspendedEV": 5,
    "Finishing": 6,
    "Reserved": 7,
    "Unavailable": 8,
    "Faulted": 9,
    "Occupied": 10,
    "Idle": 11,
}


class CallFault(Exception):
    """A call that is answered with an error; `code` is the standard's word."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


@dataclass(slots=True)
class Capabilities:
    """What a pile says that it can do. Until it has said so, the least is assumed."""

    known: bool = False
    smart_charging: bool = True  # nothing is lost by trying once
    rate_units: tuple[Unit, ...] = ()
    max_stack_level: int = 1
    local_list: bool = False
    trigger: bool = True
    bidirectional: bool = False
    accepted: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Dialect(Protocol):
    """One version of OCPP. A module is one."""

    def answer(self, pile: "Pile", action: str, request: Payload) -> dict[str, Any]:
        """What a central system answers to a pile's call; nothing is noted yet. Raises CallFault."""
        ...

    def note(self, told: "Observed", action: str, request: Payload, response: Payload) -> None:
        """What the call and its answer, whoever gave it, tell about the pile. Raises CallFault where the call lacks what it must have."""
        ...

    async def configure(self, pile: "Pile") -> None:
        """Finds out what the pile can do and sets it up. Raises DriverError."""
        ...

    def set_profile(self, connector: int, profile: Profile) -> Call: ...

    def clear_profile(self, identifier: int) -> Call: ...

    def composite(self, connector: int, seconds: int, unit: Unit) -> Call: ...

    def composite_schedule(self, response: Payload) -> Payload | None:
        """The schedule in the answer to `composite`: chargingRateUnit and chargingSchedulePeriod; None where it gives none."""
        ...

    def remote_start(self, connector: int, id_tag: str, number: int) -> Call: ...

    def remote_stop(self, transaction_id: str) -> Call: ...

    def unlock(self, connector: int) -> Call: ...

    def reset(self, *, hard: bool) -> Call: ...

    def change_availability(self, connector: int, *, operative: bool) -> Call: ...

    def update_firmware(self, location: str, retrieve_at_ms: int, number: int) -> Call: ...

    def diagnostics(self, location: str, number: int) -> Call: ...

    def trigger(self, message: str, connector: int | None) -> Call: ...

    def local_list(self, version: int, id_tags: list[str]) -> Call: ...

    def list_version(self) -> Call: ...


def unknown(version: str, action: str) -> CallFault:
    """For an action that is not handled: 1.6 and 2.x use the two words the other way round.

    OCPP-J 1.6, section 4.2.3: NotImplemented is for an action that is not known. OCPP 2.0.1 Part 4, section 4.3: it is for one that is.
    """
    is_known = schemas.knows(version, action)
    if version == "ocpp1.6":
        is_known = not is_known
    return CallFault("NotImplemented" if is_known else "NotSupported", f"no answer to {action} here")


def text(tree: Payload, key: str, limit: int = 255) -> str:
    """A text of a payload, "" where it is missing or none."""
    value = tree.get(key)
    return value[:limit] if isinstance(value, str) else ""


def whole(tree: Payload, key: str) -> int | None:
    """A whole number of a payload, None where it is missing or none."""
    value = tree.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def inner(tree: Payload, key: str) -> Payload:
    """An object of a payload, an empty one where it is missing or none."""
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def needed(value: Any, action: str, key: str) -> Any:
    """`value`. Raises CallFault where it is None or empty."""
    if value is None or value == "":
        raise CallFault("OccurenceConstraintViolation", f"{action}: expected {key}, saw none that can be read")
    return value
