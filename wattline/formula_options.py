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
        help="inputs, before any option; a unit may follow the number (it_kwh=250MWh), @ID takes a factor on record",
    )
    parser.add_argument("--file", type=Path, help="inputs from a TOML file; those on the command line win")
    parser.add_argument(
        "--price", help="carry the emissions on to their cost: price per t CO2e, with --currency and --price-source"
    )
    parser.add_argument("--currency", help="of the price, three letters, e.g. CNY")
    parser.add_argument("--price-source", help="market and day of the price")
    parser.add_argument("--region", help="where factors named @ID are looked up, e.g. CN-JS")
    parser.add_argument("--facility", default="", help="for whom: its own values go first")
    parser.add_argument(
        "--time-zone", default="Asia/Shanghai", help="whose calendar year counts (default: %(default)s)"
    )
    parser.add_argument("--at", metavar="TIME", help="when such a factor is applied (default: now)")
    parser.add_argument("--as-of", metavar="TIME", help="as it was known then (default: now)")
    parser.add_argument(
        "--registry", type=Path, help="the registry file (default: the factors that come with the program)"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
