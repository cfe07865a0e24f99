"""`wattline edge drill`: cuts each link of a running edge in turn, times the safe states, signs the sheet. The cuts are made in the agent; nobody unplugs anything."""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import wattline
from wattline.stopping import stop_on_signal
from wire.clock import Clock
from wire.drill import Sheet, SheetUnusable, decoded, encoded

FAILED: Final = 1
BAD_USE: Final = 2
PASSWORD: Final = "WATTLINE_MQTT_PASSWORD"  # noqa: S105 the variable's name, not a password
LINKS: Final = ("meter", "limit_source", "cloud", "gateway")


def add_arguments(words: argparse.ArgumentParser) -> None:
    """The options of the word."""
    words.add_argument("file", type=Path, help="the edge file (TOML), or with --show a sheet")
    words.add_argument("--yes", action="store_true", help="do not ask before devices are steered")
    words.add_argument(
        "--leave-out", action="append", default=[], choices=LINKS, help="a link that is not cut; may be given again"
    )
    words.add_argument("--by", default="", metavar="NAME", help="who holds the drill; stands on the sheet")
    words.add_argument(
        "--out",
        type=Path,
        help="where the signed sheet is written (default: drill-<time>.json in the spool's directory)",
    )
    words.add_argument("--show", action="store_true", help="verify and print a sheet; nothing is cut")


def run(options: argparse.Namespace) -> int:
    """The exit status: 0 every device passed every cut, 1 one did not, 2 bad use."""
    if options.show:
        return _show(options.file)
    from edge_agent.agent import Agent
    from edge_agent.drivers.table import ExtraMissing
    from edge_agent.edge_file import EdgeFileFaults, load
    from wire.keys import KeyUnusable

    try:
        edge = load(options.file)
        if not edge.control.circuit or edge.signing is None:
            missing = "[signing] key" if edge.control.circuit else "[control] circuit"
            print(f"{options.file}: expected {missing} for a drill, it is missing", file=sys.stderr)
            return BAD_USE
        cuts = [link for link in LINKS if link not in options.leave_out]
        print(
            f"Edge {edge.edge} of {edge.facility}: {', '.join(cuts)} will be cut in turn. Batteries charge or discharge, vehicles wait or charge"
        )
        print(
            "less, PV gives less, for minutes; limits are kept all the time. The service of this edge must be stopped."
        )
        if not options.yes and not _agreed():
            print("nothing was done")
            return BAD_USE
        agent = Agent(edge, Clock.from_environment(), wattline.__version__, os.environ.get(PASSWORD))
    except (EdgeFileFaults, ExtraMissing, KeyUnusable, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return BAD_USE

    async def work() -> Sheet | None:
        told, stop = stop_on_signal(), asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        try:
            return await agent.drill(
                told, options.by, frozenset(options.leave_out), lambda text: print(text, flush=True)
            )
        except asyncio.CancelledError:
            return None
        finally:
            stop.set()
            await running

    sheet = asyncio.run(work())
    if sheet is None:
        print("the drill was broken off: no sheet", file=sys.stderr)
        return FAILED
    out = options.out or Path(edge.spool.directory) / f"{sheet.id}.json"
    out.write_bytes(encoded(sheet))
    print(f"sheet {out}, signed with {sheet.key}")
    return _verdict(sheet)


def _agreed() -> bool:
    try:
        return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _show(path: Path) -> int:
    try:
        sheet = decoded(path.read_bytes())
    except (OSError, SheetUnusable) as error:
        print(error, file=sys.stderr)
        return BAD_USE
    print(
        f"drill {sheet.id} of {sheet.facility}/{sheet.edge}, circuit {sheet.circuit}{f', by {sheet.by}' if sheet.by else ''}"
    )
    print(f"signed with {sheet.key}: compare it with `wattline edge key`")
    for row in sheet.rows:
        took = "not reached" if row.took_s is None else f"{row.took_s:g} s"
        verdict = "passed" if row.passed else "FAILED"
        print(
            f"{verdict}  {row.link} {row.name}  {row.asset} ({row.device}): {row.safe}: {took} of {row.within_s:g} s  {row.note}".rstrip()
        )
    return _verdict(sheet)


def _verdict(sheet: Sheet) -> int:
    failed = sorted({row.asset for row in sheet.rows} - sheet.drilled)
    print(
        f"drilled: {', '.join(sorted(sheet.drilled)) or 'none'}"
        + (f"; not drilled: {', '.join(failed)}" if failed else "")
    )
    return FAILED if failed else 0
