"""What a site file says of one pile: its fixed properties and the settings it begins with. Not what a central system changes later (`settings`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from device_sim.ocpp.meter_values import Quirk
from device_sim.ocpp.settings import Settings, names

_LONGEST_IDENTITY: Final = 48  # OCPP 2.0.1 part 4, section 3.1.1


class Start(StrEnum):
    """How a session begins."""

    AUTHORIZE = "authorize"  # the driver shows a tag that the central system must accept
    FREE = "free"  # plugging in is enough
    REMOTE = "remote"  # only when the central system says so


class OptionFault(ValueError):
    """An option of a pile or of its bus that cannot be: which, what was expected, what was seen."""


@dataclass(frozen=True, slots=True)
class PileOptions:
    """Fixed properties of one pile. `delay_s`: least and most seconds between a new limit and the power that follows it."""

    identity: str
    point: int
    start: Start = Start.AUTHORIZE
    quirks: frozenset[Quirk] = frozenset()
    signed: bool = False
    delay_s: tuple[float, float] = (1.0, 8.0)
    smart_charging: bool = True
    rate_units: tuple[str, ...] = ("A", "W")
    most_profiles: int = 10
    most_periods: int = 24
    highest_level: int = 8
    ram_profiles: bool = False
    resumes: bool = False
    v2x: bool = False
    password: str = ""
    certificate_file: Path | None = None
    key_file: Path | None = None
    seed: int = 1


_DEFAULTS: Final = PileOptions("", 0)


def read_pile(name: str, position: int, given: Mapping[str, Any]) -> tuple[PileOptions, Settings]:
    """The options of a device, and the settings with the values that it gives. Raises OptionFault for the first that cannot be.

    Keys are the fields of PileOptions and of Settings; lists are TOML arrays. Without `point` a pile stands at the point of its position on the bus.
    """
    table = _Options(name, given)
    identity = table.text("identity", name)
    if not 1 <= len(identity) <= _LONGEST_IDENTITY or not identity.isprintable():
        raise OptionFault(
            f"device {name}: identity: expected 1 to {_LONGEST_IDENTITY} printable characters, got {identity!r}"
        )
    options = PileOptions(
        identity,
        int(table.number("point", position, 0, 9999)),
        Start(table.choice("start", Start.AUTHORIZE, tuple(Start))),
        frozenset(Quirk(quirk) for quirk in table.choices("quirks", (), tuple(Quirk))),
        table.flag("signed", _DEFAULTS.signed),
        table.pair("delay_s", _DEFAULTS.delay_s, 0, 600),
        table.flag("smart_charging", _DEFAULTS.smart_charging),
        tuple(table.choices("rate_units", _DEFAULTS.rate_units, ("A", "W"))),
        int(table.number("most_profiles", _DEFAULTS.most_profiles, 1, 1000)),
        int(table.number("most_periods", _DEFAULTS.most_periods, 1, 1000)),
        int(table.number("highest_level", _DEFAULTS.highest_level, 0, 100)),
        table.flag("ram_profiles", _DEFAULTS.ram_profiles),
        table.flag("resumes", _DEFAULTS.resumes),
        table.flag("v2x", _DEFAULTS.v2x),
        table.text("password", ""),
        table.path("certificate_file"),
        table.path("key_file"),
        int(table.number("seed", _DEFAULTS.seed, 0, 2**31)),
    )
    settings = Settings(password=options.password)
    for field in names():
        default = getattr(settings, field)
        if isinstance(default, bool):
            setattr(settings, field, table.flag(field, default))
        elif isinstance(default, int):
            setattr(settings, field, int(table.number(field, default, 0, 9_999_999)))
        elif field != "password":
            setattr(settings, field, table.text(field, default))
    table.finish()
    return options, settings


@dataclass(frozen=True, slots=True)
class BusOptions:
    """How all piles of a bus reach their central system. `tick_s`: how often, in real seconds, a pile looks at its clock."""

    connect: str | None = None
    ca_file: Path | None = None
    call_timeout_s: float = 30.0
    reconnect_s: tuple[float, float] = (0.2, 30.0)
    tick_s: float = 0.1


def read_bus(given: Mapping[str, Any]) -> BusOptions:
    """The options of a bus. Raises OptionFault."""
    table = _Options("", given)
    plain = BusOptions()
    options = BusOptions(
        address(table.text("connect", "")),
        table.path("ca_file"),
        table.number("call_timeout_s", plain.call_timeout_s, 0.1, 3600),
        table.pair("reconnect_s", plain.reconnect_s, 0.01, 3600),
        table.number("tick_s", plain.tick_s, 0.01, 60),
    )
    table.finish()
    return options


def address(url: object) -> str | None:
    """An address of a central system, or None for an empty text. Raises OptionFault."""
    if url in (None, ""):
        return None
    if not isinstance(url, str) or not url.startswith(("ws://", "wss://")) or len(url) > 500 or not url.isprintable():
        raise OptionFault(f"connect: expected an address such as 'ws://127.0.0.1:9000/', got {url!r:.100}")
    return url


class _Options:
    """Reads keys and notes which were read."""

    def __init__(self, device: str, given: Mapping[str, Any]) -> None:
        self._where = f"device {device}: " if device else "bus: "
        self._given = given
        self._read: set[str] = set()

    def _fault(self, key: str, expected: str) -> OptionFault:
        return OptionFault(f"{self._where}{key}: expected {expected}, got {self._given[key]!r:.100}")

    def _has(self, key: str) -> bool:
        self._read.add(key)
        return key in self._given

    def number(self, key: str, default: float, low: float, high: float) -> float:
        if not self._has(key):
            return default
        value = self._given[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self._fault(key, f"a number from {low:g} to {high:g}")
        return float(value)

    def pair(self, key: str, default: tuple[float, float], low: float, high: float) -> tuple[float, float]:
        if not self._has(key):
            return default
        value = self._given[key]
        numbers = [v for v in value if isinstance(v, int | float)] if isinstance(value, list | tuple) else []
        if len(numbers) != 2 or not low <= numbers[0] <= numbers[1] <= high:
            raise self._fault(key, f"two rising numbers from {low:g} to {high:g}")
        return float(numbers[0]), float(numbers[1])

    def flag(self, key: str, default: bool) -> bool:
        if not self._has(key):
            return default
        if not isinstance(self._given[key], bool):
            raise self._fault(key, "true or false")
        return bool(self._given[key])

    def text(self, key: str, default: str) -> str:
        if not self._has(key):
            return default
        if not isinstance(self._given[key], str):
            raise self._fault(key, "a string")
        return str(self._given[key])

    def path(self, key: str) -> Path | None:
        text = self.text(key, "")
        return Path(text) if text else None

    def choice(self, key: str, default: str, known: Sequence[str]) -> str:
        value = self.text(key, default)
        if value not in known:
            raise self._fault(key, f"one of {', '.join(known)}")
        return value

    def choices(self, key: str, default: Sequence[str], known: Sequence[str]) -> Sequence[str]:
        if not self._has(key):
            return default
        value = self._given[key]
        if not isinstance(value, list | tuple) or not all(one in known for one in value):
            raise self._fault(key, f"some of {', '.join(known)}")
        return tuple(value)

    def finish(self) -> None:
        unknown = sorted(self._given.keys() - self._read)
        if unknown:
            raise OptionFault(f"{self._where}{unknown[0]}: expected one of {', '.join(sorted(self._read))}")
