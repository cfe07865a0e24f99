"""The one command line: words, their options and help. Each word's work is elsewhere and loaded only when it is asked for."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import wattline
from wire.clock import Clock

FAILED: Final = 1
BAD_USE: Final = 2
# The extra that brings what only some words need (pyproject.toml); the first module that a word misses names it.
_EXTRAS: Final = dict.fromkeys(
    ("duckdb", "fastapi", "highspy", "numpy", "prometheus_client", "pydantic", "uvicorn"), "aggregator"
) | {"sklearn": "forecast", "urllib3": "influx"}
PASSWORD: Final = "WATTLINE_MQTT_PASSWORD"  # noqa: S105 the variable's name, not a password

_EXAMPLES: Final = """examples:
  wattline demo                                   everything on this machine, in one command
  wattline edge check edge.toml                   is the edge file right?
  wattline edge commission edge.toml              read every row of every device once
  wattline edge run edge.toml                     the agent
  wattline aggregator run aggregator.toml         store, figures, dashboard
  wattline sim run site.toml                      simulated plants on real protocols
  wattline import energy.csv --config aggregator.toml --facility works --device incomer
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one word; the exit status: 0, 1 (failed), 2 (bad use or configuration)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return BAD_USE
    logging.basicConfig(
        level=getattr(logging, options.log_level.upper()),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(
            f"wattline: expected the package {error.name}, it is not installed: pip install 'wattline[{extra}]'",
            file=sys.stderr,
        )
        return BAD_USE
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wattline",
        description="Energy telemetry: no reading lost, emissions that lead back to the meter.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"wattline {wattline.__version__}")
    levels = ["debug", "info", "warning", "error"]
    parser.add_argument(
        "--log-level", default="info", choices=levels, help="what goes to standard error (default: %(default)s)"
    )
    words = parser.add_subparsers(title="words", metavar="WORD")
    _add_demo(words)
    _add_edge(words)
    _add_aggregator(words)
    _add_sim(words)
    _add_import(words)
    _add_readings(words)
    _add_late(words)
    _add_bill(words)
    _add_tree(words)
    _add_gaps(words)
    _add_factors(words)
    _add_activities(words)
    _add_formula(words)
    _add_statement(words)
    _add_lineage(words)
    _add_samples(words)
    _add_catalogue(words)
    _add_challenges(words)
    _add_export(words)
    _add_pools(words)
    _add_sessions(words)
    _add_report(words)
    _add_forecast(words)
    _add_plan(words)
    _add_footprint(words)
    _add_response(words)
    _add_certs(words)
    _add_person(words)
    _add_runs(words)
    _add_seal(words)
    _add_verify(words)
    return parser


def _word(
    words: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, example: str = ""
) -> argparse.ArgumentParser:
    return words.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example:\n  {example}" if example else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_demo(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import demo_options

    parser = _word(
        words, "demo", "broker, simulated plants, edge agents and aggregator in one command", "wattline demo --speed 60"
    )
    demo_options.add_arguments(parser)
    parser.set_defaults(run=_run_demo)


def _run_demo(options: argparse.Namespace) -> int:
    from wattline import demo

    return demo.run(options)


def _add_edge(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    edge = _word(words, "edge", "the agent on a gateway", "wattline edge check edge.toml")
    verbs = edge.add_subparsers(title="words", metavar="WORD", required=True)
    run = _word(
        verbs, "run", "read devices, spool, deliver, until SIGTERM", "wattline edge run /etc/wattline-edge/edge.toml"
    )
    run.add_argument("file", type=Path, help="the edge file (TOML)")
    run.add_argument(
        "--drain-s", type=float, default=20.0, help="how long to deliver after SIGTERM (default: %(default)s s)"
    )
    run.set_defaults(run=_run_edge)
    check = _word(
        verbs, "check", "check the edge file, without asking any device", "wattline edge check edge.toml --json"
    )
    check.add_argument("file", type=Path, help="the edge file (TOML)")
    check.add_argument("--json", action="store_true", help="for programs")
    check.set_defaults(run=_check_edge)
    commission = _word(
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
    browse = _word(
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
    models = _word(verbs, "models", "the meter models that come with the agent", "wattline edge models --json")
    models.add_argument("--json", action="store_true", help="for programs")
    models.set_defaults(run=_list_models)
    spool = _word(
        verbs, "spool", "what waits in the spool of a stopped or running agent", "wattline edge spool edge.toml"
    )
    spool.add_argument("file", type=Path, help="the edge file (TOML)")
    spool.add_argument("--json", action="store_true", help="for programs")
    spool.set_defaults(run=_show_spool)
    carbon = _word(
        verbs, "carbon", "the gateway's own provisional kg, also without any link", "wattline edge carbon edge.toml"
    )
    carbon.add_argument("file", type=Path, help="the edge file (TOML)")
    carbon.add_argument("--json", action="store_true", help="for programs")
    carbon.set_defaults(run=_show_carbon)
    key = _word(
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
        await agent.run(_stop_on_signal(), options.drain_s)

    asyncio.run(work())
    return 0


def _stop_on_signal() -> asyncio.Event:
    """Set by SIGTERM and SIGINT. Call it in the running loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


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


def _add_aggregator(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    aggregator = _word(words, "aggregator", "the cloud side", "wattline aggregator run aggregator.toml")
    verbs = aggregator.add_subparsers(title="words", metavar="WORD", required=True)
    run = _word(verbs, "run", "store batches, settle, show, until SIGTERM", "wattline aggregator run aggregator.toml")
    run.add_argument("file", type=Path, help="the aggregator file (TOML)")
    run.set_defaults(run=_run_aggregator)
    check = _word(
        verbs, "check", "say every fault of the file, start nothing", "wattline aggregator check aggregator.toml"
    )
    check.add_argument("file", type=Path, help="the aggregator file (TOML)")
    check.set_defaults(run=_check_aggregator)
    key = _word(
        verbs,
        "log-key",
        "the public key of the aggregator's log, for auditors; whether or not it runs",
        "wattline aggregator log-key aggregator.toml > noted-log.key",
    )
    key.add_argument("file", type=Path, help="the aggregator file (TOML)")
    key.set_defaults(run=_show_log_key)


def _show_log_key(options: argparse.Namespace) -> int:
    from wattline import public_keys

    return public_keys.log_key(options)


def _check_aggregator(options: argparse.Namespace) -> int:
    from aggregator.settings import SettingsFaults, load
    from wattline.plurals import counted

    try:
        settings = load(options.file, os.environ)
    except SettingsFaults as faults:
        print(faults, file=sys.stderr)
        return BAD_USE
    for facility in settings.facilities:
        edges = ", ".join(edge.edge for edge in settings.edges if edge.facility == facility.id)
        print(f"{facility.id}: {counted(len(facility.meters), 'meter')}, edges {edges or 'none'}")
    return 0


def _run_aggregator(options: argparse.Namespace) -> int:
    from aggregator.run import CannotStart, run

    async def work() -> None:
        await run(options.file, Clock.from_environment(), _stop_on_signal(), os.environ, _print_json)

    try:
        asyncio.run(work())
    except CannotStart as error:
        print(error, file=sys.stderr)
        return BAD_USE
    return 0


def _print_json(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


def _add_sim(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sim = _word(words, "sim", "simulated plants on real protocols", "wattline sim run site.toml")
    verbs = sim.add_subparsers(title="words", metavar="WORD", required=True)
    run = _word(
        verbs, "run", "serve the plants of a site file until SIGTERM", "wattline sim run site.toml --control-port 4840"
    )
    run.add_argument("file", type=Path, help="the site file (TOML)")
    run.add_argument(
        "--answer-log", type=Path, default=Path("answers.jsonl"), help="every answer given (default: %(default)s)"
    )
    run.add_argument(
        "--control-port", type=int, default=0, help="loopback port for faults and truth; 0: a free one (default)"
    )
    run.add_argument("--profile", type=Path, help="a CSV of interval energies in place of the site's load profile")
    run.add_argument(
        "--from", dest="start_local", help="the local instant of the profile at which to begin, e.g. 2018-03-05"
    )
    run.set_defaults(run=_run_sim)
    replay = _word(
        verbs,
        "replay",
        "answer from a flight recorder's dump",
        "wattline sim replay frames-incomer-1520175600000.jsonl",
    )
    replay.add_argument("file", type=Path, help="the dump: a file of state/frames, or an event of kind frames")
    replay.add_argument("--port", type=int, default=0, help="loopback port; 0: a free one (default)")
    replay.add_argument("--once", action="store_true", help="give each recorded answer once, then stay silent")
    replay.set_defaults(run=_run_replay)


def _run_replay(options: argparse.Namespace) -> int:
    from wattline import replay

    return replay.run(options, _stop_on_signal)


def _run_sim(options: argparse.Namespace) -> int:
    from wattline import sim

    return sim.run(options, _stop_on_signal)


def _add_import(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import import_options

    parser = _word(
        words,
        "import",
        "interval energies or counters from a CSV file",
        "wattline import energy.csv --url http://127.0.0.1:8080 --facility works --device incomer",
    )
    import_options.add_arguments(parser)
    parser.set_defaults(run=_run_import)


def _run_import(options: argparse.Namespace) -> int:
    from wattline import import_csv

    return import_csv.run(options)


def _add_readings(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import readings_options

    parser = _word(
        words,
        "readings",
        "what people read off meters, and exchanged meters, with evidence and author",
        "wattline readings enter --config aggregator.toml --facility works --device incomer --at 2026-11-01T08:00 --kwh 81204.6"
        " --evidence 'photo 17' --by 'Li Na'",
    )
    readings_options.add_arguments(parser)
    parser.set_defaults(run=_run_readings)


def _run_readings(options: argparse.Namespace) -> int:
    from wattline import readings

    return readings.run(options)


def _add_bill(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import bill_options

    parser = _word(
        words,
        "bill",
        "a utility's bills against the ledger: multiplier, clock, gap, demand window",
        "wattline bill check bill.csv --config aggregator.toml",
    )
    bill_options.add_arguments(parser)
    parser.set_defaults(run=_run_bill)


def _run_bill(options: argparse.Namespace) -> int:
    from wattline import bill

    return bill.run(options)


def _add_late(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _word(
        words,
        "late",
        "published spans that no longer say what the ledger says, and need a restatement",
        "wattline late --config aggregator.toml",
    )
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_run_late)


def _run_late(options: argparse.Namespace) -> int:
    from wattline import late

    return late.run(options)


def _add_factors(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import factors_options

    parser = _word(
        words,
        "factors",
        "the registry of emission factors: lint, import, approve, withdraw, show",
        "wattline factors show fuel.diesel.*",
    )
    factors_options.add_arguments(parser)
    parser.set_defaults(run=_run_factors)


def _run_factors(options: argparse.Namespace) -> int:
    from wattline import factors

    return factors.run(options)


def _add_statement(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import statement_options

    parser = _word(
        words,
        "statement",
        "what a facility's period comes to under a profile",
        "wattline statement --config aggregator.toml --profile GHGP-MB --from 2026-01-01 --to 2027-01-01",
    )
    statement_options.add_arguments(parser)
    parser.set_defaults(run=_run_statement)


def _run_statement(options: argparse.Namespace) -> int:
    from wattline import statement

    return statement.run(options)


def _add_lineage(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import lineage_options

    parser = _word(
        words,
        "lineage",
        "where a number comes from: readings, multiplier, factor document, batch and leaf of the log",
        "wattline lineage line --config aggregator.toml --from 2026-01-01 --to 2026-02-01 --line 0",
    )
    lineage_options.add_arguments(parser)
    parser.set_defaults(run=_run_lineage)


def _run_lineage(options: argparse.Namespace) -> int:
    from wattline import lineage

    return lineage.run(options)


def _add_pools(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import pools_options

    parser = _word(
        words,
        "pools",
        "what PV, storage and charging made of the grid's kg: show, content, plug-in",
        "wattline pools show --config aggregator.toml --from 2026-01-01 --to 2026-02-01",
    )
    pools_options.add_arguments(parser)
    parser.set_defaults(run=_run_pools)


def _run_pools(options: argparse.Namespace) -> int:
    from wattline import pools

    return pools.run(options)


def _add_sessions(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import pools_options

    parser = _word(
        words,
        "sessions",
        "charging sessions with their kg and g/kWh",
        "wattline sessions --url http://127.0.0.1:8080 --facility works --from 2026-05-01T00:00+08:00 --to 2026-05-02T00:00+08:00",
    )
    pools_options.add_session_arguments(parser)
    parser.set_defaults(run=_run_sessions)


def _run_sessions(options: argparse.Namespace) -> int:
    from wattline import charging

    return charging.run(options)


def _add_samples(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import samples_options

    parser = _word(
        words,
        "samples",
        "intervals drawn for people to check, and what they found",
        "wattline samples draw --config aggregator.toml --from 2026-01-01 --to 2026-02-01 --percent 0.5 --by 'Li Na'",
    )
    samples_options.add_arguments(parser)
    parser.set_defaults(run=_run_samples)


def _run_samples(options: argparse.Namespace) -> int:
    from wattline import samples

    return samples.run(options)


def _add_catalogue(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _word(
        words,
        "catalogue",
        "whose each series is, who answers for device and signature, what kind of data it is",
        "wattline catalogue --config aggregator.toml",
    )
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_run_catalogue)


def _run_catalogue(options: argparse.Namespace) -> int:
    from wattline import catalogue

    return catalogue.run(options)


def _add_challenges(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _word(
        words,
        "challenges",
        "doubts about figures that people outside have raised; list them, or answer one",
        "wattline challenges --config aggregator.toml --answer 3 --state upheld --text 'restated as run 17' --by 'Li Na'",
    )
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")
    parser.add_argument("--answer", type=int, metavar="NUMBER", help="answer this one")
    parser.add_argument("--state", default="looked_into", choices=["looked_into", "upheld", "rejected"])
    parser.add_argument("--text", default="", help="the answer")
    parser.add_argument("--by", default="", metavar="NAME", help="who answers")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_run_challenges)


def _run_challenges(options: argparse.Namespace) -> int:
    from wattline import challenges

    return challenges.run(options)


def _add_activities(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import activities_options

    parser = _word(
        words,
        "activities",
        "records of what no meter counts: fuel, materials, production, laboratory values",
        "wattline activities import january.csv --config aggregator.toml --facility works --by 'Li Wei'",
    )
    activities_options.add_arguments(parser)
    parser.set_defaults(run=_run_activities)


def _run_activities(options: argparse.Namespace) -> int:
    from wattline import activities

    return activities.run(options)


def _add_gaps(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import gaps_options

    parser = _word(
        words,
        "gaps",
        "intervals that nobody has measured, and their estimates by rule",
        "wattline gaps --config aggregator.toml --from 2026-05-01 --to 2026-06-01 --fill",
    )
    gaps_options.add_arguments(parser)
    parser.set_defaults(run=_run_gaps)


def _run_gaps(options: argparse.Namespace) -> int:
    from wattline import gaps

    return gaps.run(options)


def _add_tree(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import tree_options

    parser = _word(
        words,
        "tree",
        "the meter tree: own parts, unmetered remainder and check meters at every roll-up",
        "wattline tree --config aggregator.toml --from 2026-05-01 --to 2026-06-01 --roll-up day",
    )
    tree_options.add_arguments(parser)
    parser.set_defaults(run=_run_tree)


def _run_tree(options: argparse.Namespace) -> int:
    from wattline import tree

    return tree.run(options)


def _add_export(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import export_options

    parser = _word(
        words,
        "export",
        "a statement in the form of a regime: GB/T 32150, CBAM, PACT, GHG Protocol",
        "wattline export --profile CBAM --config aggregator.toml --from 2025-01-01 --to 2026-01-01 --format csv",
    )
    export_options.add_arguments(parser)
    parser.set_defaults(run=_run_export, products=False)
    parser = _word(
        words,
        "products",
        "emissions and electricity per product and per floor area",
        "wattline products --config aggregator.toml --from 2025-01-01 --to 2026-01-01",
    )
    export_options.add_products_arguments(parser)
    parser.set_defaults(run=_run_export, products=True)


def _run_export(options: argparse.Namespace) -> int:
    from wattline import export

    return export.run(options)


def _add_formula(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import formula_options

    parser = _word(
        words,
        "formula",
        "a formula of carbon accounting, step by step and with its source",
        "wattline formula combustion fuel_t=1000 ncv_gj_per_t=20.908 carbon_t_per_gj=0.0258 oxidation_ratio=0.98",
    )
    formula_options.add_arguments(parser)
    parser.set_defaults(run=_run_formula)


def _run_formula(options: argparse.Namespace) -> int:
    from wattline import formula

    return formula.run(options, sys.stdout, sys.stderr)


def _add_report(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import facility_report_options

    parser = _word(
        words,
        "report",
        "a facility's energy and emissions as a page, PDF, tables, spreadsheet or JSON",
        "wattline report --config aggregator.toml --facility works --profile GHGP-LB,GHGP-MB --from 2026-01-01 --to 2026-02-01 --out january.html",
    )
    facility_report_options.add_arguments(parser)
    parser.set_defaults(run=_run_report)


def _run_report(options: argparse.Namespace) -> int:
    from wattline import facility_report

    return facility_report.run(options)


def _add_forecast(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import forecast_options

    parser = _word(
        words,
        "forecast",
        "the load of the next day, and how well such forecasts have done",
        "wattline forecast backtest energy.csv --time-zone Asia/Seoul",
    )
    forecast_options.add_arguments(parser)
    parser.set_defaults(run=_run_forecast)


def _run_forecast(options: argparse.Namespace) -> int:
    from wattline import forecast

    return forecast.run(options)


def _add_footprint(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import footprint_options

    parser = _word(
        words,
        "footprint",
        "what this program itself uses and emits, beside the savings on record",
        "wattline footprint --config aggregator.toml",
    )
    footprint_options.add_arguments(parser)
    parser.set_defaults(run=_run_footprint)


def _run_footprint(options: argparse.Namespace) -> int:
    from wattline import footprint

    return footprint.run(options)


def _add_plan(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import plan_options

    parser = _word(
        words, "plan", "the best plan for storage, vehicles and loads that can wait", "wattline plan solve day.json"
    )
    plan_options.add_arguments(parser)
    parser.set_defaults(run=_run_plan)


def _run_plan(options: argparse.Namespace) -> int:
    from wattline import plan

    return plan.run(options)


def _add_response(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import response_options

    parser = _word(
        words,
        "response",
        "a demand-response event against its baseline, settled in money and kg",
        "wattline response --config aggregator.toml --from 2026-06-17T14:00+08:00 --to 2026-06-17T16:00+08:00 --target-kw 300",
    )
    response_options.add_arguments(parser)
    parser.set_defaults(run=_run_response)


def _run_response(options: argparse.Namespace) -> int:
    from wattline import response

    return response.run(options)


def _add_certs(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import certs_options

    parser = _word(words, "certs", "a private authority: certificates and keys for broker, aggregator and edges")
    certs_options.add_arguments(parser)
    parser.set_defaults(run=_run_certs)


def _run_certs(options: argparse.Namespace) -> int:
    from wattline import certs

    return certs.run(options)


def _add_runs(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import runs_options

    parser = _word(
        words,
        "runs",
        "freeze, approve, publish and restate what a span comes to; verify and compare",
        "wattline runs new --config aggregator.toml --facility works --from 2026-01-01 --to 2026-02-01 --by 'Li Wei'",
    )
    runs_options.add_arguments(parser)
    parser.set_defaults(run=_run_runs)


def _run_runs(options: argparse.Namespace) -> int:
    from wattline import runs

    return runs.run(options)


def _add_seal(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from wattline import seal_options

    parser = _word(
        words,
        "seal",
        "seal the interval energies of a month that is over; statements read them from there",
        "wattline seal --config aggregator.toml --facility works --month 2026-01 --by 'Li Wei'",
    )
    seal_options.add_arguments(parser)
    parser.set_defaults(run=_run_seal)


def _run_seal(options: argparse.Namespace) -> int:
    from wattline import seal

    return seal.run(options)


def _add_person(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _word(
        words,
        "person",
        "a token for a person who writes over HTTP in their own name, and what the settings say of them",
        "wattline person 'Li Wei' --entity 'Works Ltd' --may enter approve >> aggregator.toml",
    )
    parser.add_argument("name", help="as it goes on record")
    parser.add_argument("--entity", default="", help="the legal entity that answers for what the person signs")
    parser.add_argument(
        "--may",
        nargs="+",
        default=["enter"],
        choices=["enter", "approve", "operate"],
        help="their rights (default: enter)",
    )
    parser.set_defaults(run=_run_person)


def _run_person(options: argparse.Namespace) -> int:
    from wattline import person

    return person.run(options)


def _add_verify(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _word(
        words,
        "verify",
        "check an evidence bundle or a report: signatures, log, chain, counters, and every figure again; needs no aggregator",
        "wattline verify works.zip --log-key 'wattline/store-1+1f2e3d4c+AZ...'",
    )
    parser.add_argument("file", type=Path, help="the bundle (zip)")
    parser.add_argument("--log-key", help="the log's key as you noted it; without it the bundle's own is taken")
    parser.add_argument(
        "--edge-key", action="append", default=[], metavar="BASE64", help="a gateway's public key to trust; repeat it"
    )
    parser.add_argument(
        "--noted", type=Path, metavar="CHECKPOINT", help="an older checkpoint of the log as you noted it"
    )
    parser.add_argument(
        "--trace", metavar="LINE", help="of a report: the way down from this line of its statement, e.g. 9 or GHGP-LB:9"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_run_verify)


def _run_verify(options: argparse.Namespace) -> int:
    from wattline import verify

    return verify.run(options)


if __name__ == "__main__":
    sys.exit(main())
