"""The shape of every export: a head, columns and rows, as CSV or JSON. Not what stands in it (see the regimes' files).

Decimals are text, unknown is null in JSON and empty in CSV. Figures are rounded once, half-even, here.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from aggregator.accounts.statement import Statement
from aggregator.emissions.formulas.worked import shown
from aggregator.facility import Facility

DECIMALS: Final = 9  # of a tonne, a MWh, a ratio: a milligram of CO2e
# A cell that begins so is a formula to a spreadsheet.
_FORMULA: Final = ("=", "+", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Export:
    """`head` says what it is of and its totals; `rows` have the keys of `columns`. `documents`: what goes out as JSON in place of both."""

    regime: str
    head: Mapping[str, Any]
    columns: Sequence[str]
    rows: Sequence[Mapping[str, str | None]]
    documents: Sequence[Mapping[str, Any]] | None = None


class CannotExport(ValueError):
    """What a regime needs is not there; the message says what was expected and seen."""


def as_json(made: Export) -> bytes:
    """UTF-8, indented."""
    said: Any = {"regime": made.regime, **made.head, "rows": [dict(row) for row in made.rows]}
    if made.documents is not None:
        said = {"data": [dict(document) for document in made.documents]}
    return json.dumps(said, ensure_ascii=False, indent=2).encode() + b"\n"


def as_csv(made: Export) -> bytes:
    """UTF-8 with a byte order mark, so that spreadsheets read Chinese; the head as comments, then the rows."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for name, value in made.head.items():
        if not isinstance(value, Mapping | list):
            out.write(f"# {name}: {'' if value is None else ' '.join(str(value).split())}\r\n")
    writer.writerow(made.columns)
    for row in made.rows:
        writer.writerow([_cell(row.get(column)) for column in made.columns])
    return out.getvalue().encode("utf-8-sig")


def _cell(text: str | None) -> str:
    if text is None:
        return ""
    return f"'{text}" if text.startswith(_FORMULA) else text


def tonnes(kg: Decimal | Fraction | None) -> str | None:
    return None if kg is None else shown(Fraction(kg) / 1000, DECIMALS)


def text(value: Decimal | Fraction | None) -> str | None:
    return None if value is None else shown(Fraction(value), DECIMALS)


def head_of(statement: Statement, facility: Facility) -> dict[str, Any]:
    """What every export says of its statement."""
    return {
        "facility": facility.id,
        "name": facility.name or facility.id,
        "place": facility.place,
        "profile": statement.profile,
        "from": local(statement.from_ms, facility.zone),
        "to": local(statement.to_ms, facility.zone),
        "known": local(statement.as_of_ms, facility.zone),
        "statement_sha256": statement.sha256,
    }


def local(at_ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).isoformat(timespec="seconds")


def reasons(statement: Statement, kept: Sequence[str]) -> list[str]:
    """Why lines that count there have no figure, each once."""
    lines = (line for line in statement.lines if line.counts in kept and line.kg is None)
    return sorted({f"{line.source}: {line.why or 'no figure'}" for line in lines})
