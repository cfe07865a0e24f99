"""The spool after bad bytes, deleted files and kill -9: the agent starts, no batch is invented, no number is given twice."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.spool import Limits
from wire.content import Gap
from wire.messages import Ack

Batches = dict[tuple[str, int], bytes]


class Template:
    """A filled spool: its frames by epoch and number, and which of them are answered."""

    def __init__(self, desk_of: Any, directory: Path) -> None:
        self.desk_of = desk_of
        self.directory = directory
        self.frames, self.answered = filled(desk_of, directory)


def filled(desk_of: Any, directory: Path) -> tuple[Batches, set[tuple[str, int]]]:
    """A spool with two epochs, all classes, answers and gaps: all its frames, and which are answered."""
    first = desk_of(directory, machine="m1", limits=Limits(max_bytes=64_000))
    for _ in range(4):
        first.gauge()
        first.counter()
        first.event()
        first.flush()
    first.spool.acknowledge(first.committed((1, 4)))
    first.spool.close()
    second = desk_of(directory, machine="m2", limits=Limits(max_bytes=64_000), now_ms=first.now_ms)
    for _ in range(6):
        second.gauge()
        second.counter()
        second.flush()
    second.spool.acknowledge(second.committed((2, 5)))
    second.spool.acknowledge(second.refused(7))
    second.spool.tidy(second.now_ms)
    second.event()
    second.flush()
    frames = {
        (epoch_id, seq): second.frame(seq, epoch_id)
        for epoch_id, epoch in second.spool.epochs.items()
        for seq in range(1, epoch.last_seq + 1)
    }
    answered = {(first.epoch, seq) for seq in range(1, 5)} | {(second.epoch, seq) for seq in (2, 3, 4, 5, 7)}
    return frames, answered


@pytest.fixture(scope="module")
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Template:
    desk_of = request.getfixturevalue("desk_class")
    directory = tmp_path_factory.mktemp("template") / "spool"
    return Template(desk_of, directory)


@st.composite
def damages(draw: st.DrawFn) -> list[tuple[str, float, float, int]]:
    """What is done to which file (as shares of the list of files, of the file) with which byte."""
    word = st.sampled_from(["flip", "truncate", "delete", "append", "zero", "empty"])
    share = st.floats(0, 1, exclude_max=True)
    return draw(st.lists(st.tuples(word, share, share, st.integers(1, 255)), min_size=1, max_size=2))


def damage(directory: Path, word: str, file_share: float, place_share: float, byte: int) -> None:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    path = files[int(file_share * len(files))]
    raw = bytearray(path.read_bytes())
    place = int(place_share * len(raw))
    if word == "delete":
        path.unlink()
    elif word == "truncate":
        path.write_bytes(raw[:place])
    elif word == "append":
        path.write_bytes(raw + bytes([byte]) * (place + 1))
    elif word == "zero":
        path.write_bytes(raw[:place] + bytes(len(raw) - place))
    elif word == "empty":
        path.write_bytes(b"")
    elif raw:
        raw[place] ^= byte
        path.write_bytes(raw)


def names(gaps: list[Gap], epoch_id: str, seq: int) -> bool:
    """Whether a gap names a batch, or the whole epoch without numbers because none could be read."""
    own = [gap for gap in gaps if gap.epoch == epoch_id]
    whole = any(gap.kind == "unreadable" and gap.last_seq is None for gap in own)
    return whole or any((gap.first_seq or seq + 1) <= seq <= (gap.last_seq or 0) for gap in own)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=damages())
def test_whatever_one_file_or_two_suffer_the_agent_starts_and_invents_nothing(
    template: Template, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, float, float, int]]
) -> None:
    desk_of, source, frames, answered = template.desk_of, template.directory, template.frames, template.answered
    directory = tmp_path_factory.mktemp("damaged") / "spool"
    shutil.copytree(source, directory)
    for change in changes:
        damage(directory, *change)
    for _ in range(2):  # the second start sees what the first has repaired
        desk = desk_of(directory, machine="m2", limits=Limits(max_bytes=64_000), now_ms=1_795_249_000_000)
        waiting = {(name, seq) for name in desk.spool.epochs for seq in desk.waiting(name)}
        new = {key for key in waiting if key not in frames}
        assert all(frames[key] == desk.frame(key[1], key[0]) for key in waiting - new)
        assert all(desk.epoch == name for name, _ in new)
        gaps = [*desk.spool.gaps, *(gap for name, seq in waiting for gap in desk.content(seq, name).gaps)]
        lost = frames.keys() - answered - waiting if len(changes) == 1 else set()
        for key in lost:  # with its mark and its end both damaged an epoch's last numbers are not known
            assert names(gaps, *key), f"{key} is neither there nor named"
        for name, epoch in desk.spool.epochs.items():  # nothing counts as answered that was not, unless a gap names it
            claimed = {key for key in frames if key[0] == name and epoch.settled(key[1])}
            assert all(names(gaps, *key) for key in claimed - answered)
        desk.gauge()
        (made,) = desk.flush()
        assert made not in frames
        desk.spool.close()


@pytest.mark.parametrize("name", ["epoch.json", "answered.json", "mark", "../spool.json"])
def test_without_any_one_of_its_small_files_all_waiting_batches_are_there(
    template: Template, tmp_path: Path, name: str
) -> None:
    desk_of, source, frames, answered = template.desk_of, template.directory, template.frames, template.answered
    shutil.copytree(source, tmp_path / "spool")
    for epoch_id in {epoch_id for epoch_id, _ in frames}:
        (tmp_path / "spool" / epoch_id / name).unlink(missing_ok=True)
    desk = desk_of(tmp_path / "spool", machine="m2")
    waiting = {(epoch_id, seq) for epoch_id in desk.spool.epochs for seq in desk.waiting(epoch_id)}
    assert waiting >= frames.keys() - answered


def test_an_epoch_that_tells_nothing_is_set_aside_and_named(template: Template, tmp_path: Path) -> None:
    desk_of, source, frames = template.desk_of, template.directory, template.frames
    shutil.copytree(source, tmp_path / "spool")
    former = next(iter(frames))[0]
    for path in (tmp_path / "spool" / former).iterdir():
        path.write_bytes(b"rubbish")
    desk = desk_of(tmp_path / "spool", machine="m2")
    assert former not in desk.spool.epochs
    assert ("unreadable", former) in {(gap.kind, gap.epoch) for gap in desk.spool.gaps}
    assert (tmp_path / "spool" / "unreadable" / former).is_dir()


def test_a_flipped_store_id_is_not_obeyed(desk: Any, desk_of: Any, tmp_path: Path) -> None:
    desk.gauges(1)
    desk.spool.pin_store("store-1")
    head = tmp_path / "spool" / "spool.json"
    head.write_bytes(head.read_bytes().replace(b"store-1", b"store-0"))
    assert desk_of(tmp_path / "spool").spool.store == ""


WRITES = """
import random, sys
from pathlib import Path
from edge_agent.seal import Batcher
from edge_agent.spool import Limits, Spool
from wire.block import Block, Shape
clock = lambda: 1_795_248_000_000
spool = Spool(Path(sys.argv[1]), "works", "gw-01", Limits(max_bytes=40 << 20), "m1")
batcher = Batcher(spool, "works", "gw-01", None, clock)
chance = random.Random(int(sys.argv[2]))
gauge, counter = Shape(("active_power_kw",), (None,)), Shape(("energy_import_kwh",), (-2,))
at_ms = clock() + spool.current.last_seq * 10
while True:
    at_ms += 1
    values = tuple(chance.random() for _ in range(chance.randrange(1, 800)))
    batcher.add_block(Block("incomer", gauge, tuple(range(at_ms, at_ms + len(values))), (values,)))
    batcher.add_block(Block("incomer", counter, (at_ms,), ((at_ms,),)))
    made = batcher.seal()
    spool.sync()
    for epoch_id, seq in made:
        found = spool.epochs[epoch_id].read(seq)
        print(epoch_id, seq, found[0].digest.hex(), flush=True)
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_after_kill_9_all_that_was_reported_is_there_and_no_number_comes_twice(
    desk_of: Any, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    reported: dict[tuple[str, int], str] = {}
    for _ in range(5):
        command = [sys.executable, "-c", WRITES, str(tmp_path / "spool"), str(chance.random())[2:9]]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(chance.randrange(1, 60))]
            os.kill(writer.pid, signal.SIGKILL)
            rest = writer.stdout.read()
        whole = "".join(lines) + rest[: rest.rfind("\n") + 1]
        for line in whole.splitlines():
            epoch_id, seq, sha256 = line.split()
            assert int(seq) > max((n for name, n in reported if name == epoch_id), default=0)
            reported[epoch_id, int(seq)] = sha256
        highest = {name: max(number for n, number in reported if n == name) for name, _ in reported}
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "spool", copy)
        desk = desk_of(copy)
        for name, number in highest.items():
            assert desk.spool.epochs[name].last_seq >= number
            assert desk.waiting(name) == list(range(1, desk.spool.epochs[name].last_seq + 1))
        assert all(desk.sha256(number, name) == sha256 for (name, number), sha256 in reported.items())
        desk.spool.close()
        shutil.rmtree(copy)
    assert len(reported) > 50


def test_an_answered_file_that_lies_is_not_believed(desk: Any, desk_of: Any, tmp_path: Path) -> None:
    desk.gauges(5)
    desk.spool.acknowledge(Ack("store-1", desk.epoch, [(1, 2, desk.sha256(2))]))
    desk.spool.close()
    path = tmp_path / "spool" / desk.epoch / "answered.json"
    path.write_bytes(path.read_bytes().replace(b"[1,2]", b"[1,4]"))
    assert desk_of(tmp_path / "spool").waiting() == [1, 2, 3, 4, 5]
