"""A report: the statements of one facility and span, one for each profile, with what stands behind them. Not its tables (see `tables`) nor its looks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.accounts.cost import Costs
from aggregator.accounts.line import Applied
from aggregator.accounts.statement import Statement
from aggregator.emissions.entry import Entry
from aggregator.facility import Facility
from aggregator.reports.rounding import Rounding

FORMAT: Final = "wattline report 1"


@dataclass(frozen=True, slots=True)
class FactorSeen:
    """A factor that lines were computed with, and the entry of the registry behind it; or the `parts` that it was made of (a fuel's net calorific value,
    carbon content, oxidation; a facility's own value with its evidence). Neither: it came with the settings or was worked out.
    """

    applied: Applied
    entry: Entry | None
    parts: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Restated:
    """A figure that was said before and is said otherwise now; kg CO2e of all scopes. `causes` tells in a line what made the difference."""

    profile: str
    run: str
    state: str
    at_ms: int
    kg: Decimal | None
    reason: str = ""
    by: str = ""
    causes: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What proves a statement, by name: its hash, a run, a leaf of the log, a checkpoint."""

    profile: str
    what: str
    value: str


@dataclass(frozen=True, slots=True)
class RunBehind:
    """The run whose frozen statement a report shows, and its publication. `series`: (device, quantity) of the intervals that it read."""

    profile: str
    run: int
    publication: int
    series: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report says. `statements` share facility and span; `time_zone` is whose days and months are meant."""

    facility: str
    name: str
    time_zone: str
    from_ms: int
    to_ms: int
    as_of_ms: int
    statements: tuple[Statement, ...]
    factors: tuple[FactorSeen, ...] = ()
    restatements: tuple[Restated, ...] = ()
    proofs: tuple[Proof, ...] = ()
    roundings: tuple[Rounding, ...] = ()
    runs: tuple[RunBehind, ...] = ()
    costs: tuple[Costs, ...] = ()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


def report_of(
    facility: Facility,
    statements: Sequence[Statement],
    entries: Sequence[Entry],
    restatements: Iterable[Restated] = (),
    proofs: Iterable[Proof] = (),
    roundings: Iterable[Rounding] = (),
    runs: Iterable[RunBehind] = (),
    costs: Iterable[Costs] = (),
) -> Report:
    """The report of a facility's statements. Raises ValueError where they are not of one facility and span, or a profile comes twice."""
    if not statements:
        raise ValueError("report: expected at least one profile, got none")
    first = statements[0]
    for statement in statements:
        same = (statement.facility, statement.from_ms, statement.to_ms)
        expected = (facility.id, first.from_ms, first.to_ms)
        if same != expected:
            raise ValueError(f"report: expected statements of {expected}, got one of {same}")
    profiles = [statement.profile for statement in statements]
    if len(set(profiles)) < len(profiles):
        raise ValueError(f"report: expected each profile once, got {', '.join(profiles)}")
    own = tuple(Proof(s.profile, "statement_sha256", s.sha256) for s in statements)
    return Report(
        facility.id, facility.name or facility.id, facility.time_zone, first.from_ms, first.to_ms, max(s.as_of_ms for s in statements), tuple(statements),
        factors_seen(statements, entries), tuple(restatements), (*own, *proofs), tuple(roundings), tuple(runs),
        tuple(costs),
    )  # fmt: skip


def factors_seen(statements: Iterable[Statement], entries: Sequence[Entry]) -> tuple[FactorSeen, ...]:
    """Every factor of the lines once, ordered, with its entry or parts."""
    known = {entry_name(entry): entry for entry in entries}
    seen = {line.factor for statement in statements for line in statement.lines if line.factor is not None}
    found = []
    for factor in sorted(seen, key=_order):
        entry = known.get(factor_name(factor))
        found.append(
            FactorSeen(factor, entry, () if entry is not None else tuple(e for e in entries if _is_part(e, factor)))
        )
    return tuple(found)


def _is_part(entry: Entry, factor: Applied) -> bool:
    """Whether a factor's source names this version: as the parameter of a fuel, or as a facility's own value."""
    if entry.status != "approved":
        return False
    return f"{entry.key} version {entry.version}, " in factor.source or factor.source.endswith(
        f"({entry.id} version {entry.version})"
    )


def entry_name(entry: Entry) -> tuple[str, str, int, int, Decimal]:
    """What a line says of its factor, of an entry."""
    return entry.id, entry.region if not entry.facility else "", entry.data_year, entry.version, entry.value


def factor_name(factor: Applied) -> tuple[str, str, int, int, Decimal]:
    """The same of a line's factor."""
    return factor.id, factor.region, factor.data_year or 0, factor.version, factor.kg_per_unit


def _order(factor: Applied) -> tuple[str, ...]:
    return (
        factor.id,
        factor.region,
        str(factor.data_year),
        f"{factor.version:09d}",
        str(factor.kg_per_unit),
        str(factor),
    )
