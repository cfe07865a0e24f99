"""The words of `wattline edge`: their options, and the way to what does them. Not the agent (`edge_agent`)."""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import wattline
from wattline import edge_drill
from wattline.stopping import stop_on_signal
from wattline.word import Words, add_word
from wire.clock import Clock

BAD_USE: Final = 2
PASSWORD: Final = "WATTLINE_MQTT_PASSWORD"  # noqa: S105 the variable's name, not a password


def add_words(verbs: Words) -> None:
    """Adds the words below `wattline edge`."""
    run = add_word(
        verbs, "run", "read devices, spool, deliver, until SIGTERM", "wattline edge run /etc/wattline-edge/edge.toml"
    )
    run.add_argument("file", type=Path, help="the edge file (TOML)")
    run.add_argument(
        "--drain-s", type=float, default=20.0, help="how long to deliver after SIGTERM (default: %(default)s s)"
    )
    run.set_defaults(run=_run_edge)
    check = add_word(
        verbs, "check", "check the edge file, without asking any device", "wattline edge check edge.toml --json"
    )
    check.add_argument("file", type=Path, help="the edge file (TOML)")
    check.add_argument("--json", action="store_true", help="for programs")
    check.set_defaults(run=_check_edge)
    commission = add_word(
        verbs,
        "commission",
        "read every row of every device and say what looks wrong",
        "wattline edge commission edge.toml",
    )
    commission.add_argument("file", type=Path, help="the edge file (TOML)")
    commission.add_argument("--json", action="store_true", help="for programs")
    commission.add_argument("--reads", type=_reads, default=3, help="polls of each device (default: %(default)s)")
    commission.add_argument(
        "--pause-s", type=_pause_s, default=1.0, help="between two polls of a device (default: %(default)s s)"
    )
    commission.add_argument(
        "--address", action="store_true", help="ask DL/T 645 lines with one meter for its address as well"
    )
    commission.set_defaults(run=_commission_edge)
    drill = add_word(
        verbs,
        "drill",
        "cut each link in turn, time every device's safe state, sign the sheet",
        "wattline edge drill edge.toml --by 'Li Wei'\n  wattline edge drill drill-1795248000000.json --show",
    )
    edge_drill.add_arguments(drill)
    drill.set_defaults(run=edge_drill.run)
    browse = add_word(
        verbs,
        "browse",
        "what a bus has to offer: devices, objects, variables, addresses",
        "wattline edge browse modbus_tcp host=10.0.0.5 device.unit=3\n  wattline edge browse bacnet_ip interface=10.0.0.2/24\n"
        "  wattline edge browse edge.toml --bus supplies",
    )
    browse.add_argument("place", help="an edge file, or a protocol followed by the keys of its bus")
    browse.add_argument(
        "words", nargs="*", metavar="KEY=VALUE", help="keys of [[bus]], and of its device as device.KEY"
    )
    browse.add_argument("--bus", help="which bus of the edge file, where it has several")
    browse.add_argument("--json", action="store_true", help="for programs")
    browse.add_argument("--timeout-s", type=float, default=300.0, help="for all of it (default: %(default)s s)")
    browse.set_defaults(run=_browse_edge)
    models = add_word(verbs, "models", "the meter models that come with the agent", "wattline edge models --json")
    models.add_argument("--json", action="store_true", help="for programs")
    models.set_defaults(run=_list_models)
    spool = add_word(
        verbs, "spool", "what waits in the spool of a stopped or running agent", "wattline edge spool edge.toml"
    )
    spool.add_argument("file", type=Path, help="the edge file (TOML)")
    spool.add_argument("--json", action="store_true", help="for programs")
    spool.set_defaults(run=_show_spool)
    carbon = add_word(
        verbs, "carbon", "the gateway's own provisional kg, also without any link", "wattline edge carbon edge.toml"
    )
    carbon.add_argument("file", type=Path, help="the edge file (TOML)")
    carbon.add_argument("--json", action="store_true", help="for programs")
    carbon.set_defaults(run=_show_carbon)
    key = add_word(
        verbs, "key", "the gateway's public key, for the aggregator and for auditors", "wattline edge key edge.toml"
    )
    key.add_argument("file", type=Path, help="the edge file (TOML)")
    key.set_defaults(run=_show_edge_key)


def _list_models(options: argparse.Namespace) -> int:
    from edge_agent.models import run_models

    return run_models(options.json, sys.stdout)


def _run_edge(options: argparse.Namespace) -> int:
    from edge_agent.agent import Agent
    from edge_agent.check import not_admitted
    from edge_agent.drivers.table import ExtraMissing
    from edge_agent.edge_file import EdgeFileFaults, load
    from wire.keys import KeyUnusable

    try:
        edge = load(options.file)
        if refusal := not_admitted(edge):
            print(refusal, file=sys.stderr)
            return BAD_USE
        agent = Agent(edge, Clock.from_environment(), wattline.__version__, os.environ.get(PASSWORD))
    except (EdgeFileFaults, ExtraMissing, KeyUnusable, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return BAD_USE

    async def work() -> None:
        await agent.run(stop_on_signal(), options.drain_s)

    asyncio.run(work())
    return 0


def _check_edge(options: argparse.Namespace) -> int:
    from edge_agent.check import run_check

    return run_check(options.file, options.json, sys.stdout)


def _reads(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 1000:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected 1 to 1000, saw {text!r}")


def _pause_s(text: str) -> float:
    try:
        pause_s = float(text)
    except ValueError:
        pause_s = -1.0
    if 0 <= pause_s <= 3600:
        return pause_s
    raise argparse.ArgumentTypeError(f"expected 0 to 3600 seconds, saw {text!r}")


def _commission_edge(options: argparse.Namespace) -> int:
    from edge_agent.commission.run import Watching, run_commission

    watching = Watching(max(1, options.reads), max(0.0, options.pause_s), address=options.address)
    return asyncio.run(run_commission(options.file, options.json, sys.stdout, Clock.from_environment(), watching))


def _browse_edge(options: argparse.Namespace) -> int:
    from edge_agent.browse.run import run_browse

    clock = Clock.from_environment()
    return asyncio.run(
        run_browse(options.place, options.words, options.bus, options.json, sys.stdout, clock, options.timeout_s)
    )


def _show_spool(options: argparse.Namespace) -> int:
    from edge_agent.edge_file import EdgeFileFaults, load
    from edge_agent.spool_report import run_report

    try:
        edge = load(options.file)
    except EdgeFileFaults as error:
        print(error, file=sys.stderr)
        return BAD_USE
    return run_report(Path(edge.spool.directory), options.json, sys.stdout)


def _show_carbon(options: argparse.Namespace) -> int:
    from edge_agent.carbon_report import run_carbon
    from edge_agent.edge_file import EdgeFileFaults, load
    from wire.topics import edge_topic

    try:
        edge = load(options.file)
    except EdgeFileFaults as error:
        print(error, file=sys.stderr)
        return BAD_USE
    topic = edge_topic(edge.facility, edge.edge, "factors")
    return run_carbon(Path(edge.spool.directory), edge.aggregator.command_key, topic, options.json, sys.stdout)


def _show_edge_key(options: argparse.Namespace) -> int:
    from wattline import public_keys

    return public_keys.edge_key(options)
