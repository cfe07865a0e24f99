"""A set of whole numbers kept as ascending ranges that neither overlap nor touch. Knows nothing of what is numbered."""

from bisect import bisect_right


class NumberRanges:
    """Grows only. A set of a million neighbouring numbers is one pair."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def add(self, first: int, last: int) -> None:
        """Take in first..last, both included."""
        at = bisect_right(self._firsts, first)
        if at and self._lasts[at - 1] >= first - 1:
            at -= 1
            first = self._firsts[at]
        end = at
        while end < len(self._firsts) and self._firsts[end] <= last + 1:
            last = max(last, self._lasts[end])
            end += 1
        self._firsts[at:end] = [first]
        self._lasts[at:end] = [last]

    def pairs(self) -> list[tuple[int, int]]:
        """(first, last) of each range, ascending."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def reach(self, start: int) -> int:
        """The highest number up to which all from `start` on are in; `start` - 1 where `start` is not."""
        at = bisect_right(self._firsts, start) - 1
        return self._lasts[at] if at >= 0 and self._lasts[at] >= start else start - 1
