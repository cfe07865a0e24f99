"""`wattline late`: which published spans no longer say what the ledger says. Not their restatement (`wattline runs`)."""

import argparse
import json
import os
import sqlite3
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsUnusable
from aggregator.accounts.runs.late import closed_spans, late_changes
from aggregator.accounts.runs.record import Runs
from aggregator.ledger import LedgerError
from aggregator.settings import SettingsFaults, load
from wattline.ledger_as_set import ledger_as_set
from wattline.plurals import counted
from wattline.statement import chosen


def run(options: argparse.Namespace) -> int:
    """Exit status 0 (nothing has come late), 1 (a span needs a restatement, or it cannot be told), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        facility = chosen(options.facility, settings)
        with ledger_as_set(settings) as ledger:
            with Runs(settings.data_directory / ACCOUNTS_NAME) as runs:
                spans = closed_spans(runs, facility.id)
            found = [(span, late_changes(ledger, span)) for span in spans]
    except (SettingsFaults, CannotCompile) as error:
        print(f"wattline late: {error}", file=sys.stderr)
        return 2
    except (LedgerError, RecordsBusy, RecordsUnusable, sqlite3.Error, OSError) as error:
        print(f"wattline late: {error}", file=sys.stderr)
        return 1
    for span, changes in found:
        for each in changes:
            if options.json:
                print(json.dumps(asdict(span) | asdict(each), default=str))
            else:
                print(
                    f"publication {span.publication} {span.profile} {_utc(span.from_ms)} to {_utc(span.to_ms)} needs a restatement: {each.device}"
                    f" {each.quantity}, {each.intervals} intervals from {_utc(each.first_ms)} to {_utc(each.last_ms)}, {each.then_kwh} kWh then,"
                    f" {each.now_kwh} now"
                )
    late = any(changes for _, changes in found)
    if not late and not options.json:
        print(f"{facility.id}: {counted(len(found), 'published span')}, nothing has come late")
    return 1 if late else 0


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
