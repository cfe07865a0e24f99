"""Writes tables as an XLSX workbook (ECMA-376, transitional): strings, numbers, bold headings, column widths. Reads none, knows no formula.

A workbook's numbers are binary floats, which keep 15 digits; an amount with more is written as text, so that no digit is lost without a word.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_FLOAT_DIGITS: Final = 15
_MOST_ROWS: Final = 1_048_576
_MOST_CHARACTERS: Final = 32_767
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_NOT_IN_NAMES: Final = re.compile(r"[\[\]:*?/\\]")
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SHEET_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_STYLES: Final = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)

Value = str | int | Decimal | None


def workbook(sheets: Sequence[tuple[str, Sequence[Sequence[Value]]]]) -> bytes:
    """The file of (title, rows) sheets; of each the first row is the heading. The same sheets give the same bytes. Raises ValueError."""
    if not sheets:
        raise ValueError("workbook: expected at least one sheet")
    names = _sheet_names([name for name, _ in sheets])
    count = range(1, len(sheets) + 1)
    override = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_SHEET_TYPE}.worksheet+xml"/>' for n in count
    )
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>' for n, name in zip(count, names, strict=True)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET_TYPE}.sheet.main+xml"/>{override}'
        f'<Override PartName="/xl/styles.xml" ContentType="{_SHEET_TYPE}.styles+xml"/></Types>',
        "_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations(
            [*(("worksheet", f"worksheets/sheet{n}.xml") for n in count), ("styles", "styles.xml")]
        ),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            _write(archive, name, _HEAD + content)
        _write(archive, "xl/styles.xml", _STYLES)
        for n, (_, rows) in zip(count, sheets, strict=True):
            _write(archive, f"xl/worksheets/sheet{n}.xml", _sheet(rows))
    return made.getvalue()


def _write(archive: zipfile.ZipFile, name: str, content: str) -> None:
    entry = zipfile.ZipInfo(name)  # 1980-01-01: the same workbook is the same bytes
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content.encode())


def _relations(parts: Iterable[tuple[str, str]]) -> str:
    listed = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(parts, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{listed}</Relationships>'


def _sheet_names(names: Sequence[str]) -> list[str]:
    """At most 31 characters, none of []:*?/\\, and none twice."""
    found: list[str] = []
    for name in names:
        short = _NOT_IN_NAMES.sub(" ", name).strip("' ")[:31] or "sheet"
        number = 1
        while short.lower() in {other.lower() for other in found}:
            number += 1
            short = f"{short[:27]} {number}"
        found.append(short)
    return found


def _sheet(rows: Sequence[Sequence[Value]]) -> str:
    if len(rows) > _MOST_ROWS:
        raise ValueError(f"workbook: expected at most {_MOST_ROWS} rows in a sheet, got {len(rows)}")
    width = max((len(row) for row in rows), default=0)
    widths = [
        min(60, max(len(str(row[at])) if at < len(row) and row[at] is not None else 0 for row in rows[:200]) + 2)
        for at in range(width)
    ]
    columns = "".join(
        f'<col min="{at}" max="{at}" width="{wide}" customWidth="1"/>' for at, wide in enumerate(widths, 1)
    )
    body = "".join(
        f'<row r="{n}">{"".join(_cell(value, f"{_letters(at)}{n}", bold=n == 1) for at, value in enumerate(row))}</row>'
        for n, row in enumerate(rows, 1)
    )
    frozen = '<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
    return f'{_HEAD}<worksheet xmlns="{_MAIN}">{frozen}{f"<cols>{columns}</cols>" if columns else ""}<sheetData>{body}</sheetData></worksheet>'


def _cell(value: Value, at: str, *, bold: bool) -> str:
    style = ' s="1"' if bold else ""
    if value is None:
        return ""
    if not isinstance(value, str) and _fits(value):
        return (
            f'<c r="{at}"{style}><v>{value:f}</v></c>'
            if isinstance(value, Decimal)
            else f'<c r="{at}"{style}><v>{value}</v></c>'
        )
    text = value if isinstance(value, str) else f"{value:f}" if isinstance(value, Decimal) else str(value)
    clean = _NOT_XML.sub("\ufffd", text)[:_MOST_CHARACTERS]
    return f'<c r="{at}" t="inlineStr"{style}><is><t xml:space="preserve">{escape(clean)}</t></is></c>'


def _fits(value: int | Decimal) -> bool:
    """Whether a binary float keeps every digit."""
    digits = Decimal(value).normalize().as_tuple()
    return len(digits.digits) <= _FLOAT_DIGITS


def _letters(at: int) -> str:
    """A, B, ... Z, AA, ..."""
    at += 1
    found = ""
    while at:
        at, rest = divmod(at - 1, 26)
        found = chr(65 + rest) + found
    return found
