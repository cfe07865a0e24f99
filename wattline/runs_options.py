"""The words and options of `wattline runs`, light enough for `--help` on a gateway. The work is in `wattline.runs`."""

import argparse
from pathlib import Path

from wattline import statement_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """new, list, show, approve, publish, impact, restate, verify, compare, prove, view."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")
    new = verbs.add_parser("new", help="freeze what a span comes to now, or came to at --as-of")
    statement_options.add_span(new)
    new.add_argument("--reason", default="", help="what it is made for")

    listed = verbs.add_parser("list", help="runs and publications")
    listed.add_argument("--facility", help="of this one only")
    listed.add_argument("--profile", help="under this one only")

    show = verbs.add_parser("show", help="one run: totals, what it was made of, what became of it")
    show.add_argument("--statement", action="store_true", help="its canonical lines, as they are hashed")

    approve = verbs.add_parser("approve", help="approve a settled run; not by the one who made it")
    publish = verbs.add_parser("publish", help="publish an approved run")
    for verb in (approve, publish):
        verb.add_argument("--note", default="", help="what was checked; why it is published although incomplete")

    impact = verbs.add_parser("impact", help="which publications would change, by how much and why")
    impact.add_argument("--facility", help="of this one only")
    impact.add_argument(
        "--drafts", action="store_true", help="as if the drafts of factors and activities were approved"
    )

    restate = verbs.add_parser("restate", help="a run that is to take the place of a publication, with its causes")
    restate.add_argument("publication", type=int, metavar="PUBLICATION", help="its number")
    restate.add_argument("--reason", required=True, help="what was found")

    verify = verbs.add_parser("verify", help="calculate a run again and compare byte for byte")
    for verb in (show, approve, publish, verify):
        verb.add_argument("number", type=int, metavar="RUN", help="its number")
    compare = verbs.add_parser("compare", help="two runs of one span: old, new, difference, causes")
    compare.add_argument("first", type=int, metavar="RUN")
    compare.add_argument("second", type=int, metavar="RUN")

    prove = verbs.add_parser(
        "prove",
        help="that a run or a publication is in the audit log, or that a run read an interval or an activity record",
    )
    what = prove.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", dest="number", type=int, metavar="RUN")
    what.add_argument("--publication", type=int, metavar="PUBLICATION")
    prove.add_argument("--device", help="the meter of an interval that the run has read")
    prove.add_argument("--quantity", default="energy_import_kwh", help="(default: %(default)s)")
    prove.add_argument("--at", metavar="TIME", help="when the interval starts: a time with its offset")

    prove.add_argument("--record", type=int, metavar="NUMBER", help="of an activity record that the run has read")

    view = verbs.add_parser("view", help="what is published of a span and what is known now, side by side")
    statement_options.add_span(view)
    view.add_argument(
        "--view",
        choices=["published", "latest", "as_of"],
        default="published",
        help="which one the total is of (default: %(default)s)",
    )

    for verb in (new, approve, publish, restate):
        verb.add_argument("--by", required=True, metavar="NAME", help="who does it")
    for verb in (listed, show, impact, compare, view):
        verb.add_argument("--json", action="store_true", help="for programs")
    for verb in verbs.choices.values():
        verb.add_argument("--config", type=Path, required=True, metavar="FILE", help="the aggregator's settings")
