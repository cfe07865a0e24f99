"""The words of `wattline aggregator`: their options, and the way to what does them. Not the aggregator itself."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Final

from wattline.stopping import stop_on_signal
from wattline.word import Words, add_word
from wire.clock import Clock

BAD_USE: Final = 2


def add_words(verbs: Words) -> None:
    """Adds the words below `wattline aggregator`."""
    run = add_word(
        verbs, "run", "store batches, settle, show, until SIGTERM", "wattline aggregator run aggregator.toml"
    )
    run.add_argument("file", type=Path, help="the aggregator file (TOML)")
    run.set_defaults(run=_run_aggregator)
    check = add_word(
        verbs, "check", "say every fault of the file, start nothing", "wattline aggregator check aggregator.toml"
    )
    check.add_argument("file", type=Path, help="the aggregator file (TOML)")
    check.set_defaults(run=_check_aggregator)
    key = add_word(
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
        await run(options.file, Clock.from_environment(), stop_on_signal(), os.environ, _print_json)

    try:
        asyncio.run(work())
    except CannotStart as error:
        print(error, file=sys.stderr)
        return BAD_USE
    return 0


def _print_json(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)
