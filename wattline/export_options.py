"""The options of `wattline export` and `wattline products`, light enough for `--help` on a gateway. The work is in `wattline.export`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `export`: the regime, the span and the company."""
    parser.set_defaults(products=False)
    parser.add_argument("--profile", required=True, help="CN-GBT, CBAM, PACT or GHGP")
    _add_span(parser)
    parser.add_argument(
        "--factors", default="GHGP-LB", metavar="PROFILE", help="whose factors PACT takes (default: %(default)s)"
    )
    parser.add_argument("--company", default="", metavar="NAME", help="who issues it (PACT)")
    parser.add_argument(
        "--company-urn", default="", metavar="URN", help="e.g. urn:pact:company:customcode:buyer-assigned:4711 (PACT)"
    )
    parser.add_argument(
        "--sent", metavar="TIME", help="when the footprints that it takes the place of were known (PACT)"
    )


def add_products_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `products`."""
    parser.set_defaults(products=True)
    parser.add_argument("--profile", default="GHGP-LB", help="whose factors count (default: %(default)s)")
    _add_span(parser)


def _add_span(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")
    parser.add_argument(
        "--from", dest="begin", required=True, metavar="TIME", help="a day at the facility, or a time with its offset"
    )
    parser.add_argument("--to", dest="end", required=True, metavar="TIME", help="the end, not included")
    parser.add_argument("--as-of", metavar="TIME", help="as it was known then (default: now)")
    parser.add_argument("--format", default="json", help="csv or json (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to (default: standard output)")
