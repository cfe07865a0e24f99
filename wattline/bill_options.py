"""The words and options of `wattline bill`, light enough for `--help` on a gateway. The work is in `wattline.bill`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """check."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")
    check = verbs.add_parser("check", help="explain the difference between bills and the ledger as a sum of causes")
    check.add_argument(
        "file", type=Path, metavar="FILE", help="bills (CSV): meter,from,to,kwh and more, see docs/bills.md"
    )
    check.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    check.add_argument("--facility", help="which one (default: the only one)")
    check.add_argument(
        "--period", action="append", default=[], metavar="NAME=HOURS", help="a tariff period, e.g. peak=08:00-11:00,18:00-21:00; repeat it"
    )  # fmt: skip
    check.add_argument(
        "--tolerance-percent", default="0.5", metavar="PERCENT", help="of the bill that may be left unexplained (default: %(default)s)"
    )  # fmt: skip
    check.add_argument("--json", action="store_true", help="for programs")
