"""Questions to one device and what its refusals mean, in the words of `driver`. Not what is asked when, nor how bytes travel."""

import asyncio
from collections.abc import Iterable
from typing import Final

from edge_agent.drivers.bacnet import services
from edge_agent.drivers.bacnet.objects import object_text
from edge_agent.drivers.bacnet.services import Malformed, ObjectId, Reference, Result, Value
from edge_agent.drivers.bacnet.stack import Peer, Refused, Silent, Stack
from edge_agent.drivers.driver import DeviceMisanswered, DeviceRefused, DeviceUnreachable

# ANSI/ASHRAE 135-2016, clause 18 and 21: error codes (of any class), reject reasons, abort reasons.
_ERRORS: Final = {
    0: "other",
    2: "configuration-in-progress",
    3: "device-busy",
    9: "invalid-data-type",
    25: "operational-problem",
    27: "read-access-denied",
    31: "unknown-object",
    32: "unknown-property",
    37: "value-out-of-range",
    40: "write-access-denied",
    42: "invalid-array-index",
    43: "cov-subscription-failed",
    44: "not-cov-property",
    45: "optional-functionality-not-supported",
    47: "datatype-not-supported",
    29: "service-request-denied",
    50: "property-is-not-an-array",
    # Clause 18.9 and 18.10: what others call a rejection or an abort, some say as an error.
    51: "buffer-overflow",
    54: "segmentation-not-supported",
    59: "buffer-overflow",
    65: "too-many-arguments",
    67: "unrecognized-service",
    82: "busy",
    83: "communication-disabled",
    123: "apdu-too-long",
}
_REJECTS: Final = (
    "other",
    "buffer-overflow",
    "inconsistent-parameters",
    "invalid-parameter-data-type",
    "invalid-tag",
    "missing-required-parameter",
    "parameter-out-of-range",
    "too-many-arguments",
    "undefined-enumeration",
    "unrecognized-service",
)
_ABORTS: Final = (
    "other",
    "buffer-overflow",
    "invalid-apdu-in-this-state",
    "preempted-by-higher-priority-task",
    "segmentation-not-supported",
    "security-error",
    "insufficient-security",
    "window-size-out-of-range",
    "application-exceeded-reply-time",
    "out-of-resources",
    "tsm-timeout",
    "apdu-too-long",
)
_PASSING: Final = frozenset({"device-busy", "busy", "configuration-in-progress", "operational-problem", "other"}) | {
    "preempted-by-higher-priority-task",
    "application-exceeded-reply-time",
    "out-of-resources",
    "tsm-timeout",
}
ABSENT: Final = frozenset({"unknown-object", "unknown-property", "invalid-array-index", "property-is-not-an-array"})
UNKNOWN_SERVICE: Final = "unrecognized-service"
# Answers to a request for several properties that a smaller one need not get.
TOO_MUCH: Final = (
    frozenset({"buffer-overflow", "segmentation-not-supported", "apdu-too-long", "too-many-arguments", "other"})
    | {"out-of-resources", "application-exceeded-reply-time"}
    | ABSENT
)


def error_name(code: tuple[int, int]) -> str:
    """The standard's name of an error code, whatever its class."""
    return _ERRORS.get(code[1], f"error {code[0]}/{code[1]}")


def _meaning(kind: str, code: tuple[int, int]) -> str:
    if kind == "error":
        return error_name(code)
    names = _REJECTS if kind == "reject" else _ABORTS
    return names[code[0]] if code[0] < len(names) else f"{kind} {code[0]}"


class RefusedAs(DeviceRefused):
    """A refusal with the standard's name for it."""

    def __init__(self, what: str, kind: str, code: tuple[int, int]) -> None:
        self.name = _meaning(kind, code)
        super().__init__(what, kind, self.name, retry=self.name in _PASSING)


class Asker:
    """One device, found. Every question is counted in `requests`."""

    def __init__(self, stack: Stack, name: str, peer: Peer, instance: int, timeout_s: float) -> None:
        self._stack = stack
        self._timeout_s = timeout_s
        self.name = name
        self.peer = peer
        self.instance = instance
        self.requests = 0
        self.answered_at_s = 0.0  # the loop's clock

    async def _ask(self, service: int, parameters: bytes, what: str) -> bytes:
        self.requests += 1
        what = f"{self.name}: device {self.instance} at {self.peer.text}, {what}"
        try:
            answer = await self._stack.ask(self.peer, service, parameters)
        except Silent as error:
            raise DeviceUnreachable(f"{what}: no answer within {self._timeout_s:g} s") from error
        except Refused as error:
            raise RefusedAs(what, error.kind, error.code) from error
        except Malformed as error:
            raise DeviceMisanswered(f"{what}: {error}") from error
        self.answered_at_s = asyncio.get_running_loop().time()
        return answer

    async def encoded(self, object_id: ObjectId, prop: int, index: int | None = None) -> bytes:
        """One property, encoded. Raises DriverError."""
        what = f"property {prop} of {object_text(object_id)}"
        answer = await self._ask(services.READ_PROPERTY, services.read_property(object_id, prop, index), what)
        try:
            found = services.read_property_ack(answer)
        except Malformed as error:
            raise DeviceMisanswered(f"{self.name}: {what}: {error}") from error
        if (found.object, found.property, found.at_index) != (object_id, prop, index):
            saw = f"property {found.property} of {object_text(found.object)}"
            raise DeviceMisanswered(f"{self.name}: expected {what}, saw {saw}")
        return found.encoded

    async def values(self, object_id: ObjectId, prop: int, index: int | None = None) -> tuple[Value, ...]:
        """One property. Raises DriverError."""
        encoded = await self.encoded(object_id, prop, index)
        try:
            return services.values(encoded)
        except Malformed as error:
            raise DeviceMisanswered(f"{self.name}: property {prop} of {object_text(object_id)}: {error}") from error

    async def several(self, wanted: Iterable[tuple[ObjectId, Iterable[Reference]]], what: str) -> list[Result]:
        """Properties of several objects in one request. Raises DriverError; single errors stand in their results."""
        answer = await self._ask(
            services.READ_PROPERTY_MULTIPLE, services.read_property_multiple(wanted), f"{what} in one request"
        )
        try:
            return services.read_property_multiple_ack(answer)
        except Malformed as error:
            raise DeviceMisanswered(f"{self.name}: {what} in one request: {error}") from error

    async def write(self, object_id: ObjectId, prop: int, value: bytes, priority: int | None) -> None:
        """Raises DriverError."""
        what = f"writing {object_text(object_id)}" + (f" at priority {priority}" if priority else "")
        await self._ask(services.WRITE_PROPERTY, services.write_property(object_id, prop, value, priority), what)

    async def subscribe(self, service: int, parameters: bytes, object_id: ObjectId) -> None:
        """Raises DriverError."""
        await self._ask(service, parameters, f"subscribing to {object_text(object_id)}")
