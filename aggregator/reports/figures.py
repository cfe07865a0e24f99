"""Computes the figures of a report bundle again: products, sums, roundings, runs and counters. Judges no signature (see `checking`)."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from aggregator.accounts.activities.kept import RECORDS, Kept, lines_of_records
from aggregator.accounts.cost import costs_in
from aggregator.accounts.price import CarbonPrice
from aggregator.accounts.runs.frozen import NotAsFrozen, statement_of
from aggregator.accounts.statement import Statement, plain
from aggregator.audit import tree
from aggregator.audit.counters import CounterName
from aggregator.audit.evidence import BundleUnreadable
from aggregator.audit.note import Checkpoint
from aggregator.emissions.amounts import EXACT
from aggregator.intervals.meter import MeterSpec
from aggregator.reports.backing import (
    Interval,
    backed,
    by_start,
    energy_of,
    exact_sum,
    interval_kg,
    least_expected,
    unclaimed,
)
from aggregator.reports.bundle import (
    ACTIVITIES,
    BOUNDARIES,
    EVIDENCE,
    INTERVALS,
    METERS,
    REPORT,
    RUNS,
    STATEMENTS,
    KeptBoundary,
    Record,
    RunFile,
    bounded,
    decimals_of,
    input_root,
    lines_of,
    of_profile,
    rows_of,
)  # fmt: skip
from aggregator.reports.recorded import SOURCE, differences
from aggregator.reports.rounding import rounding
from aggregator.reports.summary import summary
from aggregator.reports.tracing import sealed_readings, traced
from aggregator.reports.verdict import ReportVerdict, StatementSeen


def check_figures(
    files: Mapping[str, bytes], said: Mapping[str, Any], checkpoint: Checkpoint | None, verdict: ReportVerdict
) -> None:
    """All statements that report.json (`said`) names, into the verdict; and no other file of a statement is there."""
    stated = {str(each.get("profile")): each for each in _objects(said.get("statements"))}
    if not stated:
        verdict.fault(REPORT, "statements", "none")
    readings = sealed_readings(files[EVIDENCE]) if EVIDENCE in files else {}
    for profile, summed in stated.items():
        _Figures(files, said, checkpoint, verdict, profile).check(summed, readings)
    named = {
        of_profile(folder, profile)
        for profile in stated
        for folder in (STATEMENTS, INTERVALS, BOUNDARIES, ACTIVITIES, METERS, RUNS)
    }
    for name in sorted(name for name in files if "/" in name and name not in named):
        verdict.fault(name, "files of the statements in report.json only", "one more")


class _Figures:
    """Of one statement of a bundle."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        said: Mapping[str, Any],
        checkpoint: Checkpoint | None,
        verdict: ReportVerdict,
        profile: str,
    ) -> None:
        self._files, self._said, self._checkpoint, self._verdict, self._profile = (
            files,
            said,
            checkpoint,
            verdict,
            profile,
        )

    def check(self, said: Mapping[str, Any], readings: Mapping[CounterName, Mapping[int, Decimal]]) -> None:
        """Against what the report says of the statement in all."""
        name = of_profile(STATEMENTS, self._profile)
        raw = self._files.get(name)
        try:
            statement = statement_of(raw or b"")
            bounded(each for line in statement.lines for each in decimals_of(line))
        except (NotAsFrozen, BundleUnreadable, ArithmeticError) as error:
            self._verdict.fault(name, "a statement that can be read", error if raw is not None else "no such file")
            return
        if statement.encoded() != raw:
            self._verdict.fault(name, "canonical lines", "another spelling")
        head = (self._said.get("facility"), self._profile, self._said.get("from_ms"), self._said.get("to_ms"))
        seen_head = (statement.facility, statement.profile, statement.from_ms, statement.to_ms)
        if seen_head != head:
            self._verdict.fault(name, f"a statement of {head}", seen_head)
        seen = StatementSeen(self._profile, lines=len(statement.lines))
        self._verdict.statements.append(seen)
        try:
            self._totals(statement, said, seen)
            self._products(statement, seen)
            self._intervals(statement, readings, seen)
        except ArithmeticError as error:
            self._verdict.fault(name, "amounts that can be added and multiplied exactly", repr(error))

    def _totals(self, statement: Statement, said: Mapping[str, Any], seen: StatementSeen) -> None:
        for key, value in summary(statement).items():
            if said.get(key) != value:
                expected = f"{key} {value}, computed from {of_profile(STATEMENTS, self._profile)}"
                self._verdict.fault(REPORT, expected, said.get(key), self._profile)
        self._costs(statement)
        covered = statement.coverage
        seen.expected, seen.covered = covered.expected, covered.covered
        seen.substituted, seen.provisional = covered.substituted, covered.provisional
        kg = statement.kg()
        seen.kg = "" if kg is None else f"{kg:f}"

    def _costs(self, statement: Statement) -> None:
        """What the statement costs at the prices that the report says it was shown with."""
        for said in _objects(self._said.get("costs")):
            if said.get("profile") != self._profile:
                continue
            try:
                prices = [msgspec.convert(used.get("price"), CarbonPrice) for used in _objects(said.get("prices"))]
                bounded(price.price_per_t for price in prices)
            except (msgspec.ValidationError, BundleUnreadable) as error:
                self._verdict.fault(REPORT, "carbon prices that can be read", error, self._profile)
                continue
            again = plain(costs_in(statement, str(said.get("currency")), prices))
            if said != again:
                expected = f"costs {again}, computed from {of_profile(STATEMENTS, self._profile)}"
                self._verdict.fault(REPORT, expected, said, self._profile)

    def _intervals(
        self, statement: Statement, readings: Mapping[CounterName, Mapping[int, Decimal]], seen: StatementSeen
    ) -> None:
        """What lies below the lines: interval energies, their run, the counters."""
        rows: list[Interval] = self._lines(INTERVALS, Interval)
        meters: list[MeterSpec] = self._lines(METERS, MeterSpec)
        self._sums(statement, rows, meters, seen)
        recorded = of_profile(ACTIVITIES, self._profile) in self._files
        records: list[Kept] = self._lines(ACTIVITIES, Kept) if recorded else []
        self._records(statement, records, meters, seen)
        self._roundings(statement, rows, meters)
        self._run(statement, rows, records, seen)
        seen.traced = traced(rows, self._lines(BOUNDARIES, KeptBoundary), meters, readings)
        for folder, expected, found, of in seen.traced.differences:
            self._verdict.fault(of_profile(folder, self._profile), expected, found, of)

    def _products(self, statement: Statement, seen: StatementSeen) -> None:
        """Each line's kg is its quantity times its factor, and the factor is one of the report's, with its value."""
        file = of_profile(STATEMENTS, statement.profile)
        listed = {
            msgspec.json.encode(each.get("applied"), order="sorted"): each.get("entry")
            for each in _objects(self._said.get("factors"))
        }
        documents = set(self._verdict.documents)
        for number, line in enumerate(statement.lines, start=2):
            of = f"line {number}, {line.source}"
            if line.kg is None:
                seen.without_figure += 1
            if line.factor is None:
                seen.stated += line.kg is not None
                continue
            name = " ".join(str(line.factor).split())
            entry = listed.get(msgspec.json.encode(plain(line.factor), order="sorted"), ...)
            if entry is ...:
                self._verdict.fault(REPORT, f"the factor {line.factor} of {file}", "no such factor", of)
            elif isinstance(entry, dict):
                documents.add(f"{name}: {entry.get('document')}, {entry.get('table_ref')}")
                if entry.get("value") != f"{line.factor.kg_per_unit:f}" or entry.get("version") != line.factor.version:
                    self._verdict.fault(
                        REPORT, f"{line.factor} to be {line.factor.kg_per_unit:f}", entry.get("value"), of
                    )
            else:
                documents.add(f"{name}: {line.factor.source}")
            product = None if line.quantity is None else EXACT.multiply(line.quantity, line.factor.kg_per_unit)
            if line.kg is not None and product != line.kg:
                self._verdict.fault(
                    file, f"{line.quantity} {line.unit} x {line.factor.kg_per_unit} = {product} kg", line.kg, of
                )
            else:
                seen.multiplied += line.kg is not None
        self._verdict.documents = sorted(documents)
        self._verdict.factors = len(listed)

    def _sums(self, statement: Statement, rows: list[Interval], meters: list[MeterSpec], seen: StatementSeen) -> None:
        """Lines of metered energy are sums of the bundle's intervals: of each meter and grade, and line by line where time tells them apart."""
        file, below = of_profile(STATEMENTS, statement.profile), of_profile(INTERVALS, statement.profile)
        lengths_ms: set[Fraction] = set()
        for each in backed(statement, meters, rows):
            unit, quantities = (
                each.lines[0][1].unit,
                [line.quantity for _, line in each.lines if line.quantity is not None],
            )
            wanted = len(each.rows), EXACT.multiply(energy_of(each.rows), each.per_counted)
            seen_sum = sum(line.intervals for _, line in each.lines), exact_sum(quantities)
            if wanted != seen_sum:
                expected = f"{wanted[0]} intervals with {wanted[1]} {unit}, as in {below}"
                self._verdict.fault(file, expected, f"{seen_sum[0]} with {seen_sum[1]} {unit}", str(each.group))
                continue
            for number, line, own in each.each() if each.apart else ():
                amount = EXACT.multiply(energy_of(own), each.per_counted)
                if (len(own), amount) != (line.intervals, line.quantity):
                    expected = f"{len(own)} intervals with {amount} {unit}, as in {below}"
                    of = f"line {number + 2}, {line.source}"
                    self._verdict.fault(file, expected, f"{line.intervals} with {line.quantity} {unit}", of)
            lengths_ms.add(each.interval_ms(statement.to_ms))
            seen.summed += len(each.lines)
            seen.intervals += len(each.rows)
        if len(lengths_ms) > 1 and any(line.covered is not None for line in statement.lines):
            said = ", ".join(f"{each} ms" for each in sorted(lengths_ms))
            self._verdict.fault(file, "lines that cover the time of their intervals", f"intervals that would be {said}")
        least = least_expected(statement, meters, min(lengths_ms, default=Fraction(0)))
        if statement.expected < least:
            self._verdict.fault(file, f"at least {least} expected intervals", statement.expected)
        for device, count in unclaimed(statement, meters, rows):
            self._verdict.fault(file, f"lines for all intervals of main meter {device}", f"none for {count} of them")

    def _roundings(self, statement: Statement, rows: list[Interval], meters: list[MeterSpec]) -> None:
        """What rounding would have done, where the report says it; another column is not in the bundle and stays as stated."""
        for said in _objects(self._said.get("roundings")):
            if said.get("profile") == statement.profile:
                parts = interval_kg(statement, meters, rows) or []
                again = plain(rounding(statement.profile, parts))
                if {**said, "column": None} != {**again, "column": None}:
                    self._verdict.fault(REPORT, f"the roundings of these intervals, {again}", said, statement.profile)

    def _records(self, statement: Statement, records: list[Kept], meters: list[MeterSpec], seen: StatementSeen) -> None:
        """Lines of activity records are the amounts of the bundle's records, and none of these is left out."""
        for found in differences(statement, records, meters):
            folder = ACTIVITIES if found.in_records else STATEMENTS
            self._verdict.fault(of_profile(folder, self._profile), found.expected, found.seen, found.of)
        seen.recorded = sum(line.source.startswith(SOURCE) for line in statement.lines)
        seen.records = len(records)

    def _run(self, statement: Statement, rows: list[Interval], records: list[Kept], seen: StatementSeen) -> None:
        """The statement is the run's that is in the log, and intervals and records are those that the run has read."""
        name = of_profile(RUNS, statement.profile)
        stated = [each for each in _objects(self._said.get("runs")) if each.get("profile") == self._profile]
        if name not in self._files and not stated:
            return
        files: list[RunFile] = self._lines(RUNS, RunFile)
        if len(files) != 1:
            self._verdict.fault(name, "one run", len(files))
            return
        found = files[0]
        numbers = {"profile": self._profile, "run": found.run.number, "publication": found.publication.number}
        if stated != [numbers]:
            self._verdict.fault(REPORT, f"the run of {name}, {numbers}", stated, self._profile)
        leaf = self._leaf(name, found.run)
        of_run = {"facility": statement.facility, "profile": statement.profile, "statement_sha256": statement.sha256}
        for key, value in of_run.items():
            if leaf.get(key) != value:
                self._verdict.fault(
                    name,
                    f"{key} {value}, as of {of_profile(STATEMENTS, statement.profile)}",
                    leaf.get(key),
                    f"run {found.run.number}",
                )
        read = by_start(rows)
        root = input_root((pair, records if pair == RECORDS else read.get(pair, [])) for pair in found.series)
        if records and RECORDS not in found.series:
            self._verdict.fault(name, "activity records among what the run has read", "none")
        if leaf.get("input_root") != root:
            expected = f"the intervals{' and records' if records else ''} that run {found.run.number} has read, root {leaf.get('input_root')}"
            self._verdict.fault(of_profile(INTERVALS, statement.profile), expected, root)
        seen.run, seen.leaf = found.run.number, found.run.index
        published = self._leaf(name, found.publication)
        if (published.get("run"), published.get("statement_sha256")) != (found.run.number, statement.sha256):
            self._verdict.fault(name, f"a publication of run {found.run.number}", published.get("run"))
        seen.publication = found.publication.number

    def _leaf(self, name: str, record: Record) -> dict[str, Any]:
        """What the log has of a run or publication, once its proof leads to the checkpoint."""
        of = f"{record.kind} {record.number}"
        try:
            leaf = msgspec.json.decode(record.leaf.encode(), type=dict[str, Any])
            if (leaf.get("kind"), leaf.get("no")) != (record.kind, record.number):
                raise tree.ProofBroken(f"leaf: expected {of}, got {leaf.get('kind')} {leaf.get('no')}")
            if self._checkpoint is not None:
                path = [bytes.fromhex(each) for each in record.path]
                tree.check_inclusion(
                    record.index,
                    self._checkpoint.size,
                    tree.leaf_hash(record.leaf.encode()),
                    path,
                    self._checkpoint.root,
                )
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            self._verdict.fault(name, "a proof that it is in the log", error, of)
            return {}
        return leaf

    def _lines(self, folder: str, kind: type[Any]) -> list[Any]:
        name = of_profile(folder, self._profile)
        try:
            rows = rows_of(self._files[name], kind)
            spelt = {INTERVALS: lines_of, BOUNDARIES: lines_of, ACTIVITIES: lines_of_records}.get(folder)
            if spelt is not None and spelt(rows) != self._files[name]:
                self._verdict.fault(name, "canonical lines", "another spelling")
            return rows
        except KeyError:
            self._verdict.fault(name, "the file", "nothing")
        except BundleUnreadable as error:
            self._verdict.fault(name, "lines that can be read", error)
        return []


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
