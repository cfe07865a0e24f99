"""Which interval energies stand behind which lines of a statement, and what they come to. Reads no ledger: it is what a verifier has.

Lines of one source and grade take all intervals of that grade in the span, whatever factors divide them: so their sums must agree. Where lines do
not overlap in time, each of them is the sum of the intervals that start within it.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

import msgspec

from aggregator.accounts.line import SCOPES, Counts, Line
from aggregator.accounts.statement import Statement
from aggregator.emissions.amounts import EXACT
from aggregator.intervals.meter import MeterSpec, Role
from wire.reading import Quality

IMPORT: Final = "energy_import_kwh"
METER: Final = "meter:"
MAINS: Final = "meters:main"
# (carrier, unit of the line) -> what is counted, and the line's unit per unit of it (aggregator/accounts/carriers.py)
_COUNTED: Final = {
    ("gas", "m3"): ("gas_volume_m3", Decimal(1)),
    ("gas", "Nm3"): ("gas_volume_normal_m3", Decimal(1)),
    ("water", "m3"): ("water_volume_m3", Decimal(1)),
    ("heat", "GJ"): ("heat_energy_kwh", Decimal("0.0036")),
    ("steam", "GJ"): ("heat_energy_kwh", Decimal("0.0036")),
    ("cooling", "kWh"): ("cooling_energy_kwh", Decimal(1)),
    ("flue_gas", "kg"): ("flue_gas_co2_kg", Decimal(1)),
}


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An interval energy as a run's input list has it (aggregator.accounts.runs.inputs); decimals are text there."""

    device: str
    end_ms: int
    energy_kwh: Decimal
    final: bool
    quality: Quality
    quantity: str
    reason: str
    source: str
    start_ms: int
    version: int

    @property
    def grade(self) -> tuple[str, str]:
        return self.quality.name.lower(), self.reason


class Group(NamedTuple):
    """Lines of one meter (or all mains), what it counts and one grade."""

    source: str
    quantity: str
    quality: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source} {self.quantity} {self.quality}{f' ({self.reason})' if self.reason else ''}"


@dataclass(frozen=True, slots=True)
class Backed:
    """A group: its lines with their numbers in the statement (from 0), and the intervals that must stand behind them.

    `per_counted`: the lines' unit per unit of the intervals (0.0036 GJ per kWh).
    """

    group: Group
    lines: tuple[tuple[int, Line], ...]
    rows: tuple[Interval, ...]
    per_counted: Decimal

    @property
    def apart(self) -> bool:
        """Whether no two lines overlap in time, and no interval lies across the end of one."""
        ordered = sorted((line.start_ms, line.end_ms) for _, line in self.lines)
        if any(after < end for (_, end), (after, _) in itertools.pairwise(ordered)):
            return False
        within = _behind(ordered, self.rows)
        return all(row.end_ms <= end for (_, end), rows in zip(ordered, within, strict=True) for row in rows)

    def interval_ms(self, to_ms: int) -> Fraction:
        """How long an interval of the facility is by what the lines say: the time of the rows, before `to_ms`, by how many they say it covers. 0: it covers none."""
        covered = sum(line.covered_intervals for _, line in self.lines)
        time_ms = sum(min(row.end_ms, to_ms) - row.start_ms for row in self.rows)
        return Fraction(time_ms) / covered if covered > 0 else Fraction(0)

    def each(self) -> Iterator[tuple[int, Line, list[Interval]]]:
        """Line by line with its own intervals; only where the lines are `apart`."""
        ordered = sorted(self.lines, key=lambda pair: (pair[1].start_ms, pair[1].end_ms))
        within = _behind([(line.start_ms, line.end_ms) for _, line in ordered], self.rows)
        for (number, line), rows in zip(ordered, within, strict=True):
            yield number, line, rows


def counted(line: Line, carriers: Mapping[str, str]) -> tuple[str, Decimal] | None:
    """The quantity that a line sums and the line's unit per unit of it; None where it is not made of metered intervals alone. `carriers`: by device."""
    device = line.source.removeprefix(METER)
    if not line.covered_intervals or (line.source == device and line.source != MAINS):
        return None
    if line.source == MAINS or carriers.get(device) == "electricity":
        drawn = line.counts in (Counts.SCOPE_2, Counts.CAUSED) and (line.carrier, line.unit) == ("electricity", "kWh")
        return (IMPORT, Decimal(1)) if drawn else None
    return _COUNTED.get((carriers.get(device, ""), line.unit)) if line.counts in (*SCOPES, Counts.BIOGENIC) else None


def backed(statement: Statement, meters: Sequence[MeterSpec], rows: Iterable[Interval]) -> Iterator[Backed]:
    """Every group of lines that is made of intervals, with those of the statement's span."""
    by_grade: dict[tuple[str, str, str, str], list[Interval]] = defaultdict(list)
    for row in rows:
        if statement.from_ms <= row.start_ms < statement.to_ms:
            by_grade[row.device, row.quantity, *row.grade].append(row)
    carriers = {meter.device: meter.carrier for meter in meters}
    groups: dict[tuple[Group, Decimal], list[tuple[int, Line]]] = defaultdict(list)
    for number, line in enumerate(statement.lines):
        found = counted(line, carriers)
        if found is not None:
            groups[Group(line.source, found[0], line.quality, line.reason), found[1]].append((number, line))
    for (group, per_counted), lines in sorted(groups.items()):
        devices = mains(meters) if group.source == MAINS else [group.source.removeprefix(METER)]
        behind = [row for device in devices for row in by_grade.get((device, *group[1:]), ())]
        yield Backed(
            group, tuple(lines), tuple(sorted(behind, key=lambda row: (row.start_ms, row.device))), per_counted
        )


def mains(meters: Iterable[MeterSpec]) -> list[str]:
    """The devices of the grid connections for electricity."""
    return [meter.device for meter in meters if meter.role is Role.MAIN and meter.carrier == "electricity"]


def unclaimed(statement: Statement, meters: Sequence[MeterSpec], rows: Sequence[Interval]) -> list[tuple[str, int]]:
    """Grid connections with intervals in the span of a grade that no line of theirs has, and how many."""
    claimed = {(row.device, row.start_ms) for each in backed(statement, meters, rows) for row in each.rows}
    left: dict[str, int] = defaultdict(int)
    for row in rows:
        inside = row.quantity == IMPORT and statement.from_ms <= row.start_ms < statement.to_ms
        if inside and row.device in mains(meters) and (row.device, row.start_ms) not in claimed:
            left[row.device] += 1
    return sorted(left.items())


def least_expected(statement: Statement, meters: Sequence[MeterSpec], interval_ms: Fraction) -> int:
    """How many intervals of that length the grid connections must at least have had."""
    return 0 if interval_ms <= 0 else (statement.to_ms - statement.from_ms) // interval_ms * len(mains(meters))


def interval_kg(
    statement: Statement, meters: Sequence[MeterSpec], rows: Iterable[Interval]
) -> list[tuple[int, int, Decimal, Decimal]] | None:
    """(start_ms, end_ms, kWh, kg) of every interval of electricity with a figure, in order; None where the lines do not say which factor an interval had."""
    found: list[tuple[int, int, Decimal, Decimal]] = []
    for each in backed(statement, meters, rows):
        if each.group.quantity != IMPORT:
            continue
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
    """Exact sum, in the unit of the intervals."""
    return exact_sum(row.energy_kwh for row in rows)


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Raises decimal.Inexact where it does not fit."""
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def by_start(rows: Iterable[Interval]) -> Mapping[tuple[str, str], list[Interval]]:
    """Rows by device and quantity, each in order."""
    found: dict[tuple[str, str], list[Interval]] = defaultdict(list)
    for row in rows:
        found[row.device, row.quantity].append(row)
    return {name: sorted(of, key=lambda row: (row.start_ms, row.end_ms)) for name, of in sorted(found.items())}
