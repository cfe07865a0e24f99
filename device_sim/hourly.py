"""Measured profiles with one row per hour: a column of energies, scaled, over local wall time. Not CSVs that carry their own instants (`profile`)."""

import csv
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from device_sim.profile import UJ_PER_KWH, IntervalEnergies, ProfileFaults, wall_ms
from device_sim.site_table import Table

HOUR_MS: Final = 3_600_000
_MAX_ROWS: Final = 1_000_000
_MAX_REPORTED: Final = 20


@dataclass(frozen=True, slots=True)
class MeasuredSunPlan:
    """A PV plant that gives what another one has given, scaled to its peak."""

    peak_kw: float
    intervals: IntervalEnergies


def read_hourly(path: Path, column: str, first_row_local: datetime, scale: Decimal) -> IntervalEnergies:
    """The energies of `column` (kWh) times `scale`, the first in the hour of `first_row_local`. Raises ProfileFaults with up to 20 bad rows."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if column not in (reader.fieldnames or ()):
                raise ProfileFaults([f"{path}:1: expected a column {column!r}, got {list(reader.fieldnames or ())!r}"])
            energies, faults = list[int](), list[str]()
            for row in reader:
                try:
                    energies.append(_uj(row[column] or "", scale))
                except (ValueError, InvalidOperation):
                    where = f"{path}:{reader.line_num}: {column}"
                    faults.append(f"{where}: expected kWh of an hour, at least 0, got {row[column]!r}")
                if len(faults) >= _MAX_REPORTED or len(energies) > _MAX_ROWS:
                    break
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileFaults([f"{path}: expected a readable UTF-8 CSV file, got {error}"]) from error
    if not energies and not faults:
        faults.append(f"{path}: expected at least one row, got none")
    if faults:
        raise ProfileFaults(faults)
    return IntervalEnergies(path.name, wall_ms(first_row_local), HOUR_MS, tuple(energies))


def _uj(text: str, scale: Decimal) -> int:
    energy = Decimal(text) * scale * UJ_PER_KWH
    if not energy.is_finite() or energy < 0:
        raise ValueError(text)
    return round(energy)


def hourly_profile(table: Table, directory: Path, default_column: str, scale_ratio: float) -> IntervalEnergies | None:
    """Reads the keys `file`, `column` and `first_row_local` of a table; None where one of them has a fault, which is noted."""
    file = table.text("file", None)
    column = table.text("column", default_column)
    said = table.text("first_row_local", None)
    try:
        first = datetime.fromisoformat(said)
    except ValueError:
        first = None
    if first is None or first.tzinfo is not None:
        if said:
            table.fault("first_row_local", "an ISO local time without zone", repr(said))
        return None
    if not file:
        return None
    try:
        return read_hourly(directory / file, column, first, Decimal(repr(scale_ratio)))
    except ProfileFaults as error:
        table.fault("file", "an hourly profile without faults", str(error))
        return None
