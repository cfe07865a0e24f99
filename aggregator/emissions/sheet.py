"""The text lines of a CSV file or of a workbook's first sheet, so that both are read by one reader (see `csv_table`). Not what a row means.

Of a workbook numbers keep the digits that the sheet shows a program (15 at most), days become ISO days, and a formula gives the value that was saved
with it. Macros, links and other sheets are not looked at.
"""

import csv
import io
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any, Final

from aggregator.emissions.csv_table import TableRefused

UNPACKED_MOST_BYTES: Final = 256 << 20
COLUMNS_MOST: Final = 1000
OLD_WORKBOOKS: Final = (".xls", ".ods", ".xlsb")


def lines_of(raw: bytes, name: str) -> list[str]:
    """Lines of CSV, each with its end. Raises TableRefused."""
    low = name.lower()
    if low.endswith(OLD_WORKBOOKS):
        raise TableRefused(
            [f"{name}: expected CSV in UTF-8 or a workbook of the form .xlsx, got {low.rpartition('.')[2]}"]
        )
    if low.endswith((".xlsx", ".xlsm")) or raw.startswith(b"PK\x03\x04"):
        return list(_sheet(raw, name))
    try:
        return raw.decode("utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise TableRefused(
            [f"{name}: expected CSV in UTF-8, got byte {error.object[error.start]:#04x} at {error.start}"]
        ) from error


def _sheet(raw: bytes, name: str) -> Iterator[str]:
    import openpyxl  # only where somebody brings a workbook

    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > UNPACKED_MOST_BYTES:
            raise TableRefused(
                [f"{name}: expected a workbook of at most {UNPACKED_MOST_BYTES} bytes unpacked, got {size}"]
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl warns of styles that it does not know
            book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True, keep_links=False)
            try:
                width = 0  # of the header: rows that end before it have empty cells there
                for row in book.worksheets[0].iter_rows(values_only=True, max_col=COLUMNS_MOST):
                    cells = _cells(row)
                    width = width or len(cells)
                    yield _line(cells + [""] * (width - len(cells)) if cells else [])
            finally:
                book.close()
    except TableRefused:
        raise
    except Exception as error:
        raise TableRefused(
            [f"{name}: expected a workbook with a sheet, it cannot be read: {str(error)[:200]}"]
        ) from error


def _cells(row: tuple[Any, ...]) -> list[str]:
    """Texts up to the last cell that has one."""
    cells = [_text(cell).replace("\r", " ").replace("\n", " ") for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _line(cells: list[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(cells)
    return written.getvalue()


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else format(cell, ".15g")
    return str(cell)
