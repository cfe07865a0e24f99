"""The options of `wattline formula`, light enough for `--help` on a gateway. The work is in `wattline.formula`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The formula's options."""
    parser.add_argument("name", nargs="?", help="the formula; without it all are listed, without values what it needs")
    parser.add_argument(
        "values",
        nargs="*",
        metavar="KEY=VALUE",
        help="inputs, before any option; a unit may follow the number: it_kwh=250MWh",
    )
    parser.add_argument("--file", type=Path, help="inputs from a TOML file; those on the command line win")
    parser.add_argument(
        "--price", help="carry the emissions on to their cost: price per t CO2e, with --currency and --price-source"
    )
    parser.add_argument("--currency", help="of the price, three letters, e.g. CNY")
    parser.add_argument("--price-source", help="market and day of the price")
    parser.add_argument("--json", action="store_true", help="for programs")
