"""`wattline challenges`: doubts about figures that people outside have raised, and their answers. Not the figures."""

import argparse
import json
import os
import sqlite3
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from aggregator.accounts.checks.challenges import Challenge, Challenges
from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.settings import SettingsFaults, load
from wattline.statement import chosen
from wire.clock import Clock


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (refused), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        facility = chosen(options.facility, settings)
        with Challenges(settings.kept() / ACCOUNTS_NAME) as challenges:
            if options.answer is not None:
                said = (options.answer, options.state, options.text, options.by, Clock.from_environment()())
                found = [challenges.answer(facility.id, *said)]
            else:
                found = challenges.all(facility.id)
    except RecordsRefused as error:
        for fault in error.faults:
            print(f"wattline challenges: {fault}", file=sys.stderr)
        return 1
    except (SettingsFaults, CannotCompile) as error:
        print(f"wattline challenges: {error}", file=sys.stderr)
        return 2
    except (RecordsBusy, RecordsUnusable, sqlite3.Error, OSError) as error:
        print(f"wattline challenges: {error}", file=sys.stderr)
        return 1
    for each in found:
        print(json.dumps(asdict(each), ensure_ascii=False) if options.json else _line(each))
    return 0


def _line(each: Challenge) -> str:
    at = datetime.fromtimestamp(each.received_at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
    contact = f" [{each.contact}]" if each.contact else ""
    answer = f"; {each.by}: {each.answer}" if each.answer else ""
    return f"{each.no}  {at}  {each.state}  {each.about}: {each.text}{contact}{answer}"
