"""Plans of one facility that follow each other: when a new one is due, what it is, and what stands where none comes in time. Knows no clock and no store.

A plan is due when something that it was made of is no longer so, or when the next quarter has begun. What came as the plan said is no change.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from aggregator.flexibility.operation.posed import Posed, problem_of
from aggregator.flexibility.operation.schedules import Draft, drafts
from aggregator.flexibility.operation.state import HOUR_MS, QUARTER_MS, State, Stay, Window
from aggregator.flexibility.operation.tariff import PROMISE_PER_KWH, Tariff
from aggregator.flexibility.plan import Plan, plan
from aggregator.flexibility.problem import Problem, Series
from aggregator.flexibility.solve import Unsolved
from aggregator.flexibility.stale import followed
from wire.circuit import Circuit

BUDGET_S: Final = 5.0
OFF_PERCENT: Final = 2.0  # of its capacity, by which an asset may be off its plan before that is news
FORECAST_PERCENT: Final = 5.0  # of the connection: a forecast that has moved by more is news
LOOK_H: Final = 4.0  # how far ahead a forecast is compared
BAND_PERCENT: Final = 10.0  # of a comfort band: thermometers and thermostats know no less
LATE_H: Final = 0.1  # by which what a load has taken is told late
LIKELY_RATIO: Final = 0.1  # how likely what is beyond a 90th percentile is
LITTLE_KWH: Final = 0.05
LEAST_S: Final = 0.2  # of the time for a plan: less is not begun
SOON_MS: Final = 60_000  # by which a departure may move before that is news

Status = Literal["optimal", "feasible", "stale"]
Solver: TypeAlias = Callable[[Problem, float], Plan]


@dataclass(frozen=True, slots=True)
class Lacking:
    """A vehicle that will not have what it needs when it leaves, kWh (battery). `likely`: only if there is more load and less sun than expected."""

    session: str
    asset: str
    departs_ms: int
    kwh: float
    likely: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with all that it came from. `status` stale: none was found in time, for `why`; then its powers are those of the one before.

    `made_of` is the state that its steps belong to, `state` the newest. `trigger`: what had changed. `new_sessions`: vehicles that no plan knew
    before; `unplanned`: what a stale plan says nothing of.
    """

    facility: str
    made_ms: int
    trigger: tuple[str, ...]
    status: Status
    plan: Plan
    posed: Posed
    made_of: State
    state: State
    lacking: tuple[Lacking, ...] = ()
    new_sessions: tuple[str, ...] = ()
    why: str = ""
    unplanned: tuple[str, ...] = ()

    @property
    def planned_names(self) -> frozenset[str]:
        """Storage, vehicles and windows of loads that the plan has a course for."""
        return frozenset((*self.plan.assets, *self.plan.shifted_kw))

    @property
    def announced(self) -> tuple[Lacking, ...]:
        """What has to be said at once: of vehicles that have just come, what they will lack."""
        return tuple(one for one in self.lacking if one.session in self.new_sessions)


class NoPlan(Exception):
    """The first plan of a facility was not found; there is none before it to go on with."""


class Rolling:
    """The plans of one facility. Not for two threads at once."""

    def __init__(
        self, circuit: Circuit, tariff: Tariff, zone: ZoneInfo, *, budget_s: float = BUDGET_S, solver: Solver = plan
    ) -> None:
        self.circuit = circuit
        self.tariff = tariff
        self.zone = zone
        self.budget_s = budget_s
        self._solver = solver
        self.last: Planned | None = None
        self.solved = 0
        self.unchanged = 0
        self.stale = 0
        self.processor_s = 0.0

    def due(self, state: State) -> tuple[str, ...]:
        """What is no longer as the last plan has it; nothing: no plan is needed, which is counted."""
        found = ("first",) if self.last is None else changes(self.last, state, self.circuit)
        self.unchanged += not found
        return found

    def replan(self, state: State, trigger: Sequence[str] = ()) -> tuple[Planned, dict[str, Draft]]:
        """The plan of this state and what each edge is told. Raises NoPlan, ProblemFault (the state contradicts itself)."""
        begun_s = time.thread_time()
        try:
            return self._planned(state, tuple(trigger) or self.due(state) or ("asked for",))
        finally:
            self.processor_s += time.thread_time() - begun_s

    def _planned(self, state: State, trigger: tuple[str, ...]) -> tuple[Planned, dict[str, Draft]]:
        known = set() if self.last is None else {one.session for one in self.last.state.stays}
        stays = [replace(one, promised=one.session in known) for one in state.stays]
        posed = problem_of(self.circuit, self.tariff, replace(state, stays=stays), self.zone)
        fresh = tuple(one.session for one in state.stays if one.session not in known)
        try:
            found = self._solver(posed.problem, self.budget_s)
        except Unsolved as error:
            return self._go_on(posed, state, trigger, fresh, str(error))
        self.solved += 1
        lacking = _lacking(found, state, posed)
        risky, tried = self._at_risk(posed, state, {one.session for one in lacking})
        if tried is not None:
            posed, found = self._ahead(posed, found, risky, tried)
        lacking += risky
        self.last = Planned(
            state.facility, state.now_ms, trigger, found.status, found, posed, state, state, tuple(lacking), fresh
        )
        return self.last, self.told(self.last)

    def told(self, planned: Planned) -> dict[str, Draft]:
        """What each edge is told of a plan."""
        known = {name: one for name, one in planned.plan.assets.items() if name not in planned.unplanned}
        shifted = {name: kw for name, kw in planned.plan.shifted_kw.items() if name not in planned.unplanned}
        return drafts(
            self.circuit,
            self.tariff,
            planned.posed,
            replace(planned.plan, assets=known, shifted_kw=shifted),
            planned.made_of,
            planned.state,
        )

    def _go_on(
        self, posed: Posed, state: State, trigger: tuple[str, ...], fresh: tuple[str, ...], why: str
    ) -> tuple[Planned, dict[str, Draft]]:
        """The powers of the plan before at their own times, held against the problem of now. What it did not know is left to the edge's own rules."""
        if self.last is None:
            raise NoPlan(why)
        before = self.last
        self.stale += 1
        unplanned = tuple(
            name for name in posed.asset_of if name not in before.planned_names or name in before.unplanned
        )
        try:
            found = followed(posed.problem, powers_at(before, state.edges_ms), loads_at(before, state.edges_ms))
        except Unsolved as error:
            raise NoPlan(f"{why}; {error}") from error
        lacking = tuple(one for one in _lacking(found, state, posed) if one.session not in unplanned)
        self.last = Planned(
            state.facility, state.now_ms, trigger, "stale", found, posed, state, state, lacking, fresh, why, unplanned
        )
        return self.last, self.told(self.last)

    def _ahead(self, posed: Posed, found: Plan, risky: Sequence[Lacking], tried: Plan) -> tuple[Posed, Plan]:
        """The plan in which vehicles at risk are charged ahead as far as that costs less than what may be missed is worth; in the time that is left."""
        left_s = self.budget_s - found.solve_s - tried.solve_s
        names = {one.session for one in risky if behind_kwh(found, tried, one.session, posed.problem) > LITTLE_KWH}
        if not names or left_s < LEAST_S:
            return posed, found
        price = LIKELY_RATIO * (
            PROMISE_PER_KWH if self.tariff.unserved_per_kwh is None else self.tariff.unserved_per_kwh
        )
        sessions = tuple(
            replace(one, ahead_kwh=tried.assets[one.name].energy_kwh, ahead_price_per_kwh=price)
            if one.name in names
            else one
            for one in posed.problem.sessions
        )
        problem = replace(posed.problem, sessions=sessions)
        try:
            ahead = self._solver(problem, left_s)
        except Unsolved:
            return posed, found
        more = ahead.money.paid - found.money.paid
        said = ", ".join(sorted(posed.asset_of[name] for name in names))
        note = f"{said}: charged ahead where that costs little, because more load and less sun would leave too little; {more:.2f} more in all"
        return replace(posed, problem=problem, notes=(*posed.notes, note)), ahead

    def _at_risk(self, posed: Posed, state: State, sure: set[str]) -> tuple[list[Lacking], Plan | None]:
        """Departures that the 90th percentile of load and need and the 10th of sun do not let be kept, beside those that fail anyhow."""
        if not posed.problem.sessions:
            return [], None
        try:
            tried = self._solver(posed.cautious, self.budget_s)
        except Unsolved:
            return [], None
        found = _lacking(tried, state, posed, posed.cautious)
        return [replace(one, likely=True) for one in found if one.session not in sure], tried


def behind_kwh(found: Plan, tried: Plan, name: str, problem: Problem) -> float:
    """The most by which a vehicle is behind what another plan has it hold at that time, as far as it has room for it."""
    session = next(one for one in problem.sessions if one.name == name)
    steps = slice(session.arrival, session.departure)
    wanted = np.minimum(tried.assets[name].energy_kwh[steps], session.capacity_kwh)
    return float((wanted - found.assets[name].energy_kwh[steps]).max())


def _lacking(found: Plan, state: State, posed: Posed, problem: Problem | None = None) -> list[Lacking]:
    problem = problem or posed.problem
    departs = {one.session: one.departs_ms for one in state.stays}
    return [
        Lacking(one.name, posed.asset_of[one.name], departs[one.name], round(one.amount, 3))
        for one in found.broken
        if one.kind == "departure" and one.amount > 0.01
    ]


def _at(planned: Planned, edges_ms: Sequence[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The plan's step of each step between other edges, and whether it has one."""
    own = np.array(planned.made_of.edges_ms)
    at = np.searchsorted(own, np.array(edges_ms[:-1]), side="right") - 1
    inside = (at >= 0) & (at < len(own) - 1)
    return np.clip(at, 0, len(own) - 2), inside


def loads_at(planned: Planned, edges_ms: Sequence[int]) -> dict[str, Series]:
    """Powers of loads that can wait in the steps between other edges."""
    at, inside = _at(planned, edges_ms)
    return {name: np.where(inside, kw[at], 0.0) for name, kw in planned.plan.shifted_kw.items()}


def powers_at(planned: Planned, edges_ms: Sequence[int]) -> dict[str, tuple[Series, Series]]:
    """Charge and discharge of a plan in the steps between other edges; behind its end there is nothing."""
    at, inside = _at(planned, edges_ms)
    return {
        name: (np.where(inside, one.charge_kw[at], 0.0), np.where(inside, one.discharge_kw[at], 0.0))
        for name, one in planned.plan.assets.items()
    }


def changes(last: Planned, state: State, circuit: Circuit) -> tuple[str, ...]:
    """What of the state is not as the last plan has it, in words of one or two."""
    before = last.state
    found = []
    ours, theirs = ({one.session: one for one in each.stays} for each in (before, state))
    if ours.keys() - theirs.keys():
        found.append("unplug")
    if theirs.keys() - ours.keys():
        found.append("plug-in")
    if any(_moved(ours[name], theirs[name]) for name in ours.keys() & theirs.keys()):
        found.append("departure")
    for word, one, other in (
        ("event", before.asked, state.asked), ("override", before.overridden, state.overridden), ("limit", before.limits, state.limits),
        ("silent", sorted(before.silent), sorted(state.silent)),
    ):  # fmt: skip
        if tuple(one) != tuple(other):
            found.append(word)
    told = [None if each.told_prices is None else each.told_prices.version for each in (before, state)]
    if told[0] != told[1]:
        found.append("price")
    if any(kw > before.peaks_kw.get(name, 0.0) + 1.0 for name, kw in state.peaks_kw.items()):
        found.append("peak")
    if _off_plan(last, state, circuit):
        found.append("energy")
    if _off_forecast(last, state):
        found.append("forecast")
    if state.now_ms // QUARTER_MS != last.made_ms // QUARTER_MS or last.status == "stale":
        found.append("time")
    return tuple(found)


def _moved(one: Stay, other: Stay) -> bool:
    return (
        abs(one.departs_ms - other.departs_ms) >= SOON_MS
        or abs(one.need_kwh - other.need_kwh) > 0.1
        or (one.gives_back, one.reserve_kwh) != (other.gives_back, other.reserve_kwh)
    )


def _off_plan(last: Planned, state: State, circuit: Circuit) -> bool:
    """Whether an asset holds clearly more or less than the plan has it by now."""
    sizes = {asset.name: asset.capacity_kwh or 0.0 for asset in circuit.asset}
    now = [(one.asset, one.kwh, sizes[one.asset]) for one in state.held]
    now += [(one.asset, max(one.kwh, 0.0), one.band_kwh * BAND_PERCENT / OFF_PERCENT) for one in state.tempered]
    now += [(one.session, one.held_kwh, max(one.capacity_kwh, 20.0)) for one in state.stays]
    for name, kwh, size_kwh in now:
        if name not in last.plan.assets:
            continue
        if abs(kwh - expected_kwh(last, name, state.now_ms)) > size_kwh * OFF_PERCENT / 100:
            return True
    return any(_off_window(last, one, state) for one in state.windows)


def _off_window(last: Planned, one: Window, state: State) -> bool:
    """Whether a load has clearly had more or less in its window than the plan has it by now."""
    before = next((each for each in last.state.windows if each.name == one.name), None)
    if before is None or one.name not in last.plan.shifted_kw:
        return False
    edges_ms = np.array(last.made_of.edges_ms, dtype=np.float64)
    taken_kwh = np.concatenate([[0.0], np.cumsum(last.plan.shifted_kw[one.name] * np.diff(edges_ms) / HOUR_MS)])
    expected = before.done_kwh + float(np.interp(state.now_ms, edges_ms, taken_kwh))
    return abs(one.done_kwh - expected) > max(one.kwh * OFF_PERCENT / 100, one.most_kw * LATE_H)


def expected_kwh(planned: Planned, name: str, at_ms: int) -> float:
    """What a storage or a vehicle holds at an instant if all goes by the plan, kWh."""
    problem, edges_ms = planned.posed.problem, planned.made_of.edges_ms
    stored = {one.name: one.start_kwh for one in problem.storage}
    start = (stored | {one.name: one.start_kwh for one in problem.sessions})[name]
    ends = planned.plan.assets[name].energy_kwh
    there = np.arange(len(ends)) if name in stored else np.flatnonzero(ends)
    last = int(there[-1]) + 1 if len(there) else 0
    return float(np.interp(at_ms, edges_ms[: last + 1], [start, *ends[:last]]))


def _off_forecast(last: Planned, state: State) -> bool:
    """Whether the outlook of the next hours has moved by more than its bound, in the mean over them."""
    bound_kw = last.posed.problem.import_limit_kw * FORECAST_PERCENT / 100
    begins = np.array(state.edges_ms[:-1])
    soon = (begins < state.now_ms + LOOK_H * 3_600_000) & (begins < last.made_of.edges_ms[-1])
    at = np.clip(np.searchsorted(np.array(last.made_of.edges_ms), begins[soon], side="right") - 1, 0, last.made_of.steps - 1)  # fmt: skip
    then, now = last.made_of.outlook, state.outlook
    moved = (now.load_kw - now.sun_kw)[soon] - (then.load_kw - then.sun_kw)[at]
    return bool(len(moved)) and abs(float(moved.mean())) > bound_kw
