"""A report in the form that was asked for, by name. Not the forms themselves."""

from collections.abc import Callable
from typing import Final

from aggregator.reports.forms import csv_of, json_of, tables_zip, workbook_of
from aggregator.reports.page import page_of
from aggregator.reports.pdf import pdf_of
from aggregator.reports.report import Report

Form = Callable[[Report, str], bytes]

# name -> (media type, how it is made)
FORMS: Final[dict[str, tuple[str, Form]]] = {
    "html": ("text/html; charset=utf-8", lambda report, language: page_of(report, language).encode()),
    "pdf": ("application/pdf", lambda report, language: pdf_of(page_of(report, language))),
    "csv": ("text/csv; charset=utf-8", csv_of),
    "tables": ("application/zip", tables_zip),
    "json": ("application/json", lambda report, _: json_of(report)),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", workbook_of),
}


def export(report: Report, form: str, language: str) -> bytes:
    """The file's bytes. Raises KeyError (no such form), NoBrowser, OSError (PDF only)."""
    return FORMS[form][1](report, language)
