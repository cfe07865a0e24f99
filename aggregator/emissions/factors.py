"""The registry of emission factors: append-only, dated twice (valid when, known when). Not which one applies (see `resolution`)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from aggregator.emissions.entry import AVERAGE, SIGNALS, Entry, SourceDoc
from aggregator.emissions.packfile import BEIJING, shipped_pack

__all__ = [
    "AVERAGE",
    "SIGNALS",
    "UNIT",
    "FactorTable",
    "FactorVersion",
    "Pack",
    "SourceDoc",
    "annual_versions",
    "known_on",
    "shipped",
]

UNIT: Final = "kg/kWh"


@dataclass(frozen=True, slots=True)
class FactorVersion:
    """One published value of one factor for one region and one data year.

    It is valid in the local calendar year `data_year` of whoever uses it, and known from `known_from_ms` (UTC) on.
    A correction is a higher `version` of the same (id, region, data_year).
    """

    factor_id: str
    region: str
    data_year: int
    version: int
    kg_per_kwh: Decimal
    signal: str
    known_from_ms: int
    source: SourceDoc
    table_ref: str


@dataclass(frozen=True, slots=True)
class Pack:
    """Factors that are shipped as reviewed data, and which grid each province draws from."""

    versions: tuple[FactorVersion, ...]
    grid_of: Mapping[str, str]


def shipped() -> Pack:
    """The official Chinese electricity factors of 2021 to 2023."""
    pack = shipped_pack("cn_electricity")
    return Pack(annual_versions(pack.entries), pack.grid_of)


def annual_versions(entries: Iterable[Entry]) -> tuple[FactorVersion, ...]:
    """The annual electricity factors that are approved; what the pack has not given a version is the first.

    Where a registry holds two of one id, region and year under identities that mean the same, the later known is the higher version.
    """
    annual = [
        e for e in entries if e.kind == "electricity" and e.status == "approved" and e.data_year and not e.facility
    ]
    last: dict[tuple[str, str, int], int] = {}
    found = []
    for e in sorted(annual, key=lambda e: (e.known_from_ms, e.version)):
        key = e.id, e.region, e.data_year
        last[key] = max(e.version or 1, last.get(key, 0) + 1)
        found.append(
            FactorVersion(
                e.id, e.region, e.data_year, last[key], e.value, e.signal, e.known_from_ms, e.source, e.table_ref
            )
        )
    return tuple(found)


class FactorTable:
    """The factors in memory, by region. Grows; nothing in it is ever changed."""

    def __init__(self, versions: Iterable[FactorVersion] = (), grid_of: Mapping[str, str] | None = None) -> None:
        self.grid_of = dict(grid_of or {})
        self._by_region: defaultdict[str, list[FactorVersion]] = defaultdict(list)
        self._keys: set[tuple[str, str, int, int]] = set()
        for version in versions:
            self.append(version)

    @classmethod
    def from_pack(cls, pack: Pack) -> "FactorTable":
        return cls(pack.versions, pack.grid_of)

    def append(self, version: FactorVersion) -> None:
        """Raises ValueError where this (id, region, data year, version) stands already."""
        key = (version.factor_id, version.region, version.data_year, version.version)
        if key in self._keys:
            raise ValueError(f"factor {' '.join(map(str, key))} stands already: append a higher version")
        self._keys.add(key)
        self._by_region[version.region].append(version)

    def __len__(self) -> int:
        return len(self._keys)

    def of_region(self, region: str, signal: str, as_of_ms: int) -> dict[int, FactorVersion]:
        """By data year, the highest version that was known at `as_of_ms`."""
        found: dict[int, FactorVersion] = {}
        for version in self._by_region.get(region, ()):
            if version.signal != signal or version.known_from_ms > as_of_ms:
                continue
            standing = found.get(version.data_year)
            if standing is None or version.version > standing.version:
                found[version.data_year] = version
        return found

    def has(self, region: str, signal: str) -> bool:
        """Whether the region has any factor of this signal, known yet or not."""
        return any(version.signal == signal for version in self._by_region.get(region, ()))


def known_on(at_ms: int) -> str:
    """The day of an instant in Beijing, where a document's day begins (see `packfile`): so that it is the day on the document."""
    return datetime.fromtimestamp(at_ms / 1000, BEIJING).date().isoformat()
