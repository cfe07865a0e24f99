"""What was found in a report bundle: faults, and how far each figure was followed. Finds nothing itself (see `checking`, `figures`)."""

from dataclasses import dataclass, field
from typing import Final

from aggregator.audit.verification import Fault, Verdict
from aggregator.reports.tracing import Traced

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
    expected: int = 0  # intervals of the statement's coverage: what there should be, has a figure, is not measured well, is not final
    covered: int = 0
    substituted: int = 0
    provisional: int = 0
    recorded: int = 0  # lines of activity records
    records: int = 0  # of them in the bundle
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
    since: int | None = None  # leaves of the noted checkpoint that this log goes on from
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
