"""What a facility's period comes to under one profile: lines, and sums that say what they cover. Not how the lines are made (see `compile`)."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from typing import Any, Final

from aggregator.accounts.line import SCOPES, Counts, Line
from aggregator.emissions.amounts import EXACT

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Coverage:
    """`covered` of `expected` intervals have a figure; `substituted` were not measured well, `provisional` are not final yet.

    Intervals are the facility's, counted by time: an hour's row is four of 15 minutes. Only `provisional` is a number of rows.
    """

    expected: int
    time_covered: Fraction | int  # exact
    time_substituted: Fraction | int
    provisional: int

    @property
    def covered(self) -> int:
        """Whole ones."""
        return math.floor(self.time_covered)

    @property
    def substituted(self) -> int:
        """A part counts as one."""
        return math.ceil(self.time_substituted)

    @property
    def percent(self) -> Decimal | None:
        return self._percent(self.time_covered)

    @property
    def substituted_percent(self) -> Decimal | None:
        return self._percent(self.time_substituted)

    def _percent(self, part: Fraction | int) -> Decimal | None:
        return None if not self.expected else Decimal(part.numerator) / (part.denominator * self.expected) * 100


@dataclass(frozen=True, slots=True)
class Statement:
    """Lines of [from_ms, to_ms) of one facility under one profile, as known at `as_of_ms`. Without a profile there is no total.

    `expected`: how many intervals the meters that count should have had. Lines are ordered by `line_order`.
    """

    facility: str
    profile: str
    from_ms: int
    to_ms: int
    as_of_ms: int
    lines: tuple[Line, ...]
    expected: int = 0
    notes: tuple[str, ...] = ()

    def of(self, *counts: Counts) -> Iterator[Line]:
        """The lines that count there."""
        return (line for line in self.lines if line.counts in counts)

    def kg(self, *counts: Counts) -> Decimal | None:
        """Exact sum of what has a figure; None where nothing has. Without arguments: of all scopes."""
        return total_kg(self.of(*(counts or SCOPES)))

    @property
    def coverage(self) -> Coverage:
        metered = [line for line in self.of(*SCOPES) if line.covered_intervals]
        return Coverage(
            self.expected,
            sum(line.covered_intervals for line in metered if line.kg is not None),
            sum(line.covered_intervals for line in metered if line.quality != "good"),
            sum(line.provisional for line in metered),
        )

    @property
    def complete(self) -> bool:
        """Whether every expected interval and every recorded activity has a figure."""
        return self.coverage.time_covered >= self.expected and all(line.kg is not None for line in self.of(*SCOPES))

    def encoded(self) -> bytes:
        """Canonical JSON lines, UTF-8: a head, then one line each. The same inputs give the same bytes."""
        head = {
            name: getattr(self, name)
            for name in ("facility", "profile", "from_ms", "to_ms", "as_of_ms", "expected", "notes")
        }
        rows = chain([head], (plain(line) for line in self.lines))
        return b"".join([_CANONICAL.encode(row).encode() + b"\n" for row in rows])

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.encoded()).hexdigest()


def total_kg(lines: Iterable[Line]) -> Decimal | None:
    """Exact sum of what has a figure; None where nothing has."""
    total: Decimal | None = None
    for line in lines:
        if line.kg is not None:
            total = line.kg if total is None else EXACT.add(total, line.kg)
    return total


def line_order(line: Line) -> tuple[object, ...]:
    """By where it counts, source, carrier and time; then by factor and grade, so that the order is one only."""
    return (
        line.counts, line.activity, line.source, line.carrier, line.gas, line.start_ms, line.end_ms, str(line.factor or ""), line.quality,
        line.reason, line.marks, line.why,
    )  # fmt: skip


def plain(value: Any) -> Any:
    """As JSON has it: decimals and fractions as text, dataclasses as objects, tuples as lists. A line has no `covered` where it is None."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if kind is Line:
        names = _names(kind) if value.covered is not None else _WITHOUT_COVERED
        return {name: plain(getattr(value, name)) for name in names}
    if kind is Fraction:
        return str(value)
    if kind is tuple:
        return [plain(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in _names(kind)}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value


def _names(kind: type[Any]) -> tuple[str, ...]:
    """The names of a dataclass' fields; a statement asks for them once per line."""
    found = _NAMES.get(kind)
    if found is None:
        found = _NAMES[kind] = tuple(field.name for field in fields(kind))
    return found


_WITHOUT_COVERED: Final = tuple(field.name for field in fields(Line) if field.name != "covered")
_NAMES: Final[dict[type[Any], tuple[str, ...]]] = {}
_AS_THEY_ARE: Final = frozenset({str, int, bool, type(None), Counts})
_CANONICAL: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
