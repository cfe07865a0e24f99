"""`wattline forecast`: the load of today and tomorrow, a backtest, and what became of what was said. Not how a forecast is made (`aggregator.forecasting`)."""

import argparse
import contextlib
import csv
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from aggregator.csv_rows import FileUnusable, ImportOptions, RowFault, csv_rows
from aggregator.facility import Facility
from aggregator.forecast_skill import skill
from aggregator.forecasting import Forecasting
from aggregator.forecasts.backtest import CHOSEN, Backtest, backtest
from aggregator.forecasts.boosting import candidates as boosted
from aggregator.forecasts.day_ahead import USED_DAYS, CannotForecast
from aggregator.forecasts.hours import Days, by_local_days
from aggregator.forecasts.issued import ForecastsUnusable, Issued
from aggregator.forecasts.methods import LIGHT
from aggregator.forecasts.scores import Score
from aggregator.intervals.local_time import local_day
from aggregator.ledger import LedgerError
from aggregator.settings import SettingsFaults, load
from wattline.ledger_as_set import ledger_as_set
from wire.clock import Clock

FAILED: Final = 1
BAD_USE: Final = 2
_HEAD: Final = f"{'method':24}{'MAE kWh':>9}{'WAPE %':>8}{'MASE 24':>9}{'MASE 168':>9}{'pinball':>9}{'in 80 %':>9}{'width':>8}{'bias':>8}"


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (files that cannot be read or written), 2 (bad use, or too little is known)."""
    try:
        if options.verb == "backtest":
            days = of_file(options) if options.file is not None else of_meter(options)
            found = backtest(days, options.days, boosted() if options.boosting else LIGHT)
            _say(options, as_json(found, days), table(found, days))
        elif options.verb == "skill":
            _skill(options)
        else:
            _issue(options)
    except (SettingsFaults, FileUnusable, ValueError) as error:
        print(f"wattline forecast: {error}", file=sys.stderr)
        return BAD_USE
    except (LedgerError, ForecastsUnusable, OSError) as error:
        print(f"wattline forecast: {error}", file=sys.stderr)
        return FAILED
    return 0


def _say(options: argparse.Namespace, for_programs: Any, for_people: str) -> None:
    print(json.dumps(for_programs) if options.json else for_people)


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[tuple[Forecasting, Facility]]:
    """The forecasts of the settings' data directory, and the facility asked for. Raises SettingsFaults, ValueError, LedgerError, ForecastsUnusable."""
    if options.config is None:
        raise ValueError("expected --config FILE, or a CSV file to backtest, got neither")
    settings = load(options.config, os.environ)
    named = [entry for entry in settings.facilities if options.facility in (None, entry.id)]
    if len(named) != 1:
        known = ", ".join(entry.id for entry in settings.facilities) or "none, the settings have no facility"
        raise ValueError(f"--facility: expected one of {known}, got {options.facility!r}")
    clock = Clock.from_environment()
    with ledger_as_set(settings) as ledger:
        forecasting = Forecasting(
            ledger, settings.facilities, settings.data_directory, clock, boosting=settings.boosting
        )
        with contextlib.closing(forecasting):
            forecasting.named(named[0].id, options.device)
            yield forecasting, named[0]


def of_meter(options: argparse.Namespace) -> Days:
    """The days of a meter's intervals, to the last that is over. Raises what `_opened` does."""
    with _opened(options) as (forecasting, facility):
        today = local_day(forecasting.clock(), facility.zone)
        first = today - timedelta(days=options.days + USED_DAYS)
        days = forecasting.known(facility, options.device, first, today - timedelta(days=1))
    if days is None:
        raise CannotForecast(f"{facility.id}: expected intervals from {first} on, none is settled")
    return days


def _issue(options: argparse.Namespace) -> None:
    with _opened(options) as (forecasting, facility):
        made = forecasting.issue(facility.id, options.device)
    _say(options, [entry.as_json() for entry in made], "\n\n".join(said(entry, facility.zone) for entry in made))


def _skill(options: argparse.Namespace) -> None:
    with _opened(options) as (forecasting, facility):
        last = local_day(forecasting.clock(), facility.zone) - timedelta(days=1)
        found = skill(forecasting, facility.id, options.device, last - timedelta(days=options.days - 1), last)
    lines = [_HEAD]
    for entry in found:
        lines += [f"lead {entry.lead_days}, {entry.days} days", _row(entry.issued), _row(entry.naive)]
        kg = entry.emissions
        lines.append(
            f"emissions of {kg.hours} hours: MAE {_at(kg.mae_kg, 2)} kg, bias {_at(kg.bias_kg, 2)} kg, {_at(kg.covered_percent, 1)} % within the band"
        )
    _say(
        options,
        [asdict(entry) for entry in found],
        "\n".join(lines) if found else "no forecast was issued for days that are over",
    )


def said(entry: Issued, zone: ZoneInfo) -> str:
    """One day's forecast for people."""
    issued_at = datetime.fromtimestamp(entry.issued_at_ms / 1000, zone).isoformat(timespec="minutes")
    lines = [
        f"{entry.facility} {entry.device or 'main meters'}, {entry.day}, by {entry.method}, issued {issued_at}",
        f"{'hour':>6}{'kWh':>10}{'80 % band':>22}{'naive':>10}{'kg CO2e':>10}{'80 % band':>22}",
    ]
    for hour in entry.hours:
        begin = datetime.fromtimestamp(hour.start_ms / 1000, zone).strftime("%H:%M")
        lines.append(
            f"{begin:>6}{_at(hour.kwh, 1):>10}{_between(hour.low_kwh, hour.high_kwh):>22}{_at(hour.naive_kwh, 1):>10}{_at(hour.kg, 1):>10}"
            f"{_between(hour.low_kg, hour.high_kg):>22}"
        )
    lines.append(
        f"{'day':>6}{_at(entry.day_kwh, 1):>10}{_between(entry.day_low_kwh, entry.day_high_kwh):>22}{'':>10}{_at(entry.day_kg, 1):>10}"
        f"{_between(entry.day_low_kg, entry.day_high_kg):>22}"
    )
    lines.append(f"intensity: {entry.intensity or 'none is known, so there are no emissions'}")
    if entry.marginal:
        lines.append(f"marginal intensity, for dispatch alone: {entry.marginal}")
    return "\n".join(lines)


def _between(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.1f} to {high:.1f}"


def of_file(options: argparse.Namespace) -> Days:
    """The days of a CSV file. Raises FileUnusable where a row is bad: a score over half a file would be no score."""
    path: Path = options.file
    how = ImportOptions(
        facility="", device="", time_column=options.time_column, value_column=options.value_column, unit=options.unit,
        time_zone=options.time_zone, time_format=options.time_format, interval_s=options.interval_s, delimiter=options.delimiter,
        decimal_comma=options.decimal_comma,
    )  # fmt: skip
    faults: list[RowFault] = []
    try:
        with path.open(encoding=how.encoding, newline="") as file:
            rows = list(csv_rows(file, path, how, faults.append, lambda _done, _whole: None))
    except (OSError, UnicodeError, csv.Error) as error:
        raise FileUnusable(f"{path.name}: expected a readable CSV file, got {error}") from error
    if faults:
        raise FileUnusable(str(faults[0]) + (f" (and {len(faults) - 1} more rows)" if len(faults) > 1 else ""))
    length_ms = how.interval_s * 1000
    energies = {row.at_ms: float(row.value) for row in rows}  # a row that comes twice counts once
    days = by_local_days(((at, at + length_ms, kwh) for at, kwh in energies.items()), ZoneInfo(how.time_zone))
    if days is None:
        raise FileUnusable(f"{path.name}: expected rows, there is none")
    return days


def table(found: Backtest, days: Days) -> str:
    """For people."""
    first, last = days.day(found.first_row), days.day(found.first_row + found.days - 1)
    lines = [
        f"{found.days} days from {first} to {last}, each 24 h ahead from midnight; {days.known_hours} hours known from {days.first} on",
        _HEAD,
    ]
    lines += [_row(entry) for entry in found.scores]
    picks = ", ".join(f"{name} on {days} days" for name, days in found.picks)
    better = found.better_percent(CHOSEN)
    lines.append(
        f"chosen day by day from the errors before it: {picks}"
        + ("" if better is None else f"; MASE 168 {better:.1f} % below the seasonal naive's")
    )
    return "\n".join(lines)


def _row(entry: Score) -> str:
    return (
        f"{entry.method:24}{_at(entry.mae_kwh, 2):>9}{_at(entry.wape_percent, 1):>8}{_at(entry.mase_day_ratio, 3):>9}"
        f"{_at(entry.mase_week_ratio, 3):>9}{_at(entry.mean_pinball_kwh, 2):>9}{_at(entry.covered_percent, 1):>9}"
        f"{_at(entry.width_kwh, 1):>8}{_at(entry.bias_kwh, 2):>8}"
    )


def as_json(found: Backtest, days: Days) -> dict[str, Any]:
    """For programs."""
    return {
        "from": str(days.day(found.first_row)),
        "days": found.days,
        "scores": [_score(entry) | {"better_percent": found.better_percent(entry.method)} for entry in found.scores],
        "chosen": dict(found.picks),
    }


def _score(entry: Score) -> dict[str, Any]:
    return asdict(entry) | {"mean_pinball_kwh": entry.mean_pinball_kwh}


def _at(number: float | None, decimals: int) -> str:
    return "-" if number is None else f"{number:.{decimals}f}"
