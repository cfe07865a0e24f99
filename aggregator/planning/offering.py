"""Firm offers of a facility beside its plan, and what is firm of one event. Not the solving (`flexibility.offers`), nor who asks for them.

Windows begin now (at the first step), at the next quarter, and at every full hour. Where a safe-state drill of the circuit is on record, only assets
that passed it move for an offer, all others do as planned (rule 33); without one, all count, which is said.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from aggregator.flexibility.offers import HOURS, Direction, Offer, offers_in
from aggregator.flexibility.operation.posed import Posed
from aggregator.flexibility.operation.rolling import Planned, loads_at, powers_at
from aggregator.flexibility.operation.state import HOUR_MS, QUARTER_MS
from aggregator.flexibility.problem import Branch, Problem, Series

NO_DRILL: Final = "all assets that the plan steers; no safe-state drill of this circuit is on record"
Window = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class Beside:
    """What an offer stands beside: the problem as it is now with its steps, and the net kW of each storage, vehicle and load as planned."""

    posed: Posed
    edges_ms: tuple[int, ...]
    planned_kw: Mapping[str, Series]


def beside(planned: Planned, posed: Posed | None = None, edges_ms: Sequence[int] | None = None) -> Beside:
    """A plan as it was made, or held beside the problem of other steps."""
    edges = tuple(edges_ms or planned.made_of.edges_ms)
    kw = {name: charge - discharge for name, (charge, discharge) in powers_at(planned, edges).items()}
    return Beside(posed or planned.posed, edges, kw | loads_at(planned, edges))


def windows(edges_ms: Sequence[int], hours: Sequence[float] = HOURS) -> list[Window]:
    """First and last step and hours of each window that lies on edges of the horizon."""
    at = {edge_ms: number for number, edge_ms in enumerate(edges_ms)}
    begins = [edges_ms[0], edges_ms[1], *(edge_ms for edge_ms in edges_ms if edge_ms % HOUR_MS == 0)]
    found: list[Window] = []
    for length in hours:
        for begin_ms in dict.fromkeys(begins):
            end_ms = begin_ms + round(length * HOUR_MS)
            if end_ms in at:
                found.append((at[begin_ms], at[end_ms], length))
    return found


def offered(basis: Beside, drilled: Collection[str] | None = None) -> dict[str, Any]:
    """The offers as they are told. `drilled`: assets that have passed a drill, None where there was none. Raises ProblemFault, Unsolved."""
    found = offers_in(_moving(basis, basis.posed.problem, drilled), windows(basis.edges_ms))
    return {
        "devices": NO_DRILL if drilled is None else f"drilled: {', '.join(sorted(drilled)) or 'none'}",
        "offers": [_told(one, basis.edges_ms) for one in found],
    }


def _told(one: Offer, edges_ms: Sequence[int]) -> dict[str, Any]:
    return {
        "direction": one.direction, "from_ms": edges_ms[one.first], "until_ms": edges_ms[one.last], "hours": one.hours,
        "kw": round(one.kw, 3),
    }  # fmt: skip


def firm_kw(
    basis: Beside, direction: Direction, from_ms: int, until_ms: int, drilled: Collection[str] | None = None
) -> tuple[float, float] | None:
    """Firm kW throughout [from_ms, until_ms), as expected and with more load, more need and less sun; None where it is not within the horizon.

    Steps that the span only touches count as a whole. Raises ProblemFault, Unsolved.
    """
    edges_ms = np.array(basis.edges_ms)
    if from_ms + QUARTER_MS <= edges_ms[0] or until_ms > edges_ms[-1] or from_ms >= until_ms:
        return None
    first = max(int(np.searchsorted(edges_ms, from_ms, side="right")) - 1, 0)
    last = int(np.searchsorted(edges_ms, until_ms, side="left"))
    window = [(first, max(last, first + 1), (until_ms - from_ms) / HOUR_MS)]
    sure, cautious = (
        offers_in(_moving(basis, problem, drilled), window, [direction])[0].kw
        for problem in (basis.posed.problem, basis.posed.cautious)
    )
    return sure, min(sure, cautious)


def _moving(basis: Beside, problem: Problem, drilled: Collection[str] | None) -> Problem:
    """The problem in which only drilled assets move: the others draw what is planned, on their branches as well."""
    if drilled is None:
        return problem
    still = {name for name, asset in basis.posed.asset_of.items() if asset not in drilled}
    zero = np.zeros(problem.steps)
    kw = {name: basis.planned_kw.get(name, zero) for name in still}
    return replace(
        problem,
        load_kw=problem.load_kw + sum(kw.values(), zero),
        storage=tuple(one for one in problem.storage if one.name not in still),
        sessions=tuple(one for one in problem.sessions if one.name not in still),
        shiftable=tuple(one for one in problem.shiftable if one.name not in still),
        held=tuple(one for one in problem.held if one.name not in still),
        branches=tuple(_without(branch, kw) for branch in problem.branches),
    )


def _without(branch: Branch, kw: Mapping[str, Series]) -> Branch:
    """The branch with what stands still in its background."""
    still = {name: share for name, share in branch.members.items() if name in kw}
    if not still:
        return branch
    drawn = sum(
        (kw[name] * share for name, share in still.items()), np.zeros(len(next(iter(kw.values()))), np.complex128)
    )
    background = drawn if branch.background is None else branch.background + drawn
    moving = {name: share for name, share in branch.members.items() if name not in kw}
    return replace(branch, members=moving, background=background.astype(np.complex128))
