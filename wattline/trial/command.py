"""`wattline trial`: the closed loop of a simulated site in virtual time, in several modes, and their table. Not how a mode runs (`run`)."""

import argparse
import json
import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.flexibility.operation.rolling import NoPlan
from aggregator.flexibility.problem import ProblemFault
from device_sim.site import SITES, load_site
from edge_agent.toml_structs import EdgeFileFaults
from wattline.file_errors import told
from wattline.trial.grid import Grid, GridFault, made_up, read_grid
from wattline.trial.run import MODES, Mode, Wanted, run_mode
from wattline.trial.table import lines, record
from wattline.trial.watch import QUARTER_MS
from wire import circuit as network

CIRCUITS: Final = Path(__file__).parent / "circuits"
_SHIPPED: Final = "car_park.toml"


class TrialFault(ValueError):
    """A trial that cannot be: which option, what was expected, what was seen."""


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (a promise broken unannounced in a steered mode), 2 (bad use, site, circuit or grid)."""
    try:
        wanted, modes = _wanted(options)
    except (ValueError, OSError) as error:  # SiteFaults, CircuitFaults and GridFault are ValueErrors
        print(f"wattline trial: {told(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        return 2
    logging.getLogger().setLevel(logging.ERROR)  # what an agent tells of a simulated week nobody reads
    records = []
    for mode in modes:
        try:
            records.append(record(run_mode(wanted, mode, _progress)))
        except (OSError, EdgeFileFaults, NoPlan, ProblemFault, ValueError) as error:
            print(f"wattline trial: {mode}: {error}", file=sys.stderr)
            return 2
    battery = next((asset.device for asset in wanted.circuit.asset if asset.kind == "battery"), "")
    said = f"{wanted.plan.name}, {wanted.quarters / 4:g} h from {options.begin}; prices {wanted.grid.currency or 'without currency'}: {wanted.grid.source}"
    print("\n".join([said, "", *lines(records, battery)]))
    if options.report is not None:
        options.report.write_text(json.dumps({"trial": said, "modes": records}, indent=1) + "\n", encoding="utf-8")
    return 1 if any(one["promises"]["broken"] for one in records if one["mode"] != "uncontrolled") else 0


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text}   ", end="", file=sys.stderr, flush=True)


def _wanted(options: argparse.Namespace) -> tuple[Wanted, list[Mode]]:
    """Raises TrialFault, SiteFaults, CircuitFaults, GridFault, OSError."""
    modes = [mode for mode in MODES if mode in options.modes.split(",")]
    if not modes or len(modes) != len(options.modes.split(",")):
        raise TrialFault(f"--modes: expected some of {','.join(MODES)}, got {options.modes!r}")
    plants = load_site(options.site or SITES / _SHIPPED).plants
    if len(plants) != 1:
        raise TrialFault(f"{options.site}: expected a site with one plant, got {len(plants)}")
    plan = plants[0]
    path = options.circuit or CIRCUITS / _SHIPPED
    circuit = network.load(path)
    if circuit.facility != plan.name:
        raise TrialFault(f"{path}: facility: expected {plan.name!r}, the site's plant, got {circuit.facility!r}")
    begin_ms = round(_local("--from", options.begin, plan.zone).timestamp() * 1000)
    if begin_ms % QUARTER_MS:
        raise TrialFault(f"--from: expected the begin of a quarter, got {options.begin}")
    quarters = round(options.days * 96)
    if quarters < 1:
        raise TrialFault(f"--days: expected at least a quarter of an hour (0.0104), got {options.days:g}")
    return Wanted(
        plan, circuit, path.read_bytes(), _grid(options, plan.zone), begin_ms, quarters, options.demand_price,
        options.carbon_price,
    ), modes  # fmt: skip


def _grid(options: argparse.Namespace, zone: ZoneInfo) -> Grid:
    if options.grid is None:
        return made_up(zone)
    return read_grid(options.grid, _local("--grid-from", options.grid_from, zone))


def _local(option: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None:
        raise TrialFault(f"{option}: expected an ISO local time without zone, got {text!r}")
    return at.replace(tzinfo=zone)


__all__ = ["GridFault", "run"]
