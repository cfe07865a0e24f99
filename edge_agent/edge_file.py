"""The edge file: what a gateway reads and where it delivers, from TOML, checked as a whole before anything starts. Not the agent.

Faults are collected, never only the first: types and ranges key by key, then what only shows between keys (two devices of one name,
two units on one bus, an unknown quantity, a file that is not there). A file with a fault starts nothing.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import Meta

from edge_agent import allow, meter
from edge_agent.drivers.declared import Bus, Declared, Device, Id, Port, Text
from edge_agent.drivers.table import PROTOCOLS, declared
from edge_agent.meter import ModelFault
from wire.quantities import QUANTITIES, Kind
from wire.keys import KeyUnusable, PublicKey

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


class EdgeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. File names in it are absolute once loaded: relative ones counted from the edge file's directory."""

    facility: Id
    edge: Id
    mqtt: Mqtt
    spool: SpoolSettings
    bus: list[Bus]
    signing: Signing | None = None
    flush: Flush = Flush()
    aggregator: AggregatorPin = AggregatorPin()
    report_by_exception: ReportByException = ReportByException()

    def dead_bands(self) -> dict[str, dict[str, float]]:
        """Per device the half-widths that hold for it."""
        everywhere = self.report_by_exception.dead_band
        return {device.name: {**everywhere, **device.dead_band} for bus in self.bus for device in bus.device}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a file: `key` is a path such as bus[0].device[2].unit, or a line and column of what is not TOML at all."""

    file: str
    key: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: expected {self.expected}, saw {self.seen}"


class EdgeFileFaults(Exception):
    """Everything that is wrong with an edge file, one fault a line."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


def load(path: str | Path) -> EdgeFile:
    """The checked edge file. Raises EdgeFileFaults with all its faults."""
    path = Path(path)
    tree = _parse(path)
    faults: list[Fault] = []
    edge = _Checker(str(path), faults).struct(EdgeFile, tree, "")
    edge = _with_absolute_names(edge, path.parent)
    found = tuple(fault.key for fault in faults)
    for key, expected, seen in _between_keys(edge):
        if not any(key == first or key.startswith((f"{first}.", f"{first}[")) for first in found):
            faults.append(Fault(str(path), key, expected, seen))
    if faults:
        raise EdgeFileFaults(faults)
    return edge


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise EdgeFileFaults(
            [Fault(str(path), "file", "a readable edge file", error.strerror or repr(error))]
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise EdgeFileFaults(
            [Fault(str(path), f"line {line}", "UTF-8", repr(error.object[error.start : error.end]))]
        ) from error
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r"\(at (.*?)\)$", message)
        what = message[: place.start()].strip() if place else message
        raise EdgeFileFaults([Fault(str(path), place.group(1) if place else "file", "TOML", what)]) from error


_SEEN_MAX: Final = 160  # of what a file holds; a message is for people
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class _Checker:
    """Builds structs from a parsed tree and notes what does not fit.

    What is missing or does not fit is None in the struct, whatever its type says, so that the checks between keys can go on with the
    rest; `load` lets no such struct out.
    """

    def __init__(self, file: str, faults: list[Fault]) -> None:
        self._file = file
        self._faults = faults

    def struct(self, kind: type[_Struct], tree: object, key: str) -> _Struct:
        if not isinstance(tree, dict):
            self._fault(key, "a table", repr(tree))
            return _blank(kind)
        if issubclass(kind, Bus):
            spoken = self._protocol(tree, key)
            if spoken is None:  # nobody can say what its other keys should be
                return _blank(kind)
            kind = cast("type[_Struct]", spoken.bus)
        values: dict[str, Any] = {}
        known = {field.name: field for field in msgspec.structs.fields(kind)}
        for name in tree:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                self._fault(_join(key, name), f"one of {', '.join(sorted(known))}{hint}", f"unknown key {name!r}")
        for name, field in known.items():
            if name in tree:
                values[name] = self._value(field.type, tree[name], _join(key, name))
            elif field.required:
                self._fault(_join(key, name), "a value (required)", "nothing")
                values[name] = None
        return kind(**values)

    def _protocol(self, tree: dict[str, Any], key: str) -> Declared | None:
        """The words of a bus's protocol; a fault and None where it names none that there is."""
        name = tree.get("protocol")
        if isinstance(name, str) and name in PROTOCOLS:
            return declared(name)
        seen = "nothing" if name is None else repr(name)
        self._fault(_join(key, "protocol"), f"one of {', '.join(sorted(PROTOCOLS))}", seen)
        return None

    def _value(self, kind: Any, value: object, key: str) -> Any:
        inner = _struct_in(kind)
        if get_origin(kind) is list and inner is not None:
            if not isinstance(value, list):
                self._fault(key, "an array of tables", repr(value))
                return None
            return [self.struct(inner, member, f"{key}[{index}]") for index, member in enumerate(value)]
        if inner is not None:
            return self.struct(inner, value, key)
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            expected = re.sub(r" - at `.*$", "", str(error)).removeprefix("Expected ")
            expected = re.sub(r", got .*$", "", expected).replace("`", "")
            if choices := _choices(kind):
                expected = f"one of {', '.join(map(repr, choices))}"
            self._fault(key, expected, repr(value))
            return None

    def _fault(self, key: str, expected: str, seen: str) -> None:
        whole = seen if len(seen) <= _SEEN_MAX else f"{seen[:_SEEN_MAX]}... ({len(seen)} characters)"
        self._faults.append(Fault(self._file, key or "file", expected, whole))


def _choices(kind: Any) -> tuple[Any, ...]:
    """The values of a Literal in a type, also in `Literal | None`; nothing for any other."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return next((found for part in get_args(kind) if (found := _choices(part))), ())


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
    places: dict[str, str] = {}
    names: dict[str, str] = {}
    devices: dict[str, str] = {}
    for index, bus in enumerate(edge.bus or []):
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


def _blank(kind: type[_Struct]) -> _Struct:
    """A struct of nothing: what stands for one that cannot be read."""
    nothing: dict[str, Any] = {field.name: None for field in msgspec.structs.fields(kind)}
    return kind(**nothing)


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
    )


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that `kind` is, holds in a list, or allows beside None; None where there is none."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    for part in get_args(kind):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
