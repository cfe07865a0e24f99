"""A site with PV, storage and charging, day by day: every interval solved, every pool carried on. Not the lines that are made of it (see `pool_lines`).

A day is whole: what a day needs to know of the days before it is its `State`, so that going on from a kept state and starting at the first
reading come to the same digits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from aggregator.accounts.pools.parcel import NOTHING, ZERO, Parcel, of_factor, uncovered
from aggregator.accounts.pools.pool import Cell, Pool
from aggregator.accounts.pools.site_mix import Flows, InOut, Solved, caused, solve, unsolved
from aggregator.accounts.tree.slots import Slot
from aggregator.facility import Facility
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.ledger import IntervalRow

IMPORT: Final = "energy_import_kwh"
EXPORT: Final = "energy_export_kwh"

Counter = tuple[str, str]  # device, quantity
Slots = Mapping[Counter, Mapping[int, Slot]]
Rows = Callable[[str, str, int, int], Sequence[IntervalRow]]


@dataclass(frozen=True, slots=True)
class Site:
    """The electricity meters of a facility by what they do here. `cells` has every storage and each vehicle meter that may give energy back."""

    mains: tuple[str, ...]
    pv: tuple[str, ...]
    storage: tuple[str, ...]
    vehicles: tuple[str, ...]
    cells: Mapping[str, Cell]
    interval_ms: int
    assumed: frozenset[str] = frozenset()  # storage whose efficiencies nobody has stated: without losses

    @property
    def counters(self) -> tuple[Counter, ...]:
        """All that is read of it. Only PV's export matters: what it draws at night is a load."""
        return (
            *(
                (device, quantity)
                for device in (*self.mains, *self.storage, *self.vehicles)
                for quantity in (IMPORT, EXPORT)
            ),
            *((device, EXPORT) for device in self.pv),
        )


def site_of(facility: Facility) -> Site | None:
    """None where there is neither PV nor storage nor charging."""
    pv, storage, vehicles = (
        tuple(meter.device for meter in facility.shown_as(part)) for part in ("pv", "storage", "ev")
    )
    if not (pv or storage or vehicles):
        return None
    mains = tuple(meter.device for meter in facility.main_meters() if meter.carrier == "electricity")
    stated = dict(facility.cells)
    cells = {device: stated.get(device, Cell()) for device in storage} | {
        device: stated[device] for device in vehicles if device in stated
    }
    assumed = frozenset(storage) - stated.keys()
    return Site(mains, pv, storage, vehicles, cells, facility.interval_ms, assumed)


class Anchor(NamedTuple):
    """A content (DC) that a battery's own management has stated."""

    device: str
    at_ms: int
    kwh: Decimal


class PlugIn(NamedTuple):
    """A vehicle at a meter; `end_ms` None: still there. `arrival_kwh` (DC) None: as the settings say."""

    device: str
    id: str
    start_ms: int
    end_ms: int | None
    arrival_kwh: Decimal | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What a day leaves to the next: which counters have ever had a figure, what each pool holds, which vehicle stands where, and the end of the
    last interval in which anything was measured.
    """

    seen: frozenset[Counter] = frozenset()
    contents: Mapping[str, Parcel] = field(default_factory=dict)
    plugged: Mapping[str, str] = field(default_factory=dict)
    at_ms: int | None = None


class Interval(NamedTuple):
    """One interval of a day. `measured` False: something that counts had no figure, and nothing could be solved. `grade`: the worst of its energies'."""

    start_ms: int
    end_ms: int
    solved: Solved
    measured: bool
    grade: Grade = GOOD
    final: bool = True


@dataclass(frozen=True, slots=True)
class Day:
    """[from_ms, to_ms) with its intervals, the pools as they were after it, and what storage held before it and has lost in it."""

    from_ms: int
    to_ms: int
    intervals: tuple[Interval, ...]
    pools: Mapping[str, Pool]
    opening: Mapping[str, Parcel]


@dataclass(slots=True)
class SiteDays:
    """Carries a site on. `grid(start, end, kWh)` gives import with its kg; `pv` the same for own generation. `marginal`: `grid` is marginal, and
    pools carry what charging causes."""

    site: Site
    grid: Callable[[int, int, Decimal], Parcel]
    pv: Callable[[int, int, Decimal], Parcel] = lambda _start_ms, _end_ms, kwh: of_factor(kwh, ZERO)
    anchors: Sequence[Anchor] = ()
    plug_ins: Sequence[PlugIn] = ()
    state: State = field(default_factory=State)
    marginal: bool = False

    def day(self, from_ms: int, to_ms: int, slots: Slots) -> Day:
        """A local day or a part of it, from `state`; leaves the state after it. `slots` are those of the whole local day."""
        state, site = self.state, self.site
        seen = set(state.seen)
        pools = {name: Pool.reopened(site.cells[name], content) for name, content in state.contents.items()}
        opening = {name: pools[name].content for name in site.storage if name in pools}
        plugged = dict(state.plugged)
        last_ms = from_ms if state.at_ms is None else state.at_ms
        anchors = [anchor for anchor in self.anchors if last_ms <= anchor.at_ms < to_ms]
        plug_ins = [
            one for one in self.plug_ins if one.start_ms < to_ms and (one.end_ms is None or one.end_ms > from_ms)
        ]
        intervals = []
        for at_ms in sorted({at_ms for of in slots.values() for at_ms in of if from_ms <= at_ms < to_ms}):
            end_ms = at_ms + site.interval_ms
            seen |= {counter for counter, of in slots.items() if at_ms in of}
            held = {name for name in site.storage if name in pools}
            for name in site.storage:
                if name not in held and any(counter[0] == name for counter in seen):
                    pools[name] = Pool.first(site.cells[name])
                    opening[name] = pools[name].content
            for name, plug_in in self._vehicles(plug_ins, at_ms, end_ms):
                if plug_in is None:
                    plugged.pop(name, None)
                    pools.pop(name, None)
                elif plugged.get(name) != plug_in.id:
                    plugged[name] = plug_in.id
                    pools[name] = _arrived(site.cells[name], plug_in)
            flows, measured = self._flows(at_ms, end_ms, slots, seen)
            there = [slot for of in slots.values() if (slot := of.get(at_ms)) is not None]
            for name, pool in pools.items():  # a time in which nothing was measured is made good here
                pool.stand(end_ms - (last_ms if name in held else at_ms))
            for anchor in anchors:
                if last_ms <= anchor.at_ms < end_ms and anchor.device in pools:
                    pools[anchor.device].anchor(anchor.kwh)
            last_ms = end_ms
            solved = self._solved(at_ms, end_ms, flows, pools, measured=measured)
            final = all(slot.final for slot in there)
            intervals.append(Interval(at_ms, end_ms, solved, measured, _worst(there), final))
        self.state = State(
            frozenset(seen),
            {name: pool.content for name, pool in pools.items()},
            plugged,
            last_ms if intervals else state.at_ms,
        )
        return Day(from_ms, to_ms, tuple(intervals), pools, opening)

    def _solved(self, at_ms: int, end_ms: int, flows: Flows, pools: Mapping[str, Pool], *, measured: bool) -> Solved:
        if self.marginal:
            return caused(flows, pools, lambda kwh: self.grid(at_ms, end_ms, kwh))
        return solve(flows, pools) if measured else unsolved(flows, pools)

    def _flows(self, at_ms: int, end_ms: int, slots: Slots, seen: set[Counter]) -> tuple[Flows, bool]:
        """The interval, and whether every counter that has ever had a figure has one here."""
        measured = True

        def kwh(device: str, quantity: str, *, needed: bool = False) -> Decimal:
            nonlocal measured
            slot = slots.get((device, quantity), {}).get(at_ms)
            if slot is None or slot.incoming < 0:
                measured = measured and (device, quantity) not in seen and not needed
                return ZERO
            return slot.incoming

        imported = sum((kwh(main, IMPORT, needed=True) for main in self.site.mains), ZERO)
        exported = sum((kwh(main, EXPORT) for main in self.site.mains), ZERO)
        generated = sum((kwh(device, EXPORT) for device in self.site.pv), ZERO)
        storage, vehicles = (
            {name: InOut(kwh(name, IMPORT), kwh(name, EXPORT)) for name in names}
            for names in (self.site.storage, self.site.vehicles)
        )
        grid, pv = self.grid(at_ms, end_ms, imported), self.pv(at_ms, end_ms, generated)
        return Flows(grid, pv, exported, storage, vehicles), measured

    def _vehicles(self, plug_ins: Sequence[PlugIn], at_ms: int, end_ms: int) -> Iterator[tuple[str, PlugIn | None]]:
        """For each vehicle meter with a pool: who was there longest in this interval, the first of several."""
        for name in self.site.vehicles:
            if name not in self.site.cells:
                continue
            best: tuple[int, PlugIn] | None = None
            for plug_in in plug_ins:
                ends_ms = end_ms if plug_in.end_ms is None else plug_in.end_ms
                there_ms = min(end_ms, ends_ms) - max(at_ms, plug_in.start_ms)
                if plug_in.device == name and there_ms > 0 and (best is None or there_ms > best[0]):
                    best = there_ms, plug_in
            yield name, None if best is None else best[1]


def _worst(slots: Sequence[Slot]) -> Grade:
    grade = GOOD
    for slot in slots:
        if slot.grade != grade:
            grade = grade.worse(slot.grade)
    return grade


def _arrived(cell: Cell, plug_in: PlugIn) -> Pool:
    return Pool.first(cell) if plug_in.arrival_kwh is None else Pool.reopened(cell, uncovered(plug_in.arrival_kwh))


def total(parcels: Iterable[Parcel]) -> Parcel:
    """Their exact sum."""
    summed = NOTHING
    for parcel in parcels:
        summed += parcel
    return summed
