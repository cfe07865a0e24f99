"""The same day in four ways: uncontrolled, by simple rules, with vehicles charged in order, and with vehicles that give back too. Not the planner.

Each is a configuration of one problem, and all are judged by the planner's own model: a course that no planner made is that model's solution with
every power given. So money, kg and broken promises of two ways differ by what was done and by nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from aggregator.flexibility.dispatch import Dispatch, dispatch
from aggregator.flexibility.plan import Broken, Plan, plan, told
from aggregator.flexibility.problem import Branch, Problem, Session
from aggregator.flexibility.simple_rules import Course, rule_based, uncontrolled
from aggregator.flexibility.solve import solve

Mode = Literal["uncontrolled", "rule_based", "one_way", "rolling", "two_way"]
# In the order in which a table shows them: each does what the one before does, and more.
MODES: Final[Sequence[Mode]] = ("uncontrolled", "rule_based", "one_way", "rolling", "two_way")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a mode comes to. `plan.import_kw` is all that is imported, also what a limit forbids; that stands in `plan.broken`."""

    mode: Mode
    problem: Problem
    plan: Plan


def as_mode(problem: Problem, mode: Mode) -> Problem:
    """The problem that the planner gets: in one-way charging no vehicle gives back, whatever it agreed to."""
    if mode != "one_way":
        return problem
    return replace(problem, sessions=tuple(replace(one, discharge_kw=0.0) for one in problem.sessions))


def outcome(problem: Problem, mode: Mode, budget_s: float = 5.0) -> Outcome:
    """What the mode comes to on this problem. Raises ProblemFault, Unsolved."""
    problem = as_mode(problem.checked(), mode)
    if mode == "uncontrolled":
        return Outcome(mode, problem, judged(problem, uncontrolled(problem), budget_s))
    if mode == "rule_based":
        return Outcome(mode, problem, judged(problem, rule_based(problem), budget_s))
    if mode == "rolling":
        return Outcome(mode, problem, judged(problem, rolling(problem, budget_s), budget_s))
    return Outcome(mode, problem, plan(problem, budget_s))


def judged(problem: Problem, course: Course, budget_s: float = 5.0) -> Plan:
    """A course as a plan: with its money, kg and what it breaks. What it imports beyond the connection is paid and emitted like the rest.

    Raises ProblemFault, Unsolved (where the course breaks a hard limit of an asset: then it is no course).
    """
    net_kw = (
        problem.load_kw - problem.pv_kw + course.curtailed_kw + sum(course.shifted_kw.values(), np.zeros(problem.steps))
    )
    for name, charge_kw in course.charge_kw.items():
        net_kw = net_kw + charge_kw - course.discharge_kw[name]
    wide = replace(
        problem,
        import_limit_kw=max(problem.import_limit_kw, float(net_kw.max())),
        storage=tuple(replace(one, least_kw=0.0) for one in problem.storage),
        sessions=tuple(replace(one, least_kw=0.0) for one in problem.sessions),  # the last of a charge may be small
        shiftable=tuple(replace(one, least_kw=0.0) for one in problem.shiftable),
    )
    made = dispatch(wide)
    _give(made, course, problem.steps)
    found = told(made, solve(made, budget_s, break_ties=False))
    beyond_kw = found.import_kw - problem.import_limit_kw
    price = problem.emergency_price_per_kwh
    beyond = tuple(
        Broken(
            "connection",
            "import",
            step,
            float(beyond_kw[step]),
            "kW",
            float(beyond_kw[step] * problem.step_h[step]) * price,
        )
        for step in np.flatnonzero(beyond_kw > 1e-5).tolist()
    )
    money = replace(found.money, promises=found.money.promises + sum(one.cost for one in beyond))
    return replace(found, money=money, broken=found.broken + beyond)


def rolling(problem: Problem, budget_s: float = 5.0) -> Course:
    """The course of plans that know each vehicle from its plug-in on only, with its departure and need; load, sun and prices are known.

    Planned anew at each plug-in, with what has happened as it was: in between nothing new is known. Raises ProblemFault, Unsolved.
    """
    course = _nothing(problem)
    arrivals = sorted({0, *(one.arrival for one in problem.sessions)})
    for step, until in zip(arrivals, [*arrivals[1:], problem.steps], strict=True):
        known = tuple(one for one in problem.sessions if one.arrival <= step)
        branches = tuple(_without(branch, problem, known) for branch in problem.branches)
        made = dispatch(replace(problem, sessions=known, branches=branches))
        _give(made, course, step)
        found = told(made, solve(made, budget_s))
        for name, asset in found.assets.items():
            course.charge_kw[name][step:until] = asset.charge_kw[step:until]
            course.discharge_kw[name][step:until] = asset.discharge_kw[step:until]
        for name, power_kw in found.shifted_kw.items():
            course.shifted_kw[name][step:until] = power_kw[step:until]
        course.curtailed_kw[step:until] = found.curtailed_kw[step:until]
    return course


def _without(branch: Branch, problem: Problem, known: Sequence[Session]) -> Branch:
    """The branch without the vehicles that are not known yet."""
    unknown = {one.name for one in problem.sessions} - {one.name for one in known}
    return replace(branch, members={name: share for name, share in branch.members.items() if name not in unknown})


def _nothing(problem: Problem) -> Course:
    assets = [*(one.name for one in problem.storage), *(one.name for one in problem.sessions)]
    return Course(
        {name: np.zeros(problem.steps) for name in assets},
        {name: np.zeros(problem.steps) for name in assets},
        {load.name: np.zeros(problem.steps) for load in problem.shiftable},
        np.zeros(problem.steps),
    )


def _give(made: Dispatch, course: Course, before: int) -> None:
    """Rows that hold the columns of every asset at the course's powers, in the steps before `before`."""
    every = np.arange(made.problem.steps)
    given = [(every, made.curtailed, course.curtailed_kw)]
    for flow in (one for one in made.flows if one.name not in made.shifted):
        given.append((flow.steps, flow.charge, course.charge_kw[flow.name]))
        given.append((flow.steps, flow.discharge, course.discharge_kw[flow.name]))
    given += [(steps, power, course.shifted_kw[name]) for name, (steps, power) in made.shifted.items()]
    for steps, columns, powers in given:
        past = steps < before
        held = powers[steps[past]]
        made.model.terms(made.model.row_block(len(held), held, held), columns[past], 1.0)
