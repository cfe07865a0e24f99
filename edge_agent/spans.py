"""A set of whole numbers kept as closed ranges: which batches are acknowledged. Not what they hold."""

import bisect
from array import array
from collections.abc import Iterable, Iterator


class Spans:
    """Closed ranges of numbers from 1, sorted, never touching: 16 bytes each. Adding in order costs constant time.

    `count` is how many numbers are included. The iterators must not outlive a change.
    """

    __slots__ = ("_firsts", "_lasts", "count")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts = array("Q")
        self._lasts = array("Q")
        self.count = 0
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Include `first` to `last`, both ends. Raises ValueError where that is no range of numbers from 1."""
        _check(first, last)
        left = bisect.bisect_left(self._lasts, first - 1)
        right = bisect.bisect_right(self._firsts, last + 1)
        if left < right:
            first = min(first, self._firsts[left])
            last = max(last, self._lasts[right - 1])
        self._replace(left, right, [(first, last)])

    def discard(self, first: int, last: int) -> None:
        """Exclude `first` to `last`, both ends. Raises ValueError where that is no range of numbers from 1."""
        _check(first, last)
        left = bisect.bisect_left(self._lasts, first)
        right = bisect.bisect_right(self._firsts, last)
        if left < right:
            outer = ((self._firsts[left], first - 1), (last + 1, self._lasts[right - 1]))
            self._replace(left, right, [(low, high) for low, high in outer if low <= high])

    def _replace(self, left: int, right: int, ranges: list[tuple[int, int]]) -> None:
        self.count += sum(high - low + 1 for low, high in ranges)
        self.count -= sum(self._lasts[i] - self._firsts[i] + 1 for i in range(left, right))
        self._firsts[left:right] = array("Q", [low for low, _ in ranges])
        self._lasts[left:right] = array("Q", [high for _, high in ranges])

    def __contains__(self, number: int) -> bool:
        at = bisect.bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __len__(self) -> int:
        return len(self._firsts)

    @property
    def last(self) -> int:
        """The highest number, 0 where there is none."""
        return self._lasts[-1] if self._lasts else 0

    @property
    def first_missing(self) -> int:
        """The lowest number from 1 that is not included."""
        return self._lasts[0] + 1 if self._firsts and self._firsts[0] == 1 else 1

    def missing(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The ranges within `first` to `last` that are not included."""
        position = first
        for at in range(bisect.bisect_left(self._lasts, first), len(self._firsts)):
            low = self._firsts[at]
            if low > last:
                break
            if low > position:
                yield position, low - 1
            position = self._lasts[at] + 1
        if position <= last:
            yield position, last

    def missing_downwards(self, last: int) -> Iterator[int]:
        """The numbers from `last` down to 1 that are not included."""
        at = bisect.bisect_right(self._firsts, last) - 1
        position = last
        while position > 0:
            floor = self._lasts[at] if at >= 0 else 0
            yield from range(position, floor, -1)
            if at < 0:
                return
            position = min(position, self._firsts[at] - 1)
            at -= 1


def _check(first: int, last: int) -> None:
    if not 1 <= first <= last < 2**64:
        raise ValueError(f"range of numbers: expected 1 <= first <= last < 2^64, got {first} to {last}")


def joined(numbers: Iterable[int]) -> Spans:
    """The set of any numbers, in any order, each as often as it likes."""
    spans, first, last = Spans(), 0, -1
    for number in sorted(numbers):
        if number > last + 1:
            if first:
                spans.add(first, last)
            first = number
        last = number
    if first:
        spans.add(first, last)
    return spans
