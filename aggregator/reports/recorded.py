"""Computes the lines of activity records in a report bundle again: which record, how much of it lies in the span, and that none is left out. Not rates (see `figures`)."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from aggregator.accounts.activities.activity import faults
from aggregator.accounts.activities.kept import Kept
from aggregator.accounts.activities.place import counted_as, metered
from aggregator.accounts.behind_stack import stands_in_for
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.statement import Statement
from aggregator.emissions.amounts import EXACT
from aggregator.intervals.meter import MeterSpec, Role

SOURCE: Final = "activity:"
_REASON: Final = re.compile(r"record ([0-9]{1,18}) version ([0-9]{1,18}): (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Difference:
    """What does not agree: in the file of the statement (or of the records), of what."""

    in_records: bool
    expected: str
    seen: str
    of: str


def record_of(line: Line) -> tuple[int, int] | None:
    """The number and version of the record that a line says it is of; None where it says none."""
    found = _REASON.fullmatch(line.reason) if line.source.startswith(SOURCE) else None
    return None if found is None else (int(found[1]), int(found[2]))


def differences(statement: Statement, records: Sequence[Kept], meters: Sequence[MeterSpec]) -> Iterator[Difference]:
    """Everything that records and lines do not have in common. `records` can be read and are in force as the bundle says.

    `meters`: as they were configured; a record is shown inside the lines of a main meter that counts the same, or of a stack, and nowhere else apart.
    """
    mains = [meter for meter in meters if meter.role is Role.MAIN]
    known: dict[tuple[int, int], Kept] = {}
    for record in records:
        name = (record.activity.no, record.activity.version)
        said = record.odd() or "; ".join(faults(record.activity))
        if said or name in known or record.activity.facility != statement.facility:
            expected, _, seen = said.partition(", got ")
            yield Difference(
                True, expected or f"records of {statement.facility}, each once", seen or str(name), _named(record)
            )
        else:
            known[name] = record
    parts: dict[tuple[int, int], list[Line]] = defaultdict(list)
    for number, line in enumerate(statement.lines, start=2):
        if line.source.startswith(SOURCE):
            name_of = record_of(line)
            if name_of is None or name_of not in known:
                yield Difference(False, "a record of the bundle", line.reason, f"line {number}, {line.source}")
                continue
            yield from _of_line(line, known[name_of], f"line {number}, {line.source}")
            yield from _place(line, known[name_of], mains, f"line {number}, {line.source}")
            parts[name_of].append(line)
    for name, record in known.items():
        if record.activity.of_kind.emits:
            yield from _amounts(statement, record, parts.get(name, []))


def _of_line(line: Line, record: Kept, of: str) -> Iterator[Difference]:
    one = record.activity
    carrier = "electricity" if one.kind == "electricity" else one.subject
    expected = (f"{SOURCE}{one.source}", one.activity_class, carrier, one.counted()[1], "manual", _reason(record))
    seen = (line.source, line.activity, line.carrier, line.unit, line.quality, line.reason)
    if seen != expected:
        yield Difference(False, f"{' '.join(expected)}, as {_named(record)} has it", " ".join(seen), of)
    if line.kg is not None and not record.approved:
        yield Difference(False, f"no figure, because nobody has approved {_named(record)}", f"{line.kg:f} kg", of)


def _place(line: Line, record: Kept, mains: Sequence[MeterSpec], of: str) -> Iterator[Difference]:
    """A line counts as its kind does, or as biogenic; apart only where a main meter or a stack has it."""
    own = counted_as(record.activity)
    if metered(record.activity, mains):
        wanted = {Counts.ALLOCATED}
    else:
        biogenic = any(name == "biogenic_ratio" for name, _ in record.activity.parameters)
        wanted = {own, Counts.BIOGENIC} if biogenic else {own}
        behind = any(
            stands_in_for(stack, replace(line, counts=own))
            and (stack.from_ms is None or line.start_ms >= stack.from_ms)
            for stack in (meter.use.stack for meter in mains)
            if stack is not None
        )
        if behind:
            wanted = {Counts.ALLOCATED, *(wanted - {own})}
    if line.counts not in wanted:
        yield Difference(False, f"{_named(record)} to count as {' or '.join(sorted(wanted))}", line.counts, of)


def _amounts(statement: Statement, record: Kept, lines: Sequence[Line]) -> Iterator[Difference]:
    """The parts of a record are apart, and come to what of it lies in the span; of a bill the pieces of a part add up to it."""
    one = record.activity
    span = max(record.from_ms, statement.from_ms), min(record.to_ms, statement.to_ms)
    first, last = (one.until(at_ms, record.from_ms, record.to_ms) for at_ms in span)
    whole = EXACT.subtract(last, first)
    pieces: dict[tuple[int, int], list[Decimal]] = defaultdict(list)
    for line in lines:
        pieces[line.start_ms, line.end_ms].append(Decimal(0) if line.quantity is None else line.quantity)
    total, at_ms = Decimal(0), span[0]
    for (start_ms, end_ms), amounts in sorted(pieces.items()):
        apart = start_ms == at_ms
        at_ms = end_ms
        if one.kind == "electricity":
            total = sum(amounts, total) if apart else Decimal(-1)
        else:
            total = EXACT.add(total, amounts[0]) if apart and len(set(amounts)) == 1 else Decimal(-1)
        if total < 0:
            break
    if total != whole or (pieces and at_ms != span[1]):
        seen = ", ".join(f"{amount:f}" for amounts in pieces.values() for amount in amounts) or "no line"
        expected = f"lines of {whole:f} {one.counted()[1]} in all, one part of its days after the other"
        yield Difference(False, expected, seen, _named(record))


def _reason(record: Kept) -> str:
    return f"record {record.activity.no} version {record.activity.version}: {record.activity.evidence}"


def _named(record: Kept) -> str:
    return f"record {record.activity.no} version {record.activity.version}"
