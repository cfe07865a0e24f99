"""Issues forecasts from the ledger's intervals and the grid's hours, keeps them, and measures what became of them. Not the methods (see `forecasts`)."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from aggregator.accounts.compile import REGISTRY_NAME
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.intensity import GridIntensities
from aggregator.emissions.profiles import profile
from aggregator.emissions.recorded import electricity_pack, own_factors
from aggregator.emissions.registry import Registry, RegistryRefused
from aggregator.emissions.resolution import Resolution, resolve
from aggregator.facility import Facility
from aggregator.forecasts.boosting import candidates as boosted
from aggregator.forecasts.day_ahead import USED_DAYS, CannotForecast, DayAhead, day_ahead
from aggregator.forecasts.emission import Intensity, Spread, kg_spread, kwh_spread
from aggregator.forecasts.hours import HOURS, Days, Slot, by_local_days, slots
from aggregator.forecasts.intensity import Known, intensity_ahead
from aggregator.forecasts.issued import FORECASTS_NAME, ForecastsUnusable, Hour, Issued, IssuedForecasts
from aggregator.forecasts.methods import LIGHT, Hours, Method
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.ledger import Ledger

QUANTITY: Final = "energy_import_kwh"
LEADS: Final = (1, 2)  # the day that has begun, and the next
_PROFILES: Final = {"average": "OPS", "marginal": "MARGINAL"}


def light() -> tuple[Method, ...]:
    """The candidates that need nothing installed."""
    return LIGHT


@dataclass(frozen=True, slots=True)
class Grid:
    """The intensities of a day; None where there is none. Only the average one is multiplied with a load."""

    average: Intensity | None
    marginal: Intensity | None


class Forecasting:
    """Forecasts of the facilities of one data directory."""

    def __init__(
        self,
        ledger: Ledger,
        facilities: Iterable[Facility],
        data_directory: Path,
        clock: Callable[[], int],
        *,
        boosting: bool = False,
    ) -> None:
        """`boosting`: trees are a candidate too. Raises ForecastsUnusable, ModuleNotFoundError where they are wanted and scikit-learn is missing."""
        self.candidates = boosted if boosting else light
        self.candidates()
        self.ledger = ledger
        self.facilities = {facility.id: facility for facility in facilities}
        self.clock = clock
        self._registry = data_directory / REGISTRY_NAME
        self.book = IssuedForecasts(data_directory / FORECASTS_NAME)

    def close(self) -> None:
        """Idempotent."""
        self.book.close()

    def issue(self, facility: str, device: str = "") -> list[Issued]:
        """Today's and tomorrow's forecast of a meter, or of all main meters (""), made and put on record.

        What is used ends at the last midnight. Raises CannotForecast, LedgerError, ForecastsUnusable.
        """
        named = self.named(facility, device)
        now_ms = self.clock()
        today = local_day(now_ms, named.zone)
        days = self.known(named, device, today - timedelta(days=USED_DAYS), today - timedelta(days=1))
        if days is None:
            raise CannotForecast(
                f"{facility} {device or 'main meters'}: expected intervals before {today}, none is settled"
            )
        made = []
        origin_ms = day_span_ms(today, named.zone)[0]
        with self.resolving(named, origin_ms) as known:
            for lead in LEADS:
                ahead = day_ahead(days, today + timedelta(days=lead - 1), lead, self.candidates())
                made.append(issued(named, device, ahead, _grid(known, named, ahead.day, origin_ms), now_ms))
        for entry in made:
            self.book.add(entry)
        return made

    def named(self, facility: str, device: str) -> Facility:
        """The facility, once it is known to have the meter. Raises CannotForecast."""
        found = self.facilities.get(facility)
        if found is None:
            raise CannotForecast(f"facility: expected one of {', '.join(self.facilities) or 'none'}, got {facility!r}")
        if device and found.meter(device) is None:
            raise CannotForecast(
                f"device: expected a meter of {facility} ({', '.join(meter.device for meter in found.meters)}), got {device!r}"
            )
        return found

    def known(self, facility: Facility, device: str, first: date, last: date) -> Days | None:
        """The import of the local days from `first` to `last`: of the meter, or the sum of all main electricity meters."""
        mains = [meter.device for meter in facility.main_meters() if meter.carrier == "electricity"]
        from_ms, to_ms = day_span_ms(first, facility.zone)[0], day_span_ms(last, facility.zone)[1]
        tables = []
        for name in [device] if device else mains:
            rows = self.ledger.intervals(facility.id, name, QUANTITY, from_ms, to_ms)
            table = by_local_days(((row.start_ms, row.end_ms, float(row.energy_kwh)) for row in rows), facility.zone)
            if table is None:
                return None
            tables.append(table)
        if not tables:
            return None
        begin = min(table.first for table in tables)
        whole = np.zeros((max(len(table.kw) + (table.first - begin).days for table in tables), HOURS))
        for table in tables:
            padded = np.full_like(whole, np.nan)
            padded[(table.first - begin).days :][: len(table.kw)] = table.kw
            whole += padded  # an hour that one meter lacks is not known of the sum
        return Days(begin, whole)

    def measured(self, facility: Facility, device: str, first: date, last: date) -> list[tuple[Slot, float]]:
        """The hours from `first` to `last` that are known as a whole, with their kWh. Of a clock hour that comes twice each has the half."""
        days = self.known(facility, device, first, last)
        if days is None:
            return []
        found = []
        for row, hours in enumerate(days.kw):
            parts = slots(days.day(row), facility.zone)
            found += [
                (part, float(hours[part.hour]) * part.length_h) for part in parts if not np.isnan(hours[part.hour])
            ]
        return found

    @contextmanager
    def resolving(self, facility: Facility, as_of_ms: int) -> Iterator[Callable[[str], Known]]:
        """By signal, the factor of an instant as known at another, with the registry open."""
        path: Path | str = self._registry if self._registry.exists() else ":memory:"
        try:
            with Registry(path) as registry, GridIntensities(path) as hours:
                entries = registry.entries(as_of_ms)
                table = FactorTable.from_pack(electricity_pack(entries))
                own = replace(facility, overrides=(*own_factors(entries, facility.id), *facility.overrides))
                place = own.factor_place()

                @cache
                def known(signal: str) -> Known:
                    rules = profile(_PROFILES[signal])
                    kept: dict[tuple[int, int], Resolution] = {}

                    def at(at_ms: int, known_ms: int) -> Resolution:
                        key = at_ms, known_ms
                        if key not in kept:
                            kept[key] = resolve(table, place, at_ms, known_ms, rules, hours.at)
                        return kept[key]

                    return at

                yield known
        except (RegistryRefused, sqlite3.Error) as error:
            raise ForecastsUnusable(f"{path}: expected a registry of factors, got {error}") from error


def _grid(known: Callable[[str], Known], facility: Facility, day: date, origin_ms: int) -> Grid:
    hourly = bool(facility.grid_zone)
    average = intensity_ahead(known("average"), facility.zone, day, origin_ms, "average", hourly=hourly)
    if not hourly:
        return Grid(average, None)
    return Grid(average, intensity_ahead(known("marginal"), facility.zone, day, origin_ms, "marginal", hourly=True))


def issued(facility: Facility, device: str, ahead: DayAhead, grid: Grid, now_ms: int) -> Issued:
    """The forecast as it is said: each hour of the local day, the whole day, and where the grid's hours come from."""
    parts = slots(ahead.day, facility.zone)
    length_h = np.zeros(HOURS)
    for part in parts:
        length_h[part.hour] += part.length_h
    kg_per_kwh = np.full(HOURS, np.nan) if grid.average is None else grid.average.kg_per_kwh
    marginal = np.full(HOURS, np.nan) if grid.marginal is None else grid.marginal.kg_per_kwh
    nothing = Spread(np.full(HOURS, np.nan), np.full(HOURS, np.nan), None)
    kwh = nothing if ahead.band is None else kwh_spread(ahead.kw, ahead.errors, ahead.band, length_h)
    kg = (
        nothing
        if ahead.band is None or grid.average is None
        else kg_spread(ahead.kw, ahead.errors, ahead.band, grid.average, length_h)
    )
    point = ahead.kw * length_h

    def hour(part: Slot) -> Hour:
        at, share = part.hour, part.length_h / length_h[part.hour]
        return Hour(
            part.start_ms, part.end_ms, _known(point[at] * share), _known(kwh.low[at] * share), _known(kwh.high[at] * share),
            _known(ahead.naive_kw[at] * part.length_h), _known(point[at] * kg_per_kwh[at] * share), _known(kg.low[at] * share),
            _known(kg.high[at] * share), _known(kg_per_kwh[at]), _known(marginal[at]),
        )  # fmt: skip

    low_kwh, high_kwh = kwh.day or (None, None)
    low_kg, high_kg = kg.day or (None, None)
    return Issued(
        facility.id, device, ahead.day, ahead.lead_days, now_ms, ahead.method, tuple(hour(part) for part in parts),
        _sum(point, length_h), low_kwh, high_kwh, _sum(point * kg_per_kwh, length_h), low_kg, high_kg,
        _said(grid.average), _said(grid.marginal),
    )  # fmt: skip


def _said(intensity: Intensity | None) -> str:
    return "" if intensity is None else f"{intensity.basis}: {intensity.source}"


def _sum(values: Hours, length_h: Hours) -> float | None:
    """Of all hours that the day has; None where one is not known."""
    return _known(float(values[length_h > 0].sum()))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
