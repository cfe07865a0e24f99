"""The words of `wattline sim`: their options, and the way to what does them. Not the simulators (`device_sim`)."""

import argparse
from pathlib import Path

from wattline.stopping import stop_on_signal
from wattline.word import Words, add_word


def add_words(verbs: Words) -> None:
    """Adds the words below `wattline sim`."""
    run = add_word(
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
    replay = add_word(
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

    return replay.run(options, stop_on_signal)


def _run_sim(options: argparse.Namespace) -> int:
    from wattline import sim

    return sim.run(options, stop_on_signal)
