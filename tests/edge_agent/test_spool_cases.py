"""Every fault of tests/cases/spool: the agent starts, says what it found, keeps what can be read, names the rest, gives no number twice.

A case says what is `do`ne to a closed spool and what is `then` expected: which numbers of the former epoch wait, which kinds of gaps
are there, whether the epoch goes on, and a text of one log record each.
"""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CASES = sorted((Path(__file__).parent.parent / "cases" / "spool").glob("*.json"))
NOBODY = 65_534
RECORD = b"WLR1"
EXPECTED = {"waiting", "gaps", "epoch", "logs", "unprivileged", "writes"}


@pytest.fixture
def unprivileged_directory() -> Iterator[Path]:
    """A directory of a user whom file modes stop, who runs the test."""
    directory = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield directory
    if os.getuid() == 0:
        os.seteuid(0)
    for path in [directory, *directory.rglob("*")]:
        path.chmod(0o700)
    shutil.rmtree(directory)


def filled(desk_of: Any, directory: Path) -> tuple[str, dict[int, bytes]]:
    """Batches 1 to 12 of one epoch: counter, gauge and event in turn; 1 to 3 are committed; closed in good order."""
    desk = desk_of(directory)
    for _ in range(4):
        for add in (desk.counter, desk.gauge, desk.event):
            add()
            desk.flush()
    desk.spool.acknowledge(desk.committed((1, 3)))
    frames = {seq: desk.frame(seq) for seq in range(1, 13)}
    desk.spool.close()
    return desk.epoch, frames


def found(epoch: Path, pattern: str) -> list[Path]:
    paths = sorted(epoch.glob(pattern)) if "*" in pattern else [epoch / pattern]
    assert paths, f"nothing fits {pattern}"
    return paths


def place_of(raw: bytes, step: dict[str, Any]) -> int:
    """Where to flip: `at` bytes into the file, or into its `record`."""
    start = -1
    for _ in range(step.get("record", -1) + 1):
        start = raw.index(RECORD, start + 1)
    return int(step["at"]) + max(0, start)


def do(epoch: Path, step: dict[str, Any]) -> None:
    (word, pattern), *_ = step.items()
    text = step.get("text", "").encode() * step.get("times", 1)
    if word == "delete_all":
        shutil.rmtree(epoch.parent)
    elif word == "mkdir":
        (epoch / pattern).mkdir()
    elif word == "write_new":
        (epoch / pattern).write_bytes(text)
    else:
        for path in found(epoch, pattern):
            do_to(path, word, step, text)


def do_to(path: Path, word: str, step: dict[str, Any], text: bytes) -> None:
    if word == "chmod":
        path.chmod(step["mode"])
        return
    if word == "delete":
        path.unlink()
        return
    raw = path.read_bytes()
    if word == "truncate":
        path.write_bytes(raw[: int(len(raw) * step["share"]) if "share" in step else len(raw) - step["by"]])
    elif word == "flip":
        at = place_of(raw, step)
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :])
    elif word == "write":
        path.write_bytes(text)
    elif word == "append":
        path.write_bytes(raw + text)
    elif word == "replace":
        assert step["old"].encode() in raw
        path.write_bytes(raw.replace(step["old"].encode(), step["new"].encode()))
    elif word == "copy":
        shutil.copy(path, path.parent / step["to"])
    else:
        raise AssertionError(f"unknown step {step}")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_faulty_spool_is_opened_said_and_read_as_far_as_it_goes(
    desk_of: Any, tmp_path: Path, case: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    text = json.loads(case.read_text())
    then = text["then"]
    assert set(then) <= EXPECTED
    root = request.getfixturevalue("unprivileged_directory") if then.get("unprivileged") else tmp_path
    directory = root / "spool"
    former, frames = filled(desk_of, directory)
    options: dict[str, str] = {}
    for step in text["do"]:
        if "machine" in step or "edge" in step:
            options |= step
        else:
            do(directory / former, step)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        desk = desk_of(directory, now_ms=desk_of.START_MS + 60_000, **options)
        messages = [record.getMessage() for record in caplog.records]
        for expected in then["logs"]:
            assert [expected in message for message in messages].count(True) == 1, messages
        if not then["logs"]:
            assert messages == []
        assert (desk.epoch == former) is (then["epoch"] == "same")
        assert_as_expected(desk, former, frames, then)
        desk.gauge()
        if not then.get("writes", True):
            assert desk.flush() == []
            assert "spool cannot be written" in caplog.text
            assert desk.batcher.waiting_readings == 2, "what was read waits for a spool that can be written"
            return
        (made,) = desk.flush()
        assert made not in {(former, seq) for seq in frames}, "a number came twice"
        desk.spool.close()
    again = desk_of(directory, now_ms=desk_of.START_MS + 120_000, **options)
    assert made[1] in again.waiting(made[0])
    if then["waiting"]:
        assert [seq for seq in again.waiting(former) if (former, seq) != made] == then["waiting"]
    assert [gap.kind for gap in again.spool.gaps] == [], "what is told once is not told at every start"
    again.spool.close()


def assert_as_expected(desk: Any, former: str, frames: dict[int, bytes], then: dict[str, Any]) -> None:
    waiting = desk.waiting(former) if former in desk.spool.epochs else []
    assert waiting == then["waiting"]
    assert all(desk.frame(seq, former) == frames[seq] for seq in waiting)
    new = ["new_spool"] if then["epoch"] == "new" else []
    assert sorted({gap.kind for gap in desk.spool.gaps}) == sorted({*new, *then["gaps"]})
    named = [gap for gap in desk.spool.gaps if gap.epoch == former and gap.first_seq is not None]
    lost = set(range(4, 13)) - set(waiting)
    if former in desk.spool.epochs:
        assert {seq for gap in named for seq in range(gap.first_seq, gap.last_seq + 1)} - {1, 2, 3} == lost


def test_there_are_at_least_twelve_kinds_of_faulty_spools() -> None:
    assert len(CASES) >= 12
