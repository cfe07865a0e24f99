"""`wattline import`: a CSV file into a running aggregator, or straight into the ledger where none runs. Not what rows mean."""

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from aggregator.accounts.by_hand.readings import HandReadings
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsUnusable
from aggregator.imports import FileUnusable, ImportOptions, Kind, import_csv
from aggregator.ledger import Ledger, LedgerError
from aggregator.open_books import open_books
from aggregator.run import store_of
from aggregator.settings import Settings, SettingsFaults, load
from aggregator.settle import Settler
from aggregator.stores.store import StoreError
from wattline.plurals import counted
from wire.clock import Clock
from wire.quantities import QUANTITIES

TIMEOUT_S: Final = 600.0
FAULTS_SHOWN: Final = 20
_BAR: Final = 40


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (a row was bad, or the import failed), 2 (bad use)."""
    if (options.config is None) == (options.url is None):
        print(
            "wattline import: expected --config FILE (no aggregator runs) or --url ADDRESS (one runs)", file=sys.stderr
        )
        return 2
    try:
        outcome = _over_http(options) if options.url else _straight(options)
    except (SettingsFaults, FileUnusable, StoreError, LedgerError, RecordsUnusable, OSError, ValueError) as error:
        print(f"wattline import: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingsFaults) else 1
    if options.json:
        print(json.dumps(outcome))
    else:
        print(_summary(options, outcome))
        for fault in outcome["faults"][:FAULTS_SHOWN]:
            where = f"{options.file}:{fault['line']}: {fault['column']}"
            print(f"{where}: expected {fault['expected']}, got {fault['seen']}", file=sys.stderr)
    return 1 if outcome["bad"] else 0


def _straight(options: argparse.Namespace) -> dict[str, Any]:
    settings = load(options.config, os.environ)
    how = _options(options, settings)
    clock = Clock.from_environment()
    settings.data_directory.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(settings.data_directory / "ledger.sqlite")
    try:
        books = open_books(settings, ledger, clock)
        settled: int | None = None
        if how.kind is Kind.INTERVAL:
            result = import_csv(options.file, how, books, progress=_progress(options))
        else:
            with ExitStack() as open_files:
                store = store_of(settings)
                open_files.callback(store.close)
                hand = HandReadings(settings.data_directory / ACCOUNTS_NAME)
                open_files.callback(hand.close)
                settler = Settler(store, ledger, settings.facilities, clock, books=books, hand=hand)
                result = import_csv(options.file, how, books, store, _progress(options), settler.note)
                settled = len(settler.settle(patient=False).intervals)
    finally:
        ledger.close()
    return {
        "rows": result.rows,
        "new": result.new,
        "aside": result.aside,
        "bad": result.bad,
        "total_kwh": str(result.total_kwh),
        "booked": result.booked,
        "without_factor": result.without_factor,
        "settled": settled,
        "faults": [
            {"line": fault.line, "column": fault.column, "expected": fault.expected, "seen": fault.seen}
            for fault in result.faults
        ],
    }


def _options(options: argparse.Namespace, settings: Settings) -> ImportOptions:
    facility = settings.facility(options.facility)
    zone = options.time_zone or (facility.time_zone if facility is not None else "UTC")
    return ImportOptions(
        facility=options.facility,
        device=options.device,
        quantity=options.quantity,
        kind=Kind(options.kind),
        time_column=options.time_column,
        value_column=options.value_column,
        unit=options.unit,
        time_zone=zone,
        time_format=options.time_format,
        interval_s=options.interval_s,
        delimiter=options.delimiter,
        decimal_comma=options.decimal_comma,
        reason=options.reason,
        by=options.by,
        flow_column=options.flow_column,
    )


def _progress(options: argparse.Namespace) -> Callable[[int, int], None]:
    """A bar on a terminal, silence in a pipe."""
    if options.json or not sys.stderr.isatty():
        return lambda _done, _whole: None

    def show(done: int, whole: int) -> None:
        filled = _BAR if whole == 0 else min(_BAR, _BAR * done // whole)
        end = "\n" if done >= whole else ""
        print(
            f"\r[{'#' * filled}{' ' * (_BAR - filled)}] {done / 1e6:.1f} of {whole / 1e6:.1f} MB",
            end=end,
            file=sys.stderr,
            flush=True,
        )

    return show


def _over_http(options: argparse.Namespace) -> dict[str, Any]:
    """Raises OSError with the aggregator's own words where it refuses."""
    base = urllib.parse.urlsplit(options.url)
    if base.scheme not in {"http", "https"}:
        raise ValueError(f"--url: expected http://HOST:PORT or https://, got {options.url!r}")
    query = {
        "device": options.device,
        "quantity": options.quantity,
        "kind": options.kind,
        "time_column": options.time_column,
        "value_column": options.value_column,
        "time_format": options.time_format,
        "time_zone": options.time_zone or "",
        "interval_s": str(options.interval_s),
        "unit": options.unit,
        "delimiter": options.delimiter,
        "decimal_comma": str(options.decimal_comma).lower(),
        "file": Path(options.file).name,
        "reason": options.reason,
        "by": options.by,
        "flow_column": options.flow_column,
    }
    address = f"{options.url.rstrip('/')}/api/v1/facilities/{urllib.parse.quote(options.facility)}/import"
    request = urllib.request.Request(  # noqa: S310 the scheme is checked
        f"{address}?{urllib.parse.urlencode(query)}",
        data=options.file.read_bytes(),
        headers={"content-type": "text/csv", "x-wattline-write": "1", **_authorization(os.environ)},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        raise OSError(f"{options.url} answered {error.code}: {error.read().decode(errors='replace')[:500]}") from error
    except urllib.error.URLError as error:
        raise OSError(f"{options.url}: expected an aggregator that answers, got: {error.reason}") from error
    return found


def _authorization(environment: Mapping[str, str]) -> dict[str, str]:
    token = environment.get("WATTLINE_TOKEN", "")
    return {"authorization": f"Bearer {token}"} if token else {}


def _summary(options: argparse.Namespace, outcome: Mapping[str, Any]) -> str:
    text = f"{options.file}: {counted(outcome['rows'], 'row')}, {outcome['new']} new, {outcome['bad']} bad"
    if options.kind == Kind.INTERVAL.value:  # counter readings have no sum
        text += f", {outcome['total_kwh']} {QUANTITIES[options.quantity].unit}"
    if outcome["aside"]:
        text += f"; {counted(outcome['aside'], 'interval')} set aside: the meter's counter stands there"
    if outcome.get("settled") is not None:  # a running aggregator settles later
        text += f"; {counted(outcome['settled'], 'interval')} settled"
    if outcome["booked"]:
        text += f"; {outcome['booked']} emissions booked, {outcome['without_factor']} without a factor"
    return text
