"""Makes report bundles: a report, the intervals and counters behind it, its runs with their proofs, and evidence. Checks nothing (see `checking`)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Final

import msgspec

from aggregator.accounts.activities.kept import lines_of_records
from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.runs.logged import take_up
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.statement import Statement, plain
from aggregator.audit.evidence import CHECKPOINT, CONTENTS, contents_text, unzipped, zipped
from aggregator.audit.export import NothingKept, TooMuch
from aggregator.audit.leaves import NotInLog
from aggregator.audit.log import AuditLog
from aggregator.audit.record_proof import RecordProof, record_proof
from aggregator.intervals.meter import MeterSpec
from aggregator.ledger import STANDING, Ledger
from aggregator.reports.bundle import (
    ACTIVITIES,
    BOUNDARIES,
    EVIDENCE,
    FORMAT,
    INTERVALS,
    METERS,
    MOST_INTERVALS,
    REPORT,
    RUNS,
    SINCE,
    STATEMENTS,
    KeptBoundary,
    Record,
    RunFile,
    canonical,
    lines_of,
    of_profile,
)  # fmt: skip
from aggregator.reports.forms import encoded, head
from aggregator.reports.page import page_of
from aggregator.reports.report import Proof, Report
from aggregator.reports.reporter import Reporter

AROUND_MS: Final = (
    300_000  # before the first boundary and after the last one: readings on both sides are sealed within this
)
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_TRIES: Final = 5

# (facility, from_ms, to_ms, every_ms) -> an evidence bundle; raises NothingKept, TooMuch
Evidence = Callable[[str, int, int, int], bytes]


def bundle(
    reporter: Reporter,
    report: Report,
    language: str,
    log: AuditLog,
    evidence: Evidence | None = None,
    since: int | None = None,
) -> bytes:
    """The zip file. Without `evidence`, or where its archive has nothing of the span, intervals end at the kept counter values.

    `since`: the size of a checkpoint that somebody noted, which the bundle's is proven to go on from. Raises CannotCompile for more intervals
    than a bundle takes, NotInLog (also for a size beyond the log's), and what ledger and runs raise.
    """
    facility = reporter.accounts.facility(report.facility)
    with Runs(reporter.accounts.data_directory / ACCOUNTS_NAME) as runs:
        take_up(runs, log)
    log.keep_up()
    sealed, checkpoint, proven = _under_one(report, log, evidence, facility.interval_s)
    places = [
        Proof(of.profile, "run_leaf", f"{proven[of.profile].run.index} / {proven[of.profile].run.size}")
        for of in report.runs
    ]
    names = [Proof("", "log_key", log.verifier.to_text())]
    report = replace(report, proofs=(*report.proofs, *places, *names))
    files = {
        CHECKPOINT: checkpoint.encode(),
        REPORT: encoded(head(report) | {"bundle": FORMAT, "log_key": log.verifier.to_text()}),
        f"report.{language}.html": page_of(report, language).encode(),
    }
    series = {of.profile: of.series for of in report.runs}
    for statement in report.statements:
        profile = statement.profile
        rows = reporter.intervals(statement, series.get(profile, ()))
        if len(rows) > MOST_INTERVALS:
            raise CannotCompile(
                f"report bundle: expected at most {MOST_INTERVALS} intervals, got {len(rows)}; ask for a shorter span"
            )
        files[of_profile(STATEMENTS, profile)] = statement.encoded()
        files[of_profile(INTERVALS, profile)] = lines_of(rows)
        files[of_profile(BOUNDARIES, profile)] = lines_of(boundaries(reporter.accounts.ledger, statement))
        if records := reporter.records(report, statement):
            files[of_profile(ACTIVITIES, profile)] = lines_of_records(records)
        files[of_profile(METERS, profile)] = meter_lines(reporter.facility(report, profile).meters)
    files |= {
        of_profile(RUNS, profile): canonical(msgspec.to_builtins(file)) + b"\n" for profile, file in proven.items()
    }
    if sealed is not None:
        files[EVIDENCE] = sealed
    if since is not None:
        size = int(checkpoint.split("\n")[1])
        files[SINCE] = (
            canonical({"proof": [each.hex() for each in log.consistency(since, size)], "size": since}) + b"\n"
        )
    return zipped(files | {CONTENTS: log.signed(contents_text(files, FORMAT)).encode()})


def _under_one(
    report: Report, log: AuditLog, evidence: Evidence | None, interval_s: int
) -> tuple[bytes | None, str, dict[str, RunFile]]:
    """Evidence, checkpoint and records, all under one checkpoint: while they are gathered the log may sign another."""
    for _ in range(_TRIES):
        sealed = None if evidence is None else _sealed(evidence, report, interval_s)
        checkpoint, proven = _proven(report, log)
        if sealed is None or unzipped(sealed)[CHECKPOINT] == checkpoint.encode():
            return sealed, checkpoint, proven
    raise NotInLog(
        f"expected evidence and runs under one checkpoint, {_TRIES} times the log has signed another meanwhile"
    )


def _proven(report: Report, log: AuditLog) -> tuple[str, dict[str, RunFile]]:
    """A checkpoint, and under it the runs and publications of a report by profile. Raises NotInLog."""
    while True:
        checkpoint = log.checkpoint()
        found: dict[str, RunFile] = {}
        proofs: list[RecordProof] = []
        for of in report.runs:
            run, publication = record_proof(log, "run", of.run), record_proof(log, "publication", of.publication)
            proofs += [run, publication]
            found[of.profile] = RunFile(_record(run), list(of.series), _record(publication))
        if checkpoint is None:
            raise NotInLog("expected a checkpoint, none is signed yet")
        if all(proof.checkpoint == checkpoint for proof in proofs):  # else the log has signed another meanwhile
            return checkpoint, found


def _record(proof: RecordProof) -> Record:
    return Record(proof.kind, proof.number, proof.index, proof.size, proof.leaf, list(proof.path))


def _sealed(evidence: Evidence, report: Report, interval_s: int) -> bytes | None:
    """Of each edge the first batch of every interval; of a long span of every hour, or day."""
    for every_s in (interval_s, _HOUR_S, _DAY_S):
        try:
            return evidence(report.facility, report.from_ms - AROUND_MS, report.to_ms + AROUND_MS, 1000 * every_s)
        except TooMuch:
            continue
        except NothingKept:
            return None
    return None


def boundaries(ledger: Ledger, statement: Statement) -> Iterator[KeptBoundary]:
    """The facility's boundary values in a statement's span, both ends included, as they stood at its knowledge time."""
    found = ledger.rows(
        "SELECT at_ms, device, edge, how, quality, quantity, reason, value FROM boundary_value"  # noqa: S608 (constant text only)
        f" WHERE facility = ? AND at_ms >= ? AND at_ms <= ? AND {STANDING} ORDER BY edge, device, quantity, at_ms",
        (statement.facility, statement.from_ms, statement.to_ms, *(statement.as_of_ms,) * 3),
    )
    for at_ms, device, edge, how, quality, quantity, reason, value in found:
        yield KeptBoundary(at_ms, device, edge, how, quality, quantity, reason, Decimal(value))


def meter_lines(meters: Iterable[MeterSpec]) -> bytes:
    """The meters as they were configured, a line each."""
    return b"".join(canonical(plain(meter)) + b"\n" for meter in meters)
