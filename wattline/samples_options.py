"""The words and options of `wattline samples`, light enough for `--help` on a gateway. The work is in `wattline.samples`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """draw, list, check."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")

    draw = verbs.add_parser("draw", help="draw a share of the intervals for people to check")
    _add_where(draw)
    draw.add_argument(
        "--from", dest="begin", required=True, metavar="TIME", help="a day at the facility, or a time with its offset"
    )
    draw.add_argument("--to", dest="end", required=True, metavar="TIME", help="the end, not included")
    draw.add_argument("--percent", required=True, metavar="PERCENT", help="of the intervals; at least one is drawn")
    draw.add_argument("--device", default="", help="of this meter only")
    draw.add_argument("--seed", default="", help="draw as this seed does (default: a new one, which is kept)")
    draw.add_argument("--by", required=True, metavar="NAME", help="who draws")

    show = verbs.add_parser("list", help="draws, how much of them is checked, and what was found")
    _add_where(show)
    show.add_argument("--waiting", action="store_true", help="show the samples that wait as well")
    show.add_argument("--json", action="store_true", help="for programs")

    check = verbs.add_parser("check", help="say what was found of a sample")
    check.add_argument("sample", type=int, metavar="NUMBER", help="of the sample")
    _add_where(check)
    check.add_argument("--result", required=True, choices=["agrees", "differs", "cannot_tell"])
    check.add_argument("--found-kwh", metavar="KWH", help="what it should be")
    check.add_argument("--note", default="", metavar="TEXT", help="in what it differs")
    check.add_argument("--evidence", required=True, metavar="TEXT", help="what was looked at")
    check.add_argument("--by", required=True, metavar="NAME", help="who checked")


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")
