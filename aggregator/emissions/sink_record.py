"""Sinks on record: uptake, baseline and leakage of projects, with their evidence. Not the formula (see `formulas.sinks`), and never part of emissions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

from aggregator.emissions.csv_table import TableRefused, decimal_cell, instant_cell, table_file
from aggregator.emissions.formulas.sinks import METHODOLOGIES, sink
from aggregator.emissions.formulas.worked import Worked
from aggregator.emissions.registry_tables import RegistryTables

COLUMNS: Final = (
    "project", "methodology", "from", "to", "project_t", "baseline_t", "leakage_t", "vintage", "evidence", "reason",
)  # fmt: skip
ROWS_MAX: Final = 100_000


class SinksRefused(Exception):
    """Nothing was changed; `faults` says why, one line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Sink:
    """t CO2 of [from_ms, to_ms): taken up, what would have been without the project, and what leaks elsewhere."""

    project: str
    methodology: str
    from_ms: int
    to_ms: int
    project_t: Decimal
    baseline_t: Decimal
    leakage_t: Decimal
    vintage: int
    evidence: str
    reason: str = ""
    version: int = 0


def net(sinks: Sequence[Sink]) -> Worked:
    """The sum over projects of uptake - baseline - leakage, with its steps (data-bank paper, formula (2))."""
    return sink(
        [one.methodology for one in sinks],
        [Fraction(one.project_t) for one in sinks],
        [Fraction(one.baseline_t) for one in sinks],
        [Fraction(one.leakage_t) for one in sinks],
    )


class Sinks(RegistryTables):
    """The sinks of one registry file."""

    def __init__(self, path: Path | str) -> None:
        """Raises sqlite3.Error, OSError."""
        super().__init__(path, "sinks.sql")

    def add(self, sinks: Iterable[Sink], by: str, now_ms: int) -> int:
        """Puts sinks on record: all, or none; what stands already is passed over, a correction needs its reason. Raises SinksRefused."""
        faults = [] if by.strip() else ["expected the name of who imports them, got none"]
        kept = {(one.project, one.from_ms): one for one in self.standing()}
        fresh: list[Sink] = []
        for one in sinks:
            name = f"{one.project or 'no project'} {_day(one.from_ms)}"
            faults += [f"{name}: {fault}" for fault in _faults(one)]
            before = kept.get((one.project, one.from_ms))
            if before is not None and replace(before, reason=one.reason, version=0) == one:
                continue
            if before is not None and not one.reason:
                faults.append(f"{name}: on record with other figures: a correction needs a reason")
            faults += [
                f"{name}: its period overlaps that of {_day(other.from_ms)}, it would count twice"
                for other in kept.values()
                if other.project == one.project and other.from_ms != one.from_ms and other.from_ms < one.to_ms and one.from_ms < other.to_ms
            ]  # fmt: skip
            version = 1 if before is None else before.version + 1
            kept[one.project, one.from_ms] = replace(one, version=version)
            fresh.append(kept[one.project, one.from_ms])
        if faults:
            raise SinksRefused(faults)
        with self._transaction():
            self._db.executemany(
                "INSERT INTO sink VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                [
                    (s.project, s.from_ms, s.to_ms, s.version, s.methodology, str(s.project_t), str(s.baseline_t), str(s.leakage_t), s.vintage,
                     s.evidence, s.reason, by, now_ms)
                    for s in fresh
                ],
            )  # fmt: skip
        return len(fresh)

    def standing(self, as_of_ms: int | None = None) -> list[Sink]:
        """The highest version of each, as it was on record at `as_of_ms`."""
        rows = self._db.execute(
            "SELECT project, methodology, from_ms, to_ms, project_t, baseline_t, leakage_t, vintage, evidence, reason, version FROM sink"
            " WHERE ?1 IS NULL OR recorded_at_ms <= ?1 ORDER BY project, from_ms, version",
            (as_of_ms,),
        )
        found = {
            (row[0], row[2]): Sink(
                row[0], row[1], row[2], row[3], Decimal(row[4]), Decimal(row[5]), Decimal(row[6]), row[7], row[8], row[9], row[10]
            )
            for row in rows
        }  # fmt: skip
        return list(found.values())


def _faults(one: Sink) -> Iterator[str]:
    if one.methodology not in METHODOLOGIES:
        yield f"expected the methodology to be one of {', '.join(METHODOLOGIES)}, got {one.methodology!r}"
    if not one.project or not one.evidence:
        yield "expected project and evidence, one is empty"
    if one.from_ms >= one.to_ms:
        yield "expected `to` after `from`"
    if one.baseline_t < 0 or one.leakage_t < 0:
        yield f"expected baseline and leakage of 0 t or above, got {one.baseline_t} and {one.leakage_t}"


def read_sinks(path: Path) -> list[Sink]:
    """A CSV file with the columns of COLUMNS; days begin at 00:00 UTC. Raises SinksRefused, OSError."""
    try:
        return table_file(path, COLUMNS, _row, ROWS_MAX)
    except TableRefused as error:
        raise SinksRefused(error.faults) from error


def _row(row: Mapping[str, str]) -> Sink:
    if not (row["vintage"].isdecimal() and row["vintage"].isascii() and len(row["vintage"]) == 4):
        raise ValueError(f"vintage: expected a year, got {row['vintage']!r}")
    return Sink(
        row["project"], row["methodology"], instant_cell(row, "from", day=True), instant_cell(row, "to", day=True),
        decimal_cell(row, "project_t"), decimal_cell(row, "baseline_t"), decimal_cell(row, "leakage_t"), int(row["vintage"]),
        row["evidence"], row["reason"],
    )  # fmt: skip


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
