"""A run and a publication as they are on record, and the bytes of each that go into the audit log. Not where they are kept (see `runs`)."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from aggregator.accounts.activities.kept import RECORDS
from aggregator.accounts.runs.bridge import Bridge
from aggregator.accounts.runs.frozen import Rules
from aggregator.accounts.runs.inputs import Series, input_root
from aggregator.accounts.statement import Statement
from aggregator.emissions.resolution import FALLBACK_MARKS, LATER_MARKS

PROVISIONAL: Final = "provisional"  # intervals may still change, or the span is not over
SETTLED: Final = "settled"
APPROVED: Final = "approved"
PUBLISHED: Final = "published"
RESTATED: Final = "restated"  # published once, and another publication has taken its place


@dataclass(frozen=True, slots=True)
class Calculation:
    """A statement with what it was made of. `factor_set_sha256`: of every factor that could have applied, as known at `factors_as_of_ms`."""

    statement: Statement
    rules: Rules
    factors_as_of_ms: int
    factor_set_sha256: str
    series: tuple[Series, ...]
    code_version: str

    @property
    def watermark_ms(self) -> int | None:
        """Up to where every series that was read is final; None where nothing was read, or one is not at all."""
        ends = [each.final_to_ms for each in self.series]
        known = [end for end in ends if end is not None]
        return min(known) if known and len(known) == len(ends) else None

    @property
    def input_root(self) -> str:
        """Hex; see `inputs`."""
        return input_root(self.series)

    def settled(self, now_ms: int) -> bool:
        """Whether the span was over, also by now, and no interval provisional: nobody knows what will be known."""
        said = self.statement
        return said.to_ms <= min(said.as_of_ms, now_ms) and not said.coverage.provisional


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `marks`: of its lines, each once. `state`: what became of it last; `settled` stays. `restates`: the publication that it is to take the place of.

    `bridge` is of a restatement: from that publication's total to this one. `threshold_percent`: from which change on it is reissued.
    """

    no: int
    facility: str
    profile: str
    from_ms: int
    to_ms: int
    as_of_ms: int
    factors_as_of_ms: int
    kg: Decimal | None
    statement_sha256: str
    rules_sha256: str
    factor_set_sha256: str
    series: tuple[Series, ...]
    input_root: str
    watermark_ms: int | None
    marks: tuple[str, ...]
    code_version: str
    supersedes: int | None
    restates: int | None
    bridge: Bridge | None
    threshold_percent: Decimal
    reason: str
    operator: str
    created_at_ms: int
    state: str
    settled: bool
    approver: str

    @property
    def interval_series(self) -> tuple[Series, ...]:
        """Of `series` those of intervals."""
        return tuple(each for each in self.series if each.name != RECORDS)

    @property
    def activity_records(self) -> int:
        """How many activity records it read."""
        return sum(each.intervals for each in self.series if each.name == RECORDS)

    @property
    def reissued(self) -> bool:
        """Whether a restatement is large enough to be published at once; smaller ones are told with the next issue."""
        return self.bridge is None or self.bridge.reaches(self.threshold_percent)

    @property
    def waits(self) -> bool:
        """Whether the factor of another year stands in: when that of the data year appears, the total moves."""
        return any(mark in (FALLBACK_MARKS[-1], LATER_MARKS[-1]) for mark in self.marks)

    def leaf(self) -> bytes:
        """Its leaf in the audit log: canonical JSON of what never changes. More than 32 bytes, so that it is no batch's."""
        return _canonical(
            {
                "kind": "run", "no": self.no, "facility": self.facility, "profile": self.profile, "from_ms": self.from_ms,
                "to_ms": self.to_ms, "as_of_ms": self.as_of_ms, "factors_as_of_ms": self.factors_as_of_ms, "kg": _text(self.kg), "statement_sha256": self.statement_sha256,
                "rules_sha256": self.rules_sha256, "factor_set_sha256": self.factor_set_sha256, "input_root": self.input_root,
                "code_version": self.code_version, "supersedes": self.supersedes, "restates": self.restates,
                "causes": [] if self.bridge is None else [[share.cause, str(share.kg)] for share in self.bridge.shares],
                "reason": self.reason, "operator": self.operator, "created_at_ms": self.created_at_ms,
            }
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Publication:
    """A run that was published. `carries`: smaller restatements that this issue tells of. `standing`: no other has taken its place."""

    no: int
    run: int
    facility: str
    profile: str
    from_ms: int
    to_ms: int
    kg: Decimal | None
    statement_sha256: str
    supersedes: int | None
    carries: tuple[int, ...]
    note: str
    by: str
    approver: str
    at_ms: int
    standing: bool

    def leaf(self) -> bytes:
        """Its leaf in the audit log."""
        return _canonical(
            {
                "kind": "publication", "no": self.no, "run": self.run, "facility": self.facility, "profile": self.profile,
                "from_ms": self.from_ms, "to_ms": self.to_ms, "kg": _text(self.kg), "statement_sha256": self.statement_sha256,
                "supersedes": self.supersedes, "carries": list(self.carries), "note": self.note, "by": self.by, "approver": self.approver,
                "at_ms": self.at_ms,
            }
        )  # fmt: skip


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _canonical(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
