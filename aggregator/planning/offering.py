"""Firm offers of a facility beside its plan, and what is firm of one event. Not the solving (`flexibility.offers`), nor who asks for them.

Windows begin now (at the first step), at the next quarter, and at every full hour. `low_kw` is what is firm with more load, more need and less sun.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from aggregator.flexibility.offers import HOURS, Direction, Offer, offers_in
from aggregator.flexibility.operation.rolling import Planned
from aggregator.flexibility.operation.state import HOUR_MS, QUARTER_MS

DEVICES: Final = "all assets that the plan steers; no drill of their fallbacks is on record"
Window = tuple[int, int, float]


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


def offered(planned: Planned) -> dict[str, Any]:
    """The offers as they are told. Raises ProblemFault, Unsolved."""
    edges_ms = planned.made_of.edges_ms
    found = offers_in(planned.posed.problem, windows(edges_ms))
    return {
        "devices": DEVICES,
        "offers": [_told(one, edges_ms) for one in found],
    }


def _told(one: Offer, edges_ms: Sequence[int]) -> dict[str, Any]:
    return {
        "direction": one.direction, "from_ms": edges_ms[one.first], "until_ms": edges_ms[one.last], "hours": one.hours,
        "kw": round(one.kw, 3),
    }  # fmt: skip


def firm_kw(planned: Planned, direction: Direction, from_ms: int, until_ms: int) -> tuple[float, float] | None:
    """Firm kW throughout [from_ms, until_ms), as expected and at the cautious end; None where it is not within the horizon.

    Steps that the span only touches count as a whole. Raises ProblemFault, Unsolved.
    """
    edges_ms = np.array(planned.made_of.edges_ms)
    if from_ms + QUARTER_MS <= edges_ms[0] or until_ms > edges_ms[-1] or from_ms >= until_ms:
        return None
    first = max(int(np.searchsorted(edges_ms, from_ms, side="right")) - 1, 0)
    last = int(np.searchsorted(edges_ms, until_ms, side="left"))
    window = [(first, max(last, first + 1), (until_ms - from_ms) / HOUR_MS)]
    sure, cautious = (
        offers_in(problem, window, [direction])[0].kw for problem in (planned.posed.problem, planned.posed.cautious)
    )
    return sure, min(sure, cautious)
