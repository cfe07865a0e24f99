"""`python -m benchmarks`: measures one thing after the other and prints each figure as a line of JSON. It judges nothing: the exit status
is 0 as long as everything that can be measured here was measured.

What is missing on this machine (a broker, InfluxDB) is named on standard error, and its figures are left out.
"""

import argparse
import importlib
import logging
import sys
import time
from typing import Final

from benchmarks.figure import Effort, Measure
from benchmarks.processes import NotThere

# name: module and function, loaded only when it is measured. Each module's first lines say how.
TABLE: Final = {
    "codec": ("benchmarks.codec", "figures"),
    "signature": ("benchmarks.signature", "figures"),
    "polling": ("benchmarks.polling", "figures"),
    "serial_line": ("benchmarks.serial_line", "figures"),
    "report_by_exception": ("benchmarks.report_by_exception", "figures"),
    "spool": ("benchmarks.spool", "figures"),
    "store": ("benchmarks.store", "figures"),
    "stages": ("benchmarks.stages", "figures"),
    "ingest.duckdb": ("benchmarks.ingest", "duckdb_figures"),
    "ingest.influxdb": ("benchmarks.ingest", "influxdb_figures"),
    "end_to_end": ("benchmarks.end_to_end", "figures"),
    "footprint": ("benchmarks.footprint", "figures"),
    "settling": ("benchmarks.settling", "figures"),
    "own_footprint": ("benchmarks.own_footprint", "figures"),
    "planning": ("benchmarks.planning", "figures"),
    "extras": ("benchmarks.extras", "figures"),
}


def measure(name: str) -> Measure:
    """The function that measures what `name` names."""
    module, function = TABLE[name]
    found: Measure = getattr(importlib.import_module(module), function)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=list(TABLE), help="measure only this; may be repeated")
    parser.add_argument("--seconds", type=float, help="length of each timed stretch (default: each benchmark's own)")
    parser.add_argument("--repeats", type=int, help="how many stretches (default: each benchmark's own)")
    options = parser.parse_args()
    if (options.seconds is not None and options.seconds <= 0) or (options.repeats is not None and options.repeats < 1):
        parser.error("expected --seconds above 0 and --repeats of at least 1")
    logging.disable(logging.WARNING)  # what parts say of themselves is not what is measured
    missing = 0
    for name in options.only or TABLE:
        begun = time.monotonic()
        try:
            for figure in measure(name)(Effort(options.seconds, options.repeats)):
                print(figure.line(), flush=True)
        except NotThere as reason:
            missing += 1
            print(f"{name}: left out: {reason}", file=sys.stderr, flush=True)
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return int(missing == len(options.only or TABLE))


if __name__ == "__main__":
    sys.exit(main())
