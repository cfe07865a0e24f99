"""`wattline response`: an event's metered delta against its baseline, settled in money and kg. Not the rules (`aggregator.flexibility`)."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from aggregator.accounts.compile import Accounts, CannotCompile, Span
from aggregator.accounts.record_file import RecordsBusy, RecordsUnusable
from aggregator.emissions.registry import RegistryRefused
from aggregator.facility import Facility
from aggregator.flexibility.baseline import (
    LOOK_BACK_DAYS,
    Accuracy,
    Baseline,
    Event,
    NoBaseline,
    Series,
    accuracy,
    baseline,
    preset,
    weekday_type,
)
from aggregator.flexibility.settlement import REBOUND_H, Settlement, Terms, settle
from aggregator.ledger import LedgerError
from aggregator.measured_load import HOUR_MS, days_of, place, start_ms
from aggregator.settings import SettingsFaults, load
from wattline.statement import chosen, instant_ms, opened


@dataclass(frozen=True, slots=True)
class _Told:
    """Everything that is shown. kg by profile: None where a factor is missing."""

    made: Baseline
    metered_kw: Series
    settled: Settlement
    accurate: Accuracy | None
    saved_kg: dict[str, Decimal | None]


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
    event, rules = Event(day, first, last + 1, notice), _rules(options.rules)
    event_days = {_day("--event-day", text) for text in options.event_day}
    holidays = {_day("--holiday", text) for text in options.holiday}
    interval_h = facility.interval_ms / HOUR_MS

    def kind(one: date) -> str:
        return "holiday" if one in holidays else weekday_type(one)

    made = baseline(loads, event, rules, interval_h, event_days, kind, moved=options.moved)
    today = loads.get(day)
    if today is None:
        raise ValueError(f"metered load: expected intervals of {day}, there are none of {', '.join(devices)}")
    after = Event(day, event.last, min(event.last + round(REBOUND_H / interval_h), len(today)), notice)
    later = _after(loads, after, options, interval_h, event_days, kind)
    metered = today[event.first : event.last]
    terms = Terms(options.pay_per_kwh, options.penalty_per_kwh, options.dead_band_percent, options.cap_percent)
    target = np.full(len(metered), options.target_kw)
    settled = settle(made.settled_kw, metered, target, interval_h, terms, later, today[after.first : after.last])
    accurate = accuracy(loads, event, rules, interval_h, event_days, kind)
    return _Told(made, metered, settled, accurate, _saved(accounts, facility, begin_ms, settled))


def _after(
    loads: Any, after: Event, options: argparse.Namespace, interval_h: float, event_days: set[date], kind: Any
) -> Series | None:
    """The unadjusted baseline of the hours after the event; None where there is none."""
    if after.first >= after.last:
        return None
    try:
        return baseline(loads, after, _rules(options.rules), interval_h, event_days, kind).unadjusted_kw
    except NoBaseline:
        return None


def _saved(accounts: Accounts, facility: Facility, begin_ms: int, settled: Settlement) -> dict[str, Decimal | None]:
    """Delivered kWh x the factor of each interval, under the accounting's profile and the marginal one, apart."""
    saved: dict[str, Decimal | None] = {}
    for profile_name in ("OPS", "MARGINAL"):
        total: Decimal | None = Decimal(0)
        end_ms = begin_ms + len(settled.delivered_kwh) * facility.interval_ms
        span = Span(begin_ms, end_ms, accounts.clock())
        with accounts.opened(facility, accounts.profile(profile_name), span) as (period, _):
            for number, kwh in enumerate(settled.delivered_kwh.tolist()):
                factor = period.resolve(begin_ms + number * facility.interval_ms).kg_per_kwh
                total = None if factor is None or total is None else total + Decimal(repr(round(kwh, 9))) * factor
        saved[profile_name] = total
    return saved


def _rules(name: str) -> Any:
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
    made, settled = told.made, told.settled
    zone: ZoneInfo = facility.zone
    yield f"{facility.id}, {made.event.day} ({zone.key}), rules {made.rules.name}: {made.rules.source}"
    yield f"  days        {', '.join(day.isoformat() for day in made.days) or 'none: the time before the event'}"
    if made.factor is not None or made.added_kw is not None:
        yield f"  adjusted    {'x ' + format(made.factor, '.4f') if made.factor is not None else format(made.added_kw, '+.3f') + ' kW'}"
    yield from (f"  note        {note}" for note in made.said)
    yield f"  baseline kW {_series(made.settled_kw)}"
    if made.adjusted_kw is not None:
        yield f"  unadjusted  {_series(made.unadjusted_kw)}"
    yield f"  metered kW  {_series(told.metered_kw)}"
    asked = "" if settled.response_ratio is None else f", {settled.response_ratio:.3f} of what was asked"
    yield f"  delivered   {settled.delivered_kwh.sum():.3f} kWh{asked}"
    yield f"  money       {settled.money:.2f}"
    yield f"  rebound     {'not measured' if settled.rebound_kwh is None else f'{settled.rebound_kwh:.3f} kWh within {REBOUND_H:g} h'}"
    for name, kg in told.saved_kg.items():
        yield f"  {name:<11} {'no factor' if kg is None else f'{kg:.3f} kg CO2e less'}"
    if told.accurate is None:
        yield "  accuracy    not known: no earlier day has a baseline"
    else:
        yield f"  accuracy    bias {told.accurate.bias_percent:+.2f} %, RRMSE {told.accurate.rrmse_percent:.2f} % on {told.accurate.days} days without an event"


def _series(values: Series) -> str:
    return " ".join(f"{value:.1f}" for value in values)


def _json(told: _Told) -> dict[str, Any]:
    made, settled, accurate = told.made, told.settled, told.accurate
    return {
        "day": made.event.day.isoformat(), "rules": made.rules.name, "source": made.rules.source, "days": [day.isoformat() for day in made.days],
        "factor": made.factor, "added_kw": made.added_kw, "said": list(made.said), "baseline_kw": made.settled_kw.tolist(),
        "unadjusted_kw": made.unadjusted_kw.tolist(), "metered_kw": told.metered_kw.tolist(),
        "delivered_kwh": settled.delivered_kwh.tolist(), "paid_kwh": settled.paid_kwh.tolist(), "response_ratio": settled.response_ratio,
        "money": settled.money, "rebound_kwh": settled.rebound_kwh,
        "saved_kg": {name: None if kg is None else str(kg) for name, kg in told.saved_kg.items()},
        "accuracy": None if accurate is None else {"days": accurate.days, "bias_percent": accurate.bias_percent, "rrmse_percent": accurate.rrmse_percent},
    }  # fmt: skip
