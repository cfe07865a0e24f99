"""The options of `wattline footprint`, light enough for `--help` on a gateway. The work is in `wattline.footprint`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--config, the span, --json."""
    parser.add_argument("--config", type=Path, required=True, help="the aggregator file")
    parser.add_argument("--from", dest="begin", metavar="DAY", help="the first day, UTC (default: 30 days ago)")
    parser.add_argument("--to", dest="end", metavar="DAY", help="the day after the last, UTC (default: now)")
    parser.add_argument("--json", action="store_true", help="for programs")
