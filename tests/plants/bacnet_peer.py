"""A BACnet device and a BACnet client made of plain bacpypes3, for tests: peers that share nothing with our driver but the library's layers below."""

from collections.abc import Iterable
from typing import Any

from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.analog import AnalogInputObject, AnalogOutputObject, AnalogValueObject, AnalogValueObjectCmd
from bacpypes3.local.binary import BinaryOutputObject
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import IPv4Address


def free_udp_port() -> int:
    """A UDP port of the loopback interface that nobody has now."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


COMMON = {"eventState": "normal", "outOfService": False, "covIncrement": 0.5}


def analog(number: int, value: float, units: str, **more: Any) -> Any:
    """analog-input,number."""
    return AnalogInputObject(
        objectIdentifier=("analog-input", number),
        **{"objectName": f"input {number}", "presentValue": value, "units": units, **COMMON, **more},
    )


def plain_value(number: int, value: float, units: str, **more: Any) -> Any:
    """analog-value,number without a priority array."""
    return AnalogValueObject(
        objectIdentifier=("analog-value", number),
        **{"objectName": f"value {number}", "presentValue": value, "units": units, **COMMON, **more},
    )


def commandable_value(number: int, rest: float, units: str) -> Any:
    """analog-value,number with a priority array."""
    return AnalogValueObjectCmd(
        objectIdentifier=("analog-value", number),
        objectName=f"value {number}",
        presentValue=rest,
        relinquishDefault=rest,
        units=units,
        **COMMON,
    )


def output(number: int, rest: float, units: str) -> Any:
    """analog-output,number."""
    return AnalogOutputObject(
        objectIdentifier=("analog-output", number),
        objectName=f"output {number}",
        presentValue=rest,
        relinquishDefault=rest,
        units=units,
        **COMMON,
    )


def switch(number: int) -> Any:
    """binary-output,number."""
    return BinaryOutputObject(
        objectIdentifier=("binary-output", number),
        objectName=f"switch {number}",
        presentValue=0,
        relinquishDefault=0,
        polarity="normal",
        eventState="normal",
        outOfService=False,
    )


class LibraryDevice(NormalApplication):
    """A device as anybody would write it with the library. `without` names services that it does not know."""

    def __init__(
        self, instance: int, objects: Iterable[Any] = (), without: frozenset[str] = frozenset(), **device: Any
    ) -> None:
        self.port = free_udp_port()
        self.instance = instance
        self.without = without
        self.asked: list[str] = []
        known = {"objectName": f"device {instance}", "vendorIdentifier": 999, **device}
        super().__init__(
            DeviceObject(objectIdentifier=("device", instance), **known), IPv4Address(f"127.0.0.1:{self.port}")
        )
        for one in objects:
            self.add_object(one)

    def thing(self, name: str) -> Any:
        """One of its objects."""
        return self.objectName[name]

    async def indication(self, apdu: Any) -> None:
        name = type(apdu).__name__.removesuffix("Request")
        self.asked.append(name)
        if name in self.without:
            from bacpypes3.apdu import RejectPDU

            await self.response(RejectPDU(reason="unrecognizedService", context=apdu))
            return
        await super().indication(apdu)

    @property
    def subscriptions(self) -> int:
        """How many changes of value it tells somebody."""
        return sum(len(detection.cov_subscriptions) for detection in self._cov_detections.values())

    async def settle(self) -> "LibraryDevice":
        """Waits until its port is open."""
        await self.normal.server._local_transport_ready.wait()
        return self
