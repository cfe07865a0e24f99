"""The words and options of `wattline factors`, light enough for `--help` on a gateway. The work is in `wattline.factors`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """lint, import, approve, withdraw, show."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")
    lint = verbs.add_parser(
        "lint", help="look for slips in factor packs; without a file in those that come with the program"
    )
    lint.add_argument("files", nargs="*", type=Path, metavar="FILE", help="a factor pack (TOML)")
    lint.add_argument("--json", action="store_true", help="for programs")

    bring = verbs.add_parser("import", help="put a factor pack on record, as drafts that a second person approves")
    bring.add_argument("file", type=Path, help="a factor pack (TOML)")
    _add_registry(bring, needed=True)
    bring.add_argument("--by", required=True, metavar="NAME", help="who imports it")

    for verb, text in (
        ("approve", "let what was imported be used from now on; not by the one who imported it"),
        ("withdraw", "let a factor no longer be used from now on; what was computed with it stays"),
    ):
        decide = verbs.add_parser(verb, help=text)
        decide.add_argument("id", help="of the factor; a * at the end stands for the rest (fuel.diesel.*)")
        _add_registry(decide, needed=True)
        decide.add_argument("--by", required=True, metavar="NAME", help="who decides")
        decide.add_argument("--reason", default="", help="why; a withdrawal needs one")

    show = verbs.add_parser("show", help="factors on record with their documents, hashes and standing")
    show.add_argument(
        "id", nargs="?", default="*", help="of the factor; a * at the end stands for the rest (default: all)"
    )
    _add_registry(show, needed=False)
    show.add_argument("--region", help="of this place only, e.g. CN-JS")
    show.add_argument("--as-of", metavar="TIME", help="as it was known then, e.g. 2025-01-01")
    show.add_argument("--json", action="store_true", help="for programs")


def _add_registry(parser: argparse.ArgumentParser, *, needed: bool) -> None:
    where = parser.add_mutually_exclusive_group(required=needed)
    where.add_argument(
        "--config", type=Path, help="the aggregator file; the registry is factors.sqlite in its data directory"
    )
    where.add_argument("--registry", type=Path, help="the registry file itself")
    if not needed:
        parser.epilog = "Without --config or --registry: what comes with the program."
