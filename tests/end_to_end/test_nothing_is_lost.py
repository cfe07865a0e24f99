"""Kill, freeze, fill, delete, restore, poison, forge: every answer that a simulator gave is stored once, or lies in a named gap."""

import contextlib
import gzip
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from aggregator.run import store_of
from aggregator.settings import load
from aggregator.stores.store import Store
from device_sim.site import SITES
from wattline.judge import Verdict, judge
from wattline.system import System, Wanted
from wattline.viewer import get_json
from wire.batch import HEADER, MAGIC, Sealer
from wire.clock import Clock
from wire.content import ClockJson, Content
from wire.keys import SigningKey
from wire.topics import edge_topic

SPEED = 4.0
FLUSH_MS = 1_000  # of the simulated clock, the agents' default
SYNC_REAL_MS = 150  # the flush's own write and sync, on a busy machine
IN_FLIGHT_REAL_MS = 1_200  # an answer that was on its way to an agent that is gone by now: its time-out

Spans = list[tuple[int, int]]


def wanted(directory: Path, **changes: Any) -> Wanted:
    return Wanted(directory, SITES / "demo.toml", Clock(speed=SPEED), **changes)


@contextlib.contextmanager
def opened(system: System) -> Iterator[Store]:
    store = store_of(load(system.directory / "aggregator.toml", {}))
    try:
        yield store
    finally:
        store.close()


def named_gaps(store: Store, system: System) -> Spans:
    """The time spans of all gap records that the agents have sent."""
    found = [event for gateway in system.gateways for event in store.events(gateway.facility, 0, 2**53, "gap")]
    bodies = [stored.event.body for stored in found]
    return [(body["from_ms"], body["to_ms"]) for body in bodies if body.get("from_ms") is not None]


def finish(system: System, wait_until: Callable[..., None]) -> None:
    """Agents stop and deliver, then everything else stops."""
    statuses = system.stop_polling()
    assert set(statuses.values()) == {0}, [edge.last_words() for edge in system.edges.values()]
    wait_until(lambda: backlog(system) == 0, "nothing waits at any edge")
    assert system.aggregator.stop() == 0
    system.sim.stop()


def backlog(system: System) -> int:
    return sum(
        edge["backlog"] or 0
        for gateway in system.gateways
        for edge in get_json(f"{system.url}/api/v1/facilities/{gateway.facility}/edges")["edges"]
    )


def stored(system: System) -> int:
    return sum(
        edge["readings"]
        for gateway in system.gateways
        for edge in get_json(f"{system.url}/api/v1/facilities/{gateway.facility}/edges")["edges"]
    )


def assert_whole(verdict: Verdict, gaps: Spans = (), kills_ms: Spans = ()) -> None:  # type: ignore[assignment]
    """Nothing twice, nothing invented; what is missing lies in a named gap, and that gap in the flush before a kill."""
    assert verdict.answers > 50
    assert (verdict.duplicates, verdict.unknown) == (0, 0)
    assert verdict.outside(gaps) == []
    before_ms = FLUSH_MS + SYNC_REAL_MS * SPEED
    windows = [(first - before_ms, last + IN_FLIGHT_REAL_MS * SPEED) for first, last in kills_ms]
    assert verdict.outside(windows) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("store_kind", "seed"), [("duckdb", 1), ("influxdb", 2)])
def test_ten_kills_at_random_moments_lose_nothing_but_the_last_flush(
    store_kind: str, seed: int, make_system: Any, system_directory: Path, wait_until: Any, request: Any
) -> None:
    url = request.getfixturevalue("influxd_url") if store_kind == "influxdb" else ""
    system = make_system(wanted(system_directory, influxdb_url=url))
    random_ = random.Random(seed)
    kills_ms: Spans = []
    wait_until(lambda: stored(system) > 0, "the first readings")
    victims = ["broker", "aggregator", *system.edges] * 3
    random_.shuffle(victims)
    for victim in victims[:10]:
        time.sleep(random_.uniform(0.4, 1.6))  # the moment is what is random here
        before_ms = system.wanted.clock()
        if victim == "broker":
            system.broker.process.kill()
            system.broker.process.wait(10)
            time.sleep(random_.uniform(0, 0.5))
            system.restart_broker()
        elif victim == "aggregator":
            system.aggregator.kill()
            time.sleep(random_.uniform(0, 0.5))
            system.start_aggregator()
        else:
            system.edges[victim].kill()
            kills_ms.append((before_ms, system.wanted.clock()))
            time.sleep(random_.uniform(0, 0.5))
            system.edges[victim].start()
    time.sleep(1)
    finish(system, wait_until)
    with opened(system) as store:
        assert_whole(judge(system.answer_log, store), named_gaps(store, system), kills_ms)


@pytest.mark.timeout(180)
def test_a_link_that_swallows_everything_for_25_s_costs_nothing(
    mosquitto: Any, make_black_hole: Any, make_system: Any, system_directory: Path, wait_until: Any
) -> None:
    hole = make_black_hole(mosquitto.port)
    system = make_system(wanted(system_directory, broker=("127.0.0.1", hole.port)))
    wait_until(lambda: stored(system) > 0, "the first readings")
    hole.swallow()
    time.sleep(25)  # longer than two keep-alives: both sides give their connection up
    hole.relay()
    wait_until(lambda: backlog(system) < 8, "the backlog delivered", 60)
    finish(system, wait_until)
    with opened(system) as store:
        verdict = judge(system.answer_log, store)
    assert_whole(verdict)
    assert verdict.readings_short == 0


@pytest.mark.timeout(180)
def test_a_deleted_spool_an_old_copy_of_the_store_a_poison_batch_and_a_forged_one(
    make_system: Any, system_directory: Path, wait_until: Any
) -> None:
    system = make_system(wanted(system_directory))
    data, copy = system.directory / "aggregator", system.directory / "copy"
    wait_until(lambda: stored(system) > 200, "readings before the copy")
    assert system.aggregator.stop() == 0
    shutil.copytree(data, copy)
    system.start_aggregator()
    wait_until(lambda: stored(system) > 400, "readings after the copy")

    for frame in (poison(system), forged(system)):
        publish(system, frame)
    before = stored(system)
    wait_until(lambda: stored(system) > before, "readings after poison and forgery")
    edge = get_json(f"{system.url}/api/v1/facilities/works/edges")["edges"][0]
    assert edge["forged"] == 1
    assert edge["refused"] == 1

    system.aggregator.kill()
    shutil.rmtree(data)
    shutil.copytree(copy, data)
    system.start_aggregator()
    wait_until(lambda: backlog(system) < 8, "what the copy lacks delivered again")

    assert system.edges["gw-works"].stop() == 0
    wait_until(lambda: backlog(system) < 8, "all of the old spool stored")
    shutil.rmtree(system.directory / "gw-works-spool")
    system.edges["gw-works"].start()
    first_epoch = edge["epoch"]
    wait_until(
        lambda: get_json(f"{system.url}/api/v1/facilities/works/edges")["edges"][0]["epoch"] != first_epoch,
        "batches of the new spool",
    )
    finish(system, wait_until)
    with opened(system) as store:
        assert_whole(judge(system.answer_log, store))
        kinds = [stored.event.body["kind"] for stored in store.events("works", 0, 2**53, "gap")]
        assert kinds.count("new_spool") == 2


def poison(system: System) -> bytes:
    """Rightly signed by the edge's own key, and not a batch: what a bug in an agent would send."""
    key = SigningKey.load(system.directory / "gw-works.sign")
    content = Content("works", "gw-works", "poison", 1, "", system.wanted.clock(), "gauge", ClockJson(synced=None))
    frame, _ = Sealer(edge_topic("works", "gw-works", "batch"), key).seal(content)
    from wire import batch as wire_batch

    raw = gzip.compress(b'{"facility":"works","edge":"gw-works","epoch":"poison","seq":1,"blocks":7}')
    head = HEADER.pack(MAGIC, 0, wire_batch.GZIP, 0, frame[6:14], b"")[:14]
    digest = wire_batch.digest(head, edge_topic("works", "gw-works", "batch"), raw)
    return head + key.sign(b"wattline batch\x00" + digest) + raw


def forged(system: System) -> bytes:
    """States the edge's key id, signed with another key."""
    known = SigningKey.load(system.directory / "gw-works.sign")
    content = Content("works", "gw-works", "forged", 1, "", system.wanted.clock(), "gauge", ClockJson(synced=None))
    frame, _ = Sealer(edge_topic("works", "gw-works", "batch"), SigningKey.generate()).seal(content)
    return frame[:6] + known.key_id + frame[14:]


def publish(system: System, frame: bytes) -> None:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect(system.broker.host, system.broker.port)  # type: ignore[union-attr]
    client.loop_start()
    client.publish(edge_topic("works", "gw-works", "batch"), frame, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


@pytest.mark.timeout(180)
def test_a_full_disk_costs_gauges_only_and_each_of_them_is_named(
    make_system: Any, system_directory: Path, wait_until: Any
) -> None:
    mounted = system_directory / "gw-works-spool"
    mounted.mkdir(parents=True)
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k,mode=0700", "tmpfs", str(mounted)], capture_output=True, text=True
    )
    if mount.returncode != 0:
        pytest.skip(f"cannot mount a small file system here: {mount.stderr.strip()} (uid {os.getuid()})")
    try:
        system = make_system(wanted(system_directory))
        wait_until(lambda: stored(system) > 0, "the first readings")
        assert system.aggregator.stop() == 0
        spool_log = system.edges["gw-works"].log
        wait_until(lambda: "dropped batches" in spool_log.read_text(), "the spool drops what it cannot hold", 60)
        time.sleep(2)
        system.start_aggregator()
        finish(system, wait_until)
        with opened(system) as store:
            verdict = judge(system.answer_log, store)
            gaps = [stored.event.body for stored in store.events("works", 0, 2**53, "gap")]
        assert (verdict.duplicates, verdict.unknown) == (0, 0)
        assert verdict.lost == [], "counters, and the serials among them, are the last to be dropped"
        named = sum(gap.get("readings") or 0 for gap in gaps if gap["kind"] in {"dropped", "unsealed"})
        assert verdict.readings_short == named > 0
        assert {gap["cls"] for gap in gaps if gap["kind"] == "dropped"} == {"gauge"}
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=False)
