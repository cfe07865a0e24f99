"""`wattline report`: a facility's report as a file. Not what is in it (`aggregator.reports`)."""

import argparse
import os
import sqlite3
import sys

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.csv_rows import FileUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerError
from aggregator.reports.exports import export
from aggregator.reports.pdf import NoBrowser
from aggregator.reports.reporter import Beside, Reporter, Wanted
from aggregator.settings import Settings, SettingsFaults, load
from wattline.statement import chosen, instant_ms, opened


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (it could not be made), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        with opened(settings) as accounts:
            made = _made(options, settings, accounts)
        if options.out is None:
            sys.stdout.buffer.write(made)
        else:
            options.out.write_bytes(made)
    except (SettingsFaults, CannotCompile, FileUnusable) as error:
        print(f"wattline report: {error}", file=sys.stderr)
        return 2
    except (LedgerError, RegistryRefused, NoBrowser, sqlite3.Error, OSError) as error:
        print(f"wattline report: {error}", file=sys.stderr)
        return 1
    return 0


def _made(options: argparse.Namespace, settings: Settings, accounts: Accounts) -> bytes:
    facility = chosen(options.facility, settings)
    times = {
        name: instant_ms(name, text, facility.zone) for name, text in (("--from", options.begin), ("--to", options.end))
    }
    beside = None
    if options.beside is not None:
        beside = Beside(options.beside, options.beside_column, options.beside_time, options.beside_zone)
    wanted = Wanted(
        facility.id,
        tuple(name.strip() for name in options.profile.split(",")),
        times["--from"],
        times["--to"],
        None if options.as_of is None else instant_ms("--as-of", options.as_of, facility.zone),
        options.rounding,
        beside,
    )
    return export(Reporter(accounts).report(wanted), options.format, options.language)
