"""From energy to emissions: exact products that are booked, and the rate of this moment. Not which factor (see `resolution`).

Location-based scope 2: import of main meters only. Nothing is rounded here; a figure is rounded once, where it is shown.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.emissions.amounts import EXACT
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.place import Place
from aggregator.emissions.resolution import HourlyLookup, Resolution, resolve

# Shares of an interval that a factor boundary cuts are kept to a microwatt-hour; the last part takes the rest.
SHARE: Final = Decimal("0.000000001")
HOUR_MS: Final = 3_600_000
MAX_REMEMBERED: Final = 4096
PROFILE: Final = "OPS"  # operational: location-based, live. A total without a profile name does not exist.


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of one main meter in [start_ms, end_ms), as the ledger has it."""

    device: str
    start_ms: int
    end_ms: int
    energy_kwh: Decimal
    final: bool


@dataclass(frozen=True, slots=True)
class Emission:
    """What is booked for energy under one factor. `kg` None: there is no factor, and `resolution` says why."""

    device: str
    start_ms: int
    end_ms: int
    energy_kwh: Decimal
    kg: Decimal | None
    final: bool
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class EmissionRate:
    """Emissions of this moment. `kg_per_h` None: a main meter's power or the factor is missing, never 0 instead."""

    kg_per_h: Decimal | None
    import_kw: Decimal | None
    missing: tuple[str, ...]
    resolution: Resolution


class Booker:
    """Books energies of facilities; remembers each resolution for as long as it holds."""

    def __init__(self, table: FactorTable, hourly: HourlyLookup | None = None) -> None:
        """`hourly`: what is on record of a grid zone's hours, for facilities that name one."""
        self.table = table
        self._hourly = hourly
        self._resolved: dict[tuple[Place, int, int], list[Resolution]] = {}

    def resolve(self, place: Place, at_ms: int, as_of_ms: int) -> Resolution:
        """As `resolution.resolve`; remembered per hour of knowledge time while the table stays as it is."""
        key = (place, as_of_ms // HOUR_MS, len(self.table))
        remembered = self._resolved.setdefault(key, [])  # disjoint in time, ordered
        found = bisect_right(remembered, at_ms, key=lambda known: known.from_ms) - 1
        if found >= 0 and at_ms < remembered[found].to_ms:
            return remembered[found]
        if len(self._resolved) > MAX_REMEMBERED:
            self._resolved = {key: remembered}
        resolution = resolve(self.table, place, at_ms, as_of_ms, hourly=self._hourly)
        remembered.insert(found + 1, resolution)
        return resolution

    def book(self, place: Place, energies: Iterable[Energy], as_of_ms: int) -> list[Emission]:
        """One emission per energy, more where a factor boundary lies within: then pro rata by time, summing exactly."""
        booked: list[Emission] = []
        for energy in energies:
            for at_ms, to_ms, part, resolution in parts(energy, lambda at_ms: self.resolve(place, at_ms, as_of_ms)):
                kg = None if resolution.kg_per_kwh is None else EXACT.multiply(part, resolution.kg_per_kwh)
                booked.append(Emission(energy.device, at_ms, to_ms, part, kg, energy.final, resolution))
        return booked

    def rate(self, place: Place, power_kw: Mapping[str, float | None], at_ms: int, as_of_ms: int) -> EmissionRate:
        """kg/h at this moment from the power of every main meter (import positive; None where none is fresh).

        Connections do not net out: what one exports is not taken from what another imports.
        """
        resolution = self.resolve(place, at_ms, as_of_ms)
        missing = tuple(sorted(device for device, kw in power_kw.items() if kw is None))
        if missing or not power_kw:
            return EmissionRate(None, None, missing, resolution)
        import_kw = sum(
            (max(Decimal(repr(float(kw))), Decimal(0)) for kw in power_kw.values() if kw is not None), Decimal(0)
        )
        factor = resolution.kg_per_kwh
        return EmissionRate(None if factor is None else import_kw * factor, import_kw, (), resolution)


def parts(energy: Energy, resolved: Callable[[int], Resolution]) -> Iterator[tuple[int, int, Decimal, Resolution]]:
    """(start_ms, end_ms, kWh, factor) of an energy, cut where another factor begins to apply: pro rata by time, summing exactly."""
    left, at_ms = energy.energy_kwh, energy.start_ms
    while at_ms < energy.end_ms:
        resolution = resolved(at_ms)
        to_ms = min(energy.end_ms, resolution.to_ms)
        part = left if to_ms == energy.end_ms else _share(energy, to_ms - at_ms)
        yield at_ms, to_ms, part, resolution
        left, at_ms = left - part, to_ms


def _share(energy: Energy, part_ms: int) -> Decimal:
    whole_ms = energy.end_ms - energy.start_ms
    return (energy.energy_kwh * part_ms / whole_ms).quantize(SHARE)


def total_kg(parts: Iterable[Decimal]) -> Decimal:
    """The exact sum of booked kg."""
    total = Decimal(0)
    for kg in parts:
        total = EXACT.add(total, kg)
    return total
