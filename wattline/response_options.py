"""The options of `wattline response`, light enough for `--help` on a gateway. The work is in `wattline.response`."""

import argparse
from pathlib import Path

from wattline.numbers import not_negative


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The event, its baseline's rules and what is paid."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")
    parser.add_argument(
        "--device", action="append", help="the measuring point, may be repeated (default: the main meters together)"
    )
    parser.add_argument(
        "--from", dest="begin", required=True, metavar="TIME", help="the event's begin, with its offset"
    )
    parser.add_argument(
        "--to", dest="end", required=True, metavar="TIME", help="its end, not included, on the same local day"
    )
    parser.add_argument("--notice", metavar="TIME", help="when it was known (default: before the day)")
    parser.add_argument("--rules", default="ten_of_ten", help="ten_of_ten, high_five_of_ten, last_five, quarter_before")
    parser.add_argument(
        "--event-day", action="append", default=[], metavar="DAY", help="an earlier event's day, may be repeated"
    )
    parser.add_argument(
        "--holiday", action="append", default=[], metavar="DAY", help="a day that is not like others, may be repeated"
    )
    parser.add_argument("--moved", action="store_true", help="our set-points moved the load in the adjustment's window")
    parser.add_argument("--target-kw", type=not_negative, default=0.0, help="what was asked (default: nothing)")
    parser.add_argument("--pay-per-kwh", type=not_negative, default=0.0)
    parser.add_argument("--penalty-per-kwh", type=not_negative, default=0.0, help="for what lacks up to the target")
    parser.add_argument(
        "--dead-band-percent", type=not_negative, default=0.0, help="below this part of the target nothing is paid"
    )
    parser.add_argument(
        "--cap-percent", type=not_negative, default=100.0, help="above this part of the target no more is paid"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
