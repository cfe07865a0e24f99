"""Lines of PV, storage, charging and export: what the metered scope 2 is allocated to, and what left the site. Not how it is solved (see `site_days`).

Scope 2 stays grid meter x factor. For each local day and every average profile of the location method
    sum of scope 2 = sum of what is allocated here + sum of what is exported        (kg, exactly)
where a pool counts with its change and what it lost. Avoided kg are marginal and stand apart.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.accounts.line import Applied, Counts, Line
from aggregator.accounts.metered import applied
from aggregator.accounts.pools.load_parts import REST, consumers, parted
from aggregator.accounts.pools.parcel import NOTHING, ZERO, Parcel
from aggregator.accounts.pools.site_days import Day, Interval, Site, total
from aggregator.accounts.pools.site_mix import PV
from aggregator.accounts.pools.walk import PoolRun
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.entry import published_text
from aggregator.emissions.factors import AVERAGE
from aggregator.emissions.parameter import Asked, resolve_parameter
from aggregator.emissions.resolution import Resolution
from aggregator.intervals.boundaries import GOOD

ASSUMED_MARK: Final = "efficiency_not_stated"
UNMEASURED: Final = "something that counts here was not measured in these intervals"
NO_FACTOR: Final = "no figure for the energy that it is made of"
NO_MARGINAL: Final = "no marginal factor"
PV_LIFE_CYCLE: Final = "pv.life_cycle"
STORAGE_WEAR: Final = "storage.wear"
SOLD_MARK: Final = "pv_certificates_sold"


def pool_lines(run: PoolRun) -> Iterator[Line]:
    """The lines of a period. A marginal profile has only what is avoided: its kg belong to no inventory."""
    for day, caused in run.days():
        if run.period.profile.signal == AVERAGE:
            yield from _allocated(run, day)
            yield from _exported(run, day)
        yield from _avoided(run, day, caused)


@dataclass(frozen=True, slots=True)
class _Form:
    """What all lines of a day share."""

    day: Day
    marks: tuple[str, ...] = ()

    def line(
        self,
        source: str,
        counts: Counts,
        parcel: Parcel,
        intervals: int,
        figures: Mapping[str, Decimal] | None = None,
        marks: tuple[str, ...] = (),
        why: str = "",
    ) -> Line:
        kg = parcel.known_kg
        grade = GOOD
        for each in self.day.intervals:
            grade = grade.worse(each.grade)
        more = {"uncovered_kwh": parcel.uncovered_kwh} if parcel.uncovered_kwh else {}
        return Line(
            source=source, counts=counts, activity="indirect", carrier="electricity", start_ms=self.day.from_ms, end_ms=self.day.to_ms,
            quantity=parcel.kwh, unit="kWh", factor=None, kg=kg, quality=grade.quality.name.lower(), reason=grade.reason,
            intervals=intervals, provisional=sum(not each.final for each in self.day.intervals), marks=(*self.marks, *marks),
            why=(why or NO_FACTOR) if kg is None else why, figures=tuple(sorted({**(figures or {}), **more}.items())),
        )  # fmt: skip


def _allocated(run: PoolRun, day: Day) -> Iterator[Line]:
    site, form, count = run.site, _Form(day, _marks(run, day)), len(day.intervals)
    pv = total(each.solved.pv for each in day.intervals)
    if site.pv:
        own = pv - total(each.solved.exported[PV] for each in day.intervals)
        yield form.line("pv:own use", Counts.ALLOCATED, own, count, {"generated_kwh": pv.kwh})
        yield from _life_cycle(run, day, "pv:own use", PV_LIFE_CYCLE, own.kwh)
        if run.sold is not None and own.kwh:
            yield from _by_factor(day, run.sold, lambda each: each.solved.pv_own_kwh, "pv:own use", SOLD_MARK)
    for name in site.storage:
        if name in day.pools:
            yield _pool_line(form, site, day, name)
        given = total(each.solved.delivered[name] for each in day.intervals)
        yield from _life_cycle(run, day, f"pool:{name}", STORAGE_WEAR, given.kwh)
    for name in site.vehicles:
        charged = total(each.solved.charged[name] for each in day.intervals)
        back = total(each.solved.delivered[name] for each in day.intervals)
        net = Parcel(charged.kwh, EXACT.subtract(charged.kg, back.kg), charged.uncovered_kwh)
        figures = {"given_back_kwh": back.kwh, "given_back_kg": back.kg} if back.kwh else {}
        yield from _life_cycle(run, day, f"ev:{name}", STORAGE_WEAR, back.kwh)
        yield form.line(f"ev:{name}", Counts.ALLOCATED, net, count, figures)
    solved = [each for each in day.intervals if each.measured]
    yield from _loads(run, form, solved)
    if len(solved) < count:
        apart = total(each.solved.loads for each in day.intervals if not each.measured)
        yield form.line("loads:unsolved", Counts.ALLOCATED, apart, count - len(solved), why=UNMEASURED)


def _marks(run: PoolRun, day: Day) -> tuple[str, ...]:
    """Of the factors of the day, and of the method."""
    found = dict.fromkeys(mark for each in day.intervals for mark in run.average(each.start_ms).marks)
    return (*found, *run.marks)


def _loads(run: PoolRun, form: _Form, solved: list[Interval]) -> Iterator[Line]:
    """Everything else: what each meter inside took itself, and the rest."""
    weights = consumers(run.period, run.site, form.day.from_ms, form.day.to_ms)
    sums: dict[str, tuple[Parcel, int]] = {REST: (NOTHING, 0)}
    for each in solved:
        for source, parcel in parted(each.solved.loads, weights(each.start_ms)).items():
            summed, count = sums.get(source, (NOTHING, 0))
            sums[source] = summed + parcel, count + 1
    reached = total(each.solved.reached for each in solved)
    figures = {"reached_kwh": reached.kwh, "reached_kg": reached.kg, "reached_uncovered_kwh": reached.uncovered_kwh}
    for source, (summed, count) in sums.items():
        yield form.line(source, Counts.ALLOCATED, summed, count, figures if source == REST else None)


def _pool_line(form: _Form, site: Site, day: Day, name: str) -> Line:
    """The change of a pool: its kWh are DC, its kg those that it keeps and those that it has lost."""
    pool, opening = day.pools[name], day.opening.get(name, NOTHING)
    turnover, content = pool.turnover, pool.content
    change = EXACT.subtract(EXACT.add(content.kg, turnover.lost_kg), opening.kg)
    figures = {
        "opening_kwh": opening.kwh, "opening_kg": opening.kg, "closing_kwh": content.kwh, "closing_kg": content.kg,
        "closing_uncovered_kwh": content.uncovered_kwh, "charged_kwh": turnover.charged.kwh, "charged_kg": turnover.charged.kg,
        "delivered_kwh": turnover.delivered.kwh, "delivered_kg": turnover.delivered.kg,
        "charged_uncovered_kwh": turnover.charged.uncovered_kwh, "delivered_uncovered_kwh": turnover.delivered.uncovered_kwh, "storage_loss_kg": turnover.lost_kg,
        "standing_loss_kwh": turnover.stood_kwh, "anchored_kwh": turnover.anchored_kwh, "missing_kwh": turnover.missing_kwh,
    }  # fmt: skip
    marks = (ASSUMED_MARK,) if name in site.assumed else ()
    kept = Parcel(EXACT.subtract(content.kwh, opening.kwh), change)
    return form.line(
        f"pool:{name}",
        Counts.ALLOCATED,
        kept,
        len(day.intervals),
        {key: value for key, value in figures.items() if value},
        marks,
    )


def _exported(run: PoolRun, day: Day) -> Iterator[Line]:
    """What left the site, by what gave it. It is not netted here; a regime whose notice deducts exports has a line of its own."""
    form, count = _Form(day, _marks(run, day)), len(day.intervals)
    away: defaultdict[str, Parcel] = defaultdict(lambda: NOTHING)
    for each in day.intervals:
        for name, parcel in each.solved.exported.items():
            away[name] += parcel
    for name, parcel in sorted(away.items()):
        if parcel.kwh:
            yield form.line(f"export:{name}", Counts.EXPORTED, parcel, count)


def _life_cycle(run: PoolRun, day: Day, source: str, factor_id: str, kwh: Decimal) -> Iterator[Line]:
    """What making a plant has caused, per kWh that is used of it, where a factor is on record: apart from every scope's sum."""
    period, facility = run.period, run.period.facility
    asked = Asked(factor_id, day.from_ms, period.as_of_ms, facility.place, facility.id, boundary="life-cycle")
    found = resolve_parameter(period.entries, asked)
    entry = found.entry
    if entry is None or not kwh:
        return
    factor = Applied(
        entry.id, entry.version, entry.value, entry.region, tier=found.tier, source=published_text(entry.source)
    )
    yield Line(
        source=source, counts=Counts.LIFE_CYCLE, activity="indirect", carrier="electricity", start_ms=day.from_ms, end_ms=day.to_ms,
        quantity=kwh, unit="kWh", factor=factor, kg=EXACT.multiply(kwh, entry.value),
    )  # fmt: skip


def _by_factor(
    day: Day,
    resolve: Callable[[int], Resolution],
    kwh_of: Callable[[Interval], Decimal],
    source: str,
    mark: str,
) -> Iterator[Line]:
    """PV energy times factor in scope 2, a line for each factor."""
    sums: dict[Applied | None, tuple[Decimal, Resolution]] = {}
    for each in day.intervals:
        found = resolve(each.start_ms)
        kwh, _ = sums.get(applied(found), (ZERO, found))
        sums[applied(found)] = EXACT.add(kwh, kwh_of(each)), found
    for factor, (kwh, found) in sums.items():
        if kwh:
            kg = None if factor is None else EXACT.multiply(kwh, factor.kg_per_unit)
            yield Line(
                source=source, counts=Counts.SCOPE_2, activity="indirect", carrier="electricity", start_ms=day.from_ms, end_ms=day.to_ms,
                quantity=kwh, unit="kWh", factor=factor, kg=kg, marks=(*found.marks, mark), why=found.reason,
            )  # fmt: skip


def _avoided(run: PoolRun, day: Day, caused: Day) -> Iterator[Line]:
    """Marginal: exported PV x marginal; what storage and vehicles gave x marginal, less what its charge caused. Null where a series is missing."""
    form = _Form(day)
    pv = total(run.marginal(each.start_ms, each.end_ms, each.solved.exported[PV].kwh) for each in day.intervals)
    if pv.kwh:
        yield form.line("avoided:pv", Counts.AVOIDED, pv, len(day.intervals), why=_why(pv))
    for name in (*run.site.storage, *run.site.vehicles):
        if name in run.site.cells and any(each.solved.delivered[name].kwh for each in caused.intervals):
            yield _avoided_by(run, form, name, caused.intervals)


def _avoided_by(run: PoolRun, form: _Form, name: str, intervals: Iterable[Interval]) -> Line:
    displaced_kg = cost_kg = given_kwh = covered_kwh = ZERO
    count = 0
    for each in intervals:
        count += 1
        given = each.solved.delivered[name]
        given_kwh = EXACT.add(given_kwh, given.kwh)
        at_discharge = run.marginal(each.start_ms, each.end_ms, given.covered_kwh)
        if not at_discharge.uncovered_kwh:
            covered_kwh = EXACT.add(covered_kwh, given.covered_kwh)
            displaced_kg = EXACT.add(displaced_kg, at_discharge.kg)
            cost_kg = EXACT.add(cost_kg, given.kg)
    net = Parcel(given_kwh, EXACT.subtract(displaced_kg, cost_kg), EXACT.subtract(given_kwh, covered_kwh))
    known = Parcel(net.kwh, net.kg if covered_kwh else ZERO, net.uncovered_kwh)
    figures = {"displaced_kg": displaced_kg, "caused_kg": cost_kg} if covered_kwh else {}
    return form.line(f"avoided:{name}", Counts.AVOIDED, known, count, figures, why=_why(known))


def _why(parcel: Parcel) -> str:
    return NO_MARGINAL if parcel.known_kg is None else ""
