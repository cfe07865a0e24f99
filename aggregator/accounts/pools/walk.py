"""Walks a site from its first reading, or from a kept state, through a period. Not what an interval comes to (see `site_mix`), and not the lines."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Final

from aggregator.accounts.period import Period
from aggregator.accounts.pools.book import Opening
from aggregator.accounts.pools.parcel import Parcel, of_factor
from aggregator.accounts.pools.site_days import Anchor, Day, PlugIn, Rows, Site, SiteDays, Slots
from aggregator.accounts.tree.slots import Slot, slots_of
from aggregator.emissions.booking import Energy, parts
from aggregator.emissions.resolution import Resolution
from aggregator.intervals.local_time import day_span_ms, local_day
from aggregator.ledger import IntervalRow

Resolve = Callable[[int], Resolution]
_CHUNK_DAYS: Final = 31


@dataclass(frozen=True, slots=True)
class PoolRun:
    """One period's walk. `rows` gives interval energies of any span as they stood at the period's knowledge time; `first_ms` the first of them
    (None: there is none). `average` and `marginal_at` resolve the grid's factor for the pools; `sold` that of PV whose certificates are sold.
    """

    period: Period
    site: Site
    rows: Rows
    first_ms: int | None
    average: Resolve
    marginal_at: Resolve
    sold: Resolve | None = None
    anchors: Sequence[Anchor] = ()
    plug_ins: Sequence[PlugIn] = ()
    marks: tuple[str, ...] = ()
    opening: Opening | None = None
    closed: list[Opening] = field(default_factory=list)  # the states at the end of each local day that was walked

    def marginal(self, start_ms: int, end_ms: int, kwh: Decimal) -> Parcel:
        """Energy with what it causes."""
        return parcel_of(self.marginal_at, start_ms, end_ms, kwh)

    def days(self) -> Iterator[tuple[Day, Day]]:
        """Each local day of the period twice: under the profile's factors, and under marginal ones."""
        if self.first_ms is None or self.first_ms >= self.period.to_ms:
            return
        average = self._site_days(self.average, self.sold)
        marginal = self._site_days(self.marginal_at, None)
        marginal.marginal = True
        begin_ms = day_span_ms(local_day(self.first_ms, self.period.facility.zone), self.period.facility.zone)[0]
        if self.opening is not None:
            begin_ms, average.state, marginal.state = self.opening.at_ms, self.opening.average, self.opening.marginal
        for from_ms, to_ms, slots in self._slots(begin_ms):
            for start_ms, end_ms in _cut(from_ms, to_ms, self.period.from_ms, self.period.to_ms):
                day, caused = average.day(start_ms, end_ms, slots), marginal.day(start_ms, end_ms, slots)
                if start_ms >= self.period.from_ms and day.intervals:
                    yield day, caused
            if to_ms <= self.period.to_ms:
                self.closed.append(Opening(to_ms, average.state, marginal.state))

    def _site_days(self, grid: Resolve, pv: Resolve | None) -> SiteDays:
        days = SiteDays(
            self.site,
            lambda start_ms, end_ms, kwh: parcel_of(grid, start_ms, end_ms, kwh),
            anchors=self.anchors,
            plug_ins=self.plug_ins,
        )
        if pv is not None:
            days.pv = lambda start_ms, end_ms, kwh: parcel_of(pv, start_ms, end_ms, kwh)
        return days

    def _slots(self, at_ms: int) -> Iterator[tuple[int, int, Slots]]:
        """The local days from one's begin to the period's end, with the energies on the facility's grid of intervals."""
        zone = self.period.facility.zone
        while at_ms < self.period.to_ms:
            days: list[tuple[int, int]] = []
            start_ms = at_ms
            while at_ms < self.period.to_ms and len(days) < _CHUNK_DAYS:
                days.append(day_span_ms(local_day(at_ms, zone), zone))
                at_ms = days[-1][1]
            read = {counter: self.rows(*counter, start_ms, at_ms) for counter in self.site.counters}
            for from_ms, to_ms in days:
                yield (
                    from_ms,
                    to_ms,
                    {
                        (device, quantity): _of_day(rows, device, quantity, self.site.interval_ms, from_ms, to_ms)
                        for (device, quantity), rows in read.items()
                    },
                )


def _of_day(
    rows: Sequence[IntervalRow], device: str, quantity: str, interval_ms: int, from_ms: int, to_ms: int
) -> dict[int, Slot]:
    first, last = (bisect_left(rows, at_ms, key=lambda row: row.start_ms) for at_ms in (from_ms, to_ms))
    mine = rows[first:last]
    return slots_of(lambda _device, _quantity: mine, device, (quantity, ""), interval_ms, from_ms, to_ms)


def parcel_of(resolve: Resolve, start_ms: int, end_ms: int, kwh: Decimal) -> Parcel:
    """An interval's energy under the factors that held in it."""
    found = resolve(start_ms)
    if found.to_ms >= end_ms:
        return of_factor(kwh, found.kg_per_kwh)
    parcel = Parcel()
    for _, _, part, resolution in parts(Energy("", start_ms, end_ms, kwh, final=True), resolve):
        parcel += of_factor(part, resolution.kg_per_kwh)
    return parcel


def _cut(from_ms: int, to_ms: int, *edges_ms: int) -> Iterator[tuple[int, int]]:
    """A day, parted at a period's edges within it; nothing after the last edge."""
    inside = sorted({from_ms, min(to_ms, edges_ms[-1]), *(edge for edge in edges_ms if from_ms < edge < to_ms)})
    yield from pairwise(inside)
