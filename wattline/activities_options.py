"""The words and options of `wattline activities`, light enough for `--help` on a gateway. The work is in `wattline.activities`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """import, approve, withdraw, list, show."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")
    bring = verbs.add_parser(
        "import", help="put the rows of a CSV file on record, as drafts that a second person approves"
    )
    bring.add_argument(
        "file",
        type=Path,
        help="columns: source,kind,subject,class,from,to,unit,evidence and others (docs/activities.md)",
    )
    bring.add_argument("--by", required=True, metavar="NAME", help="who records them")

    approve = verbs.add_parser("approve", help="let records count; not by the one who recorded them")
    withdraw = verbs.add_parser("withdraw", help="let versions no longer count; the one before is in force again")
    for verb in (approve, withdraw):
        verb.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="of the records, as `list` says them")
        verb.add_argument("--by", required=True, metavar="NAME", help="who decides")
    approve.add_argument("--all", action="store_true", help="every draft of the facility")
    approve.add_argument("--reason", default="", help="what was checked")
    withdraw.add_argument("--reason", required=True, help="why")

    show = verbs.add_parser("list", help="what counts of each record")
    whole = verbs.add_parser("show", help="one record with all its versions")
    whole.add_argument("number", type=int, help="of any of its versions")
    for verb in (show, whole):
        verb.add_argument("--as-of", metavar="TIME", help="as it was on record then (default: now)")
        verb.add_argument("--json", action="store_true", help="for programs")
    for verb in (bring, approve, withdraw, show, whole):
        verb.add_argument("--config", type=Path, required=True, help="the aggregator file")
        verb.add_argument("--facility", required=True, help="whose records")
