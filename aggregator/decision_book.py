"""What people have said that counters did, kept in the ledger's file for good. Applies nothing (see `aggregator.overruling`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aggregator.intervals.counter import CounterChange, CounterEvent
from aggregator.intervals.decision import Decision, Said
from aggregator.ledger import Ledger
from aggregator.stores.store import SeriesKey


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision as it was entered; `superseded_by` is the later one for the same instant, if there is one."""

    id: int
    series: SeriesKey
    decision: Decision
    reason: str
    by: str
    decided_at_ms: int
    evidence: str = ""
    superseded_by: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a counter's readings; it stands until `withdrawn_at_ms`."""

    series: SeriesKey
    event: CounterEvent
    withdrawn_at_ms: int | None


class DecisionBook:
    """Any thread may call. Raises LedgerBusy."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def enter(
        self, series: SeriesKey, decision: Decision, reason: str, by: str, now_ms: int, evidence: str = ""
    ) -> int:
        """Appends a decision; gives its id."""
        with self._ledger.transaction() as db:
            row = db.execute(
                "INSERT INTO counter_decision (facility, edge, device, quantity, at_ms, change, modulus_kwh, old_last_kwh,"
                " new_first_kwh, until_ms, reason, decided_by, decided_at_ms, evidence) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING id",
                (
                    *series, decision.at_ms, decision.said.value, _text(decision.modulus), _text(decision.old_last),
                    _text(decision.new_first), decision.until_ms, reason, by, now_ms, evidence,
                ),
            ).fetchone()  # fmt: skip
        return int(row[0])

    def standing(self, series: SeriesKey) -> list[Decision]:
        """The last decision for each instant of a series, ordered by instant."""
        found = self._ledger.rows(
            "SELECT at_ms, change, modulus_kwh, old_last_kwh, new_first_kwh, until_ms FROM counter_decision WHERE id IN"
            " (SELECT max(id) FROM counter_decision WHERE facility = ? AND edge = ? AND device = ? AND quantity = ? GROUP BY at_ms)"
            " ORDER BY at_ms",
            series,
        )
        return [_decision(row) for row in found]

    def decided(self, facility: str, from_ms: int, to_ms: int, device: str | None, limit: int) -> list[Decided]:
        """Every decision that touches [from_ms, to_ms), superseded ones included, ordered by instant and then as entered."""
        found = self._ledger.rows(
            "SELECT at_ms, change, modulus_kwh, old_last_kwh, new_first_kwh, until_ms, id, facility, edge, device, quantity, reason,"
            " decided_by, decided_at_ms, evidence, (SELECT min(later.id) FROM counter_decision later WHERE later.facility = d.facility"
            " AND later.edge = d.edge AND later.device = d.device AND later.quantity = d.quantity AND later.at_ms = d.at_ms"
            " AND later.id > d.id) FROM counter_decision d WHERE facility = ? AND coalesce(until_ms, at_ms) >= ? AND at_ms < ?"
            " AND (? IS NULL OR device = ?) ORDER BY at_ms, id LIMIT ?",
            (facility, from_ms, to_ms, device, device, limit),
        )
        return [Decided(row[6], SeriesKey(*row[7:11]), _decision(row), *row[11:]) for row in found]

    def found(self, facility: str, from_ms: int, to_ms: int, device: str | None, limit: int) -> list[Found]:
        """What was found in the facility's counters at from_ms <= at_ms < to_ms, ordered by instant; what no longer stands too."""
        found = self._ledger.rows(
            "SELECT facility, edge, device, quantity, change, at_ms, before_ms, before, after, substituted_kwh, superseded_at_ms"
            " FROM counter_event WHERE facility = ? AND at_ms >= ? AND at_ms < ? AND (? IS NULL OR device = ?)"
            " ORDER BY at_ms, recorded_at_ms LIMIT ?",
            (facility, from_ms, to_ms, device, device, limit),
        )
        return [
            Found(
                SeriesKey(*row[:4]),
                CounterEvent(CounterChange(row[4]), row[5], row[6], Decimal(row[7]), Decimal(row[8]), _decimal(row[9])),
                row[10],
            )
            for row in found
        ]


def _decision(row: Sequence[Any]) -> Decision:
    at_ms, change, modulus, old_last, new_first, until_ms = row[:6]
    return Decision(at_ms, Said(change), _decimal(modulus), _decimal(old_last), _decimal(new_first), until_ms)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
