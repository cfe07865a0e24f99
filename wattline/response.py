"""`wattline response`: an event's metered delta against its baseline, settled in money and kg. Not the rules (`aggregator.flexibility`)."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aggregator.accounts.compile import Accounts, CannotCompile
from aggregator.accounts.record_file import RecordsBusy, RecordsUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.facility import Facility
from aggregator.flexibility.baseline import LOOK_BACK_DAYS, Event, NoBaseline, Rules, Series, preset
from aggregator.flexibility.events.saved_kg import SavedKg, saved_kg
from aggregator.flexibility.response import Outcome, Question, outcome
from aggregator.flexibility.settlement import REBOUND_H, Terms
from aggregator.ledger import LedgerError
from aggregator.measured_load import HOUR_MS, days_of, place, start_ms
from aggregator.settings import SettingsFaults, load
from wattline.statement import chosen, instant_ms, opened


@dataclass(frozen=True, slots=True)
class _Told:
    """Everything that is shown."""

    found: Outcome
    saved: Sequence[SavedKg]


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (no baseline, or the meter lacks the event), 2 (bad use)."""
    try:
        settings = load(options.config, os.environ)
        facility = chosen(options.facility, settings)
        with opened(settings) as accounts:
            told = _settled(options, facility, accounts)
    except (SettingsFaults, CannotCompile) as error:
        print(f"wattline response: {error}", file=sys.stderr)
        return 2
    except (
        NoBaseline,
        LedgerError,
        RegistryRefused,
        RecordsBusy,
        RecordsUnusable,
        sqlite3.Error,
        OSError,
        ValueError,
    ) as error:
        print(f"wattline response: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(_json(told), ensure_ascii=False))
    else:
        print("\n".join(_lines(told, facility)))
    return 0


def _settled(options: argparse.Namespace, facility: Facility, accounts: Accounts) -> _Told:
    zone = facility.zone
    begin_ms, end_ms = instant_ms("--from", options.begin, zone), instant_ms("--to", options.end, zone)
    (day, first), (last_day, last) = place(begin_ms, facility), place(end_ms - 1, facility)
    if not begin_ms < end_ms or day != last_day or begin_ms % facility.interval_ms or end_ms % facility.interval_ms:
        raise CannotCompile(
            f"event: expected a begin and an end on boundaries of {facility.interval_s} s of one local day, got {options.begin} to {options.end}"
        )
    notice = None
    if options.notice is not None:
        noticed_day, at = place(instant_ms("--notice", options.notice, zone), facility)
        notice = at if noticed_day == day else None
    devices = options.device or [meter.device for meter in facility.main_meters() if meter.carrier == "electricity"]
    for device in devices:
        if facility.meter(device) is None:
            known = ", ".join(meter.device for meter in facility.meters)
            raise CannotCompile(f"--device: expected one of {known}, got {device!r}")
    from_day = day - timedelta(days=5 * LOOK_BACK_DAYS)
    loads = days_of(
        accounts.ledger, facility, devices, start_ms(from_day, facility), start_ms(day + timedelta(days=2), facility)
    )
    asked = Question(
        Event(day, first, last + 1, notice),
        _rules(options.rules),
        facility.interval_ms / HOUR_MS,
        options.target_kw,
        Terms(options.pay_per_kwh, options.penalty_per_kwh, options.dead_band_percent, options.cap_percent),
        event_days={_day("--event-day", text) for text in options.event_day},
        holidays={_day("--holiday", text) for text in options.holiday},
        moved=options.moved,
    )
    found = outcome(loads, asked)
    return _Told(found, saved_kg(accounts, facility, begin_ms, found.settled.delivered_kwh.tolist()))


def _rules(name: str) -> Rules:
    try:
        return preset(name)
    except ValueError as error:
        raise CannotCompile(f"--rules: {error}") from error


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CannotCompile(f"{name}: expected a day such as 2026-06-17, got {text!r}") from error


def _lines(told: _Told, facility: Facility) -> Iterator[str]:
    made, settled, accurate = told.found.made, told.found.settled, told.found.accurate
    zone: ZoneInfo = facility.zone
    yield f"{facility.id}, {made.event.day} ({zone.key}), rules {made.rules.name}: {made.rules.source}"
    yield f"  days        {', '.join(day.isoformat() for day in made.days) or 'none: the time before the event'}"
    if made.factor is not None or made.added_kw is not None:
        yield f"  adjusted    {'x ' + format(made.factor, '.4f') if made.factor is not None else format(made.added_kw, '+.3f') + ' kW'}"
    yield from (f"  note        {note}" for note in made.said)
    yield f"  baseline kW {_series(made.settled_kw)}"
    if made.adjusted_kw is not None:
        yield f"  unadjusted  {_series(made.unadjusted_kw)}"
    yield f"  metered kW  {_series(told.found.metered_kw)}"
    asked = "" if settled.response_ratio is None else f", {settled.response_ratio:.3f} of what was asked"
    yield f"  delivered   {settled.delivered_kwh.sum():.3f} kWh{asked}"
    yield f"  money       {settled.money:.2f}"
    yield f"  rebound     {'not measured' if settled.rebound_kwh is None else f'{settled.rebound_kwh:.3f} kWh within {REBOUND_H:g} h'}"
    for each in told.saved:
        yield f"  {each.profile:<11} {'no factor' if each.kg is None else f'{each.kg:.3f} kg CO2e less'}"
    if accurate is None:
        yield "  accuracy    not known: no earlier day has a baseline"
    else:
        yield f"  accuracy    bias {accurate.bias_percent:+.2f} %, RRMSE {accurate.rrmse_percent:.2f} % on {accurate.days} days without an event"


def _series(values: Series) -> str:
    return " ".join(f"{value:.1f}" for value in values)


def _json(told: _Told) -> dict[str, Any]:
    made, settled, accurate = told.found.made, told.found.settled, told.found.accurate
    return {
        "day": made.event.day.isoformat(), "rules": made.rules.name, "source": made.rules.source, "days": [day.isoformat() for day in made.days],
        "factor": made.factor, "added_kw": made.added_kw, "said": list(made.said), "baseline_kw": made.settled_kw.tolist(),
        "unadjusted_kw": made.unadjusted_kw.tolist(), "metered_kw": told.found.metered_kw.tolist(),
        "delivered_kwh": settled.delivered_kwh.tolist(), "paid_kwh": settled.paid_kwh.tolist(), "response_ratio": settled.response_ratio,
        "money": settled.money, "rebound_kwh": settled.rebound_kwh,
        "saved_kg": {each.profile: None if each.kg is None else str(each.kg) for each in told.saved},
        "accuracy": None if accurate is None else {"days": accurate.days, "bias_percent": accurate.bias_percent, "rrmse_percent": accurate.rrmse_percent},
    }  # fmt: skip
