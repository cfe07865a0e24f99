"""Makes reports of what the accounts, the runs and the registry hold. Shows nothing (see `forms`, `page`), proves nothing (see `bundling`)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from aggregator.accounts.activities.kept import RECORDS, Kept
from aggregator.accounts.activities.kept_of_span import kept_of_span
from aggregator.accounts.compile import REGISTRY_NAME, Accounts, CannotCompile
from aggregator.accounts.cost import Costs, costs_of
from aggregator.accounts.price import CarbonPrice
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.runs.record import Runs
from aggregator.accounts.runs.run import APPROVED, Publication, Run
from aggregator.accounts.statement import Statement
from aggregator.csv_rows import FileUnusable, ImportOptions, RowFault, csv_rows
from aggregator.emissions.entry import Entry
from aggregator.emissions.registry import Registry
from aggregator.facility import Facility
from aggregator.ledger import IntervalRow
from aggregator.reports.backing import Interval, interval_kg
from aggregator.reports.report import Proof, Report, Restated, RunBehind, report_of
from aggregator.reports.rounding import Rounding, rounding
from aggregator.settle import COUNTERS

LATEST: Final = "latest"
PUBLISHED: Final = "published"
VIEWS: Final = (LATEST, PUBLISHED)
MOST_PROFILES: Final = 8
MOST_ROUNDED: Final = 2_000_000  # intervals whose rounding is looked into


@dataclass(frozen=True, slots=True)
class Beside:
    """A CSV file with another series of t CO2e for the intervals of a report: `time_column` has their starts."""

    file: Path
    value_column: str
    time_column: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is asked to be of. `view` published: what stands published of exactly this span; latest: what is known. `rounding`: also what rounding each interval would have done.

    `price`: in the place of the facility's carbon prices.
    """

    facility: str
    profiles: tuple[str, ...]
    from_ms: int
    to_ms: int
    as_of_ms: int | None = None
    rounding: bool = False
    beside: Beside | None = None
    view: str = LATEST
    price: CarbonPrice | None = None


class Reporter:
    """Of the accounts of one data directory. Any thread may call."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts

    def report(self, wanted: Wanted) -> Report:
        """Raises CannotCompile, FileUnusable, and what statements, runs and registry raise."""
        if not 1 <= len(wanted.profiles) <= MOST_PROFILES or len(set(wanted.profiles)) < len(wanted.profiles):
            raise CannotCompile(
                f"profile: expected 1 to {MOST_PROFILES}, each once, got {', '.join(wanted.profiles) or 'none'}"
            )
        as_of_ms = self.accounts.clock() if wanted.as_of_ms is None else wanted.as_of_ms
        facility = self.accounts.facility(wanted.facility)
        statements: list[Statement] = []
        restated: list[Restated] = []
        proofs: list[Proof] = []
        behind: list[RunBehind] = []
        costs: list[Costs] = []
        with self._runs() as runs:
            for name in wanted.profiles:
                prices = facility.carbon_prices
                if wanted.view == PUBLISHED:
                    publication = _published(runs, wanted, name, as_of_ms)
                    run = runs.run(publication.run)
                    statements.append(runs.statement(run.no))
                    prices = runs.rules(run.no).facility.carbon_prices  # as it was shown with then
                    proofs += proofs_of(run, publication)
                    behind.append(RunBehind(name, run.no, publication.no, tuple(each.name for each in run.series)))
                else:
                    statements.append(
                        self.accounts.statement(wanted.facility, name, wanted.from_ms, wanted.to_ms, as_of_ms)
                    )
                costs += costs_of(statements[-1], prices if wanted.price is None else (wanted.price,))
                restated += _restated(runs, statements[-1], as_of_ms, latest=wanted.view != PUBLISHED)
        roundings = list(self._roundings(facility, statements, wanted)) if wanted.rounding or wanted.beside else []
        return report_of(facility, statements, self.entries(as_of_ms), restated, proofs, roundings, behind, costs)

    @contextmanager
    def _runs(self) -> Iterator[Runs]:
        path = self.accounts.data_directory / ACCOUNTS_NAME
        with Runs(path if path.exists() else ":memory:") as runs:
            yield runs

    def facility(self, report: Report, profile: str) -> Facility:
        """As it was when the statement of a profile was made. Raises CannotCompile, RecordsRefused."""
        for behind in report.runs:
            if behind.profile == profile:
                with self._runs() as runs:
                    return runs.rules(behind.run).facility
        return self.accounts.facility(report.facility)

    def records(self, report: Report, statement: Statement) -> list[Kept]:
        """The activity records of a statement, as they stood at its knowledge time. Raises CannotCompile, RecordsRefused, RecordsUnusable, RecordsBusy."""
        facility, rules = self.facility(report, statement.profile), self.accounts.profile(statement.profile)
        span = (statement.from_ms, statement.to_ms, statement.as_of_ms)
        return kept_of_span(self.accounts.data_directory, facility, rules, *span)

    def entries(self, as_of_ms: int) -> Sequence[Entry]:
        """Every factor that was known then. Raises RegistryRefused, sqlite3.Error."""
        path = self.accounts.data_directory / REGISTRY_NAME
        with Registry(path if path.exists() else ":memory:") as registry:
            return registry.entries(as_of_ms)

    def intervals(self, statement: Statement, series: Iterable[tuple[str, str]] = ()) -> list[Interval]:
        """The interval energies of the facility's meters in a statement's span, as they stood at its knowledge time; ordered.

        `series`: of these devices and quantities besides.
        """
        meters = self.accounts.facility(statement.facility).meters
        counted = {(meter.device, quantity) for meter in meters for quantity in COUNTERS.get(meter.carrier, ())}
        found: list[Interval] = []
        for device, quantity in sorted((counted | set(series)) - {RECORDS}):
            rows = self.accounts.ledger.intervals(
                statement.facility, device, quantity, statement.from_ms, statement.to_ms, statement.as_of_ms
            )
            found += map(interval_of, rows)
        return found

    def _roundings(self, facility: Facility, statements: Iterable[Statement], wanted: Wanted) -> Iterable[Rounding]:
        said = None if wanted.beside is None else (wanted.beside.value_column, beside_t(wanted.beside, facility))
        for statement in statements:
            rows = self.intervals(statement)
            if len(rows) > MOST_ROUNDED:
                raise CannotCompile(f"rounding: expected at most {MOST_ROUNDED} intervals, got {len(rows)}")
            parts = interval_kg(statement, facility.meters, rows)
            if parts:
                try:
                    yield rounding(statement.profile, parts, said)
                except ValueError as error:
                    raise FileUnusable(str(error)) from error


def _published(runs: Runs, wanted: Wanted, profile: str, as_of_ms: int) -> Publication:
    found = runs.standing(wanted.facility, profile, wanted.from_ms, wanted.to_ms, as_of_ms)
    if found is None:
        raise CannotCompile(f"view: expected a publication of exactly this span under {profile}, got none")
    return found


def _restated(runs: Runs, statement: Statement, as_of_ms: int, *, latest: bool) -> Iterator[Restated]:
    """Every run of the span, in order, and behind them what is known where that is what the report shows."""
    span = (statement.from_ms, statement.to_ms)
    known = [
        run
        for run in runs.runs(statement.facility, statement.profile)
        if (run.from_ms, run.to_ms) == span and run.created_at_ms <= as_of_ms
    ]
    for run in known:
        states = [state for state in runs.states(run.no) if state[3] <= as_of_ms]  # (state, by, note, at_ms)
        by = ", ".join(dict.fromkeys([run.operator, *(name for state, name, *_ in states if state == APPROVED)]))
        causes = "" if run.bridge is None else run.bridge.text()
        yield Restated(run.profile, f"run {run.no}", states[-1][0], run.created_at_ms, run.kg, run.reason, by, causes)
    if known and latest:
        yield Restated(statement.profile, "", LATEST, statement.as_of_ms, statement.kg())


def proofs_of(run: Run, publication: Publication) -> Iterator[Proof]:
    """What identifies a run, by name."""
    for what, value in (
        ("run", str(run.no)),
        ("publication", str(publication.no)),
        ("input_root", run.input_root),
        ("factor_set_sha256", run.factor_set_sha256),
        ("rules_sha256", run.rules_sha256),
        ("code_version", run.code_version),
    ):
        yield Proof(run.profile, what, value)


def interval_of(row: IntervalRow) -> Interval:
    """A row of the ledger as a run's input list has it."""
    return Interval(
        row.device, row.end_ms, row.energy_kwh, row.final, row.grade.quality, row.quantity, row.grade.reason, row.source, row.start_ms,
        row.version,
    )  # fmt: skip


def beside_t(beside: Beside, facility: Facility) -> dict[int, Decimal]:
    """The column's t by start of the interval (UTC ms). Raises FileUnusable, for the first faulty row too."""
    faults: list[RowFault] = []
    try:
        options = ImportOptions(
            facility.id, "", time_column=beside.time_column, value_column=beside.value_column, time_zone=beside.time_zone or facility.time_zone,
            interval_s=facility.interval_s,
        )  # fmt: skip
        with beside.file.open(encoding=options.encoding, newline="") as file:
            found = {
                row.at_ms: row.value
                for row in csv_rows(file, beside.file, options, faults.append, lambda _done, _whole: None)
            }
    except (OSError, ValueError) as error:
        raise FileUnusable(f"{beside.file.name}: {error}") from error
    if faults:
        raise FileUnusable(str(faults[0]))
    return found
