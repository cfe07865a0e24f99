"""How many signed readings a second become durable and acknowledged, with everything on this machine: load, broker, aggregator, store.

The aggregator is the real `wattline aggregator run` with its live state, settlement, HTTP and feed; the broker a real mosquitto; the load
16 facilities with an edge of 6 meters x 34 quantities each, batches of 204 readings signed beforehand, at most 64 of an edge without an
answer (`benchmarks.load`). A batch counts when its edge has the aggregator's `committed`, which follows the store's commit. `readings_per_s`,
`answer_p50` and `answer_p99` leave out the first quarter of the run. At the limit the time to an answer is the window divided by the rate;
`at_300k.*` tells what an edge waits at a fixed rate of 300,000 readings a second. Processor time and memory are the aggregator's, from
/proc; `beside` has the broker's, the load's and, for InfluxDB, the server's. After each run the store is opened and counted: the run is
worth nothing unless every reading is there once.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.figure import Bound, Effort, Figure
from benchmarks.influxdb import influxdb
from benchmarks.live_shape import DEVICES, READINGS, sealed
from benchmarks.load import WINDOW, Edge, write_frames
from benchmarks.processes import NotThere, Process, Spent, running
from wattline.broker import BrokerUnavailable, LocalBroker
from wire.clock import Clock
from wire.keys import SigningKey

EDGES: Final = 16
STRETCH_S: Final = 10.0
RATE: Final = 300_000
MOST_READINGS_PER_S: Final = 700_000  # so many are signed beforehand; a machine that is faster ends its run earlier
DUCKDB: Final = Bound(at_least=300_000, goal=1_000_000)  # the goal is meant for batches of 1,000 readings
INFLUXDB: Final = Bound(goal=250_000)
ANSWER_P99: Final = Bound(goal=500)  # G1


def frames_file(directory: Path, seconds: float, edges: int = EDGES) -> tuple[Path, dict[str, SigningKey]]:
    """Signed batches for runs of `seconds`, one instant a second, and each edge's key."""
    keys = {f"plant-{number:02}": SigningKey.generate() for number in range(1, edges + 1)}
    count = int(seconds * MOST_READINGS_PER_S / READINGS / edges) + WINDOW
    begun_ms = Clock()() - count * 1000
    path = directory / "frames"
    write_frames(
        path,
        (
            Edge(facility, "gw-01", list(sealed(facility, "gw-01", key, count, begun_ms, seed=number)))
            for number, (facility, key) in enumerate(keys.items())
        ),
    )
    return path, keys


def aggregator_file(directory: Path, broker_port: int, keys: dict[str, SigningKey], influxdb_url: str) -> Path:
    """Settings with a main meter and five sub-meters per facility."""
    lines = [
        f'[aggregator]\nstore_id = "benchmark"\ndata_directory = "{directory}/data"\nhttp = {{ host = "127.0.0.1", port = 0 }}',
        f'[mqtt]\nhost = "127.0.0.1"\nport = {broker_port}\nplain = true',
        '[store]\nkind = "duckdb"'
        if not influxdb_url
        else f'[store]\nkind = "influxdb"\nurl = "{influxdb_url}"\ndatabase = "benchmark"\ndialect = "v1"',
    ]
    for facility, key in keys.items():
        lines.append(
            f'[[facility]]\nid = "{facility}"\nname = "{facility}"\ntime_zone = "Asia/Shanghai"\nplace = "CN-JS"'
        )
        for number in range(1, DEVICES + 1):
            role = "main" if number == 1 else "sub"
            lines.append(
                f'[[facility.meter]]\ndevice = "meter-{number}"\nedge = "gw-01"\nrole = "{role}"\nrated_power_kw = 100000'
            )
        lines.append(f'[[edge]]\nfacility = "{facility}"\nedge = "gw-01"\npublic_key = "{key.public.to_text()}"')
    path = directory / "aggregator.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class _Broker:
    """mosquitto as a process that can be looked at."""

    def __init__(self, directory: Path) -> None:
        try:
            self.broker = LocalBroker(directory / "broker")
        except BrokerUnavailable as error:
            raise NotThere(str(error)) from error
        if self.broker.kind != "mosquitto":
            self.broker.stop()
            raise NotThere("mosquitto is not installed")

    def cpu_s(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.broker.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def one_run(
    frames: Path, keys: dict[str, SigningKey], seconds: float, batches_per_s: float, *, influx: bool
) -> dict[str, float]:
    """A new broker, store and aggregator; the load; the count. Raises NotThere."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wattline-bench-")))
        server = stack.enter_context(influxdb(directory)) if influx else None
        broker = _Broker(directory)
        stack.callback(broker.broker.stop)
        file = aggregator_file(directory, broker.broker.port, keys, "" if server is None else server.url)
        aggregator = Process.python("aggregator", directory, "wattline.command", "aggregator", "run", str(file))
        stack.enter_context(running(aggregator))
        aggregator.said()
        watched = [aggregator] if server is None else [aggregator, server.process]
        spent, broker_cpu_s = Spent.of(*watched), broker.cpu_s()
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
        load = stack.enter_context(running(Process.python("load", directory, "benchmarks.load", *words)))
        outcome = load.said()
        _, cpu_s = spent.so_far()
        broker_cpu_s = broker.cpu_s() - broker_cpu_s
        peak_mib = aggregator.peak_mib()
        begun = time.perf_counter()
        aggregator.stop()
        stopped_s = time.perf_counter() - begun
        _check(outcome, directory, server)
        readings = outcome["answered"] * READINGS
        return {
            "readings_per_s": outcome["batches_per_s"] * READINGS,
            "p50_ms": outcome["p50_ms"],
            "p99_ms": outcome["p99_ms"],
            "cpu_ns": cpu_s[0] * 1e9 / readings,
            "broker_ns": broker_cpu_s * 1e9 / readings,
            "load_ns": outcome["cpu_ns_per_reading"],
            "server_ns": cpu_s[-1] * 1e9 / readings if server else 0.0,
            "peak_mib": peak_mib,
            "stopped_s": stopped_s,
        }


def _check(outcome: dict[str, Any], directory: Path, server: Any) -> None:
    """Every reading sent is stored, once."""
    if outcome["fault"] or outcome["answered"] != outcome["sent"] or not outcome["sent"]:
        raise AssertionError(f"sent {outcome['sent']} batches, {outcome['answered']} acknowledged; {outcome['fault']}")
    expected = outcome["sent"] * READINGS
    if server is None:
        import duckdb

        with duckdb.connect(str(directory / "data" / "readings.duckdb"), read_only=True) as connection:
            found = connection.execute("select count(*), count(distinct (series, at_ms)) from readings").fetchone()
    else:
        found = (server.count("benchmark"),) * 2
    if found != (expected, expected):
        raise AssertionError(f"sent {expected} readings, the store holds {found} (rows, different ones)")


def _store_figures(store: str, effort: Effort, bound: Bound, edges: int) -> Iterator[Figure]:
    seconds, repeats = effort.seconds_or(STRETCH_S), effort.repeats_or(3)
    with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
        frames, keys = frames_file(Path(name), seconds, edges)
        runs = [one_run(frames, keys, seconds, 0, influx=store == "influxdb") for _ in range(repeats)]
        yield from _of_runs(store, runs, bound)
        if store == "duckdb":
            rate = RATE / READINGS
            steady = [one_run(frames, keys, seconds, rate, influx=False) for _ in range(max(1, repeats - 1))]
            of = _column(steady)
            yield Figure("ingest.duckdb.at_300k.readings", "1/s", of("readings_per_s"))
            yield Figure("ingest.duckdb.at_300k.answer_p50", "ms", of("p50_ms"))
            yield Figure("ingest.duckdb.at_300k.answer_p99", "ms", of("p99_ms"), ANSWER_P99)
            yield Figure(
                "ingest.duckdb.at_300k.cpu",
                "% of a core",
                [each["cpu_ns"] * each["readings_per_s"] / 1e7 for each in steady],
            )


def _column(runs: Sequence[dict[str, float]]) -> Any:
    return lambda key: [each[key] for each in runs]


def _of_runs(store: str, runs: Sequence[dict[str, float]], bound: Bound) -> Iterator[Figure]:
    of = _column(runs)
    yield Figure(f"ingest.{store}.readings", "1/s", of("readings_per_s"), bound)
    yield Figure(f"ingest.{store}.answer_p50", "ms", of("p50_ms"))
    yield Figure(f"ingest.{store}.answer_p99", "ms", of("p99_ms"))
    beside = {"broker": of("broker_ns"), "load": of("load_ns")}
    if store == "influxdb":
        beside["server"] = of("server_ns")
    yield Figure(f"ingest.{store}.cpu_per_reading", "ns", of("cpu_ns"), beside=beside)
    yield Figure(f"ingest.{store}.rss_peak", "MiB", of("peak_mib"))


def duckdb_figures(effort: Effort, edges: int = EDGES) -> Iterator[Figure]:
    """`ingest.duckdb.*`."""
    return _store_figures("duckdb", effort, DUCKDB, edges)


def influxdb_figures(effort: Effort, edges: int = EDGES) -> Iterator[Figure]:
    """`ingest.influxdb.*`: Debian's InfluxDB 1.6.7, its data on the same disk. Left out where it is not installed."""
    return _store_figures("influxdb", effort, INFLUXDB, edges)
