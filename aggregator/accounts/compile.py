"""Compiles statements: a facility, a profile and a span, the makers of lines, and the records that they read. Not a frozen run (see `runs`).

Everything is read as it was known at `as_of_ms`, so that the same question gives the same bytes later.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from aggregator.accounts.market_lines import market_maker
from aggregator.accounts.metered import location_lines, mains
from aggregator.accounts.period import Maker, Period
from aggregator.accounts.shares import allocated_lines
from aggregator.accounts.statement import Statement, line_order
from aggregator.emissions.entry import Entry
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.instruments import Instruments
from aggregator.emissions.intensity import GridIntensities
from aggregator.emissions.profiles import Profile, profile
from aggregator.emissions.recorded import electricity_pack, own_factors
from aggregator.emissions.registry import Registry
from aggregator.emissions.resolution import HourlyLookup, Resolution, resolve
from aggregator.facility import Facility
from aggregator.ledger import IntervalRow, Ledger

REGISTRY_NAME: Final = "factors.sqlite"  # in the data directory, beside the ledger
LONGEST_MS: Final = 5 * 366 * 86_400_000  # of one statement


class CannotCompile(ValueError):
    """The question cannot be answered; the message says what was expected and seen."""


class Accounts:
    """Statements of the facilities of one data directory."""

    def __init__(
        self, ledger: Ledger, facilities: Iterable[Facility], data_directory: Path, clock: Callable[[], int]
    ) -> None:
        self.ledger = ledger
        self.facilities = {facility.id: facility for facility in facilities}
        self.data_directory = data_directory
        self.clock = clock

    def statement(
        self, facility: str, profile_name: str, from_ms: int, to_ms: int, as_of_ms: int | None = None
    ) -> Statement:
        """What the span comes to. Raises CannotCompile, LedgerError, sqlite3.Error, RegistryRefused."""
        path: Path | str = self.data_directory / REGISTRY_NAME
        as_of_ms = self.clock() if as_of_ms is None else as_of_ms
        rules = self._profile(profile_name)
        found = self.facilities.get(facility)
        if found is None:
            raise CannotCompile(f"facility: expected one of {', '.join(self.facilities) or 'none'}, got {facility!r}")
        if not from_ms < to_ms <= from_ms + LONGEST_MS or from_ms % found.interval_ms or to_ms % found.interval_ms:
            raise CannotCompile(
                f"span: expected its end after its begin, five years at most, both on a boundary of {found.interval_s} s,"
                f" got {from_ms} to {to_ms}"
            )
        path = path if Path(path).exists() else ":memory:"
        with Registry(path) as registry, GridIntensities(path) as hours, Instruments(path) as instruments:
            entries = registry.entries(as_of_ms)
            period = self._period(found, rules, (from_ms, to_ms, as_of_ms), entries, hours.at)
            table = FactorTable.from_pack(electricity_pack(entries))
            makers: Sequence[Maker] = (
                location_lines,
                allocated_lines,
                market_maker(table, instruments.retired(facility, as_of_ms)),
            )
            return compile_statement(period, makers)

    def _profile(self, name: str) -> Profile:
        try:
            return profile(name)
        except ValueError as error:
            raise CannotCompile(str(error)) from error

    def _period(
        self,
        facility: Facility,
        rules: Profile,
        span: tuple[int, int, int],
        entries: Sequence[Entry],
        hourly: HourlyLookup,
    ) -> Period:
        from_ms, to_ms, as_of_ms = span
        facility = replace(facility, overrides=(*own_factors(entries, facility.id), *facility.overrides))
        return Period(
            facility=facility,
            profile=rules,
            from_ms=from_ms,
            to_ms=to_ms,
            as_of_ms=as_of_ms,
            intervals=self._intervals(facility.id, from_ms, to_ms, as_of_ms),
            resolve=resolver(facility, rules, FactorTable.from_pack(electricity_pack(entries)), as_of_ms, hourly),
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
    lines = sorted((line for maker in makers for line in maker(period)), key=line_order)
    expected = (period.to_ms - period.from_ms) // period.facility.interval_ms * len(mains(period))
    return Statement(
        period.facility.id, period.profile.name, period.from_ms, period.to_ms, period.as_of_ms, tuple(lines),
        expected,
    )  # fmt: skip
