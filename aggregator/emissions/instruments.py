"""Market instruments on record: certificates and contracts for electricity, each retired once. Not what they make of a figure (see `market`)."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from aggregator.emissions.csv_table import TableRefused, decimal_cell, instant_cell, table_file
from aggregator.emissions.registry_tables import RegistryTables

# In the order in which the market method takes them.
TYPES: Final = ("gc_hourly", "gec", "rec", "go", "ppa", "direct_line", "supplier_mix")
COLUMNS: Final = ("id", "type", "mwh", "from", "to", "zone", "kg_per_kwh", "owner", "registry_ref", "evidence")


class InstrumentsRefused(Exception):
    """Nothing was changed; `faults` says why, one line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Instrument:
    """`mwh` generated in [from_ms, to_ms) in the market of `zone` (CN, CN-JS), at `kg_per_kwh`; 0 MWh for a supplier's mix, which has no quantity."""

    id: str
    type: str
    mwh: Decimal
    from_ms: int
    to_ms: int
    zone: str
    kg_per_kwh: Decimal
    owner: str
    registry_ref: str
    evidence: str

    @property
    def kwh(self) -> Decimal:
        return self.mwh * 1000


@dataclass(frozen=True, slots=True)
class Retired:
    """An instrument that was retired for a facility."""

    instrument: Instrument
    facility: str
    by: str
    at_ms: int


class Instruments(RegistryTables):
    """The instruments of one registry file."""

    def __init__(self, path: Path | str) -> None:
        """Raises sqlite3.Error, OSError."""
        super().__init__(path, "instruments.sql")

    def add(self, instruments: Iterable[Instrument], by: str, now_ms: int) -> int:
        """Puts instruments on record: all, or none. Raises InstrumentsRefused."""
        faults: list[str] = [] if by.strip() else ["expected the name of who imports them, got none"]
        kept = {instrument.id: instrument for instrument in self.held()}
        refs = {(instrument.type, instrument.registry_ref): instrument.id for instrument in kept.values()}
        fresh: list[Instrument] = []
        for instrument in instruments:
            faults += _faults(instrument)
            if instrument.id in kept:
                if kept[instrument.id] != instrument:
                    faults.append(f"{instrument.id}: on record with other content; an instrument is never edited")
                continue
            other = refs.setdefault((instrument.type, instrument.registry_ref), instrument.id)
            if other != instrument.id:
                faults.append(
                    f"{instrument.id}: {instrument.type} {instrument.registry_ref} is on record as {other}: it would count twice"
                )
            kept[instrument.id] = instrument
            fresh.append(instrument)
        if faults:
            raise InstrumentsRefused(faults)
        with self._transaction():
            self._db.executemany(
                "INSERT INTO instrument VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                [
                    (i.id, i.type, str(i.mwh), i.from_ms, i.to_ms, i.zone, str(i.kg_per_kwh), i.owner, i.registry_ref, i.evidence, by, now_ms)
                    for i in fresh
                ],
            )  # fmt: skip
        return len(fresh)

    def retire(self, instrument: str, facility: str, by: str, now_ms: int) -> None:
        """Retires an instrument for a facility, for good. Raises InstrumentsRefused where it is unknown, or was retired before."""
        faults = [
            f"expected the {what}, got none"
            for what, text in (("facility", facility), ("name of who retires it", by))
            if not text.strip()
        ]
        if instrument not in {held.id for held in self.held()}:
            faults.append(f"{instrument}: no such instrument on record")
        if faults:
            raise InstrumentsRefused(faults)
        try:
            self._db.execute("INSERT INTO retirement VALUES (?,?,?,?)", (instrument, facility, by, now_ms))
        except sqlite3.IntegrityError as error:
            before = next(retired for retired in self.retired() if retired.instrument.id == instrument)
            raise InstrumentsRefused(
                [f"{instrument}: was retired for {before.facility} by {before.by}; an instrument is retired once"]
            ) from error

    def held(self) -> list[Instrument]:
        """Every instrument, retired or not."""
        rows = self._db.execute(
            "SELECT id, type, mwh, from_ms, to_ms, zone, kg_per_kwh, owner, registry_ref, evidence FROM instrument ORDER BY from_ms, id"
        )
        return [
            Instrument(row[0], row[1], Decimal(row[2]), row[3], row[4], row[5], Decimal(row[6]), *row[7:])
            for row in rows
        ]

    def retired(self, facility: str | None = None, as_of_ms: int | None = None) -> list[Retired]:
        """What was retired, for one facility or all, as it was known at `as_of_ms`."""
        by_id = {instrument.id: instrument for instrument in self.held()}
        rows = self._db.execute(
            "SELECT instrument, facility, by, at_ms FROM retirement WHERE (?1 IS NULL OR facility = ?1) AND (?2 IS NULL OR at_ms <= ?2)"
            " ORDER BY at_ms, instrument",
            (facility, as_of_ms),
        )
        return [Retired(by_id[row[0]], *row[1:]) for row in rows]


def _faults(instrument: Instrument) -> Iterator[str]:
    name = instrument.id
    if instrument.type not in TYPES:
        yield f"{name}: expected the type to be one of {', '.join(TYPES)}, got {instrument.type!r}"
    if not name or not instrument.registry_ref or not instrument.evidence or not instrument.zone:
        yield f"{name or 'an instrument'}: expected id, zone, registry_ref and evidence, one is empty"
    if instrument.from_ms >= instrument.to_ms:
        yield f"{name}: expected `to` after `from`"
    if instrument.type == "supplier_mix":
        if instrument.mwh != 0:
            yield f"{name}: expected 0 MWh for a supplier's mix, got {instrument.mwh}"
    elif not instrument.mwh > 0:
        yield f"{name}: expected MWh above 0, got {instrument.mwh}"
    if instrument.type == "gec" and instrument.mwh % 1:
        yield f"{name}: expected whole MWh (one certificate is 1,000 kWh), got {instrument.mwh}"
    if not 0 <= instrument.kg_per_kwh <= Decimal("1.3"):
        yield f"{name}: expected 0 to 1.3 kg/kWh, got {instrument.kg_per_kwh}"


def read_instruments(path: Path) -> list[Instrument]:
    """A CSV file with the columns of COLUMNS; times have an offset, days begin at 00:00 UTC. Raises InstrumentsRefused, OSError."""
    try:
        return table_file(path, COLUMNS, _instrument)
    except TableRefused as error:
        raise InstrumentsRefused(error.faults) from error


def _instrument(row: Mapping[str, str]) -> Instrument:
    return Instrument(
        row["id"], row["type"], decimal_cell(row, "mwh"), instant_cell(row, "from", day=True), instant_cell(row, "to", day=True),
        row["zone"], decimal_cell(row, "kg_per_kwh"), row["owner"], row["registry_ref"], row["evidence"],
    )  # fmt: skip
