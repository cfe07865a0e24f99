"""The words and options of `wattline plan`, light enough for `--help` on a gateway. The work is in `wattline.plan`."""

import argparse
from pathlib import Path

from wattline.numbers import above_zero, not_negative

_MOST_PRICES = 50


def _prices(text: str) -> tuple[float, ...]:
    found = tuple(not_negative(each) for each in text.split(","))
    if len(found) > _MOST_PRICES:
        raise argparse.ArgumentTypeError(f"expected at most {_MOST_PRICES} prices, got {len(found)}")
    return found


def _steps(text: str) -> int:
    if not text.isdecimal() or len(text) > 6:
        raise argparse.ArgumentTypeError(f"expected a whole number of steps, 0 or above, got {text!r}")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """solve, offers, compare, pareto, replay; list, show, prices of an aggregator."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")
    solve = verbs.add_parser("solve", help="the best plan for a problem file, and what it cannot keep")
    solve.add_argument(
        "file", type=Path, help="the problem (JSON), as docs/planning.md lays it out; - for standard input"
    )
    solve.add_argument("--budget-s", type=above_zero, default=5.0, help="time for the solver (default: %(default)s s)")
    solve.add_argument("--json", action="store_true", help="the whole plan, for programs")
    solve.add_argument(
        "--keep", type=Path, metavar="FILE", help="write problem and plan there as a record, for `wattline plan replay`"
    )
    solve.add_argument(
        "--previous",
        type=Path,
        metavar="FILE",
        help="a record to go on with, as a stale plan, where none is found in time",
    )
    solve.add_argument("--steps", type=_steps, default=1, help="how many steps ago that was (default: %(default)s)")

    firm = verbs.add_parser(
        "offers", help="the constant kW that can be given for 15 min, 1, 2 and 4 h, every promise kept"
    )
    firm.add_argument(
        "file", type=Path, help="the problem (JSON), as docs/planning.md lays it out; - for standard input"
    )
    firm.add_argument(
        "--every-h", type=above_zero, default=1.0, help="hours between the windows' begins (default: %(default)s)"
    )
    firm.add_argument("--json", action="store_true", help="for programs")

    modes = verbs.add_parser(
        "compare",
        help="the same day uncontrolled, by simple rules, one-way ordered and two-way ordered: cost, kg, peak, promises",
    )
    weighed = verbs.add_parser("pareto", help="cost against kg CO2e: the plan at a series of carbon prices")
    weighed.add_argument(
        "--prices",
        type=_prices,
        default=(0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
        metavar="A,B,...",
        help="money per kg CO2e, at most 50 of them (default: 0,0.05,0.1,0.2,0.5,1,2,5)",
    )
    for each in (modes, weighed):
        each.add_argument(
            "file", type=Path, help="the problem (JSON), as docs/planning.md lays it out; - for standard input"
        )
        each.add_argument(
            "--budget-s", type=above_zero, default=5.0, help="time for the solver, each plan (default: %(default)s s)"
        )
        each.add_argument("--json", action="store_true", help="for programs")

    again = verbs.add_parser("replay", help="solve the problem of a record again, and say what differs")
    again.add_argument(
        "file",
        type=Path,
        metavar="FILE|ID",
        help="a record that `wattline plan solve --keep` wrote (- for standard input); with --config an id such as plan-17",
    )
    _config(again, required=False)

    listed = verbs.add_parser("list", help="the plans that an aggregator has on record, the newest first")
    _config(listed)
    listed.add_argument("--facility", default="", help="of one facility alone")
    listed.add_argument("--limit", type=_steps, default=20, help="how many of each (default: %(default)s)")
    shown = verbs.add_parser(
        "show", help="one of them: what it costs and saves, what binds and why, what edges were told"
    )
    shown.add_argument("id", metavar="ID", help="such as plan-17")
    _config(shown)
    for each in (listed, shown):
        each.add_argument("--json", action="store_true", help="for programs")
    told = verbs.add_parser("prices", help="tell an aggregator the prices of the coming hours, from a CSV file")
    told.add_argument(
        "file",
        type=Path,
        help="CSV with the columns start, end, import_price, export_price (empty: the tariff's), per kWh",
    )
    _config(told)
    told.add_argument("--facility", required=True, help="whose prices they are")
    told.add_argument("--version", default="", help="what this set of prices is called (default: a hash of its rows)")
    told.add_argument("--by", required=True, help="who tells them")


def _config(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument("--config", type=Path, required=required, metavar="FILE", help="the aggregator's settings")
