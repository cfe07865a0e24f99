"""A report's tables as files: CSV, a zip file of CSV, JSON, XLSX. Not the page for people to read (see `page`)."""

import csv
import io
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from aggregator.accounts.statement import plain
from aggregator.audit.evidence import zipped
from aggregator.emissions.entry import as_json
from aggregator.reports.report import FORMAT, FactorSeen, Report
from aggregator.reports.spreadsheet import Value, workbook
from aggregator.reports.summary import summary
from aggregator.reports.table import Cell, Shown, Table
from aggregator.reports.tables import tables_of
from aggregator.reports.words import instant, shown, word

_FORMULA: Final = re.compile(r"[=+\-@\t\r]")


def csv_of(report: Report, language: str) -> bytes:
    """All tables in one file, each behind a line with its name and an empty line before it."""
    made = io.StringIO()
    for at, each in enumerate(tables_of(report)):
        made.write("\n" if at else "")
        csv.writer(made, lineterminator="\n").writerow([f"# {each.name}", word(each.name, language)])
        made.write(_csv(each, report, language))
    return made.getvalue().encode("utf-8-sig")


def csv_files(report: Report, language: str) -> dict[str, bytes]:
    """A file for each table, by name; exact numbers, times with their offset."""
    return {f"{each.name}.csv": _csv(each, report, language).encode("utf-8-sig") for each in tables_of(report)}


def tables_zip(report: Report, language: str) -> bytes:
    """The same as a zip file."""
    return zipped(csv_files(report, language))


def _csv(each: Table, report: Report, language: str) -> str:
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(word(column.name, language) for column in each.columns)
    for row in each.rows:
        writer.writerow(
            _harmless(cell, shown(cell, column.shown, language, report.zone, exact=True))
            for cell, column in zip(row, each.columns, strict=True)
        )
    return made.getvalue()


def _harmless(cell: Cell, text: str) -> str:
    """Text that a spreadsheet would take for a formula is kept from it."""
    return f"'{text}" if isinstance(cell, str) and _FORMULA.match(text) else text


def workbook_of(report: Report, language: str) -> bytes:
    """An XLSX file with a sheet for each table."""
    sheets: list[tuple[str, list[list[Value]]]] = []
    for each in tables_of(report):
        rows: list[list[Value]] = [[word(column.name, language) for column in each.columns]]
        for row in each.rows:
            cells: list[Value] = []
            for cell, column in zip(row, each.columns, strict=True):
                if column.shown in (Shown.WORD, Shown.INSTANT) and cell is not None:
                    cells.append(shown(cell, column.shown, language, report.zone, exact=True))
                else:
                    cells.append(cell)
            rows.append(cells)
        sheets.append((word(each.name, language), rows))
    return workbook(sheets)


# -- JSON, which has no language ------------------------------------------------------------------------------------------


def json_of(report: Report) -> bytes:
    """Everything, lines included; decimals as text."""
    said = head(report) | {
        "lines": {s.profile: [plain(line) for line in s.lines] for s in report.statements},
        "tables": {each.name: _table_json(each, report) for each in tables_of(report)},
    }
    return encoded(said)


def head(report: Report) -> dict[str, Any]:
    """What a report is of, what it says in all, and what stands behind it; without its lines."""
    return {
        "format": FORMAT,
        "facility": report.facility,
        "name": report.name,
        "time_zone": report.time_zone,
        "from_ms": report.from_ms,
        "to_ms": report.to_ms,
        "as_of_ms": report.as_of_ms,
        "from": instant(report.from_ms, report.zone),
        "to": instant(report.to_ms, report.zone),
        "statements": [summary(statement) for statement in report.statements],
        "factors": [factor_json(seen) for seen in report.factors],
        "restatements": [plain(each) for each in report.restatements],
        "proofs": [plain(each) for each in report.proofs],
        "runs": [{"profile": of.profile, "run": of.run, "publication": of.publication} for of in report.runs],
        "roundings": [plain(each) for each in report.roundings],
        "costs": [plain(each) for each in report.costs],
    }


def factor_json(seen: FactorSeen) -> dict[str, Any]:
    """A factor as lines name it, and its entry or parts of the registry."""
    return {
        "applied": plain(seen.applied),
        "entry": None if seen.entry is None else as_json(seen.entry),
        "parts": [as_json(part) for part in seen.parts],
    }


def _table_json(each: Table, report: Report) -> list[dict[str, Any]]:
    names = [column.name for column in each.columns]
    shown_as = [column.shown for column in each.columns]
    return [
        {
            name: instant(cell, report.zone) if how is Shown.INSTANT and isinstance(cell, int) else plain(cell)
            for name, how, cell in zip(names, shown_as, row, strict=True)
        }
        for row in each.rows
    ]


def encoded(said: Mapping[str, Any] | list[Any]) -> bytes:
    """The one spelling of a JSON document of ours."""
    return json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
