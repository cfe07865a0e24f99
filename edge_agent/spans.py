"""A set of whole numbers kept as closed ranges: which batches are acknowledged. Not what they hold."""

import bisect
from collections.abc import Iterable, Iterator


class Spans:
    """Closed ranges, sorted, never touching. Adding in order costs constant time."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Include `first` to `last`, both ends."""
        left = bisect.bisect_left(self._lasts, first - 1)
        right = bisect.bisect_right(self._firsts, last + 1)
        if left < right:
            first = min(first, self._firsts[left])
            last = max(last, self._lasts[right - 1])
        self._firsts[left:right] = [first]
        self._lasts[left:right] = [last]

    def remove(self, number: int) -> None:
        """Exclude one number."""
        at = bisect.bisect_right(self._firsts, number) - 1
        if at < 0 or number > self._lasts[at]:
            return
        first, last = self._firsts[at], self._lasts[at]
        parts = [(a, b) for a, b in ((first, number - 1), (number + 1, last)) if a <= b]
        self._firsts[at : at + 1] = [a for a, _ in parts]
        self._lasts[at : at + 1] = [b for _, b in parts]

    def __contains__(self, number: int) -> bool:
        at = bisect.bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __len__(self) -> int:
        return len(self._firsts)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    @property
    def last(self) -> int:
        """The highest number, 0 where there is none."""
        return self._lasts[-1] if self._lasts else 0

    def missing(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The ranges within `first` to `last` that are not included."""
        position = first
        for low, high in self:
            if high < position:
                continue
            if low > last:
                break
            if low > position:
                yield position, low - 1
            position = high + 1
        if position <= last:
            yield position, last
