"""The options of `wattline seal`, light enough for `--help` on a gateway. The work is in `wattline.seal`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Seal a month, list the seals, or check them."""
    parser.add_argument("--config", type=Path, required=True, help="the aggregator file")
    parser.add_argument("--facility", help="the facility's id; may be left out where there is one only")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--month", metavar="YYYY-MM", help="seal this month of the facility's local time")
    what.add_argument("--list", action="store_true", help="the sealed periods, every version")
    what.add_argument("--check", action="store_true", help="read every sealed file again and compare its hash")
    parser.add_argument("--by", metavar="NAME", help="who seals")
    parser.add_argument(
        "--reason",
        metavar="TEXT",
        help="with --month: what became of a file that is lost or was changed; it is given up",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
