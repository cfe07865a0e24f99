"""The options of `wattline event`, light enough for `--help` on a gateway. The work is in `wattline.event`."""

import argparse
from pathlib import Path

from wattline.numbers import not_negative

ANSWERS = {
    "accept": "take it on",
    "decline": "do not",
    "opt-out": "leave it, whole or from an instant on",
    "cancel": "take it back, for whoever asked",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Events and overrides of a running aggregator."""
    verbs = parser.add_subparsers(dest="verb", metavar="WORD", required=True)
    asked = _verb(verbs, "ask", "ask a facility for less, or more, from the grid")
    asked.add_argument("--from", dest="begin", required=True, metavar="TIME", help="the begin, with its offset")
    asked.add_argument(
        "--to", dest="end", required=True, metavar="TIME", help="the end, not included, on the same local day"
    )
    asked.add_argument(
        "--target-kw", type=not_negative, required=True, help="below (or above) the baseline, throughout"
    )
    asked.add_argument(
        "--direction", choices=("down", "up"), default="down", help="of net import (default: %(default)s)"
    )
    asked.add_argument("--rules", help="the baseline's (default: the facility's policy)")
    asked.add_argument("--pay-per-kwh", type=not_negative, help="(default: the facility's policy)")
    asked.add_argument("--source", default="command", help="who asks (default: %(default)s)")
    asked.add_argument("--external-id", default="", help="what the source calls it; the same again modifies it")
    asked.add_argument("--priority", type=int, default=0, help="0 is the highest (default: %(default)s)")
    asked.add_argument("--note", default="")
    _verb(verbs, "list", "the events of a facility", by=False)
    _event(_verb(verbs, "show", "one event from notice to settlement", by=False))
    for verb, text in ANSWERS.items():
        answer = _event(_verb(verbs, verb, text))
        answer.add_argument("--reason", default="", help="why; an opt-out needs one")
        if verb == "opt-out":
            answer.add_argument("--from", dest="begin", metavar="TIME", help="from then on (default: now)")
    bundle = _event(_verb(verbs, "bundle", "what it was settled by, with proofs, for wattline verify", by=False))
    bundle.add_argument("--out", type=Path, required=True, metavar="FILE", help="the zip file to write")
    override = _verb(verbs, "override", "decide against the plan, for a time")
    override.add_argument(
        "what", choices=("leave_out", "hold", "stop"), help="nobody steers it, it holds --kw, or 0 kW"
    )
    place = override.add_mutually_exclusive_group()
    place.add_argument("--asset", default="", help="of one asset")
    place.add_argument("--branch", default="", help="of all assets below a branch (neither: the whole facility)")
    override.add_argument("--kw", type=float, help="of hold; charging positive")
    override.add_argument("--until", required=True, metavar="TIME", help="its end, at most a week away")
    override.add_argument("--reason", required=True)
    end = _verb(verbs, "end", "end an override before its time")
    end.add_argument("id", metavar="OV-n")
    end.add_argument("--reason", default="")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, *, by: bool = True
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text)
    parser.add_argument(
        "--url", required=True, help="a running aggregator, e.g. http://127.0.0.1:8080 (its token in WATTLINE_TOKEN)"
    )
    parser.add_argument("--facility", required=True, help="its id")
    if by:
        parser.add_argument("--by", default="", metavar="NAME", help="who says so, with the server's token")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


def _event(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("id", metavar="DR-n")
    return parser
