"""The maker of what scope 2 is allocated to at a site with PV, storage or charging: which factors its pools take, and where the walk begins. Not the walk.

The states at the ends of local days are kept, each with a fingerprint of the site and the factors that it was made with. One opens a later statement
only where that is the same and no reading, hour, stated content or plug-in before it was changed since; else the walk begins further back. The
digits are the same.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aggregator.accounts.line import Line
from aggregator.accounts.notices import Notice
from aggregator.accounts.period import Intervals, Period
from aggregator.accounts.pools.book import Opening, PoolBook
from aggregator.accounts.pools.lines import pool_lines
from aggregator.accounts.pools.site_days import EXPORT, IMPORT, PlugIn, Site, site_of
from aggregator.accounts.pools.walk import PoolRun, Resolve
from aggregator.accounts.record_file import RecordsBusy
from aggregator.emissions.factors import AVERAGE
from aggregator.emissions.profiles import Profile, profile
from aggregator.emissions.resolution import MARGINAL, Resolution
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.ledger import IntervalRow, Ledger

NOT_TRACED_MARK: Final = "certificates_not_traced"
RESIDUAL: Final = "residual"
_CODE: Final = 4  # of the rules that make states; another number lets none of an older one open anything


@dataclass(frozen=True, slots=True)
class PoolSources:
    """What pools are made from. `resolver` gives the facility's factor under any profile, as known at the period's knowledge time; `hours_changed_ms(zone,
    before_ms)` when an hour of its series was put on record last; `factors_ms` when factors were known, `notices` those in force, by year. `path`: the
    accounts file; it is made where it is needed. `intervals`: those of the ledger, to know a period that has others by.
    """

    ledger: Ledger
    resolver: Callable[[Profile], Resolve]
    hours_changed_ms: Callable[[str, int], int]
    path: Path
    clock: Callable[[], int]
    notices: Mapping[int, Notice]
    factors_ms: int
    intervals: Intervals


@dataclass(frozen=True, slots=True)
class PoolMaker:
    """Makes the lines of PV, storage, charging and export; of other facilities none. Raises RecordsUnusable, RecordsBusy."""

    sources: PoolSources

    def __call__(self, period: Period) -> Iterator[Line]:
        if site_of(period.facility) is None:
            return
        with self.run(period) as run:
            yield from pool_lines(run)

    @contextmanager
    def run(self, period: Period, plug_ins: Iterable[PlugIn] = ()) -> Iterator[PoolRun]:
        """The walk of a period; what it has closed is kept afterwards. `plug_ins` go before those on record, and nothing of that is kept."""
        site = site_of(period.facility) or Site((), (), (), (), {}, period.facility.interval_ms)
        with PoolBook(self.sources.path) as book:
            run = pool_run(period, site, self.sources, book)
            more = {(one.device, one.id): one for one in plug_ins if one.device in site.cells}
            if more:
                known = [one for one in run.plug_ins if (one.device, one.id) not in more]
                run = replace(run, plug_ins=[*known, *(_with_arrival(one, run.plug_ins) for one in more.values())])
            yield run
            if not more and period.intervals is self.sources.intervals and self.sources.factors_ms == period.as_of_ms:
                keep(run, self.sources, book)


def _with_arrival(plug_in: PlugIn, known: Sequence[PlugIn]) -> PlugIn:
    """What is on record of the vehicle's arrival stays."""
    on_record = [one.arrival_kwh for one in known if (one.device, one.id) == (plug_in.device, plug_in.id)]
    return plug_in._replace(arrival_kwh=on_record[-1]) if on_record else plug_in


def pool_run(period: Period, site: Site, sources: PoolSources, book: PoolBook) -> PoolRun:
    """The walk of a period, from the last kept state that still holds."""
    facility = period.facility

    def rows(device: str, quantity: str, from_ms: int, to_ms: int) -> Sequence[IntervalRow]:
        """Those of the period from the period, so that whoever gives it knows what was read; the others from the ledger."""
        first_ms, last_ms = max(from_ms, period.from_ms), min(to_ms, period.to_ms)
        if first_ms >= last_ms:
            return sources.ledger.intervals(facility.id, device, quantity, from_ms, to_ms, period.as_of_ms)
        inside = period.reading(first_ms, last_ms)(device, quantity)
        around = (
            sources.ledger.intervals(facility.id, device, quantity, *span, period.as_of_ms) if span[0] < span[1] else []
            for span in ((from_ms, first_ms), (last_ms, to_ms))
        )
        return [*next(around), *inside, *next(around)]

    firsts = [sources.ledger.first_interval_ms(facility.id, quantity) for quantity in (IMPORT, EXPORT)]
    market = period.profile.method == "market"
    average = _market(period.profile, sources.resolver) if market else period.resolve
    return PoolRun(
        period,
        site,
        rows,
        min((at_ms for at_ms in firsts if at_ms is not None), default=None),
        average,
        period.resolve if period.profile.signal == MARGINAL else sources.resolver(profile("MARGINAL")),
        average if market and facility.pv_certificates_sold else None,
        book.anchors(facility.id, period.as_of_ms),
        book.plug_ins(facility.id, period.as_of_ms),
        marks=(NOT_TRACED_MARK,) if market else (),
        opening=_opening(period, site, sources, book),
    )


def keep(run: PoolRun, sources: PoolSources, book: PoolBook) -> None:
    """Keeps the states of the days that have ended; where the file is held by others, a later statement will."""
    period = run.period
    known_ms = min(period.as_of_ms, sources.clock())
    ended = [opening for opening in run.closed if opening.at_ms <= known_ms]
    try:
        book.keep(period.facility.id, period.profile.name, fingerprint(period, run.site, sources), known_ms, ended)
    except RecordsBusy:
        return


def _opening(period: Period, site: Site, sources: PoolSources, book: PoolBook) -> Opening | None:
    facility = period.facility
    if sources.factors_ms != period.as_of_ms:  # readings and factors of different times: nobody has kept those
        return None

    def changed_ms(at_ms: int) -> int:
        hours_ms = sources.hours_changed_ms(facility.grid_zone, at_ms) if facility.grid_zone else 0
        return max(
            sources.ledger.intervals_changed_ms(facility.id, 0, at_ms), book.changed_ms(facility.id, at_ms), hours_ms
        )

    first_ms = day_span_ms(local_day(period.from_ms, facility.zone), facility.zone)[0]
    return book.opening(
        facility.id, period.profile.name, fingerprint(period, site, sources), first_ms, period.as_of_ms, changed_ms
    )


def fingerprint(period: Period, site: Site, sources: PoolSources) -> str:
    """Of all that makes a state but the records of time: rules, profile, site, place and factors."""
    facility = period.facility
    factors = sorted(
        (str(entry.key), entry.version, entry.status, *entry.content)
        for entry in period.entries
        if entry.kind == "electricity"
    )
    own = [one for one in facility.overrides if one.known_from_ms is None or one.known_from_ms <= sources.factors_ms]
    said = (_CODE, period.profile, site.counters, sorted(site.cells.items()), site.interval_ms, replace(facility.factor_place(), overrides=tuple(own)),
            facility.pv_certificates_sold, factors, sorted(sources.notices.items()))  # fmt: skip
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _market(rules: Profile, resolver: Callable[[Profile], Resolve]) -> Resolve:
    """The residual mix, else the grid average: what a kWh is that no certificate stands for."""
    residual = resolver(Profile(rules.name, rules.method, RESIDUAL, rules.levels, rules.years))
    average = resolver(Profile(rules.name, rules.method, AVERAGE, rules.levels, rules.years))

    def resolved(at_ms: int) -> Resolution:
        found = residual(at_ms)
        return found if found.kg_per_kwh is not None else average(at_ms)

    return resolved
