"""The options of `wattline report`, light enough for `--help` on a gateway. The work is in `wattline.facility_report`."""

import argparse
from pathlib import Path

from wattline.statement_options import add_price

FORMATS = ("html", "pdf", "csv", "tables", "json", "xlsx", "zip")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it is of, and as what."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")
    parser.add_argument(
        "--profile",
        default="GHGP-LB",
        metavar="NAMES",
        help="one, or several side by side: GHGP-LB,GHGP-MB (default: %(default)s)",
    )
    parser.add_argument(
        "--from", dest="begin", required=True, metavar="TIME", help="a day at the facility, or a time with its offset"
    )
    parser.add_argument("--to", dest="end", required=True, metavar="TIME", help="the end, not included")
    parser.add_argument("--as-of", metavar="TIME", help="as it was known then (default: now)")
    parser.add_argument(
        "--view",
        choices=("latest", "published"),
        default="latest",
        help="what is known, or what stands published of exactly this span (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="html",
        help="zip: with everything behind it, for wattline verify (default: %(default)s)",
    )
    parser.add_argument(
        "--since",
        type=int,
        metavar="SIZE",
        help="of zip: prove that the log goes on from a noted checkpoint of so many leaves, for wattline verify --noted",
    )
    parser.add_argument("--language", choices=("en", "zh"), default="en", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to; standard output without it")
    parser.add_argument(
        "--rounding", action="store_true", help="also what rounding each interval would have done to the total"
    )
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="FILE",
        help="a CSV file with other figures in t for the same intervals: explains the difference",
    )
    parser.add_argument(
        "--beside-column", default="co2_t", metavar="NAME", help="the column of those (default: %(default)s)"
    )
    parser.add_argument(
        "--beside-time",
        default="time",
        metavar="NAME",
        help="the column of the intervals' starts (default: %(default)s)",
    )
    parser.add_argument(
        "--beside-zone", default="", metavar="ZONE", help="of times without an offset (default: the facility's)"
    )
    add_price(parser)
