"""Checks a report bundle from its bytes alone and computes its figures again: signatures, proofs, products, sums, counters. Asks no aggregator.

What is trusted is the log's key and the edges' keys, as for evidence (aggregator.audit.verification). Whoever holds the log's key could sign other
totals; that is why lines, sums and counter differences are computed again, down to readings that only the edges could sign.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from aggregator.accounts.frozen import NotAsFrozen, statement_of
from aggregator.accounts.statement import Statement, plain
from aggregator.audit import tree
from aggregator.audit.evidence import (
    CHECKPOINT,
    CONTENTS,
    MOST_CONTENTS_BYTES,
    BundleUnreadable,
    contents_text,
    unzipped,
    zipped,
)
from aggregator.audit.note import Checkpoint, NoteUnproven, Verifier, opened
from aggregator.audit.verification import Fault, Verdict, first_difference, verify
from aggregator.emissions.amounts import EXACT
from aggregator.intervals.meter import MeterSpec, Role
from aggregator.reports.backing import Interval, backed, by_start, energy_of, interval_kg
from aggregator.reports.bundle import (
    BOUNDARIES,
    EVIDENCE,
    FORMAT,
    INTERVALS,
    METERS,
    NAMES,
    REPORT,
    RUNS,
    STATEMENTS,
    KeptBoundary,
    Record,
    RunFile,
    input_root,
    of_profile,
    rows_of,
)  # fmt: skip
from aggregator.reports.rounding import rounding
from aggregator.reports.summary import summary
from aggregator.reports.tracing import Traced, sealed_readings, traced
from wire.keys import KeyUnusable, PublicKey

_MOST_SHOWN: Final = 200  # characters of what was seen


@dataclass(slots=True)
class StatementSeen:
    """What was computed again of a statement. `kg` is the exact total of all scopes as text, "" where there is no figure."""

    profile: str
    kg: str = ""
    lines: int = 0
    multiplied: int = 0  # kg = quantity x factor
    without_figure: int = 0
    stated: int = 0  # with a figure and without a factor: as the aggregator says
    summed: int = 0  # lines whose quantity is the sum of intervals in the bundle
    intervals: int = 0
    run: int | None = None
    leaf: int | None = None
    publication: int | None = None
    traced: Traced = field(default_factory=Traced)


@dataclass(slots=True)
class ReportVerdict:
    """All that was found. It holds where there is no fault."""

    faults: list[Fault] = field(default_factory=list)
    facility: str = ""
    origin: str = ""
    size: int = 0
    keys: dict[str, str] = field(default_factory=dict)
    statements: list[StatementSeen] = field(default_factory=list)
    factors: int = 0
    documents: list[str] = field(default_factory=list)
    evidence: Verdict | None = None

    @property
    def holds(self) -> bool:
        return not self.faults

    def fault(self, file: str, expected: str, seen: object, of: str = "") -> None:
        self.faults.append(Fault(file, of, expected, str(seen)[:_MOST_SHOWN] or "nothing"))


def is_report(raw: bytes) -> bool:
    """Whether these are the bytes of a report bundle rather than of evidence."""
    return f"{STATEMENTS}/".encode() in raw


def check(raw: bytes, log_key: Verifier | None = None, edge_keys: Iterable[PublicKey] = ()) -> ReportVerdict:
    """The verdict on a report bundle. Without keys the bundle's own are taken, which only shows that it fits together."""
    verdict = ReportVerdict()
    try:
        files = unzipped(raw, NAMES)
    except BundleUnreadable as error:
        verdict.fault("(the zip file)", "a report bundle", error)
        return verdict
    said = _report(files, verdict)
    verifier = log_key or _own_key(said, verdict)
    checkpoint = None
    if verifier is not None:
        verdict.keys[f"log {verifier.name}"] = verifier.key.fingerprint
        checkpoint = _checkpoint(files, verifier, verdict)
        _check_contents(files, verifier, verdict)
    if said is not None:
        _Figures(files, said, checkpoint, verdict).check()
    _check_evidence(files, verifier, tuple(edge_keys), verdict)
    if verdict.holds and (at := first_difference(raw, zipped(files))) is not None:
        verdict.fault(
            "(the zip file)", "nothing but the files' contents and their names", f"another byte at {at}, in a header"
        )
    return verdict


# -- what is signed -------------------------------------------------------------------------------------------------------


def _report(files: Mapping[str, bytes], verdict: ReportVerdict) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(files.get(REPORT, b""), type=dict[str, Any])
        if found.get("bundle") != FORMAT:
            raise ValueError(f"expected {FORMAT!r}, got {str(found.get('bundle'))[:64]!r}")
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        verdict.fault(REPORT, "a report that can be read", error if REPORT in files else "no such file")
        return None
    verdict.facility = str(found.get("facility"))
    return found


def _own_key(said: Mapping[str, Any] | None, verdict: ReportVerdict) -> Verifier | None:
    try:
        return None if said is None else Verifier.from_text(str(said.get("log_key")))
    except KeyUnusable as error:
        verdict.fault(REPORT, "the log's key", error)
        return None


def _checkpoint(files: Mapping[str, bytes], verifier: Verifier, verdict: ReportVerdict) -> Checkpoint | None:
    try:
        found = Checkpoint.from_text(opened(files.get(CHECKPOINT, b""), verifier))
    except NoteUnproven as error:
        verdict.fault(CHECKPOINT, "a checkpoint signed with the log's key", error)
        return None
    if found.origin != verifier.name:
        verdict.fault(CHECKPOINT, f"origin {verifier.name}", found.origin)
        return None
    verdict.origin, verdict.size = found.origin, found.size
    return found


def _check_contents(files: Mapping[str, bytes], verifier: Verifier, verdict: ReportVerdict) -> None:
    try:
        text = opened(files.get(CONTENTS, b""), verifier, MOST_CONTENTS_BYTES)
    except NoteUnproven as error:
        verdict.fault(CONTENTS, "a list signed with the log's key", error)
        return
    others = {name: content for name, content in files.items() if name != CONTENTS}
    if text == contents_text(others, FORMAT):
        return
    first, *lines = text.splitlines()
    if first != FORMAT:
        verdict.fault(CONTENTS, FORMAT, first)
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in sorted(listed.keys() | others.keys()):
        seen = hashlib.sha256(others[name]).hexdigest() if name in others else "no such file"
        if seen != listed.get(name, "no such file"):
            verdict.fault(name, f"SHA-256 {listed.get(name, 'of no such file')}", seen)


def _check_evidence(
    files: Mapping[str, bytes], verifier: Verifier | None, edge_keys: tuple[PublicKey, ...], verdict: ReportVerdict
) -> None:
    raw = files.get(EVIDENCE)
    if raw is None:
        return
    found = verdict.evidence = verify(raw, verifier, edge_keys)
    verdict.keys |= found.keys
    verdict.faults += [
        Fault(f"{EVIDENCE}/{fault.file}", fault.batch, fault.expected, fault.seen or "nothing")
        for fault in found.faults
    ]
    if found.facility != verdict.facility:
        verdict.fault(EVIDENCE, f"evidence of {verdict.facility}", found.facility)


# -- what is computed again -----------------------------------------------------------------------------------------------


class _Figures:
    """The figures of one bundle."""

    def __init__(
        self, files: Mapping[str, bytes], said: Mapping[str, Any], checkpoint: Checkpoint | None, verdict: ReportVerdict
    ) -> None:
        self._files, self._said, self._checkpoint, self._verdict = files, said, checkpoint, verdict
        self._meters: list[MeterSpec] = self._json(METERS, list[MeterSpec]) or []
        self._mains = [
            meter.device for meter in self._meters if meter.role is Role.MAIN and meter.carrier == "electricity"
        ]
        self._readings = sealed_readings(files[EVIDENCE]) if EVIDENCE in files else {}

    def check(self) -> None:
        stated = {str(each.get("profile")): each for each in _objects(self._said.get("statements"))}
        if not stated:
            self._verdict.fault(REPORT, "statements", "none")
        for profile, summed in stated.items():
            self._statement(profile, summed)
        named = {
            of_profile(folder, profile) for profile in stated for folder in (STATEMENTS, INTERVALS, BOUNDARIES, RUNS)
        }
        for name in sorted(name for name in self._files if "/" in name and name not in named):
            self._verdict.fault(name, "files of the statements in report.json only", "one more")

    def _statement(self, profile: str, said: Mapping[str, Any]) -> None:
        name = of_profile(STATEMENTS, profile)
        raw = self._files.get(name)
        try:
            statement = statement_of(raw or b"")
        except (NotAsFrozen, ArithmeticError) as error:
            self._verdict.fault(name, "a statement that can be read", error if raw is not None else "no such file")
            return
        if statement.encoded() != raw:
            self._verdict.fault(name, "canonical lines", "another spelling")
        head = (self._said.get("facility"), profile, self._said.get("from_ms"), self._said.get("to_ms"))
        if (statement.facility, statement.profile, statement.from_ms, statement.to_ms) != head:
            self._verdict.fault(
                name,
                f"a statement of {head}",
                (statement.facility, statement.profile, statement.from_ms, statement.to_ms),
            )
        for key, value in summary(statement).items():
            if said.get(key) != value:
                self._verdict.fault(REPORT, f"{key} {value}, computed from {name}", said.get(key), profile)
        kg = statement.kg()
        seen = StatementSeen(profile, "" if kg is None else f"{kg:f}", len(statement.lines))
        self._verdict.statements.append(seen)
        self._products(statement, seen)
        rows: list[Interval] = self._lines(of_profile(INTERVALS, profile), Interval)
        self._sums(statement, rows, seen)
        self._roundings(statement, rows)
        self._run(statement, rows, seen)
        boundaries: list[KeptBoundary] = self._lines(of_profile(BOUNDARIES, profile), KeptBoundary)
        seen.traced = traced(rows, boundaries, self._meters, self._readings)
        for folder, expected, found, of in seen.traced.differences:
            self._verdict.fault(of_profile(folder, profile), expected, found, of)

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

    def _sums(self, statement: Statement, rows: list[Interval], seen: StatementSeen) -> None:
        """Lines of metered energy are sums of the bundle's intervals: of each meter and grade, and line by line where time tells them apart."""
        file = of_profile(STATEMENTS, statement.profile)
        for each in backed(statement, self._mains, rows):
            total = sum((line.quantity for _, line in each.lines if line.quantity is not None), start=energy_of(()))
            count = sum(line.intervals for _, line in each.lines)
            if (energy_of(each.rows), len(each.rows)) != (total, count):
                expected = f"{len(each.rows)} intervals with {energy_of(each.rows)} kWh, as in {INTERVALS}"
                self._verdict.fault(file, expected, f"{count} with {total} kWh", str(each.group))
                continue
            if each.apart:
                for number, line, own in each.each():
                    if (energy_of(own), len(own)) != (line.quantity, line.intervals):
                        expected = f"{len(own)} intervals with {energy_of(own)} kWh, as in {INTERVALS}"
                        self._verdict.fault(
                            file,
                            expected,
                            f"{line.intervals} with {line.quantity} kWh",
                            f"line {number + 2}, {line.source}",
                        )
            seen.summed += len(each.lines)
            seen.intervals += len(each.rows)

    def _roundings(self, statement: Statement, rows: list[Interval]) -> None:
        """What rounding would have done, where the report says it; another column is not in the bundle and stays as stated."""
        for said in _objects(self._said.get("roundings")):
            if said.get("profile") == statement.profile:
                parts = interval_kg(statement, self._mains, rows) or []
                again = plain(rounding(statement.profile, parts))
                if {**said, "column": None} != {**again, "column": None}:
                    self._verdict.fault(REPORT, f"the roundings of these intervals, {again}", said, statement.profile)

    def _run(self, statement: Statement, rows: list[Interval], seen: StatementSeen) -> None:
        """The statement is the run's that is in the log, and the intervals are those that the run has read."""
        name = of_profile(RUNS, statement.profile)
        if name not in self._files:
            return
        found = self._json(name, RunFile)
        if found is None:
            return
        leaf = self._leaf(name, found.run)
        stated = {"facility": statement.facility, "profile": statement.profile, "statement_sha256": statement.sha256}
        for key, value in stated.items():
            if leaf.get(key) != value:
                self._verdict.fault(
                    name,
                    f"{key} {value}, as of {of_profile(STATEMENTS, statement.profile)}",
                    leaf.get(key),
                    f"run {found.run.number}",
                )
        read = by_start(rows)
        root = input_root((pair, read.get(pair, [])) for pair in found.series)
        if leaf.get("input_root") != root:
            expected = f"the intervals that run {found.run.number} has read, root {leaf.get('input_root')}"
            self._verdict.fault(of_profile(INTERVALS, statement.profile), expected, root)
        seen.run, seen.leaf = found.run.number, found.run.index
        if found.publication is not None:
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

    def _lines(self, name: str, kind: type[Any]) -> list[Any]:
        try:
            return rows_of(self._files[name], kind)
        except KeyError:
            self._verdict.fault(name, "the file", "nothing")
        except BundleUnreadable as error:
            self._verdict.fault(name, "lines that can be read", error)
        return []

    def _json(self, name: str, kind: Any) -> Any:
        try:
            return msgspec.json.decode(self._files[name], type=kind)
        except KeyError:
            self._verdict.fault(name, "the file", "nothing")
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError, RecursionError) as error:
            self._verdict.fault(name, "a file that can be read", error)
        return None


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
