"""A statement's totals as a report says them. Computed from its lines only, so that a verifier computes them again."""

from typing import Any

from aggregator.accounts.line import Counts
from aggregator.accounts.statement import Statement, plain


def summary(statement: Statement) -> dict[str, Any]:
    """The totals of a statement: kg CO2e of all scopes and of each kind that has lines, exact, as text."""
    coverage = statement.coverage
    kinds = [counts for counts in Counts if any(statement.of(counts))]
    return {
        "profile": statement.profile,
        "as_of_ms": statement.as_of_ms,
        "sha256": statement.sha256,
        "lines": len(statement.lines),
        "kg": plain(statement.kg()),
        "kg_by": {counts.value: plain(statement.kg(counts)) for counts in kinds},
        "expected_intervals": coverage.expected,
        "covered_intervals": coverage.covered,
        "substituted_intervals": coverage.substituted,
        "provisional_intervals": coverage.provisional,
        "complete": statement.complete,
        "notes": list(statement.notes),
    }
