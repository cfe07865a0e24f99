"""A simulated OPC UA server: machines and meters as objects with variables, certificates, users. Not what they show, nor the faults of the network.

    front (faults of the network) -> asyncua's server on a port of its own -> one object per device, written anew at each turn

Every turn writes all variables of a device with one source timestamp, and with them its next answer serial. The log gets its line when a client
has acknowledged the notification that carried the serial, so it never names one that nobody has.
"""

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from asyncua import ua as _ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.server import Server

from device_sim.answer_log import AnswerLog
from device_sim.device import Device
from device_sim.faults import Fault, FaultKind
from device_sim.opcua.front import Front
from device_sim.opcua.kinds import SERIAL, OpcUaKind, Variable

ua: Final[Any] = _ua
log = logging.getLogger(__name__)
logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)

OPTIONS: Final = frozenset({"port", "update_s", "certificate", "key", "username", "password"})
_TYPES: Final = {
    "double": ua.VariantType.Double,
    "float": ua.VariantType.Float,
    "int32": ua.VariantType.Int32,
    "uint32": ua.VariantType.UInt32,
    "uint64": ua.VariantType.UInt64,
    "float3": ua.VariantType.ExtensionObject,
}
_STRUCTURE: Final = 5001  # the numeric id that our structure of three floats goes by; a client goes by its length
# What a device's own fault looks like in OPC UA, by the code that the control interface takes.
_STATUS: Final = {
    1: ua.StatusCodes.BadNotSupported,
    2: ua.StatusCodes.BadNodeIdUnknown,
    3: ua.StatusCodes.BadOutOfRange,
    4: ua.StatusCodes.BadDeviceFailure,
    5: ua.StatusCodes.UncertainSubNormal,
    6: ua.StatusCodes.BadSensorFailure,
    10: ua.StatusCodes.BadNoCommunication,
    11: ua.StatusCodes.BadNoCommunication,
}
_WHOLE: Final = (FaultKind.SILENCE, FaultKind.DELAY, FaultKind.REBOOT)  # of the server, when all its devices have them
_LINK: Final = (FaultKind.HALF_FRAME, FaultKind.WRONG_CHECKSUM, FaultKind.ONE_CONNECTION)  # of the server, always
_KEPT_SERIALS: Final = 10_000
_EU_NAMESPACE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"


class _Shown:
    """One device in the server: the node ids of its variables and what was written last."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.nodes: dict[str, Any] = {}
        self.serial_node: Any = None
        self.turn: tuple[int, frozenset[FaultKind]] | None = None
        self.answers: dict[int, tuple[int, str | None]] = {}  # serial -> instant and fault, until acknowledged
        self.logged = 0
        self.last: dict[str, Any] = {}


class OpcUaBus:
    """A `Bus`. See the module."""

    def __init__(
        self,
        members: Sequence[Device],
        clock: Callable[[], int],
        answers: AnswerLog,
        host: str,
        options: Mapping[str, Any],
    ) -> None:
        self._clock = clock
        self._answers = answers
        self._host = host
        self._options = options
        self._shown = [_Shown(device) for device in members]
        self._front = Front(host, int(options.get("port", 0)), self._whole)
        self._server: Server | None = None
        self._boots = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def place(self) -> Mapping[str, Any]:
        """See `Bus.place`."""
        return {"host": self._host, "port": self._front.port, "url": f"opc.tcp://{self._host}:{self._front.port}"}

    async def __aenter__(self) -> Self:
        await self._front.start()
        try:
            await self._boot()
        except BaseException:
            await self._front.stop()
            raise
        self._task = asyncio.create_task(self._run(), name="opcua simulator")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._front.stop()
        await self._halt()

    def control(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Bus.control`. `{"sessions": true}` tells how many sessions and subscriptions the server holds."""
        if set(request) != {"sessions"}:
            raise ValueError(f"request: expected {{'sessions': true}}, saw {dict(request)}")
        server = self._server
        if server is None:
            return {"sessions": 0, "subscriptions": 0}
        return {
            "sessions": len(server.iserver._external_sessions),
            "subscriptions": len(server.iserver.subscription_service.subscriptions),
        }

    # ---- the server

    async def _boot(self) -> None:
        server = self._server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://{self._host}:{self._front.port}/")
        server.socket_address = ("127.0.0.1", 0)
        server.set_server_name("Wattline simulator")
        await server.set_application_uri("urn:wattline:simulator")
        await self._secure(server)
        # After each start the namespaces stand elsewhere, as on servers that load their drivers in another order.
        for number in range(self._boots):
            await server.register_namespace(f"urn:wattline:simulator:boot{number}")
        self._boots += 1
        for shown in self._shown:
            await self._build(server, shown)
        self._listen_to_acknowledgements(server)
        await server.start()
        binary: Any = server.bserver
        self._front.target = binary._server.sockets[0].getsockname()[:2]

    async def _halt(self) -> None:
        self._front.target = None
        await self._front.cut()
        server, self._server = self._server, None
        if server is None:
            return
        service = server.iserver.subscription_service
        with contextlib.suppress(Exception):
            await service.delete_subscriptions(list(service.subscriptions))
        for session in list(server.iserver._external_sessions.values()):
            with contextlib.suppress(Exception):
                await session.close_session(True)
        with contextlib.suppress(Exception):
            await server.stop()

    async def _secure(self, server: Any) -> None:
        options = self._options
        policies = [ua.SecurityPolicyType.NoSecurity]
        if "certificate" in options:
            await server.load_certificate(str(options["certificate"]))
            await server.load_private_key(str(options["key"]))
            policies += [
                ua.SecurityPolicyType.Basic256Sha256_Sign,
                ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
                ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
                ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
            ]
        server.set_security_policy(policies)
        if "username" in options:
            server.iserver.user_manager = _OneUser(str(options["username"]), str(options.get("password", "")))
            server.set_identity_tokens([ua.UserNameIdentityToken])

    async def _build(self, server: Any, shown: _Shown) -> None:
        device = shown.device
        kind: OpcUaKind = device.kind
        index = await server.register_namespace(kind.namespace)
        own = await server.register_namespace("urn:wattline:simulator:line")
        folder_id = ua.NodeId(kind.folder, own)
        try:
            folder = await server.nodes.objects.add_folder(folder_id, ua.QualifiedName(kind.folder, own))
        except ua.UaStatusCodeError:  # there already
            folder = server.get_node(folder_id)
        place = await folder.add_object(ua.NodeId(device.name, own), ua.QualifiedName(device.name, own))
        shown.nodes, shown.turn = {}, None
        for name, variable in device.image(self._clock()).items():
            node = await place.add_variable(
                ua.NodeId(f"{device.name}.{name}", own),
                ua.QualifiedName(name, index),
                ua.Variant(_encoded(variable, own), _TYPES[variable.type]),
                datatype=ua.NodeId(ua.ObjectIds.Structure) if variable.type == "float3" else None,
            )
            shown.nodes[name] = node.nodeid
            if variable.unit:
                await node.add_property(
                    ua.NodeId(f"{device.name}.{name}.EngineeringUnits", own),
                    ua.QualifiedName("EngineeringUnits", 0),
                    _unit(variable.unit),
                )
            if name in kind.writable:
                await node.set_writable()
                server.iserver.aspace.add_datachange_callback(node.nodeid, ua.AttributeIds.Value, _writer(device, name))
        serial = await place.add_variable(
            ua.NodeId(f"{device.name}.{SERIAL}", own),
            ua.QualifiedName(SERIAL, index),
            ua.Variant(device.serial, ua.VariantType.UInt32),
        )
        shown.serial_node = serial.nodeid
        await place.add_property(
            ua.NodeId(f"{device.name}.SerialNumber", own), ua.QualifiedName("SerialNumber", own), f"SIM-{device.name}"
        )

    # ---- the turns

    async def _run(self) -> None:
        every_s = float(self._options.get("update_s", 0.5))
        while True:
            try:
                await self._turn()
            except Exception:
                log.exception("opcua turn failed")
            await asyncio.sleep(every_s)

    async def _turn(self) -> None:
        rebooting = FaultKind.REBOOT in self._whole()
        if rebooting and self._server is not None:
            await self._halt()
        elif not rebooting and self._server is None:
            await self._boot()
        if self._server is None:
            return
        for shown in self._shown:
            await self._show(self._server, shown)

    async def _show(self, server: Any, shown: _Shown) -> None:
        device, now_ms = shown.device, self._clock()
        active = device.faults.active(now_ms)
        turn = (now_ms, frozenset(active))
        late = active.get(FaultKind.DELAY)
        if turn == shown.turn or (late is not None and not _due(shown.turn, now_ms, late)):
            return
        shown.turn = turn
        stamp_ms = now_ms
        if FaultKind.CLOCK_JUMP in active:
            stamp_ms += round(1000 * active[FaultKind.CLOCK_JUMP].clock_s)
        status = _status(active)
        index = shown.serial_node.NamespaceIndex
        if FaultKind.STALE in active and shown.last:
            for name, value in shown.last.items():
                old = ua.DataValue(
                    value.Value,
                    ua.StatusCode(ua.StatusCodes.UncertainLastUsableValue),
                    value.SourceTimestamp,
                    value.ServerTimestamp,
                )
                await server.write_attribute_value(shown.nodes[name], old)
            return
        stamp = datetime.fromtimestamp(stamp_ms / 1000, UTC)
        for name, variable in device.image(now_ms).items():
            value = _data(ua.Variant(_encoded(variable, index), _TYPES[variable.type]), status, stamp)
            if not status >> 31:
                shown.last[name] = value
            await server.write_attribute_value(shown.nodes[name], value)
        if status >> 31:
            await server.write_attribute_value(
                shown.serial_node, _data(ua.Variant(device.serial, ua.VariantType.UInt32), status, stamp)
            )
            return
        device.serial += 1
        shown.answers[device.serial] = now_ms, next(iter(sorted(active)), None)
        while len(shown.answers) > _KEPT_SERIALS:
            shown.answers.pop(next(iter(shown.answers)))
        await server.write_attribute_value(
            shown.serial_node, _data(ua.Variant(device.serial, ua.VariantType.UInt32), 0, stamp)
        )

    def _whole(self) -> dict[FaultKind, Fault]:
        """The faults of the server as a whole."""
        now_ms = self._clock()
        each = [shown.device.faults.active(now_ms) for shown in self._shown]
        found = {kind: each[0][kind] for kind in _WHOLE if all(kind in active for active in each)}
        found |= {kind: active[kind] for active in each for kind in _LINK if kind in active}
        return found

    # ---- the log

    def _listen_to_acknowledgements(self, server: Any) -> None:
        service = server.iserver.subscription_service
        publish = service.publish
        shown_by_node = {shown.serial_node: shown for shown in self._shown}

        def acknowledged(acks: Any) -> Any:
            acks = list(acks)
            for ack in acks:
                subscription = service.subscriptions.get(ack.SubscriptionId)
                if subscription is not None:
                    result = subscription._not_acknowledged_results.get(ack.SequenceNumber)
                    self._log(result, subscription, shown_by_node)
            return publish(acks)

        service.publish = acknowledged

    def _log(self, result: Any, subscription: Any, shown_by_node: Mapping[Any, _Shown]) -> None:
        if result is None:
            return
        nodes = {
            item.client_handle: item.read_value_id.NodeId
            for item in subscription.monitored_item_srv._monitored_items.values()
            if item.read_value_id is not None
        }
        for handle, value in _changes(result):
            shown = shown_by_node.get(nodes.get(handle))
            if shown is None or value.Value is None or not isinstance(value.Value.Value, int):
                continue
            serial = value.Value.Value
            if serial > shown.logged and serial in shown.answers:
                at_ms, fault = shown.answers.pop(serial)
                shown.logged = serial
                device = shown.device
                self._answers.write(device.plant.name, device.name, serial, at_ms, carried=True, fault=fault)


class _OneUser:
    """Lets one user in."""

    def __init__(self, username: str, password: str) -> None:
        self._pair = username, password

    def get_user(self, _server: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        del certificate
        return User(role=UserRole.User) if (username, password) == self._pair else None


def _changes(result: Any) -> Iterator[tuple[int, Any]]:
    for part in result.NotificationMessage.NotificationData:
        if isinstance(part, ua.DataChangeNotification):
            for change in part.MonitoredItems:
                yield change.ClientHandle, change.Value


def _status(active: Mapping[FaultKind, Fault]) -> int:
    if FaultKind.WRONG_UNIT in active:
        return int(ua.StatusCodes.BadNodeIdUnknown)
    if FaultKind.SILENCE in active or FaultKind.REBOOT in active:
        return int(ua.StatusCodes.BadNoCommunication)
    if FaultKind.EXCEPTION in active:
        return int(_STATUS.get(active[FaultKind.EXCEPTION].exception_code, ua.StatusCodes.BadDeviceFailure))
    return 0


def _due(turn: tuple[int, frozenset[FaultKind]] | None, now_ms: int, delay: Fault) -> bool:
    return turn is None or now_ms - turn[0] >= 1000 * delay.delay_s


def _data(value: Any, status: int, stamp: datetime) -> Any:
    return ua.DataValue(value, ua.StatusCode(status), stamp, stamp)


def _encoded(variable: Variable, index: int) -> Any:
    if variable.type == "float3":
        return ua.ExtensionObject(ua.NodeId(_STRUCTURE, index), struct.pack("<3f", *variable.value))
    return variable.value


def _unit(code: str) -> Any:
    return ua.EUInformation(
        NamespaceUri=_EU_NAMESPACE,
        UnitId=int.from_bytes(code.encode("ascii"), "big"),
        DisplayName=ua.LocalizedText(
            {"WTT": "W", "WHR": "W·h", "KWT": "kW", "VLT": "V", "AMP": "A", "HTZ": "Hz"}.get(code, code)
        ),
        Description=ua.LocalizedText(code),
    )


def _writer(device: Device, name: str) -> Callable[[int, Any], Any]:
    async def written(_handle: int, value: Any) -> None:
        if value.Value is not None and isinstance(value.Value.Value, int | float):
            device.written[name] = round(value.Value.Value * 1000)

    return written


def open_bus(
    members: Sequence[Device],
    clock: Callable[[], int],
    log: AnswerLog,
    host: str,
    options: Mapping[str, Any],
) -> OpcUaBus:
    """See `device_sim.bus`."""
    for key in ("certificate", "key"):
        if key in options and not Path(str(options[key])).is_file():
            raise ValueError(f"{key}: expected a file, saw {options[key]!r}")
    return OpcUaBus(members, clock, log, host, options)
