"""The options of `wattline measures`, light enough for `--help` on a gateway. The work is in `wattline.measures`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--config, the facility and its span, --json."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")
    parser.add_argument(
        "--from", dest="begin", required=True, metavar="TIME", help="a day at the facility, or a time with its offset"
    )
    parser.add_argument("--to", dest="end", required=True, metavar="TIME", help="the end, not included")
    parser.add_argument("--json", action="store_true", help="for programs")
