"""The way from one line of a report bundle down: factor and document, intervals, counter values, sealed readings, batches in the log. Judges nothing (see `checking`)."""

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from aggregator.accounts.activities.activity import STOCK
from aggregator.accounts.activities.kept import Kept
from aggregator.accounts.line import Line
from aggregator.accounts.runs.frozen import NotAsFrozen, statement_of
from aggregator.accounts.statement import Statement, plain
from aggregator.audit.brackets import nearest
from aggregator.audit.counters import counter_runs
from aggregator.audit.evidence import EVIDENCE as EVIDENCE_JSON
from aggregator.audit.evidence import BundleUnreadable, Evidence, frame_name, unzipped
from aggregator.intervals.meter import MeterSpec
from aggregator.reports.backing import Interval, backed
from aggregator.reports.bundle import (
    ACTIVITIES,
    BOUNDARIES,
    EVIDENCE,
    INTERVALS,
    METERS,
    NAMES,
    REPORT,
    RUNS,
    STATEMENTS,
    KeptBoundary,
    RunFile,
    of_profile,
    rows_of,
)  # fmt: skip
from aggregator.reports.recorded import record_of
from aggregator.reports.tracing import READING
from wire.batch import peek
from wire.quantities import QUANTITIES

_HEAD: Final = 2  # a statement's first line is the second of its file


class NoSuchLine(ValueError):
    """The bundle has no such line; the message says which it has."""


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A counter reading in a sealed batch."""

    at_ms: int
    value: Decimal
    batch: str
    leaf: int


def walk(raw: bytes, wanted: str) -> Iterator[str]:
    """Of line `wanted` (its number in the statement's file, or PROFILE:number) every step. Raises BundleUnreadable, NoSuchLine."""
    files = unzipped(raw, NAMES)
    try:
        said = msgspec.json.decode(files[REPORT], type=dict[str, Any])
        profile, _, number = wanted.rpartition(":")
        profile = profile or str(said["statements"][0]["profile"])
        if of_profile(STATEMENTS, profile) not in files:
            known = ", ".join(str(each["profile"]) for each in said["statements"])
            raise NoSuchLine(f"--trace: expected a profile of the report ({known}), got {profile!r}")
        statement = statement_of(files[of_profile(STATEMENTS, profile)])
        last = len(statement.lines) + _HEAD - 1
        if not number.isdecimal() or not _HEAD <= int(number) <= last:
            raise NoSuchLine(
                f"--trace: expected the number of a line of {of_profile(STATEMENTS, profile)}, {_HEAD} to {last}, got {number!r}"
            )
        yield from _Walk(files, said, statement, int(number)).steps()
    except (KeyError, IndexError, TypeError, msgspec.DecodeError, UnicodeDecodeError, NotAsFrozen) as error:
        raise BundleUnreadable(f"expected a report bundle, {error}") from error


class _Walk:
    """Down from one line."""

    def __init__(self, files: Mapping[str, bytes], said: Mapping[str, Any], statement: Statement, number: int) -> None:
        self._files, self._said, self._statement, self._number = files, said, statement, number
        self._line = statement.lines[number - _HEAD]
        self._zone = ZoneInfo(str(said["time_zone"]))
        self._meters: list[MeterSpec] = self._rows(METERS, MeterSpec)

    def steps(self) -> Iterator[str]:
        statement, line = self._statement, self._line
        kg = statement.kg()
        total = "no figure" if kg is None else f"{kg.scaleb(-3):f} t CO2e"
        yield f"{statement.profile} of {statement.facility}, {self._time(statement.from_ms)} to {self._time(statement.to_ms)}: {total}"
        yield f"  SHA-256 {statement.sha256} of {of_profile(STATEMENTS, statement.profile)}"
        for file in self._rows(RUNS, RunFile) if of_profile(RUNS, statement.profile) in self._files else []:
            yield f"  run {file.run.number}, leaf {file.run.index} of the log; publication {file.publication.number}, leaf {file.publication.index}"
        quantity = "unknown" if line.quantity is None else f"{line.quantity:f} {line.unit}"
        factor = "no factor" if line.factor is None else f"{line.factor.kg_per_unit:f} kg/{line.unit}"
        grade = line.quality + (f" ({line.reason})" if line.reason else "")
        figure = f"no figure: {line.why}" if line.kg is None else f"{line.kg:f} kg"
        yield f"line {self._number}  {line.counts}  {line.source}  {line.carrier}  {quantity} x {factor} = {figure}  {grade}"
        yield from self._factor(line)
        yield from self._record(line)
        rows = self._behind()
        yield f"  {len(rows)} intervals behind it in {of_profile(INTERVALS, statement.profile)}"
        boundaries: list[KeptBoundary] = self._rows(BOUNDARIES, KeptBoundary)
        sealed = _sealed(self._files.get(EVIDENCE))
        for row in rows:
            yield f"  {self._time(row.start_ms)} to {self._time(row.end_ms)}  {row.device} {row.quantity}  {row.energy_kwh:f} {_unit(row.quantity)}  {row.grade[0]}  {row.source}"
            yield from self._counter(row, boundaries, sealed)

    def _factor(self, line: Line) -> Iterator[str]:
        if line.factor is None:
            return
        name = " ".join(str(line.factor).split())
        seen: dict[str, Any] = next(
            (each for each in self._said["factors"] if each["applied"] == plain(line.factor)), {}
        )
        yield f"  factor {name}: {line.factor.kg_per_unit:f}, {line.factor.tier}, {', '.join(line.marks) or 'no marks'}"
        entries = [seen["entry"]] if seen.get("entry") else seen.get("parts", [])
        if not entries:
            yield from (f"    source: {part}" for part in line.factor.source.split("; "))
        for entry in entries:
            yield f"    {entry['id']} version {entry['version']}: {entry['value']} {entry['unit']}, {entry['status']} by {entry['approved_by'] or 'the program'}"
            yield f"      document: {entry['document']} {entry['url']}".rstrip() + (
                f"; evidence: {entry['evidence']}" if entry["evidence"] else ""
            )
            yield f"      {entry['table_ref']}, SHA-256 {entry['table_sha256']} of the table as transcribed"
        yield from (f"    {name}: {value:f}" for name, value in line.figures)

    def _record(self, line: Line) -> Iterator[str]:
        recorded = of_profile(ACTIVITIES, self._statement.profile) in self._files
        for one in self._rows(ACTIVITIES, Kept) if recorded else []:
            record = one.activity
            if (record.no, record.version) != record_of(line):
                continue
            amount = f"{record.amount:f} {record.unit}"
            if record.stock is not None:
                amount += " = " + " ".join(
                    f"{sign}{value:f} {name}" for sign, name, value in zip(("", "+ ", "- ", "- "), STOCK, record.stock, strict=True)
                )  # fmt: skip
            given = "; ".join(f"{name}={value}" for name, value in record.parameters)
            yield f"  record {record.no} version {record.version} in {of_profile(ACTIVITIES, self._statement.profile)}: {record.source} {record.kind} {record.subject}"
            yield f"    {record.from_day} to {record.to_day}, {amount}{f'; {given}' if given else ''}"
            yield f"    evidence: {record.evidence}; recorded by {record.by}, approved by {one.approved_by or 'nobody'}"

    def _behind(self) -> list[Interval]:
        """The intervals of the line; of lines that share time with others those of all of them."""
        for each in backed(self._statement, self._meters, self._rows(INTERVALS, Interval)):
            if each.apart:
                for number, _, rows in each.each():
                    if number + _HEAD == self._number:
                        return rows
            elif any(number + _HEAD == self._number for number, _ in each.lines):
                return [row for row in each.rows if self._line.start_ms <= row.start_ms < self._line.end_ms]
        return []

    def _counter(
        self, row: Interval, boundaries: Sequence[KeptBoundary], sealed: Mapping[tuple[str, str, str], list[_Sealed]]
    ) -> Iterator[str]:
        multiplier = next((meter for meter in self._meters if meter.device == row.device), None)
        for edge in sorted(
            {each.edge for each in boundaries if each.device == row.device and each.quantity == row.quantity}
        ):
            own = sorted(
                (
                    b
                    for b in boundaries
                    if (b.edge, b.device, b.quantity) == (edge, row.device, row.quantity)
                    and row.start_ms <= b.at_ms <= row.end_ms
                ),
                key=lambda boundary: boundary.at_ms,
            )
            if len(own) < 2 or (own[0].at_ms, own[-1].at_ms) != (row.start_ms, row.end_ms) or multiplier is None:
                continue
            parts = [
                f"({after.value:f} - {before.value:f}) x {multiplier.multiplier_at(before.at_ms):f}"
                for before, after in itertools.pairwise(own)
            ]
            yield f"    = {' + '.join(parts)}"
            for boundary in own:
                yield f"      {boundary.value:f} at {self._time(boundary.at_ms)}, {boundary.how}{self._reading(boundary, sealed.get((edge, row.device, row.quantity), []))}"

    def _reading(self, boundary: KeptBoundary, readings: Sequence[_Sealed]) -> str:
        """What the meter showed then, or before and after; `readings` in order."""
        instants = [each.at_ms for each in readings]
        at = nearest(instants, boundary.at_ms)
        if boundary.how == READING and at is not None:
            return f": the meter showed {self._shown(readings[at])}"
        after = bisect_left(instants, boundary.at_ms)
        if boundary.how == READING or not 0 < after < len(readings):
            return ""
        return f" between {self._shown(readings[after - 1])} and {self._shown(readings[after])}"

    def _shown(self, reading: _Sealed) -> str:
        return f"{reading.value:f} at {self._time(reading.at_ms)}, in {reading.batch}, leaf {reading.leaf} of the log"

    def _rows(self, folder: str, kind: type[Any]) -> list[Any]:
        return rows_of(self._files[of_profile(folder, self._statement.profile)], kind)

    def _time(self, at_ms: int) -> str:
        at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone)
        return at.isoformat(timespec="milliseconds" if at_ms % 1000 else "minutes")


def _unit(quantity: str) -> str:
    found = QUANTITIES.get(quantity)
    return "" if found is None else found.unit


def _sealed(raw: bytes | None) -> dict[tuple[str, str, str], list[_Sealed]]:
    """Readings of each counter in the sealed batches of the evidence, with the batch of each."""
    found: dict[tuple[str, str, str], list[_Sealed]] = {}
    if raw is None:
        return found
    files = unzipped(raw)
    evidence = Evidence.decoded(files[EVIDENCE_JSON])
    for batch in evidence.batches:
        if batch.framed:
            for name, run in counter_runs([peek(files[frame_name(batch.index)])]).items():
                label = f"batch {batch.seq} of {batch.edge}"
                found.setdefault(name, []).extend(
                    _Sealed(at_ms, Decimal(repr(value)), label, batch.index) for at_ms, value in run.values.items()
                )
    return {name: sorted(rows, key=lambda each: each.at_ms) for name, rows in found.items()}
