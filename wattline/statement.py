"""`wattline statement`: what a facility's span comes to under a profile, line by line. Not how it is compiled (`aggregator.accounts`)."""

import argparse
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.cost import Costs, costs_of
from aggregator.accounts.line import Counts, Line
from aggregator.accounts.price import CarbonPrice, price_given
from aggregator.accounts.record_file import RecordsBusy, RecordsUnusable
from aggregator.accounts.statement import Statement
from aggregator.accounts.uncertainty import uncertainty_of
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.registry import RegistryRefused
from aggregator.emissions.resolution import PLACE_MARK
from aggregator.facility import Facility
from aggregator.intervals.local_time import start_of_day_ms
from aggregator.ledger import LedgerError
from aggregator.settings import Settings, SettingsFaults, load
from wattline.ledger_as_set import ledger_as_set
from wire.clock import Clock

_GRAM: Final = Decimal("0.001")


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (it could not be compiled), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        with opened(settings) as accounts:
            made = asked(options, settings, accounts)
        price = price_of(options)
        if options.json and price is not None:
            raise CannotCompile(
                "--price-per-t: expected no --json, whose canonical lines have no price, got both (wattline report --format json has them)"
            )
    except (SettingsFaults, CannotCompile) as error:
        print(f"wattline statement: {error}", file=sys.stderr)
        return 2
    except (LedgerError, RegistryRefused, RecordsBusy, RecordsUnusable, sqlite3.Error, OSError) as error:
        print(f"wattline statement: {error}", file=sys.stderr)
        return 1
    if options.json:
        sys.stdout.write(made.encoded().decode())
    else:
        print("\n".join(_told(made, settings, price, options.lines)))
    return 0


@contextmanager
def opened(settings: Settings) -> Iterator[Accounts]:
    """The accounts of the settings' data directory. Raises LedgerError."""
    with ledger_as_set(settings) as ledger:
        yield Accounts(ledger, settings.facilities, settings.data_directory, Clock.from_environment())


def asked(options: argparse.Namespace, settings: Settings, accounts: Accounts) -> Statement:
    """The statement that the options of `add_span` ask for. Raises CannotCompile and what a statement raises."""
    facility = chosen(options.facility, settings)
    from_ms, to_ms = (
        instant_ms(name, text, facility.zone) for name, text in (("--from", options.begin), ("--to", options.end))
    )
    as_of_ms = None if options.as_of is None else instant_ms("--as-of", options.as_of, facility.zone)
    return accounts.statement(facility.id, options.profile, from_ms, to_ms, as_of_ms)


def price_of(options: argparse.Namespace) -> CarbonPrice | None:
    """The carbon price of the options of `add_price`; None where they give none. Raises CannotCompile."""
    given = (options.price_per_t, options.price_currency, options.price_source)
    try:
        return price_given(*given)
    except ValueError as error:
        raise CannotCompile(f"--price-per-t, --price-currency, --price-source: {error}") from error


def chosen(name: str | None, settings: Settings) -> Facility:
    """The facility of that name, or the only one. Raises CannotCompile."""
    found = [facility for facility in settings.facilities if name is None or facility.id == name]
    if len(found) != 1:
        known = ", ".join(facility.id for facility in settings.facilities) or "none, the settings have no facility"
        raise CannotCompile(f"--facility: expected one of {known}, got {'nothing' if name is None else repr(name)}")
    return found[0]


def instant_ms(name: str, text: str, zone: ZoneInfo) -> int:
    """A day (its first instant at the facility) or a time with its offset, in UTC ms. Raises CannotCompile."""
    try:
        if len(text) == len("2026-01-01"):
            return start_of_day_ms(date.fromisoformat(text), zone)
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise CannotCompile(
            f"{name}: expected a day or a time with its offset, e.g. 2026-01-01, got {text!r}"
        ) from error
    if instant.tzinfo is None:
        raise CannotCompile(f"{name}: expected a time with its offset, e.g. 2026-01-01T06:00+08:00, got {text!r}")
    return round(instant.timestamp() * 1000)


def _told(made: Statement, settings: Settings, price: CarbonPrice | None, with_lines: bool) -> Iterator[str]:
    facility = settings.facility(made.facility)
    assert facility is not None
    zone, coverage = facility.zone, made.coverage
    yield f"{made.facility}, {made.profile}, {_time(made.from_ms, zone)} to {_time(made.to_ms, zone)}, as known {_time(made.as_of_ms, zone)}"
    for counts in Counts:
        lines = list(made.of(counts))
        if lines:
            kg = made.kg(counts)
            unknown = sum(line.kg is None for line in lines)
            yield f"  {counts:<11} {_kg(kg)}" + (
                f"   {unknown} of {len(lines)} lines have no figure" if unknown else ""
            )
    for of in costs_of(made, facility.carbon_prices if price is None else (price,)):
        yield from _priced(of)
    if made.expected:
        yield (
            f"  covered     {coverage.covered} of {made.expected} intervals; {coverage.substituted} not measured well, {coverage.provisional} provisional"
        )
    yield f"  uncertainty {uncertainty_of(made) or 'no figure'}"
    yield from (f"  note        {note}" for note in made.notes)
    elsewhere = [line.factor for line in made.lines if line.factor is not None and PLACE_MARK in line.marks]
    stand_in = sorted({factor.region for factor in elsewhere if factor.tier != "residual"})  # which no province has
    if stand_in:
        yield f"  place       {', '.join(stand_in)} stands in for {facility.place}, which has no factor in force ({PLACE_MARK})"
    for why in sorted({line.why for line in made.lines if line.kg is None and line.why}):
        yield f"  no figure   {why}"
    if with_lines:
        yield from (_line(line, zone) for line in made.lines)
    yield f"  sha256      {made.sha256}"


def _priced(of: Costs) -> Iterator[str]:
    for row in of.rows:
        if row.cost is None:
            yield f"  cost        {row.counts} no figure in {of.currency}"
            continue
        part = "" if row.complete else f", of {_kg(row.priced_kg)} that have a price, not complete"
        waits = f", {row.provisional} provisional intervals" if row.provisional else ""
        yield f"  cost        {row.counts} {EXACT.normalize(row.cost):f} {of.currency}{part}{waits}"
    yield from (f"  price       {used.price}" for used in of.prices)


def _line(line: Line, zone: ZoneInfo) -> str:
    quantity = "unknown" if line.quantity is None else f"{line.quantity.normalize():f} {line.unit}"
    factor = "no factor" if line.factor is None else f"x {line.factor.kg_per_unit} ({line.factor})"
    grade = line.quality + (f" ({line.reason})" if line.reason else "")
    return f"  {line.counts:<11} {_time(line.start_ms, zone)}  {line.source}  {line.carrier}  {quantity} {factor} = {_kg(line.kg)}  {grade} {' '.join(line.marks)}".rstrip()


def _kg(kg: Decimal | None) -> str:
    return "no figure" if kg is None else f"{kg.quantize(_GRAM, ROUND_HALF_EVEN):f} kg"


def _time(at_ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).isoformat(timespec="minutes")
