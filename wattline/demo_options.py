"""The options of `wattline demo`, light enough for `--help` on a gateway. The demo itself is in `wattline.demo`."""

import argparse
from pathlib import Path
from typing import Final

FACILITIES: Final = ("demo", "city-block", "hub")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demo's options."""
    parser.add_argument(
        "--facility",
        choices=FACILITIES,
        default=FACILITIES[0],
        help="what is simulated: two plants on Modbus TCP, a city block on all protocols, or a hub whose battery and piles are planned (default: %(default)s)",
    )
    parser.add_argument("--seconds", type=float, help="stop by itself after so many real seconds, drain and report")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how many times faster than life (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="the dashboard's port; 0: a free one (default: %(default)s)"
    )
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    parser.add_argument("--report", type=Path, help="where to write the JSON report")
    parser.add_argument(
        "--directory", type=Path, help="keep all files here (default: a new temporary directory, removed at the end)"
    )
    parser.add_argument(
        "--broker", metavar="HOST:PORT", help="an MQTT broker that runs already (default: one of our own)"
    )
    parser.add_argument(
        "--influxdb", metavar="URL", help="store in this InfluxDB 1.x instead of DuckDB, e.g. http://127.0.0.1:8086"
    )
    profile = parser.add_argument_group(
        "a measured load through the whole path", "one plant whose load is a CSV of interval energies"
    )
    profile.add_argument(
        "--profile", type=Path, help="CSV with the columns interval_start_local and energy_kwh (local time Asia/Seoul)"
    )
    profile.add_argument(
        "--from", dest="start", metavar="DATE", help="the local instant at which to begin, e.g. 2018-03-05"
    )
    profile.add_argument("--days", type=float, help="how many simulated days to run")
    profile.add_argument(
        "--poll-s", type=float, help="poll period in simulated seconds (default: at most ten polls a real second)"
    )
