"""`wattline activities`: records of what no meter counts, from CSV to a second person's approval. Not what they come to (see `wattline statement`)."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from aggregator.accounts.activities import recording
from aggregator.accounts.activities.activity import STOCK
from aggregator.accounts.activities.record import activities_in_force, read_activities
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.facility import Facility
from aggregator.settings import SettingsFaults, load
from wattline.factor_choice import instant_ms
from wattline.file_errors import told
from wire.clock import Clock


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (refused), 2 (bad use)."""
    words: dict[str, Callable[[argparse.Namespace, Facility, Path], int]] = {
        "import": _import, "approve": _approve, "withdraw": _withdraw, "list": _list, "show": _show,
    }  # fmt: skip
    try:
        facility, directory = opened(options)
        return words[options.verb](options, facility, directory)
    except RecordsRefused as error:
        for fault in error.faults:
            print(f"wattline activities: {fault}", file=sys.stderr)
        return 1
    except (SettingsFaults, ValueError) as error:
        print(f"wattline activities: {error}", file=sys.stderr)
        return 2
    except (OSError, sqlite3.Error, RecordsBusy, RecordsUnusable) as error:
        print(f"wattline activities: {told(error)}", file=sys.stderr)
        return 1


def opened(options: argparse.Namespace) -> tuple[Facility, Path]:
    """The facility and the data directory of the settings. Raises SettingsFaults, ValueError."""
    settings = load(options.config, os.environ)
    known = {facility.id: facility for facility in settings.facilities}
    if options.facility not in known:
        raise ValueError(f"--facility: expected one of {', '.join(known)}, got {options.facility!r}")
    return known[options.facility], settings.kept() if options.verb in ("list", "show") else settings.data_directory


def _import(options: argparse.Namespace, facility: Facility, directory: Path) -> int:
    records = read_activities(options.file.read_bytes(), options.file.name, facility.id)
    done = recording.record(directory, facility, records, options.by, Clock.from_environment()())
    print(f"{options.file.name}: {done.new} new, {done.corrected} corrected, {done.unchanged} on record already")
    if done.new or done.corrected:
        print(
            f"They are drafts: wattline activities approve --all --facility {facility.id} --by ANOTHER lets them count."
        )
    return 0


def _approve(options: argparse.Namespace, facility: Facility, directory: Path) -> int:
    numbers = recording.drafts(directory, facility.id) if options.all else options.numbers
    if not numbers:
        raise ValueError("expected the numbers of drafts, or --all where there are some; got none")
    return _decide(options, facility, directory, numbers, "approved")


def _withdraw(options: argparse.Namespace, facility: Facility, directory: Path) -> int:
    return _decide(options, facility, directory, options.numbers, "withdrawn")


def _decide(
    options: argparse.Namespace,
    facility: Facility,
    directory: Path,
    numbers: Sequence[int],
    state: Literal["approved", "withdrawn"],
) -> int:
    now_ms = Clock.from_environment()()
    decided = recording.decide(directory, facility, numbers, state, options.by, options.reason, now_ms)
    for one in decided:
        print(f"{one.no}: {one.key} version {one.version}, {one.amount:f} {one.unit}, {state} by {options.by}")
    return 0


def _as_of(options: argparse.Namespace) -> int | None:
    return None if options.as_of is None else instant_ms("--as-of", options.as_of, 0)


def _list(options: argparse.Namespace, facility: Facility, directory: Path) -> int:
    found = activities_in_force(directory, facility.id, _as_of(options))
    if options.json:
        print(json.dumps([recording.in_force_json(one) for one in found], ensure_ascii=False))
        return 0
    for one in found:
        record = one.activity
        standing = "approved" if one.approved else "DRAFT, does not count yet"
        more = ", a correction waits" if one.waiting else ""
        print(
            f"{record.no}: {record.key} to {record.to_day}: {record.amount:f} {record.unit}, {record.activity_class}, {standing}{more}"
        )
    if not found:
        print(f"{facility.id}: no activities on record")
    return 0


def _show(options: argparse.Namespace, facility: Facility, directory: Path) -> int:
    standings = recording.standings(directory, facility.id, _as_of(options))
    keys = {standing.activity.no: standing.activity.key for standing in standings}
    if options.number not in keys:
        raise RecordsRefused([f"{options.number}: expected a record of {facility.id}, there is none"])
    versions = [standing for standing in standings if standing.activity.key == keys[options.number]]
    if options.json:
        print(json.dumps([recording.standing_json(standing) for standing in versions], ensure_ascii=False))
        return 0
    for standing in versions:
        record = standing.activity
        print(f"{record.no}: {record.key} to {record.to_day} version {record.version}, {standing.state}")
        if record.stock is not None:
            print("    " + ", ".join(f"{name} {value:f}" for name, value in zip(STOCK, record.stock, strict=True)))
        print(
            f"    {record.amount:f} {record.unit}, {record.activity_class}{record.sub_class and f', {record.sub_class}'}"
        )
        for label, text in (
            ("parameters", "; ".join(map("=".join, record.parameters))),
            ("evidence", record.evidence),
            ("reason", record.reason),
        ):
            if text:
                print(f"    {label}: {text}")
        print(f"    recorded by {record.by} on {_day(standing.recorded_at_ms, facility)}")
        if standing.decided_at_ms is not None:
            print(
                f"    {standing.state} by {standing.decided_by} on {_day(standing.decided_at_ms, facility)}{standing.note and f': {standing.note}'}"
            )
    return 0


def _day(at_ms: int, facility: Facility) -> str:
    return datetime.fromtimestamp(at_ms / 1000, facility.zone).date().isoformat()
