"""Which sealed batches have the counter readings at interval boundaries, or on both sides of them where none is near. Seals and proves nothing."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from aggregator.audit.counters import CounterName, counter_runs
from wire.batch import peek

NEAR_MS: Final = 1000  # a reading so close to a boundary is the boundary's (aggregator/intervals/boundaries.py)


def around_boundaries(frames: Iterable[bytes], every_ms: int) -> set[int]:
    """Places of the frames that have, of every counter and multiple of `every_ms`, the reading within a second, else the last before and the first after."""
    readings: dict[CounterName, list[tuple[int, int]]] = defaultdict(list)
    for place, frame in enumerate(frames):
        for name, run in counter_runs([peek(frame)]).items():
            readings[name] += ((at_ms, place) for at_ms in run.values)
    return {place for found in readings.values() for place in _of_counter(sorted(found), every_ms)}


def _of_counter(found: Sequence[tuple[int, int]], every_ms: int) -> Iterable[int]:
    instants = [at_ms for at_ms, _ in found]
    first, last = instants[0] // every_ms, -(-instants[-1] // every_ms)
    for boundary_ms in range(first * every_ms, last * every_ms + 1, every_ms):
        at = nearest(instants, boundary_ms)
        if at is not None:
            yield found[at][1]
            continue
        after = bisect_left(instants, boundary_ms)
        if (
            0 < after < len(instants)
            and max(boundary_ms - instants[after - 1], instants[after] - boundary_ms) < every_ms
        ):
            yield from (found[after - 1][1], found[after][1])


def nearest(instants: Sequence[int], boundary_ms: int) -> int | None:
    """Place of the reading (instants in order) that is a boundary's, the earlier of two as near; None where none is within a second."""
    at = bisect_left(instants, boundary_ms)
    near = [each for each in (at - 1, at) if 0 <= each < len(instants) and abs(instants[each] - boundary_ms) <= NEAR_MS]
    return min(near, key=lambda each: (abs(instants[each] - boundary_ms), instants[each]), default=None)
