"""Readings and interval energies by hand from the rows of a CSV file. Not what is accepted (see `entering`).

device,time,display_kwh,evidence            readings;  with optional columns quantity, reason
device,start,energy_kwh,evidence            interval energies
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.accounts.by_hand.entering import Entering
from aggregator.accounts.by_hand.readings import Entry
from aggregator.emissions.csv_table import ColumnMissing, TableRefused, Torn, cells, decimal_cell

READINGS: Final = ("device", "time", "display_kwh", "evidence")
AMOUNTS: Final = ("device", "start", "energy_kwh", "evidence")
_OPTIONAL: Final = ("quantity", "reason")
ROWS_MAX: Final = 20_000
FAULTS_MAX: Final = 1_000


@dataclass(slots=True)
class Entered:
    """`rows` were good, of which `new` were not known. `faults`: line, and what was expected and seen; `bad` counts all."""

    rows: int = 0
    new: int = 0
    bad: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)

    def fault(self, line: int, said: str) -> None:
        self.bad += 1
        if len(self.faults) < FAULTS_MAX:
            self.faults.append((line, said))


def enter_csv(entering: Entering, facility: str, zone: ZoneInfo, lines: Iterable[str], name: str, by: str) -> Entered:
    """Enters the rows in their order of time. A faulty row stops no other; times without an offset are of `zone`.

    Raises TableRefused where the file is none of the two kinds, and what ledger, store and records raise.
    """
    kept = list(lines)
    header = next(csv.reader(line for line in kept if not line.startswith("#")), [])
    amounts = "energy_kwh" in [column.strip() for column in header]
    columns = AMOUNTS if amounts else READINGS
    done = Entered()
    rows: list[tuple[int, int, dict[str, str]]] = []
    try:
        for line, row in cells(kept, name, columns, optional=_OPTIONAL):
            if len(rows) >= ROWS_MAX:
                raise TableRefused([f"{name}: expected at most {ROWS_MAX} rows"])
            if isinstance(row, Torn):
                done.fault(line, str(row))
                continue
            named = {column: text.strip() for column, text in zip((*columns, *_OPTIONAL), row, strict=True)}
            try:
                rows.append((local_ms(named[columns[1]], columns[1], zone), line, named))
            except ValueError as error:
                done.fault(line, str(error))
    except ColumnMissing as error:
        raise TableRefused([str(error)]) from error
    except (csv.Error, UnicodeError) as error:
        raise TableRefused([f"{name}: expected CSV in UTF-8, {error}"]) from error
    for at_ms, line, named in sorted(rows, key=lambda row: row[:2]):
        try:
            done.new += _enter(entering, facility, at_ms, named, by, amounts=amounts)
            done.rows += 1
        except ValueError as error:
            done.fault(line, str(error))
    done.faults.sort()
    return done


def _enter(entering: Entering, facility: str, at_ms: int, row: Mapping[str, str], by: str, *, amounts: bool) -> bool:
    """Whether it was not known."""
    quantity = row["quantity"] or "energy_import_kwh"
    entry = Entry(row["evidence"], by, row["reason"])
    if amounts:
        return entering.amount(facility, row["device"], quantity, at_ms, decimal_cell(row, "energy_kwh"), entry).new
    return entering.reading(facility, row["device"], quantity, at_ms, decimal_cell(row, "display_kwh"), entry).new


def local_ms(text: str, column: str, zone: ZoneInfo) -> int:
    """UTC ms of a time; one without an offset is of `zone`, and of an hour that comes twice it must give one. Raises ValueError."""
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{column}: expected a time such as 2026-03-05T08:00, got {text!r}") from None
    if local.tzinfo is None:
        first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
        if first.utcoffset() != second.utcoffset():
            raise ValueError(f"{column}: expected an offset, because the clock was changed then, got {text!r}")
        local = first
    return round(local.timestamp() * 1000)
