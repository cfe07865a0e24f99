"""The words and options of `wattline plan`, light enough for `--help` on a gateway. The work is in `wattline.plan`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """solve."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")
    solve = verbs.add_parser("solve", help="the best plan for a problem file, and what it cannot keep")
    solve.add_argument(
        "file", type=Path, help="the problem (JSON), as docs/planning.md lays it out; - for standard input"
    )
    solve.add_argument("--budget-s", type=float, default=5.0, help="time for the solver (default: %(default)s s)")
    solve.add_argument("--json", action="store_true", help="the whole plan, for programs")
