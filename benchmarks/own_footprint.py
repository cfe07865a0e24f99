"""g CO2e per million readings stored, as the aggregator accounts for itself: flat out, and at the pace of 16 plants that send once a second.

The aggregator is the real `wattline aggregator run` with a [footprint] table; broker and load as in `benchmarks.ingest`. What it has used is what it
put on record itself when it stopped; `beside` is the same from /proc/<pid>/stat, which knows nothing of that record. Watts are a model, not a meter:
0.74 W at rest and 3.5 W busy per virtual core (Cloud Carbon Footprint, methodology, "Compute", averages for AWS from SPECpower), of all cores of this
machine; the factor is the national average of China for 2023. The broker, the gateways, the network and the making of the machine are left out.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

from aggregator.accounts.compile import Accounts
from aggregator.accounts.record_file import ACCOUNTS_NAME
from aggregator.footprint.own_footprint import OwnFootprint, own_footprint
from aggregator.footprint.own_use import OwnRecords
from aggregator.ledger import Ledger
from aggregator.settings import load
from benchmarks.figure import Effort, Figure
from benchmarks.ingest import EDGES, _Broker, aggregator_file, frames_file
from benchmarks.processes import Process, Spent, running
from wire.clock import Clock
from wire.keys import SigningKey

IDLE_W: Final = Decimal("0.74")  # per virtual core
BUSY_W: Final = Decimal("3.5")
STRETCH_S: Final = 10.0


def machine_table() -> str:
    """[footprint] of this machine."""
    cores = os.cpu_count() or 1
    return (
        f'[footprint]\nhardware = "{cores} virtual cores"\nidle_w = "{IDLE_W * cores}"\ncore_w = "{BUSY_W - IDLE_W}"\n'
        'power_source = "Cloud Carbon Footprint methodology, AWS averages"\nplace = "CN"\ntime_zone = "Asia/Shanghai"\n'
    )


def one_run(
    frames: Path, keys: dict[str, SigningKey], seconds: float, batches_per_s: float
) -> tuple[OwnFootprint, float]:
    """What a new aggregator says of itself after the load, and its processor seconds by /proc."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wattline-bench-")))
        broker = _Broker(directory)
        stack.callback(broker.broker.stop)
        file = aggregator_file(directory, broker.broker.port, keys, "")
        file.write_text(file.read_text(encoding="utf-8") + machine_table(), encoding="utf-8")
        aggregator = Process.python("aggregator", directory, "wattline.command", "aggregator", "run", str(file))
        stack.enter_context(running(aggregator))
        aggregator.said()
        spent = Spent.of(aggregator)
        words = (
            "--frames",
            str(frames),
            "--port",
            str(broker.broker.port),
            "--seconds",
            str(seconds),
            "--rate",
            str(batches_per_s),
        )
        stack.enter_context(running(Process.python("load", directory, "benchmarks.load", *words))).said()
        _, (cpu_s,) = spent.so_far()
        aggregator.stop()
        settings, clock = load(file, {}), Clock()
        with (
            contextlib.closing(Ledger(settings.data_directory / "ledger.sqlite")) as ledger,
            contextlib.closing(OwnRecords(settings.data_directory / ACCOUNTS_NAME)) as records,
        ):
            accounts = Accounts(ledger, settings.facilities, settings.data_directory, clock)
            return own_footprint(accounts, records, clock() - 86_400_000, clock() + 1), cpu_s


def figures(effort: Effort, edges: int = EDGES) -> Iterator[Figure]:
    """`own_footprint.*`."""
    seconds, repeats = effort.seconds_or(STRETCH_S), effort.repeats_or(3)
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
        frames, keys = frames_file(Path(name), seconds, edges)
        for pace, batches_per_s in (("flat_out", 0.0), ("once_a_second", float(edges))):
            runs = [one_run(frames, keys, seconds, batches_per_s) for _ in range(repeats)]
            found = [run for run, _ in runs]
            label = f"own_footprint.{pace}"
            yield Figure(f"{label}.per_million", "g CO2e", [float(each.g_per_million or 0) for each in found])
            yield Figure(
                f"{label}.cpu_per_million",
                "s",
                [float(each.cpu_s_per_million or 0) for each in found],
                beside={"proc": [cpu_s * 1e6 / each.readings for each, cpu_s in runs]},
            )
            yield Figure(
                f"{label}.received_per_reading", "B", [float(each.received_bytes_per_reading or 0) for each in found]
            )
            yield Figure(f"{label}.stored_per_reading", "B", [each.store_bytes / each.readings for each in found])
            yield Figure(f"{label}.readings", "1/s", [each.readings / float(each.real_s) for each in found])
