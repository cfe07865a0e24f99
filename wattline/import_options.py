"""The options of `wattline import`, light enough for `--help` on a gateway. The work is in `wattline.import_csv`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The import's options."""
    parser.add_argument("file", type=Path, help="the CSV file; its first line names the columns")
    parser.add_argument("--config", type=Path, help="the aggregator file, where no aggregator runs")
    parser.add_argument("--url", help="a running aggregator, e.g. http://127.0.0.1:8080 (its token in WATTLINE_TOKEN)")
    parser.add_argument("--facility", required=True, help="the facility's id")
    parser.add_argument("--device", required=True, help="the meter's id in that facility")
    parser.add_argument(
        "--quantity", default="energy_import_kwh", help="the counter that the values belong to (default: %(default)s)"
    )
    parser.add_argument(
        "--kind",
        choices=["interval", "counter"],
        default="interval",
        help="energies of intervals, or counter readings (default: %(default)s)",
    )
    parser.add_argument(
        "--time-column",
        default="time",
        help="the column of the interval's start, or of the reading (default: %(default)s)",
    )
    parser.add_argument("--value-column", default="energy_kwh", help="the column of the value (default: %(default)s)")
    parser.add_argument(
        "--time-format", default="iso", help="iso, epoch_ms, epoch_s or a strptime format (default: %(default)s)"
    )
    parser.add_argument("--time-zone", help="of times without an offset (default: the facility's)")
    parser.add_argument("--interval-s", type=int, default=900, help="length of the intervals (default: %(default)s)")
    parser.add_argument(
        "--unit",
        choices=["Wh", "kWh", "MWh", "m3", "Nm3", "kg", "t", "g/Nm3", "mg/Nm3"],
        default="kWh",
        help="of the values (default: %(default)s)",
    )
    parser.add_argument(
        "--flow-column",
        default="",
        metavar="NAME",
        help="of a stack: the column of the flow in Nm3/h, where the values are concentrations",
    )
    parser.add_argument("--delimiter", default=",", help="between columns (default: %(default)s)")
    parser.add_argument(
        "--decimal-comma", action="store_true", help="1234,5 is a number (with another delimiter than the comma)"
    )
    parser.add_argument(
        "--reason", default="", help="why other energies than those imported before are right: the rows are corrections"
    )
    parser.add_argument("--by", default="", metavar="NAME", help="who corrects, with --reason")
    parser.add_argument("--json", action="store_true", help="for programs")
