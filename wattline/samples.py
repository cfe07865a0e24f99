"""`wattline samples`: draw intervals for people to check, list them, say what was found. Not how they are drawn (`aggregator.accounts.checks.samples`)."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from aggregator.accounts.checks.samples import Draw, Sample, Samples
from aggregator.accounts.compile import CannotCompile
from aggregator.accounts.record_file import ACCOUNTS_NAME, RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.ledger import LedgerError
from aggregator.settings import Settings, SettingsFaults, load
from wattline.ledger_as_set import ledger_as_set
from wattline.statement import chosen, instant_ms
from wire.clock import Clock


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (refused), 2 (bad use)."""
    words = {"draw": _draw, "list": _list, "check": _check}
    try:
        settings = load(options.config, os.environ)
        with Samples(settings.kept() / ACCOUNTS_NAME) as samples:
            for line in words[options.verb](options, settings, samples):
                print(line)
    except RecordsRefused as error:
        for fault in error.faults:
            print(f"wattline samples: {fault}", file=sys.stderr)
        return 1
    except (SettingsFaults, CannotCompile, ValueError) as error:
        print(f"wattline samples: {error}", file=sys.stderr)
        return 2
    except (LedgerError, RecordsBusy, RecordsUnusable, sqlite3.Error, OSError) as error:
        print(f"wattline samples: {error}", file=sys.stderr)
        return 1
    return 0


def _decimal(name: str, text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"--{name}: expected a number, got {text!r}") from None


def _draw(options: argparse.Namespace, settings: Settings, samples: Samples) -> Iterator[str]:
    facility = chosen(options.facility, settings)
    span = (instant_ms("--from", options.begin, facility.zone), instant_ms("--to", options.end, facility.zone))
    percent, now_ms = _decimal("percent", options.percent), Clock.from_environment()()
    with ledger_as_set(settings) as ledger:
        drawn = samples.draw(ledger, facility.id, span, percent, options.by, now_ms, options.device, options.seed)
    yield _summary(drawn)
    yield from map(_line, drawn.samples)


def _list(options: argparse.Namespace, settings: Settings, samples: Samples) -> Iterator[str]:
    for drawn in samples.draws(chosen(options.facility, settings).id):
        if options.json:
            yield json.dumps(asdict(drawn), ensure_ascii=False, default=str)
            continue
        yield _summary(drawn)
        for sample in drawn.samples:
            if (sample.check is None and options.waiting) or (
                sample.check is not None and sample.check.result != "agrees"
            ):
                yield _line(sample)
        if drawn.number(None) and not options.waiting:
            yield f"  {drawn.number(None)} more: --waiting shows those that wait"


def _check(options: argparse.Namespace, settings: Settings, samples: Samples) -> Iterator[str]:
    facility = chosen(options.facility, settings)
    found_kwh = None if options.found_kwh is None else _decimal("found-kwh", options.found_kwh)
    said = (options.sample, options.result, found_kwh, options.note, options.evidence, options.by)
    yield _line(samples.check(facility.id, *said, Clock.from_environment()()))


def _summary(drawn: Draw) -> str:
    rate = "" if drawn.differing_percent is None else f" ({drawn.differing_percent} % of those told)"
    return (
        f"draw {drawn.no}: {len(drawn.samples)} of {drawn.population} intervals, {drawn.percent} %, {_utc(drawn.from_ms)} to {_utc(drawn.to_ms)},"
        f" seed {drawn.seed}, by {drawn.by}: {drawn.number(None)} wait, {drawn.number('agrees')} agree, {drawn.number('differs')} differ{rate},"
        f" {drawn.number('cannot_tell')} cannot be told"
    )


def _line(sample: Sample) -> str:
    last = sample.check
    found = "waits"
    if last is not None:
        found = f"{last.result} {'' if last.found_kwh is None else f'{last.found_kwh} kWh '}{last.note} ({last.evidence}, {last.by})"
    return (
        f"  {sample.no}  {sample.device} {sample.quantity} {_utc(sample.start_ms)} {sample.energy_kwh} kWh {sample.quality} {sample.reason},"
        f" version {sample.version}: {found}"
    )


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
