"""The options of `wattline statement`, light enough for `--help` on a gateway. The work is in `wattline.statement`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Facility, profile and span."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    add_span(parser)
    parser.add_argument("--lines", action="store_true", help="show every line, not only the sums")
    parser.add_argument("--json", action="store_true", help="the canonical lines, for programs; they have no price")
    add_price(parser)


def add_price(parser: argparse.ArgumentParser) -> None:
    """A carbon price in the place of the facility's."""
    parser.add_argument(
        "--price-per-t", metavar="NUMBER", help="what a tonne CO2e costs (default: the facility's carbon_price, if any)"
    )
    parser.add_argument("--price-currency", metavar="CODE", help="in which currency, e.g. CNY")
    parser.add_argument("--price-source", metavar="TEXT", help="which market and day, shown with every figure")


def add_span(parser: argparse.ArgumentParser) -> None:
    """What a statement is asked for; also for other words that begin with one."""
    parser.add_argument("--facility", help="which one (default: the only one)")
    parser.add_argument(
        "--profile",
        default="GHGP-LB",
        help="OPS, GHGP-LB, GHGP-MB, GHGP-MB-HOURLY, CN-GBT, CBAM, MARGINAL (default: %(default)s)",
    )
    parser.add_argument(
        "--from", dest="begin", required=True, metavar="TIME", help="a day at the facility, or a time with its offset"
    )
    parser.add_argument("--to", dest="end", required=True, metavar="TIME", help="the end, not included")
    parser.add_argument("--as-of", metavar="TIME", help="as it was known then (default: now)")
