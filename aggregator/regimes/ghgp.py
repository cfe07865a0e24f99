"""GHG Protocol: scopes, with scope 2 both ways side by side, and everything that is shown apart. Not the profiles' rules."""

from decimal import Decimal
from typing import Final

from aggregator.accounts.line import Counts
from aggregator.accounts.statement import Statement
from aggregator.facility import Facility
from aggregator.regimes.form import Export, head_of, reasons, text, tonnes

LOCATION: Final = "GHGP-LB"
MARKET: Final = "GHGP-MB"
COLUMNS: Final = ("line", "method", "emissions_t", "quantity", "unit", "complete", "why")
_APART: Final = (
    (Counts.BIOGENIC, "biogenic CO2, outside the scopes"), (Counts.LIFE_CYCLE, "upstream of energy, grid losses"),
    (Counts.REMOVED, "removals"), (Counts.AVOIDED, "avoided, never taken off"),
)  # fmt: skip


def ghgp(location: Statement, market: Statement, facility: Facility) -> Export:
    """One row a scope and method. Nothing is taken off a scope: removals, exports and what was avoided stand on rows of their own."""
    rows = [
        _row(location, Counts.SCOPE_1, "scope 1", "both"),
        _row(location, Counts.SCOPE_2, "scope 2", "location-based"),
        _row(market, Counts.SCOPE_2, "scope 2", "market-based"),
        _row(location, Counts.SCOPE_3, "scope 3 (recorded)", "both"),
        *(_row(location, counts, said, "apart") for counts, said in _APART if any(location.of(counts))),
    ]
    exported = [
        line for line in location.of(Counts.EXPORTED) if line.carrier == "electricity" and line.quantity is not None
    ]
    if exported:
        kwh = sum((line.quantity for line in exported if line.quantity is not None), Decimal(0))
        row = dict.fromkeys(COLUMNS) | {
            "line": "electricity exported",
            "method": "apart",
            "quantity": text(kwh),
            "unit": "kWh",
        }
        rows.append(row)
    head = head_of(location, facility) | {
        "profile": f"{LOCATION} and {MARKET}",
        "market_statement_sha256": market.sha256,
        "total_location_t": _total(location),
        "total_market_t": _total(market),
        "marks": sorted({mark for line in (*location.lines, *market.lines) for mark in line.marks}),
        "gwp": "AR6",
    }
    return Export("GHGP", head, COLUMNS, rows)


def _total(statement: Statement) -> str | None:
    return tonnes(statement.kg()) if statement.complete else None


def _row(statement: Statement, counts: Counts, said: str, method: str) -> dict[str, str | None]:
    why = reasons(statement, [counts]) or ([] if any(statement.of(counts)) else ["nothing of it is on record"])
    return {
        "line": said,
        "method": method,
        "emissions_t": tonnes(statement.kg(counts)),
        "quantity": None,
        "unit": None,
        "complete": "no" if why else "yes",
        "why": "; ".join(why) or None,
    }
