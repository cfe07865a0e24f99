"""Solves a dispatch model: the LP, binaries only where it overlaps, the chargers' least power, and a second solve that breaks ties. Not the model itself.

Charging and discharging at once, or importing and exporting, can pay where prices are below zero. The LP is solved first. Where it breaks no rule, its
optimum is the integer model's too, which `Solved.certain` says. Else sides are chosen, which always gives a plan; and where that costs more than the LP,
branch and bound takes a binary only where a rule was broken, until none is: the optimum of the full integer model. `gap` is what is not proved.
"""

from dataclasses import dataclass
from typing import Final, Literal

import highspy
import numpy as np

from aggregator.flexibility.dispatch import Dispatch
from aggregator.flexibility.dive import dive, is_between
from aggregator.flexibility.problem import Currency
from aggregator.flexibility.rules import Rules
from aggregator.flexibility.solver import Deadline, bound, opened, run
from aggregator.flexibility.solver import Unsolved as Unsolved
from aggregator.flexibility.sparse_model import Index, Values
from aggregator.flexibility.ties import sooner

MONEY_GAP: Final = 0.01
ROUNDS: Final = 20
MOST_BINARIES: Final = 400  # more than these, branch and bound does not get through in seconds and is not begun
INTEGER_SHARE: Final = (
    0.6  # of the time that is left, for branch and bound; after it a plan that chose sides stands, with its gap
)
FIXED_S: Final = 5.0  # for the LP that the binaries leave, which takes milliseconds

Status = Literal["optimal", "feasible", "stale"]


@dataclass(frozen=True, slots=True)
class Solved:
    """`money`: the objective with its constant, before ties were broken. `gap`: money between it and the best bound; 0 where optimal.

    `certain`: no step needed a binary. `row_dual`: money per unit of each row, of the LP with the binaries fixed.
    """

    status: Status
    values: Values
    money: Currency
    gap: Currency
    row_dual: Values
    binaries: int
    rounds: int
    certain: bool
    took_s: float


def solve(
    made: Dispatch,
    budget_s: float = 5.0,
    *,
    break_ties: bool = True,
    money_gap: Currency = MONEY_GAP,
    fixed: tuple[Index, Values] | None = None,
) -> Solved:
    """The plan of least money within the time, to within `money_gap` where it has binaries. Raises Unsolved.

    `fixed`: columns that are given, with their values: the chargers' powers of a plan that is only looked at.
    """
    deadline = Deadline(budget_s)
    rules = Rules(made, least=made.problem.exact_least and fixed is None)
    solver = _opened(made, money_gap, fixed)
    run(solver, deadline.left_s())
    relaxed = solver.getInfo().objective_function_value
    values = _netted(made, np.array(solver.getSolution().col_value))
    broken, found, rounds = rules.broken(values), None, 1
    certain = not (broken or rules.fractions(values))
    if not certain:
        solver = _chosen(made, rules, solver, deadline, fixed)
        chosen = float(solver.getInfo().objective_function_value)
        if chosen - relaxed > money_gap and len(broken | rules.seen) <= MOST_BINARIES:
            share = Deadline(deadline.left_s() * INTEGER_SHARE)
            found = _integers(made, rules, broken | rules.seen, share, money_gap, fixed, chosen)
    if found is not None:
        solver, relaxed, rounds = found.solver, max(relaxed, found.bound), found.rounds
    if not made.problem.exact_least and fixed is None:
        solver = _dived(made, rules, solver, deadline)
    money = solver.getInfo().objective_function_value
    solution = solver.getSolution()
    values, row_dual = _netted(made, np.array(solution.col_value)), np.array(solution.row_dual)
    if break_ties and made.flows and fixed is None:
        tied = _netted(made, sooner(solver, made, deadline))
        values = values if rules.broken(tied) else tied
    gap = max(money - relaxed, 0.0)
    return Solved(
        "feasible" if gap > money_gap else "optimal", values[: made.model.columns], money + made.constant, gap, row_dual[: made.model.rows],
        0 if found is None else len(found.binaries), rounds, certain, deadline.took_s,
    )  # fmt: skip


def _keeps(made: Dispatch, rules: Rules, solver: highspy.Highs) -> bool:
    """Whether the solver's plan breaks no rule, chargers' least powers among them."""
    values = _netted(made, np.array(solver.getSolution().col_value))
    return not rules.broken(values) and not any(
        is_between(flow, values).any() for flow in made.flows if flow.least_kw > 0
    )


def _chosen(
    made: Dispatch, rules: Rules, solver: highspy.Highs, deadline: Deadline, fixed: tuple[Index, Values] | None
) -> highspy.Highs:
    """A solver at a plan that chooses sides, and that breaks no rule. Raises Unsolved."""
    try:
        rules.choose(solver, deadline)
        if _keeps(made, rules, solver):
            return solver
    except Unsolved:
        deadline.left_s()
    share = np.zeros(len(rules.whole))
    try:
        solver = _opened(made, MONEY_GAP, fixed)
        run(solver, deadline.left_s())
        bound(solver, rules.whole, share, share)
        run(solver, deadline.left_s())
        rules.switch_off(solver, deadline)
    except Unsolved:
        deadline.left_s()
        solver = _opened(made, MONEY_GAP, fixed)
        bound(solver, rules.whole, share, share)
        rules.rest(solver, deadline)
    return solver


def _dived(made: Dispatch, rules: Rules, solver: highspy.Highs, deadline: Deadline) -> highspy.Highs:
    """A solver at a plan in which no charger is below its least power. Raises Unsolved."""
    try:
        dive(solver, made, deadline)
        if _keeps(made, rules, solver):
            return solver
    except Unsolved:
        deadline.left_s()
        solver = _opened(made, MONEY_GAP, None)
        run(solver, deadline.left_s())
    return _chosen(made, rules, solver, deadline, None)


@dataclass(frozen=True, slots=True)
class _Found:
    """A solver at a plan that breaks no rule, its binaries fixed, and the money below which no plan is."""

    solver: highspy.Highs
    binaries: Index
    bound: Currency
    rounds: int


def _integers(
    made: Dispatch, rules: Rules, broken: set[int], deadline: Deadline, money_gap: Currency, fixed: tuple[Index, Values] | None, chosen: Currency
) -> _Found | None:  # fmt: skip
    """The best plan by branch and bound, a binary for each rule that was ever broken; None where the time ends before there is one that breaks none and
    costs no more than the one that `chosen` sides gave."""
    bindings = set(broken)
    for rounds in range(2, ROUNDS):
        try:
            solver = _opened(made, money_gap, fixed)
            binaries = rules.bind(solver, bindings)
            for column in rules.whole.tolist():
                solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)
            binaries = np.concatenate([binaries, rules.whole])
            run(solver, deadline.left_s())
        except Unsolved:
            return None
        values = np.array(solver.getSolution().col_value)
        new = rules.broken(_netted(made, values)) - bindings
        if not new:
            lowest = solver.getInfo().mip_dual_bound
            _fixed(solver, binaries, values)
            run(solver, FIXED_S)  # which may come out at another plan of the same money, with other rules broken
            new = rules.broken(_netted(made, np.array(solver.getSolution().col_value))) - bindings
        if not new:
            worse = solver.getInfo().objective_function_value > chosen
            return None if worse else _Found(solver, binaries, lowest, rounds)
        bindings |= new
    return None


def _opened(made: Dispatch, money_gap: Currency, fixed: tuple[Index, Values] | None) -> highspy.Highs:
    solver = opened(made.model, money_gap)
    if fixed is not None:
        bound(solver, fixed[0], fixed[1], fixed[1])
    return solver


def _netted(made: Dispatch, values: Values) -> Values:
    """Without what is imported and exported at once where that costs nothing: a tie of the LP, which needs no binary."""
    problem = made.problem
    free = problem.import_price == problem.export_price
    if problem.carbon is not None and problem.carbon.export_credit_ratio != 1:
        free &= problem.carbon.kg_per_kwh * problem.carbon.price_per_kg == 0
    both = np.where(free, np.minimum(values[made.imported], values[made.exported]), 0.0)
    if both.any():
        values = values.copy()
        values[made.imported] -= both
        values[made.exported] -= both
    return values


def _fixed(solver: highspy.Highs, binaries: Index, values: Values) -> None:
    at = np.round(values[binaries])
    for column in binaries.tolist():
        solver.changeColIntegrality(column, highspy.HighsVarType.kContinuous)
    bound(solver, binaries, at, at)
