"""A measured figure as one line of JSON, and the yardstick beside it. Not what is measured.

`median`, `low` and `high` are over `runs` repeats. `beside` holds what was measured in the same run to compare with. A time of processor work
also carries `per_yardstick`: how many turns of a fixed loop of plain Python it took. That ratio travels from machine to machine.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_YARDSTICK_TURNS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must keep (`at_most` or `at_least`), in the figure's unit, and the goal beyond it."""

    at_most: float | None = None
    at_least: float | None = None
    goal: float | None = None

    def as_json(self, median: float) -> dict[str, float | bool]:
        """The bound and whether the median keeps it."""
        stated: dict[str, float | bool] = {}
        if self.at_most is not None:
            stated |= {"at_most": self.at_most, "kept": median <= self.at_most}
        if self.at_least is not None:
            stated |= {"at_least": self.at_least, "kept": median >= self.at_least}
        if self.goal is not None:
            stated["goal"] = self.goal
        return stated


@dataclass(frozen=True, slots=True)
class Figure:
    """`values`: one per repeat, in `unit`. `beside`: other values of the same repeats, by name; each is printed with its ratio to ours."""

    name: str
    unit: str
    values: Sequence[float]
    bound: Bound | None = None
    beside: Mapping[str, Sequence[float]] = field(default_factory=dict)
    yardstick_ns: Sequence[float] = ()

    def line(self) -> str:
        """The JSON line."""
        median = statistics.median(self.values)
        shown: dict[str, object] = {
            "figure": self.name,
            "median": rounded(median),
            "low": rounded(min(self.values)),
            "high": rounded(max(self.values)),
            "unit": self.unit,
            "runs": len(self.values),
        }
        if self.bound is not None:
            shown["limit"] = self.bound.as_json(median)
        beside: dict[str, object] = {
            name: {"median": rounded(statistics.median(values)), "ratio": rounded(_ratio(self.values, values))}
            for name, values in self.beside.items()
        }
        if self.yardstick_ns:
            beside["yardstick"] = {
                "median": rounded(statistics.median(self.yardstick_ns)),
                "unit": "ns",
                "ratio": rounded(_ratio(self.values, self.yardstick_ns)),
            }
        if beside:
            shown["beside"] = beside
        return json.dumps(shown)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Ours over theirs, repeat by repeat, so that a machine that is slow for a while is slow for both."""
    if len(ours) == len(theirs):
        return statistics.median(a / b if b else 0.0 for a, b in zip(ours, theirs, strict=True))
    return statistics.median(ours) / (statistics.median(theirs) or 1.0)


def rounded(value: float) -> float:
    """Three significant digits, and every digit before the point."""
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure. `seconds`: of each timed stretch, None where the benchmark's own choice stands; `repeats` likewise."""

    seconds: float | None = None
    repeats: int | None = None

    def seconds_or(self, own: float) -> float:
        """The length of one stretch."""
        return own if self.seconds is None else self.seconds

    def repeats_or(self, own: int) -> int:
        """How many stretches."""
        return own if self.repeats is None else self.repeats


def yardstick_ns() -> float:
    """Processor time of one turn of a loop that touches what our code touches: integers, a list, a dict, a call."""
    seen: dict[int, int] = {}
    values = list(range(64))
    begun = time.process_time_ns()
    total = 0
    for turn in range(_YARDSTICK_TURNS):
        place = turn & 63
        total += values[place]
        seen[place] = min(total, turn)
    return (time.process_time_ns() - begun) / _YARDSTICK_TURNS


def cpu_ns_per_call(call: Callable[[], object], seconds: float) -> float:
    """Processor time (all threads of this process) of one call, over as many calls as fill `seconds`."""
    calls, spent, deadline = 0, 0, time.perf_counter() + seconds
    count = 1
    while True:
        begun = time.process_time_ns()
        for _ in range(count):
            call()
        spent += time.process_time_ns() - begun
        calls += count
        if time.perf_counter() >= deadline:
            return spent / calls
        count = min(2 * count, 4096)


def side_by_side(calls: Mapping[str, Callable[[], object]], seconds: float, repeats: int) -> dict[str, list[float]]:
    """ns per call of each, in turns, with the yardstick (key "yardstick") in each turn."""
    found: dict[str, list[float]] = {name: [] for name in (*calls, "yardstick")}
    for _ in range(repeats):
        yardstick = []
        for name, call in calls.items():
            yardstick.append(yardstick_ns())
            found[name].append(cpu_ns_per_call(call, seconds))
        found["yardstick"].append(statistics.median(yardstick))
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


Measure = Callable[[Effort], Iterator[Figure]]
