"""Hourly grid intensity on record: what a provider said of a zone's hours, and when. Not which factor applies (see `resolution`)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from aggregator.emissions.csv_table import TableRefused, decimal_cell, instant_cell, table_file
from aggregator.emissions.entry import SIGNALS
from aggregator.emissions.registry_tables import RegistryTables

COLUMNS: Final = ("zone", "signal", "start", "end", "g_per_kwh", "provider", "published", "estimated")
HOUR_MS: Final = 3_600_000
# A grid of brown coal alone has about 1.2 kg/kWh; marginal plants may be dirtier. Outside lies a slip of unit (lb/MWh, kg/MWh for g).
HIGHEST_KG_PER_KWH: Final = Decimal(2)


class IntensityRefused(Exception):
    """Nothing was changed; `faults` says why, one line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class HourlyFactor:
    """The intensity of a zone in [start_ms, end_ms), at most an hour; `estimated` by the provider, published at `published_at_ms`."""

    zone: str
    signal: str
    start_ms: int
    end_ms: int
    kg_per_kwh: Decimal
    provider: str
    published_at_ms: int
    estimated: bool = False
    boundary: str = "direct"

    @property
    def source(self) -> str:
        published = datetime.fromtimestamp(self.published_at_ms / 1000, UTC).isoformat(timespec="minutes")
        return f"{self.provider}, published {published}"


class GridIntensities(RegistryTables):
    """The series of one registry file."""

    def __init__(self, path: Path | str) -> None:
        """Raises sqlite3.Error, OSError."""
        super().__init__(path, "intensity.sql")

    def add(self, rows: Iterable[HourlyFactor], by: str, now_ms: int) -> int:
        """Puts rows on record: all, or none; those on record already are passed over. Raises IntensityRefused."""
        rows = list(rows)
        faults = [] if by.strip() else ["expected the name of who imports them, got none"]
        faults += [fault for row in rows for fault in _faults(row)]
        new = 0
        with self._transaction():
            for row in rows:
                kept = self._db.execute(
                    "SELECT kg_per_kwh, end_ms FROM grid_intensity WHERE zone = ? AND signal = ? AND start_ms = ? AND provider = ?"
                    " AND published_at_ms = ?",
                    (row.zone, row.signal, row.start_ms, row.provider, row.published_at_ms),
                ).fetchone()
                if kept is None:
                    self._db.execute(
                        "INSERT INTO grid_intensity VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                        (row.zone, row.signal, row.start_ms, row.end_ms, row.provider, row.published_at_ms, str(row.kg_per_kwh),
                         row.boundary, row.estimated, by, now_ms),
                    )  # fmt: skip
                    new += 1
                elif (Decimal(kept[0]), kept[1]) != (row.kg_per_kwh, row.end_ms):
                    faults.append(
                        f"{row.zone} {_text(row.start_ms)}: on record {Decimal(kept[0]) * 1000} g/kWh, the file says {row.kg_per_kwh * 1000}"
                        " under the same publication: a change needs a later one"
                    )
            if faults:
                raise IntensityRefused(faults)
        return new

    def at(self, zone: str, signal: str, at_ms: int, as_of_ms: int) -> HourlyFactor | None:
        """What was said last of the hour of `at_ms`, as it was on record at `as_of_ms`."""
        row = self._db.execute(
            "SELECT zone, signal, start_ms, end_ms, kg_per_kwh, provider, published_at_ms, estimated, boundary FROM grid_intensity"
            " WHERE zone = ? AND signal = ? AND start_ms > ? AND start_ms <= ? AND end_ms > ? AND boundary = 'direct'"
            " AND recorded_at_ms <= ? ORDER BY published_at_ms DESC, start_ms DESC, provider LIMIT 1",
            (zone, signal, at_ms - HOUR_MS, at_ms, at_ms, as_of_ms),
        ).fetchone()
        if row is None:
            return None
        return HourlyFactor(
            row[0], row[1], row[2], row[3], Decimal(row[4]), row[5], row[6], estimated=bool(row[7]), boundary=row[8]
        )

    def changed_ms(self, zone: str, before_ms: int) -> int:
        """When something was last put on record of a zone's hours before an instant; 0: never."""
        row = self._db.execute(
            "SELECT max(recorded_at_ms) FROM grid_intensity WHERE zone = ? AND start_ms < ?", (zone, before_ms)
        ).fetchone()
        return row[0] or 0


def _faults(row: HourlyFactor) -> Iterator[str]:
    name = f"{row.zone or 'no zone'} {_text(row.start_ms)}"
    if not row.zone or not row.provider:
        yield f"{name}: expected zone and provider, one is empty"
    if row.signal not in SIGNALS:
        yield f"{name}: expected the signal to be one of {', '.join(SIGNALS)}, got {row.signal!r}"
    if not 0 < row.end_ms - row.start_ms <= HOUR_MS:
        yield f"{name}: expected an end after the start and within an hour"
    if not 0 <= row.kg_per_kwh <= HIGHEST_KG_PER_KWH:
        yield f"{name}: expected 0 to {HIGHEST_KG_PER_KWH * 1000} g/kWh, got {row.kg_per_kwh * 1000}"


def read_intensities(path: Path) -> list[HourlyFactor]:
    """A CSV file with the columns of COLUMNS; every time has an offset, `estimated` is yes or no. Raises IntensityRefused, OSError."""
    try:
        return table_file(path, COLUMNS, _row)
    except TableRefused as error:
        raise IntensityRefused(error.faults) from error


def _row(row: Mapping[str, str]) -> HourlyFactor:
    grams = decimal_cell(row, "g_per_kwh")
    if row["estimated"] not in ("yes", "no"):
        raise ValueError(f"estimated: expected yes or no, got {row['estimated']!r}")
    return HourlyFactor(
        row["zone"], row["signal"], instant_cell(row, "start"), instant_cell(row, "end"), grams.scaleb(-3), row["provider"],
        instant_cell(row, "published"), row["estimated"] == "yes",
    )  # fmt: skip


def _text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="minutes")
