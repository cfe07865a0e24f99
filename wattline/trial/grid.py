"""What the grid asks for energy and what it emits, hour by hour: from a file, or made up. Not what a site pays in the end (`measured`)."""

import csv
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.flexibility.problem import Currency

HOUR_MS: Final = 3_600_000
_EXPENSIVE: Final = range(16, 21)  # local hours
_CARBON, _PRICE = "carbon_kg_per_kwh", "price_"


class GridFault(ValueError):
    """The file of prices and intensities cannot be used."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Price (money per kWh) and intensity (kg CO2e per kWh) of each hour, repeated for ever from `first_ms` on; `source` for people."""

    prices: tuple[Currency, ...]
    kg_per_kwh: tuple[float, ...]
    first_ms: int
    currency: str
    source: str

    def _row(self, at_ms: int) -> int:
        return (at_ms - self.first_ms) // HOUR_MS % len(self.prices)

    def price(self, at_ms: int) -> Currency:
        """Of the hour of an instant."""
        return self.prices[self._row(at_ms)]

    def kg(self, at_ms: int) -> float:
        """Of the hour of an instant."""
        return self.kg_per_kwh[self._row(at_ms)]


def made_up(zone: ZoneInfo) -> Grid:
    """0.22 a kWh and 0.50 from 16 to 21 o'clock; 0.25 kg a kWh at night, 0.12 at noon, 0.30 in the evening. A day like any other, of no real grid."""
    prices = tuple(0.5 if hour in _EXPENSIVE else 0.22 for hour in range(24))
    kg = tuple(
        0.22 - 0.1 * math.exp(-((hour - 12.5) ** 2) / 12) + 0.08 * math.exp(-((hour - 19.5) ** 2) / 6)
        for hour in range(24)
    )
    first = datetime(2021, 1, 1, tzinfo=zone)
    return Grid(
        prices,
        kg,
        round(first.timestamp() * 1000),
        "",
        "made up: 0.22 and from 16 to 21 o'clock 0.50 a kWh; 0.12 to 0.30 kg a kWh",
    )


def read_grid(path: Path, first_row: datetime) -> Grid:
    """A CSV with one row an hour: carbon_kg_per_kwh and price_<currency>_per_kwh. Raises GridFault with its first fault."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            price = next((one for one in columns if one.startswith(_PRICE) and one.endswith("_per_kwh")), None)
            if price is None or _CARBON not in columns:
                raise GridFault(
                    f"{path}:1: expected columns {_CARBON!r} and 'price_<currency>_per_kwh', got {columns!r}"
                )
            rows = [
                (_number(row, price, path, reader.line_num), _number(row, _CARBON, path, reader.line_num))
                for row in reader
            ]
    except (OSError, UnicodeDecodeError) as error:
        raise GridFault(f"{path}: expected a readable UTF-8 CSV file, got {error}") from error
    if not rows:
        raise GridFault(f"{path}: expected at least one row, got none")
    currency = price.removeprefix(_PRICE).removesuffix("_per_kwh").upper()
    first_ms = round(first_row.timestamp() * 1000)
    return Grid(tuple(row[0] for row in rows), tuple(row[1] for row in rows), first_ms, currency, path.name)


def _number(row: dict[str, str], column: str, path: Path, line: int) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise GridFault(f"{path}:{line}: {column}: expected a number, got {row[column]!r}")
    return value
