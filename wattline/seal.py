"""`wattline seal`: interval energies of a month that is over into files that are written once. Not what a seal is (`aggregator.accounts.sealing.seals`)."""

import argparse
import dataclasses
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime

from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.record_file import RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.accounts.sealing.file import SealedFileUnusable
from aggregator.accounts.sealing.seals import Seal, Seals
from aggregator.facility import Facility
from aggregator.intervals.local_time import start_of_day_ms
from aggregator.ledger import LedgerError
from aggregator.settings import Settings, SettingsFaults, load
from wattline.ledger_as_set import ledger_as_set
from wattline.plurals import counted
from wattline.statement import chosen
from wire.clock import Clock


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (it could not be sealed, or a file was changed), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        facility = chosen(options.facility, settings)
        span = None if options.month is None else month_span_ms(options.month, facility)
        if span is not None and not options.by:
            raise CannotCompile("--by: expected who seals, got nothing")
        with Seals(settings.kept()) as seals:
            if span is not None:
                found = list(_sealed(settings, seals, facility, span, options.by, options.reason))
            else:
                found = seals.all(facility.id)
            faults = list(_faults(seals, found)) if options.check else []
    except (SettingsFaults, CannotCompile) as error:
        print(f"wattline seal: {error}", file=sys.stderr)
        return 2
    except (LedgerError, RecordsRefused, RecordsBusy, RecordsUnusable, sqlite3.Error, OSError) as error:
        print(f"wattline seal: {error}", file=sys.stderr)
        return 1
    for seal in found:
        print(json.dumps(dataclasses.asdict(seal)) if options.json else _told(seal, facility))
    for fault in faults:
        print(f"wattline seal: {fault}", file=sys.stderr)
    return 1 if faults else 0


def month_span_ms(month: str, facility: Facility) -> tuple[int, int]:
    """[from_ms, to_ms) of a local month such as 2026-01. Raises CannotCompile."""
    try:
        if len(month) != len("2026-01"):
            raise ValueError
        first = date.fromisoformat(f"{month}-01")
        following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    except ValueError as error:
        raise CannotCompile(f"--month: expected a month such as 2026-01, got {month!r}") from error
    return start_of_day_ms(first, facility.zone), start_of_day_ms(following, facility.zone)


def _sealed(
    settings: Settings, seals: Seals, facility: Facility, span: tuple[int, int], by: str, reason: str | None
) -> Iterator[Seal]:
    """The versions that are given up, with a reason, and the new one; without it where only versions before the latest are lost."""
    now_ms = Clock.from_environment()()
    if reason is not None:
        lost = seals.give_up(facility.id, *span, now_ms, by, reason)
        versions = [seal for seal in seals.all(facility.id) if (seal.from_ms, seal.to_ms) == span]
        yield from (seal for seal in versions if seal.version in {each.version for each in lost})
        if lost and versions[-1].version != lost[-1].version:
            return
    with ledger_as_set(settings) as ledger:
        yield seals.seal(ledger, facility.id, *span, now_ms, by)


def _faults(seals: Seals, found: list[Seal]) -> Iterator[str]:
    for seal in found:
        if seal.given_up:
            continue
        try:
            seals.check(seal)
        except SealedFileUnusable as error:
            yield str(error)


def _told(seal: Seal, facility: Facility) -> str:
    begin, end = (
        datetime.fromtimestamp(at_ms / 1000, facility.zone).isoformat() for at_ms in (seal.from_ms, seal.to_ms)
    )
    sealed_at = datetime.fromtimestamp(seal.sealed_at_ms / 1000, UTC).isoformat(timespec="seconds")
    return (
        f"{seal.facility} {begin} to {end}, version {seal.version}: {seal.rows} interval energies in {counted(len(seal.files), 'file')},"
        f" sealed {sealed_at} by {seal.sealed_by}, rows' SHA-256 {seal.sha256}"
        + (f", given up: {seal.given_up}" if seal.given_up else "")
    )
