"""What a facility's measured span came to in the figures of plans: sun used on site, hours without import, vehicles in the sun's hours, steps, cycles.

Not what is accounted: no kg, and floats suffice. A figure without ground is None, never 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from aggregator.facility import Facility
from aggregator.flexibility.measures import Cycles, life_years, self_use_percent, sunny, within_percent
from aggregator.flexibility.problem import Series
from aggregator.intervals.meter import MeterSpec
from aggregator.ledger import Ledger
from wire.reading import Quality

IMPORT: Final = "energy_import_kwh"
EXPORT: Final = "energy_export_kwh"
HOUR_MS: Final = 3_600_000
DAY_H: Final = 24
Energies = Mapping[int, float]  # start of the interval -> kWh


@dataclass(frozen=True, slots=True)
class MeasuredFigures:
    """Of [from_ms, to_ms). `covered_h`: hours in which every grid connection was measured; all figures are of these, per the facility's interval.

    `largest_step_kw`: of net import between neighbouring intervals. `zero_carbon_h`: hours in which no connection imported. `pv_self_use_percent`: of
    what the sun gave, what was not exported. `pv_hours_percent`: of the vehicles' charge, what fell in intervals with at least a tenth of the span's highest
    PV power. `cycles_per_day`: DC energy that storage gave over its capacity; `life_years`: how long 12,000 of them last.
    """

    facility: str
    from_ms: int
    to_ms: int
    covered_h: float
    expected_h: float
    peak_kw: float | None
    largest_step_kw: float | None
    zero_carbon_h: float | None
    pv_kwh: float | None
    pv_self_use_percent: float | None
    vehicle_kwh: float | None
    pv_hours_percent: float | None
    cycles_per_day: Cycles | None
    life_years: float | None


def measured_figures(ledger: Ledger, facility: Facility, from_ms: int, to_ms: int) -> MeasuredFigures:
    """Raises LedgerError."""
    known = _Counters(ledger, facility, from_ms, to_ms)
    mains = [meter for meter in facility.main_meters() if meter.carrier == "electricity"]
    pv, storage, vehicles = (_outer(facility.shown_as(part)) for part in ("pv", "storage", "ev"))
    imported, exported = known.of(mains, IMPORT), known.of(mains, EXPORT)
    starts = sorted(imported)
    step_h = facility.interval_ms / HOUR_MS
    net_kw = np.array([(imported[at] - exported[at]) / step_h for at in starts])
    neighbours = np.array([later - at == facility.interval_ms for at, later in pairwise(starts)], dtype=bool)
    sun, charged = known.of(pv, EXPORT), known.of(vehicles, IMPORT)
    both = [at for at in starts if at in sun]
    sun_kwh = _series(sun, both)
    lit = sunny(sun_kwh) if both else None
    charging = [at for at in both if at in charged]
    cycles = _cycles(facility, known, storage)
    return MeasuredFigures(
        facility.id, from_ms, to_ms, len(starts) * step_h, (to_ms - from_ms) // facility.interval_ms * step_h,
        peak_kw=float(max(imported.values())) / step_h if starts else None,
        largest_step_kw=float(np.abs(np.diff(net_kw))[neighbours].max()) if neighbours.any() else None,
        zero_carbon_h=sum(imported[at] == 0 for at in starts) * step_h if starts else None,
        pv_kwh=float(sun_kwh.sum()) if both else None,
        pv_self_use_percent=self_use_percent(sun_kwh, _series(exported, both)) if both else None,
        vehicle_kwh=float(sum(charged.values())) if charged else None,
        pv_hours_percent=None if lit is None else within_percent(_series(charged, charging), lit[np.isin(both, charging)]),
        cycles_per_day=cycles,
        life_years=life_years(cycles) if cycles else None,
    )  # fmt: skip


class _Counters:
    """Interval energies of one direction, by start; what was measured badly is not known."""

    def __init__(self, ledger: Ledger, facility: Facility, from_ms: int, to_ms: int) -> None:
        self._ledger, self._facility, self._span = ledger, facility, (from_ms, to_ms)

    def of(self, meters: Sequence[MeterSpec], quantity: str) -> Energies:
        """The sum over meters, of the intervals in which all of them are known; a meter may count one direction alone: then the other is 0."""
        total: dict[int, float] = {}
        known: dict[int, int] = {}
        for meter in meters:
            mine = self._one(meter, quantity)
            for at in mine.keys() | self._one(meter, EXPORT if quantity == IMPORT else IMPORT).keys():
                total[at] = total.get(at, 0.0) + mine.get(at, 0.0)
                known[at] = known.get(at, 0) + 1
        return {at: kwh for at, kwh in total.items() if known[at] == len(meters)}

    def _one(self, meter: MeterSpec, quantity: str) -> dict[int, float]:
        rows = self._ledger.intervals(self._facility.id, meter.device, quantity, *self._span)
        return {row.start_ms: float(row.energy_kwh) for row in rows if row.grade.quality is not Quality.BAD}


def _cycles(facility: Facility, known: _Counters, storage: Sequence[MeterSpec]) -> Cycles | None:
    """None where there is no storage, or one whose capacity nobody has stated."""
    cells = dict(facility.cells)
    drawn_kwh = capacity_kwh = days = 0.0
    for meter in storage:
        cell = cells.get(meter.device)
        if cell is None or cell.capacity_kwh is None:
            return None
        given = known.of([meter], EXPORT)
        drawn_kwh += sum(given.values()) / float(cell.discharge_efficiency_ratio)
        capacity_kwh += float(cell.capacity_kwh)
        days = max(days, len(given) * facility.interval_ms / HOUR_MS / DAY_H)
    return drawn_kwh / capacity_kwh / days if days else None


def _outer(meters: Iterable[MeterSpec]) -> list[MeterSpec]:
    """Meters that are inside none of the others."""
    found = list(meters)
    names = {meter.device for meter in found}
    return [meter for meter in found if meter.parent not in names]


def _series(energies: Energies, starts: Sequence[int]) -> Series:
    return np.array([energies[at] for at in starts])
