"""The words and options of `wattline readings`, light enough for `--help` on a gateway. The work is in `wattline.readings`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """enter, import, exchange, withdraw, list."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")

    enter = verbs.add_parser("enter", help="what a meter's display showed; again with another value: a correction")
    _add_meter(enter)
    enter.add_argument(
        "--at", required=True, metavar="TIME", help="when it was read; without an offset: at the facility"
    )
    enter.add_argument("--kwh", required=True, help="what the display showed")
    _add_words(enter)

    bring = verbs.add_parser(
        "import", help="a CSV file: device,time,display_kwh,evidence or device,start,energy_kwh,evidence"
    )
    bring.add_argument("file", type=Path, metavar="FILE")
    _add_where(bring)
    bring.add_argument("--by", required=True, metavar="NAME", help="who enters it")

    swap = verbs.add_parser("exchange", help="another meter took the place")
    _add_meter(swap)
    swap.add_argument("--at", required=True, metavar="TIME", help="when")
    swap.add_argument("--old-last", required=True, metavar="KWH", help="what the old meter showed last")
    swap.add_argument("--new-first", required=True, metavar="KWH", help="what the new meter showed first")
    _add_words(swap)

    drop = verbs.add_parser("withdraw", help="a reading no longer stands; it stays on record")
    _add_meter(drop)
    drop.add_argument("--at", required=True, metavar="TIME", help="when it was read")
    _add_words(drop)

    show = verbs.add_parser("list", help="every reading and amount by hand with its versions, and what became of it")
    _add_where(show)
    show.add_argument("--device", help="of this meter only")
    show.add_argument("--from", dest="begin", default="1971-01-01", metavar="TIME", help="(default: the first)")
    show.add_argument("--to", dest="end", default="2099-12-31", metavar="TIME", help="(default: the last)")
    show.add_argument("--json", action="store_true", help="for programs")


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="the aggregator's settings, where none runs")
    parser.add_argument("--url", metavar="ADDRESS", help="of the aggregator that runs (token in WATTLINE_TOKEN)")
    parser.add_argument("--facility", required=True, help="which one")


def _add_meter(parser: argparse.ArgumentParser) -> None:
    _add_where(parser)
    parser.add_argument("--device", required=True, help="the meter")
    parser.add_argument("--quantity", default="energy_import_kwh", help="of its counters (default: %(default)s)")


def _add_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--evidence", required=True, metavar="TEXT", help="what shows it: a photo, a sheet")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; a correction needs one")
    parser.add_argument("--by", required=True, metavar="NAME", help="who enters it")
