"""`wattline lineage`: where a number comes from, down to the meter's readings and the factor's document. Not how it is found (`aggregator.accounts.checks.lineage`)."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from aggregator.accounts.checks.lineage import Lineage, NotTraced
from aggregator.accounts.checks.lineage_told import interval_json, line_json
from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.record_file import RecordsUnusable
from aggregator.audit.log import AuditLog, LogUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.ledger import LedgerError
from aggregator.settings import Settings, SettingsFaults, load
from aggregator.stores.store import StoreError
from wattline.readings import opened
from wattline.statement import chosen, instant_ms
from wire.clock import Clock
from wire.keys import KeyUnusable
from wire.quantities import QUANTITIES


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (it could not be traced), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        found = _line(options, settings) if options.verb == "line" else _interval(options, settings)
    except (SettingsFaults, CannotCompile, NotTraced) as error:
        print(f"wattline lineage: {error}", file=sys.stderr)
        return 2
    except (
        LedgerError,
        StoreError,
        RegistryRefused,
        RecordsUnusable,
        LogUnusable,
        KeyUnusable,
        sqlite3.Error,
        OSError,
    ) as error:
        print(f"wattline lineage: {error}", file=sys.stderr)
        return 1
    if found is not None:
        print(json.dumps(found, ensure_ascii=False) if options.json else "\n".join(told(found)))
    return 0


@contextmanager
def _lineage(settings: Settings) -> Iterator[tuple[Accounts, Lineage]]:
    with opened(settings, settle=False) as (settler, _):
        clock = Clock.from_environment()
        accounts = Accounts(settler.ledger, settings.facilities, settings.data_directory, clock)
        audit = None
        id_file = settings.data_directory / "store_id"
        store_id = settings.store_id or (id_file.read_text().strip() if id_file.exists() else "")
        if store_id and (settings.data_directory / "audit.sqlite").exists():
            audit = AuditLog(
                settings.data_directory, settler.store, store_id, clock, frame_bytes_max=settings.archive_bytes
            )
        try:
            yield accounts, Lineage(accounts, settler, audit)
        finally:
            if audit is not None:
                audit.close()


def _line(options: argparse.Namespace, settings: Settings) -> dict[str, Any] | None:
    facility = chosen(options.facility, settings)
    span = (instant_ms("--from", options.begin, facility.zone), instant_ms("--to", options.end, facility.zone))
    as_of_ms = None if options.as_of is None else instant_ms("--as-of", options.as_of, facility.zone)
    with _lineage(settings) as (accounts, lineage):
        if options.line is not None:
            return line_json(lineage.line(facility.id, options.profile, span, as_of_ms, options.line))
        made = accounts.statement(facility.id, options.profile, *span, as_of_ms)
        for number, line in enumerate(made.lines):
            quantity = "unknown" if line.quantity is None else f"{line.quantity.normalize():f} {line.unit}"
            kg = "no figure" if line.kg is None else f"{line.kg.normalize():f} kg"
            print(f"{number}  {_utc(line.start_ms)}  {line.source}  {line.counts}  {quantity}  {kg}  {line.quality}")
        return None


def _interval(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    facility = chosen(options.facility, settings)
    at_ms = instant_ms("--at", options.at, facility.zone)
    as_of_ms = None if options.as_of is None else instant_ms("--as-of", options.as_of, facility.zone)
    with _lineage(settings) as (_, lineage):
        return interval_json(lineage.interval(facility.id, options.device, options.quantity, at_ms, as_of_ms))


def told(found: dict[str, Any]) -> Iterator[str]:
    """For people."""
    if "line" in found:
        line = found["line"]
        yield f"line      {line['source']} {line['counts']} {_utc(line['start_ms'])} to {_utc(line['end_ms'])}"
        yield f"          {line['quantity']} {line['unit']} -> {line['kg']} kg {line['gas']}, {line['quality']} {line['reason']}".rstrip()
        yield from _factor(found["factor"])
        if found["intervals"]:
            agree = "the same" if found["sum_agrees"] else "not the same"
            yield f"intervals {len(found['intervals'])}, sum {found['sum_kwh']}{_unit(found['first'])}: {agree}"
        for name in ("first", "last"):
            if found[name] is not None:
                yield f"{name:<9}"
                yield from (f"  {text}" for text in told(found[name]))
        return
    row, unit = found["interval"], _unit(found)
    yield (
        f"interval  {row['device']} {row['quantity']} {_utc(row['start_ms'])} to {_utc(row['end_ms'])}: {row['energy_kwh']}{unit}, {row['quality']}"
        f" {row['reason']} {row['source']}, {row['state']}, version {row['version']} of {len(found['versions'])}"
    )
    for version in found["versions"]:
        if version["import"] is not None:
            brought = version["import"]
            why = f": {brought['reason']}, by {brought['by']}" if brought["reason"] else ""
            yield f"import    version {version['version']}, {version['energy_kwh']}{unit} from {brought['file']}{why}"
    for aside in found["asides"]:
        if aside["ended_ms"] is None:
            brought = "" if aside["import"] is None else f" from {aside['import']['file']}"
            until = f"{_utc(aside['start_ms'])} to {_utc(aside['end_ms'])}"
            yield f"aside     {until}: {aside['energy_kwh']}{unit}, {aside['quality']} {aside['reason']} {aside['source']}{brought}"
    counter = found["counter"]
    if counter is None:
        yield "counter   none: it was imported, entered, estimated or integrated from power"
        return
    yield from _boundary("start", counter["start"], unit)
    yield from _boundary("end", counter["end"], unit)
    for event in counter["events"]:
        yield f"change    {event['change']} at {_utc(event['at_ms'])}: {event['before_kwh']} then {event['after_kwh']}, booked {event['booked_kwh']}"
    for multiplier in counter["multipliers"]:
        yield f"times     {multiplier['factor']} {multiplier['reason']} {multiplier['evidence']} {multiplier['approver']}".rstrip()
    agree = "the same" if counter["agrees"] else "not the same"
    yield f"makes     {counter['derived_kwh']}{unit}: {agree}"


def _unit(found: dict[str, Any] | None) -> str:
    """Of the quantity of an interval's trace, behind a blank."""
    return "" if found is None else f" {QUANTITIES[found['interval']['quantity']].unit}"


def _factor(factor: dict[str, Any] | None) -> Iterator[str]:
    if factor is None:
        yield "factor    none"
        return
    yield (
        f"factor    {factor['kg_per_unit']} kg per unit: {factor['id']} {factor['region']} {factor['data_year'] or ''} version {factor['version']},"
        f" tier {factor['tier']}"
    )
    entry = factor["entry"]
    if entry is None:
        yield f"          {factor['source']}"
        return
    document = entry["document"]
    yield f"document  {document['issuer']} {document['number']}: {document['title']}, {document['published_on']}, {entry['table_ref']}"
    yield f"          {document['url']} table SHA-256 {entry['table_sha256']}, approved by {entry['approved_by']}".rstrip()


def _boundary(name: str, boundary: dict[str, Any], unit: str) -> Iterator[str]:
    yield f"{name:<9} {boundary['value_kwh']}{unit} at {_utc(boundary['at_ms'])}, by {boundary['how']}, {boundary['quality']} {boundary['reason']}".rstrip()
    for side in ("before", "after"):
        reading = boundary[side]
        if reading is None:
            continue
        text = f"  {side:<7} {reading['display_kwh']} at {_utc(reading['at_ms'])} {reading['quality']} {reading['reason']}".rstrip()
        if reading["by_hand"]:
            text += f", read by {reading['by_hand']['by']}: {reading['by_hand']['evidence']}"
        if reading["batch"]:
            batch = reading["batch"]
            text += f", batch {batch['edge']}/{batch['epoch']}/{batch['seq']}, leaf {batch['leaf']} of the log, SHA-256 {batch['sha256']}"
        yield text


def _utc(at_ms: int) -> str:
    return (
        datetime.fromtimestamp(at_ms / 1000, UTC)
        .isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds")
        .replace("+00:00", "Z")
    )
