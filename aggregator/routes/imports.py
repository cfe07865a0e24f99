"""Import over HTTP: a CSV file as it is, or rows as JSON. Not the reading of rows (`csv_rows`) nor what becomes of them (`aggregator.imports`)."""

import asyncio
import csv
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field, TypeAdapter, ValidationError

from aggregator.imports import FileUnusable, ImportOptions, ImportResult, Kind, import_csv
from aggregator.routes.facilities import Named
from aggregator.routes.guard import Given, Writer, Writing
from aggregator.routes.problem import Problem
from aggregator.routes.query import LATEST_MS, Answer, Parameters
from aggregator.services import Services

router = APIRouter(prefix="/api/v1/facilities/{facility}/import", tags=["import"], dependencies=[Writer])
FAULTS_SHOWN: Final = 100
ROWS_MAX: Final = 100_000
_RETRY_AFTER_S: Final = 5
_TIME, _VALUE = "time", "energy_kwh"  # the columns that JSON rows become


class ImportParameters(Parameters):
    """How the file is to be read; see `wattline import --help`. `time_zone` defaults to the facility's.

    With a `reason` other energies than those imported before are corrections; `by` says whose, with the server's token.
    """

    device: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[str, Field(max_length=64)] = "energy_import_kwh"
    kind: Literal["interval", "counter"] = "interval"
    time_column: Annotated[str, Field(min_length=1, max_length=200)] = _TIME
    value_column: Annotated[str, Field(min_length=1, max_length=200)] = _VALUE
    time_format: Annotated[str, Field(min_length=1, max_length=100)] = "iso"
    time_zone: Annotated[str, Field(max_length=100)] = ""
    interval_s: Annotated[int, Field(ge=1, le=86_400)] = 900
    unit: Annotated[str, Field(max_length=10)] = "kWh"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    decimal_comma: bool = False
    file: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]{1,200}$")] = "upload.csv"

    reason: Annotated[str, Field(max_length=2000)] = ""
    by: Annotated[str, Field(max_length=200)] = ""
    flow_column: Annotated[str, Field(max_length=200)] = ""

    def options(self, facility_id: str, time_zone: str, by: str) -> ImportOptions:
        """Raises Problem where the parameters contradict each other."""
        try:
            return ImportOptions(
                facility=facility_id,
                device=self.device,
                quantity=self.quantity,
                kind=Kind(self.kind),
                time_column=self.time_column,
                value_column=self.value_column,
                unit=self.unit,
                time_zone=self.time_zone or time_zone,
                time_format=self.time_format,
                interval_s=self.interval_s,
                delimiter=self.delimiter,
                decimal_comma=self.decimal_comma,
                reason=self.reason,
                by=by,
                flow_column=self.flow_column,
            )
        except ValueError as error:
            raise Problem(422, "bad query", "import", "options that fit together", str(error)) from error


class RowBody(Answer):
    """`time`: UTC ms, or ISO 8601 (without an offset it is in the time zone asked for); `energy_kwh` exact as text."""

    time: Annotated[int, Field(ge=0, le=LATEST_MS)] | Annotated[str, Field(max_length=40)]
    energy_kwh: Annotated[str, Field(max_length=40)]


class RowsBody(Answer):
    """Rows of an import."""

    rows: Annotated[list[RowBody], Field(max_length=ROWS_MAX)]


class FaultAnswer(Answer):
    """One row that was not taken; lines are counted from 1, the header's included."""

    line: int
    column: str
    expected: str
    seen: str


class ImportAnswer(Answer):
    """What the import did: good `rows`, of which `new` were not known, and `bad` ones, of which the first 100 are in `faults`.

    `aside`: new energies that do not stand, since the meter's counter does.
    """

    rows: int
    new: int
    aside: int
    bad: int
    total_kwh: str
    from_ms: int | None
    to_ms: int | None
    booked: int
    without_factor: int
    faults: list[FaultAnswer]


@router.post(
    "",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/csv": {}, "application/json": {"schema": RowsBody.model_json_schema()}},
        }
    },
)
async def import_rows(
    request: Request, given: Given, named: Named, author: Writing, wanted: Annotated[ImportParameters, Query()]
) -> ImportAnswer:
    """Take interval energies or counter readings. The same file again changes nothing; bad rows are named and stop no other."""
    if wanted.reason.strip():
        author.must("enter")
    by = author.named(wanted.by) if wanted.reason.strip() or wanted.by.strip() else ""
    options = wanted.options(named.id, named.time_zone, by)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {"text/csv", "application/json"}:
        raise Problem(415, "unknown content", "Content-Type", "text/csv or application/json", kind or "nothing")
    running: asyncio.Lock = request.app.state.importing
    if running.locked():
        raise Problem(503, "another import is running", "import", "one at a time", "two", _RETRY_AFTER_S)
    async with running:
        with _file(wanted.file) as path:
            if kind == "text/csv":
                with path.open("wb") as file:
                    async for chunk in request.stream():
                        file.write(chunk)
            else:
                _write_rows(path, await request.body(), wanted)
            try:
                result = await asyncio.to_thread(_import, path, options, given)
            except FileUnusable as error:
                raise Problem(422, "file unusable", "import", "a file as the options say", str(error)) from error
    return _answer(result)


def _import(path: Path, options: ImportOptions, given: Services) -> ImportResult:
    return import_csv(path, options, given.books, given.store, note=given.note)


@contextmanager
def _file(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wattline-import-") as directory:
        yield Path(directory) / name


def _write_rows(path: Path, body: bytes, wanted: ImportParameters) -> None:
    """JSON rows as the CSV file that the import reads."""
    try:
        rows = TypeAdapter(RowsBody).validate_json(body).rows
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        thing = ".".join(str(part) for part in fault["loc"]) or "body"
        raise Problem(
            422, "bad body", thing, fault["msg"].removeprefix("Input should be "), fault.get("input")
        ) from error
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=wanted.delimiter)
        writer.writerow([wanted.time_column, wanted.value_column])
        for row in rows:
            at = row.time if isinstance(row.time, str) else datetime.fromtimestamp(row.time / 1000, UTC).isoformat()
            writer.writerow([at, row.energy_kwh])


def _answer(result: ImportResult) -> ImportAnswer:
    return ImportAnswer(
        rows=result.rows,
        new=result.new,
        aside=result.aside,
        bad=result.bad,
        total_kwh=f"{result.total_kwh:f}",
        from_ms=result.from_ms,
        to_ms=result.to_ms,
        booked=result.booked,
        without_factor=result.without_factor,
        faults=[
            FaultAnswer(line=fault.line, column=fault.column, expected=fault.expected, seen=fault.seen)
            for fault in result.faults[:FAULTS_SHOWN]
        ],
    )
