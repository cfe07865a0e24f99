"""Rows of a CSV file by the names of its columns, each with its line. Not what a row means: whoever reads the file says that."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar

from aggregator.emissions.entry import decimal_of

ROWS_MAX: Final = 1_000_000
T = TypeVar("T")


class ColumnMissing(Exception):
    """The file's first row lacks a column that is needed."""


class Torn(Exception):
    """A row with more or fewer cells than the header: what was expected, what was seen."""

    def __init__(self, expected: int, seen: int) -> None:
        super().__init__(f"row: expected {expected} columns, got {seen}")
        self.expected, self.seen = expected, seen


class TableRefused(Exception):
    """The file cannot be used; `faults` says why, one line each."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = list(faults)


def cells(
    lines: Iterable[str], name: str, columns: Sequence[str], delimiter: str = ",", optional: Sequence[str] = ()
) -> Iterator[tuple[int, tuple[str, ...] | Torn]]:
    """(line, cells of `columns` and then of `optional`, "" where that column is not there) of each row but empty ones.

    Lines that start with # are comments, other columns are passed over. Raises ColumnMissing, csv.Error.
    """
    comments = 0

    def spoken() -> Iterator[str]:
        nonlocal comments
        for line in lines:
            if line.startswith("#"):
                comments += 1
            else:
                yield line

    reader = csv.reader(spoken(), delimiter=delimiter, strict=True)
    header = [column.strip() for column in next(reader, [])]
    missing = [column for column in columns if column not in header]
    if missing:
        seen = ", ".join(map(repr, header)) or "an empty file"
        wanted = f"a column {missing[0]!r}" if len(columns) < 3 else f"the columns {', '.join(columns)}"
        of_many = 2 < len(columns) != len(missing)
        lacks = f"; {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing" if of_many else ""
        raise ColumnMissing(f"{name}: expected {wanted}{lacks}, got {seen}")
    places = [header.index(column) if column in header else -1 for column in (*columns, *optional)]
    for row in reader:
        if not row:
            continue
        line = reader.line_num + comments
        if len(row) != len(header):
            yield line, Torn(len(header), len(row))
        else:
            yield line, tuple("" if place < 0 else row[place] for place in places)


def table(
    lines: Iterable[str],
    name: str,
    columns: Sequence[str],
    read: Callable[[Mapping[str, str]], T],
    optional: Sequence[str] = (),
    rows_max: int = ROWS_MAX,
) -> list[T]:
    """What `read` makes of each row's texts by column, without blanks around them; it raises ValueError. Raises TableRefused: all rows, or none."""
    names = (*columns, *optional)
    found: list[T] = []
    faults: list[str] = []
    try:
        for number, (line, row) in enumerate(cells(lines, name, columns, optional=optional), start=1):
            if number > rows_max:
                raise TableRefused([f"{name}: expected at most {rows_max} rows"])
            if isinstance(row, Torn):
                faults.append(f"{name}:{line}: {row}")
                continue
            try:
                found.append(read({column: text.strip() for column, text in zip(names, row, strict=True)}))
            except ValueError as error:
                faults.append(f"{name}:{line}: {error}")
    except ColumnMissing as error:
        raise TableRefused([str(error)]) from error
    except (csv.Error, UnicodeError) as error:
        raise TableRefused([f"{name}: expected CSV in UTF-8, {error}"]) from error
    if faults:
        raise TableRefused(faults)
    return found


def table_file(
    path: Path, columns: Sequence[str], read: Callable[[Mapping[str, str]], T], rows_max: int = ROWS_MAX
) -> list[T]:
    """`table` of a file. Raises TableRefused, OSError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return table(file, path.name, columns, read, rows_max=rows_max)


def decimal_cell(row: Mapping[str, str], name: str) -> Decimal:
    """The number of a column. Raises ValueError naming it."""
    try:
        return decimal_of(row[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def instant_cell(row: Mapping[str, str], name: str, *, day: bool = False) -> int:
    """UTC ms of a column: a time with its offset; with `day` also a day or a time without one, which are UTC. Raises ValueError naming it."""
    expected = "a day or a time" if day else "a time with its offset"
    try:
        instant = datetime.fromisoformat(row[name])
    except ValueError as error:
        raise ValueError(f"{name}: expected {expected}, got {row[name]!r}") from error
    if instant.tzinfo is None:
        if not day:
            raise ValueError(f"{name}: expected {expected}, got {row[name]!r}")
        instant = instant.replace(tzinfo=UTC)
    return round(instant.timestamp() * 1000)
