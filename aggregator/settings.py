"""The aggregator's settings file (TOML), checked as a whole: every fault with file, key, expected and seen. Secrets come from the environment."""

import tomllib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import ValidationError

from aggregator.catalogue import Catalogue, Entities
from aggregator.facility import Facility
from aggregator.footprint.own_machine import OwnMachine
from aggregator.intervals.carrier_use import use_faults
from aggregator.meter_tree import tree_faults
from aggregator.person import Person
from aggregator.settings_tables import FacilityTable, FileTable, expected_and_seen
from aggregator.steered import Steered, steered_of
from wire.keys import KeyUnusable, PublicKey
from wire.mqtt import Broker, Tls

TOKEN_VARIABLE: Final = "WATTLINE_TOKEN"  # noqa: S105 (a name, not a secret)
MQTT_PASSWORD_VARIABLE: Final = "WATTLINE_MQTT_PASSWORD"  # noqa: S105
STORE_TOKEN_VARIABLE: Final = "WATTLINE_STORE_TOKEN"  # noqa: S105
_LEAST_TOKEN: Final = 16
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORTS: Final = {True: 8883, False: 1883}  # by whether TLS is used


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a settings file; `key` is the path to it, such as facility[0].meter[1].role."""

    file: str
    key: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: expected {self.expected}, got {self.seen}"


class SettingsFaults(Exception):
    """The file cannot be used; `faults` holds every reason. Trying again does not help."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Http:
    """Where the pages are served and who may read and write. `token` guards writes, and reads where `open_reads` is False."""

    host: str = "127.0.0.1"
    port: int = 8080
    open_reads: bool = True
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()  # names by which browsers may call this server; empty: any
    viewers_max: int = 500

    @property
    def loopback(self) -> bool:
        return self.host in LOOPBACK


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Which store keeps readings; the fields after `kind` matter to InfluxDB only."""

    kind: Literal["duckdb", "influxdb"] = "duckdb"
    url: str = ""
    database: str = "wattline"
    dialect: Literal["v1", "v2"] = "v2"
    org: str = ""
    username: str = ""
    token: str | None = None


@dataclass(frozen=True, slots=True)
class EdgeTrust:
    """Which signature an edge's batches must carry; None with `accept_unsigned`, where its figures read "not proven"."""

    facility: str
    edge: str
    public_key: PublicKey | None
    accept_unsigned: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `wattline aggregator run` is told. `store_id` "" lets the aggregator make one up and keep it."""

    file: Path
    store_id: str
    data_directory: Path
    http: Http
    mqtt: Broker | None
    store: StoreSettings
    facilities: tuple[Facility, ...]
    edges: tuple[EdgeTrust, ...] = field(default=())
    command_key: Path | None = None  # None: a key that the aggregator makes and keeps beside its data
    archive_bytes: int = 1 << 30  # of sealed batches, kept as evidence
    significance_percent: Decimal = Decimal(5)  # from which change on a restatement is published at once
    persons: tuple[Person, ...] = ()
    catalogue: Catalogue = field(default_factory=Catalogue)
    boosting: bool = False  # whether gradient-boosted trees are a candidate for forecasts
    machine: OwnMachine | None = None  # what the aggregator runs on, for its own footprint
    steered: Mapping[str, Steered] = field(default_factory=dict)  # by facility

    def facility(self, facility_id: str) -> Facility | None:
        """The facility with this id."""
        return next((facility for facility in self.facilities if facility.id == facility_id), None)

    def kept(self) -> Path:
        """The data directory, for what only reads: it makes none. Raises SettingsFaults where there is none."""
        if not self.data_directory.is_dir():
            fault = Fault(
                str(self.file),
                "aggregator.data_directory",
                "a directory with data",
                f"{self.data_directory}, which does not exist",
            )
            raise SettingsFaults([fault])
        return self.data_directory


_LARGEST: Final = 8 << 20  # bytes


def load(path: Path, environment: Mapping[str, str]) -> Settings:
    """The settings of a file. Relative paths in it start at its folder. Raises SettingsFaults with all faults at once."""
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise SettingsFaults([Fault(name, "(file)", "a readable file", error.strerror or str(error))]) from error
    if len(raw) > _LARGEST:
        raise SettingsFaults([Fault(name, "(file)", f"at most {_LARGEST >> 20} MiB of TOML", "more")])
    try:
        table = tomllib.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise SettingsFaults([Fault(name, "(file)", "UTF-8 text", f"byte {error.object[error.start]:#04x}")]) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsFaults([Fault(name, "(file)", "TOML", str(error))]) from error
    except RecursionError as error:
        raise SettingsFaults([Fault(name, "(file)", "a few levels of tables and arrays", "hundreds")]) from error
    return from_table(table, path, environment)


def from_table(table: Mapping[str, Any], path: Path, environment: Mapping[str, str]) -> Settings:
    """The settings of a parsed file. Raises SettingsFaults."""
    name = str(path)
    try:
        parsed = FileTable.model_validate(table)
    except ValidationError as error:
        faults = [Fault(name, *expected_and_seen(entry)) for entry in error.errors(include_url=False)]
        raise SettingsFaults(faults) from error
    faults = [Fault(name, *fault) for fault in _contradictions(parsed, path.parent, environment)]
    facilities = []
    steered: dict[str, Steered] = {}
    for at, entry in enumerate(parsed.facility):
        found, wrong = steered_of(entry, path.parent, {edge.edge for edge in parsed.edge if edge.facility == entry.id})
        faults += [Fault(name, f"facility[{at}].{key}", expected, seen) for key, expected, seen in wrong]
        if found is not None:
            steered[entry.id] = found
        try:
            facility = entry.facility()
            said_of = (*tree_faults(facility), *use_faults(facility.meters))
            faults += [Fault(name, f"facility[{at}].{key}", *said) for key, *said in said_of]
            facilities.append(facility)
        except ValueError as error:
            if any(fault.key.startswith(f"facility[{at}].") for fault in faults):
                continue  # it is named already, and more precisely
            faults.append(Fault(name, f"facility[{at}]", "a facility that is consistent", str(error)))
    if faults:
        raise SettingsFaults(faults)
    return Settings(
        file=path,
        store_id=parsed.aggregator.store_id,
        data_directory=path.parent / parsed.aggregator.data_directory,
        http=_http(parsed, environment),
        mqtt=_mqtt(parsed, path.parent, environment),
        store=StoreSettings(**parsed.store.model_dump(), token=environment.get(STORE_TOKEN_VARIABLE) or None),
        facilities=tuple(facilities),
        edges=tuple(
            EdgeTrust(
                edge.facility,
                edge.edge,
                PublicKey.from_text(edge.public_key) if edge.public_key else None,
                edge.accept_unsigned,
            )
            for edge in parsed.edge
        ),
        command_key=None if parsed.commands.key is None else path.parent / parsed.commands.key,
        archive_bytes=parsed.audit.archive_mib << 20,
        significance_percent=parsed.accounts.significance_percent,
        boosting=parsed.forecast.gradient_boosting,
        machine=None if parsed.footprint is None else parsed.footprint.machine(),
        steered=steered,
        persons=tuple(Person(one.name, one.token_sha256, one.entity, tuple(one.may)) for one in parsed.person),
        catalogue=_catalogue(parsed),
    )


def _catalogue(parsed: FileTable) -> Catalogue:
    entities = Entities(
        {one.id: one.entity for one in parsed.facility},
        {(one.id, meter.device): meter.entity for one in parsed.facility for meter in one.meter},
        {(edge.facility, edge.edge): edge.entity for edge in parsed.edge},
    )
    rules = tuple(series.rule(one.id) for one in parsed.facility for series in one.series)
    return Catalogue(entities, rules, {(edge.facility, edge.edge): edge.public_key or "" for edge in parsed.edge})


def _http(parsed: FileTable, environment: Mapping[str, str]) -> Http:
    http = parsed.aggregator.http
    loopback = http.host in LOOPBACK
    reads = http.reads or ("open" if loopback else "token")
    hosts = tuple(http.allowed_hosts) or (LOOPBACK if loopback else ())
    token = environment.get(TOKEN_VARIABLE) or None
    return Http(http.host, http.port, reads == "open", token, hosts, http.viewers_max)


def _mqtt(parsed: FileTable, folder: Path, environment: Mapping[str, str]) -> Broker | None:
    mqtt = parsed.mqtt
    if mqtt is None:
        return None
    tls = None
    if mqtt.tls is not None:
        tls = Tls(
            folder / mqtt.tls.ca,
            folder / mqtt.tls.cert if mqtt.tls.cert else None,
            folder / mqtt.tls.key if mqtt.tls.key else None,
        )
    port = mqtt.port or DEFAULT_PORTS[tls is not None]
    return Broker(mqtt.host, port, tls, mqtt.username or None, environment.get(MQTT_PASSWORD_VARIABLE) or None)


def _contradictions(parsed: FileTable, folder: Path, environment: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    """(key, expected, seen) of what each key alone does not show."""
    http = parsed.aggregator.http
    token = environment.get(TOKEN_VARIABLE, "")
    if token and len(token) < _LEAST_TOKEN:
        yield TOKEN_VARIABLE, f"at least {_LEAST_TOKEN} characters", f"{len(token)}"
    if not token and http.reads == "token":
        yield TOKEN_VARIABLE, 'a token, because reads = "token"', "nothing"
    if not token and http.host not in LOOPBACK and http.reads != "open":
        yield TOKEN_VARIABLE, f"a token, because {http.host} is not loopback", "nothing"
    yield from _mqtt_contradictions(parsed, folder)
    yield from _footprint_contradictions(parsed)
    if parsed.commands.key is not None and not _is_file(folder / parsed.commands.key):
        yield "commands.key", "a file", f"{str(folder / parsed.commands.key)!r}, which does not exist"
    store = parsed.store
    if store.kind == "influxdb" and urlsplit(store.url).scheme not in {"http", "https"}:
        yield "store.url", 'an http or https address, because kind = "influxdb"', repr(store.url)
    yield from _twice("facility", "id", [entry.id for entry in parsed.facility])
    yield from _twice("person", "name", [person.name for person in parsed.person])
    yield from _twice("person", "token_sha256", [person.token_sha256 for person in parsed.person])
    known = {entry.id: entry for entry in parsed.facility}
    listed = {(edge.facility, edge.edge) for edge in parsed.edge}
    for at, entry in enumerate(parsed.facility):
        yield from _facility_contradictions(f"facility[{at}]", entry, listed)
    yield from _edge_contradictions(parsed, list(known))


def _facility_contradictions(
    key: str, entry: FacilityTable, listed: Container[tuple[str, str]]
) -> Iterable[tuple[str, str, str]]:
    yield from _twice(f"{key}.meter", "device", [meter.device for meter in entry.meter])
    yield from _twice(f"{key}.virtual_meter", "device", [meter.device for meter in entry.virtual_meter])
    for number, meter in enumerate(entry.meter):
        if (entry.id, meter.edge) not in listed:
            yield f"{key}.meter[{number}].edge", f"an edge listed under [[edge]] for {entry.id}", repr(meter.edge)
        for name, expected, seen in meter.contradictions():
            yield f"{key}.meter[{number}].{name}", expected, seen
        if meter.role == "main" and meter.show not in {None, "grid"}:
            yield f"{key}.meter[{number}].show", '"grid" or nothing for a main meter', repr(meter.show)
        if meter.role != "main" and meter.show == "grid":
            yield (
                f"{key}.meter[{number}].show",
                '"load", "pv", "storage" or "ev" for a meter that is not main',
                "'grid'",
            )
    yield from _twice(f"{key}.storage", "meter", [storage.meter for storage in entry.storage])
    counted = [meter.device for meter in entry.meter if meter.carrier == "electricity"]
    for number, name in enumerate(entry.demand_response.meters):
        if name not in counted:
            expected = f"an electricity meter of the facility: {', '.join(counted) or 'there is none'}"
            yield f"{key}.demand_response.meters[{number}]", expected, repr(name)
    stores = [meter.device for meter in entry.meter if meter.show in {"storage", "ev"}]
    for number, storage in enumerate(entry.storage):
        if storage.meter not in stores:
            expected = f'a meter shown as "storage" or "ev": {", ".join(stores) or "there is none"}'
            yield f"{key}.storage[{number}].meter", expected, repr(storage.meter)


def _edge_contradictions(parsed: FileTable, known: Sequence[str]) -> Iterable[tuple[str, str, str]]:
    yield from _twice("edge", "edge", [f"{edge.facility}/{edge.edge}" for edge in parsed.edge])
    for at, edge in enumerate(parsed.edge):
        if edge.facility not in known:
            yield (
                f"edge[{at}].facility",
                f"one of {', '.join(known) or 'the facilities (there are none)'}",
                repr(edge.facility),
            )
        if edge.public_key is None and not edge.accept_unsigned:
            yield f"edge[{at}].public_key", "a public key, or accept_unsigned = true", "nothing"
        if edge.public_key is not None and edge.accept_unsigned:
            yield f"edge[{at}].accept_unsigned", "false, because public_key is given", "true"
        if edge.public_key is not None:
            try:
                PublicKey.from_text(edge.public_key)
            except KeyUnusable as error:
                yield f"edge[{at}].public_key", "the base64 of 32 bytes of Ed25519", str(error).rpartition("got ")[2]


def _footprint_contradictions(parsed: FileTable) -> Iterable[tuple[str, str, str]]:
    """Where the numbers of the machine are from must be said."""
    given = parsed.footprint
    if given is None:
        return
    if given.kg_per_kwh is not None and not given.factor_source.strip():
        yield "footprint.factor_source", "where kg_per_kwh is from", "nothing"
    if (given.embodied_kg is None) != (given.life_years is None):
        yield "footprint.life_years", "embodied_kg and life_years, or neither", "one of them"
    if given.embodied_kg is not None and not given.embodied_source.strip():
        yield "footprint.embodied_source", "where embodied_kg is from", "nothing"


def _mqtt_contradictions(parsed: FileTable, folder: Path) -> Iterable[tuple[str, str, str]]:
    mqtt = parsed.mqtt
    if mqtt is None:
        return
    if mqtt.tls is None and not mqtt.plain and mqtt.host not in LOOPBACK:
        yield "mqtt.tls", f"certificates, because {mqtt.host} is not loopback (or plain = true)", "nothing"
    if mqtt.tls is None:
        return
    if (mqtt.tls.cert is None) != (mqtt.tls.key is None):
        yield "mqtt.tls", "cert and key together", "only one of them"
    for name, text in (("ca", mqtt.tls.ca), ("cert", mqtt.tls.cert), ("key", mqtt.tls.key)):
        if text and not _is_file(folder / text):
            yield f"mqtt.tls.{name}", "a file", f"{str(folder / text)!r}, which does not exist"


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have (too long, a zero byte) is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _twice(table: str, key: str, names: Sequence[str]) -> Iterable[tuple[str, str, str]]:
    for at, name in enumerate(names):
        if name in names[:at]:
            yield f"{table}[{at}].{key}", f"a name that {table}[{names.index(name)}] does not have", repr(name)
