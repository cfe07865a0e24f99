"""The words and options of `wattline lineage`, light enough for `--help` on a gateway. The work is in `wattline.lineage`."""

import argparse
from pathlib import Path

from wattline.statement_options import add_span


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """line, interval."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")

    line = verbs.add_parser("line", help="a line of a statement; without --line they are listed with their numbers")
    _add_config(line)
    add_span(line)
    line.add_argument("--line", type=int, metavar="NUMBER", help="from 0, in the statement's order")
    line.add_argument("--json", action="store_true", help="for programs")

    interval = verbs.add_parser("interval", help="the energy of one interval of a meter")
    _add_config(interval)
    interval.add_argument("--facility", help="which one (default: the only one)")
    interval.add_argument("--device", required=True, help="the meter")
    interval.add_argument("--quantity", default="energy_import_kwh", help="of its counters (default: %(default)s)")
    interval.add_argument("--at", required=True, metavar="TIME", help="an instant within it, with its offset")
    interval.add_argument("--as-of", metavar="TIME", help="as it was known then (default: now)")
    interval.add_argument("--json", action="store_true", help="for programs")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
