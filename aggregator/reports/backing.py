"""Which interval energies stand behind which lines of a statement, and what they come to. Reads no ledger: it is what a verifier has.

Lines of one source and grade take all intervals of that grade in the span, whatever factors divide them: so their sums must agree. Where lines do
not overlap in time, each of them is the sum of the intervals that start within it.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from aggregator.accounts.line import Counts, Line
from aggregator.accounts.statement import Statement
from aggregator.emissions.amounts import EXACT
from wire.reading import Quality

IMPORT: Final = "energy_import_kwh"
METER: Final = "meter:"
MAINS: Final = "meters:main"


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An interval energy as a run's input list has it (aggregator.accounts.inputs); decimals are text there."""

    device: str
    end_ms: int
    energy_kwh: Decimal
    final: bool
    quality: int
    quantity: str
    reason: str
    source: str
    start_ms: int
    version: int

    @property
    def grade(self) -> tuple[str, str]:
        return Quality(self.quality).name.lower(), self.reason


class Group(NamedTuple):
    """Lines of one meter (or all mains) and one grade."""

    source: str
    quality: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source} {self.quality}{f' ({self.reason})' if self.reason else ''}"


@dataclass(frozen=True, slots=True)
class Backed:
    """A group: its lines with their numbers in the statement (from 0), and the intervals that must stand behind them."""

    group: Group
    lines: tuple[tuple[int, Line], ...]
    rows: tuple[Interval, ...]

    @property
    def apart(self) -> bool:
        """Whether no two lines overlap in time, and no interval lies across the end of one."""
        ordered = sorted((line.start_ms, line.end_ms) for _, line in self.lines)
        if any(after < end for (_, end), (after, _) in itertools.pairwise(ordered)):
            return False
        within = _behind(ordered, self.rows)
        return all(row.end_ms <= end for (_, end), rows in zip(ordered, within, strict=True) for row in rows)

    def each(self) -> Iterator[tuple[int, Line, list[Interval]]]:
        """Line by line with its own intervals; only where the lines are `apart`."""
        ordered = sorted(self.lines, key=lambda pair: (pair[1].start_ms, pair[1].end_ms))
        within = _behind([(line.start_ms, line.end_ms) for _, line in ordered], self.rows)
        for (number, line), rows in zip(ordered, within, strict=True):
            yield number, line, rows


def quantity_of(line: Line) -> str | None:
    """The counted quantity that a line sums; None where it is not made of metered intervals alone."""
    if not line.intervals or line.unit != "kWh" or line.carrier != "electricity":
        return None
    drawn = line.counts in (Counts.SCOPE_2, Counts.CAUSED) and (line.source == MAINS or line.source.startswith(METER))
    return IMPORT if drawn else None


def backed(statement: Statement, mains: Sequence[str], rows: Iterable[Interval]) -> Iterator[Backed]:
    """Every group of lines that is made of intervals, with those of the statement's span. `mains`: devices behind `meters:main`."""
    by_grade: dict[tuple[str, str, str], list[Interval]] = defaultdict(list)
    for row in rows:
        if row.quantity == IMPORT and statement.from_ms <= row.start_ms < statement.to_ms:
            by_grade[row.device, *row.grade].append(row)
    groups: dict[Group, list[tuple[int, Line]]] = defaultdict(list)
    for number, line in enumerate(statement.lines):
        if quantity_of(line) is not None:
            groups[Group(line.source, line.quality, line.reason)].append((number, line))
    for group, lines in sorted(groups.items()):
        devices = mains if group.source == MAINS else [group.source.removeprefix(METER)]
        found = [row for device in devices for row in by_grade.get((device, group.quality, group.reason), ())]
        yield Backed(group, tuple(lines), tuple(sorted(found, key=lambda row: (row.start_ms, row.device))))


def interval_kg(
    statement: Statement, mains: Sequence[str], rows: Iterable[Interval]
) -> list[tuple[int, int, Decimal, Decimal]] | None:
    """(start_ms, end_ms, kWh, kg) of every interval with a figure, in order; None where the lines do not say which factor an interval had."""
    found: list[tuple[int, int, Decimal, Decimal]] = []
    for each in backed(statement, mains, rows):
        if not each.apart:
            return None
        for _, line, own in each.each():
            if line.factor is not None and line.kg is not None:
                factor = line.factor.kg_per_unit
                found += [
                    (row.start_ms, row.end_ms, row.energy_kwh, EXACT.multiply(row.energy_kwh, factor)) for row in own
                ]
    return sorted(found)


def _behind(spans: Sequence[tuple[int, int]], rows: Sequence[Interval]) -> list[list[Interval]]:
    """Of each span (ordered, apart) the rows (ordered) that start within it."""
    found: list[list[Interval]] = [[] for _ in spans]
    at = 0
    for row in rows:
        while at < len(spans) and row.start_ms >= spans[at][1]:
            at += 1
        if at < len(spans) and row.start_ms >= spans[at][0]:
            found[at].append(row)
    return found


def energy_of(rows: Iterable[Interval]) -> Decimal:
    """Exact sum, kWh."""
    total = Decimal(0)
    for row in rows:
        total = EXACT.add(total, row.energy_kwh)
    return total


def by_start(rows: Iterable[Interval]) -> Mapping[tuple[str, str], list[Interval]]:
    """Rows by device and quantity, each in order."""
    found: dict[tuple[str, str], list[Interval]] = defaultdict(list)
    for row in rows:
        found[row.device, row.quantity].append(row)
    return {name: sorted(of, key=lambda row: (row.start_ms, row.end_ms)) for name, of in sorted(found.items())}
