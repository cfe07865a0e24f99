"""The options of `wattline pools` and `wattline sessions`, light enough for `--help` on a gateway. The work is in `wattline.pools` and `wattline.charging`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Show, content, withdraw, plug-in."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")
    show = verbs.add_parser(
        "show", help="where a period's kg went: PV, storage, charging, export, methods side by side"
    )
    _add_facility(show)
    show.add_argument("--from", dest="begin", required=True, metavar="TIME", help="a day, or a time with its offset")
    show.add_argument("--to", dest="end", required=True, metavar="TIME", help="the end, not included")
    show.add_argument("--as-of", metavar="TIME", help="as it was known then (default: now)")
    show.add_argument(
        "--profile",
        dest="profiles",
        action="append",
        help="several may be given (default: GHGP-LB and GHGP-MB, the location and the market method)",
    )
    show.add_argument("--json", action="store_true", help="for programs")

    content = verbs.add_parser("content", help="put on record what a battery's own management says it holds")
    _add_facility(content)
    content.add_argument("--device", required=True, help="the meter of the storage")
    content.add_argument("--at", required=True, metavar="TIME", help="when, with its offset")
    content.add_argument("--kwh", required=True, help="its content, DC")
    _add_record(content)

    withdraw = verbs.add_parser("withdraw", help="take back a content on record; the one stated before it counts again")
    _add_facility(withdraw)
    withdraw.add_argument("--device", required=True, help="the meter of the storage")
    withdraw.add_argument("--at", required=True, metavar="TIME", help="whose content, with its offset")
    withdraw.add_argument("--reason", required=True, help="why")
    withdraw.add_argument("--by", required=True, metavar="NAME", help="who says so")

    plug_in = verbs.add_parser("plug-in", help="put on record that a vehicle which gives energy back stood at a meter")
    _add_facility(plug_in)
    plug_in.add_argument("--device", required=True, help="the meter")
    plug_in.add_argument("--id", required=True, help="the session's; the same again corrects it")
    plug_in.add_argument("--start", required=True, metavar="TIME", help="when, with its offset")
    plug_in.add_argument("--end", metavar="TIME", help="not given: it is still there")
    plug_in.add_argument("--arrival-kwh", help="what it brought, DC (default: as the settings say)")
    _add_record(plug_in)


def add_session_arguments(parser: argparse.ArgumentParser) -> None:
    """The sessions of a running aggregator."""
    parser.add_argument(
        "--url", required=True, help="a running aggregator, e.g. http://127.0.0.1:8080 (its token in WATTLINE_TOKEN)"
    )
    parser.add_argument("--facility", required=True, help="its id")
    parser.add_argument(
        "--from",
        dest="begin",
        required=True,
        metavar="TIME",
        help="a time with its offset; sessions that began from then on",
    )
    parser.add_argument(
        "--to", dest="end", required=True, metavar="TIME", help="the end, not included; 100 days at most"
    )
    parser.add_argument("--device", help="of one pile only")
    parser.add_argument("--profile", default="OPS", help="whose factors count (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="for programs")


def _add_facility(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--evidence", required=True, help="what shows it")
    parser.add_argument("--by", required=True, metavar="NAME", help="who says so")
