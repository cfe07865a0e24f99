"""What the planner of a trial expects of load and sun: the same quarters of the days before, as a store would have them. Not perfect foresight."""

import itertools
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.flexibility.operation.state import QUARTER_MS, Outlook
from aggregator.flexibility.problem import Series
from device_sim.plan import PlantPlan
from device_sim.plant import Node
from device_sim.profile import LocalTime

_DAYS: Final = 14  # of history before the trial
_LIKE_DAYS: Final = 5  # workdays, or days of a weekend; their mean is the middle, their quantiles the band
_DAY_MS: Final = 86_400_000
_QUARTERS: Final = 96
_MW_PER_KW: Final = 1e6


class History:
    """Mean load and sun of each quarter: of the days before the trial, and of its own as they pass."""

    def __init__(self, plan: PlantPlan, zone: ZoneInfo, now_ms: int) -> None:
        """The days before are those of the same plant without vehicles and battery, which measure nothing of it."""
        self._local = LocalTime(zone)
        self._plan = plan
        self._load_kw: dict[int, float] = {}
        self._sun_kw: dict[int, float] = {}
        first_ms = (now_ms - _DAYS * _DAY_MS) // QUARTER_MS * QUARTER_MS
        self._plant = PlantPlan(
            plan.name, plan.zone, plan.load, plan.load_tan_per_mille, plan.pv, None, None, (), (), (), plan.wind
        ).build(first_ms)
        self._known_ms = first_ms
        self._counted = (0, 0)

    def reach(self, now_ms: int) -> None:
        """Takes in the quarters that are over."""
        while self._known_ms + QUARTER_MS <= now_ms:
            self._plant.advance(self._known_ms + QUARTER_MS)
            tallies = self._plant.tallies
            load, sun = tallies[Node.LOAD].import_uj, tallies[Node.PV].export_uj
            key = self._known_ms // QUARTER_MS
            self._load_kw[key] = (load - self._counted[0]) / QUARTER_MS / _MW_PER_KW
            self._sun_kw[key] = (sun - self._counted[1]) / QUARTER_MS / _MW_PER_KW
            self._counted = load, sun
            self._known_ms += QUARTER_MS

    def outlook(self, edges_ms: Sequence[int]) -> Outlook:
        """For the steps between `edges_ms`; the first that is known of the day's kind is the newest."""
        self.reach(edges_ms[0])
        load = self._of(self._load_kw, edges_ms, alike=True)
        sun = self._of(self._sun_kw, edges_ms, alike=False)
        return Outlook(
            np.array([row.mean() for row in load]), np.array([np.quantile(row, 0.9) for row in load]),
            np.array([row.mean() for row in sun]), np.array([np.quantile(row, 0.1) for row in sun]),
            f"the last {_LIKE_DAYS} like days, or as many as there are",
        )  # fmt: skip

    def _of(self, known_kw: dict[int, float], edges_ms: Sequence[int], *, alike: bool) -> list[Series]:
        """kW of each step on each of its like days before."""
        rows = []
        for begin_ms, end_ms in itertools.pairwise(edges_ms):
            first, last = begin_ms // QUARTER_MS, max(begin_ms // QUARTER_MS + 1, end_ms // QUARTER_MS)
            backs = [_QUARTERS * back for back in self._backs(begin_ms, alike=alike)]
            rows.append(
                np.array([sum(known_kw[at - back] for at in range(first, last)) / (last - first) for back in backs])
            )
        return rows

    def _backs(self, at_ms: int, *, alike: bool) -> list[int]:
        """How many days back the like days lie whose quarters are known."""
        weekend = self._is_weekend(at_ms)
        found = []
        for back in range(1, _DAYS):
            if (
                not alike or self._is_weekend(at_ms - back * _DAY_MS) == weekend
            ) and at_ms - back * _DAY_MS + 4 * QUARTER_MS <= self._known_ms:
                found.append(back)
            if len(found) == _LIKE_DAYS:
                break
        return found

    def _is_weekend(self, at_ms: int) -> bool:
        return (self._local.local_ms(at_ms) // _DAY_MS + 3) % 7 >= 5  # 1970-01-01 was a Thursday
