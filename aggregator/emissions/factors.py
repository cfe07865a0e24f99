"""The registry of emission factors: append-only, dated twice (valid when, known when). Not which one applies (see `resolution`)."""

import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from importlib import resources
from typing import Any, Final

UNIT: Final = "kg/kWh"
AVERAGE: Final = "average"  # the only signal that the location method takes
SIGNALS: Final = (AVERAGE, "residual", "fossil", "marginal")
# The lowest published province has 0.1073, the dirtiest coal grid about 1.2 kg/kWh; outside lies a slip of unit or digit.
PLAUSIBLE_KG_PER_KWH: Final = (Decimal("0.02"), Decimal("1.3"))
_BEIJING: Final = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class SourceDoc:
    """Where a factor was published."""

    id: str
    title: str
    issuer: str
    number: str
    published_on: date


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
    text = resources.files("aggregator.emissions").joinpath("packs/cn_electricity.toml").read_text(encoding="utf-8")
    return parse_pack(tomllib.loads(text))


def parse_pack(content: Mapping[str, Any]) -> Pack:
    """A pack from its TOML. Raises ValueError that names every fault of shape or plausibility."""
    years: list[int] = content["years"]
    if content["unit"] != UNIT:
        raise ValueError(f"factor pack: unit must be {UNIT!r}, is {content['unit']!r}")
    documents = {
        row["data_year"]: SourceDoc(row["id"], row["title"], row["issuer"], row["number"], row["published_on"])
        for row in content["source"]
    }
    if sorted(documents) != sorted(years):
        raise ValueError(f"factor pack: sources are for {sorted(documents)}, years are {sorted(years)}")
    versions: list[FactorVersion] = []
    for factor in content["factor"]:
        for region, values in factor["values"].items():
            if len(values) != len(years):
                raise ValueError(
                    f"factor pack: {factor['id']} {region} has {len(values)} values for {len(years)} years"
                )
            for year, text in zip(years, values, strict=True):
                source = documents[year]
                known_ms = round(datetime.combine(source.published_on, time(), _BEIJING).timestamp() * 1000)
                versions.append(
                    FactorVersion(
                        factor["id"],
                        region,
                        year,
                        content["version"],
                        Decimal(text),
                        factor["signal"],
                        known_ms,
                        source,
                        factor["table"],
                    )
                )
    faults = lint(versions)
    if faults:
        raise ValueError("factor pack: " + "; ".join(faults))
    return Pack(tuple(versions), {province: grid for grid, members in content["grids"].items() for province in members})


def lint(versions: Iterable[FactorVersion]) -> list[str]:
    """What a reader of the annex would stumble over: doubles, slips of digit, copied columns, data from the future."""
    versions = list(versions)
    low, high = PLAUSIBLE_KG_PER_KWH
    faults: list[str] = []
    for key, n in Counter((v.factor_id, v.region, v.data_year, v.version) for v in versions).items():
        if n > 1:
            faults.append(f"{' '.join(map(str, key))} stands {n} times")
    series: defaultdict[tuple[str, str, int], list[FactorVersion]] = defaultdict(list)
    for v in versions:
        name = f"{v.factor_id} {v.region} {v.data_year}"
        if not low <= v.kg_per_kwh <= high:
            faults.append(f"{name}: {v.kg_per_kwh} is outside {low} to {high} {UNIT}")
        if v.signal not in SIGNALS:
            faults.append(f"{name}: signal {v.signal!r} is none of {', '.join(SIGNALS)}")
        if v.source.published_on.year <= v.data_year:
            faults.append(f"{name}: published on {v.source.published_on}, before its data year was over")
        if not v.source.title or not v.table_ref:
            faults.append(f"{name}: names no document or table")
        series[v.factor_id, v.region, v.version].append(v)
    for (factor_id, region, _), column in series.items():
        for value, n in Counter(v.kg_per_kwh for v in column).items():
            if n > 1:
                faults.append(f"{factor_id} {region}: {value} stands for {n} years, which looks copied")
    return faults


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
    """The UTC day of an instant, as a person reads it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
