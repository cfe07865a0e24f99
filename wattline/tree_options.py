"""The options of `wattline tree`, light enough for `--help` on a gateway. The work is in `wattline.tree`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Facility, span and roll-up."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")
    parser.add_argument(
        "--from", dest="begin", required=True, metavar="TIME", help="a day at the facility, or a time with its offset"
    )
    parser.add_argument("--to", dest="end", required=True, metavar="TIME", help="the end, not included")
    parser.add_argument(
        "--roll-up",
        choices=["total", "month", "day", "interval"],
        default="total",
        help="local days and months, or each interval (default: %(default)s)",
    )
    parser.add_argument("--carrier", default="electricity", help="(default: %(default)s)")
    parser.add_argument("--as-of", metavar="TIME", help="as it was known then (default: now)")
    parser.add_argument("--json", action="store_true", help="for programs: the answer of the HTTP route")
