"""What `wattline verify` may be told."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds them to a parser."""
    parser.add_argument("file", type=Path, help="the bundle (zip)")
    parser.add_argument("--log-key", help="the log's key as you noted it; without it the bundle's own is taken")
    parser.add_argument(
        "--edge-key", action="append", default=[], metavar="BASE64", help="a gateway's public key to trust; repeat it"
    )
    parser.add_argument(
        "--noted", type=Path, metavar="CHECKPOINT", help="an older checkpoint of the log as you noted it"
    )
    parser.add_argument(
        "--trace", metavar="LINE", help="of a report: the way down from this line of its statement, e.g. 9 or GHGP-LB:9"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
