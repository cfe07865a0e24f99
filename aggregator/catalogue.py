"""The series catalogue: whose each series is, who answers for device and signature, what kind of data it is, how long it is kept. Not the readings.

The kinds are the six ways in which the founding documents sort carbon data: source or sink; government, industry, enterprise or person; the field;
remote sensing or statistics (or metered); administrative unit or grid cell; history or forecast.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from aggregator.facility import Facility
from aggregator.stores.store import Point, SeriesKey
from wire.quantities import QUANTITIES, Kind

SORTS: Final[Mapping[str, tuple[str, ...]]] = {
    "flow": ("source", "sink"),
    "holder": ("government", "industry", "enterprise", "person"),
    "domain": ("agriculture", "weather", "forestry", "industry", "land", "transport"),
    "origin": ("metered", "remote_sensing", "statistical"),
    "scale": ("administrative", "grid"),
    "horizon": ("history", "forecast"),
}
USUAL: Final = ("source", "enterprise", "industry", "metered", "administrative", "history")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long raw readings, interval energies and hourly values are promised to be kept, in days."""

    raw_days: int = 90
    interval_days: int = 3 * 366
    hourly_days: int = 10 * 366


@dataclass(frozen=True, slots=True)
class SeriesRule:
    """What holds of the series of one facility whose device and quantity match (`*` stands for any text); `sorts` are in the order of SORTS."""

    facility: str
    device: str = "*"
    quantity: str = "*"
    owner: str = ""
    sorts: tuple[str, ...] = USUAL
    retention: Retention = Retention()
    source: str = ""

    def fits(self, series: SeriesKey) -> bool:
        """Whether it holds of a series."""
        return (
            self.facility == series.facility
            and fnmatchcase(series.device, self.device)
            and fnmatchcase(series.quantity, self.quantity)
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """A legal entity answers for a device, or (`device` "") for what an edge signs with this key."""

    facility: str
    edge: str
    device: str
    key: str
    entity: str


@dataclass(frozen=True, slots=True)
class Entities:
    """Legal entities by facility, (facility, device) and (facility, edge); whoever is not named is the facility's."""

    facilities: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[tuple[str, str], str] = field(default_factory=dict)
    edges: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def of(self, facility: str, edge: str = "", device: str = "") -> str:
        """Who answers for a device, else for an edge, else for the facility; "" where nobody is named."""
        named = self.devices.get((facility, device), "") if device else self.edges.get((facility, edge), "")
        return named or self.facilities.get(facility, "")


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One series. `signer_key` "": the edge need not sign. `newest_ms`: its last reading, None where it has none (imported, or read by hand). `leads_to`: where its intervals' lineage is asked for."""

    series: SeriesKey
    unit: str
    kind: str
    carrier: str
    role: str
    owner: str
    device_entity: str
    signer_entity: str
    signer_key: str
    sorts: tuple[tuple[str, str], ...]
    retention: Retention
    source: str
    newest_ms: int | None
    leads_to: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the settings say; `keys` are the edges' public keys by (facility, edge)."""

    entities: Entities = Entities()
    rules: Sequence[SeriesRule] = ()
    keys: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def entries(
        self, facility: Facility, newest: Mapping[SeriesKey, Point], counters: Mapping[str, Sequence[str]]
    ) -> Iterator[CatalogueEntry]:
        """Every series of a facility that has a reading, and the first of each meter's `counters` (by carrier) in any case; sorted."""
        known: dict[SeriesKey, int | None] = {
            series: point.at_ms for series, point in newest.items() if series.facility == facility.id
        }
        for meter in facility.meters:
            for quantity in counters.get(meter.carrier, ())[:1]:
                known.setdefault(SeriesKey(facility.id, meter.edge, meter.device, quantity), None)
        for series, newest_ms in sorted(known.items()):
            yield self.entry(facility, series, newest_ms)

    def entry(self, facility: Facility, series: SeriesKey, newest_ms: int | None) -> CatalogueEntry:
        """One series: the last rule that fits says what it is."""
        rule = next((rule for rule in reversed(self.rules) if rule.fits(series)), SeriesRule(series.facility))
        quantity, meter = QUANTITIES.get(series.quantity), facility.meter(series.device)
        counter = quantity is not None and quantity.kind is Kind.COUNTER and meter is not None
        return CatalogueEntry(
            series=series,
            unit="" if quantity is None else quantity.unit,
            kind="" if quantity is None else quantity.kind.value,
            carrier=meter.carrier if meter is not None else "" if quantity is None else quantity.carrier.value,
            role="" if meter is None else meter.role.value,
            owner=rule.owner or self.entities.of(series.facility),
            device_entity=self.entities.of(series.facility, device=series.device),
            signer_entity=self.entities.of(series.facility, edge=series.edge),
            signer_key=self.keys.get((series.facility, series.edge), ""),
            sorts=tuple(zip(SORTS, rule.sorts, strict=True)),
            retention=rule.retention,
            source=rule.source,
            newest_ms=newest_ms,
            leads_to=f"/api/v1/lineage/interval?facility={series.facility}&device={series.device}&quantity={series.quantity}&at="
            if counter
            else "",
        )

    def bindings(self, facilities: Iterable[Facility]) -> Iterator[Binding]:
        """Every device and signing key for which somebody answers."""
        for facility in facilities:
            for meter in facility.meters:
                entity = self.entities.of(facility.id, device=meter.device)
                if entity:
                    yield Binding(facility.id, meter.edge, meter.device, "", entity)
        for (name, edge), key in sorted(self.keys.items()):
            entity = self.entities.of(name, edge=edge)
            if entity:
                yield Binding(name, edge, "", key, entity)
