"""The spool within its bounds: what goes first, that each loss has a gap, and what a full disk costs."""

import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from edge_agent.spool import Limits
from wire.batch import peek
from wire.content import Content, Gap, missing_numbers
from wire.messages import Ack

SMALL = Limits(max_bytes=20_000, keep_answered_bytes=6_000)


def test_what_is_acknowledged_goes_first(desk_of: Any, tmp_path: Path) -> None:
    desk = desk_of(tmp_path / "spool", limits=SMALL)
    desk.gauges(30)
    desk.spool.acknowledge(desk.committed((11, 30)))
    desk.gauges(20)
    assert desk.waiting() == [*range(1, 11), *range(31, 51)]
    assert desk.spool.size_bytes <= 20_000
    assert desk.spool.gaps == []


def test_gauges_go_before_events_before_counters_oldest_first(desk_of: Any, tmp_path: Path) -> None:
    desk = desk_of(tmp_path / "spool", limits=SMALL)
    classes: dict[int, str] = {}
    kept: list[Counter[str]] = []
    for _ in range(60):
        desk.gauge()
        desk.counter()
        desk.event()
        classes.update(zip([seq for _, seq in desk.flush()], ["counter", "gauge", "event"], strict=True))
        kept.append(Counter(classes[seq] for seq in desk.waiting()))
        assert desk.spool.size_bytes <= 20_000
    counters_lost = next(i for i, count in enumerate(kept) if count["counter"] <= i)
    events_lost = next(i for i, count in enumerate(kept) if count["event"] <= i)
    gauges_lost = next(i for i, count in enumerate(kept) if count["gauge"] <= i)
    assert gauges_lost < events_lost < counters_lost
    assert kept[events_lost]["gauge"] <= 1
    counters = [seq for seq in classes if classes[seq] == "counter"]
    waiting = [seq for seq in counters if seq in desk.waiting()]
    assert waiting == counters[-len(waiting) :]


def test_a_gap_tells_class_numbers_hash_devices_span_count_and_reason(desk_of: Any, tmp_path: Path) -> None:
    desk = desk_of(tmp_path / "spool", limits=SMALL)
    facts: dict[int, tuple[str, int]] = {}
    while not [gap for gap in desk.spool.gaps if gap.kind == "dropped"]:
        desk.gauge("incomer", 2)
        desk.gauge("oven", 1)
        ((_, seq),) = desk.batcher.seal()
        facts[seq] = (desk.sha256(seq), desk.now_ms)
    (gap,) = [gap for gap in desk.spool.gaps if gap.kind == "dropped"]
    last = gap.last_seq
    assert gap == Gap(
        "dropped",
        "the spool was full",
        desk.epoch,
        "gauge",
        1,
        last,
        facts[last][0],
        desk.START_MS + 1000,
        facts[last][1],
        ["incomer", "oven"],
        6 * last,
    )


def test_gaps_inside_dropped_batches_are_carried_on(desk_of: Any, tmp_path: Path) -> None:
    desk = desk_of(tmp_path / "spool", limits=SMALL)
    desk.gauges(120)
    assert desk.waiting()[0] > 1
    carried = [gap for seq in desk.waiting() for gap in desk.content(seq).gaps] + desk.spool.gaps
    assert [gap.epoch for gap in carried if gap.kind == "new_spool"] == ["unknown"]


def test_what_is_older_than_the_spool_keeps_is_dropped_with_a_gap(desk_of: Any, tmp_path: Path) -> None:
    desk = desk_of(tmp_path / "spool", limits=Limits(max_bytes=20_000, max_age_ms=86_400_000))
    desk.gauges(10)
    desk.spool.tidy(desk.now_ms + 86_400_000 - 9_000)
    assert desk.waiting() == list(range(1, 11))
    desk.spool.tidy(desk.now_ms + 86_400_001)
    assert desk.waiting() == []
    assert [(gap.kind, gap.reason, gap.first_seq, gap.last_seq) for gap in desk.spool.gaps if gap.cls] == [
        ("dropped", "older than the spool keeps", 1, 10)
    ]


def test_a_kill_right_after_a_drop_forgets_no_gap(desk_of: Any, tmp_path: Path) -> None:
    desk = desk_of(tmp_path / "spool", limits=SMALL)
    while not [gap for gap in desk.spool.gaps if gap.kind == "dropped"]:
        desk.gauge()
        desk.batcher.seal()
    (gap,) = [gap for gap in desk.spool.gaps if gap.kind == "dropped"]
    assert gap in desk_of(tmp_path / "spool", limits=SMALL).spool.gaps


class Life(RuleBasedStateMachine):
    """A spool's life beside an honest aggregator: whatever happens, each number is committed, named or waiting."""

    desk_of: Any

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.life = 0
        self.desk = self.desk_of(self.root / "0", limits=SMALL)
        self.stored: dict[str, set[int]] = {}  # what the aggregator holds
        self.named: list[Gap] = []  # gaps that it was told
        self.readings: dict[tuple[str, int], tuple[str, int]] = {}  # of every batch ever sealed: class, count

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self.desk.spool.close()
            shutil.rmtree(self.root)

    @rule(gauges=st.integers(0, 6), counters=st.integers(0, 3), events=st.integers(0, 2), times=st.integers(1, 8))
    def flush(self, gauges: int, counters: int, events: int, times: int) -> None:
        for _ in range(times):
            for number in range(gauges):
                self.desk.gauge(f"meter{number}")
            for number in range(counters):
                self.desk.counter(f"meter{number}")
            for _ in range(events):
                self.desk.event(text="x" * 200)
            before = self.desk.spool.current.last_seq
            made = self.desk.flush()
            assert [seq for _, seq in made] == list(range(before + 1, before + 1 + len(made)))
            for epoch_id, seq in made:
                content = self.content(epoch_id, seq)
                if content is not None:
                    count = sum(len(block.row or block.at_ms) for block in content.blocks)
                    self.readings[epoch_id, seq] = (content.cls, count)

    def content(self, epoch_id: str, seq: int) -> Content | None:
        frame = self.desk.spool.read(epoch_id, seq)
        return None if frame is None else peek(frame)

    @rule(share=st.floats(0, 1), length=st.integers(1, 12), order=st.randoms(use_true_random=False))
    def deliver(self, share: float, length: int, order: random.Random) -> None:
        epoch_id = order.choice(list(self.desk.spool.epochs))
        waiting = self.desk.waiting(epoch_id)
        start = int(share * len(waiting))
        for seq in waiting[start : start + length]:
            content = self.content(epoch_id, seq)
            assert content is not None
            self.named += content.gaps
            self.stored.setdefault(epoch_id, set()).add(seq)
            self.desk.spool.acknowledge(self.desk.committed((seq, seq), epoch=epoch_id))

    @rule(share=st.floats(0, 1, exclude_max=True))
    def refuse(self, share: float) -> None:
        waiting = self.desk.waiting()
        if waiting:
            self.desk.spool.acknowledge(self.desk.refused(waiting[int(share * len(waiting))]))

    @rule(keep=st.floats(0, 1))
    def restore_the_aggregator(self, keep: float) -> None:
        """From a backup: it has the first part of what it had, and all the gaps (they are told again if it lost them)."""
        epoch_id = self.desk.epoch
        had = sorted(self.stored.get(epoch_id, ()))
        held = had[: int(keep * len(had))]
        self.stored[epoch_id] = set(held)
        held = [seq for seq in held if self.desk.spool.epochs[epoch_id].read(seq) is not None]
        ranges = [(seq, seq, self.desk.sha256(seq)) for seq in held]
        gone = [(seq, seq, "0" * 64) for seq in self.stored[epoch_id] - set(held)]
        self.desk.spool.acknowledge(Ack("store-1", epoch_id, ranges + gone, have=True))

    @rule()
    def tidy(self) -> None:
        self.desk.spool.tidy(self.desk.now_ms)

    @rule(kill=st.booleans(), machine=st.sampled_from(["m1", "m1", "m1", "m2"]))
    def restart(self, kill: bool, machine: str) -> None:
        self.life += 1
        fresh = self.root / str(self.life)
        if not kill:
            self.desk.spool.close()
        shutil.copytree(self.root / str(self.life - 1), fresh)
        if kill:
            self.desk.spool.close()
        self.desk = self.desk_of(fresh, limits=SMALL, machine=machine, now_ms=self.desk.now_ms + 5000)

    @invariant()
    def each_number_is_committed_named_or_waiting(self) -> None:
        if not hasattr(self, "desk"):
            return
        spool = self.desk.spool
        gaps = [*self.named, *spool.gaps]
        waiting = {}
        for epoch_id in spool.epochs:
            waiting[epoch_id] = set(self.desk.waiting(epoch_id))
            for seq in waiting[epoch_id]:
                content = self.content(epoch_id, seq)
                assert content is not None
                gaps += content.gaps
        for epoch_id, epoch in spool.epochs.items():
            assert len(waiting[epoch_id]) == epoch.waiting
            for seq in range(1, epoch.last_seq + 1):
                known = seq in waiting[epoch_id] or seq in self.stored.get(epoch_id, ())
                assert known or self.is_named(gaps, epoch_id, seq), f"{epoch_id} {seq} is lost in silence"

    def is_named(self, gaps: list[Gap], epoch_id: str, seq: int) -> bool:
        own = [gap for gap in gaps if gap.epoch == epoch_id and gap.first_seq is not None and gap.last_seq is not None]
        return any(
            first <= seq <= last
            for gap in own
            for first, last in missing_numbers(gap.first_seq or 0, gap.last_seq or 0, gap.seqs)
        )

    @invariant()
    def sums_are_what_counting_gives(self) -> None:
        if not hasattr(self, "desk"):
            return
        for epoch in self.desk.spool.epochs.values():
            files = [path for path in epoch.directory.glob("*.seg") if path.stat().st_size]
            assert epoch.size_bytes == sum(path.stat().st_size for path in files)
            segments = list(epoch._all())
            assert epoch.answered_bytes == sum(segment.size for segment in segments if not segment.waiting)
            assert [s.waiting for s in segments] == [sum(not epoch.settled(n) for n in s.seqs) for s in segments]
        assert self.desk.spool.size_bytes <= SMALL.max_bytes


def test_committed_and_gaps_and_waiting_cover_all_numbers_whatever_happens(desk_of: Any) -> None:
    steps = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    Life.desk_of = desk_of
    run_state_machine_as_test(Life, settings=steps)


FILLS = """
import json, sys
from pathlib import Path
from edge_agent.seal import Batcher
from edge_agent.spool import Limits, Spool
from wire.batch import peek
from wire.block import Block, Shape
spool = Spool(Path(sys.argv[1]) / "spool", "works", "gw-01", Limits(max_bytes=1 << 30), "m1")
batcher = Batcher(spool, "works", "gw-01", None, lambda: 0)
shape, taken = Shape(tuple(["active_power_kw"]), (None,)), 0
for flush in range(int(sys.argv[2])):
    values = tuple(1 / (n + 3 + flush) for n in range(500))
    batcher.add_block(Block("incomer", shape, tuple(range(1 + flush * 1000, 501 + flush * 1000)), (values,)))
    taken += 500
    batcher.seal()
    try:
        spool.sync()
    except OSError as error:
        print(error, file=sys.stderr)
kept, gaps = 0, list(spool.gaps)
for epoch in spool.epochs.values():
    for seq in epoch.waiting_downwards(epoch.last_seq):
        content = peek(spool.read(epoch.identity.epoch, seq))
        kept += sum(len(block.at_ms) for block in content.blocks)
        gaps += content.gaps
print(json.dumps({"taken": taken, "kept": kept, "waiting": batcher.waiting_readings, "batches": spool.current.last_seq,
                  "dropped": sum(gap.readings or 0 for gap in gaps if gap.kind == "dropped"),
                  "unsealed": sum(gap.readings or 0 for gap in gaps if gap.kind == "unsealed")}))
spool.close()
"""


def accounts(done: "subprocess.CompletedProcess[str]") -> dict[str, int]:
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    assert found["kept"] + found["waiting"] + found["dropped"] + found["unsealed"] == found["taken"]
    return found


def test_on_a_full_disk_the_oldest_gauges_go_and_are_counted(tmp_path: Path) -> None:
    script, disk = tmp_path / "fills.py", tmp_path / "disk"
    script.write_text(FILLS)
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=2m tmpfs {disk} && PYTHONPATH={Path.cwd()} {sys.executable} {script} {disk} 700"
    probe = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True, timeout=60
    )
    if probe.returncode:
        pytest.skip(f"no mount of a small disk here: {probe.stderr.decode().strip()}")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, timeout=100)
    found = accounts(done)
    assert found["dropped"] > 0
    assert found["kept"] > 0
    assert found["batches"] >= 600  # writing goes on


@pytest.mark.parametrize(("limit", "lost"), [(100_000, 0), (2_000, 500 * 120 - 40_000)])
def test_a_limit_on_the_size_of_files_makes_more_files_or_is_told(tmp_path: Path, limit: int, lost: int) -> None:
    """2,000 bytes hold the head, but no batch of 500 readings: these wait, 40,000 at most, and the older ones are named."""
    script = tmp_path / "fills.py"
    script.write_text("import resource\n" + f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n" + FILLS)
    command = f"PYTHONPATH={Path.cwd()} {sys.executable} {script} {tmp_path} 120"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=100)
    found = accounts(done)
    assert found["unsealed"] == lost
    assert found["dropped"] == 0
