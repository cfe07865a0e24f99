"""`wattline forecast`: how well a load can be forecast, measured on itself. Not the forecasts themselves (see `aggregator.forecasts`)."""

import argparse
import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aggregator.csv_rows import FileUnusable, ImportOptions, RowFault, csv_rows
from aggregator.forecasts.backtest import CHOSEN, Backtest, backtest
from aggregator.forecasts.hours import Days, by_local_days
from aggregator.forecasts.scores import Score

BAD_USE = 2


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (it failed), 2 (bad use)."""
    try:
        days = of_file(options)
        found = backtest(days, options.days)
    except (FileUnusable, OSError, ValueError) as error:
        print(f"wattline forecast: {error}", file=sys.stderr)
        return BAD_USE
    print(json.dumps(as_json(found, days)) if options.json else table(found, days))
    return 0


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
        f"{'method':24}{'MAE kWh':>9}{'WAPE %':>8}{'MASE 24':>9}{'MASE 168':>9}{'pinball':>9}{'in 80 %':>9}{'width':>8}{'bias':>8}",
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
