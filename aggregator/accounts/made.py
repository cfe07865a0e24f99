"""Heat and cooling that a facility makes itself: what its chillers and boilers took, allocated to what they gave. Never an addition.

The electricity or gas is counted already at its main meter; a line here lies inside it: main 1,000 kWh of which the chiller took 200 gives a
cooling line of 200 f inside 1,000 f.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from aggregator.accounts.carriers import Stretches, rows_of_meter
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.period import Period
from aggregator.accounts.pools.load_parts import consumers, parted
from aggregator.accounts.pools.site_days import site_of
from aggregator.accounts.pools.walk import PoolRun
from aggregator.accounts.tree.shares import intervals_shared
from aggregator.accounts.tree.slots import FLOWS, slots_of
from aggregator.accounts.tree.tree import Metered
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.factors import AVERAGE
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.local_time import local_day
from aggregator.intervals.meter import MeterSpec
from aggregator.meter_tree import meter_tree

MADE: Final = "made_here"


class _Group(NamedTuple):
    day: date
    grade: Grade
    missing: str


@dataclass(slots=True)
class _Sum:
    start_ms: int
    end_ms: int
    amount: Decimal = Decimal(0)
    kg: Decimal = Decimal(0)
    intervals: int = 0
    provisional: int = 0


Walk = Callable[[Period], AbstractContextManager[PoolRun]]


def made_lines(period: Period, walk: Walk | None = None) -> Iterator[Line]:
    """A line for each local day and grade of every meter that has makers; nothing but under a location-based average.

    `walk` solves the period of a site with PV, storage or charging, so that a chiller carries here what its own line carries.
    """
    if period.profile.method != "location" or period.profile.signal != AVERAGE:
        return
    meters = [meter for meter in period.facility.meters if meter.use.made_by]
    if not meters:
        return
    taken = _taken(period, {maker for meter in meters for maker in meter.use.made_by}, walk)
    for meter in meters:
        yield from _lines(period, meter, {maker: taken[maker] for maker in meter.use.made_by})


def _lines(period: Period, meter: MeterSpec, taken: Mapping[str, Mapping[int, Decimal | str]]) -> Iterator[Line]:
    facility = period.facility
    slots = slots_of(
        period.intervals, meter.device, FLOWS[meter.carrier], facility.interval_ms, period.from_ms, period.to_ms
    )
    sums: dict[_Group, _Sum] = {}
    for at_ms, slot in slots.items():
        parts = [kg_of.get(at_ms, f"{maker}, or the main around it, has no figure") for maker, kg_of in taken.items()]
        missing = "; ".join(sorted({why for why in parts if isinstance(why, str)}))
        group = _Group(local_day(at_ms, facility.zone), slot.grade, missing)
        summed = sums.setdefault(group, _Sum(at_ms, at_ms))
        summed.end_ms = max(summed.end_ms, at_ms + facility.interval_ms)
        summed.amount = EXACT.add(summed.amount, slot.incoming)
        summed.intervals += 1
        summed.provisional += not slot.final
        for kg in parts:
            if not isinstance(kg, str):
                summed.kg = EXACT.add(summed.kg, kg)
    for group, summed in sums.items():
        yield Line(
            source=f"meter:{meter.device}", counts=Counts.ALLOCATED, activity="indirect", carrier=meter.carrier, start_ms=summed.start_ms,
            end_ms=summed.end_ms, quantity=summed.amount, unit="kWh", factor=None, kg=None if group.missing else summed.kg,
            quality=group.grade.quality.name.lower(), reason=group.grade.reason, intervals=summed.intervals, provisional=summed.provisional,
            marks=(MADE,), why=group.missing,
        )  # fmt: skip


def _taken(period: Period, makers: set[str], walk: Walk | None) -> dict[str, dict[int, Decimal | str]]:
    """kg of what each maker took in each interval, all meters inside it included, or why there are none; intervals without a figure are absent."""
    found: dict[str, dict[int, Decimal | str]] = {maker: {} for maker in makers}
    electric = {maker for maker in makers if _carrier(period, maker) == "electricity"}
    if electric:
        tree = meter_tree(period.facility, "electricity")
        inside = {
            maker: [name for name in tree.nodes if name == maker or maker in tree.around(name)] for maker in electric
        }
        solve = None if site_of(period.facility) is None else walk
        for start_ms, told in _shared(period) if solve is None else _solved(period, solve):
            for maker in electric:
                if told.measured(inside[maker]):
                    found[maker][start_ms] = told.kg(inside[maker])
    for maker in makers - electric:
        meter = period.facility.meter(maker)
        assert meter is not None
        rows, unit = rows_of_meter(period, meter)
        stretches = Stretches(period, meter, unit)
        for row in rows:
            rates = stretches.rates(stretches.of(row.start_ms))
            known = [rate.factor.kg_per_unit for rate in rates if rate.factor is not None]
            whole = EXACT.multiply(row.energy_kwh, sum(known, Decimal(0)))
            found[maker][row.start_ms] = whole if len(known) == len(rates) else rates[0].why
    return found


@dataclass(frozen=True, slots=True)
class _Told:
    """One interval: which meters have a figure, and the kg of each own part, or why there are none."""

    has: Callable[[str], bool]
    parts: Mapping[str, Decimal | None]
    why: str

    def measured(self, devices: Sequence[str]) -> bool:
        return all(self.has(device) for device in devices)

    def kg(self, devices: Sequence[str]) -> Decimal | str:
        if self.why:
            return self.why
        found = [self.parts.get(f"part:{device}", Decimal(0)) for device in devices]
        known = [kg for kg in found if kg is not None]
        return sum(known, Decimal(0)) if len(known) == len(found) else "no figure for the energy that it is made of"


def _shared(period: Period) -> Iterator[tuple[int, _Told]]:
    for one in intervals_shared(period):
        yield one.start_ms, _Told(_having(one.metered, one.start_ms), one.kg or {}, "" if one.kg else one.found.reason)


def _solved(period: Period, walk: Walk) -> Iterator[tuple[int, _Told]]:
    with walk(period) as run:
        for day, _ in run.days():
            weights = consumers(run.period, run.site, day.from_ms, day.to_ms)
            metered = Metered(
                period.facility, "electricity", period.reading(day.from_ms, day.to_ms), day.from_ms, day.to_ms
            )
            for each in day.intervals:
                if each.measured:
                    loads = parted(each.solved.loads, weights(each.start_ms))
                    parts = {source: parcel.known_kg for source, parcel in loads.items()}
                    yield each.start_ms, _Told(_having(metered, each.start_ms), parts, "")


def _having(metered: Metered, at_ms: int) -> Callable[[str], bool]:
    return lambda device: at_ms in metered.slots[device]


def _carrier(period: Period, device: str) -> str:
    meter = period.facility.meter(device)
    return "" if meter is None else meter.carrier
