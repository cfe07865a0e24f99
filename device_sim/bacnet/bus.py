"""Simulated BACnet/IP devices, each on a UDP port of its own: bacpypes3's objects and services behind a wire that can fail. Not what they show.

    datagram -> wire (silence, delay, halves, old answers) -> bacpypes3 (segments, transactions, services) -> objects, drawn at each answer

Several devices on one machine need a port each: bacpypes3 lets sockets share a port, and then one of them gets everything.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Self

from bacpypes3 import basetypes, primitivedata
from bacpypes3.apdu import (
    ConfirmedRequestPDU,
    ReadPropertyMultipleRequest,
    ReadPropertyRequest,
    WritePropertyRequest,
)
from bacpypes3.app import Application
from bacpypes3.appservice import ApplicationServiceAccessPoint
from bacpypes3.comm import bind
from bacpypes3.errors import ExecutionError
from bacpypes3.ipv4.bvll import BVLLCodec
from bacpypes3.ipv4.service import BIPNormal
from bacpypes3.netservice import NetworkServiceAccessPoint, NetworkServiceElement
from bacpypes3.pdu import IPv4Address

from device_sim.answer_log import AnswerLog
from device_sim.bacnet.kinds import SERIAL, ObjectId, Thing, instance_of, room_temperature_degc
from device_sim.bacnet.objects import Station, made
from device_sim.bacnet.wire import Entry, Wire
from device_sim.device import Device
from device_sim.faults import FaultKind

log = logging.getLogger(__name__)
logging.getLogger("bacpypes3").setLevel(logging.CRITICAL + 1)

OPTIONS: Final = frozenset({"port", "cov_s", "max_apdu", "segmentation"})
_LONGEST_APDU: Final = 1476
_SMALLEST_APDU: Final = 50
_ROOM: Final = 100  # analog-input,101 is the first room
_VENDOR: Final = 999
_PRESENT_VALUE: Final = 85
# What the control interface's exception code becomes: (class, code) of clause 18.
_ERRORS: Final = {
    1: ("services", "optional-functionality-not-supported"),
    2: ("object", "unknown-object"),
    3: ("property", "value-out-of-range"),
    4: ("device", "operational-problem"),
    6: ("device", "device-busy"),
}
_READS: Final = (ReadPropertyRequest, ReadPropertyMultipleRequest)


class _Served(Application):  # type: ignore[misc]
    """One device: its objects, drawn anew for each answer, its serial and its restarts."""

    def __init__(
        self, device: Device, clock: Callable[[], int], sent: Callable[[Entry], None], options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.device = device
        self._clock = clock
        self._instance = instance_of(device)
        self._things: dict[ObjectId, Thing] = device.kind.objects(device.options)
        self._down = False
        self._settled = True
        station = Station(
            self._own_clock,
            objectIdentifier=("device", self._instance),
            objectName=device.name,
            modelName=device.kind.model,
            vendorIdentifier=_VENDOR,
            vendorName="Wattline simulator",
            description=f"{device.kind.model} of {device.plant.name}",
            maxApduLengthAccepted=int(options.get("max_apdu", _LONGEST_APDU)),
            segmentationSupported="segmented-both" if options.get("segmentation", True) else "no-segmentation",
            maxSegmentsAccepted=16,
        )
        self.asap = ApplicationServiceAccessPoint(station, self.device_info_cache)
        self.nsap = NetworkServiceAccessPoint()
        self.nse = NetworkServiceElement()
        bind(self.nse, self.nsap)
        bind(self, self.asap, self.nsap)
        self.add_object(station)
        self._station = station
        self._objects: dict[ObjectId, Any] = {}
        for object_id, thing in self._things.items():
            self._objects[object_id] = made(object_id, thing)
            self.add_object(self._objects[object_id])
        self._serial = made(SERIAL, Thing("Answer Serial", "no-units"))
        self.add_object(self._serial)
        self.wire = Wire(device, clock, sent)
        self.wire.restart = self.reboot
        self._note_restart()

    async def open(self, host: str, port: int) -> int:
        """Raises OSError."""
        port = await self.wire.open(host, port)
        layer = BIPNormal()
        bind(layer, BVLLCodec(), self.wire)
        self.nsap.bind(layer, address=IPv4Address((host, port)))
        return port

    def close(self) -> None:
        self.forget_subscriptions()
        self.wire.close()

    def _own_clock(self) -> int:
        now_ms = self._clock()
        jump = self.device.faults.active(now_ms).get(FaultKind.CLOCK_JUMP)
        return now_ms + (round(1000 * jump.clock_s) if jump is not None else 0)

    # ---- restarts and other identities

    def reboot(self) -> None:
        """Subscriptions and commands are gone, once for each restart."""
        if self._down:
            return
        self._down = True
        self.forget_subscriptions()
        for object_id, thing in self._things.items():
            if thing.rest is not None:
                for slot in range(16):
                    self._objects[object_id].priorityArray[slot] = basetypes.PriorityValue(null=())
        self._note_restart()

    def _note_restart(self) -> None:
        moment = datetime.fromtimestamp(self._own_clock() / 1000, UTC)
        date, time = primitivedata.Date(moment.date()), primitivedata.Time(moment.time())
        self._station.timeOfDeviceRestart = basetypes.TimeStamp(dateTime=basetypes.DateTime(date=date, time=time))

    def forget_subscriptions(self) -> None:
        """As after a restart, or where the table was full."""
        for detection in list(self._cov_detections.values()):
            for subscription in list(detection.cov_subscriptions):
                self.cancel_subscription(subscription)

    @property
    def subscriptions(self) -> int:
        """How many there are now."""
        return sum(len(detection.cov_subscriptions) for detection in self._cov_detections.values())

    def _settle(self) -> dict[FaultKind, Any]:
        active = self.device.faults.active(self._clock())
        if FaultKind.REBOOT in active:
            self.reboot()
        elif self._down:
            self._down = False
        instance = self._instance + 1 if FaultKind.WRONG_UNIT in active else self._instance
        if self._station.objectIdentifier[1] != instance:
            self._station.objectIdentifier = ("device", instance)
        return active

    # ---- values

    def _draw(self) -> None:
        now_ms = self._clock()
        image = self.device.image(now_ms)
        for (kind, number), thing in self._things.items():
            if thing.rest is not None:
                continue
            value = image.get((kind, number))
            if value is None and kind == "analog-input" and number > _ROOM:
                value = room_temperature_degc(number - _ROOM, now_ms)
            if value is not None:
                self._objects[kind, number].presentValue = value

    def tick(self) -> None:
        """Looks whether something subscribed has changed."""
        if FaultKind.SILENCE not in self._settle() and self._cov_detections:
            self._draw()

    def _take_commands(self) -> None:
        """What is commanded now acts on the device; what nobody commands is forgotten."""
        for object_id, thing in self._things.items():
            if thing.rest is None:
                continue
            held = self._objects[object_id]
            if any(slot.null is None for slot in held.priorityArray):
                self.device.written[thing.name] = round(float(held.presentValue) * 1000)
            else:
                self.device.written.pop(thing.name, None)
        act = self.device.kind.act
        if act is not None:
            act(self.device)

    # ---- answers

    async def indication(self, apdu: Any) -> None:
        active = self._settle()
        if not isinstance(apdu, ConfirmedRequestPDU):
            await super().indication(apdu)
            return
        self.device.serial += 1
        refused = active.get(FaultKind.EXCEPTION)
        carried = False
        if isinstance(apdu, _READS):
            self._draw()
            self._serial.presentValue = self.device.serial
            carried = refused is None and _asks_for_serial(apdu)
        shown = next(
            (kind.value for kind in (FaultKind.EXCEPTION, FaultKind.WRONG_UNIT, FaultKind.FROZEN) if kind in active),
            None,
        )
        if FaultKind.WRONG_UNIT in active:
            carried = False
        what = type(apdu).__name__.removesuffix("Request")
        self.wire.entry = Entry(self.device.serial, self._clock(), carried, shown, what)
        self._refusal = None if refused is None else _ERRORS.get(refused.exception_code, _ERRORS[4])
        await super().indication(apdu)
        for transaction in self.asap.serverTransactions:
            # The library fails over a client that takes a first segment and then says nothing, and never forgets it.
            if transaction.actualWindowSize is None:
                transaction.actualWindowSize = 1
        if isinstance(apdu, WritePropertyRequest):
            self._take_commands()

    def cov_confirmation(self, cov: Any, future: Any) -> None:  # noqa: ARG002 - the library's signature
        """A subscriber that answers a notification with an error has had it all the same; the library would raise into the event loop."""
        if not future.cancelled() and (error := future.exception()) is not None:
            log.debug("notification refused device=%s reason=%r", self.device.name, error)

    def get_object_id(self, object_identifier: Any) -> Any:
        """The object of a request; a device that is out of order refuses them all."""
        refusal = getattr(self, "_refusal", None)
        if refusal is not None:
            raise ExecutionError(errorClass=refusal[0], errorCode=refusal[1])
        return super().get_object_id(object_identifier)


def _asks_for_serial(apdu: Any) -> bool:
    serial = primitivedata.ObjectIdentifier(SERIAL)
    if isinstance(apdu, ReadPropertyRequest):
        return bool(apdu.objectIdentifier == serial and int(apdu.propertyIdentifier) == _PRESENT_VALUE)
    return any(
        specification.objectIdentifier == serial
        and any(int(wanted.propertyIdentifier) == _PRESENT_VALUE for wanted in specification.listOfPropertyReferences)
        for specification in apdu.listOfReadAccessSpecs
    )


class BacnetBus:
    """A `Bus`: all devices of it, each with its port. See the module."""

    def __init__(
        self,
        members: Sequence[Device],
        clock: Callable[[], int],
        answers: AnswerLog,
        host: str,
        options: Mapping[str, Any],
    ) -> None:
        self._members = members
        self._clock = clock
        self._answers = answers
        self._host = host
        self._options = options
        self._served: dict[str, _Served] = {}
        self._ports: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def place(self) -> Mapping[str, Any]:
        """See `Bus.place`: every device has a port of its own."""
        return {"host": self._host, "ports": dict(self._ports)}

    async def __aenter__(self) -> Self:
        first = int(self._options.get("port", 0))
        try:
            for index, device in enumerate(self._members):
                served = self._served[device.name] = _Served(
                    device, self._clock, partial(self._note, device), self._options
                )
                self._ports[device.name] = await served.open(self._host, first + index if first else 0)
        except BaseException:
            self._close()
            raise
        self._task = asyncio.create_task(self._tick(), name="bacnet simulator")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._close()

    def _close(self) -> None:
        for served in self._served.values():
            served.close()

    async def _tick(self) -> None:
        every_s = float(self._options.get("cov_s", 1.0))
        while True:
            await asyncio.sleep(every_s)
            for served in self._served.values():
                try:
                    served.tick()
                except Exception:
                    log.exception("device failed device=%s", served.device.name)

    def _note(self, device: Device, entry: Entry) -> None:
        self._answers.write(
            device.plant.name,
            device.name,
            entry.serial,
            entry.at_ms,
            carried=entry.carried,
            fault=entry.fault,
            what=entry.what,
        )

    def control(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Bus.control`. `{"forget_subscriptions": device}` is a full table; `{"subscriptions": device}` counts them."""
        ((what, name),) = request.items() if len(request) == 1 else ((None, None),)
        served = self._served.get(str(name))
        if what not in ("forget_subscriptions", "subscriptions") or served is None:
            raise ValueError(
                f"request: expected forget_subscriptions or subscriptions with one of {', '.join(sorted(self._served))}, saw {dict(request)}"
            )
        if what == "forget_subscriptions":
            served.forget_subscriptions()
        return {"subscriptions": served.subscriptions}


def open_bus(
    members: Sequence[Device], clock: Callable[[], int], log: AnswerLog, host: str, options: Mapping[str, Any]
) -> BacnetBus:
    """See `device_sim.bus`."""
    seen: dict[int, str] = {}
    for device in members:
        first = seen.setdefault(instance_of(device), device.name)
        if first != device.name:
            raise ValueError(f"device {device.name}: instance: expected one that {first} does not have")
        device.kind.objects(device.options)
    if not _SMALLEST_APDU <= int(options.get("max_apdu", _LONGEST_APDU)) <= _LONGEST_APDU:
        raise ValueError(f"max_apdu: expected {_SMALLEST_APDU} to {_LONGEST_APDU}, saw {options['max_apdu']!r}")
    return BacnetBus(members, clock, log, host, options)
