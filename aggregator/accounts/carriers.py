"""Lines of what meters count besides electricity: gas burnt, heat, steam and cooling bought, water supplied. Not what a facility makes itself (see `made`).

gas                      scope 1    m3 or Nm3 x (net calorific value x carbon content x oxidation x 44/12, and CH4, N2O), as recorded fuel is
heat, steam              scope 2    GJ x the supplier's factor (a value of the facility's own), else the registry's default
cooling                  scope 2    kWh x the supplier's factor, else electricity / the performance ratio of the supplier's plant
flue gas                 scope 1    kg of CO2 as they were measured in a stack (see `in_place`)
water                    scope 3    m3 x the supply's factor where there is one; nothing where there is none
Only main meters count. Which parameter holds is asked for each stretch in which none changes.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from aggregator.accounts.activities.activity import Activity, exact_or_rounded
from aggregator.accounts.activities.rates import PER_UNIT, Ask, Rate, rates
from aggregator.accounts.line import Applied, Counts, Line
from aggregator.accounts.period import Period
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.entry import published_text
from aggregator.emissions.factors import AVERAGE
from aggregator.intervals.boundaries import Grade
from aggregator.intervals.carrier_use import FLUE_GAS, Stack
from aggregator.intervals.local_time import local_day, local_year, year_span_ms
from aggregator.intervals.meter import MeterSpec
from aggregator.ledger import IntervalRow

GJ_PER_KWH: Final = Decimal("0.0036")
NORMAL: Final = "gas_volume_normal_m3"
COUNTED: Final = {
    "gas": "gas_volume_m3", "water": "water_volume_m3", "heat": "heat_energy_kwh", "steam": "heat_energy_kwh", "cooling": "cooling_energy_kwh",
    FLUE_GAS: "flue_gas_co2_kg",
}  # fmt: skip
_UNITS: Final = {"gas": "m3", "water": "m3", FLUE_GAS: "kg"}  # kWh otherwise
_BURNT: Final = ("gas", FLUE_GAS)
_IDS: Final = ("fuel.", "heat.", "cooling.", "upstream.water", "gwp.")
NOT_YET: Final = "before_valid_from"  # the mark of what a stack shows before it counts
COOLING: Final = "cooling.purchased"  # of a supplier, in t/GJ; a value of the facility's own


class _Group(NamedTuple):
    day: date
    stretch: int
    grade: Grade


@dataclass(slots=True)
class _Sum:
    start_ms: int
    end_ms: int
    amount: Decimal = Decimal(0)
    intervals: int = 0
    provisional: int = 0
    time_ms: int = 0


def carrier_lines(period: Period) -> Iterator[Line]:
    """Of every main meter that does not count electricity; nothing where the profile is marginal."""
    for meter in carrier_mains(period):
        yield from lines_of_meter(period, meter, Counts.SCOPE_1 if meter.carrier in _BURNT else Counts.SCOPE_2)


def carrier_mains(period: Period) -> tuple[MeterSpec, ...]:
    """The main meters that carrier_lines counts: those of water only where its supply has a factor."""
    if period.profile.signal != AVERAGE:
        return ()
    water = any(entry.id == "upstream.water" for entry in period.entries)
    return tuple(
        meter
        for meter in period.facility.main_meters()
        if meter.carrier in COUNTED and (meter.carrier != "water" or water)
    )


def lines_of_meter(period: Period, meter: MeterSpec, counts: Counts) -> Iterator[Line]:
    """A line for each local day, grade and gas; where a stretch has no rate, one without a figure."""
    rows, unit = rows_of_meter(period, meter)
    stretches = Stretches(period, meter, unit)
    sums: dict[_Group, _Sum] = {}
    for row in rows:
        group = _Group(local_day(row.start_ms, period.facility.zone), stretches.of(row.start_ms), row.grade)
        summed = sums.setdefault(group, _Sum(row.start_ms, row.end_ms))
        summed.end_ms = max(summed.end_ms, row.end_ms)
        summed.amount = EXACT.add(summed.amount, row.energy_kwh)
        summed.intervals += 1
        summed.provisional += not row.final
        summed.time_ms += min(row.end_ms, period.to_ms) - row.start_ms
    for group, summed in sums.items():
        amount, shown = (summed.amount, unit)
        if meter.carrier in ("heat", "steam"):
            amount, shown = EXACT.multiply(amount, GJ_PER_KWH), "GJ"
        for n, rate in enumerate(stretches.rates(group.stretch)):
            where = (
                Counts.SCOPE_3
                if meter.carrier == "water"
                else rate.counts
                if rate.counts in (Counts.BIOGENIC, Counts.ALLOCATED)
                else counts
            )
            yield Line(
                source=f"meter:{meter.device}", counts=where, activity="stationary" if meter.carrier in _BURNT else "indirect",
                carrier=meter.use.fuel or meter.carrier, start_ms=summed.start_ms, end_ms=summed.end_ms, quantity=amount, unit=shown,
                factor=rate.factor, kg=None if rate.factor is None else EXACT.multiply(amount, rate.factor.kg_per_unit), gas=rate.gas,
                quality=group.grade.quality.name.lower(), reason=group.grade.reason, intervals=0 if n else summed.intervals,
                provisional=0 if n else summed.provisional, marks=rate.marks, why=rate.why, figures=rate.figures,
                covered=None if n else period.covered(summed.intervals, summed.time_ms),
            )  # fmt: skip


def rows_of_meter(period: Period, meter: MeterSpec) -> tuple[Sequence[IntervalRow], str]:
    """The intervals of what the meter counts, with their unit: normal cubic metres where it reckons them itself."""
    if meter.carrier == "gas" and (rows := period.intervals(meter.device, NORMAL)):
        return rows, "Nm3"
    return period.intervals(meter.device, COUNTED[meter.carrier]), _UNITS.get(meter.carrier, "kWh")


class Stretches:
    """The rates of a meter's carrier over a period: they are asked for once in each stretch in which no parameter changes."""

    def __init__(self, period: Period, meter: MeterSpec, unit: str) -> None:
        zone = period.facility.zone
        edges = {period.from_ms}
        for entry in period.entries:
            if entry.id.startswith(_IDS) and entry.facility in ("", period.facility.id):
                edges.update(edge for edge in (entry.valid_from_ms, entry.valid_to_ms) if edge is not None)
        at_ms = period.from_ms
        while at_ms < period.to_ms:
            at_ms = year_span_ms(local_year(at_ms, zone), zone)[1]
            edges.add(at_ms)
        if meter.carrier == "cooling" and meter.use.performance_ratio is not None:
            at_ms = period.from_ms
            while at_ms < period.to_ms:
                at_ms = period.resolve(at_ms).to_ms
                edges.add(at_ms)
        edges.update(_stack_edges(period, meter))
        self._edges = sorted(edge for edge in edges if period.from_ms <= edge < period.to_ms)
        self._rates_of = _asking(period, meter, unit)
        self._found: dict[int, list[Rate]] = {}

    def of(self, at_ms: int) -> int:
        """When the stretch began that an instant lies in."""
        return self._edges[max(bisect_right(self._edges, at_ms) - 1, 0)]

    def rates(self, stretch_ms: int) -> list[Rate]:
        """The rates of every gas in the stretch; at least one, which may have no figure."""
        if stretch_ms not in self._found:
            self._found[stretch_ms] = self._rates_of(stretch_ms)
        return self._found[stretch_ms]


def _asking(period: Period, meter: MeterSpec, unit: str) -> Callable[[int], list[Rate]]:
    def ask(at_ms: int) -> Ask:
        return Ask(period.entries, period.facility.id, period.facility.place, at_ms)

    if meter.carrier == "cooling":
        return lambda at_ms: [_cooling(period, meter, ask(at_ms), at_ms)]
    if meter.use.stack is not None:
        stack = meter.use.stack
        measured = list(_measured(meter.device, stack))
        before = [Rate(Counts.ALLOCATED, "CO2", rate.factor, rate.figures, (NOT_YET,)) for rate in measured]
        return lambda at_ms: before if stack.from_ms is not None and at_ms < stack.from_ms else measured
    missing = _missing(meter, unit)
    if missing:
        return lambda _: [Rate(Counts.SCOPE_1, "CO2", None, why=missing)]
    kind, subject, counted = {
        "gas": ("fuel", meter.use.fuel, unit),
        "water": ("bought", "water", "m3"),
    }.get(meter.carrier, ("heat", "heat", "GJ"))
    parameters: tuple[tuple[str, str], ...] = ()
    if unit == "m3" and kind == "fuel":
        parameters = (("measured_at_degc", f"{meter.use.measured_at_degc:f}"),)
    day = local_day(period.from_ms, period.facility.zone)
    record = Activity(
        period.facility.id,
        meter.device,
        kind,
        subject,
        "stationary",
        day,
        day,
        counted,
        "",
        Decimal(1),
        parameters=parameters,
    )
    return lambda at_ms: rates(record, counted, ask(at_ms), period.profile)


def _stack_edges(period: Period, meter: MeterSpec) -> Iterator[int]:
    """From when a stack counts: its own readings, and those of a meter behind it no more."""
    for other in period.facility.main_meters():
        stack, behind = other.use.stack, f"meter:{meter.device}"
        if stack is not None and stack.from_ms is not None and (other == meter or behind in stack.in_place_of):
            yield stack.from_ms


def _measured(device: str, stack: Stack) -> Iterator[Rate]:
    """A kg of CO2 is a kg of CO2; what of it is biogenic is shown apart. Its uncertainty is the meter's."""
    source = f"measured all the time in {device}: {stack.evidence}"
    for counts, ratio in ((Counts.SCOPE_1, 1 - stack.biogenic_ratio), (Counts.BIOGENIC, stack.biogenic_ratio)):
        if ratio:
            applied = Applied("co2.measured", 1, ratio, tier="measured", source=source, u95_percent=Decimal(0))
            yield Rate(counts, "CO2", applied, (("biogenic_ratio", stack.biogenic_ratio),))


def _missing(meter: MeterSpec, unit: str) -> str:
    """What the settings do not say, without which a volume has no mass, and a measured mass nobody who believes it."""
    if meter.carrier == FLUE_GAS:
        return f"the settings do not say what the measurement at {meter.device} is believed by (stack.evidence)"
    if meter.carrier == "gas" and not meter.use.fuel:
        return f"the settings do not say which fuel meter {meter.device} counts (fuel)"
    if meter.carrier == "gas" and unit == "m3" and meter.use.measured_at_degc is None:
        return (
            f"the settings do not say at which temperature the m3 of meter {meter.device} are true (measured_at_degc)"
        )
    return ""


def _cooling(period: Period, meter: MeterSpec, ask: Ask, at_ms: int) -> Rate:
    """kg per kWh of cooling: of the supplier, else of the electricity of its plant."""
    supplied = ask(COOLING, "CO2")
    if supplied.entry is not None:
        entry = supplied.entry
        source = f"{entry.key} version {entry.version}, {published_text(entry.source)}, {entry.table_ref}"
        per_kwh = EXACT.multiply(entry.value, Decimal("3.6"))  # t/GJ are 3.6 kg/kWh
        applied = Applied(entry.id, entry.version, per_kwh, entry.region, tier=supplied.tier, source=source)
        return Rate(Counts.SCOPE_2, "CO2", applied, (("factor_t_per_gj", entry.value),))
    ratio, found = meter.use.performance_ratio, period.resolve(at_ms)
    if ratio is None:
        why = f"no {COOLING}: {supplied.reason}; nor do the settings give meter {meter.device} a performance_ratio"
        return Rate(Counts.SCOPE_2, "CO2", None, why=why)
    if found.kg_per_kwh is None:
        return Rate(Counts.SCOPE_2, "CO2", None, marks=found.marks, why=found.reason)
    per_kwh = exact_or_rounded(Fraction(found.kg_per_kwh) / Fraction(ratio), PER_UNIT)
    applied = Applied(
        found.factor_id,
        found.version,
        per_kwh,
        found.region,
        found.data_year,
        found.tier,
        f"{found.source}; by a performance ratio of {ratio:f}",
    )
    return Rate(
        Counts.SCOPE_2,
        "CO2",
        applied,
        (("performance_ratio", ratio), ("electricity_kg_per_kwh", found.kg_per_kwh)),
        found.marks,
    )
