"""`wattline report`: a facility's report as a file. Not what is in it (`aggregator.reports`)."""

import argparse
import os
import sqlite3
import sys
from typing import Final

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.audit.export import Exporter
from aggregator.audit.leaves import LogUnusable, NotInLog
from aggregator.audit.log import AuditLog
from aggregator.csv_rows import FileUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerError
from aggregator.reports.bundling import bundle
from aggregator.reports.exports import export
from aggregator.reports.pdf import NoBrowser
from aggregator.reports.report import Report
from aggregator.reports.reporter import Beside, Reporter, Wanted
from aggregator.run import kept_store_id, store_of, trust_of
from aggregator.settings import Settings, SettingsFaults, load
from aggregator.stores.store import StoreError
from wattline.file_errors import told
from wattline.statement import chosen, instant_ms, opened, price_of
from wire.keys import KeyUnusable

_CANNOT: Final = (
    LedgerError, RegistryRefused, RecordsBusy, RecordsRefused, RecordsUnusable, NoBrowser, StoreError, LogUnusable, NotInLog, KeyUnusable,
)  # fmt: skip


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
    except (*_CANNOT, sqlite3.Error, OSError) as error:
        print(f"wattline report: {told(error)}", file=sys.stderr)
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
        options.view,
        price_of(options),
    )
    reporter = Reporter(accounts)
    report = reporter.report(wanted)
    if options.format == "zip":
        return _bundled(reporter, report, settings, options)
    return export(report, options.format, options.language)


def _bundled(reporter: Reporter, report: Report, settings: Settings, options: argparse.Namespace) -> bytes:
    """With the log and the archive of the data directory. Raises StoreError where an aggregator runs over it."""
    try:
        store = store_of(settings)
    except StoreError as error:
        raise StoreError(
            f"{error}; where an aggregator runs, it gives the bundle: GET /api/v1/facilities/{report.facility}/report"
        ) from error
    try:
        store_id = settings.store_id or kept_store_id(settings.data_directory)
        log = AuditLog(settings.data_directory, store, store_id, reporter.accounts.clock, settings.archive_bytes)
        try:
            log.keep_up()
            if options.since is not None and not 0 <= options.since <= log.signed_size:
                raise CannotCompile(
                    f"--since: expected the size of a checkpoint of this log, at most {log.signed_size}, got {options.since}"
                )
            evidence = Exporter(log, store, trust_of(settings)).of_boundaries
            return bundle(reporter, report, options.language, log, evidence, options.since)
        finally:
            log.close()
    finally:
        store.close()
