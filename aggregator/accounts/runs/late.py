"""What has changed in closed periods since they were closed: late readings, corrections, decisions. Open periods follow by themselves (see `aggregator.settle`).

A published span keeps its figure until a restatement of it is published (see `restatement`); this names the intervals that ask for one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from aggregator.accounts.runs.record import Runs
from aggregator.emissions.amounts import EXACT
from aggregator.ledger import Ledger

Closed = Callable[[str, int, int], bool]  # facility, from_ms, to_ms: whether a published span touches [from_ms, to_ms)


@dataclass(frozen=True, slots=True)
class ClosedSpan:
    """A published span with what was known when its run was made."""

    publication: int
    facility: str
    profile: str
    from_ms: int
    to_ms: int
    as_of_ms: int


@dataclass(frozen=True, slots=True)
class LateChange:
    """Intervals of one counter within a closed span that are no longer what was published: their sum then (None: there was none) and now."""

    device: str
    quantity: str
    intervals: int
    first_ms: int
    last_ms: int
    then_kwh: Decimal | None
    now_kwh: Decimal | None
    recorded_from_ms: int
    recorded_to_ms: int


def closed_spans(runs: Runs, facility: str) -> list[ClosedSpan]:
    """Every span of a facility whose publication stands."""
    return [
        ClosedSpan(each.no, facility, each.profile, each.from_ms, each.to_ms, runs.run(each.run).as_of_ms)
        for each in runs.publications(facility)
        if each.standing
    ]


def closed_by(runs: Runs) -> Closed:
    """Whether a published span touches a span."""

    def closed(facility: str, from_ms: int, to_ms: int) -> bool:
        return any(
            each.standing and each.from_ms < to_ms and from_ms < each.to_ms for each in runs.publications(facility)
        )

    return closed


def late_changes(ledger: Ledger, span: ClosedSpan) -> list[LateChange]:
    """By device and quantity; what was changed and changed back is none."""
    found = ledger.rows(
        "SELECT device, quantity, start_ms, end_ms, energy_kwh, quality, reason, recorded_at_ms, superseded_at_ms FROM interval_energy"
        " WHERE facility = ?1 AND start_ms >= ?2 AND start_ms < ?3 AND (recorded_at_ms > ?4 OR superseded_at_ms > ?4)"
        " ORDER BY device, quantity, start_ms, end_ms, version",
        (span.facility, span.from_ms, span.to_ms, span.as_of_ms),
    )
    changes = []
    for (device, quantity), rows in groupby(found, key=lambda row: (row[0], row[1])):
        then, now, spans, recorded = [], [], [], []
        for interval, versions in groupby(rows, key=lambda row: (row[2], row[3])):
            stood, stands, at_ms = None, None, []
            for *_, energy, quality, reason, recorded_ms, superseded_ms in versions:
                content = (Decimal(energy), quality, reason)
                if recorded_ms <= span.as_of_ms:  # then it was superseded later
                    stood = content
                else:
                    at_ms.append(recorded_ms)
                if superseded_ms is None:
                    stands = content
                elif superseded_ms > span.as_of_ms:
                    at_ms.append(superseded_ms)
            if stood != stands:
                spans.append(interval)
                recorded += at_ms
                then += [] if stood is None else [stood[0]]
                now += [] if stands is None else [stands[0]]
        if spans:
            changes.append(
                LateChange(
                    device, quantity, len(spans), spans[0][0], spans[-1][1], _sum(then), _sum(now), min(recorded), max(recorded)
                )
            )  # fmt: skip
    return changes


def _sum(energies: list[Decimal]) -> Decimal | None:
    total: Decimal | None = None
    for energy in energies:
        total = energy if total is None else EXACT.add(total, energy)
    return total
