"""The edge file: what a gateway reads and where it delivers, from TOML, checked as a whole before anything starts. Not the agent.

Faults are collected, never only the first: types and ranges key by key, then what only shows between keys (two devices of one name,
two units on one bus, an unknown quantity, a file that is not there). A file with a fault starts nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from edge_agent import allow, meter
from edge_agent.drivers.declared import Bus, Declared, Device, Id, Port, Text
from edge_agent.drivers.table import PROTOCOLS, declared
from edge_agent.meter import ModelFault
from edge_agent.toml_structs import Checker, EdgeFileFaults, Fault, UnknownKind, parse
from wire.keys import KeyUnusable, PublicKey
from wire.quantities import QUANTITIES, Kind

if TYPE_CHECKING:
    from edge_agent.limits.fit import Reached

__all__ = ["EdgeFile", "EdgeFileFaults", "Fault", "load"]

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Certificate files in PEM; `cert` and `key` where the broker asks for a client certificate."""

    ca: Text
    cert: Text | None = None
    key: Text | None = None


class Mqtt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The broker. The password comes from WATTLINE_MQTT_PASSWORD, never from the file."""

    host: Text
    port: Port = 8883
    tls: Tls | None = None
    username: Text | None = None
    plain: bool = False  # without TLS: only to this machine


class SpoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where batches wait until they are acknowledged, and how much may wait."""

    directory: Text
    max_bytes: Annotated[int, Meta(ge=1 << 20)] = 1 << 30
    max_age_days: Annotated[float, Meta(gt=0, le=3660)] = 90.0


class Signing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Ed25519 private key that signs batches."""

    key: Text


class Flush(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch is closed at the latest after this time."""

    period_s: Seconds = 1.0


class ClockSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What keeps this machine's clock right where the kernel is not told of it, such as a virtual machine's host. Empty: the kernel is asked."""

    kept_by: str = ""


class AggregatorPin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one store whose acknowledgements count (empty: the first one seen), and the key that commands must be signed with (empty: none is taken).

    Where aggregator or broker cannot be reached for `link_lost_s` (real seconds), every point goes back to its safe state.
    """

    store_id: str = ""
    command_key: str = ""
    link_lost_s: Annotated[float, Meta(ge=1, le=86_400)] = 60.0


class ReportByException(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which values are told only when they have moved: half-widths by quantity, in its unit; a device may say otherwise. Counters are exempt."""

    dead_band: dict[str, Annotated[float, Meta(ge=0)]] = {}
    longest_s: Annotated[float, Meta(ge=1, le=3600)] = 30.0


class ControlSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The circuit whose limits this edge keeps (see `wire.circuit`). Empty: none."""

    circuit: str = ""


class EdgeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. File names in it are absolute once loaded: relative ones counted from the edge file's directory."""

    facility: Id
    edge: Id
    mqtt: Mqtt
    spool: SpoolSettings
    bus: list[Bus]
    signing: Signing | None = None
    flush: Flush = Flush()
    clock: ClockSettings = ClockSettings()
    aggregator: AggregatorPin = AggregatorPin()
    report_by_exception: ReportByException = ReportByException()
    control: ControlSettings = ControlSettings()

    def dead_bands(self) -> dict[str, dict[str, float]]:
        """Per device the half-widths that hold for it."""
        everywhere = self.report_by_exception.dead_band
        return {device.name: {**everywhere, **device.dead_band} for bus in self.bus for device in bus.device}


def load(path: str | Path) -> EdgeFile:
    """The checked edge file. Raises EdgeFileFaults with all its faults."""
    path = Path(path)
    tree = parse(path)
    faults: list[Fault] = []
    edge = Checker(str(path), faults, _kind_of).struct(EdgeFile, tree, "")
    edge = _with_absolute_names(edge, path.parent)
    found = tuple(fault.key for fault in faults)
    for key, expected, seen in _between_keys(edge):
        if not any(key == first or key.startswith((f"{first}.", f"{first}[")) for first in found):
            faults.append(Fault(str(path), key, expected, seen))
    if not faults and edge.control.circuit:
        faults.extend(circuit_faults(edge))
    if faults:
        raise EdgeFileFaults(faults)
    return edge


def circuit_faults(edge: EdgeFile) -> Iterator[Fault]:
    """What is wrong with the circuit that a sound edge file names, by itself and with this edge."""
    from edge_agent.limits import fit  # an agent without a circuit does without
    from wire.circuit import CircuitFaults
    from wire.circuit import load as load_circuit

    name = edge.control.circuit
    try:
        circuit = load_circuit(Path(name))
    except CircuitFaults as error:
        yield from (Fault(name, key, expected, seen) for key, expected, seen in error.faults)
        return
    for key, expected, seen in fit.faults(circuit, edge.facility, edge.edge, reached(edge)):
        yield Fault(name, key, expected, seen)


def reached(edge: EdgeFile) -> "dict[str, Reached]":
    """Each device of a sound edge file with its bus and what may be written."""
    from edge_agent.limits.fit import Reached

    found = {}
    for bus in edge.bus:
        for device in bus.device:
            model = meter.load(device.model)
            wears = bus.protocol == "ocpp" and not getattr(model, "ram_profiles", False)
            found[device.name] = Reached(device, bus, allow.allowed(device, model), wears)
    return found


def _kind_of(kind: type[msgspec.Struct], tree: dict[str, Any]) -> type[msgspec.Struct]:
    """A bus is what its protocol makes of it."""
    if not issubclass(kind, Bus):
        return kind
    name = tree.get("protocol")
    if isinstance(name, str) and name in PROTOCOLS:
        return declared(name).bus
    raise UnknownKind("protocol", f"one of {', '.join(sorted(PROTOCOLS))}", "nothing" if name is None else repr(name))


def _between_keys(edge: EdgeFile) -> Iterator[tuple[str, str, str]]:
    """Faults that no single key shows: (key, expected, seen). What the first pass has found fault with is None here."""
    if edge.mqtt is not None:
        yield from _broker(edge.mqtt)
    if edge.signing is not None and edge.signing.key and not _is_file(edge.signing.key):
        yield "signing.key", "a file", f"nothing at {edge.signing.key}"
    if edge.aggregator is not None and edge.aggregator.command_key:
        try:
            PublicKey.from_text(edge.aggregator.command_key)
        except KeyUnusable:
            yield "aggregator.command_key", "the base64 of 32 bytes of Ed25519", repr(edge.aggregator.command_key)[:100]
    if edge.bus == []:
        yield "bus", "at least one [[bus]]", "none"
    if edge.report_by_exception is not None and edge.report_by_exception.dead_band is not None:
        yield from _dead_band(edge.report_by_exception.dead_band, "report_by_exception.dead_band")
    yield from _buses(edge.bus or [])


def _buses(buses: Sequence[Bus]) -> Iterator[tuple[str, str, str]]:
    places: dict[str, str] = {}
    names: dict[str, str] = {}
    devices: dict[str, str] = {}
    yield from _incomers(buses)
    for index, bus in enumerate(buses):
        if bus.protocol is None:
            continue
        key, spoken = f"bus[{index}]", declared(bus.protocol)
        yield from _once(names, bus.name, f"{key}.name", "bus name")
        yield from _once(places, spoken.place(bus), key, "way to devices (those of one place share its bus)")
        yield from ((f"{key}.{name}", expected, seen) for name, expected, seen in spoken.faults(bus))
        for name in spoken.files:
            file = getattr(bus, name)
            if file and not _is_file(file):
                yield f"{key}.{name}", "a file", f"nothing at {file}"
        if bus.device is not None and not bus.device:
            yield f"{key}.device", "at least one [[bus.device]]", "none"
        addresses: dict[str, str] = {}
        for number, device in enumerate(bus.device or []):
            here = f"{key}.device[{number}]"
            yield from _once(devices, device.name, f"{here}.name", "device name in the whole file")
            yield from _once(addresses, spoken.address(device), here, "address on a bus")
            if device.dead_band is not None:
                yield from _dead_band(device.dead_band, f"{here}.dead_band")
            if device.model is not None:
                yield from _model(spoken, device, here)


def _incomers(buses: Sequence[Bus]) -> Iterator[tuple[str, str, str]]:
    names = {device.name for bus in buses for device in bus.device or []}
    for index, bus in enumerate(buses):
        for number, device in enumerate(bus.device or []):
            if device.incomer is not None and (device.incomer not in names or device.incomer == device.name):
                yield (
                    f"bus[{index}].device[{number}].incomer",
                    "the name of another device of this file",
                    repr(device.incomer),
                )


def _broker(mqtt: Mqtt) -> Iterator[tuple[str, str, str]]:
    if mqtt.tls is None and not mqtt.plain:
        yield "mqtt.tls", "tls = { ca = ... } (or plain = true to a broker on this machine)", "nothing"
    if mqtt.plain and mqtt.tls is not None:
        yield "mqtt.plain", "either tls or plain = true", "both"
    if mqtt.plain and mqtt.host is not None and not _is_loopback(mqtt.host):
        yield "mqtt.plain", "TLS to any host but this machine", f"plain = true to {mqtt.host!r}"
    if mqtt.tls is not None:
        if (mqtt.tls.cert is None) != (mqtt.tls.key is None):
            yield "mqtt.tls", "cert and key together", "one without the other"
        for name in ("ca", "cert", "key"):
            file = getattr(mqtt.tls, name)
            if file and not _is_file(file):
                yield f"mqtt.tls.{name}", "a file", f"nothing at {file}"


def _model(spoken: Declared, device: Device, place: str) -> Iterator[tuple[str, str, str]]:
    try:
        model = meter.load(device.model)
    except ModelFault as fault:
        text = str(fault)
        expected, saw, seen = text.removeprefix("expected ").partition(", saw ")
        yield (
            (f"{place}.model", expected, seen)
            if saw and text.startswith("expected ")
            else (f"{place}.model", "a meter model", text)
        )
        return
    if model.protocol != spoken.family:
        yield f"{place}.model", f"a model of protocol {spoken.family}", f"{device.model}, of protocol {model.protocol}"
        return
    if device.allow is not None and all(map(_whole, device.allow)):
        for key, expected, seen in allow.faults(device, model):
            yield f"{place}.{key}", expected, seen
    if device.row is None or not all(map(_whole, device.row)):
        return
    for index, key, message in spoken.model_faults(model, device.row, model.row):
        expected, _, seen = message.removeprefix("expected ").partition(", saw ")
        yield f"{place}.row[{index}].{key}", expected, seen


def _dead_band(bands: Mapping[str, float], place: str) -> Iterator[tuple[str, str, str]]:
    for name in bands:
        quantity = QUANTITIES.get(name)
        if quantity is None or quantity.kind is not Kind.GAUGE:
            seen = "an unknown quantity" if quantity is None else f"a {quantity.kind}, which is always told"
            yield f"{place}.{name}", "a quantity that may be left untold (a gauge)", seen


def _whole(struct: msgspec.Struct) -> bool:
    """Whether no required key of a struct was missing or unfit."""
    return all(getattr(struct, field.name) is not None for field in msgspec.structs.fields(struct) if field.required)


def _once(seen: dict[str, str], name: str | None, key: str, what: str) -> Iterator[tuple[str, str, str]]:
    if name is None:
        return
    first = seen.setdefault(name, key)
    if first != key:
        yield key, f"each {what} once", f"{name!r}, already at {first}"


def _is_file(name: str) -> bool:
    """Whether there is such a file; a name that no file can have (too long, a zero byte) is none."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _with_absolute_names(edge: EdgeFile, directory: Path) -> EdgeFile:
    """`edge` with every file name made absolute from `directory`."""

    def moved(struct: _Struct, *names: str) -> _Struct:
        files = {name: getattr(struct, name) for name in names} if struct is not None else {}
        return (
            msgspec.structs.replace(struct, **{n: str((directory / f).absolute()) for n, f in files.items() if f})
            if files
            else struct
        )

    def bus(bus: Bus) -> Bus:
        if bus.protocol is None:
            return bus
        devices = [
            moved(device, "model") if str(device.model).endswith(".toml") else device for device in bus.device or []
        ]
        bus = moved(bus, *declared(bus.protocol).files)
        return msgspec.structs.replace(bus, device=devices) if bus.device else bus

    mqtt = edge.mqtt
    if mqtt is not None and mqtt.tls is not None:
        mqtt = msgspec.structs.replace(mqtt, tls=moved(mqtt.tls, "ca", "cert", "key"))
    return msgspec.structs.replace(
        edge,
        mqtt=mqtt,
        bus=[bus(member) for member in edge.bus] if edge.bus else edge.bus,
        spool=moved(edge.spool, "directory"),
        signing=None if edge.signing is None else moved(edge.signing, "key"),
        control=moved(edge.control, "circuit"),
    )
