"""The options of `wattline trial`, light enough for `--help` on a gateway. The work is in `wattline.trial.command`."""

import argparse
from pathlib import Path

from wattline.numbers import above_zero, not_negative


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The site, its circuit, the time, the modes, and what the grid asks."""
    parser.add_argument(
        "site", nargs="?", help="a site file of the simulator with one plant (default: the car park that is shipped)"
    )
    parser.add_argument("--circuit", type=Path, metavar="FILE", help="its circuit (default: the shipped car park's)")
    parser.add_argument(
        "--from",
        dest="begin",
        default="2021-06-14T00:00",
        metavar="LOCAL",
        help="local time of a quarter (default: %(default)s)",
    )
    parser.add_argument(
        "--days", type=above_zero, default=1.0, help="how long, at least a quarter (default: %(default)s)"
    )
    parser.add_argument(
        "--modes", default="uncontrolled,ordered,two_way", metavar="A,B", help="some of them (default: %(default)s)"
    )
    parser.add_argument(
        "--grid", type=Path, metavar="FILE", help="a CSV with a row an hour, carbon_kg_per_kwh and price_<currency>_per_kwh (default: a made-up day)"
    )  # fmt: skip
    parser.add_argument(
        "--grid-from", default="2021-07-31T23:00", metavar="LOCAL", help="the hour of its first row; it repeats (default: %(default)s)"
    )  # fmt: skip
    parser.add_argument(
        "--demand-price", type=not_negative, default=5.0, help="per kW of the highest quarter, for the whole time (default: %(default)s)"
    )  # fmt: skip
    parser.add_argument(
        "--carbon-price", type=not_negative, default=0.0, help="per kg CO2e, in the plan (default: %(default)s)"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="everything as JSON, there")
