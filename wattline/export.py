"""`wattline export` and `wattline products`: one statement in the form of a regime, or per product. Not the forms (`aggregator.regimes`)."""

import argparse
import os
import sqlite3
import sys

from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.record_file import RecordsBusy, RecordsUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerError
from aggregator.regimes.exporter import FORMATS, Wanted, export, products
from aggregator.regimes.form import CannotExport
from aggregator.regimes.pact import Company
from aggregator.settings import SettingsFaults, load
from wattline.statement import chosen, instant_ms, opened


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (it could not be compiled), 2 (bad use). `options.products`: per product instead of a regime's form."""
    word = "products" if options.products else "export"
    try:
        if options.format not in FORMATS:
            raise CannotExport(f"--format: expected one of {', '.join(FORMATS)}, got {options.format!r}")
        settings = load(options.config, os.environ)
        facility = chosen(options.facility, settings)

        def instant(name: str, text: str | None) -> int | None:
            return None if text is None else instant_ms(name, text, facility.zone)

        with opened(settings) as accounts:
            asked = Wanted(
                facility.id, instant_ms("--from", options.begin, facility.zone), instant_ms("--to", options.end, facility.zone),
                instant("--as-of", options.as_of), options.profile if options.products else options.factors,
            )  # fmt: skip
            if options.products:
                made = products(accounts, asked)
            else:
                company = Company(options.company, options.company_urn)
                sent = instant("--sent", options.sent)
                made = export(
                    accounts,
                    options.profile,
                    Wanted(asked.facility, asked.from_ms, asked.to_ms, asked.as_of_ms, asked.profile, company, sent),
                )
    except (SettingsFaults, CannotCompile, CannotExport) as error:
        print(f"wattline {word}: {error}", file=sys.stderr)
        return 2
    except (LedgerError, RegistryRefused, RecordsBusy, RecordsUnusable, sqlite3.Error, OSError) as error:
        print(f"wattline {word}: {error}", file=sys.stderr)
        return 1
    content = FORMATS[options.format][1](made)
    if options.out is None:
        sys.stdout.write(content.decode("utf-8-sig"))
    else:
        options.out.write_bytes(content)
    return 0
