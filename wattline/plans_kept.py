"""`wattline plan list|show|replay --config`: the plans that an aggregator has on record; `prices`: what it is told of the coming hours. Makes no plan."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from aggregator.accounts.record_file import RecordsBusy, RecordsRefused, RecordsUnusable
from aggregator.emissions.csv_table import TableRefused
from aggregator.flexibility.problem import ProblemFault
from aggregator.flexibility.record import Kept, decode_record
from aggregator.planning.plan_book import PLANS_NAME, PlanBook, PlanRow, number_of
from aggregator.planning.told_book import ToldFile, price_file
from aggregator.settings import Settings, SettingsFaults, load
from wire.clock import Clock

FAILED: Final = 1
BAD_USE: Final = 2


class _Unknown(Exception):
    """No such plan, facility or file of plans."""


def run(options: argparse.Namespace) -> int:
    """list, show, prices. Exit status 0, 1 (files that cannot be read or written), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        if options.verb == "prices":
            return _prices(settings, options)
        with _book(settings) as book:
            said = _list(book, settings, options) if options.verb == "list" else _show(book, settings, options)
            print("\n".join(said))
    except (SettingsFaults, TableRefused, RecordsRefused, _Unknown) as error:
        print(f"wattline plan: {error}", file=sys.stderr)
        return BAD_USE
    except (RecordsBusy, RecordsUnusable, OSError) as error:
        print(f"wattline plan: {error}", file=sys.stderr)
        return FAILED
    return 0


def kept_record(config: Path, plan_id: str) -> Kept:
    """The record of a plan, to be solved again. Raises ProblemFault with what is wrong."""
    try:
        with _book(load(config, os.environ)) as book:
            return decode_record(book.record(_row(book, plan_id).no))
    except (SettingsFaults, RecordsBusy, RecordsUnusable, _Unknown, OSError) as error:
        raise ProblemFault(str(error)) from error


def _book(settings: Settings) -> PlanBook:
    path = settings.kept() / PLANS_NAME
    if not path.is_file():
        raise _Unknown(f"{path}: expected the plans of an aggregator that plans, there is no such file")
    return PlanBook(path)


def _row(book: PlanBook, plan_id: str) -> PlanRow:
    number = number_of(plan_id)
    found = None if number is None else book.one(number)
    if found is None:
        raise _Unknown(f"plan: expected an id on record such as plan-17 (`wattline plan list`), got {plan_id!r}")
    return found


def _zone(settings: Settings, facility: str) -> ZoneInfo:
    found = settings.facility(facility)
    return ZoneInfo("UTC") if found is None else found.zone


def _at(at_ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).isoformat(timespec="minutes")


def _list(book: PlanBook, settings: Settings, options: argparse.Namespace) -> Iterator[str]:
    names = [options.facility] if options.facility else sorted(settings.steered)
    for name in names:
        if name not in settings.steered:
            known = ", ".join(sorted(settings.steered)) or "none has circuit and tariff"
            raise _Unknown(f"facility: expected one that is planned ({known}), got {name!r}")
        for row in book.recent(name, options.limit):
            if options.json:
                yield json.dumps({"id": row.id, "facility": name, "made_ms": row.made_ms, "status": row.status, "trigger": list(row.trigger),
                                  "money": row.money, "plan_sha256": row.plan_sha256, "problem_sha256": row.problem_sha256})  # fmt: skip
            else:
                when = _at(row.made_ms, _zone(settings, name))
                yield f"{row.id:<10} {name:<16} {when}  {row.status:<9} {row.money:>12.2f}  {', '.join(row.trigger)}"


def _show(book: PlanBook, settings: Settings, options: argparse.Namespace) -> Iterator[str]:
    row = _row(book, options.id)
    figures, schedules = book.summary(row.no), book.schedules(row.no)
    if options.json:
        yield json.dumps({"id": row.id, "facility": row.facility, "figures": figures, "schedules": [
            {"id": one.id, "edge": one.edge, "state": one.state, "reason": one.reason, "sha256": one.sha256} for one in schedules]})  # fmt: skip
        return
    yield from _told(row, figures, _zone(settings, row.facility))
    for one in schedules:
        yield f"  schedule    {one.edge}: {one.state}{f', {one.reason}' if one.reason else ''} ({one.id})"


def _told(row: PlanRow, figures: dict[str, Any], zone: ZoneInfo) -> Iterator[str]:
    why = f" ({figures['why']})" if figures["why"] else ""
    yield f"{row.id} of {row.facility}, {_at(row.made_ms, zone)}: {row.status}{why}; made for {', '.join(row.trigger)}"
    parts = ", ".join(f"{name} {value:.2f}" for name, value in figures["money"].items() if abs(value) >= 0.005)
    yield f"  money       {figures['currency']} {parts}"
    for signal, kg in figures["kg"].items():
        yield f"  kg CO2e     {kg:.2f} of import, {signal} intensity"
    for mode, other in figures["against"].items():
        kg = ", ".join(f"{value:.2f} kg {signal}" for signal, value in other["saved_kg"].items())
        yield f"  saves       {other['saved_money']:.2f} against {mode.replace('_', ' ')}{f', {kg}' if kg else ''}; peak {figures['peak_kw']:.1f} for {other['peak_kw']:.1f} kW"
    for one in figures["lacking"]:
        likely = "likely to lack" if one["likely"] else "will lack"
        yield f"  departure   {one['asset']} {likely} {one['kwh']:.1f} kWh at {_at(one['departs_ms'], zone)}"
    if (mode := figures.get("charging_mode", "two_way")) != "two_way":
        yield f"  vehicles    charging mode {mode.replace('_', ' ')}"
    for one in figures.get("loads", []):
        yield f"  load        {one['words']}"
        for begin_ms, end_ms, kw in one["runs"]:
            yield f"              {_at(begin_ms, zone)[5:16].replace('T', ' ')}-{_at(end_ms, zone)[11:16]} {kw:.1f} kW"
    for one in figures["explained"]:
        yield f"  {_at(one['from_ms'], zone)[11:16]}-{_at(one['until_ms'], zone)[11:16]} {one['words']}"
    for note in figures["notes"]:
        yield f"  note        {note}"
    yield f"  record      problem {row.problem_sha256[:16]}, plan {row.plan_sha256[:16]}, circuit {row.circuit_sha256[:16]}"


def _prices(settings: Settings, options: argparse.Namespace) -> int:
    if options.facility not in settings.steered:
        raise _Unknown(f"facility: expected one that is planned ({', '.join(settings.steered) or 'none is'}), got {options.facility!r}")  # fmt: skip
    rows = price_file(options.file)
    with ToldFile(settings.kept() / PLANS_NAME) as told:
        version = told.tell_prices(options.facility, rows, options.version, options.by, Clock.from_environment()())
    print(
        f"{options.facility}: {len(rows)} prices on record as version {version}; the next look takes them, within a minute"
    )
    return 0
