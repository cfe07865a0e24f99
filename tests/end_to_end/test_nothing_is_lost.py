"""Kill, freeze, fill, delete, restore, poison, forge: every answer that a simulator gave is stored once, or lies in a named gap."""

import gzip
import os
import random
import shutil
import subprocess
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from whole_system import assert_whole, backlog, finish, kill_at_random, named_gaps, opened, stored, wanted

from aggregator.stores.store import Spool, Store
from wattline.judge import judge
from wattline.system import System
from wattline.viewer import get_json
from wire.batch import HEADER, MAGIC, Sealer
from wire.content import ClockJson, Content
from wire.keys import SigningKey
from wire.topics import edge_topic


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("store_kind", "seed"), [("duckdb", 1), ("influxdb", 2)])
def test_ten_kills_at_random_moments_lose_nothing_but_the_last_flush(
    store_kind: str, seed: int, make_system: Any, system_directory: Path, wait_until: Any, request: Any
) -> None:
    url = request.getfixturevalue("influxd_url") if store_kind == "influxdb" else ""
    system = make_system(wanted(system_directory, influxdb_url=url))
    wait_until(lambda: stored(system) > 0, "the first readings")
    kills_ms = kill_at_random(system, random.Random(seed), 10)
    time.sleep(1)
    finish(system)
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
    finish(system)
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
    finish(system)
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


def numbers_of(gap: dict[str, Any]) -> list[int]:
    """The batches that a gap `dropped` says are missing."""
    if gap["kind"] != "dropped":
        return []
    return list(accumulate(gap["seqs"])) if gap.get("seqs") else list(range(gap["first_seq"], gap["last_seq"] + 1))


def is_stored(store: Store, epoch: str, seq: int) -> bool:
    ranges = store.committed(Spool("works", "gw-works", epoch))
    return any(first <= seq <= last for first, last, _ in ranges)


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
        # Nobody judges the gateway's own figures, so that here they would only be named.
        system = make_system(wanted(system_directory, gateway_figures=False))
        wait_until(lambda: stored(system) > 0, "the first readings")
        assert system.aggregator.stop() == 0
        spool_log = system.edges["gw-works"].log
        wait_until(lambda: "dropped batches" in spool_log.read_text(), "the spool drops what it cannot hold", 60)
        time.sleep(2)
        system.start_aggregator()
        finish(system)
        with opened(system) as store:
            verdict = judge(system.answer_log, store)
            gaps = [stored.event.body for stored in store.events("works", 0, 2**53, "gap")]
            stored_and_named = [seq for gap in gaps for seq in numbers_of(gap) if is_stored(store, gap["epoch"], seq)]
        assert (verdict.duplicates, verdict.unknown) == (0, 0)
        assert verdict.lost == [], "counters, and the serials among them, are the last to be dropped"
        named = sum(gap.get("readings") or 0 for gap in gaps if gap["kind"] in {"dropped", "unsealed"})
        assert named > 0
        if (
            verdict.readings_short != named
        ):  # a batch that was under way when its segment was dropped is named, and stored too
            assert verdict.readings_short < named
            assert stored_and_named, (verdict.readings_short, named, gaps)
        assert {gap["cls"] for gap in gaps if gap["kind"] == "dropped"} == {"gauge"}
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=False)
