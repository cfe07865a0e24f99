"""What people and other programs have said that plans go by: prices of the hours, and stays at chargers. Not the settings, and no plan."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from aggregator.accounts.record_file import RecordFile, RecordsRefused
from aggregator.emissions.csv_table import decimal_cell, instant_cell, table_file
from aggregator.flexibility.operation.tariff import ToldPrices
from aggregator.flexibility.problem import Currency
from aggregator.planning.stays import Declared

COLUMNS: Final = ("start", "end", "import_price", "export_price")
LONGEST_MS: Final = 3_600_000 * 24
ROWS_MAX: Final = 100_000
_HIGHEST: Final = 1e4  # money per kWh; beyond it is a slip of unit


@dataclass(frozen=True, slots=True)
class PriceRow:
    """The prices of [start_ms, end_ms), money per kWh; `export_price` None: as the tariff says."""

    start_ms: int
    end_ms: int
    import_price: Currency
    export_price: Currency | None = None


def price_file(path: Path) -> list[PriceRow]:
    """Rows of a CSV file. Raises TableRefused with every fault, OSError."""

    def read(row: Mapping[str, str]) -> PriceRow:
        sold = float(decimal_cell(row, "export_price")) if row["export_price"] else None
        return PriceRow(
            instant_cell(row, "start"), instant_cell(row, "end"), float(decimal_cell(row, "import_price")), sold
        )

    return table_file(path, COLUMNS, read, ROWS_MAX)


class ToldFile(RecordFile):
    """In the file of the plans; any thread may call. Raises RecordsBusy."""

    def __init__(self, path: Path | str) -> None:
        """Raises RecordsUnusable."""
        super().__init__(path, "plans.sql", "aggregator.planning")

    def tell_prices(self, facility: str, rows: Sequence[PriceRow], version: str, by: str, now_ms: int) -> str:
        """Puts prices on record; of one time the version that came last counts. `version` "": a hash of the rows. Raises RecordsRefused."""
        if faults := _faults(rows):
            raise RecordsRefused(faults)
        version = version or hashlib.sha256(json.dumps([asdict(row) for row in rows]).encode()).hexdigest()[:16]
        with self.transaction() as db:
            db.executemany(
                "INSERT INTO told_price VALUES (?,?,?,?,?,?,?,?)",
                [
                    (facility, version, now_ms, by, row.start_ms, row.end_ms, row.import_price, row.export_price)
                    for row in rows
                ],
            )
        return version

    def prices(self, facility: str, from_ms: int, until_ms: int) -> ToldPrices | None:
        """What is told of [from_ms, until_ms), the newest word on each time; None where nothing is."""
        found = self.rows(
            "SELECT start_ms, end_ms, import_price, export_price, version FROM told_price"
            " WHERE facility = ? AND end_ms > ? AND start_ms < ? ORDER BY at_ms DESC, rowid DESC",
            (facility, from_ms, until_ms),
        )
        newest: dict[int, tuple[int, int, Currency, Currency | None, str]] = {}
        for row in found:
            newest.setdefault(row[0], tuple(row))
        rows = [newest[start_ms] for start_ms in sorted(newest)]
        if not rows:
            return None
        return ToldPrices(", ".join(sorted({row[4] for row in rows})), tuple(row[:4] for row in rows))

    def declare(self, facility: str, declared: Declared) -> None:
        """Puts a word on record; the last one on a stay counts."""
        with self.transaction() as db:
            db.execute(
                "INSERT INTO declared_stay (facility, asset, at_ms, said_by, body) VALUES (?,?,?,?,?)",
                (facility, declared.asset, declared.at_ms, declared.by, json.dumps(asdict(declared))),
            )

    def declared(self, facility: str, since_ms: int) -> Mapping[str, Sequence[Declared]]:
        """By asset, in the order in which they were said."""
        found: dict[str, list[Declared]] = {}
        for asset, body in self.rows(
            "SELECT asset, body FROM declared_stay WHERE facility = ? AND at_ms >= ? ORDER BY no", (facility, since_ms)
        ):
            found.setdefault(asset, []).append(Declared(**json.loads(body)))
        return found


def _faults(rows: Sequence[PriceRow]) -> list[str]:
    found = [] if rows else ["prices: expected at least one row, got none"]
    last_ms = 0
    for number, row in enumerate(rows, start=1):
        if not 0 < row.end_ms - row.start_ms <= LONGEST_MS:
            found.append(
                f"prices, row {number}: expected its end at most a day after its start, got {row.start_ms} to {row.end_ms}"
            )
        if row.start_ms < last_ms:
            found.append(
                f"prices, row {number}: expected its start at or after the end of the row before ({last_ms}), got {row.start_ms}"
            )
        found += [
            f"prices, row {number}: expected -{_HIGHEST:g} to {_HIGHEST:g} per kWh, got {price}"
            for price in (row.import_price, row.export_price)
            if price is not None and not abs(price) <= _HIGHEST
        ]
        last_ms = max(last_ms, row.end_ms)
    return found[:100]
