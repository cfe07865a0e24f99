"""A table of a report: columns that say what is in them, and rows. Not its words in a language, not a file's form."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TypeAlias

Cell: TypeAlias = str | int | Decimal | None


class Shown(Enum):
    """How a column's cells are to be shown."""

    TEXT = "text"  # as it is
    WORD = "word"  # of the report's own vocabulary: translated
    COUNT = "count"
    NUMBER = "number"  # exact, in a unit that stands beside it
    KG = "kg"
    PERCENT = "percent"
    MONEY = "money"  # in a currency that stands beside it
    INSTANT = "instant"  # UTC ms, shown in the facility's time


@dataclass(frozen=True, slots=True)
class Column:
    """`name` is the key of its heading in `words`, and what it is called in JSON."""

    name: str
    shown: Shown = Shown.TEXT


@dataclass(frozen=True, slots=True)
class Table:
    """`name` is the key of its title and the name of its file or sheet. `rows` have a cell for each column; None: there is no figure."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def table(name: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Table:
    """A table. Raises ValueError where a row has another number of cells than there are columns."""
    kept = tuple(tuple(row) for row in rows)
    for row in kept:
        if len(row) != len(columns):
            raise ValueError(f"table {name}: expected {len(columns)} cells, got {len(row)}")
    return Table(name, tuple(columns), kept)
