"""Where the time of a reading goes on its way into the store: each stage of the ingest by itself, one after the other, in one thread.

ns of processor time per reading of live batches of 204, all threads of the process counted. `receive`: the aggregator's MQTT session takes
batches from a real mosquitto and does nothing with them. `verify`: hash and signature. `decode`: unzip, JSON, checks of structure. `gather`:
contents to the columns of one commit. `dedupe`: the order of (series, at_ms), repeated rows, what is newer than known. `commit`: the rest of
DuckDB's transaction until it is on disk. `ack`: the answers, one per edge and commit. A commit holds 100 batches of 16 edges. In the running
aggregator the stages share two cores and the interpreter's lock, so that `ingest.duckdb.cpu_per_reading` is more than their sum.
"""

import asyncio
import gc
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aggregator.gather import Gatherer
from aggregator.run import COLLECT_AFTER
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.series_table import SeriesTable, checked, ordered_once
from aggregator.stores.store import CommittedBatch
from benchmarks.figure import Effort, Figure, yardstick_ns
from benchmarks.live_shape import READINGS, sealed
from benchmarks.load import Edge, write_frames
from benchmarks.processes import NotThere, Process, running
from wattline.broker import BrokerUnavailable, LocalBroker
from wire import topics
from wire.batch import Batch, frame_digest, unseal
from wire.clock import Clock
from wire.keys import SigningKey
from wire.messages import Ack, encode
from wire.mqtt import Broker, MqttSession

EDGES: Final = 16
GROUP: Final = 100
STRETCH_S: Final = 2.0
BATCHES_PER_S: Final = 2_400  # more than one thread brings through all stages
RECEIVED_PER_S: Final = 12_000
CONNECTS_WITHIN_S: Final = 10.0
STAGES: Final = ("receive", "verify", "decode", "gather", "dedupe", "commit", "ack")


class _Stopwatch:
    """Adds up processor time by stage."""

    def __init__(self) -> None:
        self.spent_ns = dict.fromkeys(STAGES, 0)
        self._last_ns = 0

    def start(self) -> None:
        self._last_ns = time.process_time_ns()

    def lap(self, stage: str) -> None:
        now_ns = time.process_time_ns()
        self.spent_ns[stage] += now_ns - self._last_ns
        self._last_ns = now_ns


def _stages(frames: list[tuple[str, bytes]], key: SigningKey, directory: Path) -> dict[str, float]:
    """ns per reading of each stage but `receive`."""
    store, table = DuckDBStore(directory / "readings.duckdb"), SeriesTable()
    gatherer, watch = Gatherer(store.ids), _Stopwatch()
    shadow = Gatherer(table.ids)  # gives the table that `dedupe` is measured on the same ids
    signatures = [frame[14:78] for _, frame in frames]
    now_ms = Clock()()
    for first in range(0, len(frames), GROUP):
        group = frames[first : first + GROUP]
        watch.start()
        for (topic, frame), signature in zip(group, signatures[first : first + GROUP], strict=True):
            assert key.public.verifies(signature, b"wattline batch\x00" + frame_digest(frame, topic))
        watch.lap("verify")
        batches = [_unsigned(topic, frame) for topic, frame in group]
        watch.lap("decode")
        gathered = gatherer.gather([batch.content for batch in batches], now_ms)
        watch.lap("gather")
        rows = shadow.gather([batch.content for batch in batches], now_ms).rows
        watch.start()
        once = ordered_once(checked(rows, len(table)))
        table.newer(once)
        table.advance(once)
        dedupe_ns = -watch.spent_ns["dedupe"]
        watch.lap("dedupe")
        dedupe_ns += watch.spent_ns["dedupe"]
        committed = [
            _committed(batch, readings, now_ms) for batch, readings in zip(batches, gathered.readings, strict=True)
        ]
        watch.start()
        assert store.commit(gathered.rows, committed) == len(gathered.rows)
        watch.lap("commit")
        watch.spent_ns["commit"] -= dedupe_ns  # the store does that as well
        _answers(batches)
        watch.lap("ack")
    store.close()
    return {stage: ns / len(frames) / READINGS for stage, ns in watch.spent_ns.items()}


def _unsigned(topic: str, frame: bytes) -> Batch:
    """Decoding alone: the same frame without its key id."""
    return unseal(frame[:6] + bytes(72) + frame[78:], topic, lambda _: None, accept_unsigned=True)


def _committed(batch: Batch, readings: int, now_ms: int) -> CommittedBatch:
    content = batch.content
    spool = (content.facility, content.edge, content.epoch)
    return CommittedBatch(*spool, content.seq, bytes.fromhex(batch.sha256), content.sealed_at_ms, now_ms, readings, ())


def _answers(batches: list[Batch]) -> list[bytes]:
    """One acknowledgement per edge."""
    newest: dict[str, tuple[int, int, str]] = {}
    for batch in batches:
        content = batch.content
        first = newest.get(content.facility, (content.seq, 0, ""))[0]
        newest[content.facility] = (first, content.seq, batch.sha256)
    return [encode(Ack("benchmark", "epoch", committed=[span])) for span in newest.values()]


async def _received(port: int, load: Process, count: int) -> float:
    """Processor ns per message of the session in this process while `load` fills it."""
    received = 0

    def message(_topic: str, _payload: bytes, _retained: bool) -> None:
        nonlocal received
        received += 1

    session = MqttSession(
        Broker("127.0.0.1", port), "receiver", subscriptions=[topics.all_edges("batch")], on_message=message
    )
    async with session:
        await session.wait_connected(CONNECTS_WITHIN_S)
        begun_ns = time.process_time_ns()
        outcome = await asyncio.to_thread(load.said)
        deadline = time.perf_counter() + CONNECTS_WITHIN_S
        while received < outcome["sent"] and time.perf_counter() < deadline:  # noqa: ASYNC110 - the session has a thread
            await asyncio.sleep(0.02)
        spent_ns = time.process_time_ns() - begun_ns
    if received != outcome["sent"] or not count:
        raise AssertionError(f"sent {outcome['sent']} messages, received {received}")
    return spent_ns / received


def _receive_ns(directory: Path, edges: list[Edge], seconds: float) -> float:
    """ns per reading. Raises NotThere."""
    path = directory / "frames"
    write_frames(path, edges)
    try:
        broker = LocalBroker(directory / "broker")
    except BrokerUnavailable as error:
        raise NotThere(str(error)) from error
    with broker:
        words = ("--frames", str(path), "--port", str(broker.port), "--seconds", str(seconds), "--puback")
        load = Process.python("load", directory, "benchmarks.load", *words)
        with running(load):
            return asyncio.run(_received(broker.port, load, len(edges))) / READINGS


def figures(effort: Effort) -> Iterator[Figure]:
    """`stages.*`."""
    seconds, repeats = effort.seconds_or(STRETCH_S), effort.repeats_or(3)
    key, count = SigningKey.generate(), max(GROUP, int(seconds * BATCHES_PER_S)) // EDGES
    begun_ms = Clock()() - count * 1000
    edges = [
        Edge(f"plant-{n:02}", "gw-01", list(sealed(f"plant-{n:02}", "gw-01", key, count, begun_ms, seed=n)))
        for n in range(EDGES)
    ]
    frames = [
        (topics.edge_topic(edge.facility, edge.edge, "batch"), edge.frames[number])
        for number in range(count)
        for edge in edges
    ]
    gc.set_threshold(COLLECT_AFTER, 20, 50)  # as the running aggregator has it
    found: dict[str, list[float]] = {stage: [] for stage in STAGES}
    yardstick = []
    for _ in range(repeats):
        yardstick.append(yardstick_ns())
        with tempfile.TemporaryDirectory(prefix="wattline-bench-") as name:
            spent = _stages(frames, key, Path(name)) | {"receive": _receive_ns(Path(name), edges, seconds)}
        for stage, ns in spent.items():
            found[stage].append(ns)
    for stage in STAGES:
        yield Figure(f"stages.{stage}", "ns", found[stage], yardstick_ns=yardstick)
    yield Figure("stages.sum", "ns", [sum(each) for each in zip(*found.values(), strict=True)], yardstick_ns=yardstick)
