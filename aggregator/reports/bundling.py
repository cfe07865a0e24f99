"""Makes report bundles: a report, the intervals and counters behind it, its runs with their proofs, and evidence. Checks nothing (see `checking`)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.statement import Statement, plain
from aggregator.audit.evidence import CHECKPOINT, CONTENTS, contents_text, zipped
from aggregator.audit.export import NothingKept, TooMuch
from aggregator.audit.note import Verifier
from aggregator.ledger import STANDING, Ledger
from aggregator.reports.bundle import (
    BOUNDARIES,
    EVIDENCE,
    FORMAT,
    INTERVALS,
    METERS,
    MOST_INTERVALS,
    REPORT,
    STATEMENTS,
    KeptBoundary,
    lines_of,
    of_profile,
)  # fmt: skip
from aggregator.reports.forms import encoded, head
from aggregator.reports.page import page_of
from aggregator.reports.report import Report
from aggregator.reports.reporter import Reporter

SEALED_LATER_MS: Final = 300_000  # after the reading: a batch with the last boundary is sealed within this
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400

# (facility, from_ms, to_ms, every_ms) -> an evidence bundle; raises NothingKept, TooMuch
Evidence = Callable[[str, int, int, int], bytes]


@dataclass(frozen=True, slots=True)
class Notary:
    """The log as a bundle needs it: its public key, its newest checkpoint, and its signature over a text."""

    verifier: Verifier
    checkpoint: str
    signed: Callable[[str], str]


def bundle(
    reporter: Reporter, report: Report, language: str, notary: Notary, evidence: Evidence | None = None
) -> bytes:
    """The zip file. Without `evidence`, or where its archive has nothing of the span, intervals end at the kept counter values.

    Raises CannotCompile for more intervals than a bundle takes, and what the ledger raises.
    """
    facility = reporter.accounts.facility(report.facility)
    said = head(report) | {"bundle": FORMAT, "log_key": notary.verifier.to_text()}
    files = {
        CHECKPOINT: notary.checkpoint.encode(),
        REPORT: encoded(said),
        f"report.{language}.html": page_of(report, language).encode(),
        METERS: encoded_meters(facility.meters),
    }
    for statement in report.statements:
        rows = reporter.intervals(statement)
        if len(rows) > MOST_INTERVALS:
            raise CannotCompile(
                f"report bundle: expected at most {MOST_INTERVALS} intervals, got {len(rows)}; ask for a shorter span"
            )
        files[of_profile(STATEMENTS, statement.profile)] = statement.encoded()
        files[of_profile(INTERVALS, statement.profile)] = lines_of(rows)
        files[of_profile(BOUNDARIES, statement.profile)] = lines_of(boundaries(reporter.accounts.ledger, statement))
    sealed = None if evidence is None else _sealed(evidence, report, facility.interval_s)
    if sealed is not None:
        files[EVIDENCE] = sealed
    return zipped(files | {CONTENTS: notary.signed(contents_text(files, FORMAT)).encode()})


def _sealed(evidence: Evidence, report: Report, interval_s: int) -> bytes | None:
    """Of each edge the first batch of every interval; of a long span of every hour, or day."""
    for every_s in (interval_s, _HOUR_S, _DAY_S):
        try:
            return evidence(report.facility, report.from_ms, report.to_ms + SEALED_LATER_MS, 1000 * every_s)
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


def encoded_meters(meters: Sequence[object]) -> bytes:
    """The facility's meters as they are configured."""
    return encoded([plain(meter) for meter in meters])
