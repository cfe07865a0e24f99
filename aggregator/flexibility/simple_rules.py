"""What a site does without a planner: everything at once, or by rules at hand. Not what that costs (see `modes`).

A rule sees a step and what is there now: no forecast, no price. What it gives are powers; the planner's own model judges them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from aggregator.flexibility.problem import Branch, Problem, Series, Session, Storage

FACETS: Final = 12
LEAST: Final = 1e-9  # kW or kWh: below it is nothing


@dataclass(frozen=True, slots=True)
class Course:
    """The powers of every asset over the horizon, kW at the AC side, 0 where a vehicle is not there. `shifted_kw`: of loads that can wait."""

    charge_kw: Mapping[str, Series]
    discharge_kw: Mapping[str, Series]
    shifted_kw: Mapping[str, Series]
    curtailed_kw: Series


def uncontrolled(problem: Problem) -> Course:
    """Vehicles at full power from plug-in until they hold what they need, loads at once, batteries idle; no limit is looked at."""
    site = _Site(problem)
    for step in range(problem.steps):
        site.begin(step)
        site.run_loads(step)
        site.keep_comfort(step)
        for session in site.present(step):
            site.charge_vehicle(step, session, math.inf)
    return site.course()


def rule_based(problem: Problem) -> Course:
    """Vehicles under the limits, the most urgent first (least laxity, then earliest departure); batteries take what the sun leaves and cover what lacks.

    Limits: the connection, contracts and branches. A battery keeps what it has to hold at the end and never feeds the grid. Events are not answered.
    """
    site = _Site(problem)
    for step in range(problem.steps):
        site.begin(step)
        site.run_loads(step)
        site.keep_comfort(step)
        limit_kw = min([problem.import_limit_kw, *(float(one.limit_kw[step]) for one in problem.contracts)])
        for session in sorted(site.present(step), key=lambda one: (site.laxity_h(step, one), one.departure)):
            site.charge_vehicle(step, session, limit_kw - site.net_kw)
        for one in problem.storage:
            if one.drain_kw is None:
                site.serve_itself(step, one)
    return site.course()


@dataclass(slots=True)
class _Site:
    """A site as it goes, step by step: what each asset holds, and the net import of the step so far."""

    problem: Problem
    net_kw: float = 0.0
    _held_kwh: dict[str, float] = field(default_factory=dict)
    _lacking_kwh: dict[str, float] = field(default_factory=dict)
    _charge: dict[str, Series] = field(default_factory=dict)
    _discharge: dict[str, Series] = field(default_factory=dict)
    _shifted: dict[str, Series] = field(default_factory=dict)
    _net: list[float] = field(default_factory=list)
    _facets: list["_Facets"] = field(default_factory=list)

    def __post_init__(self) -> None:
        problem = self.problem
        assets: list[Storage | Session] = [*problem.storage, *problem.sessions]
        for one in assets:
            self._held_kwh[one.name] = one.start_kwh
            self._charge[one.name], self._discharge[one.name] = np.zeros(problem.steps), np.zeros(problem.steps)
        for load in problem.shiftable:
            self._lacking_kwh[load.name] = load.energy_kwh
            self._shifted[load.name] = np.zeros(problem.steps)
        self._facets = [_Facets(branch) for branch in problem.branches]

    def begin(self, step: int) -> None:
        if step:
            self._net.append(self.net_kw)
        self.net_kw = float(self.problem.load_kw[step] - self.problem.pv_kw[step])
        for facets in self._facets:
            facets.begin(step)

    def course(self) -> Course:
        net_kw = np.array([*self._net, self.net_kw])
        beyond = np.clip(-net_kw - self.problem.export_limit_kw, 0.0, self.problem.pv_kw)
        curtailed = beyond if self.problem.curtailable else np.zeros(self.problem.steps)
        return Course(self._charge, self._discharge, self._shifted, curtailed)

    def present(self, step: int) -> list[Session]:
        return [one for one in self.problem.sessions if one.arrival <= step < one.departure]

    def laxity_h(self, step: int, one: Session) -> float:
        """Hours until departure beyond those that it still has to charge at full power."""
        left_h = float(self.problem.step_h[step : one.departure].sum())
        lacking_kwh = max(one.need_kwh - self._held_kwh[one.name], 0.0)
        return left_h - (lacking_kwh / (one.charge_ratio * one.charge_kw) if one.charge_kw else 0.0)

    def run_loads(self, step: int) -> None:
        """Loads that could wait, as soon as they may."""
        step_h = float(self.problem.step_h[step])
        for load in self.problem.shiftable:
            if load.first <= step < load.last:
                power = min(load.power_kw, self._lacking_kwh[load.name] / step_h)
                self._lacking_kwh[load.name] -= power * step_h
                self._shifted[load.name][step] = power
                self._take(load.name, power)

    def keep_comfort(self, step: int) -> None:
        """What is drained, as a thermostat does it: what is held stays what it was."""
        step_h = float(self.problem.step_h[step])
        for one in self.problem.storage:
            if one.drain_kw is None:
                continue
            left = self._held_kwh[one.name] * (1 - one.loss_per_h_ratio * step_h)
            left -= float(one.drain_kw[step]) * step_h
            wanted_kwh = min(one.start_kwh, one.capacity_kwh)
            power = min(max(wanted_kwh - left, 0.0) / (one.charge_ratio * step_h), one.charge_kw)
            self._held_kwh[one.name] = max(left + power * one.charge_ratio * step_h, 0.0)
            self._charge[one.name][step] = power
            self._take(one.name, power)

    def charge_vehicle(self, step: int, one: Session, room_kw: float) -> None:
        """As much as it lacks, its charger gives and there is room for; nothing where there is less room than the charger's least power.

        What it lacks may be less than that: then it charges for a part of the step.
        """
        step_h = float(self.problem.step_h[step])
        lacking_kwh = min(one.need_kwh, one.capacity_kwh) - self._held_kwh[one.name]
        power = min(one.charge_kw, lacking_kwh / (one.charge_ratio * step_h))
        if math.isfinite(room_kw):
            room_kw = min([room_kw, *(facets.room_kw(one.name, 1) for facets in self._facets)])
            power = min(power, room_kw) if room_kw >= one.least_kw else 0.0
        if power > LEAST:
            self._held_kwh[one.name] += power * one.charge_ratio * step_h
            self._charge[one.name][step] = power
            self._take(one.name, power)

    def serve_itself(self, step: int, one: Storage) -> None:
        """A battery between sun and load: charges from what would be exported, discharges against what would be imported."""
        step_h = float(self.problem.step_h[step])
        before = self._held_kwh[one.name]
        held = before * (1 - one.loss_per_h_ratio * step_h)
        kept = float(np.prod(1 - one.loss_per_h_ratio * self.problem.step_h[step + 1 :]))  # of it, by the end
        floor = max(one.least_kwh, one.end_kwh or 0.0) / kept if kept > 0 else math.inf
        room = [*_tapered_kw(one, before), *(facets.room_kw(one.name, 1) for facets in self._facets)]
        charge = min(max(-self.net_kw, 0.0), (one.capacity_kwh - held) / (one.charge_ratio * step_h), *room)
        discharge = min(max(self.net_kw, 0.0), one.discharge_kw, (held - floor) * one.discharge_ratio / step_h)
        discharge = min([discharge, *(facets.room_kw(one.name, -1) for facets in self._facets)])
        if charge > LEAST and charge >= one.least_kw:
            discharge = 0.0
        else:
            charge, discharge = 0.0, max(discharge, 0.0)
        self._held_kwh[one.name] = held + charge * one.charge_ratio * step_h - discharge / one.discharge_ratio * step_h
        self._charge[one.name][step], self._discharge[one.name][step] = charge, discharge
        self._take(one.name, charge - discharge)

    def _take(self, name: str, power_kw: float) -> None:
        self.net_kw += power_kw
        for facets in self._facets:
            facets.take(name, power_kw)


def _tapered_kw(one: Storage, held_kwh: float) -> list[float]:
    """What each segment of the constant-voltage phase still lets in, and the charger's own power."""
    return [
        one.charge_kw,
        *(
            from_kw + (to_kw - from_kw) / (to_kwh - from_kwh) * (held_kwh - from_kwh)
            for (from_kwh, from_kw), (to_kwh, to_kw) in zip(one.taper, one.taper[1:], strict=False)
        ),
    ]


class _Facets:
    """What a branch has left in a step: the planner's polygon, so that a rule is held to the same limit as a plan."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._turns = np.exp(-2j * math.pi * np.arange(FACETS) / FACETS)
        self._limit = branch.limit * math.cos(math.pi / FACETS)
        self._shares = {name: (self._turns * member).real for name, member in branch.members.items()}
        self._used = np.zeros(FACETS)

    def begin(self, step: int) -> None:
        background = self._branch.background
        self._used = np.zeros(FACETS) if background is None else (self._turns * background[step]).real
        if self._branch.scalar is not None:
            self._used = self._used + self._branch.scalar[step] * math.cos(math.pi / FACETS)

    def room_kw(self, name: str, sign: Literal[1, -1]) -> float:
        """kW that an asset may still take (sign 1) or give (-1); 0 where the branch is overloaded in its direction already."""
        if name not in self._shares:
            return math.inf
        share = self._shares[name] * sign
        against = share > LEAST
        if not against.any():
            return math.inf
        return max(float(((self._limit - self._used[against]) / share[against]).min()), 0.0)

    def take(self, name: str, power_kw: float) -> None:
        if name in self._shares:
            self._used = self._used + self._shares[name] * power_kw
