"""`wattline readings`: what people read off meters, into a running aggregator or straight into its records. Not what is accepted (`aggregator.accounts.by_hand.entering`)."""

import argparse
import json
import os
import sqlite3
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from aggregator.accounts.by_hand.entering import Entering, Told
from aggregator.accounts.by_hand.entering_csv import enter_csv, local_ms
from aggregator.accounts.by_hand.readings import Entry, HandAmount, HandReadings
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsUnusable
from aggregator.accounts.runs.late import closed_by
from aggregator.accounts.runs.record import Runs
from aggregator.emissions.csv_table import TableRefused
from aggregator.facility import Facility
from aggregator.intervals.decision import Unfit
from aggregator.ledger import Ledger, LedgerError
from aggregator.open_books import open_books
from aggregator.overruling import Overlapping
from aggregator.run import store_of
from aggregator.settings import Settings, SettingsFaults, load
from aggregator.settle import Settler
from aggregator.stores.store import StoreError
from wattline.asking import ask
from wattline.ledger_as_set import settle_as_set
from wire.clock import Clock


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (refused, or a row was), 2 (bad use)."""
    if (options.config is None) == (options.url is None):
        print(
            "wattline readings: expected --config FILE (no aggregator runs) or --url ADDRESS (one runs)",
            file=sys.stderr,
        )
        return 2
    words: dict[str, Callable[[argparse.Namespace], int]] = {
        "enter": _one, "exchange": _one, "withdraw": _one, "import": _import, "list": _list,
    }  # fmt: skip
    try:
        return words[options.verb](options)
    except (
        Unfit,
        Overlapping,
        TableRefused,
        StoreError,
        LedgerError,
        RecordsBusy,
        RecordsUnusable,
        sqlite3.Error,
    ) as error:
        print(f"wattline readings: {error}", file=sys.stderr)
        return 1
    except (SettingsFaults, ValueError) as error:
        print(f"wattline readings: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"wattline readings: {error}", file=sys.stderr)
        return 1


@contextmanager
def opened(settings: Settings, *, settle: bool = True) -> Iterator[tuple[Settler, Entering]]:
    """The records of an aggregator that does not run; with `settle` what was entered is settled at the end, without it nothing is written."""
    clock = Clock.from_environment()
    directory = settings.data_directory if settle else settings.kept()
    directory.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(directory / "ledger.sqlite")
    try:
        store, hand = store_of(settings), HandReadings(settings.data_directory / ACCOUNTS_NAME)
        try:
            books = open_books(settings, ledger, clock)
            settler = Settler(store, ledger, settings.facilities, clock, books=books, hand=hand)
            settle_as_set(settings, settler)
            assert settler.hand is not None
            with Runs(settings.data_directory / ACCOUNTS_NAME) as runs:
                yield settler, Entering(settler, settler.hand, closed_by(runs))
            if settle:
                settler.settle(patient=False)
        finally:
            hand.close()
            store.close()
    finally:
        ledger.close()


def _facility(settings: Settings, name: str) -> Facility:
    found = settings.facility(name)
    if found is None:
        raise ValueError(
            f"--facility: expected one of {', '.join(each.id for each in settings.facilities)}, got {name!r}"
        )
    return found


def _kwh(name: str, text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"--{name}: expected kWh as a number, got {text!r}") from None


def _one(options: argparse.Namespace) -> int:
    """One entry, over HTTP or straight."""
    if options.url:
        print(json.dumps(ask(options.url, _path(options), os.environ, body=_body(options)), ensure_ascii=False))
        return 0
    settings = load(options.config, os.environ)
    facility = _facility(settings, options.facility)
    at_ms = local_ms(options.at, "--at", facility.zone)
    counter = (facility.id, options.device, options.quantity, at_ms)
    entry = Entry(options.evidence, options.by, options.reason)
    with opened(settings) as (settler, entering):
        if options.verb == "enter":
            told = entering.reading(*counter, _kwh("kwh", options.kwh), entry)
        elif options.verb == "withdraw":
            told = entering.withdraw(*counter, entry)
        else:
            shown = (_kwh("old-last", options.old_last), _kwh("new-first", options.new_first))
            decided = entering.exchange(*counter, *shown, entry).decided
            print(f"{options.device}: exchange at {_utc(decided.decision.at_ms)} decided, number {decided.id}")
            return 0
        settler.settle(patient=False)
        print(_line(told))
    return 0


def _path(options: argparse.Namespace) -> str:
    what = {"enter": "", "list": "", "exchange": "/exchange", "withdraw": "/withdraw", "import": "/import"}[
        options.verb
    ]
    return f"/api/v1/facilities/{urllib.parse.quote(options.facility)}/hand-readings{what}"


def _body(options: argparse.Namespace) -> dict[str, Any]:
    body = {
        "device": options.device, "quantity": options.quantity, "at_ms": options.at, "evidence": options.evidence, "reason": options.reason,
        "by": options.by,
    }  # fmt: skip
    if options.verb == "enter":
        body["display_kwh"] = options.kwh
    if options.verb == "exchange":
        body |= {"old_last_kwh": options.old_last, "new_first_kwh": options.new_first}
    return body


def _import(options: argparse.Namespace) -> int:
    if options.url:
        query = {"file": options.file.name, "by": options.by}
        found = ask(options.url, _path(options), os.environ, query=query, csv=options.file.read_bytes())
        rows, new, bad = found["rows"], found["new"], found["bad"]
        faults = [(fault["line"], fault["said"]) for fault in found["faults"]]
    else:
        settings = load(options.config, os.environ)
        facility = _facility(settings, options.facility)
        with options.file.open(encoding="utf-8-sig", newline="") as lines, opened(settings) as (_, entering):
            done = enter_csv(entering, facility.id, facility.zone, lines, options.file.name, options.by)
        rows, new, bad, faults = done.rows, done.new, done.bad, done.faults
    print(f"{options.file}: {rows} rows, {new} new, {bad} bad")
    for line, said in faults:
        print(f"{options.file}:{line}: {said}", file=sys.stderr)
    return 1 if bad else 0


def _list(options: argparse.Namespace) -> int:
    if options.url:
        span = {"from": _with_offset(options.begin), "to": _with_offset(options.end)}
        query = span if options.device is None else span | {"device": options.device}
        print(json.dumps(ask(options.url, _path(options), os.environ, query=query), ensure_ascii=False, indent=2))
        return 0
    settings = load(options.config, os.environ)
    facility = _facility(settings, options.facility)
    span_ms = (local_ms(options.begin, "--from", facility.zone), local_ms(options.end, "--to", facility.zone))
    with opened(settings, settle=False) as (_, entering):
        readings = entering.listed(facility.id, options.device, *span_ms)
        amounts = entering.amounts(facility.id, options.device, *span_ms)
    if options.json:
        found: list[Told | HandAmount] = [*readings, *amounts]
        for each in found:
            print(json.dumps(_plain(each), ensure_ascii=False))
    else:
        for told in readings:
            print(_line(told))
        for amount in amounts:
            print(
                f"{_utc(amount.start_ms)} {amount.device} {amount.quantity} {amount.energy_kwh} kWh in the interval, version {amount.version},"
                f" by {amount.entry.by}, {amount.entry.evidence}"
            )
    return 0


def _with_offset(text: str) -> str:
    return f"{text}T00:00Z" if len(text) == len("2026-01-01") else text


def _plain(each: Told | HandAmount) -> dict[str, Any]:
    kept = each.reading if isinstance(each, Told) else each
    said: dict[str, Any] = {
        "version": kept.version, "evidence": kept.entry.evidence, "by": kept.entry.by, "reason": kept.entry.reason,
        "entered_at_ms": kept.entered_at_ms,
    }  # fmt: skip
    if isinstance(each, Told):
        series, shown = each.reading.series, each.reading.display_kwh
        said |= {"device": series.device, "quantity": series.quantity, "at_ms": each.reading.at_ms, "place": each.place}
        said |= {"display_kwh": _text(shown), "off_kwh": _text(each.off_kwh)}
    else:
        said |= {"device": each.device, "quantity": each.quantity, "start_ms": each.start_ms, "end_ms": each.end_ms}
        said |= {"energy_kwh": _text(each.energy_kwh)}
    return said


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _line(told: Told) -> str:
    kept = told.reading
    shown = "withdrawn" if kept.display_kwh is None else f"{kept.display_kwh:f} kWh"
    off = "" if told.off_kwh is None else f", {told.off_kwh:+f} kWh off the measured line"
    known = "" if told.new else ", on record already"
    known += ", needs a restatement of what is published" if told.restatement else ""
    return (
        f"{_utc(kept.at_ms)} {kept.series.device} {kept.series.quantity} {shown}, version {kept.version}, {told.place}{off}{known},"
        f" by {kept.entry.by}, {kept.entry.evidence}" + (f" ({kept.entry.reason})" if kept.entry.reason else "")
    )


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
