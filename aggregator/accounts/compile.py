"""Compiles statements: a facility, a profile and a span, the makers of lines, and the records that they read. Not a frozen run (see `runs`).

Everything is read as it was known at `as_of_ms`, so that the same question gives the same bytes later.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aggregator.accounts.activities.lines import activity_maker
from aggregator.accounts.activities.record import activities_in_force
from aggregator.accounts.carriers import carrier_lines, carrier_mains
from aggregator.accounts.deducted import deduction_maker
from aggregator.accounts.in_place import counted_ms, measured_in_place
from aggregator.accounts.made import made_lines
from aggregator.accounts.market_lines import market_maker
from aggregator.accounts.metered import location_lines, mains
from aggregator.accounts.notices import Notice, noticed, notices_in_force
from aggregator.accounts.period import Maker, Period
from aggregator.accounts.pools.maker import PoolMaker, PoolSources
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.accounts.sealing.pieces import reading_seals
from aggregator.accounts.sealing.seals import SEALED_DIRECTORY, Seals
from aggregator.accounts.statement import Statement, line_order
from aggregator.accounts.tree.shares import allocated_lines
from aggregator.accounts.uncertainty import stating
from aggregator.emissions.entry import Entry
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.instruments import Instruments
from aggregator.emissions.intensity import GridIntensities
from aggregator.emissions.profiles import Profile, profile
from aggregator.emissions.recorded import electricity_pack, own_factors
from aggregator.emissions.registry import Registry
from aggregator.emissions.resolution import HourlyLookup, Resolution, resolve
from aggregator.facility import Facility
from aggregator.intervals.written_time import written
from aggregator.ledger import IntervalRow, Ledger
from aggregator.settled_otherwise import SettledOtherwise, settled_otherwise

REGISTRY_NAME: Final = "factors.sqlite"  # in the data directory, beside the ledger
LONGEST_MS: Final = 5 * 366 * 86_400_000  # of one statement


class CannotCompile(ValueError):
    """The question cannot be answered; the message says what was expected and seen."""


@dataclass(frozen=True, slots=True)
class Span:
    """[from_ms, to_ms) as known at `as_of_ms`. Factors may be those of another time, and drafts of either may count, to see what they would do."""

    from_ms: int
    to_ms: int
    as_of_ms: int
    factors_as_of_ms: int | None = None
    draft_factors: bool = False
    draft_activities: bool = False

    @property
    def factors_ms(self) -> int:
        """When the factors were known."""
        return self.as_of_ms if self.factors_as_of_ms is None else self.factors_as_of_ms


class Accounts:
    """Statements of the facilities of one data directory."""

    def __init__(
        self, ledger: Ledger, facilities: Iterable[Facility], data_directory: Path, clock: Callable[[], int]
    ) -> None:
        self.ledger = ledger
        self.facilities = {facility.id: facility for facility in facilities}
        self.data_directory = data_directory
        self.clock = clock
        self._stands_as_set: set[str] = set()  # facilities whose energies stand by the settings' multipliers

    def statement(
        self, facility: str, profile_name: str, from_ms: int, to_ms: int, as_of_ms: int | None = None
    ) -> Statement:
        """What the span comes to. Raises CannotCompile, LedgerError (also for a sealed file that was changed), sqlite3.Error, RegistryRefused, RecordsUnusable."""
        as_of_ms = self.clock() if as_of_ms is None else as_of_ms
        rules = self.profile(profile_name)
        with self.opened(self.facility(facility), rules, Span(from_ms, to_ms, as_of_ms)) as (period, makers):
            return compile_statement(period, makers)

    def facility(self, name: str) -> Facility:
        """As the settings have it. Raises CannotCompile."""
        found = self.facilities.get(name)
        if found is None:
            raise CannotCompile(f"facility: expected one of {', '.join(self.facilities) or 'none'}, got {name!r}")
        return found

    @contextmanager
    def opened(self, facility: Facility, rules: Profile, span: Span) -> Iterator[tuple[Period, Sequence[Maker]]]:
        """The period and the makers of its lines, with the records that they read open meanwhile. Raises what `statement` does."""
        from_ms, to_ms = span.from_ms, span.to_ms
        self._energies_fit(facility, to_ms)
        if (
            not from_ms < to_ms <= from_ms + LONGEST_MS
            or from_ms % facility.interval_ms
            or to_ms % facility.interval_ms
        ):
            raise CannotCompile(
                f"span: expected its end after its begin, five years at most, both on a boundary of {facility.interval_s} s,"
                f" got {written(from_ms, facility.zone)} to {written(to_ms, facility.zone)}"
            )
        path: Path | str = self.data_directory / REGISTRY_NAME
        path = path if Path(path).exists() else ":memory:"
        with (
            Registry(path) as registry,
            GridIntensities(path) as hours,
            Instruments(path) as instruments,
            ExitStack() as stack,
        ):
            entries = registry.entries(span.factors_ms)
            if span.draft_factors:
                entries = [
                    e if e.status != "draft" else replace(e, status="approved", known_from_ms=span.factors_ms)
                    for e in entries
                ]
            period = self._period(facility, rules, span, entries, hours.at)
            table = FactorTable.from_pack(electricity_pack(entries))
            notices: Mapping[int, Notice] = {}
            if rules.needs_notice:
                notices = notices_in_force(self.data_directory, rules.name, facility.id, span.factors_ms)
                period = noticed(
                    period,
                    notices,
                    lambda fixed, known_ms: resolver(period.facility, fixed, table, known_ms, hours.at),
                    span.factors_ms,
                )
            if (self.data_directory / SEALED_DIRECTORY).exists():
                period = reading_seals(period, stack.enter_context(Seals(self.data_directory)), self.ledger)
            pools = PoolMaker(
                PoolSources(
                    self.ledger,
                    lambda rules: resolver(period.facility, rules, table, span.factors_ms, hours.at),
                    hours.changed_ms,
                    self.data_directory / ACCOUNTS_NAME,
                    self.clock,
                    notices,
                    span.factors_ms,
                    period.intervals,
                )
            )
            makers: Sequence[Maker] = (
                location_lines,
                deduction_maker(notices),
                allocated_lines,
                carrier_lines,
                lambda period: made_lines(period, pools.run),
                market_maker(table, instruments.retired(facility.id, span.factors_ms)),
                pools,
                activity_maker(
                    activities_in_force(self.data_directory, facility.id, span.as_of_ms, drafts=span.draft_activities),
                    table,
                    instruments.retired(facility.id, span.factors_ms),
                ),
            )
            yield period, makers

    def _energies_fit(self, facility: Facility, to_ms: int) -> None:
        """Raises SettledOtherwise where rules of today would be laid on energies that stand by others; frozen rules go with the energies of their time."""
        now = self.facilities.get(facility.id)
        if now is None or now.id in self._stands_as_set or now.meters != facility.meters:
            return
        if found := settled_otherwise(self.ledger, [now], to_ms):
            raise SettledOtherwise(
                found, "it is settled anew by an aggregator that starts, ask again when that is done"
            )
        if not settled_otherwise(self.ledger, [now]):
            self._stands_as_set.add(now.id)

    def profile(self, name: str) -> Profile:
        """Raises CannotCompile."""
        try:
            return profile(name)
        except ValueError as error:
            raise CannotCompile(str(error)) from error

    def _period(
        self,
        facility: Facility,
        rules: Profile,
        span: Span,
        entries: Sequence[Entry],
        hourly: HourlyLookup,
    ) -> Period:
        facility = replace(facility, overrides=(*own_factors(entries, facility.id), *facility.overrides))
        return Period(
            facility=facility,
            profile=rules,
            from_ms=span.from_ms,
            to_ms=span.to_ms,
            as_of_ms=span.as_of_ms,
            intervals=self._intervals(facility.id, span.from_ms, span.to_ms, span.as_of_ms),
            rows=lambda device, quantity, from_ms, to_ms: self.ledger.intervals(
                facility.id, device, quantity, from_ms, to_ms, span.as_of_ms
            ),
            resolve=resolver(
                facility, rules, FactorTable.from_pack(electricity_pack(entries)), span.factors_ms, hourly
            ),
            entries=entries,
        )

    def _intervals(
        self, facility: str, from_ms: int, to_ms: int, as_of_ms: int
    ) -> Callable[[str, str], Sequence[IntervalRow]]:
        kept: dict[tuple[str, str], Sequence[IntervalRow]] = {}

        def intervals(device: str, quantity: str) -> Sequence[IntervalRow]:
            if (device, quantity) not in kept:
                kept[device, quantity] = self.ledger.intervals(facility, device, quantity, from_ms, to_ms, as_of_ms)
            return kept[device, quantity]

        return intervals


def resolver(
    facility: Facility, rules: Profile, table: FactorTable, as_of_ms: int, hourly: HourlyLookup | None = None
) -> Callable[[int], Resolution]:
    """The facility's electricity factor under a profile; each resolution is remembered for as long as it holds."""
    place = facility.factor_place()
    last: list[Resolution] = []

    def resolved(at_ms: int) -> Resolution:
        if not last or not last[0].from_ms <= at_ms < last[0].to_ms:
            last[:] = [resolve(table, place, at_ms, as_of_ms, rules, hourly)]
        return last[0]

    return resolved


def compile_statement(period: Period, makers: Iterable[Maker]) -> Statement:
    """The lines of all makers in their one order, and how many intervals the meters that count should have had."""
    stated = stating(period)
    made, notes = measured_in_place(period, [stated(line) for maker in makers for line in maker(period)])
    lines = sorted(made, key=line_order)
    expected = sum(
        max(time_ms, 0) // period.facility.interval_ms
        for time_ms in counted_ms(period, (*mains(period), *carrier_mains(period)))
    )
    return Statement(
        period.facility.id, period.profile.name, period.from_ms, period.to_ms, period.as_of_ms, tuple(lines),
        expected, notes,
    )  # fmt: skip
