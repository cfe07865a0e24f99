"""The books of emissions: factors on record, what is booked for each interval, and totals with their coverage.

Not the arithmetic (see `emissions`), not the intervals themselves (see `ledger`).
"""

# ruff: noqa: S608 (statements are put together from constant text only)
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from aggregator.emissions.booking import PROFILE, Booker, Emission, EmissionRate, Energy
from aggregator.emissions.entry import Entry
from aggregator.emissions.factors import UNIT, FactorTable, FactorVersion, Pack, shipped
from aggregator.emissions.place import FactorOverride, Place
from aggregator.emissions.resolution import HourlyLookup, Resolution, Skipped
from aggregator.facility import Facility, Role
from aggregator.intervals.local_time import day_span_ms
from aggregator.ledger import STANDING, IntervalRow, Kept, Ledger, LedgerUnusable
from wire.reading import Json

BOOKED_QUANTITY: Final = "energy_import_kwh"


@dataclass(frozen=True, slots=True)
class EmissionRow:
    """A booked emission as the ledger has it; `emission.resolution` names factor, version, data year, marks and what was skipped."""

    facility: str
    emission: Emission
    version: int
    profile: str = PROFILE


@dataclass(frozen=True, slots=True)
class EmissionTotal:
    """Emissions of [from_ms, to_ms). `kg` is exact and None where nothing has a figure; `covered` of `expected` intervals have one.

    `energy_kwh` is all import of the span, `covered_kwh` the part of it that `kg` stands for.
    """

    from_ms: int
    to_ms: int
    kg: Decimal | None
    energy_kwh: Decimal | None
    covered_kwh: Decimal
    covered: int
    expected: int
    provisional: int
    until_ms: int | None
    marks: tuple[str, ...]
    profile: str = PROFILE

    @property
    def coverage_ratio(self) -> Decimal:
        return Decimal(self.covered) / self.expected if self.expected else Decimal(0)


@dataclass(frozen=True, slots=True)
class Entered:
    """What an entry has changed: intervals, the emissions booked for them, and intervals without a figure any longer."""

    intervals: list[IntervalRow]
    emissions: list[Emission]
    gone: list[IntervalRow] = field(default_factory=list)


class Books:
    """Enters interval energies into the ledger and books the import of main meters. `clock` gives UTC ms."""

    def __init__(
        self,
        ledger: Ledger,
        facilities: Iterable[Facility],
        clock: Callable[[], int],
        pack: Pack | None = None,
        registered: Sequence[Entry] = (),
        hourly: HourlyLookup | None = None,
    ) -> None:
        """Puts the pack and the facilities' own factors on record. Raises LedgerUnusable where a recorded factor differs.

        `registered`: every version that the factor registry has, to be shown. `hourly`: its hourly intensities.
        """
        self.ledger = ledger
        self.clock = clock
        self._hourly = hourly
        self._resolution_ids: dict[Resolution, int] = {}
        self._go_by(facilities, shipped() if pack is None else pack, registered)

    def go_by(self, facilities: Iterable[Facility], pack: Pack, registered: Sequence[Entry]) -> list[Emission]:
        """Other factors hold from now on; what lacked one is booked, what has a figure stays. Raises LedgerError."""
        self._go_by(facilities, pack, registered)
        return self.book_what_lacks_a_factor()

    def _go_by(self, facilities: Iterable[Facility], pack: Pack, registered: Sequence[Entry]) -> None:
        self.registered = registered
        self.facilities = {facility.id: facility for facility in facilities}
        self._record_pack(pack)
        self.booker = Booker(FactorTable.from_pack(pack), self._hourly)
        self.places = {
            facility.id: self._record_overrides(facility.factor_place()) for facility in self.facilities.values()
        }

    # -- entering -------------------------------------------------------------------------------------------------

    def enter(self, rows: Sequence[IntervalRow]) -> Entered:
        """Keeps intervals of one device and quantity, and books what has changed where it counts."""
        now_ms = self.clock()
        with self.ledger.transaction():
            kept = self.ledger.put_intervals(rows, now_ms)
            self._unbook(self.ledger.withdraw_estimates(kept.written, now_ms), now_ms)
            return self._entered(kept, now_ms)

    def _entered(self, kept: Kept, now_ms: int) -> Entered:
        self._unbook(kept.gone, now_ms)
        emissions = self._book(kept.written, now_ms) if kept.written and self._counts(kept.written[0]) else []
        return Entered(kept.written, emissions, kept.gone)

    def withdraw(
        self, facility: str, device: str, quantity: str, from_ms: int, stays: Callable[[IntervalRow], bool]
    ) -> Entered:
        """Measured intervals from `from_ms` on, but for those that stay, and what was booked for them, do not stand until they are found again.

        What was imported for them does.
        """
        now_ms = self.clock()
        with self.ledger.transaction():
            return self._entered(
                self.ledger.withdraw_intervals(facility, device, quantity, from_ms, now_ms, stays), now_ms
            )

    def _unbook(self, gone: Sequence[IntervalRow], now_ms: int) -> None:
        """What was booked for intervals of one device and quantity that do not stand any longer, does not either."""
        with self.ledger.transaction() as db:
            for row in gone if gone and self._counts(gone[0]) else ():
                span = (row.facility, row.start_ms, row.device, row.end_ms)
                where = "facility = ? AND start_ms = ? AND device = ? AND end_ms = ? AND superseded_at_ms IS NULL"
                db.execute(
                    f"UPDATE emission SET superseded_at_ms = ? WHERE {where} AND state = 'final'", (now_ms, *span)
                )
                db.execute(f"DELETE FROM emission WHERE {where} AND state = 'provisional'", span)

    def _counts(self, row: IntervalRow) -> bool:
        """Location-based scope 2: electricity that a main meter imports."""
        facility = self.facilities.get(row.facility)
        meter = None if facility is None else facility.meter(row.device)
        return (
            row.quantity == BOOKED_QUANTITY
            and meter is not None
            and meter.role is Role.MAIN
            and meter.carrier == "electricity"
        )

    def _book(self, rows: Sequence[IntervalRow], now_ms: int) -> list[Emission]:
        facility, device = rows[0].facility, rows[0].device
        energies = [Energy(device, row.start_ms, row.end_ms, row.energy_kwh, row.final) for row in rows]
        emissions = self.booker.book(self.places[facility], energies, now_ms)
        span = (min(row.start_ms for row in rows), max(row.end_ms for row in rows))
        standing = {
            (row.emission.start_ms, row.emission.end_ms): row for row in self.emissions(facility, *span, device=device)
        }
        with self.ledger.transaction() as db:
            for emission in emissions:
                key = (facility, emission.start_ms, device, emission.end_ms)
                kept = standing.get((emission.start_ms, emission.end_ms))
                version = _next_version(db, key) if kept is None else kept.version + int(kept.emission.final)
                if kept is not None and kept.emission.final:
                    db.execute(
                        "UPDATE emission SET superseded_at_ms = ? WHERE facility = ? AND start_ms = ? AND device = ? AND end_ms = ?"
                        " AND version = ?",
                        (now_ms, *key, kept.version),
                    )
                db.execute(
                    "INSERT OR REPLACE INTO emission (facility, start_ms, device, end_ms, version, profile, energy_kwh, kg, resolution,"
                    " state, recorded_at_ms) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                    (*key, version, PROFILE, str(emission.energy_kwh), None if emission.kg is None else str(emission.kg),
                     self._resolution_id(emission.resolution), "final" if emission.final else "provisional", now_ms),
                )  # fmt: skip
        return emissions

    def book_what_lacks_a_factor(self) -> list[Emission]:
        """Tries again for every interval without a figure; gives what has one now."""
        found = self.ledger.rows(
            "SELECT DISTINCT facility, device, start_ms, end_ms FROM emission WHERE kg IS NULL AND superseded_at_ms IS NULL"
        )
        booked: list[Emission] = []
        now_ms = self.clock()
        for facility, device, start_ms, end_ms in found:
            place = self.places.get(facility)
            if place is None or self.booker.resolve(place, start_ms, now_ms).kg_per_kwh is None:
                continue
            rows = self.ledger.intervals(facility, device, BOOKED_QUANTITY, start_ms, end_ms)
            booked += self._book(rows, now_ms) if rows else []
        return booked

    def _resolution_id(self, resolution: Resolution) -> int:
        timeless = replace(resolution, from_ms=0, to_ms=0)
        known = self._resolution_ids.get(timeless)
        if known is not None:
            return known
        key = (
            resolution.facility, resolution.tier, resolution.factor_id, resolution.version, resolution.region,
            None if resolution.kg_per_kwh is None else str(resolution.kg_per_kwh), resolution.data_year, resolution.source,
            json.dumps(resolution.marks, ensure_ascii=False),
            json.dumps([[s.candidate, s.reason] for s in resolution.skipped], ensure_ascii=False),
        )  # fmt: skip
        with self.ledger.transaction() as db:
            found = db.execute(
                "SELECT id FROM resolution WHERE facility = ? AND tier = ? AND factor_id = ? AND factor_version = ? AND region = ?"
                " AND kg_per_kwh IS ? AND data_year IS ? AND source = ? AND marks = ? AND skipped = ?",
                key,
            ).fetchone()
            if found is None:
                found = db.execute(
                    "INSERT INTO resolution (facility, tier, factor_id, factor_version, region, kg_per_kwh, data_year, source, marks,"
                    " skipped) VALUES (?,?,?,?,?,?,?,?,?,?) RETURNING id",
                    key,
                ).fetchone()
        self._resolution_ids[timeless] = found[0]
        return int(found[0])

    # -- reading --------------------------------------------------------------------------------------------------

    def emissions(
        self, facility: str, from_ms: int, to_ms: int, *, device: str | None = None, as_of_ms: int | None = None
    ) -> list[EmissionRow]:
        """Booked emissions with from_ms <= start < to_ms as they stand, or stood at `as_of_ms`; ordered by start."""
        found = self.ledger.rows(
            "SELECT device, start_ms, end_ms, energy_kwh, kg, state, version, profile, tier, kg_per_kwh, factor_id, factor_version,"
            " region, data_year, source, marks, skipped FROM emission JOIN resolution ON resolution.id = emission.resolution"
            " WHERE emission.facility = ? AND start_ms >= ? AND start_ms < ? AND (? IS NULL OR device = ?)"
            f" AND {STANDING} ORDER BY start_ms, device",
            (facility, from_ms, to_ms, device, device, *(as_of_ms,) * 3),
        )
        return [
            EmissionRow(
                facility,
                Emission(
                    row[0],
                    row[1],
                    row[2],
                    Decimal(row[3]),
                    _decimal(row[4]),
                    row[5] == "final",
                    _resolution(facility, row),
                ),
                row[6],
                row[7],
            )
            for row in found
        ]

    def total(self, facility: str, from_ms: int, to_ms: int, as_of_ms: int | None = None) -> EmissionTotal:
        """Sum of the booked emissions of a span, with its coverage. Expected: every interval of every main meter."""
        entry = self.facilities[facility]
        found = self.ledger.rows(
            "SELECT decimal_sum(kg), decimal_sum(energy_kwh), decimal_sum(CASE WHEN kg IS NOT NULL THEN energy_kwh END),"
            " coalesce(sum(CASE WHEN kg IS NOT NULL THEN end_ms - start_ms END), 0), coalesce(sum(state = 'provisional'), 0), max(end_ms)"
            f" FROM emission WHERE facility = ? AND start_ms >= ? AND start_ms < ? AND {STANDING}",
            (facility, from_ms, to_ms, *(as_of_ms,) * 3),
        )[0]
        marks = self.ledger.rows(
            "SELECT DISTINCT marks FROM emission JOIN resolution ON resolution.id = emission.resolution"
            f" WHERE emission.facility = ? AND start_ms >= ? AND start_ms < ? AND {STANDING}",
            (facility, from_ms, to_ms, *(as_of_ms,) * 3),
        )
        return EmissionTotal(
            from_ms, to_ms, _decimal(found[0]), _decimal(found[1]), _decimal(found[2]) or Decimal(0), found[3] // entry.interval_ms,
            (to_ms - from_ms) // entry.interval_ms * len(entry.main_meters()), found[4], found[5],
            tuple(sorted({mark for (text,) in marks for mark in json.loads(text)})),
        )  # fmt: skip

    def day(self, facility: str, day: date, as_of_ms: int | None = None) -> EmissionTotal:
        """Emissions of a local day of 23, 24 or 25 hours."""
        return self.total(facility, *day_span_ms(day, self.facilities[facility].zone), as_of_ms)

    def factor_now(self, facility: str) -> Resolution:
        """The factor that applies at this moment, or why there is none."""
        now_ms = self.clock()
        return self.booker.resolve(self.places[facility], now_ms, now_ms)

    def rate_now(self, facility: str, power_kw: dict[str, float | None]) -> EmissionRate:
        """kg/h of this moment from the power of every main meter (import positive, None where none is fresh)."""
        now_ms = self.clock()
        return self.booker.rate(self.places[facility], power_kw, now_ms, now_ms)

    # -- factors on record ----------------------------------------------------------------------------------------

    def _record_pack(self, pack: Pack) -> None:
        with self.ledger.transaction() as db:
            for doc in {version.source.id: version.source for version in pack.versions}.values():
                row = (doc.id, doc.title, doc.issuer, doc.number, doc.published_on.isoformat())
                db.execute("INSERT OR IGNORE INTO source_doc VALUES (?,?,?,?,?)", row)
            kept = {
                (row[0], row[1], row[2], row[3]): row[4]
                for row in db.execute(
                    "SELECT factor_id, region, data_year, version, value FROM factor_version WHERE facility = ''"
                )
            }
            for version in pack.versions:
                value = kept.get((version.factor_id, version.region, version.data_year, version.version))
                if value is None:
                    db.execute(
                        "INSERT INTO factor_version VALUES (?,?,'',?,?,?,?,?,NULL,NULL,?,?,?,?)", _factor_row(version)
                    )
                elif Decimal(value) != version.kg_per_kwh:
                    raise LedgerUnusable(
                        f"factor {version.factor_id} {version.region} {version.data_year} version {version.version}: recorded as {value},"
                        f" the program ships {version.kg_per_kwh}; a correction needs a higher version"
                    )

    def _record_overrides(self, place: Place) -> Place:
        """Gives each of the facility's own factors the version under which it is on record, appending what is new."""
        factor_id = f"override.{place.facility}"
        versioned: list[FactorOverride] = []
        with self.ledger.transaction() as db:
            kept = {
                tuple(row[1:]): row[0]
                for row in db.execute(
                    "SELECT version, value, valid_from_ms, valid_to_ms, known_from_ms, source FROM factor_version"
                    " WHERE factor_id = ? AND facility = ?",
                    (factor_id, place.facility),
                )
            }
            for own in place.overrides:
                content = (str(own.kg_per_kwh), own.valid_from_ms, own.valid_to_ms, own.known_from_ms, own.source)
                version = kept.get(content)
                if version is None:
                    version = kept[content] = max(kept.values(), default=0) + 1
                    db.execute(
                        "INSERT INTO factor_version VALUES (?,'',?,0,?,?,?,'average',?,?,?,NULL,?,'facility settings')",
                        (factor_id, place.facility, version, content[0], UNIT, *content[1:]),
                    )
                versioned.append(replace(own, version=version))
        return replace(place, overrides=tuple(versioned))

    def factors(self) -> list[dict[str, Json]]:
        """Every factor on record with its document, as a reader of the registry wants it."""
        names = ("factor_id", "region", "facility", "data_year", "version", "value", "unit", "signal", "valid_from_ms", "valid_to_ms",
                 "known_from_ms", "source_doc", "source", "table_ref")  # fmt: skip
        found = self.ledger.rows(
            f"SELECT {', '.join(names)} FROM factor_version ORDER BY facility, factor_id, region, data_year, version"
        )
        return [dict(zip(names, row, strict=True)) for row in found]


def _next_version(db: sqlite3.Connection, key: tuple[Any, ...]) -> int:
    """Of an interval for which nothing stands: what was withdrawn keeps its versions."""
    found = db.execute(
        "SELECT coalesce(max(version), 0) + 1 FROM emission WHERE facility = ? AND start_ms = ? AND device = ? AND end_ms = ?",
        key,
    ).fetchone()
    return int(found[0])


def _factor_row(version: FactorVersion) -> tuple[Any, ...]:
    return (
        version.factor_id, version.region, version.data_year, version.version, str(version.kg_per_kwh), UNIT, version.signal,
        version.known_from_ms, version.source.id, f"{version.source.issuer} {version.source.number}", version.table_ref,
    )  # fmt: skip


def _resolution(facility: str, row: Any) -> Resolution:
    _, start_ms, end_ms, *_ = row
    tier, factor, factor_id, version, region, data_year, source, marks, skipped = row[8:]
    return Resolution(
        facility, tier, _decimal(factor), factor_id, version, region, data_year, source, tuple(json.loads(marks)),
        tuple(Skipped(*pair) for pair in json.loads(skipped)), start_ms, end_ms,
    )  # fmt: skip


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
