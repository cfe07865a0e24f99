"""The words and options of `wattline forecast`, light enough for `--help` on a gateway. The work is in `wattline.forecast`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Without a word: today and tomorrow. backtest, skill."""
    _add_meter(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    verbs = parser.add_subparsers(title="words", metavar="WORD", dest="verb")
    skill = verbs.add_parser(
        "skill", help="what became of the forecasts that were issued, the seasonal naive beside them"
    )
    _add_meter(skill, argparse.SUPPRESS)
    skill.add_argument("--days", type=int, default=60, help="how many days, until yesterday (default: %(default)s)")
    skill.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="for programs")
    test = verbs.add_parser(
        "backtest", help="forecast the last days of a load from the days before each, and score every method"
    )
    test.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="a CSV file of interval energies; without it, a meter's own intervals",
    )
    _add_meter(test, argparse.SUPPRESS)
    test.add_argument(
        "--days", type=int, default=60, help="how many days are forecast, the last of the series (default: %(default)s)"
    )
    test.add_argument(
        "--boosting",
        action="store_true",
        help="with gradient-boosted trees as a candidate (the extra forecast; minutes)",
    )
    test.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="for programs")
    file = test.add_argument_group("how the file is read")
    file.add_argument("--time-column", default="time", help="the column of the interval's start (default: %(default)s)")
    file.add_argument("--value-column", default="energy_kwh", help="the column of the energy (default: %(default)s)")
    file.add_argument("--time-zone", default="UTC", help="whose days and hours count (default: %(default)s)")
    file.add_argument(
        "--time-format", default="iso", help="iso, epoch_ms, epoch_s or a strptime format (default: %(default)s)"
    )
    file.add_argument("--interval-s", type=int, default=900, help="length of the intervals (default: %(default)s)")
    file.add_argument("--unit", choices=["Wh", "kWh", "MWh"], default="kWh", help="of the energies (default: kWh)")
    file.add_argument("--delimiter", default=",", help="between columns (default: %(default)s)")
    file.add_argument(
        "--decimal-comma", action="store_true", help="1234,5 is a number (with another delimiter than the comma)"
    )


def _add_meter(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument("--config", type=Path, default=default, help="the aggregator file")
    parser.add_argument("--facility", default=default, help="the facility's id (default: the only one)")
    parser.add_argument("--device", default=default or "", help="one meter (default: all main meters together)")
